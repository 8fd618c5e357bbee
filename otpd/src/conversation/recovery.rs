//! What is said about recovery codes.

use otp_proto::login::{Step, Verdict};

use super::{Setting, ask, no_message, stopped, tries};
use crate::domain::{
    account::Account,
    budget::{Held, LimitKind},
    login::{Why, Withheld, WithheldNotice},
};

/// The first prompt of a login without a code.
#[must_use]
pub fn withheld(asked: &Withheld, setting: &Setting<'_>) -> Step {
    ask(&format!("{}\n{COMMANDS}", why(asked.why, setting)))
}

/// The prompt after an answer that let nobody in.
#[must_use]
pub fn withheld_again(notice: WithheldNotice, asked: &Withheld, setting: &Setting<'_>) -> Step {
    let text = match notice {
        WithheldNotice::Begin => return withheld(asked, setting),
        WithheldNotice::Help => format!(
            "{}\nA recovery code has 24 letters and digits; {} left.\n\
             q = give up   Request id {}",
            why(asked.why, setting),
            are(asked.recovery),
            asked.token.request()
        ),
        WithheldNotice::Wrong { tries_left } => format!("{}\n{COMMANDS}", wrong(tries_left)),
    };
    ask(&text)
}

/// The end of a login that a recovery code let in.
#[must_use]
pub fn recovered(left: u8, account: &Account) -> Step {
    let remedy = format!("Ask your administrator to run:\notpctl recovery-codes {account}");
    let text = match left {
        0 => format!("Recovery code accepted. It was your last one.\n{remedy}"),
        1 | 2 => format!("Recovery code accepted. Only {} left.\n{remedy}", are(left)),
        _ => format!("Recovery code accepted. {left} are left."),
    };
    Step { text: Some(text), prompt: None, verdict: Some(Verdict::Granted) }
}

/// The text message that tells the owner of the account; it holds no code. One GSM-7 segment.
#[must_use]
pub fn used_text(left: u8, host: &str) -> zeroize::Zeroizing<String> {
    let host = super::segment(host);
    zeroize::Zeroizing::new(format!(
        "A recovery code was used to log in to {host}. {left} left. Not you? Tell IT."
    ))
}

/// The text message that tells whoever has the old number; it holds no code. One GSM-7 segment.
#[must_use]
pub fn replaced_text(host: &str) -> zeroize::Zeroizing<String> {
    let host = super::segment(host);
    zeroize::Zeroizing::new(format!(
        "Your login codes for {host} go to another number from now on. Not you? Tell IT."
    ))
}

/// `That is not one of your recovery codes. 4 tries left in this hour.`
pub(super) fn wrong(tries_left: u8) -> String {
    let left = tries(tries_left);
    format!("That is not one of your recovery codes. {left} left in this hour.")
}

/// The end of a login whose recovery codes were wrong too often.
pub(super) fn held_back(held: Held, setting: &Setting<'_>) -> String {
    format!("Too many wrong recovery codes.\n{}", none_taken(held, setting))
}

/// What is said where a login goes on all the same: what was typed may well be a code.
pub(super) fn not_compared(held: Held, setting: &Setting<'_>) -> String {
    let yours = "Too many wrong recovery codes. Yours was not compared and stays good.";
    format!("{yours}\n{}", none_taken(held, setting))
}

fn none_taken(held: Held, setting: &Setting<'_>) -> String {
    let (limit, since) = (held.limit.as_str(), setting.clock(held.since));
    let until = held.until.map(|until| format!(" until {}", setting.until(until)));
    let until = until.unwrap_or_default();
    format!("None is taken{until}.\nLimit {limit}, since {since}.")
}

const COMMANDS: &str = "Type a recovery code, or: q = give up, ? = help";

fn are(left: u8) -> String {
    if left == 1 { "1 is".to_owned() } else { format!("{left} are") }
}

fn why(why: Why, setting: &Setting<'_>) -> String {
    let held = match why {
        Why::Limit(held) => held,
        Why::Country => return "Codes can no longer be sent to your number's country.".to_owned(),
        Why::OptedOut(ending) => return stopped(ending),
        Why::Full => {
            let host = setting.host;
            return format!(
                "The disk of the login-code service on {host} is full:\nno code can be sent."
            );
        }
        Why::Over => {
            return "There is no code for this login. The next login gets one again.".to_owned();
        }
    };
    let (limit, since) = (held.limit.as_str(), setting.clock(held.since));
    let what = match held.limit.kind() {
        LimitKind::WrongCodes => {
            let until = held.until.map(|until| format!(" until {}", setting.until(until)));
            format!("Too many wrong codes.\nNo code is taken{}.", until.unwrap_or_default())
        }
        LimitKind::Suspension => {
            "Too many wrong codes in a row. Codes are suspended until you type a\n\
             recovery code or your administrator ends it."
                .to_owned()
        }
        LimitKind::RecoveryCodes => return held_back(held, setting),
        LimitKind::Logins => "Too many logins wait for a code at once.".to_owned(),
        LimitKind::Messages => return no_message(held, setting),
    };
    format!("{what}\nLimit {limit}, since {since}.")
}
