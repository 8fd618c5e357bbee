//! Restores of backups that a scene was given back; what is older and newer is in
//! `ages`, the laws that every merge keeps in `laws`, and another store's rows in `imports`.

mod ages;
mod imports;
mod laws;

use super::{
    Fate, Kept, Note, Off, RestoreAccount, RestoreBudget, RestoreTraffic, Restored, Since,
};
use crate::domain::{
    account::Account,
    audit::Event,
    budget::{Budget, Purse, Standing, Traffic},
    bypass::{BypassId, GrantBypass, Wanted},
    enrollment::NumberIndex,
    login::{Answered, LoginState},
    manage::Verb,
    records::{BudgetKey, Records, TrafficKey},
    recovery::{Entered, RecoveryCode, RecoveryHash},
    scene::{START, Scene, account, index, source, ssh},
    time::DAY,
};

const NUMBER: &str = "+13125550142";

/// All that a scene stores, as a backup has it.
#[derive(Clone)]
struct Backup {
    accounts: Vec<Kept>,
    budgets: Vec<(NumberIndex, Budget)>,
    traffic: Vec<(TrafficKey, Traffic)>,
}

impl Backup {
    fn of(scene: &Scene) -> Self {
        let names = scene.enrollments.keys().chain(scene.logins.keys());
        let names = names.cloned().collect::<std::collections::BTreeSet<Account>>();
        let kept = |account: Account| Kept {
            enrollment: scene.enrollments.get(&account).cloned(),
            login: scene.logins.get(&account).cloned().unwrap_or_default().at_rest(),
            account,
        };
        Self {
            accounts: names.into_iter().map(kept).collect(),
            budgets: scene.budgets.clone().into_iter().collect(),
            traffic: scene.traffic.clone().into_iter().collect(),
        }
    }

    /// Restores all of it; what became of alice.
    fn restore(&self, scene: &mut Scene, removed: bool) -> Restored {
        let mut alice = Restored::default();
        for kept in &self.accounts {
            let whose = kept.account.clone();
            let since = Since { gone: removed, ..Since::default() };
            let decision = RestoreAccount { kept: kept.clone(), since, had: false, uid: 0 };
            let done = scene
                .decide(Some(whose.clone()), None, |records, now| decision.decide(records, now));
            if whose == account("alice") {
                alice = done;
            }
        }
        for (number, kept) in &self.budgets {
            let decision = RestoreBudget { number: *number, kept: kept.clone() };
            scene.decide(Some(Account::host()), Some(*number), |records, now| {
                decision.decide(records, now)
            });
        }
        for (key, kept) in &self.traffic {
            let decision = RestoreTraffic { key: *key, kept: kept.clone() };
            let mut records = Records::default();
            records.traffic.insert(*key, scene.traffic.get(key).cloned().unwrap_or_default());
            let decided = decision.decide(&records, scene.now);
            scene.traffic.extend(decided.records.traffic);
        }
        alice
    }
}

/// What is stored, but for when.
fn stored(scene: &Scene) -> impl PartialEq + std::fmt::Debug + use<> {
    let logins =
        scene.logins.clone().into_iter().filter(|(_, login)| *login != LoginState::default());
    let budgets = scene.budgets.clone().into_iter().filter(|(_, b)| *b != Budget::default());
    (
        scene.enrollments.clone(),
        logins.collect::<Vec<_>>(),
        budgets.collect::<Vec<_>>(),
        scene.traffic.clone(),
    )
}

/// The same host after its database was lost.
fn lost(scene: &Scene) -> Scene {
    let mut lost = scene.clone();
    lost.enrollments.clear();
    lost.logins.clear();
    lost.budgets.clear();
    lost.traffic.clear();
    lost
}

fn codes(scene: &mut Scene, name: &str, codes: &[&str]) {
    let key = scene.terms.issuer.key.clone();
    let hashes = codes.iter().map(|code| {
        let code = RecoveryCode::typed(&code.repeat(24)).expect("a code");
        RecoveryHash::of(&key, &account(name), &code)
    });
    let hashes = hashes.collect();
    let recovery = &mut scene.logins.entry(account(name)).or_default().recovery;
    recovery.replace(&key, hashes, scene.now);
}

/// A recovery code is used.
fn uses(scene: &mut Scene, name: &str, code: &str) {
    let key = scene.terms.issuer.key.clone();
    let code = RecoveryCode::typed(&code.repeat(24)).expect("a code");
    let hash = RecoveryHash::of(&key, &account(name), &code);
    let recovery = &mut scene.logins.entry(account(name)).or_default().recovery;
    let entered = recovery.enter(&key, &hash, Standing::Other, scene.now);
    assert!(matches!(entered, Entered::Right { .. }), "{entered:?}");
}

fn wanted(uses: Option<i64>) -> Wanted {
    Wanted::new(3600, "lost phone", uses, None).expect("a bypass")
}

fn bypass(scene: &mut Scene, bits: u32) {
    let grant = GrantBypass {
        account: account("alice"),
        id: BypassId::new(bits),
        wanted: wanted(None),
        uid: 0,
    };
    let granted =
        scene.decide(Some(account("alice")), None, |records, now| grant.decide(records, now));
    granted.expect("granted");
}

#[test]
fn a_lost_database_comes_back_with_all_that_counted() {
    let mut scene = Scene::new();
    let token = scene.start(ssh(1));
    assert!(matches!(scene.right(token), Answered::Granted));
    for id in 2..5 {
        scene.wait(1);
        let token = scene.start(ssh(id).from(20));
        let wrong = scene.wrong(token);
        scene.asked(token, &wrong);
    }
    codes(&mut scene, "alice", &["A", "B"]);
    let backup = Backup::of(&scene);
    let mut back = lost(&scene);
    back.events();
    let alice = backup.restore(&mut back, false);
    assert_eq!(alice, Restored { number: Fate::Restored, changed: true, ..Restored::default() });
    assert_eq!(back.enrollments, scene.enrollments);
    assert_eq!(back.budgets, scene.budgets);
    assert_eq!(back.traffic, scene.traffic);
    let (was, is) = (scene.login("alice"), back.login("alice"));
    assert!(is.challenges.is_empty(), "nothing that was under way is");
    assert_eq!((is.failures, is.messages), (was.failures, was.messages));
    assert_eq!(is.recovery.left(), 2);
    assert!(back.login("alice").knows(Some(source(9)), back.now), "from where she logged in");
    assert_eq!(back.events(), ["number-restored", "number-restored"]);
}

#[test]
fn who_was_removed_since_stays_removed_and_counts_as_before() {
    let mut scene = Scene::new();
    let token = scene.start(ssh(1));
    let wrong = scene.wrong(token);
    scene.asked(token, &wrong);
    codes(&mut scene, "alice", &["A", "B"]);
    let backup = Backup::of(&scene);
    scene.manage("alice", Verb::Remove);
    let alice = backup.restore(&mut scene, true);
    assert_eq!(alice.number, Fate::LeftRemoved);
    assert!(!scene.enrollments.contains_key(&account("alice")));
    assert_eq!(scene.login("alice").recovery.left(), 0, "nor do the codes come back");
    assert_eq!(scene.login("alice").failures.within(DAY, scene.now), 1);
}

#[test]
fn who_is_removed_while_a_restore_looks_stays_removed() {
    for (name, had, fate) in [
        ("it was there when it was looked up", true, Fate::LeftRemoved),
        ("it was lost before", false, Fate::Restored),
    ] {
        let mut scene = Scene::new();
        let mut backup = Backup::of(&scene);
        let kept = backup.accounts.remove(0);
        assert_eq!(kept.account, account("alice"));
        scene.manage("alice", Verb::Remove);
        let decision = RestoreAccount { kept, since: Since::default(), had, uid: 0 };
        let alice = scene
            .decide(Some(account("alice")), None, |records, now| decision.decide(records, now));
        assert_eq!(alice.number, fate, "{name}");
        let there = scene.enrollments.contains_key(&account("alice"));
        assert_eq!(there, fate == Fate::Restored, "{name}");
    }
}

#[test]
fn a_login_under_way_ends_where_something_changes_and_else_goes_on() {
    for (name, changes) in [("nothing changes", false), ("a wrong code comes back", true)] {
        let mut scene = Scene::new();
        let mut backup = Backup::of(&scene);
        if changes {
            let alice = backup.accounts.iter_mut().find(|kept| kept.account == account("alice"));
            alice.expect("alice").login.failures.charge(Purse::Common, START);
        }
        let token = scene.start(ssh(1));
        scene.events();
        let alice = backup.restore(&mut scene, false);
        assert_eq!(alice.changed, changes, "{name}");
        assert_eq!(scene.challenge(token).is_live(), !changes, "{name}");
        let expected: &[&str] = if changes { &["challenge-ended cancelled"] } else { &[] };
        assert_eq!(scene.events(), expected, "{name}");
        assert_eq!(scene.charged(), (1, 1), "{name}: what was sent is charged");
    }
}

#[test]
fn an_older_database_takes_the_number_that_was_entered_later() {
    let mut newer = Scene::new();
    newer.wait(60);
    newer.enrolled("alice", "+13125550199");
    let later = newer.now;
    newer.enrollments.get_mut(&account("alice")).expect("alice").created_at = later;
    codes(&mut newer, "alice", &["D"]);
    let backup = Backup::of(&newer);
    let mut older = Scene::new();
    codes(&mut older, "alice", &["A", "B"]);
    older.manage("alice", Verb::Disable);
    assert_eq!(backup.restore(&mut older, false).number, Fate::Restored);
    let alice = &older.enrollments[&account("alice")];
    assert_eq!(alice.index, index("+13125550199"));
    assert!(alice.is_disabled(), "and is as disabled as it was");
    assert_eq!(older.login("alice").recovery.left(), 1, "with the codes that belong to it");
}

#[test]
fn codes_of_a_row_without_the_time_of_their_set_come_back_after_a_loss() {
    let mut scene = Scene::new();
    codes(&mut scene, "alice", &["A", "B"]);
    let mut backup = Backup::of(&scene);
    let alice = backup.accounts.iter_mut().find(|kept| kept.account == account("alice"));
    let login = &mut alice.expect("alice").login;
    login.recovery = login.recovery.clone().without_time();
    let mut without_logins = scene.clone();
    without_logins.logins.clear();
    for (name, mut again, left) in
        [("all is lost", lost(&scene), 2), ("her logins are lost", without_logins, 0)]
    {
        backup.restore(&mut again, false);
        assert_eq!(again.login("alice").recovery.left(), left, "{name}");
    }
}

#[test]
fn it_tells_whose_codes_are_lost() {
    let scene = Scene::new();
    let mut with_codes = scene.clone();
    codes(&mut with_codes, "alice", &["A", "B"]);
    let cases = [
        ("they were used since", &with_codes, lost(&scene), true, true),
        ("they are good", &with_codes, lost(&scene), false, false),
        ("there were none", &scene, lost(&scene), true, false),
        ("her number is not lost", &with_codes, with_codes.clone(), true, false),
    ];
    for (name, before, mut now, codes, told) in cases {
        let mut accounts = Backup::of(before).accounts.into_iter();
        let kept = accounts.find(|kept| kept.account == account("alice")).expect("alice");
        let since = Since { codes, ..Since::default() };
        let decision = RestoreAccount { kept, since, had: false, uid: 0 };
        let alice =
            now.decide(Some(account("alice")), None, |records, at| decision.decide(records, at));
        assert_eq!(alice.codes_lost, told, "{name}");
    }
}

#[test]
fn it_tells_whom_it_disabled_and_nobody_else() {
    let scene = Scene::new();
    let mut disabled = scene.clone();
    disabled.manage("alice", Verb::Disable);
    let backup = Backup::of(&disabled);
    let off = |backup: &Backup, mut scene: Scene| backup.restore(&mut scene, false).off;
    assert_eq!(off(&backup, scene.clone()), Off::Now);
    assert_eq!(off(&backup, lost(&scene)), Off::Still);
    assert_eq!(off(&backup, disabled), Off::No, "it was before");
    assert_eq!(off(&Backup::of(&scene), scene), Off::No);
}

#[test]
fn what_is_not_read_is_not_written() {
    let (number, key) = (NumberIndex([1; 16]), TrafficKey::All);
    let records = Records::default();
    let mut kept = Traffic::default();
    kept.charge_all(START);
    assert!(!RestoreTraffic { key, kept }.decide(&records, START).answer);
    let mut kept = Budget::default();
    kept.charge_proof(START);
    assert!(!RestoreBudget { number, kept }.decide(&records, START).answer);
}

#[test]
fn a_restore_of_what_counts_says_whether_anything_changed() {
    let (number, key) = (NumberIndex([1; 16]), TrafficKey::All);
    let mut records = Records::default();
    records.budgets.insert(BudgetKey::Number(number), Budget::default());
    records.traffic.insert(key, Traffic::default());
    let (mut budget, mut traffic) = (Budget::default(), Traffic::default());
    budget.charge_proof(START);
    traffic.charge_all(START);
    let (budget, traffic) =
        (RestoreBudget { number, kept: budget }, RestoreTraffic { key, kept: traffic });
    for changes in [true, false] {
        let decided = budget.decide(&records, START);
        assert_eq!((decided.answer, decided.audit.len()), (changes, 0));
        records = decided.records;
        let decided = traffic.decide(&records, START);
        assert_eq!((decided.answer, decided.audit.len()), (changes, 0));
        records = decided.records;
    }
    assert_eq!(records.budgets[&BudgetKey::Number(number)], budget.kept);
    assert_eq!(records.traffic[&key], traffic.kept);
}

#[test]
fn a_note_is_about_the_host_and_changes_nothing() {
    let event = Event::BackupTaken { backup: "b".to_owned(), accounts: 1, log: true };
    let note = Note { event: event.clone(), uid: 7 };
    let records = Records { account: Some(Account::host()), ..Records::default() };
    let decided = note.decide(&records, START);
    assert_eq!(decided.records, records);
    let [written] = &decided.audit[..] else { panic!("{:?}", decided.audit) };
    assert_eq!((&written.event, &written.account), (&event, &Account::host()));
    assert_eq!(written.actor, crate::domain::audit::Actor::Uid(7));
}

#[test]
fn rows_of_a_backup_read_as_they_were_written() {
    let mut scene = Scene::new();
    scene.start(ssh(1));
    let login = scene.login("alice").at_rest();
    let bytes = minicbor::to_vec(&login).expect("bytes");
    assert_eq!(minicbor::decode::<LoginState>(&bytes).expect("a row"), login);
    assert!(login.challenges.is_empty());
}
