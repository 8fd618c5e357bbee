//! Every order in which things can happen to a few logins of one account, tried exhaustively: two
//! daemons over one store, of which one may be the next run of the other, sessions whose module repeats
//! a request when no answer came, vendors that take a message, refuse it or never get to say so, codes
//! that expire, and a daemon that dies anywhere.
//!
//! What is decided is decided by the real [`Begin`](super::login::Begin),
//! [`Answer`](super::login::Answer), [`Delivered`](super::login::Delivered) and
//! [`Recover`](super::login::Recover) on the real rows; only the store's promise (one decision at a time
//! about an account, and no answer before the commit) and the programs around it are modelled: `moment`
//! is their state, `world` says what may happen next, and `steps` what comes of it. `witness` is what a
//! person outside sees and counts; `properties` are the invariants, I1 to I8, in its terms. The state
//! space stays finite because time moves in a few steps, codes are a function of how many were drawn
//! before, and sessions type a few times only; the budgets are not smaller than in production but nearly
//! used up at the start.

mod moment;
mod properties;
mod requests;
mod rows;
mod steps;
mod witness;
mod world;

use std::collections::BTreeSet;

use stateright::{Checker, Expectation, HasDiscoveries, Model as _};

use properties::{I1, I3, I4_I6, I7};
use world::World;

/// Explores all of these worlds, and finds in one or another whatever must be reachable; how many moments
/// there are.
fn explore(worlds: &[(&str, World)]) -> usize {
    let mut missing = BTreeSet::new();
    let (mut found, mut moments) = (BTreeSet::new(), 0);
    for (name, world) in worlds {
        // In depth: of breadth whole generations would wait in memory, which is gigabytes.
        let checker = world.checker().threads(2).spawn_dfs().join();
        let unique = checker.unique_state_count();
        let (steps, depth) = (checker.state_count(), checker.max_depth());
        println!("{name}: {unique} moments by {steps} steps, up to {depth} one after another");
        for property in world.properties() {
            match property.expectation {
                Expectation::Always | Expectation::Eventually => {
                    checker.assert_no_discovery(property.name);
                }
                Expectation::Sometimes if checker.discovery(property.name).is_some() => {
                    found.insert(property.name);
                }
                Expectation::Sometimes => {
                    missing.insert(property.name);
                }
            }
        }
        moments += unique;
    }
    let missing = missing.difference(&found).collect::<Vec<_>>();
    assert!(missing.is_empty(), "nowhere: {missing:?}");
    moments
}

/// The shortest way to break `property` in a world whose protocol is not ours.
fn counterexample(world: World, property: &'static str) -> String {
    let protocol = world.protocol;
    let found = HasDiscoveries::AllOf([property].into());
    let checker = world.checker().finish_when(found).threads(2).spawn_bfs().join();
    let path = checker.assert_any_discovery(property);
    let steps = path.into_actions().iter().map(|step| format!("  {step:?}")).collect::<Vec<_>>();
    let steps = steps.join(
        "
",
    );
    println!("{protocol:?} breaks \"{property}\":\n{steps}");
    steps
}

#[test]
fn no_order_of_events_breaks_an_invariant() {
    let moments = explore(&World::small());
    println!("{moments} moments in all");
    assert!(moments > 250_000, "{moments}: the model has lost most of its worlds");
}

#[test]
#[ignore = "long"]
fn no_order_of_events_breaks_an_invariant_with_more_of_everything() {
    let moments = explore(&World::large());
    println!("{moments} moments in all");
    assert!(moments > 200_000, "{moments}: the model has lost most of its worlds");
}

#[test]
fn answering_before_the_commit_lets_in_without_a_trace() {
    counterexample(World::early(), I7);
}

/// A crash between the answer and the commit.
#[test]
fn answering_before_the_commit_hands_tries_back() {
    let steps = counterexample(World::early(), I3);
    assert!(steps.contains("Crash"), "{steps}");
}

/// Two daemons that both read before either writes.
#[test]
fn reading_and_writing_in_two_steps_gives_guesses_for_nothing() {
    counterexample(World::unlocked([2, 1], 0), I3);
}

#[test]
fn reading_and_writing_in_two_steps_revives_what_is_over() {
    counterexample(World::unlocked([1, 0], 0), I4_I6);
}

#[test]
fn reading_and_writing_in_two_steps_uses_a_code_twice() {
    counterexample(World::unlocked([1, 0], 1), I1);
}
