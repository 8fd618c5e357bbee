//! Results about lists of numbers and about test messages, for people.

use std::fmt::Write;

use otp_proto::admin::{Arrival, Channel, DeliveryStatus, Tested};

use super::{json::Imported, visible, word};

/// Result of `enroll --from`. `path`: the list, to be given again.
pub(crate) fn imported(imported: &Imported, path: &str, send: bool) -> String {
    let Imported { enrolled, already, failed, sent } = imported;
    let counts = format!("{enrolled} enrolled, {already} already, {failed} failed\n");
    if send {
        let what = if *sent == 1 { "code was" } else { "codes were" };
        return format!("{counts}{sent} {what} sent\n");
    }
    format!(
        "{counts}Nothing was sent; once it shall be run: otpctl enroll --from {} --send\n",
        word(path)
    )
}

/// Result of `test-message` whose message is under way.
pub(crate) fn tested(tested: &Tested) -> String {
    let what = message(tested.channel);
    let reference = visible(&tested.reference);
    let gateway = tested.gateway.as_deref().unwrap_or("a gateway");
    let vendor = tested.vendor_id.as_deref();
    let vendor = vendor.map(|id| format!(", its id {}", visible(id))).unwrap_or_default();
    let mut text = match tested.status {
        DeliveryStatus::Accepted => {
            format!("{} took the {what} (ref {reference}{vendor}).\n", visible(gateway))
        }
        DeliveryStatus::Sending | DeliveryStatus::Failed => format!(
            "The {what} is being sent (ref {reference}); no gateway has confirmed it yet.\n\
             What becomes of it is in: journalctl -u otpd\n"
        ),
    };
    if let Some(reason) = &tested.reason {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "On the way: {}", visible(reason));
    }
    text + match tested.arrival {
        Some(Arrival::Delivered) => "The carrier says that it arrived.\n",
        Some(Arrival::Unconfirmed) => {
            "The carrier does not say whether it arrives: see whether it is on the phone.\n"
        }
        Some(Arrival::UnderWay | Arrival::Undelivered) => {
            "The carrier has not said yet whether it arrived: see whether it is on the phone.\n"
        }
        None => {
            "See whether it is on the phone: that a gateway took it does not mean that it arrives.\n"
        }
    }
}

/// `test-message` was taken by a vendor and did not arrive.
pub(crate) fn test_lost(tested: &Tested) -> String {
    let gateway = visible(tested.gateway.as_deref().unwrap_or("a gateway"));
    let vendor = tested.vendor_id.as_deref();
    let vendor = vendor.map(|id| format!(", its id {}", visible(id))).unwrap_or_default();
    let reason = tested.arrival_reason.as_deref().map(visible);
    let before = tested.reason.as_deref();
    let before = before.map(|reason| format!("; on the way: {}", visible(reason)));
    format!(
        "{gateway} took the {} (ref {}{vendor}), but it did not arrive: {}{}",
        message(tested.channel),
        visible(&tested.reference),
        reason.as_deref().unwrap_or("the carrier gives no reason"),
        before.unwrap_or_default(),
    )
}

/// `test-message` could not send.
pub(crate) fn test_failed(tested: &Tested) -> String {
    let reason = tested.reason.as_deref().map(str::trim).filter(|reason| !reason.is_empty());
    let reason = reason.unwrap_or("otpd gives no reason, see: journalctl -u otpd");
    format!(
        "no gateway took the {}: {}; once that is mended run it again (it was not counted)",
        message(tested.channel),
        visible(reason)
    )
}

fn message(channel: Channel) -> &'static str {
    match channel {
        Channel::Sms => "message",
        Channel::Voice => "call",
    }
}
