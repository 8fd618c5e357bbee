//! What the fixed words of a denial mean, and what can be done.

use super::word;

/// A reason in words.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Meaning {
    /// What it means, a sentence.
    pub(crate) means: &'static str,
    /// What to do, if there is something.
    pub(crate) remedy: Option<String>,
}

/// Reasons of denials and names of limits, each with its meaning and its remedy; `USER` stands for
/// the account.
pub(crate) const REASONS: [(&str, &str, &str); 39] = [
    ("no-such-account", "the host knows no account of this name", "getent passwd USER"),
    (
        "not-enrolled",
        "no number is registered for the account, and policy.unenrolled denies its logins",
        "otpctl enroll USER PHONE",
    ),
    ("not-verified", "the number of the account is not verified yet", "otpctl verify USER"),
    ("disabled", "an administrator has disabled the account", "otpctl enable USER"),
    (
        "country-not-allowed",
        "nothing may be sent to the country of the number any more",
        "add it to delivery.countries, or: otpctl enroll USER PHONE --replace",
    ),
    (
        "opted-out",
        "messages to the number were stopped by a reply with STOP",
        "let START be sent to their sender from that telephone, and then: otpctl unlock USER",
    ),
    ("tries-used-up", "wrong codes have used up the tries of this login", "log in again"),
    (
        "code-expired",
        "the code expired, and the fresh one that followed it too",
        "log in again; if messages come late, see: otpctl status",
    ),
    (
        "code-too-short-by-now",
        "many wrong codes were typed meanwhile, so that codes are longer now",
        "log in again",
    ),
    (
        "store-full",
        "the disk of the store is full, so no code could be issued",
        "free space on the host; see: otpctl status",
    ),
    (
        "recovery-codes-per-hour",
        "5 wrong recovery codes in an hour pause them",
        "wait; who that was, says: otpctl log --user USER",
    ),
    (
        "login-ended",
        "newer logins of the same account took its place, or an administrator ended it",
        "log in again; which ones, says: otpctl log --user USER",
    ),
    ("given-up", "the user typed q", ""),
    (
        "denied-before",
        "the same connection was denied before, and sshd asked again by itself",
        "look for the denial before: otpctl log --user USER",
    ),
    ("resend-wait", "the message before was sent a moment ago", "wait for it, or ask again later"),
    ("no-code", "no code waits to be typed", "otpctl resend USER"),
    ("not-a-code", "what was typed has not the shape of a code", "otpctl verify USER"),
    (
        "landline",
        "the line of the number takes no text messages",
        "otpctl enroll USER PHONE --channel voice --replace",
    ),
    (
        "no-gateway-calls",
        "no gateway that calls is configured",
        "add one to delivery.voice, or use text messages",
    ),
    ("too-many-bypasses", "the account has 8 bypasses already", "otpctl bypass --list"),
    ("no-such-bypass", "the account has no such bypass", "otpctl bypass --list"),
    ("already-enrolled", "the account has a number already", "otpctl show USER"),
    ("already-verified", "the number is verified already", "otpctl show USER"),
    ("exempt", "the configuration asks no code of this account", "see exempt-users, exempt-groups"),
    (
        "wrong-codes-per-hour",
        "10 wrong codes in an hour pause the account for 30 minutes",
        "wait, or after a look at who that was: otpctl unlock USER",
    ),
    (
        "wrong-codes-per-day",
        "20 wrong codes in 24 hours lock the account until the oldest is a day old",
        "wait, or after a look at who that was: otpctl unlock USER",
    ),
    (
        "wrong-codes-in-a-row",
        "100 wrong codes in a row suspend the codes of the account",
        "after a look at who that was: otpctl unlock USER",
    ),
    (
        "unanswered-per-hour",
        "too many messages of an hour were not answered (limits.unanswered-per-hour)",
        "wait; whether messages arrive, say: otpctl status; otpctl show USER",
    ),
    (
        "unanswered-per-day",
        "too many messages of 24 hours were not answered (limits.unanswered-per-day)",
        "wait; whether messages arrive, say: otpctl status; otpctl show USER",
    ),
    (
        "messages-per-hour",
        "too many messages went to the account or its number in an hour \
         (limits.messages-per-hour)",
        "wait, or raise the limit",
    ),
    (
        "messages-per-day",
        "too many messages went to the account or its number in 24 hours \
         (limits.messages-per-day)",
        "wait, or raise the limit",
    ),
    ("calls-per-day", "4 calls of 24 hours were not answered", "wait, or use text messages"),
    (
        "unverified-number-per-day",
        "a number that is not verified gets 3 messages in 24 hours",
        "wait, or type the code of one of them: otpctl verify USER",
    ),
    (
        "live-challenges",
        "8 logins of the account wait for a code already",
        "wait until they expire; whose they are, says: otpctl log --user USER",
    ),
    (
        "country-unanswered-per-hour",
        "too many messages to the country, of all accounts together, were not answered in an hour",
        "wait; whether messages arrive, says: otpctl status",
    ),
    (
        "all-unanswered-per-hour",
        "too many messages of all accounts together were not answered in an hour",
        "wait; whether messages arrive, says: otpctl status",
    ),
    (
        "all-unanswered-per-day",
        "too many messages of all accounts together were not answered in 24 hours \
         (limits.all-unanswered-per-day)",
        "wait, or raise the limit; whether messages arrive, says: otpctl status",
    ),
    (
        "max-messages-per-day",
        "the host has sent all messages that it may send in 24 hours \
         (limits.max-messages-per-day)",
        "wait, or raise the limit",
    ),
    (
        "conversion",
        "few messages to such numbers are answered, so none go there for a while \
         (limits.conversion)",
        "wait, or after a look at the vendor's bill set limits.conversion to \"alert\"",
    ),
];

/// The words about `reason` in a denial of `user`; `None` for one that this version does not know.
pub(crate) fn meaning(reason: &str, user: &str) -> Option<Meaning> {
    let (_, means, remedy) = REASONS.iter().find(|(name, _, _)| *name == reason)?;
    let remedy = (!remedy.is_empty()).then(|| remedy.replace("USER", &word(user)));
    Some(Meaning { means, remedy })
}
