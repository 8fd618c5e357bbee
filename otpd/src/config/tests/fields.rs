//! What a file's keys become.

mod vendors;

use std::{path::PathBuf, time::Duration};

use super::{check_text, with};
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
