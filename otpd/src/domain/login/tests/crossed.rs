//! Every code in every place that takes one: of another login, another account, another purpose, and
//! recovery codes. Only its own place takes it.

use std::collections::BTreeSet;

use super::{Answered, recovery::codes_for};
use crate::domain::{
    challenge::Channel,
    enrollment::State,
    passcode::{ChallengeToken, CodeKey, Purpose},
    proof::{Enroll, Outcome, Verify},
    scene::{Scene, account, code, destination, index, range, sent, ssh},
};

/// Where a code can be typed.
#[derive(Clone, Copy, Debug)]
enum Place {
    /// At the prompt of a login, or at what is taken for one.
    Prompt(&'static str, ChallengeToken),
    /// `otpctl verify`.
    Verify(&'static str),
}

impl Place {
    /// True when what is typed there leads anywhere.
    fn takes(self, scene: &Scene, typed: &str) -> bool {
        // Every try is the first one.
        let mut scene = scene.clone();
        match self {
            Self::Prompt(_, token) => {
                matches!(scene.answer(token, typed), Answered::Granted | Answered::Recovered(_))
            }
            Self::Verify(name) => {
                let (terms, owner) = (scene.terms(), account(name));
                let typed = super::super::Typed::new(typed);
                let verify = Verify { terms, account: owner.clone(), typed, uid: 0 };
                let verified =
                    scene.decide(Some(owner), None, |records, now| verify.decide(records, now));
                matches!(verified, Outcome::Done(_))
            }
        }
    }
}

/// A secret, and the only places that may take it.
struct Secret {
    name: String,
    text: String,
    own: fn(Place, &Secret) -> bool,
    token: Option<ChallengeToken>,
    account: &'static str,
}

/// A number of `name`'s is to be proved; the challenge of it.
fn prove(scene: &mut Scene, name: &str, number: &str) -> ChallengeToken {
    let owner = account(name);
    let enroll = Enroll {
        terms: scene.terms(),
        account: owner.clone(),
        destination: destination(number, crate::domain::phone::Line::Mobile),
        index: index(number),
        range: range(number),
        channel: Channel::Sms,
        replace: false,
        uid: 0,
        draw: scene.draw(),
    };
    let further = Some(index(number));
    let done = scene.decide(Some(owner), further, |records, now| enroll.decide(records, now));
    let Outcome::Done(entered) = done else { panic!("{name}") };
    assert_eq!(entered.enrollment.state, State::Pending);
    let order = *entered.order.expect("a message");
    scene.orders.push(order.clone());
    scene.deliver(&order, sent());
    order.token
}

/// alice and bob are logging in twice each, the second login of each has had its code sent again;
/// carol and dave prove their numbers.
fn stage() -> (Scene, Vec<Place>, Vec<Secret>) {
    let mut scene = Scene::new();
    let mut places = Vec::new();
    let mut secrets = Vec::new();
    for name in ["alice", "bob"] {
        for id in [1, 2] {
            let token = scene.start(ssh(id).of(name).from(id));
            if id == 2 {
                let text = scene.code(token);
                let (name, own) = (format!("the earlier code of {name}"), never as _);
                secrets.push(Secret { name, text, own, token: None, account: "" });
                scene.wait(30);
                scene.asked(token, "r");
            }
            let (title, text) = (format!("the code of {name}'s login {id}"), scene.code(token));
            let token = Some(token);
            secrets.push(Secret { name: title, text, own: this_login, token, account: name });
            places.extend(token.map(|token| Place::Prompt(name, token)));
        }
        let codes = codes_for(&mut scene, name);
        let title = format!("a recovery code of {name}");
        let text = codes.first().expect("a code").clone();
        secrets.push(Secret { name: title, text, own: this_person, token: None, account: name });
        places.push(Place::Verify(name));
    }
    for (name, number) in [("carol", "+13125550188"), ("dave", "+13125550199")] {
        let token = prove(&mut scene, name, number);
        places.extend([Place::Prompt(name, token), Place::Verify(name)]);
        let (title, text) = (format!("the code of {name}'s proof"), scene.code(token));
        secrets.push(Secret { name: title, text, own: this_proof, token: None, account: name });
    }
    (scene, places, secrets)
}

fn never(_: Place, _: &Secret) -> bool {
    false
}

fn this_login(place: Place, secret: &Secret) -> bool {
    matches!(place, Place::Prompt(_, token) if Some(token) == secret.token)
}

fn this_person(place: Place, secret: &Secret) -> bool {
    matches!(place, Place::Prompt(name, _) if name == secret.account)
}

fn this_proof(place: Place, secret: &Secret) -> bool {
    matches!(place, Place::Verify(name) if name == secret.account)
}

#[test]
fn a_code_is_taken_in_its_own_place_only() {
    let (scene, places, secrets) = stage();
    let texts: BTreeSet<_> = secrets.iter().map(|secret| &secret.text).collect();
    assert_eq!(texts.len(), secrets.len(), "no code is another one by chance");
    let (mut taken, mut refused) = (0, 0);
    for secret in &secrets {
        for place in &places {
            let expected = (secret.own)(*place, secret);
            assert_eq!(place.takes(&scene, &secret.text), expected, "{} at {place:?}", secret.name);
            *(if expected { &mut taken } else { &mut refused }) += 1;
        }
    }
    println!("{} codes at {} places: {taken} own, {refused} refused", secrets.len(), places.len());
    // Four logins, a recovery code at two prompts for two, two proofs.
    assert_eq!((taken, refused), (10, 90));
}

/// The same for the hash alone, where even the digits are the same: with one part another it is
/// another hash.
#[test]
fn a_stored_code_is_bound_to_its_purpose_login_and_account() {
    let key = CodeKey::new(1, [7; 32]);
    let mut hashes = Vec::new();
    for purpose in [Purpose::Login, Purpose::Enrollment] {
        for token in [ChallengeToken([1; 16]), ChallengeToken([2; 16])] {
            for name in ["alice", "bob", "alic"] {
                for digits in ["482913", "482914"] {
                    hashes.push(key.hash(purpose, token, &account(name), &code(digits)));
                }
            }
        }
    }
    for (nth, one) in hashes.iter().enumerate() {
        let same = hashes.iter().filter(|other| one.matches(other)).count();
        assert_eq!(same, 1, "hash {nth} of {}", hashes.len());
    }
}
