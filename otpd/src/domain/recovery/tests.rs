use std::time::Duration;

use rand::{SeedableRng, rngs::StdRng};

use super::{
    CODES, CROCKFORD, Entered, MakeCodes, Outcome, Recovery, RecoveryCode, RecoveryHash, Refusal,
    StandIn, WRONG_PER_HOUR,
};
use crate::domain::{
    audit::Event,
    budget::Standing,
    passcode::{ChallengeToken, CodeKey, Passcode, Purpose},
    scene::{START, Scene, account},
    time::{DAY, HOUR, MINUTE, Timestamp},
};

fn key() -> CodeKey {
    CodeKey::new(1, [7; 32])
}

fn code(text: &str) -> RecoveryCode {
    RecoveryCode::typed(text).expect("a recovery code's shape")
}

fn hash(code: &RecoveryCode) -> RecoveryHash {
    RecoveryHash::of(&key(), &account("alice"), code)
}

/// A full set and its plain codes.
fn full(seed: u64) -> (Recovery, Vec<RecoveryCode>) {
    let mut rng = StdRng::seed_from_u64(seed);
    let codes = (0..CODES).map(|_| RecoveryCode::generate(&mut rng)).collect::<Vec<_>>();
    let mut recovery = Recovery::default();
    recovery.replace(&key(), codes.iter().map(hash).collect(), START);
    (recovery, codes)
}

#[test]
fn every_digit_is_equally_likely_everywhere() {
    let mut rng = StdRng::seed_from_u64(1);
    let mut counts = [[0u32; 32]; 24];
    for _ in 0..32_000 {
        for (position, byte) in RecoveryCode::generate(&mut rng).0.bytes().enumerate() {
            let value = CROCKFORD.iter().position(|digit| *digit == byte).expect("a digit");
            counts[position][value] += 1;
        }
    }
    for (position, counts) in counts.iter().enumerate() {
        // Chi-square with 31 degrees of freedom: 74 is passed once in fifty thousand.
        let chi: f64 =
            counts.iter().map(|count| (f64::from(*count) - 1000.0).powi(2) / 1000.0).sum();
        assert!(chi < 74.0, "position {position}: {counts:?}");
    }
}

#[test]
fn typed_codes_are_recognised_by_shape() {
    let whole = "0123-4567-89AB-CDEF-GHJK-MNPQ";
    let cases = [
        ("as it was printed", whole, Some("0123456789ABCDEFGHJKMNPQ")),
        ("without dashes", "0123456789ABCDEFGHJKMNPQ", Some("0123456789ABCDEFGHJKMNPQ")),
        ("lower case", "0123-4567-89ab-cdef-ghjk-mnpq", Some("0123456789ABCDEFGHJKMNPQ")),
        ("with spaces", " 0123 4567 89AB CDEF GHJK MNPQ ", Some("0123456789ABCDEFGHJKMNPQ")),
        (
            "what is easily misread",
            "OoIi-Ll23-4567-89AB-CDEF-GHJK",
            Some("00111123456789ABCDEFGHJK"),
        ),
        ("a digit short", "0123-4567-89AB-CDEF-GHJK-MNP", None),
        ("a digit long", "0123-4567-89AB-CDEF-GHJK-MNPQR", None),
        ("U is no digit", "U123-4567-89AB-CDEF-GHJK-MNPQ", None),
        ("other scripts' letters", "А123-4567-89AB-CDEF-GHJK-MNPQ", None),
        ("a passcode", "482913", None),
        ("a sentence of that length", "what is this code then?!", None),
        ("nothing", "", None),
        ("at the end of 96 bytes", &format!("{whole:>96}"), Some("0123456789ABCDEFGHJKMNPQ")),
        ("of 97", &format!("{whole:>97}"), None),
    ];
    for (name, text, canonical) in cases {
        let typed = RecoveryCode::typed(text);
        assert_eq!(typed.as_ref().map(|code| code.0.as_str()), canonical, "{name}");
    }
    assert_eq!(*code(whole).grouped(), whole);
}

#[test]
fn a_hash_serves_its_own_account_and_key_only() {
    let (mut rng, alice) = (StdRng::seed_from_u64(2), account("alice"));
    let (one, other) = (RecoveryCode::generate(&mut rng), RecoveryCode::generate(&mut rng));
    let right = hash(&one);
    let keyed = |key: CodeKey, name: &str| RecoveryHash::of(&key, &account(name), &one);
    let cases = [
        ("the same", hash(&one), true),
        ("another code", hash(&other), false),
        ("another account", keyed(key(), "bob"), false),
        ("another key", keyed(CodeKey::new(1, [8; 32]), "alice"), false),
    ];
    for (name, hash, same) in cases {
        assert_eq!(right == hash, same, "{name}");
    }
    // Not even a passcode of the same digits is hashed to the same.
    let digits = "1".repeat(24);
    let passcode = Passcode::typed(&digits, 24).expect("digits");
    let challenge = key().hash(Purpose::Login, ChallengeToken([0; 16]), &alice, &passcode);
    let bytes = minicbor::to_vec(challenge).expect("a form");
    let half = hash(&code(&digits)).0;
    assert!(!bytes.windows(16).any(|part| part == half));
}

#[test]
fn each_code_is_right_once() {
    let (mut recovery, codes) = full(1);
    for (used, code) in codes.iter().enumerate() {
        let left = u8::try_from(CODES - used - 1).expect("few");
        assert_eq!(
            recovery.enter(&key(), &hash(code), Standing::Other, START),
            Entered::Right { left }
        );
        let again = recovery.enter(&key(), &hash(code), Standing::Other, START);
        if left == 0 {
            assert_eq!(again, Entered::NoCodes);
        } else {
            assert!(matches!(again, Entered::Wrong { .. }), "{again:?}");
            // Out of the budget's way, which is another test's.
            recovery.wrong.clear();
        }
    }
    assert_eq!((recovery.left(), recovery.usable(Standing::Other, START)), (0, 0));
}

#[test]
fn five_wrong_ones_in_an_hour_hold_until_the_oldest_is_an_hour_old() {
    let (mut recovery, codes) = full(1);
    let (stranger, ms) = (hash(&full(2).1[0]), Duration::from_millis(1));
    for (nth, tries_left) in (0..WRONG_PER_HOUR).zip([4, 3, 2, 1, 0]) {
        assert!(recovery.held(Standing::Other, START).is_none(), "after {nth}");
        let now = START.after(MINUTE * u32::try_from(nth).expect("few"));
        assert_eq!(
            recovery.enter(&key(), &stranger, Standing::Other, now),
            Entered::Wrong { tries_left }
        );
    }
    let (full_at, free_at) = (START.after(MINUTE * 4), START.after(HOUR));
    let held = recovery.held(Standing::Other, full_at).expect("held");
    assert_eq!((held.since, held.until), (full_at, Some(free_at)));
    // Not even a right one is compared, and none is lost.
    let right = hash(&codes[0]);
    assert_eq!(recovery.enter(&key(), &right, Standing::Other, full_at), Entered::Held(held));
    assert!(matches!(
        recovery.enter(&key(), &right, Standing::Other, free_at.before(ms)),
        Entered::Held(_)
    ));
    assert_eq!((recovery.usable(Standing::Other, full_at), recovery.left()), (0, 8));
    assert_eq!(
        recovery.enter(&key(), &right, Standing::Other, free_at),
        Entered::Right { left: 7 }
    );
    // A right one is not charged: the second oldest is still there, and one try is free.
    assert_eq!(
        recovery.enter(&key(), &stranger, Standing::Other, free_at),
        Entered::Wrong { tries_left: 0 }
    );
}

#[test]
fn a_known_source_is_told_of_all_the_wrong_ones_that_it_may_have() {
    let stranger = hash(&full(2).1[0]);
    for elsewhere in 0..=WRONG_PER_HOUR {
        let (mut recovery, _) = full(1);
        for _ in 0..elsewhere {
            let _ = recovery.enter(&key(), &stranger, Standing::Other, START);
        }
        for left in (0..2 * WRONG_PER_HOUR - elsewhere).rev() {
            assert_eq!(recovery.held(Standing::Known, START), None, "{elsewhere}: {left}");
            let entered = recovery.enter(&key(), &stranger, Standing::Known, START);
            let tries_left = u8::try_from(left).expect("few");
            assert_eq!(entered, Entered::Wrong { tries_left }, "{elsewhere}");
        }
        assert!(recovery.held(Standing::Known, START).is_some(), "{elsewhere}");
    }
}

#[test]
fn a_clock_that_jumps_hands_out_no_tries() {
    for (name, back, forward) in
        [("back", DAY, Duration::ZERO), ("forward and back", Duration::ZERO, DAY)]
    {
        let (mut recovery, _) = full(1);
        let stranger = hash(&full(2).1[0]);
        for _ in 0..3 {
            let _ = recovery.enter(&key(), &stranger, Standing::Other, START.after(forward));
        }
        let now = START.before(back);
        for _ in 0..2 {
            assert!(matches!(
                recovery.enter(&key(), &stranger, Standing::Other, now),
                Entered::Wrong { .. }
            ));
        }
        let held = recovery.held(Standing::Other, now).expect(name);
        assert!(held.since <= now && held.until <= Some(now.after(HOUR)), "{name}: {held:?}");
    }
}

#[test]
fn a_new_set_voids_the_old_one_and_clears_no_window() {
    let (mut recovery, old) = full(1);
    let (_, new) = full(2);
    for _ in 0..4 {
        let _ = recovery.enter(&key(), &hash(&full(3).1[0]), Standing::Other, START);
    }
    recovery.replace(&key(), new.iter().map(hash).collect(), START);
    assert_eq!(
        recovery.enter(&key(), &hash(&new[3]), Standing::Other, START),
        Entered::Right { left: 7 }
    );
    assert_eq!(
        recovery.enter(&key(), &hash(&old[3]), Standing::Other, START),
        Entered::Wrong { tries_left: 0 }
    );
    recovery.replace(&key(), new.iter().map(hash).collect(), START);
    assert!(recovery.held(Standing::Other, START).is_some(), "what counts against guessing stays");
    recovery.forget();
    assert!(recovery.held(Standing::Other, START).is_some() && recovery.left() == 0);
}

/// A row of before the time of a set was kept, which no newer program writes.
#[derive(minicbor::Encode)]
struct OldRow<'a> {
    #[n(0)]
    key_id: u32,
    #[n(1)]
    codes: &'a [RecoveryHash],
    #[n(2)]
    wrong: Vec<Timestamp>,
    #[n(3)]
    reserve: Vec<Timestamp>,
    #[n(4)]
    untold: Option<ChallengeToken>,
}

/// What an older program stored, with so many codes.
fn old_row(codes: usize) -> Recovery {
    let (new, _) = full(1);
    let (wrong, codes) = (vec![START], &new.codes[..codes]);
    let old = OldRow { key_id: 1, codes, wrong, reserve: Vec::new(), untold: None };
    minicbor::decode(&minicbor::to_vec(old).expect("bytes")).expect("a row")
}

#[test]
fn rows_without_the_time_of_their_set_are_read() {
    let old = old_row(CODES);
    assert_eq!((old.made_at, old.left(), old.wrong), (Timestamp(0), 8, vec![START]));
    // Whose number it is, codes here and codes there; how many are good.
    let rows = [
        ("a lost database", StandIn::Only, 0, 3, 3),
        ("used up here", StandIn::Own { since: START }, 0, 3, 0),
        ("used up there", StandIn::Own { since: START }, 3, 0, 0),
        ("one used there", StandIn::Newer, 3, 2, 2),
        ("nobody's", StandIn::Nobody, 0, 3, 0),
        ("of somebody without a number", StandIn::Only, 2, 3, 2),
    ];
    for (name, number, here, there, good) in rows {
        let mut merged = old_row(here);
        merged.merge(&old_row(there), number, START);
        assert_eq!(merged.left(), good, "{name}");
        let once = merged.clone();
        merged.merge(&old_row(there), StandIn::Own { since: START }, START);
        assert_eq!(merged, once, "{name}: twice is once");
    }
    let mut merged = old_row(3);
    merged.merge(&full(2).0, StandIn::Newer, START);
    assert_eq!(merged.left(), 8, "a set whose time is known is newer");
}

#[test]
fn of_two_sets_the_newer_counts_and_of_one_what_both_have() {
    let set = |seed, at| Recovery { made_at: at, ..full(seed).0 };
    let used_up = |at| Recovery { codes: Vec::new(), key_id: 0, ..set(1, at) };
    let (none, later) = (Recovery::default(), START.after(HOUR));
    // Whose number it is, the copies here and there, and of which of them the codes are.
    let rows = [
        ("none here, made for this number", START, &none, &set(2, later), 2),
        ("none here, of a number before it", later.after(HOUR), &none, &set(2, later), 0),
        ("an older one here, of a number before it", later, &set(1, START), &set(2, later), 2),
        ("a set with a newer number", later.after(HOUR), &set(1, START), &set(2, later), 2),
        ("a newer one here", START, &set(1, later), &set(2, START), 1),
        ("the same", START, &set(1, START), &set(1, START), 1),
    ];
    for (name, since, here, there, of) in rows {
        let mut merged = here.clone();
        merged.merge(there, StandIn::Own { since }, later);
        let good = [none.clone(), set(1, START), set(2, START)];
        assert_eq!(merged.codes(), good[of].codes(), "{name}");
        assert_eq!(merged.key_id(), u32::from(of > 0), "{name}");
    }
    for number in [StandIn::Only, StandIn::Newer, StandIn::Own { since: START }] {
        for (here, there) in [
            (used_up(START), set(1, START)),
            (set(1, START), used_up(START)),
            (set(2, START), none.clone()),
        ] {
            let mut merged = here.clone();
            merged.merge(&there, number, START);
            let left = if there == none { 8 } else { 0 };
            assert_eq!((merged.left(), merged.made_at()), (left, START), "{number:?}");
        }
    }
}

#[test]
fn what_lies_in_the_future_ages_from_now_on_and_what_is_old_counts_no_more() {
    let (mut recovery, _) = full(1);
    recovery.wrong = vec![START.before(HOUR), START, START.after(DAY)];
    recovery.reserve = vec![START.after(HOUR)];
    recovery.settle(START);
    assert_eq!((&*recovery.wrong, &*recovery.reserve), (&[START; 2][..], &[START][..]));
    assert_eq!((recovery.key_id(), recovery.codes().len()), (1, CODES));
    recovery.codes.clear();
    recovery.settle(START.after(HOUR));
    assert_eq!(recovery, Recovery { made_at: START, ..Recovery::default() });
}

#[test]
fn what_is_as_good_as_none_says_at_most_when_a_set_was_made() {
    let (full, _) = full(1);
    let mut gone = full.clone();
    gone.forget();
    assert!(gone.is_idle() && Recovery::default().is_idle() && !full.is_idle());
    gone.wrong.push(START);
    assert!(!gone.is_idle(), "it counts against guessing");
}

#[test]
fn codes_of_another_key_are_never_right() {
    let (mut recovery, codes) = full(1);
    let other = CodeKey::new(2, [7; 32]);
    // The same bytes under another name: a restored row of before a change of keys.
    let entered = recovery.enter(&other, &hash(&codes[0]), Standing::Other, START);
    assert_eq!(entered, Entered::Wrong { tries_left: 4 });
    assert_eq!(recovery.left(), 8);
}

#[test]
fn a_set_is_made_for_who_has_a_number() {
    let cases = [
        ("proved", "alice", None),
        ("not proved yet", "carol", None),
        ("switched off", "bob", Some(Refusal::Disabled)),
        ("none", "dave", Some(Refusal::NotEnrolled)),
    ];
    for (name, user, refusal) in cases {
        let mut scene = Scene::new();
        scene.enrolled("carol", "+13125550111");
        let carol = scene.enrollments.get_mut(&account("carol")).expect("enrolled");
        carol.state = crate::domain::enrollment::State::Pending;
        scene.manage("bob", crate::domain::manage::Verb::Disable);
        let (_, codes) = full(1);
        let decision = MakeCodes {
            account: account(user),
            key: key(),
            codes: codes.iter().map(hash).collect(),
            uid: 4,
        };
        scene.audit.clear();
        for replaced in [0, 8] {
            let made = scene
                .decide(Some(account(user)), None, |records, now| decision.decide(records, now));
            let event = scene.audit.pop().map(|event| event.event);
            match (refusal, made) {
                (None, Outcome::Done(())) => {
                    assert_eq!(scene.login(user).recovery.left(), 8, "{name}");
                    assert_eq!(event, Some(Event::RecoveryCodesMade { codes: 8, replaced }));
                }
                (Some(expected), Outcome::Refused(found)) => {
                    let (verb, reason) = ("recovery-codes", expected.as_str());
                    let refused = Event::Refused { verb, reason, until: None };
                    assert_eq!((expected, Some(refused)), (found, event), "{name}");
                    assert_eq!(scene.login(user).recovery.left(), 0, "{name}");
                }
                (_, made) => panic!("{name}: {made:?}"),
            }
        }
    }
}

#[test]
fn secrets_do_not_print() {
    let (recovery, codes) = full(1);
    let text = format!("{:?} {:?} {recovery:?}", codes[0], hash(&codes[0]));
    assert!(text.starts_with("RecoveryCode(..) RecoveryHash(..) Recovery {"), "{text}");
    assert!(!text.contains(codes[0].0.as_str()));
}

proptest::proptest! {
    #[test]
    fn typing_never_panics_and_gives_digits_only(text in proptest::prelude::any::<String>()) {
        if let Some(code) = RecoveryCode::typed(&text) {
            proptest::prop_assert_eq!(code.0.len(), 24);
            proptest::prop_assert!(code.0.bytes().all(|byte| CROCKFORD.contains(&byte)));
        }
    }
}
