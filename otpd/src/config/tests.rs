//! Whole files: what loads, and everything that is said about what does not.

mod errors;
mod fields;
mod man;
mod secrets;

use std::path::Path;

use proptest::prelude::*;

use super::{Config, ConfigErrors, Listening, SMALLEST, check, load};

const FILE: &str = "/etc/otpd/otpd.toml";

/// Checks a text as if it were the installed configuration of the machine `web1`.
fn check_text(text: &str) -> Result<Config, ConfigErrors> {
    check(Path::new(FILE), text, None, "web1")
}

/// What is wrong with a text, a line each, without the file's name.
fn complaints(text: &str) -> Vec<String> {
    let errors = check_text(text).unwrap_err();
    errors.iter().map(|error| error.to_string().replacen(FILE, "", 1)).collect()
}

/// What [`check_text`] says of [`SMALLEST`] after more tables.
fn with(tables: &str) -> String {
    format!("{tables}\n{SMALLEST}")
}

#[test]
fn the_smallest_configuration_works() {
    let config = check_text(SMALLEST).unwrap();
    assert_eq!(config.warnings, Vec::<String>::new());
}

/// The shipped file says that lines with `#` and a key show defaults or examples.
fn uncommented(shipped: &str) -> String {
    let key = |line: &str| {
        let line = line.strip_prefix('#')?;
        let begins = line.starts_with(|letter: char| letter.is_ascii_lowercase() || letter == '[');
        begins.then(|| line.to_owned())
    };
    let lines = shipped.lines().map(|line| key(line).unwrap_or_else(|| line.to_owned()));
    lines.collect::<Vec<_>>().join("\n")
}

const SHIPPED: &str = include_str!("../../../packaging/conf/otpd.toml");

#[test]
fn the_shipped_configuration_loads_once_delivery_is_filled_in() {
    let complaints = complaints(SHIPPED);
    let keys = ["`delivery.countries` is missing", "`delivery.sms` is missing"];
    assert_eq!(complaints.len(), keys.len(), "{complaints:?}");
    assert!(keys.iter().all(|key| complaints.iter().any(|line| line.contains(key))));

    let filled = SHIPPED
        .replace("#countries =", "countries =")
        .replace("#sms =", "sms =")
        .replace("#[gateway.site]", "[gateway.site]")
        .replace("#kind = \"http\"", "kind = \"http\"")
        .replace("#url = \"https", "url = \"https")
        .replace("#body =", "body =");
    let config = check_text(&filled).unwrap();
    assert_eq!(config.warnings, Vec::<String>::new());
}

#[test]
fn the_shipped_configuration_shows_the_defaults_and_every_key() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("site.key");
    std::fs::write(&key, "Bearer-x").unwrap();
    std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    for name in [
        "telnyx.key",
        "flowroute.key",
        "plivo.token",
        "twilio.token",
        "signalwire.token",
        "signalwire.key",
    ] {
        std::fs::copy(&key, folder.path().join(name)).unwrap();
    }
    let text = uncommented(SHIPPED)
        .replace("ca-file =", "#ca-file =")
        // Without them, the limits grow with the site, or there is none.
        .replace("all-unanswered-per-day =", "#all-unanswered-per-day =")
        .replace("max-messages-per-day =", "#max-messages-per-day =")
        .replace("allow-file-gateway = false", "allow-file-gateway = true");
    let shown = check(&folder.path().join("otpd.toml"), &text, None, "web1").unwrap();
    let default = check_text(SMALLEST).unwrap();
    assert_eq!(shown.server, default.server);
    assert_eq!(shown.store, default.store);
    assert_eq!(shown.policy, default.policy);
    assert_eq!(shown.code, default.code);
    assert_eq!(shown.message, default.message);
    assert_eq!(shown.limits, default.limits);
    assert_eq!(shown.log, default.log);
    assert_eq!(shown.delivery.accept_timeout, default.delivery.accept_timeout);
    assert_eq!(shown.delivery.voice, default.delivery.voice);
    let key_press = |config: &Config| config.delivery.voice_without_key_press;
    assert_eq!(key_press(&shown), key_press(&default));

    // The error of an unknown key lists those that there are.
    let strange = "strange = 1\n";
    let tables = ["server", "store", "policy", "code", "message", "limits", "log", "http"];
    let mut text = tables.map(|table| format!("[{table}]\n{strange}")).concat();
    text += &SMALLEST.replace("[delivery]", "[delivery]\nstrange = 1");
    text += strange;
    text += "[gateway.demo]\nkind = 'file'\nstrange = 1\n";
    text += "[gateway.t]\nkind = 'telnyx'\nstrange = 1\n";
    text += "[gateway.w]\nkind = 'twilio'\nstrange = 1\n";
    text += "[gateway.s]\nkind = 'signalwire'\nstrange = 1\n";
    text += "[gateway.f]\nkind = 'flowroute'\nstrange = 1\n";
    text += "[gateway.p]\nkind = 'plivo'\nstrange = 1\n";
    text += "[gateway.c]\nkind = 'command'\nstrange = 1";
    for error in &check_text(&text).unwrap_err() {
        if error.key.as_ref().is_some_and(|key| key.ends_with(".strange")) {
            for key in error.expected.replace(" or ", ", ").split(", ") {
                assert!(SHIPPED.contains(&format!("#{key} = ")), "{key} of {error}");
            }
        }
    }
}

#[test]
fn what_a_reload_cannot_take_over_is_named() {
    let old = check_text(SMALLEST).unwrap();
    let cases = [
        ("nothing", String::new(), vec![]),
        ("level", with("[log]\nlevel = 'debug'"), vec![]),
        ("format", with("[log]\nformat = 'json'"), vec!["log.format"]),
        ("store", with("[store]\nurl = 'sqlite:/x'"), vec!["store"]),
        ("server", with("[server]\nsocket = '/x/y'"), vec!["server"]),
        ("http", with("[http]"), vec!["http.listen"]),
    ];
    for (name, text, expected) in cases {
        let newer = check_text(&with(&text.replace(SMALLEST, ""))).unwrap();
        let bound = Listening::default();
        assert_eq!(old.needs_restart(&newer, bound), expected, "{name}");
        // What was read in between does not matter, but where it listens.
        let http = vec!["http.listen"];
        let again: Vec<_> = newer.needs_restart(&newer, bound);
        assert_eq!(again == http, expected == http, "{name}, read again");
    }
    let listens = check_text(&with("[http]")).unwrap();
    let bound = Listening::wanted(listens.http.as_ref());
    assert_eq!(listens.needs_restart(&listens, bound), Vec::<&str>::new());
    assert_eq!(listens.needs_restart(&old, bound), ["http.listen"], "removed, and still there");
}

/// TOML's own pieces, so that much of it gets past the parser.
fn toml_like() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("[delivery]\n".to_owned()),
        Just("[gateway.site]\n".to_owned()),
        Just("[message]\n".to_owned()),
        Just("[code]\n".to_owned()),
        Just("kind = 'http'\n".to_owned()),
        (
            "[a-z-]{1,8}",
            "[0-9]{1,30}|-1|0x1f|1e9|nan|true|'.{0,5}'|\\[\\]|\\[1\\]|\\{a=1\\}|1979-05-27"
        )
            .prop_map(|(key, value)| format!("{key} = {value}\n")),
        (
            "(text|host|url|countries|sms|headers|body|digits|life-seconds|success-status|ca-file)",
            "'[^'\n]{0,20}'|\\['[^'\n]{0,9}'\\]|[0-9]{1,20}|\\{ A = '[^'\n]{0,9}' \\}"
        )
            .prop_map(|(key, value)| format!("{key} = {value}\n")),
        "\\PC{0,12}",
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn no_text_panics(text in "(?s).{0,200}") {
        let _any = check_text(&text);
    }

    #[test]
    fn no_toml_panics_and_every_error_is_one_line(text in toml_like()) {
        if let Err(errors) = check_text(&text) {
            for error in &errors {
                prop_assert!(!error.to_string().contains(char::is_control), "{:?}", error);
            }
        }
    }
}

#[test]
fn a_file_that_cannot_be_used_says_how_to_mend_it() {
    use std::os::unix::fs::PermissionsExt;

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("otpd.toml");
    let shown = path.display();
    let load = || load(&path, None, "web1").map_err(|errors| errors.to_string());
    assert_eq!(
        load().unwrap_err(),
        format!(
            "{shown}: cannot be read: there is no such file, expected a readable file; write one; \
             this is the smallest that works:\n\n{SMALLEST}"
        )
    );
    std::fs::write(&path, SMALLEST).unwrap();
    let set_mode = |mode| {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    for mode in [0o400, 0o600, 0o640, 0o644] {
        set_mode(mode);
        load().unwrap();
    }
    for mode in [0o660, 0o642, 0o666] {
        set_mode(mode);
        assert_eq!(
            load().unwrap_err(),
            format!(
                "{shown}: has the mode {mode:04o}, so that others can change it, expected a file \
                 that its owner alone can write; run: chmod go-w {shown}"
            )
        );
    }
    set_mode(0o600);
    std::fs::write(&path, vec![b'#'; (1 << 20) + 1]).unwrap();
    assert_eq!(
        load().unwrap_err(),
        format!(
            "{shown}: is larger than 1048576 bytes, expected a smaller file; check that it is the \
             right one"
        )
    );
    std::fs::write(&path, b"# caf\xe9").unwrap();
    assert!(load().unwrap_err().contains("is not UTF-8"));
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    assert!(load().unwrap_err().contains("is no regular file"));
    std::fs::remove_dir(&path).unwrap();
    let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
    assert!(made.success());
    set_mode(0o600);
    assert!(load().unwrap_err().contains("is no regular file"), "and does not wait for a writer");
}
