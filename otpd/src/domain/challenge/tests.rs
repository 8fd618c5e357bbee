use std::time::Duration;

use proptest::prelude::*;
use rand::{SeedableRng, rngs::StdRng};

use super::{
    Challenge, Channel, CodeRules, Delivery, End, Instance, Issuer, Judgement, Question, Resend,
};
use crate::domain::{
    account::Account,
    passcode::{CodeKey, Draw, Passcode, Purpose},
    time::Timestamp,
};

const NOW: Timestamp = Timestamp(1_800_000_000_000);

fn account() -> Account {
    Account::new("alice").expect("a name")
}

fn issuer() -> Issuer {
    Issuer { key: CodeKey::new(1, [7; 32]), instance: Instance(1), host: None }
}

fn draw(seed: u64) -> Draw {
    Draw::new(&mut StdRng::seed_from_u64(seed), 6)
}

fn issue(long: bool) -> (Challenge, Passcode) {
    let account = account();
    let question = Question {
        account: &account,
        purpose: Purpose::Login,
        service: "sshd",
        attempt: None,
        source: None,
        channel: Channel::Sms,
        rules: CodeRules::default(),
        long,
    };
    Challenge::issue(&question, &issuer(), &draw(1), NOW)
}

fn seconds(count: u64) -> Timestamp {
    NOW.after(Duration::from_secs(count))
}

#[test]
fn the_code_is_right_and_nothing_else_is() {
    let (challenge, code) = issue(false);
    let key = &issuer().key;
    assert_eq!(challenge.judge(&account(), key, &code), Judgement::Right);
    let other = draw(2).code;
    assert_eq!(challenge.judge(&account(), key, &other), Judgement::Wrong);
    let bob = Account::new("bob").expect("a name");
    assert_eq!(challenge.judge(&bob, key, &code), Judgement::Wrong);
}

#[test]
fn life_ends_on_the_millisecond_and_a_clock_set_back_ends_it_too() {
    let (challenge, _) = issue(false);
    let cases = [
        ("at issue", NOW, false),
        ("last millisecond", Timestamp(seconds(300).0 - 1), false),
        ("at its end", seconds(300), true),
        ("clock back by 5 s", NOW.before(Duration::from_secs(5)), false),
        ("clock back by more", NOW.before(Duration::from_millis(5001)), true),
    ];
    for (name, now, expired) in cases {
        assert_eq!(challenge.is_expired(now), expired, "{name}");
    }
}

#[test]
fn a_fresh_code_makes_the_old_one_recognised_only() {
    let (mut challenge, old) = issue(false);
    challenge.tries_left = 1;
    let first = challenge.reference();
    let new = challenge
        .reissue(&account(), &issuer(), &draw(1), Channel::Voice, false, seconds(40))
        .expect("live");
    // The same draw gives the same code and reference: the reference must still differ.
    assert_ne!(challenge.reference(), first);
    let newest = challenge
        .reissue(&account(), &issuer(), &draw(2), Channel::Sms, false, seconds(99))
        .expect("live");
    let key = &issuer().key;
    assert_eq!(challenge.judge(&account(), key, &old), Judgement::Earlier);
    assert_eq!(challenge.judge(&account(), key, &new), Judgement::Earlier);
    assert_eq!(challenge.judge(&account(), key, &newest), Judgement::Right);
    assert_eq!(challenge.tries_left, 1, "a resend gives no try back");
    assert_eq!(challenge.expires_at(), seconds(399));
}

#[test]
fn resends_wait_and_end() {
    let (mut challenge, _) = issue(false);
    let cases = [
        ("at once", 0, 0, Resend::In(30)),
        ("a second early", 0, 29, Resend::In(1)),
        ("after the wait", 0, 30, Resend::Now),
        ("the second waits longer", 1, 59, Resend::In(1)),
        ("and may then go", 1, 60, Resend::Now),
        ("a third may not", 2, 299, Resend::Never),
    ];
    for (name, resends, after, expected) in cases {
        challenge.resends = resends;
        assert_eq!(challenge.may_resend(seconds(after)), expected, "{name}");
    }
    challenge.resends = 0;
    assert_eq!(challenge.may_resend(NOW.before(Duration::from_secs(9999))), Resend::In(30));
    challenge.resends = 2;
    challenge.delivery = Delivery::Unsent;
    assert_eq!(challenge.may_resend(seconds(59)), Resend::In(1), "what did not go was no message");
    assert_eq!(challenge.may_resend(seconds(60)), Resend::Now);
}

#[test]
fn long_codes_stay_long() {
    let (mut challenge, code) = issue(true);
    assert_eq!((challenge.digits, code.expose().len()), (8, 8));
    let next = challenge
        .reissue(&account(), &issuer(), &draw(3), Channel::Sms, false, seconds(40))
        .expect("live");
    assert_eq!(next.expose().len(), 8);
}

#[test]
fn a_code_is_lost_with_the_daemon_that_was_sending_it() {
    let (mut challenge, _) = issue(false);
    assert!(!challenge.is_lost(Instance(1)));
    assert!(challenge.is_lost(Instance(2)));
    challenge.delivery = Delivery::Accepted { gateway: "telnyx".into() };
    assert!(!challenge.is_lost(Instance(2)));
}

fn ends() -> impl Strategy<Value = End> {
    prop_oneof![
        Just(End::Used),
        Just(End::Spent),
        Just(End::Expired),
        Just(End::Cancelled),
        Just(End::Superseded)
    ]
}

proptest! {
    #[test]
    fn an_end_is_for_good(first in ends(), later in prop::collection::vec(ends(), 0..5)) {
        let (mut challenge, code) = issue(false);
        prop_assert!(challenge.end(first, NOW));
        let ended = challenge.clone();
        for end in later {
            prop_assert!(!challenge.end(end, seconds(1)));
        }
        prop_assert!(challenge.reissue(&account(), &issuer(), &draw(4), Channel::Sms, false, NOW).is_none());
        prop_assert_eq!(&challenge, &ended);
        prop_assert_eq!(challenge.judge(&account(), &issuer().key, &code), Judgement::Wrong);
    }

    #[test]
    fn stored_form_round_trips(long in any::<bool>(), reissues in 0u64..3, end in prop::option::of(ends())) {
        let (mut challenge, _) = issue(long);
        for seed in 0..reissues {
            let _ = challenge.reissue(&account(), &issuer(), &draw(seed), Channel::Voice, false, seconds(seed));
        }
        if let Some(end) = end {
            challenge.end(end, NOW);
        }
        let bytes = minicbor::to_vec(&challenge).unwrap();
        prop_assert_eq!(minicbor::decode::<Challenge>(&bytes).unwrap(), challenge);
    }
}

/// The first version's rows have no field 16: what they hold is read as it was.
#[test]
fn a_challenge_of_the_first_version_is_read() {
    let (challenge, _) = issue(false);
    let bytes = minicbor::to_vec(&challenge).expect("a stored form");
    // CBOR: the head of an array of 17, and the zero at its end.
    assert_eq!((bytes[0], bytes[bytes.len() - 1]), (0x91, 0));
    let mut old = bytes[..bytes.len() - 1].to_vec();
    old[0] = 0x90;
    assert_eq!(minicbor::decode::<Challenge>(&old).expect("a challenge"), challenge);
    let newer = Challenge { repeats: 2, ..challenge };
    let bytes = minicbor::to_vec(&newer).expect("a stored form");
    assert_eq!(minicbor::decode::<Challenge>(&bytes).expect("a challenge"), newer);
}

/// In the configuration, on the wire and in the audit trail: they never change.
#[test]
fn words_are_fixed() {
    assert_eq!([Channel::Sms, Channel::Voice].map(Channel::as_str), ["sms", "voice"]);
    let ends = [End::Used, End::Spent, End::Expired, End::Cancelled, End::Superseded];
    let words = ["used", "spent", "expired", "cancelled", "superseded"];
    assert_eq!(ends.map(End::as_str), words);
}
