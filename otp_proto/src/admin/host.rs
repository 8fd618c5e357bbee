//! The daemon itself: its gateways, its clock, how it is.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Channel, DeliveryStatus};
use crate::{Secret, shell::word};

/// Whether a gateway is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GatewayState {
    /// In use.
    Ready,
    /// Skipped for a while after failures.
    Resting,
    /// A message is on its way to find out whether it works again.
    Probing,
}

/// One configured gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gateway {
    /// Its name in the configuration.
    pub name: String,
    /// Its kind.
    pub kind: String,
    /// Whether it is used.
    pub state: GatewayState,
    /// Why its last message failed.
    #[serde(default)]
    pub reason: Option<String>,
}

/// Sends a message without a code.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TestMessage {
    /// E.164, or national where `delivery.default-country` is set.
    pub phone: Secret,
    /// The one gateway that is to carry it; null: as the messages of logins.
    pub gateway: Option<String>,
    /// Call instead of texting.
    pub voice: bool,
}

/// Reply to [`TestMessage`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tested {
    /// How far it is.
    pub status: DeliveryStatus,
    /// How it travels.
    pub channel: Channel,
    /// The reference that stands in the message.
    pub reference: String,
    /// The gateway that took it, or may have.
    #[serde(default)]
    pub gateway: Option<String>,
    /// The vendor's name for it.
    #[serde(default)]
    pub vendor_id: Option<String>,
    /// What went wrong, at whichever gateway.
    #[serde(default)]
    pub reason: Option<String>,
    /// What the vendor says became of it in the ten seconds after it took it; null: it does not tell,
    /// or took nothing.
    #[serde(default)]
    pub arrival: Option<Arrival>,
    /// Why it did not arrive.
    #[serde(default)]
    pub arrival_reason: Option<String>,
}

/// What became of a message that a vendor took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Arrival {
    /// The carrier says that it arrived.
    Delivered,
    /// The carrier will not say.
    Unconfirmed,
    /// It did not arrive.
    Undelivered,
    /// Nobody knows yet.
    UnderWay,
}

/// Asks how the daemon is.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Status {}

/// Reply to [`Status`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusReply {
    /// The daemon's version.
    pub version: String,
    /// The host's name as messages show it.
    pub host: String,
    /// The kind of store.
    pub store: String,
    /// Enrollments not proved yet.
    pub pending: u32,
    /// Enrollments in use.
    pub active: u32,
    /// Enrollments switched off.
    pub disabled: u32,
    /// Logins that wait for a code.
    pub live_challenges: u32,
    /// The gateways, in the order of the configuration.
    pub gateways: Vec<Gateway>,
    /// What is wrong; empty when all is well.
    pub problems: Vec<String>,
}

/// Every daemon that shares the store; called with `more`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hosts {}

/// How a daemon stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HostState {
    /// It is the one that was asked.
    Here,
    /// It runs.
    Running,
    /// It was not heard of for a minute, and did not say that it stops.
    Silent,
    /// It was stopped.
    Stopped,
}

/// A daemon, as it told of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// Its machine's name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// How it stands.
    pub state: HostState,
    /// When it began, Unix milliseconds.
    pub started_at: i64,
    /// When it was last heard of, Unix milliseconds.
    pub seen_at: i64,
    /// Its gateways, at most sixteen.
    pub gateways: Vec<Gateway>,
    /// The id of the master key that it works with.
    pub key: String,
    /// That of the one that it holds for later.
    #[serde(default)]
    pub next_key: Option<String>,
}

/// Reply to [`Hosts`]: one daemon, or null after the last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostListed {
    /// The daemon.
    #[serde(default)]
    pub host: Option<Host>,
}

/// Puts the next master key in the place of the one in use. For root alone.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RotateKey {}

/// What a problem begins with that says that the daemon works with the next key, which has yet to get the
/// place of the one from before.
pub const KEY_ROTATED: &str = "the key was rotated";
/// What stands before the command that such a problem ends with.
pub const TO_FINISH: &str = "on every host: ";

/// What ends a rotation on a host whose key is this file, as root. It is told until it is done, and done by
/// people: once more, or after another rotation, it overwrites no key, and at no moment there is none. Before
/// the rotation it changes nothing: a daemon that was just started knows best which key the database needs.
#[must_use]
pub fn finish_rotation(key_file: &Path) -> String {
    let folder = key_file.parent().unwrap_or(key_file).to_string_lossy();
    let name = key_file.file_name().unwrap_or_default().to_string_lossy();
    let [key, next, old] = ["", ".next", ".old"].map(|end| word(&format!("{name}{end}")));
    format!(
        "cd {folder} && systemctl restart otpd && if [ -e {next} ]; then otpctl key is-rotated && \
         ln --backup=numbered {key} {old} && mv -f {next} {key} && systemctl restart otpd; fi",
        folder = word(&folder)
    )
}

/// Reply to [`RotateKey`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRotated {
    /// The id of the key in use from now on.
    pub key: String,
    /// Numbers that were encrypted anew.
    pub numbers: u32,
    /// Hosts that do not run and are not known to hold the key; the first ones.
    pub without: Vec<String>,
    /// The command that is left to be run on every host, with the paths of this one.
    #[serde(default)]
    pub finish: Option<String>,
}

/// Says that the wall clock, which is in doubt, is right.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfirmClock {}

/// Asks whom the site's rules exempt, and which gateways messages go by.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {}

/// What happens to accounts without a proved number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unenrolled {
    /// They cannot log in.
    Deny,
    /// They need no code.
    Ignore,
}

/// Reply to [`Policy`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyReply {
    /// What happens to accounts without a proved number.
    pub unenrolled: Unenrolled,
    /// Accounts that need no code.
    pub exempt_users: Vec<String>,
    /// Groups whose members need no code.
    pub exempt_groups: Vec<String>,
    /// Gateways for text messages, in order.
    pub sms: Vec<String>,
    /// Gateways for calls, in order.
    pub voice: Vec<String>,
    /// There are more names than a reply holds; the first ones are here.
    #[serde(default)]
    pub truncated: bool,
}

/// Asks the vendors whether they know the gateways' credentials. Nothing is sent.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckGateways {}

/// Whether a vendor knows the credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Credentials {
    /// It does.
    Valid,
    /// It refuses them.
    Refused,
    /// It could not be asked, or gave no clear answer.
    Unreachable,
    /// Gateways of this kind cannot be asked.
    Untold,
}

/// One gateway, as its vendor knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GatewayChecked {
    /// Its name in the configuration.
    pub name: String,
    /// Whether the vendor knows the credentials.
    pub credentials: Credentials,
    /// What is left of the money, as `12.50 USD`, where the vendor tells.
    #[serde(default)]
    pub balance: Option<String>,
    /// What the vendor said, or why it could not be asked.
    #[serde(default)]
    pub reason: Option<String>,
}

/// Reply to [`CheckGateways`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GatewaysChecked {
    /// The gateways, in the order of their names.
    pub gateways: Vec<GatewayChecked>,
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::finish_rotation;

    #[test]
    fn a_rotation_is_finished_where_the_key_is() {
        let told = finish_rotation(Path::new("/srv/the keys/site.key"));
        let steps = [
            "cd '/srv/the keys' && systemctl restart otpd && ",
            "if [ -e site.key.next ]; then otpctl key is-rotated && ",
            "ln --backup=numbered site.key site.key.old && mv -f site.key.next site.key && ",
            "systemctl restart otpd; fi",
        ];
        assert_eq!(told, steps.concat());
    }
}
