//! What is read about recovery codes.

use otp_proto::login::Verdict;

use super::{NOW, TOKEN, fits, held, prompt, setting, view, zone};
use crate::{
    conversation::{
        again, denied, first, recovered, replaced_text, used_text, withheld, withheld_again,
    },
    domain::{
        budget::LimitName,
        challenge::Channel,
        login::{Denial, Notice, Progress, View, Why, Withheld, WithheldNotice},
        scene::account,
        time::{DAY, HOUR, MINUTE},
    },
};

fn asked(why: Why) -> Withheld {
    Withheld { token: TOKEN, why, recovery: 7 }
}

#[test]
fn a_prompt_without_a_code_says_which_limit_since_when_and_until_when() {
    let limit = |name, until| Why::Limit(held(name, until));
    let cases = [
        (
            limit(LimitName::UnansweredPerHour, Some(NOW.after(MINUTE * 15))),
            "No more messages can be sent until 09:15 (in 15 minutes).\n\
             Limit unanswered-per-hour, since 08:40.\n",
        ),
        (
            limit(LimitName::MessagesPerDay, Some(NOW.after(DAY))),
            "No more messages can be sent until 09:00 on 16 January (in 24 hours).\n\
             Limit messages-per-day, since 08:40.\n",
        ),
        (
            limit(LimitName::WrongCodesPerHour, Some(NOW.after(MINUTE))),
            "Too many wrong codes.\n\
             No code is taken until 09:01 (in 1 minute).\n\
             Limit wrong-codes-per-hour, since 08:40.\n",
        ),
        (
            limit(LimitName::WrongCodesPerDay, Some(NOW.after(HOUR * 20))),
            "Too many wrong codes.\n\
             No code is taken until 05:00 on 16 January (in 20 hours).\n\
             Limit wrong-codes-per-day, since 08:40.\n",
        ),
        (
            limit(LimitName::WrongCodesInARow, None),
            "Too many wrong codes in a row. Codes are suspended until you type a\n\
             recovery code or your administrator ends it.\n\
             Limit wrong-codes-in-a-row, since 08:40.\n",
        ),
        (Why::Country, "Codes can no longer be sent to your number's country.\n"),
        (Why::Full, "The disk of the login-code service on web01 is full:\nno code can be sent.\n"),
        (Why::Over, "There is no code for this login. The next login gets one again.\n"),
    ];
    let zone = zone();
    for (why, text) in cases {
        let commands = "Type a recovery code, or: q = give up, ? = help\nCode: ";
        let step = withheld(&asked(why), &setting(&zone));
        assert_eq!(prompt(&step), format!("{text}{commands}"), "{why:?}");
        let again = withheld_again(WithheldNotice::Begin, &asked(why), &setting(&zone));
        assert_eq!(again, step);
        let help = withheld_again(WithheldNotice::Help, &asked(why), &setting(&zone));
        let remedy = "A recovery code has 24 letters and digits; 7 are left.\n\
                      q = give up   Request id 78X3-ME\nCode: ";
        assert_eq!(long(&help), format!("{text}{remedy}"), "{why:?}");
    }
}

/// Help may be a line longer.
fn long(step: &otp_proto::login::Step) -> &str {
    let text = &step.prompt.as_ref().expect("a prompt").text;
    text.split('\n').for_each(fits);
    text
}

#[test]
fn a_wrong_recovery_code() {
    let zone = zone();
    for (tries_left, left) in [(4, "4 tries"), (1, "1 try")] {
        let notice = WithheldNotice::Wrong { tries_left };
        let step = withheld_again(notice, &asked(Why::Country), &setting(&zone));
        let text = format!(
            "That is not one of your recovery codes. {left} left in this hour.\n\
             Type a recovery code, or: q = give up, ? = help\nCode: "
        );
        assert_eq!(prompt(&step), text);
    }
    let failed = View { progress: Progress::Failed, resend_in: 0, recovery: 3, ..view() };
    let cases = [
        (
            Notice::RecoveryWrong { tries_left: 0 },
            View { recovery: 0, ..view() },
            "That is not one of your recovery codes. 0 tries left in this hour.\n\
             Type the code, or: r = send again, v = voice call, ? = help\nCode: ",
        ),
        (
            Notice::RecoveryHeld(held(LimitName::RecoveryCodesPerHour, Some(NOW.after(DAY)))),
            View { recovery: 0, ..view() },
            "Too many wrong recovery codes. Yours was not compared and stays good.\n\
             None is taken until 09:00 on 16 January (in 24 hours).\n\
             Limit recovery-codes-per-hour, since 08:40.\n\
             Type the code, or: r = send again, v = voice call, ? = help\nCode: ",
        ),
        (
            Notice::RecoveryWrong { tries_left: 2 },
            failed,
            "That is not one of your recovery codes. 2 tries left in this hour.\n\
             Type a recovery code, or:\n\
             r = try again, v = voice call, ? = help\nCode: ",
        ),
        (
            Notice::NoRecovery,
            view(),
            "There are no recovery codes left for this account. New ones come from\n\
             your administrator.\n\
             Type the code, or: r = send again, v = voice call, ? = help\nCode: ",
        ),
    ];
    for (notice, view, text) in cases {
        assert_eq!(prompt(&again(notice, &view, &setting(&zone))), text, "{notice:?}");
    }
}

#[test]
fn a_recovery_code_is_offered_where_there_is_one_and_the_message_failed() {
    let zone = zone();
    let failed = View { progress: Progress::Failed, resend_in: 30, recovery: 8, ..view() };
    assert_eq!(
        prompt(&first(&failed)),
        "The text message to the number ending 42 could not be sent.\n\
         Type a recovery code, or:\n\
         r = try again in 30 seconds, v = voice call, ? = help\nCode: "
    );
    let called = View { channel: Channel::Voice, ..failed.clone() };
    assert_eq!(
        prompt(&first(&called)),
        "The call to the number ending 42 could not be sent.\n\
         Type a recovery code, or:\n\
         r = try again in 30 seconds, ? = help\nCode: "
    );
    assert_eq!(
        prompt(&again(Notice::Resent, &failed, &setting(&zone))),
        "Earlier codes no longer work.\n\
         The text message to the number ending 42 could not be sent.\n\
         Type a recovery code, or:\n\
         r = try again in 30 seconds, v = voice call, ? = help\nCode: "
    );
    let held = held(LimitName::MessagesPerHour, Some(NOW.after(MINUTE * 15)));
    assert_eq!(
        prompt(&again(Notice::Held(held), &failed, &setting(&zone))),
        "No more messages can be sent until 09:15 (in 15 minutes).\n\
         Limit messages-per-hour, since 08:40.\n\
         Type a recovery code, or: ? = help\nCode: "
    );
    assert_eq!(
        prompt(&again(Notice::Help, &View { recovery: 8, ..view() }, &setting(&zone))),
        "Type the code of the newest message, ref K7. 3 tries left.\n\
         Or type one of your recovery codes.\n\
         r = send again (in 24 seconds), v = voice call, q = give up\n\
         Request id 78X3-ME\nCode: "
    );
}

#[test]
fn a_denial_after_too_many_wrong_ones_says_until_when() {
    let (zone, until) = (zone(), Some(NOW.after(MINUTE * 15)));
    let held = held(LimitName::RecoveryCodesPerHour, until);
    let request = TOKEN.request();
    let step = denied(Denial::Held(held), &account("alice"), request, &setting(&zone));
    assert_eq!(step.verdict, Some(Verdict::Denied));
    assert_eq!(
        step.text.as_deref(),
        Some(
            "Too many wrong recovery codes.\n\
             None is taken until 09:15 (in 15 minutes).\n\
             Limit recovery-codes-per-hour, since 08:40.\n\
             Request id 78X3-ME"
        )
    );
}

#[test]
fn the_end_says_how_many_are_left() {
    let remedy = "Ask your administrator to run:\notpctl recovery-codes alice";
    let cases = [
        (7, "Recovery code accepted. 7 are left.".to_owned()),
        (3, "Recovery code accepted. 3 are left.".to_owned()),
        (2, format!("Recovery code accepted. Only 2 are left.\n{remedy}")),
        (1, format!("Recovery code accepted. Only 1 is left.\n{remedy}")),
        (0, format!("Recovery code accepted. It was your last one.\n{remedy}")),
    ];
    for (left, expected) in cases {
        let step = recovered(left, &account("alice"));
        assert_eq!((step.verdict, step.prompt.is_none()), (Some(Verdict::Granted), true));
        let text = step.text.expect("a text");
        assert_eq!(text, expected);
        fits(&text);
    }
}

#[test]
fn the_message_to_the_owner_fits_one_segment() {
    assert_eq!(
        *used_text(7, "web01"),
        "A recovery code was used to log in to web01. 7 left. Not you? Tell IT."
    );
    assert_eq!(
        *replaced_text("web01"),
        "Your login codes for web01 go to another number from now on. Not you? Tell IT."
    );
    let host = "w[€".repeat(100);
    for text in [used_text(0, &host), replaced_text(&host)] {
        assert!(text.len() <= 160 && !text.contains(['[', '€']), "{}", *text);
    }
}
