//! What a gateway had said of people, once it is not believed.

use super::{NUMBER, Wish, stopped, writes};
use crate::domain::{
    account::Account,
    login::Begun,
    opt_out::Disbelieved,
    scene::{Scene, account, index, ssh},
    time::HOUR,
};

/// The gateway is not believed any more about the number of alice and carol.
fn undo(scene: &mut Scene, gateway: &str) {
    let disbelieved = Disbelieved {
        number: index(NUMBER),
        ending: "42".to_owned(),
        gateway: gateway.to_owned(),
        accounts: vec![account("alice"), account("carol")],
    };
    let decide = |records: &_, now| disbelieved.decide(records, now);
    scene.decide(Some(Account::host()), Some(index(NUMBER)), decide);
}

fn is_stopped(scene: &Scene) -> bool {
    scene.budgets.get(&index(NUMBER)).is_some_and(|budget| budget.opted_out.is_some())
}

/// A login whose message telnyx refuses, because the person opted out.
fn refused(scene: &mut Scene) {
    let Begun::Issued(_, order) = scene.begin(ssh(1)) else { panic!("no code") };
    scene.deliver(&order, stopped());
    assert!(is_stopped(scene));
    scene.events();
}

#[test]
fn what_it_said_is_undone_for_all_accounts_with_the_number() {
    let mut scene = Scene::new();
    scene.enrolled("carol", NUMBER);
    refused(&mut scene);
    scene.now = scene.now.after(HOUR);
    scene.audit.clear();
    undo(&mut scene, "telnyx");
    let whose: Vec<_> = scene.audit.iter().map(|event| event.account.clone()).collect();
    assert_eq!(whose, [account("alice"), account("carol")]);
    assert_eq!(scene.events(), ["opt-out-undone", "opt-out-undone"]);
    scene.start(ssh(2));
    scene.events();
    undo(&mut scene, "telnyx");
    assert!(scene.events().is_empty(), "there is nothing left to undo");
}

#[test]
fn what_another_gateway_said_stays() {
    let mut scene = Scene::new();
    refused(&mut scene);
    undo(&mut scene, "plivo");
    assert!(is_stopped(&scene) && scene.events().is_empty());
}

/// Before the refusal, at the same moment, and after it: what the person wrote holds.
#[test]
fn a_reply_with_stop_stays() {
    let mut scene = Scene::new();
    writes(&mut scene, NUMBER, Wish::Stop);
    undo(&mut scene, "telnyx");
    assert!(is_stopped(&scene), "there was no refusal");

    let mut scene = Scene::new();
    refused(&mut scene);
    scene.now = scene.now.after(HOUR);
    writes(&mut scene, NUMBER, Wish::Stop);
    scene.events();
    undo(&mut scene, "telnyx");
    assert!(is_stopped(&scene) && scene.events().is_empty(), "written after it");

    let mut scene = Scene::new();
    writes(&mut scene, NUMBER, Wish::Stop);
    writes(&mut scene, NUMBER, Wish::Start);
    scene.now = scene.now.after(HOUR);
    refused(&mut scene);
    undo(&mut scene, "telnyx");
    assert!(!is_stopped(&scene), "what was taken back before it says nothing");
}
