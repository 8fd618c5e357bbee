//! A backup and a database of which one is older: nothing that counts in either is lost.

use super::{Backup, NUMBER, bypass, codes, stored, uses};
use crate::domain::{
    budget::Purse,
    enrollment::State,
    manage::Verb,
    opt_out::OptOut,
    scene::{START, Scene, account, index, ssh},
    time::{DAY, HOUR},
};

type Change = fn(&mut Scene);
type Holds = fn(&Scene) -> bool;

/// The state of alice, then what happened to her after the backup, and what is there in the end.
const OLD_BACKUPS: &[(&str, Change, Change, Holds)] = &[
    (
        "a code that was live then is dead",
        |scene| {
            scene.start(ssh(1));
        },
        |scene| scene.logins.clear(),
        |scene| scene.login("alice").live(scene.now) == 0,
    ),
    (
        "messages that were charged since stay charged",
        |_| {},
        |scene| {
            for id in 0..5 {
                scene.start(ssh(id).from(id));
            }
        },
        |scene| scene.charged() == (5, 5),
    ),
    (
        "messages that only the backup knows count again",
        |scene| {
            for id in 0..5 {
                scene.start(ssh(id).from(id));
            }
        },
        |scene| {
            scene.logins.clear();
            scene.budgets.clear();
        },
        |scene| scene.charged() == (5, 5),
    ),
    (
        "a number that was changed since stays",
        |_| {},
        |scene| {
            scene.wait(60);
            scene.enrolled("alice", "+13125550199");
            let changed = scene.now;
            let alice = scene.enrollments.get_mut(&account("alice")).expect("alice");
            alice.created_at = changed;
        },
        |scene| scene.enrollments[&account("alice")].index == index("+13125550199"),
    ),
    (
        "who was disabled since stays so",
        |_| {},
        |scene| scene.manage("alice", Verb::Disable),
        |scene| scene.enrollments[&account("alice")].is_disabled(),
    ),
    (
        "who was disabled then is so again",
        |scene| scene.manage("alice", Verb::Disable),
        |scene| scene.manage("alice", Verb::Enable),
        |scene| {
            let State::Disabled { verified_at } = scene.enrollments[&account("alice")].state else {
                return false;
            };
            verified_at.is_some()
        },
    ),
    (
        "wrong codes that were forgiven since count again",
        |scene| {
            let login = scene.logins.entry(account("alice")).or_default();
            for _ in 0..10 {
                login.failures.charge(Purse::Common, START);
            }
        },
        |scene| scene.manage("alice", Verb::Unlock),
        |scene| {
            let failures = scene.login("alice").failures;
            failures.held(scene.now).is_some() && failures.within(DAY, scene.now) == 10
        },
    ),
    (
        "a recovery code that was used since is used",
        |scene| codes(scene, "alice", &["A", "B", "C"]),
        |scene| uses(scene, "alice", "B"),
        |scene| scene.login("alice").recovery.left() == 2,
    ),
    (
        "all that were used since are used",
        |scene| codes(scene, "alice", &["A", "B"]),
        |scene| ["A", "B"].into_iter().for_each(|code| uses(scene, "alice", code)),
        |scene| scene.login("alice").recovery.left() == 0,
    ),
    (
        "recovery codes that were made since stay",
        |scene| codes(scene, "alice", &["A", "B", "C"]),
        |scene| codes(scene, "alice", &["D", "E"]),
        |scene| scene.login("alice").recovery.left() == 2,
    ),
    (
        "those that were there when the number was removed do not come back with a new one",
        |scene| codes(scene, "alice", &["A", "B"]),
        |scene| {
            scene.manage("alice", Verb::Remove);
            scene.wait(60);
            scene.logins.clear();
            scene.enrolled("alice", NUMBER);
            let now = scene.now;
            scene.enrollments.get_mut(&account("alice")).expect("alice").created_at = now;
        },
        |scene| scene.login("alice").recovery.left() == 0,
    ),
    (
        "a bypass that was ended since does not come back",
        |scene| bypass(scene, 4),
        |scene| {
            let login = scene.logins.get_mut(&account("alice")).expect("a login");
            login.bypasses.clear();
        },
        |scene| scene.login("alice").bypasses.current(scene.now).count() == 0,
    ),
    (
        "a bypass that was granted since stays",
        |_| {},
        |scene| bypass(scene, 4),
        |scene| scene.login("alice").bypasses.current(scene.now).count() == 1,
    ),
    (
        "an end to messages that was lifted since holds again",
        |scene| {
            let budget = scene.budgets.entry(index(NUMBER)).or_default();
            budget.opted_out = Some(OptOut { at: START, gateway: "telnyx".to_owned() });
        },
        |scene| scene.manage("alice", Verb::Unlock),
        |scene| scene.budgets[&index(NUMBER)].opted_out.is_some(),
    ),
];

#[test]
fn an_old_backup_over_a_newer_database() {
    for (name, before, since, holds) in OLD_BACKUPS {
        let mut scene = Scene::new();
        before(&mut scene);
        let backup = Backup::of(&scene);
        since(&mut scene);
        backup.restore(&mut scene, false);
        assert!(holds(&scene), "{name}: {:?}", scene.login("alice"));
        let (once, mut twice) = (stored(&scene), scene.clone());
        twice.events();
        let alice = backup.restore(&mut twice, false);
        assert_eq!(stored(&twice), once, "{name}: twice is once");
        assert!(!alice.changed && twice.events().is_empty(), "{name}: and changes nothing");
    }
}

/// What happened to alice's recovery codes after the database was copied and before the backup was
/// taken, and which of A, B, C and D are good when it is restored over that copy.
const NEWER_BACKUPS: &[(&str, Change, &[&str])] = &[
    ("nothing", |_| {}, &["A", "B"]),
    ("one was used", |scene| uses(scene, "alice", "A"), &["B"]),
    (
        "all were used",
        |scene| ["A", "B"].into_iter().for_each(|code| uses(scene, "alice", code)),
        &[],
    ),
    ("a newer set was made", |scene| codes(scene, "alice", &["C", "D"]), &["C", "D"]),
    (
        "a newer set was made by a clock that was set back",
        |scene| {
            scene.now = scene.now.before(HOUR);
            codes(scene, "alice", &["C", "D"]);
        },
        &["C", "D"],
    ),
    (
        "a newer set was made, and used up",
        |scene| {
            codes(scene, "alice", &["C"]);
            uses(scene, "alice", "C");
        },
        &[],
    ),
    (
        "the number was entered again, and a newer set made",
        |scene| {
            scene.manage("alice", Verb::Remove);
            scene.wait(60);
            scene.enrolled("alice", NUMBER);
            let now = scene.now;
            scene.enrollments.get_mut(&account("alice")).expect("alice").created_at = now;
            codes(scene, "alice", &["C"]);
        },
        &["C"],
    ),
];

#[test]
fn a_newer_backup_over_an_older_database_voids_what_was_voided() {
    for (name, since, good) in NEWER_BACKUPS {
        let mut older = Scene::new();
        codes(&mut older, "alice", &["A", "B"]);
        let mut newer = older.clone();
        since(&mut newer);
        let backup = Backup::of(&newer);
        backup.restore(&mut older, false);
        let once = stored(&older);
        assert!(!backup.restore(&mut older, false).changed, "{name}: twice is once");
        assert_eq!(stored(&older), once, "{name}: twice is once");
        assert_eq!(usize::from(older.login("alice").recovery.left()), good.len(), "{name}");
        for code in *good {
            uses(&mut older, "alice", code);
        }
    }
}
