//! Results of `backup`, `restore` and `store`, for people.

use std::fmt::Write;

use otp_proto::admin::{MEND_DAMAGED, Tally};

use super::{
    json::{Exported, Moved, NotBackedUp, Restored},
    visible,
};

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

/// What is not in a backup, because it is damaged, if there is anything; without line end.
pub(crate) fn missing(damaged: &NotBackedUp) -> Option<String> {
    let mut what = Vec::new();
    if damaged.users > 0 {
        let names = some(&damaged.names, damaged.users);
        what.push(format!("what is stored of {} ({names})", users_of(damaged.users)));
    }
    if damaged.limits > 0 {
        what.push(format!(
            "{} that no user has alone",
            if damaged.limits == 1 {
                "a limit".to_owned()
            } else {
                format!("{} limits", damaged.limits)
            }
        ));
    }
    (!what.is_empty()).then(|| {
        format!(
            "the backup is complete but for what is damaged: {}; keep earlier backups; for each \
             user: {MEND_DAMAGED}",
            what.join(" and ")
        )
    })
}

/// Of whom a list says nothing, because what is stored of them is damaged.
pub(crate) fn not_listed(damaged: &[String]) -> String {
    format!(
        "what is stored of {} is damaged, and cannot be listed: {}; for each of them: {MEND_DAMAGED}",
        users_of(damaged.len() as u64),
        names(damaged)
    )
}

/// What a restore would do.
pub(crate) fn would(found: &Restored) -> String {
    let mut text = said(found, "would come back", "would be changed");
    if found.changed == 0 {
        text.push_str("Nothing of any user would be changed.\n");
    }
    text.push_str("What counts for telephone numbers and for all together is merged as well.\n");
    text + &used(found)
}

/// Result of `restore`.
pub(crate) fn restored(done: &Restored) -> String {
    let mut text = said(done, "came back", "were changed");
    if done.events > 0 {
        let _ = writeln!(text, "{} events of the log came back.", done.events);
    }
    text + &used(done)
}

/// Where the number was lost, and with it which codes were used, those of the backup are good.
fn used(of: &Restored) -> String {
    if of.enrolled.is_empty() {
        return String::new();
    }
    let back = if of.dry_run { "comes back" } else { "came back" };
    format!(
        "Recovery codes that were used after the backup was taken may work again for those whose \
         number {back}: make new ones where that matters (otpctl recovery-codes USER).\n"
    )
}

/// Result of `store export`.
pub(crate) fn exported(done: &Exported<'_>) -> String {
    let mut text = format!("{} has all that is stored:\n", visible(done.file));
    text.push_str(&tallied(done.tally));
    text.push_str(if done.r#final {
        "Nobody is let in by this otpd any more. Stop it, and start it with its new store.\n"
    } else {
        "Logins go on, and what they change from now on is not in it: when you move, export again \
         with --final.\n"
    });
    text.push_str(
        "It is of no use without /etc/otpd/otpd.key: whoever imports it needs the same one.\n",
    );
    text
}

/// What an import would do.
pub(crate) fn would_import(found: &Moved) -> String {
    from(found) + &tallied(&found.tally) + "Nobody is let in until all of it is here.\n"
}

/// Result of `store import`.
pub(crate) fn imported(done: &Moved) -> String {
    let what = if done.known {
        "It was imported before; nothing was changed.\n"
    } else {
        "All of it is here, and was read back. People are let in.\n"
    };
    from(done) + &tallied(&done.tally) + what
}

fn from(of: &Moved) -> String {
    let Some(export) = &of.export else { return String::new() };
    format!("Export of {}, made at {}:\n", visible(&export.host), export.taken_at)
}

/// A line for each kind; checksums of two stores with the same rows are the same.
fn tallied(tally: &Tally) -> String {
    let Tally { users, numbers, recovery_codes, bypasses, together, .. } = tally;
    format!(
        "  {:8} users    {}\n           ({numbers} with a number, {recovery_codes} recovery codes, \
         {bypasses} bypasses)\n  {:8} limits   {}\n  {:8} events   {}\n  {together:8} sums of all \
         together\n",
        users,
        tally.users_checksum,
        tally.limits,
        tally.limits_checksum,
        tally.events,
        tally.events_checksum,
    )
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
    if !of.still_disabled.is_empty() {
        let names = names(&of.still_disabled);
        let _ = writeln!(text, "Disabled as they were: {names}.");
    }
    if !of.without_codes.is_empty() {
        let names = names(&of.without_codes);
        let _ = writeln!(
            text,
            "Without recovery codes, for some were used or made after it was taken: {names}. New ones are \
             made by otpctl recovery-codes USER."
        );
    }
    if !of.left_removed.is_empty() {
        let names = names(&of.left_removed);
        let _ = writeln!(
            text,
            "Not brought back, for the number was removed or replaced after it was taken: {names}. Who is \
             to log in is enrolled by otpctl enroll USER PHONE."
        );
    }
    if !of.damaged.is_empty() {
        let names = names(&of.damaged);
        let _ = writeln!(text, "Damaged, and left so: {names}. For each of them: {MEND_DAMAGED}.");
    }
    text
}

fn users_of(count: u64) -> String {
    format!("{count} {}", if count == 1 { "user" } else { "users" })
}

/// `alice, bob and 3 more`.
fn names(all: &[String]) -> String {
    some(all, all.len() as u64)
}

/// The same of so many, where not all names are known.
fn some(known: &[String], all: u64) -> String {
    let said = known.iter().take(NAMED).map(|name| visible(name)).collect::<Vec<_>>().join(", ");
    match all.saturating_sub(known.len().min(NAMED) as u64) {
        0 => said,
        more => format!("{said} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::{NotBackedUp, Restored, missing, restored, would};

    #[test]
    fn what_no_backup_has_is_named_with_the_way_out() {
        let text = |users, known: usize, limits| {
            let names = (0..known).map(|nth| format!("u{nth}")).collect();
            missing(&NotBackedUp { users, names, limits })
        };
        assert_eq!(text(0, 0, 0), None);
        let begin = "the backup is complete but for what is damaged: ";
        for (found, expected) in [
            (text(1, 1, 0), "what is stored of 1 user (u0); keep"),
            (
                text(2, 2, 1),
                "what is stored of 2 users (u0, u1) and a limit that no user has alone;",
            ),
            (text(0, 0, 3), "3 limits that no user has alone;"),
            (text(100, 20, 0), "u8, u9 and 90 more); keep"),
        ] {
            let found = found.expect("something is missing");
            assert!(found.starts_with(begin) && found.contains(expected), "{found}");
            assert!(found.contains("otpctl remove USER"), "{found}");
        }
    }

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
            dry_run: true,
            users: 20,
            changed: 15,
            enrolled: names(12),
            disabled: names(1),
            still_disabled: names(2),
            without_codes: names(3),
            left_removed: names(2),
            damaged: names(1),
            events: 7,
            ..Restored::default()
        };
        let text = would(&some);
        for part in [
            "Numbers that would come back: u0, u1, u2, u3, u4, u5, u6, u7, u8, u9 and 2 more.",
            "Limits or numbers of 3 users would be changed.",
            "Disabled by it, to be ended with otpctl enable USER: u0.",
            "Disabled as they were: u0, u1.",
            "were used or made after it was taken: u0, u1, u2. New ones are made by otpctl recovery-codes",
            "for the number was removed or replaced after it was taken: u0, u1. Who is to log in",
            "Damaged, and left so: u0. For each of them: otpctl remove USER, then otpctl restore",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        // Who is asked has to know it before.
        let again = "Recovery codes that were used after the backup was taken may work again";
        assert!(text.contains(again) && text.contains("comes back: make new ones"), "{text}");
        assert!(!would(&nothing).contains("Recovery codes"));
        let text = restored(&Restored { dry_run: false, ..some });
        assert!(text.contains("came back: u0") && text.contains("7 events"), "{text}");
        assert!(text.contains("Recovery codes that were used"), "{text}");
    }
}
