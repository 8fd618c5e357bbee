//! What the keys of the vendors' gateways become.

use super::super::check;
use crate::gateway::settings::Settings;

/// Vendors reach this daemon.
const HTTP: &str = "[http]\nlisten='127.0.0.1:8643'\npublic-url='https://otp.example.com'\n";

#[test]
fn every_key_of_telnyx_arrives() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("telnyx.key");
    std::fs::write(&key, "KEY0189A\n").unwrap();
    std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let gateway = |keys: &str| {
        let text = format!(
            "[delivery]\ncountries=['US']\nsms=['t']\n[gateway.t]\nkind='telnyx'\n\
             api-key-file='telnyx.key'\n{keys}"
        );
        let config = check(&folder.path().join("otpd.toml"), &text, None, "web1").unwrap();
        assert_eq!(config.warnings, Vec::<String>::new(), "{keys}");
        match config.gateways.as_slice() {
            [(_, Settings::Telnyx(telnyx))] => telnyx.clone(),
            other => panic!("{other:?}"),
        }
    };
    let profile = "16fd2706-8baf-433b-82eb-8c7fada847da";
    for (from, named) in [("+13125550123", false), ("12345", false), ("My Bank 1", true)] {
        let named = if named { format!("messaging-profile-id='{profile}'") } else { String::new() };
        assert_eq!(gateway(&format!("from='{from}'\n{named}")).from.as_deref(), Some(from));
    }
    let pooled =
        gateway(&format!("messaging-profile-id='{profile}'\nbase-url='http://127.0.0.1:9/x'"));
    assert_eq!((pooled.from, pooled.messaging_profile_id.as_deref()), (None, Some(profile)));
    assert_eq!(
        (pooled.base_url.as_str(), pooled.api_key.secret.as_str()),
        ("http://127.0.0.1:9/x", "KEY0189A")
    );
    let plain = gateway("from='12345'");
    assert_eq!(plain.base_url, "https://api.telnyx.com");
    assert!(plain.texml.is_none());
    let calls = "from='12345'\ntexml-application-id='1293384261075731499'\n\
                 texml-account-sid='61bf923e-5e4d-4595-a110-56190ea18a1b'";
    let texml = gateway(calls).texml.unwrap();
    assert_eq!((texml.application_sid.as_str(), texml.account_sid.as_str()), {
        ("1293384261075731499", "61bf923e-5e4d-4595-a110-56190ea18a1b")
    });
}

/// A file with one gateway, for text messages and calls, and its key beside it.
fn one_gateway(keys: &str) -> crate::config::Config {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("a.key");
    std::fs::write(&key, "KEY0189A\n").unwrap();
    std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let text = format!("[delivery]\ncountries=['US']\nsms=['t']\n{keys}");
    check(&folder.path().join("otpd.toml"), &text, None, "web1").unwrap()
}

#[test]
fn calls_whose_words_a_vendor_can_fetch_ask_for_a_key_press() {
    const CALLS: &str = "[gateway.t]\nkind='telnyx'\nfrom='+13125550123'\napi-key-file='a.key'\n\
                         texml-application-id='1293384261075731499'\n\
                         texml-account-sid='61bf923e-5e4d-4595-a110-56190ea18a1b'\n";
    const KEY: &str = "webhook-public-key='RCmTBlAEqh5MSPTdAVgZTAI0m8xmTNluQA6iaZGKjVE='\n";
    const PLIVO: &str = "[gateway.t]\nkind='plivo'\nfrom='+13125550123'\n\
                         auth-id='MAJHUDTEYWLSIUYTDBCZ'\nauth-token-file='a.key'\n";
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.key");
    std::fs::write(&file, "KEY0189A\n").unwrap();
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let accepting = "voice-without-key-press=true\n";
    let cases = [
        ("telnyx", "", [CALLS, KEY, HTTP].concat(), ""),
        ("telnyx without its key", "", [CALLS, HTTP].concat(), "webhook-public-key` is missing"),
        (
            "telnyx without its key, accepted",
            accepting,
            [CALLS, HTTP].concat(),
            "without webhook-public-key no call asks for a key press",
        ),
        ("telnyx without [http]", "", [CALLS, KEY].concat(), "add [http], or accept it"),
        (
            "telnyx without [http], accepted",
            accepting,
            [CALLS, KEY].concat(),
            "without [http] no call asks for a key press",
        ),
        ("plivo", "", [PLIVO, HTTP].concat(), ""),
        ("plivo without [http]", accepting, PLIVO.to_owned(), "add [http] or a phlo-id"),
    ];
    for (name, delivery, tables, expected) in cases {
        let text =
            format!("[delivery]\ncountries=['US']\nsms=['t']\nvoice=['t']\n{delivery}{tables}");
        let said = match check(&folder.path().join("otpd.toml"), &text, None, "web1") {
            Ok(config) => config.warnings.join("\n"),
            Err(errors) => errors.to_string(),
        };
        assert!(
            said.contains(expected) && said.is_empty() == expected.is_empty(),
            "{name}: {said}"
        );
    }
}

#[test]
fn every_key_of_twilio_arrives() {
    const SID: &str = "AC0123456789abcdef0123456789ABCDEF";
    const SERVICE: &str = "MG0123456789abcdef0123456789abcdef";
    let twilio = |delivery: &str, keys: &str| {
        let config = one_gateway(&format!(
            "{delivery}[gateway.t]\nkind='twilio'\naccount-sid='{SID}'\nauth-token-file='a.key'\n\
             {keys}"
        ));
        match config.gateways.as_slice() {
            [(_, Settings::Twilio(twilio))] => (twilio.clone(), config.warnings.clone()),
            other => panic!("{other:?}"),
        }
    };
    for from in ["+13125550123", "12345", "My Bank 1"] {
        let (settings, warnings) = twilio("", &format!("from='{from}'"));
        assert_eq!(settings.from.as_deref(), Some(from));
        assert_eq!(warnings, Vec::<String>::new(), "{from}");
        assert_eq!(settings.base_url, "https://api.twilio.com");
        assert_eq!(settings.account_sid, SID);
        let key = &settings.auth_token;
        assert_eq!((key.secret.as_str(), key.file.as_str()), ("KEY0189A", "a.key"));
        assert!(!format!("{settings:?}").contains("KEY0189A"));
    }
    let service = format!("messaging-service-sid='{SERVICE}'\nbase-url='http://127.0.0.1:9/x'");
    let (settings, _) = twilio("", &service);
    assert_eq!((settings.from, settings.messaging_service_sid.as_deref()), (None, Some(SERVICE)));
    assert_eq!(settings.base_url, "http://127.0.0.1:9/x");
    let delivery = "voice=['t']\nvoice-without-key-press=true\n";
    let (_, warnings) = twilio(delivery, "from='+13125550123'");
    let [warning] = warnings.as_slice() else { panic!("{warnings:?}") };
    assert!(warning.contains("`gateway.t` says codes to whoever answers"), "{warning}");
}

#[test]
fn every_key_of_signalwire_arrives() {
    const PROJECT: &str = "16fd2706-8baf-433b-82eb-8c7fada847da";
    let signalwire = |keys: &str| {
        let config = one_gateway(&format!(
            "{HTTP}[gateway.t]\nkind='signalwire'\nproject-id='{PROJECT}'\napi-token-file='a.key'\n\
             signing-key-file='a.key'\n{keys}"
        ));
        assert_eq!(config.warnings, Vec::<String>::new(), "{keys}");
        match config.gateways.as_slice() {
            [(_, Settings::SignalWire(signalwire))] => signalwire.clone(),
            other => panic!("{other:?}"),
        }
    };
    let spaces = [
        ("space='example'", "https://example.signalwire.com"),
        ("space='Example.SignalWire.com'", "https://example.signalwire.com"),
        ("base-url='http://127.0.0.1:9'", "http://127.0.0.1:9"),
    ];
    for (space, base_url) in spaces {
        for from in ["+13125550123", "12345"] {
            let settings = signalwire(&format!("{space}\nfrom='{from}'"));
            assert_eq!((settings.base_url.as_str(), settings.from.as_str()), (base_url, from));
            assert_eq!(settings.project_id, PROJECT);
        }
    }
    let settings = signalwire("space='a'\nfrom='12345'");
    let key = settings.signing_key.as_ref().unwrap();
    assert_eq!((key.secret.as_str(), key.file.as_str()), ("KEY0189A", "a.key"));
    assert_eq!(settings.api_token.secret.as_str(), "KEY0189A");
    assert!(!format!("{settings:?}").contains("KEY0189A"));
}

/// Of the vendors of texts it is the only one that keeps to no STOP by itself.
#[test]
fn signalwire_that_nobody_can_tell_of_a_stop_is_a_warning() {
    let cases = [
        ("", "", true),
        (HTTP, "", true),
        ("", "signing-key-file='a.key'", true),
        ("[http]\n", "signing-key-file='a.key'", true),
        (HTTP, "signing-key-file='a.key'", false),
    ];
    for (http, key, warned) in cases {
        let config = one_gateway(&format!(
            "{http}[gateway.t]\nkind='signalwire'\nspace='a'\nfrom='12345'\n\
             project-id='16fd2706-8baf-433b-82eb-8c7fada847da'\napi-token-file='a.key'\n{key}"
        ));
        let Some((_, Settings::SignalWire(settings))) = config.gateways.first() else {
            panic!("{config:?}")
        };
        assert_eq!(settings.signing_key.is_some(), !key.is_empty());
        assert_eq!(config.warnings.len(), usize::from(warned), "{http} {key}");
        let stop = "`gateway.t` sends texts, and nobody hears it when somebody replies STOP";
        assert!(config.warnings.iter().all(|warning| warning.contains(stop)), "{config:?}");
    }
}

#[test]
fn every_key_of_flowroute_arrives() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("flowroute.key");
    std::fs::write(&key, "s3cret\n").unwrap();
    std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let gateway = |keys: &str| {
        let text = format!(
            "[delivery]\ncountries=['US']\nsms=['f']\n[gateway.f]\nkind='flowroute'\n\
             access-key='8c21a9d0'\nsecret-key-file='flowroute.key'\n{keys}"
        );
        let config = check(&folder.path().join("otpd.toml"), &text, None, "web1").unwrap();
        assert_eq!(config.warnings, Vec::<String>::new(), "{keys}");
        match config.gateways.as_slice() {
            [(_, Settings::Flowroute(flowroute))] => flowroute.clone(),
            other => panic!("{other:?}"),
        }
    };
    let default = gateway("from='+436641234567'");
    assert_eq!((default.base_url.as_str(), default.version.as_str()), {
        ("https://api.flowroute.com", "v2.2")
    });
    assert_eq!(default.from.expose(), "+436641234567");
    assert_eq!(default.access_key, "8c21a9d0");
    assert_eq!(
        (default.secret_key.secret.as_str(), default.secret_key.file.as_str()),
        ("s3cret", "flowroute.key")
    );
    for version in ["v2.2", "v2.1", "v2"] {
        let keys = format!(
            "from='+13125550123'\napi-version='{version}'\nbase-url='http://127.0.0.1:9/x'"
        );
        let settings = gateway(&keys);
        assert_eq!((settings.version.as_str(), settings.base_url.as_str()), {
            (version, "http://127.0.0.1:9/x")
        });
    }
}

#[test]
fn every_key_of_plivo_arrives() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("plivo.token");
    std::fs::write(&key, "t0ken\n").unwrap();
    std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let gateway = |voice: &str, keys: &str| {
        let text = format!(
            "[delivery]\ncountries=['US']\nsms=['p']\nvoice=[{voice}]\n[gateway.p]\n\
             kind='plivo'\nauth-id='MAJHUDTEYWLSIUYTDBCZ'\nauth-token-file='plivo.token'\n{keys}"
        );
        let config = check(&folder.path().join("otpd.toml"), &text, None, "web1").unwrap();
        assert_eq!(config.warnings, Vec::<String>::new(), "{keys}");
        match config.gateways.as_slice() {
            [(_, Settings::Plivo(plivo))] => plivo.clone(),
            other => panic!("{other:?}"),
        }
    };
    for from in ["+13125550123", "12345", "My Bank 1"] {
        let plivo = gateway("", &format!("from='{from}'"));
        assert_eq!((plivo.from.as_deref(), plivo.phlo_id), (Some(from), None));
        assert_eq!(plivo.base_url, "https://api.plivo.com");
        assert_eq!(plivo.auth_id, "MAJHUDTEYWLSIUYTDBCZ");
        assert_eq!(plivo.auth_token.secret.as_str(), "t0ken");
        assert_eq!(plivo.auth_token.file, "plivo.token");
    }
    // A flow may call, and have a number of its own.
    let flow = gateway("'p'", "phlo-id='16fd2706-8baf-433b-82eb-8c7fada847da'");
    assert_eq!((flow.from, flow.phlo_id.as_deref()), {
        (None, Some("16fd2706-8baf-433b-82eb-8c7fada847da"))
    });
    assert_eq!(flow.base_url, "https://phlorunner.plivo.com");
    let near = gateway("", "from='12345'\nbase-url='http://127.0.0.1:9/x'");
    assert_eq!(near.base_url, "http://127.0.0.1:9/x");
}
