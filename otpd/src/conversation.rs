//! All that claimants read and hear, in one place.
//!
//! Prompts carry everything: sshd before 10.3 shows separate text only together with the next
//! prompt. No symbols and no colours; lines of at most 72 characters where the names allow it, the
//! last one short, for terminals, screen readers and clients that show one line only.

mod recovery;

use jiff::{RoundMode, Unit, ZonedRound, tz::TimeZone};
use otp_proto::login::{Prompt, Step, Verdict};

pub use recovery::{recovered, replaced_text, used_text, withheld, withheld_again};

use crate::domain::{
    account::Account,
    budget::{Held, LimitKind, LimitName},
    call_key::CallKey,
    challenge::Channel,
    login::{Denial, Notice, Progress, View},
    passcode::{Passcode, Reference, RequestId},
    time::Timestamp,
};

/// What texts depend on besides the outcome.
#[derive(Clone, Debug)]
pub struct Setting<'a> {
    /// This host, as people know it.
    pub host: &'a str,
    /// For times of day.
    pub zone: &'a TimeZone,
    /// The time.
    pub now: Timestamp,
}

impl Setting<'_> {
    /// `14:35`, with the date when it is another day.
    fn clock(&self, at: Timestamp) -> String {
        let time = |at: Timestamp| {
            let at = jiff::Timestamp::from_millisecond(at.0).unwrap_or(jiff::Timestamp::MAX);
            at.to_zoned(self.zone.clone())
        };
        let (there, here) = (time(at), time(self.now));
        // Of what is to come a minute too late is better than a minute too early; what was, was
        // not later than now.
        let mode = if at > self.now { RoundMode::Ceil } else { RoundMode::Floor };
        let round = ZonedRound::new().smallest(Unit::Minute).mode(mode);
        let there = there.round(round).unwrap_or(there);
        let form = if there.date() == here.date() { "%H:%M" } else { "%H:%M on %-d %B" };
        there.strftime(form).to_string()
    }

    /// `14:35 (in 15 minutes)`.
    fn until(&self, at: Timestamp) -> String {
        let minutes = at.since(self.now).as_secs().div_ceil(60).max(1);
        let span = match minutes {
            1 => "1 minute".to_owned(),
            2..=119 => format!("{minutes} minutes"),
            _ => format!("{} hours", minutes.div_ceil(60)),
        };
        format!("{} (in {span})", self.clock(at))
    }
}

/// The first prompt of a login, or of its resumption.
#[must_use]
pub fn first(view: &View) -> Step {
    let how = match (view.channel, view.progress) {
        (Channel::Sms, Progress::Sent) => {
            format!("Code sent by text message to the number ending {}", view.ending)
        }
        (Channel::Sms, Progress::Sending) => {
            format!("A code is being sent by text message to the number ending {}", view.ending)
        }
        (Channel::Voice, Progress::Sent) => {
            format!("The number ending {} is being called with a code", view.ending)
        }
        (Channel::Voice, Progress::Sending) => {
            format!("A call with a code is being placed to the number ending {}", view.ending)
        }
        (_, Progress::Lost) => return ask(&format!("{}\n{}", lost(view), commands(view))),
        (_, Progress::Failed) => return ask(&format!("{}\n{}", failed(view), retry(view))),
        (_, Progress::Stopped) => {
            return ask(&format!("{}\n{}", stopped(&view.ending), retry(view)));
        }
    };
    ask(&format!("{how} (ref {}).\n{}", view.reference, commands(view)))
}

/// The prompt after an answer.
#[must_use]
pub fn again(notice: Notice, view: &View, setting: &Setting<'_>) -> Step {
    let reference = view.reference;
    let text = match notice {
        Notice::Help => return help(view),
        Notice::Wrong => {
            let wrong = format!("That code is not right. {} left.", tries(view.tries_left));
            match unsent(view) {
                Some(why) => format!("{wrong}\n{why}\n{}", retry(view)),
                None => format!("{wrong} Check the newest message.\n{}", commands(view)),
            }
        }
        Notice::Earlier => match unsent(view) {
            Some(why) => {
                format!("That is an earlier code, which works no more.\n{why}\n{}", retry(view))
            }
            None => format!("That is an earlier code. Use the newest one, ref {reference}."),
        },
        Notice::Renewed { expired_at } => {
            let at = setting.clock(expired_at);
            fresh(&format!("That code expired at {at}. This did not use a try."), "A new one", view)
        }
        Notice::Replaced | Notice::Resent => {
            fresh("Earlier codes no longer work.", "A new code", view)
        }
        Notice::TooSoon { seconds } => {
            format!("Please wait {} before asking again.", seconds_long(seconds))
        }
        Notice::NoMoreMessages => {
            let no_more = "No more codes are sent in this login.";
            match unsent(view) {
                Some(why) => format!("{no_more}\n{why}{}", recover(view)),
                None => format!("{no_more} Use the newest one, ref {reference}."),
            }
        }
        Notice::Held(held) if unsent(view).is_some() => {
            format!("{}{}", no_message(held, setting), recover(view))
        }
        Notice::Held(held) => format!("{}\n{}", no_message(held, setting), newest(view)),
        Notice::Stopped => {
            let onward = match view.progress {
                Progress::Sending | Progress::Sent => newest(view),
                Progress::Lost | Progress::Failed | Progress::Stopped => retry(view),
            };
            format!("{}\n{onward}", stopped(&view.ending))
        }
        Notice::NoVoice => format!("Voice calls are not available here.\n{}", commands(view)),
        Notice::RecoveryWrong { tries_left } => {
            format!("{}\n{}", recovery::wrong(tries_left), onward(view))
        }
        Notice::RecoveryHeld(held) => {
            format!("{}\n{}", recovery::not_compared(held, setting), onward(view))
        }
        Notice::NoRecovery => {
            let left = "There are no recovery codes left for this account. New ones come from\n\
                        your administrator.";
            format!("{left}\n{}", onward(view))
        }
    };
    ask(&text)
}

/// The end of a login that is denied.
#[must_use]
pub fn denied(
    denial: Denial,
    account: &Account,
    request: RequestId,
    setting: &Setting<'_>,
) -> Step {
    let host = setting.host;
    let text = match denial {
        // An unknown name, a repetition, or somebody who gave up: nothing to add.
        Denial::NoAccount | Denial::Silent | Denial::Quit => None,
        Denial::NotEnrolled => Some(format!(
            "No phone number is registered for {account} on {host},\n\
             so this login cannot continue. Ask your administrator to run:\n\
             otpctl enroll {account} NUMBER   Request id {request}"
        )),
        Denial::NotVerified => Some(format!(
            "The phone number of {account} is not verified yet on {host}.\n\
             Ask your administrator to run:\n\
             otpctl verify {account}   Request id {request}"
        )),
        Denial::Disabled => Some(format!(
            "Logins of {account} with a code are switched off on {host}.\n\
             Ask your administrator.   Request id {request}"
        )),
        Denial::Country => Some(format!(
            "Codes can no longer be sent to the country of {account}'s number.\n\
             Ask your administrator.   Request id {request}"
        )),
        Denial::OptedOut(ending) => Some(format!(
            "{}\n\
             To undo that, send START to their sender, and then ask your\n\
             administrator to run:\n\
             otpctl unlock {account}   Request id {request}",
            by_stop(ending)
        )),
        Denial::Full => return unavailable(host),
        Denial::Held(held) => Some(locked(held, account, request, setting)),
        Denial::Spent => Some(format!(
            "Too many tries in this login, so it is over. Log in again.\n\
             Request id {request}"
        )),
        Denial::Ended => Some(format!(
            "This login was ended: newer ones took its place, an administrator\n\
             ended it, or it was given up. Log in again.\n\
             Request id {request}"
        )),
        Denial::Outgrown => Some(format!(
            "Codes are longer now, because many wrong ones were typed here.\n\
             Start the login again to get a new one.\nRequest id {request}"
        )),
        Denial::Expired => Some(format!(
            "The code expired again. You may start a new login now.\nRequest id {request}"
        )),
    };
    Step { text, prompt: None, verdict: Some(Verdict::Denied) }
}

/// A verdict without a word.
#[must_use]
pub fn verdict(verdict: Verdict) -> Step {
    Step { verdict: Some(verdict), ..Step::default() }
}

/// The daemon cannot decide now.
#[must_use]
pub fn unavailable(host: &str) -> Step {
    let text = format!(
        "The login-code service on {host} cannot check codes now.\n\
         Try again later, or tell your administrator: journalctl -u otpd"
    );
    Step { text: Some(text), prompt: None, verdict: Some(Verdict::Unavailable) }
}

/// The message that proves a number. It is read out to an administrator, so it must not say that
/// nobody may be told.
#[must_use]
pub fn proof_text(code: &Passcode, reference: Reference, host: &str) -> zeroize::Zeroizing<String> {
    let host = segment(host);
    zeroize::Zeroizing::new(format!(
        "{} proves this number for logins on {host}, ref {reference}. Tell it only to the \
         administrator who registers you.",
        code.expose()
    ))
}

/// A host's name for a text of one segment: characters beyond GSM-7's basic set would count twice.
fn segment(host: &str) -> String {
    host.chars().filter(|c| !"^{}\\[~]|€".contains(*c)).take(40).collect()
}

/// The text message that tests a gateway: no code, and nothing that anybody should do.
#[must_use]
pub fn test_text(reference: Reference, host: &str) -> zeroize::Zeroizing<String> {
    let host = segment(host);
    zeroize::Zeroizing::new(format!(
        "Test message of otpd on {host}, ref {reference}. Nothing to do."
    ))
}

/// What a call says to test a gateway; see [`test_text`].
#[must_use]
pub fn spoken_test(host: &str) -> zeroize::Zeroizing<String> {
    let text = format!("This is a test call of otpd on {host}. There is nothing to do.");
    let [again, _] = AGAIN;
    zeroize::Zeroizing::new(format!("{text} {again}{text}"))
}

/// What a call says when its code is gone: the login ended, or the daemon was restarted.
#[must_use]
pub fn spoken_over(host: &str) -> String {
    format!("This call from {host} has nothing to say any more. Please ask for another one.")
}

/// What a call asks before it says its words, so that no voicemail hears them.
#[must_use]
pub fn spoken_question(host: &str, key: CallKey) -> String {
    format!("This is a call from {host}. To hear the message, press {key}.")
}

/// What a call says in place of its words when another key was pressed.
pub const SPOKEN_WRONG_KEY: &str =
    "That was not the key that was asked for. Please ask for another call.";

/// The words before a repetition in what a call says.
pub const AGAIN: [&str; 2] = ["Again: ", "Once more: "];

/// What a call says to log in: the code digit by digit, three times.
#[must_use]
pub fn spoken(code: &Passcode, host: &str) -> zeroize::Zeroizing<String> {
    read_out("Your login code for ", code, host, "Never share it.")
}

/// What a call says to prove a number; see [`proof_text`].
#[must_use]
pub fn spoken_proof(code: &Passcode, host: &str) -> zeroize::Zeroizing<String> {
    let share = "Tell it only to the administrator who registers you.";
    read_out("Your code to prove this number for logins on ", code, host, share)
}

fn read_out(what: &str, code: &Passcode, host: &str, share: &str) -> zeroize::Zeroizing<String> {
    let mut digits = zeroize::Zeroizing::new(String::with_capacity(64));
    for digit in code.expose().chars() {
        digits.push(digit);
        digits.push_str(". ");
    }
    // Growing would leave copies of the code behind in memory that nobody wipes.
    let room = what.len() + host.len() + 3 * digits.len() + share.len() + 32;
    let mut text = zeroize::Zeroizing::new(String::with_capacity(room));
    text.push_str(what);
    text.push_str(host);
    text.push_str(" is: ");
    let [again, once_more] = AGAIN;
    for repetition in ["", again, once_more] {
        text.push_str(repetition);
        text.push_str(&digits);
    }
    text.push_str(share);
    text
}

/// Every prompt ends with the same short line.
fn ask(text: &str) -> Step {
    let prompt = Prompt { text: format!("{text}\nCode: "), echo: true };
    Step { prompt: Some(prompt), ..Step::default() }
}

fn commands(view: &View) -> String {
    let mut line = "Type the code, or: ".to_owned();
    if view.may_resend {
        line.push_str(again_by(view.channel));
    }
    if view.may_call && view.channel == Channel::Sms {
        line.push_str("v = voice call, ");
    }
    line + "? = help"
}

/// `r` repeats what was done last.
fn again_by(channel: Channel) -> &'static str {
    match channel {
        Channel::Sms => "r = send again, ",
        Channel::Voice => "r = call again, ",
    }
}

fn help(view: &View) -> Step {
    let (request, left) = (view.token.request(), tries(view.tries_left));
    let reference = view.reference;
    let mut text = match unsent(view) {
        Some(why) => format!("{why}\n"),
        None => format!("Type the code of the newest message, ref {reference}. {left} left.\n"),
    };
    if view.recovery > 0 {
        text.push_str("Or type one of your recovery codes.\n");
    }
    if view.may_resend {
        let wait = match view.resend_in {
            0 => String::new(),
            seconds => format!(" (in {})", seconds_long(seconds)),
        };
        text.push_str(again_by(view.channel).trim_end_matches(", "));
        text.push_str(&wait);
        text.push_str(", ");
    }
    if view.may_call && view.channel == Channel::Sms {
        text.push_str("v = voice call, ");
    }
    ask(&format!("{text}q = give up\nRequest id {request}"))
}

fn seconds_long(seconds: u32) -> String {
    if seconds == 1 { "1 second".to_owned() } else { format!("{seconds} seconds") }
}

fn tries(left: u8) -> String {
    if left == 1 { "1 try".to_owned() } else { format!("{left} tries") }
}

/// `A new one was sent to the number ending 42 (ref M3).`, and what there is to know besides.
fn fresh(besides: &str, what: &str, view: &View) -> String {
    let View { ending, reference, .. } = view;
    let how = match (view.progress, view.channel) {
        (Progress::Sent, Channel::Sms) => {
            format!("{what} was sent to the number ending {ending} (ref {reference}).")
        }
        (Progress::Sending, Channel::Sms) => {
            format!("{what} is being sent to the number ending {ending} (ref {reference}).")
        }
        (Progress::Sent | Progress::Sending, Channel::Voice) => {
            format!("The number ending {ending} is called with a new code (ref {reference}).")
        }
        (Progress::Lost, _) => return format!("{besides}\n{}\n{}", lost(view), commands(view)),
        (Progress::Failed, _) => return format!("{besides}\n{}\n{}", failed(view), retry(view)),
        (Progress::Stopped, _) => {
            return format!("{besides}\n{}\n{}", stopped(&view.ending), retry(view));
        }
    };
    format!("{besides}\n{how}")
}

/// The carrier may be wrong, so nobody is told that the code is.
fn lost(view: &View) -> String {
    let View { ending, reference, .. } = view;
    let what = match view.channel {
        Channel::Sms => "The text message",
        Channel::Voice => "The call",
    };
    format!("{what} to the number ending {ending} (ref {reference}) did not arrive.")
}

fn failed(view: &View) -> String {
    let what = match view.channel {
        Channel::Sms => "The text message",
        Channel::Voice => "The call",
    };
    format!("{what} to the number ending {} could not be sent.", view.ending)
}

/// Why there is no code to type, where there is none.
fn unsent(view: &View) -> Option<String> {
    match view.progress {
        Progress::Sending | Progress::Sent | Progress::Lost => None,
        Progress::Failed => Some(failed(view)),
        Progress::Stopped => Some(by_stop(&view.ending)),
    }
}

/// What is left to type where there is no code and none comes.
fn recover(view: &View) -> &'static str {
    if view.recovery > 0 { "\nType a recovery code, or: ? = help" } else { "" }
}

/// Whoever reads this may not be who sent STOP, and carriers let nobody else undo it but them: only START
/// lifts what the vendor remembers, and where vendors report nothing here, an administrator has to lift
/// what this daemon does. Two lines, for the prompt that takes recovery codes has three more.
fn stopped(ending: impl std::fmt::Display) -> String {
    let undo = "Send START to their sender, then ask your administrator: otpctl unlock";
    format!("{}\n{undo}", by_stop(ending))
}

fn by_stop(ending: impl std::fmt::Display) -> String {
    format!("Messages to the number ending {ending} were stopped by a reply with STOP.")
}

/// What can be typed besides, whether there is a code or not.
fn onward(view: &View) -> String {
    match view.progress {
        Progress::Sending | Progress::Sent | Progress::Lost => commands(view),
        Progress::Failed | Progress::Stopped => retry(view),
    }
}

/// What helps after [`failed`] and [`stopped`]: there is no code to type.
fn retry(view: &View) -> String {
    let wait = match view.resend_in {
        0 => String::new(),
        seconds => format!(" in {}", seconds_long(seconds)),
    };
    let call = view.may_call && view.channel == Channel::Sms;
    let recover = if view.recovery > 0 { "Type a recovery code, or:\n" } else { "" };
    format!("{recover}r = try again{wait}, {}? = help", if call { "v = voice call, " } else { "" })
}

fn newest(view: &View) -> String {
    format!("The newest code, ref {}, still works.", view.reference)
}

fn no_message(held: Held, setting: &Setting<'_>) -> String {
    let (limit, since) = (held.limit.as_str(), setting.clock(held.since));
    let what = match held.limit {
        LimitName::CallsPerDay => "calls can be placed",
        _ => "messages can be sent",
    };
    let until = held.until.map(|until| format!(" until {}", setting.until(until)));
    let until = until.unwrap_or_default();
    format!("No more {what}{until}.\nLimit {limit}, since {since}.")
}

fn locked(held: Held, account: &Account, request: RequestId, setting: &Setting<'_>) -> String {
    match (held.limit.kind(), held.until) {
        (LimitKind::WrongCodes, Some(until)) => format!(
            "Too many wrong codes. Login for {account} is locked until\n{}.\n\
             Ask your administrator to run:\n\
             otpctl unlock {account}   Request id {request}",
            setting.until(until)
        ),
        (LimitKind::Suspension, _) => format!(
            "Too many wrong codes in a row. Codes for {account} are suspended.\n\
             Ask your administrator to run:\n\
             otpctl unlock {account}   Request id {request}"
        ),
        (LimitKind::RecoveryCodes, _) => {
            format!("{}\nRequest id {request}", recovery::held_back(held, setting))
        }
        (LimitKind::Logins, _) => format!(
            "Too many logins of {account} wait for a code at once.\n\
             Finish one of them, or try again in a few minutes.\n\
             Request id {request}"
        ),
        (LimitKind::Messages | LimitKind::WrongCodes, _) => {
            format!("{}\nRequest id {request}", no_message(held, setting))
        }
    }
}

#[cfg(test)]
mod tests;
