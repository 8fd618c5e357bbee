//! Twilio's API of 2010-04-01, under `/twilio`.

mod refusals;

use std::sync::Arc;

use hyper::Method;
use serde_json::{Value, json};

use self::refusals::ERRORS;
use super::{
    Vendor,
    callback::{Draft, Inbound, Word},
    calls::Document,
    compatible::{
        self, Codes, Resource, Rules, call_fields, date, described, resource, start, words,
    },
    exchange::{Asked, Form, Reply, field, fields},
    gsm7,
    records::{Item, Target},
    settings::Twilio,
    world::World,
};

const CODES: Codes = Codes {
    to_missing: 21604,
    to_invalid: 21211,
    from_missing: 21603,
    from_invalid: 21212,
    from_not_owned: 21606,
    body_missing: 21602,
    body_long: 21617,
    opted_out: 21610,
    parameter: 20001,
    call_to_missing: 21201,
    call_from_missing: 21213,
    call_from_not_owned: 21210,
    url: 21205,
};

const MESSAGE: [&str; 23] = [
    "To",
    "From",
    "MessagingServiceSid",
    "Body",
    "StatusCallback",
    "ApplicationSid",
    "MaxPrice",
    "ProvideFeedback",
    "Attempt",
    "ValidityPeriod",
    "ForceDelivery",
    "ContentRetention",
    "AddressRetention",
    "SmartEncoded",
    "PersistentAction",
    "ShortenUrls",
    "ScheduleType",
    "SendAt",
    "SendAsMms",
    "ContentVariables",
    "RiskCheck",
    "MediaUrl",
    "ContentSid",
];

const CALL: [&str; 17] = [
    "To",
    "From",
    "Url",
    "Twiml",
    "Method",
    "FallbackUrl",
    "FallbackMethod",
    "StatusCallback",
    "StatusCallbackEvent",
    "StatusCallbackMethod",
    "Timeout",
    "TimeLimit",
    "MachineDetection",
    "MachineDetectionTimeout",
    "SendDigits",
    "Record",
    "CallReason",
];

/// Longer documents cannot come with a call.
const LONGEST_TWIML: usize = 4000;

/// Answers a request.
pub(super) fn answer(world: &Arc<World>, asked: &Asked) -> Reply {
    let account = &world.settings.twilio;
    let found = resource(&asked.path, &account.account_sid);
    let reply = answer_json(world, asked, account, found.as_ref().map(|(resource, _)| resource));
    // This API speaks XML to whom does not ask for JSON.
    match found {
        Some((_, false)) => in_xml(reply),
        Some((_, true)) | None => reply,
    }
}

fn answer_json(
    world: &Arc<World>,
    asked: &Asked,
    account: &Twilio,
    found: Option<&Resource>,
) -> Reply {
    if !asked.is_from(&account.account_sid, &account.auth_token) {
        return error(20003);
    }
    let Some(resource) = found else { return error(20404) };
    match (&asked.method, resource) {
        (&Method::POST, Resource::Messages) => send(world, asked, account),
        (&Method::POST, Resource::Calls) => call(world, asked, account),
        _ => {
            let (message, call) =
                (|item: &Item| message(account, item), |item: &Item| call_record(account, item));
            let found = described(world, Vendor::Twilio, (asked, resource), message, call);
            found.map_or_else(|| error(20404), |found| Reply::json(200, &found))
        }
    }
}

fn rules(account: &Twilio) -> Rules<'_> {
    Rules {
        vendor: Vendor::Twilio,
        numbers: &account.numbers,
        services: &account.services,
        message_fields: &MESSAGE,
        call_fields: &CALL,
        longest: 36_000,
        codes: &CODES,
        refuse: &error,
    }
}

fn send(world: &Arc<World>, asked: &Asked, account: &Twilio) -> Reply {
    // Without a form there are no fields, and the first that is missing is named.
    let form = asked.form().unwrap_or_default();
    match rules(account).message(world, &form, format!("SM{}", world.hex())) {
        Ok(new) => Reply::json(201, &message(account, &world.bring(new))),
        Err(refusal) => refusal,
    }
}

fn call(world: &Arc<World>, asked: &Asked, account: &Twilio) -> Reply {
    let form = asked.form().unwrap_or_default();
    let rules = rules(account);
    let new = match rules.call(&form, format!("CA{}", world.hex())) {
        Ok(new) => new,
        Err(refusal) => return refusal,
    };
    let document = match (field(&form, "Url"), field(&form, "Twiml")) {
        (None, Some(twiml)) if twiml.chars().count() > LONGEST_TWIML => return error(20001),
        (None, Some(twiml)) => Document::Inline(twiml.to_owned()),
        (Some(_), _) | (None, None) => match rules.document_at(&form) {
            Ok(document) => document,
            Err(refusal) => return refusal,
        },
    };
    let item = world.take(new);
    let reply = Reply::json(201, &call_record(account, &item));
    start(world, item, document);
    reply
}

/// A refusal in Twilio's words.
fn error(code: u32) -> Reply {
    let (status, message) = words(&ERRORS, code);
    let body = json!({
        "code": code,
        "message": message,
        "more_info": format!("https://www.twilio.com/docs/errors/{code}"),
        "status": status,
    });
    Reply::json(status, &body)
}

/// A refusal that a test asks for; `None`: no such code is documented.
pub(super) fn refusal(code: &str) -> Option<Reply> {
    compatible::refusal(&ERRORS, code, error)
}

fn code_of(item: &Item) -> Option<u32> {
    item.code.as_deref().and_then(|code| code.parse().ok())
}

fn message(account: &Twilio, item: &Item) -> Value {
    let sid = &account.account_sid;
    json!({
        "account_sid": sid,
        "api_version": "2010-04-01",
        "body": item.text,
        "date_created": date(item),
        "date_sent": null,
        "date_updated": date(item),
        "direction": "outbound-api",
        "error_code": code_of(item),
        "error_message": null,
        "from": item.from,
        "messaging_service_sid": null,
        "num_media": "0",
        "num_segments": gsm7::parts(&item.text).to_string(),
        "price": null,
        "price_unit": "USD",
        "sid": item.id,
        "status": item.status,
        "subresource_uris": {
            "media": format!("/2010-04-01/Accounts/{sid}/Messages/{}/Media.json", item.id),
        },
        "to": item.to,
        "uri": format!("/2010-04-01/Accounts/{sid}/Messages/{}.json", item.id),
    })
}

fn call_record(account: &Twilio, item: &Item) -> Value {
    let sid = &account.account_sid;
    json!({
        "account_sid": sid,
        "annotation": null,
        "answered_by": null,
        "api_version": "2010-04-01",
        "caller_name": null,
        "date_created": date(item),
        "date_updated": date(item),
        "direction": "outbound-api",
        "duration": null,
        "end_time": null,
        "forwarded_from": null,
        "from": item.from,
        "from_formatted": item.from,
        "group_sid": null,
        "parent_call_sid": null,
        "phone_number_sid": null,
        "price": null,
        "price_unit": "USD",
        "queue_time": "0",
        "sid": item.id,
        "start_time": null,
        "status": item.status,
        "subresource_uris": {},
        "to": item.to,
        "to_formatted": item.to,
        "trunk_sid": null,
        "uri": format!("/2010-04-01/Accounts/{sid}/Calls/{}.json", item.id),
    })
}

/// The same reply as XML, without what is nested.
fn in_xml(reply: Reply) -> Reply {
    use std::fmt::Write as _;

    let value: Value = serde_json::from_str(&reply.body).unwrap_or_default();
    let name = if reply.is_good() { "Message" } else { "RestException" };
    let mut inside = String::new();
    for (key, value) in value.as_object().into_iter().flatten() {
        let key: String = key
            .split('_')
            .map(|word| {
                word.get(..1).unwrap_or_default().to_uppercase() + word.get(1..).unwrap_or_default()
            })
            .collect();
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let text = text.replace('&', "&amp;").replace('<', "&lt;");
        let _ = write!(inside, "<{key}>{text}</{key}>");
    }
    let body = format!(
        "<?xml version='1.0' encoding='UTF-8'?>\n<TwilioResponse><{name}>{inside}</{name}></TwilioResponse>"
    );
    Reply { media: "application/xml".to_owned(), body, ..reply }
}

/// What is told when a call's document is fetched.
pub(super) fn fields_of_call(world: &World, item: &Item, status: &str) -> Form {
    call_fields(&world.settings.twilio.account_sid, item, status)
}

/// A receipt; `None` for a turn that nobody asked for.
pub(super) fn receipt(world: &World, item: &Item, target: Target) -> Option<Draft> {
    let account = world.settings.twilio.account_sid.as_str();
    let text = fields([
        ("MessageSid", &item.id),
        ("MessageStatus", &item.status),
        ("SmsSid", &item.id),
        ("SmsStatus", &item.status),
        ("To", &item.to),
        ("From", &item.from),
        ("AccountSid", account),
        ("ApiVersion", "2010-04-01"),
    ]);
    compatible::receipt(account, item, target, text)
}

/// A message to the account.
pub(super) fn inbound(world: &World, inbound: &Inbound) -> Option<Draft> {
    let account = &world.settings.twilio;
    let target = Target::post(account.inbound.as_deref()?);
    let mut own = fields([("SmsStatus", "received"), ("ApiVersion", "2010-04-01")]);
    own.extend(Word::of(&inbound.text).name().map(|word| ("OptOutType".into(), word.into())));
    let (of, id) = ((Vendor::Twilio, account.account_sid.as_str()), format!("SM{}", world.hex()));
    Some(compatible::inbound(of, id, inbound, target, own))
}
