//! Configurations that work, in words that tests put others in the place of.

use std::path::Path;

use super::ADMIN_GROUP;
use crate::phone::Phone;

/// A table for where codes are looked for in texts: chance does not find these, as it finds one of six
/// digits among times, ids and figures.
pub const LONG_CODES: &str = "\n[code]\ndigits = 8\n";

/// How long a call waits for the vendor: the most there may be, so that a prompt says that the code was
/// sent however busy the machine is.
pub const PATIENT: &str = "accept-timeout-seconds = 6";
/// The same where the vendor says nothing, and the prompt says so.
const HASTY: &str = "accept-timeout-seconds = 1";

/// These settings where the vendor says nothing.
#[must_use]
pub fn hasty(settings: &str) -> String {
    assert!(settings.contains(PATIENT), "{settings}");
    settings.replace(PATIENT, HASTY)
}

pub(super) fn with_phone(folder: &Path, phone: &Phone) -> String {
    let url = phone.url();
    basics(folder)
        + &format!(
            r#"
[delivery]
countries = ["US"]
sms = ["phone"]
{PATIENT}

[gateway.phone]
kind = "http"
url = "{url}"
headers = {{ content-type = "application/json" }}
body = '{{"to":"{{to}}","text":"{{text}}"}}'
id-pointer = "/id"
"#
        )
}

pub(super) fn basics(folder: &Path) -> String {
    let folder = folder.display();
    format!(
        r#"[server]
socket = "{folder}/otpd.sock"
admin-group = "{ADMIN_GROUP}"
key-file = "{folder}/otpd.key"

[store]
url = "sqlite:{folder}/otpd.db"

[limits]
unanswered-per-hour = 60
unanswered-per-day = 200
messages-per-hour = 600
messages-per-day = 2000

[message]
host = "box"

[log]
format = "text"
"#
    )
}
