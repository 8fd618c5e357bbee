//! Whether something keeps the clock right. Codes and limits go by it; with several hosts and one
//! database all of them do.

use super::{finding::Finding, host::Host};

const SUBJECT: &str = "clock";

/// Asks who sets the clock.
pub(super) fn examine(host: &Host) -> Finding {
    let advice = "let systemd-timesyncd, chrony or ntpd set it: timedatectl set-ntp true";
    let asked = host.run(&["timedatectl", "show", "--property=NTPSynchronized", "--value"]);
    match asked.as_ref().map(|said| (said.success, said.output.trim())) {
        Some((true, "yes")) => Finding::ok(SUBJECT, "the clock is set from the network"),
        Some((true, "no")) if is_container(host) => {
            let text = "whether something sets the clock is for this container's host to tell";
            Finding::note(SUBJECT, text).advising("on the host: timedatectl set-ntp true")
        }
        Some((true, "no")) => {
            let text =
                "nothing sets the clock: when it goes wrong, codes end too early or too late";
            Finding::problem(SUBJECT, text, advice)
        }
        Some(_) | None => {
            let text = "whether something sets the clock cannot be told here (no timedatectl)";
            Finding::note(SUBJECT, text).advising("compare: date -u")
        }
    }
}

/// A container has its host's clock and cannot set it.
fn is_container(host: &Host) -> bool {
    host.run(&["systemd-detect-virt", "--container"]).is_some_and(|said| said.success)
}
