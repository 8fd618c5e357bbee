//! What must hold at every moment, in the words of who stands outside; and what the world must reach, or
//! it would prove nothing.

use stateright::Property;

use super::{
    moment::{Moment, Outcome, Session},
    requests::{answer, begin, digits, draw},
    rows::{MESSAGES_LEFT, WRONG_LEFT, rules, time},
    world::World,
};
use crate::domain::login::{Answered, Begin, Begun};

pub(super) const I1: &str = "I1 one success for a login";
pub(super) const I2: &str = "I2 success is the newest code of this login, in time, charged before";
pub(super) const I3: &str = "I3 no more guesses than the login and the account may have";
pub(super) const I4_I6: &str = "I4, I6 no try comes back, and an end is for good";
pub(super) const I5: &str = "I5 no more messages than the account and the number may get";
pub(super) const I7: &str = "I7 nobody is in without it being on disk";
pub(super) const I8: &str = "I8 whoever has the right code and a free budget gets in";
pub(super) const I8_FRESH: &str = "I8 with free budgets a new login goes through";

pub(super) fn all() -> Vec<Property<World>> {
    vec![
        Property::always(I1, |_, now: &Moment| {
            now.witness.logins.values().all(|fate| fate.granted <= 1)
        }),
        Property::always(I2, |_, now: &Moment| {
            !now.witness.broken.contains(I2) && now.witness.told_wrong <= now.witness.charged
        }),
        Property::always(I3, |_, now: &Moment| {
            let tries = rules().rules.tries;
            now.witness.told_wrong <= WRONG_LEFT
                && now.witness.logins.values().all(|fate| fate.told_wrong <= tries)
        }),
        Property::always(I4_I6, |_, now: &Moment| !now.witness.broken.contains(I4_I6)),
        Property::always(I5, |_, now: &Moment| now.witness.unanswered() <= MESSAGES_LEFT),
        Property::always(I7, |_, now: &Moment| {
            let mut granted = now.sessions.iter().filter(|session| session_granted(session));
            granted.all(|session| {
                let fate = session.token.and_then(|token| now.witness.logins.get(&token));
                fate.is_some_and(|fate| fate.end == Some("used"))
            })
        }),
        Property::always(I8, |_, now: &Moment| the_right_code_lets_in(now)),
        Property::always(I8_FRESH, |_, now: &Moment| a_new_login_goes_through(now)),
        ended("used"),
        ended("spent"),
        ended("expired"),
        ended("cancelled"),
        ended("superseded"),
        Property::sometimes("everybody is in", |_, now: &Moment| {
            now.sessions.iter().all(session_granted)
        }),
        Property::sometimes(
            "in although an answer was lost or a daemon died",
            |_, now: &Moment| now.faults > 0 && now.sessions.iter().any(session_granted),
        ),
        Property::sometimes("used, and nobody was told", |_, now: &Moment| {
            let unanswered = |end| end == Some(Outcome::Unanswered);
            now.sessions.iter().any(|session| unanswered(session.end))
                && now.witness.logins.values().any(|fate| fate.end == Some("used"))
                && !now.sessions.iter().any(session_granted)
        }),
        Property::sometimes("the account's guesses are used up", |_, now: &Moment| {
            now.witness.told_wrong == WRONG_LEFT
        }),
        Property::sometimes("the account's messages are used up", |_, now: &Moment| {
            now.witness.unanswered() == MESSAGES_LEFT
        }),
        Property::sometimes("a message was taken back", |_, now: &Moment| {
            now.witness.messages.iter().any(|message| message.refunded)
        }),
        Property::sometimes("two codes for one login", |_, now: &Moment| now.phone.len() > 2),
    ]
}

/// A login that was stored ends so.
fn ended(how: &'static str) -> Property<World> {
    let condition = match how {
        "used" => |_: &World, now: &Moment| reached(now, "used"),
        "spent" => |_: &World, now: &Moment| reached(now, "spent"),
        "expired" => |_: &World, now: &Moment| reached(now, "expired"),
        "cancelled" => |_: &World, now: &Moment| reached(now, "cancelled"),
        _ => |_: &World, now: &Moment| reached(now, "superseded"),
    };
    Property::sometimes(how, condition)
}

fn reached(now: &Moment, how: &str) -> bool {
    now.witness.logins.values().any(|fate| fate.end == Some(how))
}

fn session_granted(session: &Session) -> bool {
    session.end == Some(Outcome::Granted)
}

fn is_quiet(now: &Moment) -> bool {
    now.daemons.iter().all(|daemon| daemon.job.is_none())
}

/// Tried from here: each session that could type the newest code of its login does, and nothing else
/// happens.
fn the_right_code_lets_in(now: &Moment) -> bool {
    let at = time(now.ticks);
    let free = now.witness.charged < WRONG_LEFT;
    !free
        || !is_quiet(now)
        || now.sessions.iter().filter(|session| session.end.is_none()).all(|session| {
            let Some(token) = session.token else { return true };
            let Some(newest) = now.witness.newest(token) else { return true };
            if session.waiting.is_some()
                || !now.witness.lives(token, at)
                || !now.phone.contains(&newest.drawn)
            {
                return true;
            }
            let instance = now.daemons[0].instance;
            let answer = answer(token, &digits(newest.drawn), draw(now.drawn), instance);
            matches!(answer.decide(now.rows.records(), at).answer, Answered::Granted)
        })
}

/// Tried from here: one more session begins, gets its message and types the code.
fn a_new_login_goes_through(now: &Moment) -> bool {
    let witness = &now.witness;
    if !is_quiet(now) || witness.charged >= WRONG_LEFT || witness.unanswered() >= MESSAGES_LEFT {
        return true;
    }
    let (at, instance) = (time(now.ticks), now.daemons[0].instance);
    let first = Begin { draw: draw(now.drawn), ..begin(u8::MAX, instance) };
    let begun = first.decide(now.rows.records(), at);
    let Begun::Issued(view, order) = begun.answer else { return false };
    let answer = answer(view.token, order.code.expose(), draw(now.drawn + 1), instance);
    matches!(answer.decide(&begun.records, at).answer, Answered::Granted)
}
