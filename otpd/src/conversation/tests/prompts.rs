//! What stands above `Code: `.

use super::{NOW, held, prompt, setting, view, zone};
use crate::{
    conversation::{again, first},
    domain::{
        budget::LimitName,
        challenge::Channel,
        login::{Notice, Progress, View},
        time::{DAY, MINUTE},
    },
};

fn calling() -> View {
    View { channel: Channel::Voice, ..view() }
}

#[test]
fn the_first_prompt() {
    let sms = view();
    let cases = [
        (
            "sent",
            sms.clone(),
            "Code sent by text message to the number ending 42 (ref K7).\n\
             Type the code, or: r = send again, v = voice call, ? = help\n\
             Code: ",
        ),
        (
            "no vendor has answered",
            View { progress: Progress::Sending, ..sms.clone() },
            "A code is being sent by text message to the number ending 42 (ref K7).\n\
             Type the code, or: r = send again, v = voice call, ? = help\n\
             Code: ",
        ),
        (
            "nothing can call",
            View { may_call: false, ..sms.clone() },
            "Code sent by text message to the number ending 42 (ref K7).\n\
             Type the code, or: r = send again, ? = help\n\
             Code: ",
        ),
        (
            "no resend is left",
            View { may_resend: false, may_call: false, ..sms.clone() },
            "Code sent by text message to the number ending 42 (ref K7).\n\
             Type the code, or: ? = help\n\
             Code: ",
        ),
        (
            "failed",
            View { progress: Progress::Failed, resend_in: 30, ..sms.clone() },
            "The text message to the number ending 42 could not be sent.\n\
             r = try again in 30 seconds, v = voice call, ? = help\n\
             Code: ",
        ),
        (
            "stopped",
            View { progress: Progress::Stopped, resend_in: 30, may_call: false, ..sms.clone() },
            "Messages to the number ending 42 were stopped by a reply with STOP.\n\
             Send START to their sender, then ask your administrator: otpctl unlock\n\
             r = try again in 30 seconds, ? = help\n\
             Code: ",
        ),
        (
            "stopped, with recovery codes",
            View {
                progress: Progress::Stopped,
                resend_in: 0,
                may_call: false,
                recovery: 8,
                ..sms.clone()
            },
            "Messages to the number ending 42 were stopped by a reply with STOP.\n\
             Send START to their sender, then ask your administrator: otpctl unlock\n\
             Type a recovery code, or:\n\
             r = try again, ? = help\n\
             Code: ",
        ),
        (
            "failed, a while ago",
            View { progress: Progress::Failed, resend_in: 0, may_call: false, ..sms },
            "The text message to the number ending 42 could not be sent.\n\
             r = try again, ? = help\n\
             Code: ",
        ),
        (
            "a call",
            calling(),
            "The number ending 42 is being called with a code (ref K7).\n\
             Type the code, or: r = call again, ? = help\n\
             Code: ",
        ),
        (
            "a call, no vendor has answered",
            View { progress: Progress::Sending, ..calling() },
            "A call with a code is being placed to the number ending 42 (ref K7).\n\
             Type the code, or: r = call again, ? = help\n\
             Code: ",
        ),
        (
            "a call failed",
            View { progress: Progress::Failed, resend_in: 1, ..calling() },
            "The call to the number ending 42 could not be sent.\n\
             r = try again in 1 second, ? = help\n\
             Code: ",
        ),
    ];
    for (name, view, text) in cases {
        assert_eq!(prompt(&first(&view)), text, "{name}");
    }
}

fn reads(cases: &[(Notice, View, &str)]) {
    let zone = zone();
    for (notice, view, text) in cases {
        let step = again(*notice, view, &setting(&zone));
        assert_eq!(prompt(&step), format!("{text}Code: "), "{notice:?}");
    }
}

#[test]
fn the_prompt_after_an_answer() {
    let spent = View { may_resend: false, may_call: false, resend_in: 60, ..view() };
    reads(&[
        (
            Notice::Help,
            view(),
            "Type the code of the newest message, ref K7. 3 tries left.\n\
             r = send again (in 24 seconds), v = voice call, q = give up\n\
             Request id 78X3-ME\n",
        ),
        (
            Notice::Help,
            View { resend_in: 0, tries_left: 1, ..calling() },
            "Type the code of the newest message, ref K7. 1 try left.\n\
             r = call again, q = give up\n\
             Request id 78X3-ME\n",
        ),
        (
            Notice::Help,
            spent.clone(),
            "Type the code of the newest message, ref K7. 3 tries left.\n\
             q = give up\n\
             Request id 78X3-ME\n",
        ),
        (
            Notice::Wrong,
            View { tries_left: 2, ..view() },
            "That code is not right. 2 tries left. Check the newest message.\n\
             Type the code, or: r = send again, v = voice call, ? = help\n",
        ),
        (
            Notice::Wrong,
            View { tries_left: 1, ..spent.clone() },
            "That code is not right. 1 try left. Check the newest message.\n\
             Type the code, or: ? = help\n",
        ),
        (Notice::Earlier, view(), "That is an earlier code. Use the newest one, ref K7.\n"),
    ]);
}

/// The newest code went nowhere: nobody is to look for it.
#[test]
fn the_prompt_after_an_answer_where_no_code_was_sent() {
    let failed = View { progress: Progress::Failed, resend_in: 30, ..view() };
    let stopped = View { progress: Progress::Stopped, resend_in: 0, recovery: 2, ..view() };
    let spent = View { may_resend: false, may_call: false, recovery: 2, ..failed.clone() };
    reads(&[
        (
            Notice::Earlier,
            failed.clone(),
            "That is an earlier code, which works no more.\n\
             The text message to the number ending 42 could not be sent.\n\
             r = try again in 30 seconds, v = voice call, ? = help\n",
        ),
        (
            Notice::Wrong,
            View { tries_left: 2, ..stopped.clone() },
            "That code is not right. 2 tries left.\n\
             Messages to the number ending 42 were stopped by a reply with STOP.\n\
             Type a recovery code, or:\n\
             r = try again, v = voice call, ? = help\n",
        ),
        (
            Notice::NoMoreMessages,
            spent,
            "No more codes are sent in this login.\n\
             The text message to the number ending 42 could not be sent.\n\
             Type a recovery code, or: ? = help\n",
        ),
        (
            Notice::Help,
            failed,
            "The text message to the number ending 42 could not be sent.\n\
             r = send again (in 30 seconds), v = voice call, q = give up\n\
             Request id 78X3-ME\n",
        ),
    ]);
}

#[test]
fn the_prompt_after_a_fresh_code() {
    let failed = View { progress: Progress::Failed, resend_in: 30, ..view() };
    let expired = Notice::Renewed { expired_at: NOW.before(MINUTE) };
    reads(&[
        (
            expired,
            view(),
            "That code expired at 08:59. This did not use a try.\n\
             A new one was sent to the number ending 42 (ref K7).\n",
        ),
        (
            expired,
            View { progress: Progress::Sending, ..view() },
            "That code expired at 08:59. This did not use a try.\n\
             A new one is being sent to the number ending 42 (ref K7).\n",
        ),
        (
            expired,
            failed.clone(),
            "That code expired at 08:59. This did not use a try.\n\
             The text message to the number ending 42 could not be sent.\n\
             r = try again in 30 seconds, v = voice call, ? = help\n",
        ),
        (
            Notice::Renewed { expired_at: NOW.before(DAY) },
            calling(),
            "That code expired at 09:00 on 14 January. This did not use a try.\n\
             The number ending 42 is called with a new code (ref K7).\n",
        ),
        (
            Notice::Resent,
            view(),
            "Earlier codes no longer work.\n\
             A new code was sent to the number ending 42 (ref K7).\n",
        ),
        (
            Notice::Resent,
            failed.clone(),
            "Earlier codes no longer work.\n\
             The text message to the number ending 42 could not be sent.\n\
             r = try again in 30 seconds, v = voice call, ? = help\n",
        ),
        (
            Notice::Replaced,
            View { progress: Progress::Sending, ..view() },
            "Earlier codes no longer work.\n\
             A new code is being sent to the number ending 42 (ref K7).\n",
        ),
    ]);
}

#[test]
fn the_prompt_when_nothing_is_sent() {
    let hour = held(LimitName::UnansweredPerHour, Some(NOW.after(MINUTE * 15)));
    let failed = View { progress: Progress::Failed, resend_in: 30, ..view() };
    let spent = View { may_resend: false, may_call: false, resend_in: 60, ..view() };
    reads(&[
        (Notice::TooSoon { seconds: 24 }, view(), "Please wait 24 seconds before asking again.\n"),
        (Notice::TooSoon { seconds: 1 }, view(), "Please wait 1 second before asking again.\n"),
        (
            Notice::NoMoreMessages,
            spent,
            "No more codes are sent in this login. Use the newest one, ref K7.\n",
        ),
        (
            Notice::Held(hour),
            view(),
            "No more messages can be sent until 09:15 (in 15 minutes).\n\
             Limit unanswered-per-hour, since 08:40.\n\
             The newest code, ref K7, still works.\n",
        ),
        (
            Notice::Held(hour),
            failed,
            "No more messages can be sent until 09:15 (in 15 minutes).\n\
             Limit unanswered-per-hour, since 08:40.\n",
        ),
        (
            Notice::NoVoice,
            View { may_call: false, ..view() },
            "Voice calls are not available here.\n\
             Type the code, or: r = send again, ? = help\n",
        ),
    ]);
}

#[test]
fn a_resend_to_who_wants_no_messages_says_so() {
    let stopped = "Messages to the number ending 42 were stopped by a reply with STOP.\n\
                   Send START to their sender, then ask your administrator: otpctl unlock\n";
    let cases = [
        (Progress::Sent, "The newest code, ref K7, still works.\nCode: "),
        (Progress::Sending, "The newest code, ref K7, still works.\nCode: "),
        (Progress::Stopped, "r = try again in 24 seconds, ? = help\nCode: "),
    ];
    for (progress, rest) in cases {
        let mut view = view();
        view.report(progress);
        let step = again(Notice::Stopped, &view, &setting(&zone()));
        assert_eq!(prompt(&step), format!("{stopped}{rest}"), "{progress:?}");
    }
}
