//! What another store has comes as it is where there is nothing yet, and else as from a backup.

use super::{Backup, bypass, codes, lost};
use crate::domain::{
    account::Account,
    budget::{Budget, Purse, Traffic},
    enrollment::{Enrollment, NumberIndex},
    phone::E164,
    records::{BudgetKey, Records, TrafficKey},
    restore::{ImportAccount, ImportBudget, ImportTraffic, Kept, RestoreBudget, RestoreTraffic},
    scene::{START, Scene, account, ssh},
    time::{DAY, HOUR, MINUTE, Timestamp},
};

/// alice of another store, with all that an account may have.
fn rich() -> Scene {
    let mut scene = Scene::new();
    scene.start(ssh(1));
    codes(&mut scene, "alice", &["A", "B"]);
    bypass(&mut scene, 4);
    let login = scene.logins.get_mut(&account("alice")).expect("alice");
    login.failures.charge(Purse::Common, START);
    scene
}

fn alice(scene: &Scene) -> Kept {
    let mut accounts = Backup::of(scene).accounts.into_iter();
    accounts.find(|kept| kept.account == account("alice")).expect("alice")
}

/// Imports alice; what is written down.
fn import(kept: &Kept, scene: &mut Scene) -> Vec<String> {
    let import = ImportAccount { kept: kept.clone(), uid: 0 };
    scene.events();
    scene.decide(Some(account("alice")), None, |records, now| import.decide(records, now));
    scene.events()
}

#[test]
fn an_account_comes_as_it_is_where_there_is_nothing_of_it() {
    let other = rich();
    let kept = alice(&other);
    let mut scene = lost(&other);
    for name in ["at once", "once more, by an import that was interrupted"] {
        assert_eq!(import(&kept, &mut scene), [""; 0], "{name}: it was written down there");
        assert_eq!(scene.enrollments.get(&account("alice")), kept.enrollment.as_ref(), "{name}");
        assert_eq!(scene.login("alice").at_rest(), kept.login, "{name}");
        // What counts no more stays as it was there.
        scene.wait(2 * 86400);
    }
}

#[test]
fn what_was_here_before_is_kept_beside_what_comes() {
    let kept = alice(&rich());
    // Her number alone, which is the newer one.
    let mut scene = Scene::new();
    scene.wait(60);
    scene.enrolled("alice", "+13125550199");
    let later = scene.now;
    scene.enrollments.get_mut(&account("alice")).expect("alice").created_at = later;
    import(&kept, &mut scene);
    let own = scene.enrollments.get(&account("alice")).map(Enrollment::number);
    assert_eq!(own.map(E164::expose), Some("+13125550199"));
    assert_eq!(scene.login("alice").failures.within(DAY, scene.now), 1);
    // A wrong code of hers alone.
    let mut scene = lost(&scene);
    let login = scene.logins.entry(account("alice")).or_default();
    login.failures.charge(Purse::Common, START.after(HOUR));
    scene.wait(7200);
    assert_eq!(import(&kept, &mut scene), ["number-restored"]);
    let login = scene.login("alice");
    assert_eq!(login.failures.within(DAY, scene.now), 2, "those of both");
    assert_eq!(login.bypasses.all().count(), 0, "as from a backup");
}

/// What was charged by a clock that is a day ahead, and half an hour ago.
fn charges<T: Default>(charge: impl Fn(&mut T, Timestamp)) -> [T; 2] {
    [START.after(DAY), START.before(MINUTE * 30)].map(|at| {
        let mut charged = T::default();
        charge(&mut charged, at);
        charged
    })
}

#[test]
fn what_counts_for_a_number_comes_as_it_is_or_beside_what_counts_here() {
    let number = NumberIndex([1; 16]);
    let [kept, own] = charges::<Budget>(|budget, at| budget.charge_proof(at));
    let import = ImportBudget(RestoreBudget { number, kept: kept.clone() });
    let mut records = Records { account: Some(Account::host()), ..Records::default() };
    assert!(!import.decide(&records, START).answer, "what is not read is not written");
    let import = |records: &mut Records, here: Budget| {
        records.budgets.insert(BudgetKey::Number(number), here);
        let decided = import.decide(records, START);
        assert!(decided.audit.is_empty());
        (decided.answer, decided.records.budgets[&BudgetKey::Number(number)].clone())
    };
    assert_eq!(import(&mut records, Budget::default()), (true, kept.clone()));
    assert_eq!(import(&mut records, kept.clone()), (false, kept.clone()), "once");
    let (mut both, mut settled) = (own.clone(), kept);
    settled.settle(START);
    both.merge(&settled, START);
    assert_ne!(both, own);
    assert_eq!(import(&mut records, own), (true, both));
}

#[test]
fn what_many_did_comes_as_it_is_or_beside_what_counts_here() {
    let key = TrafficKey::All;
    let [kept, own] = charges::<Traffic>(|traffic, at| traffic.charge_all(at));
    let import = ImportTraffic(RestoreTraffic { key, kept: kept.clone() });
    let mut records = Records { account: Some(Account::host()), ..Records::default() };
    assert!(!import.decide(&records, START).answer, "what is not read is not written");
    let import = |records: &mut Records, here: Traffic| {
        records.traffic.insert(key, here);
        let decided = import.decide(records, START);
        assert!(decided.audit.is_empty());
        (decided.answer, decided.records.traffic[&key].clone())
    };
    assert_eq!(import(&mut records, Traffic::default()), (true, kept.clone()));
    assert_eq!(import(&mut records, kept.clone()), (false, kept.clone()), "once");
    let (mut both, mut settled) = (own.clone(), kept);
    settled.settle(START);
    both.merge(&settled);
    assert_ne!(both, own);
    assert_eq!(import(&mut records, own), (true, both));
}
