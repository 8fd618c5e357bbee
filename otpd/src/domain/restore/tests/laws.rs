//! Laws of two copies of what counts against somebody: merged, it holds as long as in either, and twice
//! is once.

use std::{fmt::Debug, time::Duration};

use proptest::prelude::*;

use super::wanted;
use crate::domain::{
    budget::{Budget, Conversion, Failures, Held, Limits, Messages, Purse, Standing, Traffic},
    bypass::{BypassId, GrantBypass},
    challenge::Channel,
    opt_out::OptOut,
    passcode::ChallengeToken,
    recovery::StandIn,
    scene::{START, Scene, account},
    time::{DAY, HOUR, MINUTE, Timestamp},
};

/// Ages of events, in minutes before the restore: clusters that fill windows, also of the same time.
fn ages() -> impl Strategy<Value = Vec<u64>> {
    prop::collection::vec(prop_oneof![0u64..70, 0u64..1500, 0u64..50_000, Just(5)], 0..40)
}

fn at(age: u64) -> Timestamp {
    START.before(MINUTE.saturating_mul(u32::try_from(age).expect("minutes")))
}

prop_compose! {
    fn failures()(common in ages(), reserve in ages(), forgiven in ages(), row in 0..110u32) -> Failures {
        let mut failures = Failures::default();
        let charge = |failures: &mut Failures, ages: &[u64], purse| {
            let mut ages = ages.to_vec();
            ages.sort_unstable_by(|one, other| other.cmp(one));
            for age in ages {
                failures.charge(purse, at(age));
            }
        };
        charge(&mut failures, &forgiven, Purse::Common);
        failures.unlock();
        charge(&mut failures, &common, Purse::Common);
        charge(&mut failures, &reserve, Purse::Reserve);
        failures.succeed();
        if row >= 60 {
            for _ in 0..row {
                failures.charge(Purse::Common, at(49_000));
            }
        }
        failures
    }
}

prop_compose! {
    fn messages()(
        sent in prop::collection::vec((0u64..1500, 0u8..6, any::<bool>(), any::<bool>()), 0..40),
        answered in prop::collection::vec(0u8..6, 0..4),
        refunded in prop::collection::vec(0usize..40, 0..15),
    ) -> Messages {
        let mut messages = Messages::default();
        let mut sent = sent;
        sent.sort_unstable_by(|one, other| other.cmp(one));
        for (age, login, voice, reserve) in &sent {
            let channel = if *voice { Channel::Voice } else { Channel::Sms };
            let purse = if *reserve { Purse::Reserve } else { Purse::Common };
            messages.charge(ChallengeToken([*login; 16]), channel, purse, at(*age));
        }
        for place in refunded {
            if let Some((age, login, ..)) = sent.get(place) {
                messages.refund(ChallengeToken([*login; 16]), at(*age), START);
            }
        }
        for login in answered {
            messages.answer(ChallengeToken([login; 16]));
        }
        messages
    }
}

prop_compose! {
    fn budget()(messages in messages(), proofs in ages(), stopped in any::<bool>()) -> Budget {
        let mut budget = Budget::default();
        budget.messages.merge(&messages, START);
        for age in proofs {
            budget.charge_proof(at(age));
        }
        budget.opted_out = stopped.then(|| OptOut { at: START, gateway: "telnyx".to_owned() });
        budget
    }
}

prop_compose! {
    fn traffic()(mut events in prop::collection::vec((0u64..1500, 0u8..5), 0..120)) -> Traffic {
        let mut traffic = Traffic::default();
        events.sort_unstable_by(|one, other| other.cmp(one));
        for (age, what) in events {
            match what {
                0 => traffic.charge_all(at(age)),
                1 => { traffic.charge_all(at(age)); traffic.answer(at(age)); }
                2 => { traffic.charge_wrong(2, at(age)); }
                3 => traffic.close(at(age)),
                _ => { traffic.find_low_conversion(at(age)); }
            }
        }
        traffic
    }
}

/// Times at which limits are asked for.
fn later() -> [Timestamp; 5] {
    [Duration::ZERO, MINUTE * 7, MINUTE * 31, HOUR * 5, DAY].map(|span| START.after(span))
}

/// Until when a limit holds: nothing, a time, or for ever.
fn until(held: Option<Held>) -> i64 {
    held.map_or(i64::MIN, |held| held.until.map_or(i64::MAX, |until| until.0))
}

/// Whichever copy comes again, nothing changes.
fn twice_is_once<T: Clone + PartialEq + Debug>(
    once: &T,
    copies: &[&T],
    merge: impl Fn(&mut T, &T),
) -> Result<(), TestCaseError> {
    let mut merged = once.clone();
    for copy in copies {
        merge(&mut merged, copy);
        prop_assert_eq!(&merged, once);
    }
    Ok(())
}

proptest! {
    #[test]
    fn wrong_codes_hold_as_long_as_in_either_and_twice_is_once(a in failures(), b in failures()) {
        let mut merged = a.clone();
        merged.merge(&b, START);
        for now in later() {
            for other in [&a, &b] {
                prop_assert!(until(merged.held(now)) >= until(other.held(now)));
                prop_assert!(merged.wants_long_codes(now) || !other.wants_long_codes(now));
                for standing in [Standing::Known, Standing::Other] {
                    let (now_held, was) = (merged.purse(standing, now), other.purse(standing, now));
                    prop_assert!(until(now_held.err()) >= until(was.err()), "{standing:?}");
                }
            }
        }
        twice_is_once(&merged, &[&a, &b], |merged, copy| merged.merge(copy, START))?;
    }

    #[test]
    fn messages_hold_as_long_as_in_either_and_twice_is_once(a in messages(), b in messages()) {
        let mut merged = a.clone();
        merged.merge(&b, START);
        let limits = Limits::default();
        for now in later() {
            for other in [&a, &b] {
                for channel in [Channel::Sms, Channel::Voice] {
                    prop_assert!(
                        until(merged.held(&limits, channel, now))
                            >= until(other.held(&limits, channel, now))
                    );
                    for standing in [Standing::Known, Standing::Other] {
                        let purse = |of: &Messages| of.purse(&limits, channel, standing, now).err();
                        prop_assert!(until(purse(&merged)) >= until(purse(other)), "{standing:?}");
                    }
                }
                prop_assert!(merged.in_a_day(now) >= other.in_a_day(now));
            }
        }
        twice_is_once(&merged, &[&a, &b], |merged, copy| merged.merge(copy, START))?;
    }

    #[test]
    fn budgets_hold_as_long_as_in_either_and_twice_is_once(a in budget(), b in budget()) {
        let mut merged = a.clone();
        merged.merge(&b, START);
        for now in later() {
            for other in [&a, &b] {
                prop_assert!(until(merged.proofs_held(now)) >= until(other.proofs_held(now)));
            }
        }
        prop_assert_eq!(merged.opted_out.is_some(), a.opted_out.is_some() || b.opted_out.is_some());
        twice_is_once(&merged, &[&b], |merged, copy| merged.merge(copy, START))?;
    }

    #[test]
    fn what_many_do_holds_as_long_as_in_either_and_twice_is_once(a in traffic(), b in traffic()) {
        let mut merged = a.clone();
        merged.merge(&b);
        let limits = Limits {
            max_messages_per_day: Some(30),
            conversion: Conversion::Block,
            ..Limits::default()
        };
        for now in later() {
            for other in [&a, &b] {
                let held = |of: &Traffic| {
                    [
                        of.country_held(2, now),
                        of.all_held(2, &limits, now),
                        of.capped(&limits, now),
                        of.blocked(&limits, now),
                    ]
                    .map(until)
                };
                for (is, was) in held(&merged).into_iter().zip(held(other)) {
                    prop_assert!(is >= was);
                }
                prop_assert!(merged.wants_long_codes(2, now) || !other.wants_long_codes(2, now));
            }
        }
        twice_is_once(&merged, &[&a, &b], Traffic::merge)?;
    }

    #[test]
    fn a_bypass_is_bounded_by_both(mine in 0u8..4, theirs in 0u8..4, own in any::<bool>()) {
        let mut scene = Scene::new();
        let uses = |uses: u8| (uses > 0).then_some(i64::from(uses));
        let mut granted = |uses: Option<i64>| {
            let grant = GrantBypass {
                account: account("alice"), id: BypassId::new(4), wanted: wanted(uses), uid: 0,
            };
            scene.logins.clear();
            let done =
                scene.decide(Some(account("alice")), None, |records, now| grant.decide(records, now));
            done.expect("granted");
            scene.login("alice")
        };
        let (mut login, kept) = (granted(uses(mine)), granted(uses(theirs)));
        if !own {
            login.bypasses.clear();
        }
        login.merge(&kept, StandIn::Newer, START);
        let left = login.bypasses.current(START).map(|bypass| bypass.uses_left).collect::<Vec<_>>();
        let least = [mine, theirs].into_iter().filter(|uses| *uses > 0).min();
        prop_assert_eq!(left, if own { vec![least] } else { vec![] });
    }
}
