//! What a file's keys become.

use std::{path::PathBuf, time::Duration};

use super::{check, check_text, with};
use crate::{
    config::{Format, Http, Level, Listening, Log, Public, SMALLEST, Server, Store},
    domain::{
        budget::{Conversion, Limits},
        challenge::CodeRules,
        policy::Unenrolled,
    },
    gateway::{GatewayName, settings::Settings},
};

const EVERYTHING: &str = r#"
[server]
socket = "/run/x.sock"
admin-group = "wheel"
key-file = "/srv/key"
[store]
url = "sqlite:/srv/db"
[policy]
unenrolled = "ignore"
exempt-users = ["root", "DOM\\a b"]
exempt-groups = ["ops"]
[code]
digits = 8
life-seconds = 60
tries = 5
resends = 0
[message]
text = "{code} {ref}"
host = "Büro"
[limits]
unanswered-per-hour = 1
unanswered-per-day = 2
messages-per-hour = 3
messages-per-day = 4
all-unanswered-per-day = 5
max-messages-per-day = 6
conversion = "block"
shared-sources = ["10.1.2.3/8", "2001:db8::1"]
[delivery]
countries = ["US", "AT"]
default-country = "AT"
sms = ["b", "a", "c"]
voice = ["a"]
accept-timeout-seconds = 6
allow-file-gateway = true
[gateway.a]
kind = "http"
url = "http://127.0.0.1:8080/send?x=1"
method = "PUT"
headers = { Content-Type = "application/x-www-form-urlencoded", X-A = "b" }
body = "to={to}&text={text}&by={channel}"
success-status = [200, 202]
id-pointer = "/a~1b/0"
[gateway.b]
kind = "file"
path = "/tmp/messages"
[gateway.c]
kind = "command"
program = ["/bin/send sms", "{to}", "{to}", "--by={channel}", ""]
timeout-seconds = 2
[log]
level = "debug"
format = "text"
audit-days = 30
"#;

#[test]
fn every_key_arrives() {
    let config = check_text(EVERYTHING).unwrap();
    let server = Server {
        socket: PathBuf::from("/run/x.sock"),
        admin_group: "wheel".to_owned(),
        key_file: PathBuf::from("/srv/key"),
    };
    assert_eq!(config.server, server);
    assert_eq!(config.store, Store::Sqlite(PathBuf::from("/srv/db")));
    assert_eq!(config.policy.unenrolled, Unenrolled::Ignore);
    assert!(config.policy.exempt_users.iter().eq(["DOM\\a b", "root"]));
    assert!(config.policy.exempt_groups.iter().eq(["ops"]));
    let code = CodeRules { digits: 8, life: Duration::from_mins(1), tries: 5, resends: 0 };
    assert_eq!(config.code, code);
    let text = config.message.template.render("1", "2", &config.message.host, "sshd");
    assert_eq!((text.as_str(), config.message.host.as_str()), ("1 2", "Büro"));
    let limits = Limits {
        unanswered_per_hour: 1,
        unanswered_per_day: 2,
        messages_per_hour: 3,
        messages_per_day: 4,
        all_unanswered_per_day: Some(5),
        max_messages_per_day: Some(6),
        conversion: Conversion::Block,
    };
    let shared = config.shared_sources.0.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(shared, ["10.0.0.0/8", "2001:db8::1/128"]);
    assert_eq!(config.limits, limits);
    let delivery = &config.delivery;
    assert_eq!(
        format!("{:?} {:?}", delivery.countries, delivery.default_country),
        "{AT, US} Some(AT)"
    );
    let names = |names: &[&str]| -> Vec<GatewayName> {
        names.iter().map(|name| GatewayName((*name).to_owned())).collect()
    };
    assert_eq!(delivery.sms, names(&["b", "a", "c"]));
    assert_eq!(delivery.voice, names(&["a"]));
    assert_eq!(delivery.accept_timeout, Duration::from_secs(6));
    assert!(delivery.allow_file_gateway);
    let [(a, Settings::Http(http)), (b, Settings::File(file)), (_, Settings::Command(command))] =
        config.gateways.as_slice()
    else {
        panic!("{:?}", config.gateways)
    };
    assert_eq!(command.program, ["/bin/send sms", "{to}", "{to}", "--by={channel}", ""]);
    assert_eq!(command.timeout, Duration::from_secs(2));
    assert_eq!([a.clone(), b.clone()], names(&["a", "b"])[..]);
    assert_eq!(http.url, "http://127.0.0.1:8080/send?x=1");
    assert_eq!(http.method, "PUT");
    assert_eq!(http.headers[1].0, "X-A");
    assert_eq!(http.headers[1].1.as_str(), "b");
    assert_eq!(http.body, "to={to}&text={text}&by={channel}");
    assert_eq!(http.success_status, [200, 202]);
    assert_eq!(http.id_pointer.as_deref(), Some("/a~1b/0"));
    assert_eq!(http.ca_file, None);
    assert_eq!(file.path, PathBuf::from("/tmp/messages"));
    assert_eq!(config.log, Log { level: Level::Debug, format: Format::Text, audit_days: 30 });
    assert_eq!(
        config.warnings,
        [
            "/etc/otpd/otpd.toml:9: `policy.unenrolled` is \"ignore\": whoever has no proved \
             number logs in without a code",
            "/etc/otpd/otpd.toml:44: `gateway.b` writes codes to a file instead of sending them: \
             for demonstrations only",
        ]
    );
}

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
    const HTTP: &str = "[http]\nlisten='127.0.0.1:8643'\npublic-url='https://otp.example.com'\n";
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
            "[gateway.t]\nkind='signalwire'\nproject-id='{PROJECT}'\napi-token-file='a.key'\n{keys}"
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
            assert!(settings.signing_key.is_none());
        }
    }
    let settings = signalwire("space='a'\nfrom='12345'\nsigning-key-file='a.key'");
    let key = settings.signing_key.as_ref().unwrap();
    assert_eq!((key.secret.as_str(), key.file.as_str()), ("KEY0189A", "a.key"));
    assert_eq!(settings.api_token.secret.as_str(), "KEY0189A");
    assert!(!format!("{settings:?}").contains("KEY0189A"));
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

#[test]
fn what_is_odd_is_a_warning() {
    let cases = [
        (
            "a gateway that no route names",
            "[gateway.spare]\nkind='http'\nurl='https://a/'\nbody='{to}{text}'",
            "/etc/otpd/otpd.toml:1: `gateway.spare` is in neither delivery.sms nor \
             delivery.voice: it is never used",
        ),
        (
            "resends that the limits never allow",
            "[limits]\nunanswered-per-hour = 2",
            "/etc/otpd/otpd.toml:2: `limits.unanswered-per-hour` is 2: a login can never have the \
             2 resends of code.resends; raise it or lower code.resends",
        ),
    ];
    for (name, tables, expected) in cases {
        assert_eq!(check_text(&with(tables)).unwrap().warnings, [expected], "{name}");
    }
}

#[test]
fn http_is_off_unless_its_table_is_there() {
    let public = |text: &str| {
        let config = check_text(&with(text)).unwrap();
        (config.http, config.warnings.len())
    };
    assert_eq!(public(""), (None, 0));
    let loopback = "127.0.0.1:9643".parse().unwrap();
    assert_eq!(public("[http]"), (Some(Http { public: None, admin_listen: loopback }), 0));
    let all = "[http]\nlisten='[::]:8643'\npublic-url='https://otp.example.com:443/'\n\
               trusted-proxies=['192.0.2.7', '10.1.2.3/8']\nadmin-listen='192.0.2.1:9'";
    let told = Public {
        listen: "[::]:8643".parse().unwrap(),
        url: "https://otp.example.com:443".to_owned(),
        trusted_proxies: vec!["192.0.2.7/32".parse().unwrap(), "10.0.0.0/8".parse().unwrap()],
    };
    let admin_listen = "192.0.2.1:9".parse().unwrap();
    let http = Http { public: Some(told), admin_listen };
    assert_eq!(public(all), (Some(http), 2), "both listen beyond this machine");
}

#[test]
fn addresses_that_vendors_are_told_stay_as_they_are_written() {
    for url in [
        "https://otp.example.com",
        "https://otp.example.com:443",
        "https://otp.example.com:8443",
        "https://xn--bcher-kva.example",
        "https://192.0.2.1",
        "https://[2001:db8::1]:8443",
        "http://127.0.0.1:80",
        "http://[::1]:8080",
    ] {
        for written in [url.to_owned(), format!("{url}/")] {
            let text = format!("[http]\nlisten='127.0.0.1:8643'\npublic-url='{written}'");
            let http = check_text(&with(&text)).unwrap().http.unwrap();
            assert_eq!(http.public.unwrap().url, url, "{written}");
        }
    }
}

#[test]
fn two_listeners_that_can_both_be_bound_are_fine() {
    for (listen, admin) in [
        ("127.0.0.1:9000", "127.0.0.1:9001"),
        ("127.0.0.1:9000", "127.0.0.2:9000"),
        ("127.0.0.1:9000", "[::1]:9000"),
        ("0.0.0.0:9000", "[::1]:9000"),
        ("[::]:9000", "127.0.0.1:9001"),
    ] {
        let text = format!(
            "[http]\nlisten='{listen}'\npublic-url='https://a.example'\nadmin-listen='{admin}'"
        );
        assert!(check_text(&with(&text)).is_ok(), "{listen} {admin}");
    }
}

#[test]
fn while_nobody_listens_only_calls_that_need_nobody_are_offered() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("k");
    std::fs::write(&key, "KEY1\n").unwrap();
    std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let kinds = [
        (
            "w",
            "kind='twilio'\naccount-sid='AC0123456789abcdef0123456789abcdef'\n\
               auth-token-file='k'\nfrom='+13125550123'",
        ),
        ("c", "kind='command'\nprogram=['/bin/call', '{to}', '{channel}']"),
        (
            "p",
            "kind='plivo'\nauth-id='MA0123456789ABCDEFGH'\nauth-token-file='k'\n\
               from='+13125550123'",
        ),
    ];
    let gateways = kinds.map(|(name, keys)| format!("[gateway.{name}]\n{keys}\n")).concat();
    let config = |key_press: &str| {
        let text = format!(
            "[http]\nlisten='127.0.0.1:8643'\npublic-url='https://otp.example.com'\n\
             [delivery]\ncountries=['US']\nsms=['c']\nvoice=['w', 'c', 'p']\n{key_press}\n{gateways}"
        );
        super::check(&folder.path().join("otpd.toml"), &text, None, "web1").unwrap()
    };
    let asks = config("");
    let listening = Listening::wanted(asks.http.as_ref());
    let silent = Listening { public: None, ..listening };
    let said = config("voice-without-key-press=true");
    for (name, config, bound, expected) in [
        ("listening", &asks, listening, &["w", "c", "p"][..]),
        ("not listening", &asks, silent, &["c"]),
        ("not listening, words to whoever answers", &said, silent, &["w", "c"]),
    ] {
        let callers: Vec<_> = config.callers(bound).into_iter().map(|name| name.0).collect();
        assert_eq!(callers, expected, "{name}");
        assert_eq!(config.public(bound).is_some(), bound == listening, "{name}");
    }
    let off = check_text(SMALLEST).unwrap();
    assert_eq!(off.callers(Listening::default()), off.delivery.voice);
}
