//! The manual page `otpd.toml(5)`: made from the configuration that is shipped, which explains each
//! key; kept in `packaging/man`, and compared here.

use std::{fs, path::Path};

use super::{SHIPPED, check_text};
use crate::config::SMALLEST;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../packaging/man/otpd.toml.5");

const BEGIN: &str = "\
.TH otpd.toml 5 \"\" \"otpd\" \"File Formats\"
.SH NAME
otpd.toml \\- configuration of otpd
.SH DESCRIPTION
.I /etc/otpd/otpd.toml
is read by
.BR otpd (8)
when it starts and when it is reloaded. It is TOML: tables, and keys with values. Units are in the names of
the keys; a key that is not known is an error.
.PP
The file that is installed says the same as this page. What is shown here are defaults, unless the text
says otherwise.
";

const END: &str = "\
.SH FILES
.I /etc/otpd/otpd.toml
.SH SEE ALSO
.BR otpctl (1),
.BR otpd (8),
.BR pam_otp (8)
";

/// The shipped file as a page: its comments as text, its tables as sections, its keys as they are
/// written.
fn page() -> String {
    let mut page = BEGIN.to_owned();
    // The first line says where this page is.
    let shipped = SHIPPED.split_once('\n').map_or(SHIPPED, |(_, rest)| rest);
    let lines = shipped.lines().map(|line| if line == "#" { "" } else { line });
    for paragraph in lines.collect::<Vec<_>>().split(|line| line.is_empty()) {
        let table = |line: &&str| {
            let line = line.strip_prefix('#').unwrap_or(line);
            line.strip_prefix('[')?.strip_suffix(']').map(str::to_owned)
        };
        if let Some(table) = paragraph.iter().find_map(table) {
            page += &[".SS [", &escaped(&table), "]\n"].concat();
        } else if !paragraph.is_empty() {
            page += ".PP\n";
        }
        let mut literal = false;
        for line in paragraph.iter().filter(|line| table(line).is_none()) {
            // What is set in stands as it is: tables of words and their meaning.
            let text = line.strip_prefix("# ").filter(|text| !text.starts_with(' '));
            if literal == text.is_some() {
                page += if literal { ".EE\n.in\n.PP\n" } else { ".in +4n\n.EX\n" };
                literal = !literal;
            }
            let key = line.strip_prefix("# ").or_else(|| line.strip_prefix('#')).unwrap_or(line);
            page += &escaped(text.unwrap_or(key));
            page += "\n";
        }
        if literal {
            page += ".EE\n.in\n";
        }
    }
    page + END
}

fn escaped(line: &str) -> String {
    let line = line.replace('\\', "\\e").replace('-', "\\-").replace('\'', "\\(aq");
    if line.starts_with('.') { format!("\\&{line}") } else { line }
}

#[test]
fn the_page_in_the_package_is_made_from_the_shipped_configuration() {
    let page = page();
    let fresh = fs::read_to_string(PAGE).is_ok_and(|kept| kept == page);
    if !fresh {
        // Written anew, so that all that is left to do is to look at it and commit it.
        fs::write(Path::new(PAGE), &page).expect("the page is written");
    }
    assert!(fresh, "otpd.toml.5 was stale and is written anew; commit it");
}

#[test]
fn every_key_has_its_place_on_the_page() {
    // The error of an unknown key lists those that there are.
    let tables = ["server", "store", "policy", "code", "message", "limits", "log", "http"];
    let mut text = tables.map(|table| format!("[{table}]\nstrange = 1\n")).concat();
    text += &SMALLEST.replace("[delivery]", "[delivery]\nstrange = 1");
    let kinds = ["telnyx", "twilio", "signalwire", "flowroute", "plivo", "http", "command", "file"];
    for kind in kinds {
        text += &["\n[gateway.x-", kind, "]\nkind = '", kind, "'\nstrange = 1\n"].concat();
    }
    let page = page();
    let mut lists = 0;
    for error in &check_text(&text).unwrap_err() {
        if error.key.as_ref().is_some_and(|key| key.ends_with(".strange")) {
            lists += 1;
            for key in error.expected.replace(" or ", ", ").split(", ") {
                let written = format!("\n{} = ", escaped(key));
                assert!(page.contains(&written), "{key} of {error}");
            }
        }
    }
    assert_eq!(lists, tables.len() + 1 + kinds.len());
}
