//! What is said about each key and rule. The cases are in `tables.txt`, `delivery.txt` and
//! `gateways.txt`, in whole lines: they are the interface that an administrator has.

use std::os::unix::fs::PermissionsExt;

use super::{SMALLEST, check, complaints, with};

/// Name, text and expected complaint of each case.
fn cases(file: &str) -> impl Iterator<Item = (&str, &str, &str)> {
    file.split("\n== ").skip(1).map(|case| {
        let (name, case) = case.split_once('\n').unwrap();
        let (text, expected) = case.split_once("->\n").unwrap();
        (name, text, expected.trim_end())
    })
}

#[test]
fn tables_of_their_own() {
    for (name, text, expected) in cases(include_str!("tables.txt")) {
        assert_eq!(complaints(&with(text)), [expected], "{name}");
    }
}

#[test]
fn delivery_and_gateways() {
    for (name, text, expected) in cases(include_str!("delivery.txt")) {
        let (replaced, text) = text.strip_prefix("replace ").unwrap().split_once('\n').unwrap();
        let mut lines: Vec<&str> = SMALLEST.lines().collect();
        let line = lines.iter_mut().find(|line| line.starts_with(replaced)).unwrap();
        *line = text.trim_end();
        assert_eq!(complaints(&lines.join("\n")), [expected], "{name}");
    }
}

#[test]
fn gateways_by_kind() {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [("key.txt", "KEY1\n"), ("two.txt", "KEY1 KEY2\n")] {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
    }
    let file = folder.path().join("otpd.toml");
    let shown = file.display().to_string();
    for (name, keys, expected) in cases(include_str!("gateways.txt")) {
        let voice = if name.ends_with(", both") { "voice=['site']\n" } else { "" };
        let delivery = format!("[delivery]\ncountries=['US']\nsms=['site']\n{voice}");
        let text = format!("[gateway.site]\n{keys}{delivery}");
        let lines = |keys: &str| keys.lines().map(str::to_owned).collect::<Vec<_>>();
        let errors = check(&file, &text, None, "web1").unwrap_err();
        let said: Vec<_> = errors.iter().map(|e| e.to_string().replacen(&shown, "", 1)).collect();
        assert_eq!(said, lines(expected), "{name}");
    }
}

#[test]
fn file_gateways_need_leave_and_names_are_plain() {
    let text =
        "[delivery]\ncountries=['US']\nsms=['De_mo']\n[gateway.De_mo]\nkind='file'\npath='x'";
    assert_eq!(
        complaints(text),
        [
            ":4: `gateway.De_mo` has the name \"De_mo\", expected 1 to 32 lower-case letters, \
             digits and dashes; rename it, here and in [delivery]",
            ":5: `gateway.De_mo.kind` is \"file\", which writes codes to a file instead of sending \
             them, expected telnyx, flowroute, plivo, twilio, signalwire, http or command; use a gateway that sends, or set delivery.allow-file-gateway = \
             true for a demonstration",
            ":6: `gateway.De_mo.path` is \"x\", expected an absolute path; write the whole path",
        ]
    );
}

#[test]
fn the_parser_s_errors_have_lines_and_come_together() {
    assert_eq!(
        complaints("a = \nb == 3\n[x\n"),
        [
            ":1: cannot be read: string values must be quoted, expected literal string; correct \
             this line; the rest was not checked yet",
            ":2: cannot be read: extra `=`, expected nothing; correct this line; the rest was not \
             checked yet",
            ":3: cannot be read: unclosed table, expected `]`; correct this line; the rest was not \
             checked yet",
        ]
    );
    assert_eq!(
        complaints("[code]\ntries = 3\ntries = 4"),
        [":3: cannot be read: duplicate key, expected TOML; correct this line; the rest was not \
          checked yet"]
    );
}

#[test]
fn everything_is_said_at_once_in_the_order_of_the_file() {
    let text = "\
        [server]\nsocket = 'x'\nsoket = 'y'\n\
        [code]\ndigits = 9\ntries = '3'\n\
        [message]\ntext = '{code}'\n\
        [delivery]\nsms = ['b']\n\
        [gateway.a]\nkind = 'http'\nurl = 'http://a/'\n\
        [gateway.c]\nkind = 'nexmo'\nauth-id = 'x'\n\
        [wrong]\n";
    let keys: Vec<String> = complaints(text)
        .iter()
        .map(|line| line.split('`').take(2).collect::<Vec<_>>().concat())
        .collect();
    assert_eq!(
        keys,
        [
            ": delivery.countries",
            ": gateway.a.body",
            ":2: server.socket",
            ":3: server.soket",
            ":5: code.digits",
            ":6: code.tries",
            ":8: message.text",
            ":10: delivery.sms",
            ":13: gateway.a.url",
            ":15: gateway.c.kind",
            ":17: wrong",
        ]
    );
}
