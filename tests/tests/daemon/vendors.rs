//! Gateways of the five vendors, as the stand-in speaks for them.

use otpd_tests::{
    carrier::{Carrier, Vendor, settings::Settings},
    daemon::{PATIENT, Place},
};

/// Who comes after a vendor in the lists of these tests, so that each is first and second once.
pub(crate) fn after(vendor: Vendor) -> Vendor {
    let next = Vendor::ALL.into_iter().skip_while(|one| *one != vendor).nth(1);
    next.unwrap_or(Vendor::ALL[0])
}

/// The order of the gateways. They are called as their vendors.
pub(crate) fn delivery(sms: &[Vendor], voice: &[Vendor]) -> String {
    let names = |vendors: &[Vendor]| {
        let names: Vec<_> = vendors.iter().map(|vendor| format!("\"{}\"", vendor.name())).collect();
        names.join(", ")
    };
    format!(
        "\n[delivery]\ncountries = [\"US\"]\nsms = [{}]\nvoice = [{}]\n{PATIENT}\n",
        names(sms),
        names(voice),
    )
}

/// The table of a vendor's gateway whose API is at `base`; its key goes into a file of the place.
/// More lines may follow.
pub(crate) fn gateway(place: &Place, accounts: &Settings, vendor: Vendor, base: &str) -> String {
    let keep = |name: &str, key: &str| place.keep(name, &format!("{key}\n"));
    let sender = |numbers: &[String]| numbers.first().expect("a number that sends").clone();
    let name = vendor.name();
    let (from, own) = match vendor {
        Vendor::Flowroute => {
            let account = &accounts.flowroute;
            keep("flowroute.key", &account.secret_key);
            let key = &account.access_key;
            let own = format!("access-key = \"{key}\"\nsecret-key-file = \"flowroute.key\"");
            (sender(&account.numbers), own)
        }
        Vendor::Telnyx => {
            let account = &accounts.telnyx;
            keep("telnyx.key", &account.api_key);
            (sender(&account.numbers), "api-key-file = \"telnyx.key\"".to_owned())
        }
        Vendor::Plivo => {
            let account = &accounts.plivo;
            keep("plivo.token", &account.auth_token);
            let id = &account.auth_id;
            let own = format!("auth-id = \"{id}\"\nauth-token-file = \"plivo.token\"");
            (sender(&account.numbers), own)
        }
        Vendor::SignalWire => {
            let account = &accounts.signalwire;
            keep("signalwire.token", &account.api_token);
            keep("signalwire.key", &account.signing_key);
            let own = format!(
                "project-id = \"{}\"\napi-token-file = \"signalwire.token\"\n\
                 signing-key-file = \"signalwire.key\"",
                account.project_id
            );
            (sender(&account.numbers), own)
        }
        Vendor::Twilio => {
            let account = &accounts.twilio;
            keep("twilio.token", &account.auth_token);
            let sid = &account.account_sid;
            let own = format!("account-sid = \"{sid}\"\nauth-token-file = \"twilio.token\"");
            (sender(&account.numbers), own)
        }
    };
    format!(
        "\n[gateway.{name}]\nkind = \"{name}\"\nbase-url = \"{base}\"\nfrom = \"{from}\"\n{own}\n"
    )
}

/// What Telnyx's table says besides where it calls.
pub(crate) fn texml(carrier: &Carrier) -> String {
    let account = Settings::default().telnyx;
    format!(
        "webhook-public-key = \"{}\"\ntexml-application-id = \"{}\"\ntexml-account-sid = \"{}\"\n",
        carrier.public_key(),
        account.applications[0],
        account.account_sid,
    )
}
