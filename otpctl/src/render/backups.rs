//! Results of `backup` and `restore`, for people.

use std::fmt::Write;

use super::{json::Restored, visible};

/// Names that are said; the rest is counted. `--json` has all of them.
const NAMED: usize = 10;

/// Result of `backup`, without line end.
pub(crate) fn taken(name: &str, users: u64, log: bool) -> String {
    let log = if log { "and the log" } else { "without the log" };
    let place = if name == "-" { "standard output".to_owned() } else { visible(name) };
    format!(
        "{place} has {}, what counts against them {log}. It is of no use without \
         /etc/otpd/otpd.key: keep that in another place.",
        users_of(users)
    )
}

/// What a restore would do.
pub(crate) fn would(found: &Restored) -> String {
    let mut text = said(found, "would come back", "would be changed");
    if found.changed == 0 {
        text.push_str("Nothing of any user would be changed.\n");
    }
    text.push_str("What counts for telephone numbers and for all together is merged as well.\n");
    text
}

/// Result of `restore`.
pub(crate) fn restored(done: &Restored) -> String {
    let mut text = said(done, "came back", "were changed");
    if done.events > 0 {
        let _ = writeln!(text, "{} events of the log came back.", done.events);
    }
    if !done.enrolled.is_empty() {
        text.push_str(
            "Recovery codes that were used after the backup was taken work again for those whose \
             number came back: make new ones where that matters (otpctl recovery-codes USER).\n",
        );
    }
    text
}

/// Writing to a string cannot fail.
fn said(of: &Restored, back: &str, changed: &str) -> String {
    let mut text = String::new();
    if let Some(backup) = &of.backup {
        let (host, at) = (visible(&backup.host), &backup.taken_at);
        let _ = writeln!(text, "Backup of {host}, taken at {at}: {}.", users_of(of.users));
    }
    if !of.enrolled.is_empty() {
        let _ = writeln!(text, "Numbers that {back}: {}.", names(&of.enrolled));
    }
    let others = of.changed.saturating_sub(of.enrolled.len() as u64);
    if others > 0 {
        let _ = writeln!(text, "Limits or numbers of {} {changed}.", users_of(others));
    }
    if !of.disabled.is_empty() {
        let names = names(&of.disabled);
        let _ = writeln!(text, "Disabled by it, to be ended with otpctl enable USER: {names}.");
    }
    if !of.left_removed.is_empty() {
        let names = names(&of.left_removed);
        let _ = writeln!(text, "Removed after it was taken, and left so: {names}.");
    }
    text
}

fn users_of(count: u64) -> String {
    format!("{count} {}", if count == 1 { "user" } else { "users" })
}

/// `alice, bob and 3 more`.
fn names(all: &[String]) -> String {
    let said = all.iter().take(NAMED).map(|name| visible(name)).collect::<Vec<_>>().join(", ");
    match all.len().saturating_sub(NAMED) {
        0 => said,
        more => format!("{said} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::{Restored, restored, would};

    #[test]
    fn what_was_changed_is_named_and_what_was_not_is_said() {
        let names = |count: usize| (0..count).map(|n| format!("u{n}")).collect::<Vec<_>>();
        let nothing = Restored { users: 3, ..Restored::default() };
        let text = would(&nothing);
        assert!(
            text.starts_with("Nothing of any user would be changed.\nWhat counts for"),
            "{text}"
        );
        let some = Restored {
            users: 20,
            changed: 15,
            enrolled: names(12),
            disabled: names(1),
            left_removed: names(2),
            events: 7,
            ..Restored::default()
        };
        let text = would(&some);
        for part in [
            "Numbers that would come back: u0, u1, u2, u3, u4, u5, u6, u7, u8, u9 and 2 more.",
            "Limits or numbers of 3 users would be changed.",
            "Disabled by it, to be ended with otpctl enable USER: u0.",
            "Removed after it was taken, and left so: u0, u1.",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        let text = restored(&some);
        assert!(text.contains("came back: u0") && text.contains("7 events"), "{text}");
        assert!(text.contains("Recovery codes that were used"), "{text}");
    }
}
