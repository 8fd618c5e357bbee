//! A backup as the use cases make it.

use std::time::Duration;

use otp_proto::{Secret, login::Verdict};

use super::{House, NOW, code};
use crate::{
    domain::{
        account::Account,
        login::Typed,
        manage::Verb,
        opt_out::OptOut,
        records::{BudgetKey, Decided, Records},
        restore::{Fate, Off, Restored},
        time::Timestamp,
    },
    store::{Scope, Trail},
    verifier::{BackupError, EnrollRequest, Gone},
};

#[tokio::test]
async fn a_backup_that_is_read_too_slowly_gives_its_snapshot_up() {
    let house = House::new().await;
    let mut backup = house.verifier.backup(true, 0).await.expect("begun");
    let first = backup.next().await.expect("a line").expect("the first");
    assert!(first.starts_with("otpd-backup 1 "), "{first}");
    tokio::time::pause();
    tokio::time::advance(Duration::from_mins(5) + Duration::from_millis(1)).await;
    assert_eq!(backup.next().await, Err(BackupError::Slow));
    assert_eq!(backup.next().await, Ok(None), "there is no more");
}

#[tokio::test]
async fn lines_that_were_read_already_take_as_long() {
    let house = House::new().await;
    let mut backup = house.verifier.backup(true, 0).await.expect("begun");
    tokio::time::pause();
    tokio::time::advance(Duration::from_mins(5) + Duration::from_millis(1)).await;
    assert!(backup.holds_snapshot());
    assert_eq!(backup.next().await, Err(BackupError::Slow), "the first is there, and too late");
    assert!(!backup.holds_snapshot());
    assert_eq!(backup.next().await, Ok(None), "there is no more");
}

#[tokio::test]
async fn a_backup_has_its_end_once() {
    let house = House::new().await;
    for log in [true, false] {
        let mut backup = house.verifier.backup(log, 0).await.expect("begun");
        let mut restore = house.verifier.begin_restore(true, 0);
        let (mut complete, mut accounts) = (0, 0);
        while let Some(line) = backup.next().await.expect("a line") {
            for piece in line.as_bytes().chunks(5000) {
                let piece = std::str::from_utf8(piece).expect("text");
                let done = house.verifier.restore(&mut restore, piece).await.expect("taken");
                complete += u32::from(done.complete);
                accounts += done.accounts;
                assert!(done.changes.is_empty(), "it is what is stored: {:?}", done.changes);
            }
        }
        assert_eq!(complete, 1);
        assert_eq!((backup.progress().0, accounts), (accounts.into(), 1));
        assert!(house.verifier.restore(&mut restore, "x\n").await.is_err(), "after its end");
    }
}

/// All lines of a backup.
pub(super) async fn lines(house: &House) -> Vec<String> {
    let mut backup = house.verifier.backup(true, 0).await.expect("begun");
    let mut lines = Vec::new();
    while let Some(line) = backup.next().await.expect("a line") {
        lines.push(line);
    }
    lines
}

/// Restores lines, until one of them has accounts where `first` says so; what became of those.
async fn restored(house: &House, lines: &[String], first: bool) -> Vec<Restored> {
    let mut restore = house.verifier.begin_restore(false, 0);
    let mut changes = Vec::new();
    for piece in lines.iter().flat_map(|line| line.as_bytes().chunks(5000)) {
        let piece = std::str::from_utf8(piece).expect("text");
        let done = house.verifier.restore(&mut restore, piece).await.expect("taken");
        changes.extend(done.changes.into_iter().map(|(_, restored)| restored));
        if first && done.accounts > 0 {
            break;
        }
    }
    changes
}

#[tokio::test]
async fn what_counts_is_back_before_the_first_account() {
    let house = House::new().await;
    let number = house.verifier.keys.index(&"+12025550142".parse().expect("a number"));
    let scope = Scope::Number { account: Account::host(), number };
    let refuse = move |records: &Records, at| {
        let mut records = records.clone();
        let budget = records.budgets.get_mut(&BudgetKey::Number(number)).expect("read");
        budget.opted_out = Some(OptOut { at, gateway: "first".to_owned() });
        Decided { records, audit: Vec::new(), answer: () }
    };
    house.verifier.store.transact(scope, refuse).await.expect("a commit");
    let lines = lines(&house).await;
    let new = House::empty().await;
    assert_eq!(restored(&new, &lines, true).await.len(), 1);
    let (challenge, step) = new.verifier.begin(House::claim()).await;
    assert_eq!((challenge, step.verdict), (None, Some(Verdict::Denied)));
    assert!(step.text.expect("words").contains("were stopped by a reply with STOP."));
}

impl House {
    pub(super) fn at(&self, minutes: i64) {
        *self.now.lock().expect("no panic") = Timestamp(NOW.0 + minutes * 60_000);
    }

    async fn enrolled(&mut self, minutes: i64) {
        self.at(minutes);
        self.enroll().await;
        self.verifier.drained().await;
    }

    async fn removed(&self, minutes: i64) {
        self.at(minutes);
        let removed = self.verifier.manage(&self.root, Verb::Remove, 0).await;
        removed.expect("a commit").expect("enrolled");
    }
}

/// By which clock somebody was entered, a backup taken, and they were removed, in minutes.
#[tokio::test]
async fn who_was_removed_since_is_known_by_any_clock() {
    for (name, [entered, taken, removed]) in [
        ("a clock that goes on", [0, 600, 610]),
        ("set back after the backup", [0, 600, 570]),
        ("set back to before the number was entered", [0, 10, -30]),
        ("at the time of the backup", [0, 10, 10]),
    ] {
        let mut house = House::empty().await;
        house.enrolled(entered).await;
        house.at(taken);
        let lines = lines(&house).await;
        house.removed(removed).await;
        let changes = restored(&house, &lines, false).await;
        let fates = changes.iter().map(|restored| restored.number).collect::<Vec<_>>();
        assert_eq!(fates, [Fate::LeftRemoved], "{name}");
    }
}

#[tokio::test]
async fn who_was_entered_again_before_the_backup_comes_back() {
    let mut houses = [House::empty().await, House::empty().await];
    for house in &mut houses {
        house.enrolled(0).await;
        house.removed(10).await;
    }
    let [mut house, older] = houses;
    house.enrolled(20).await;
    house.at(30);
    let lines = lines(&house).await;
    older.at(40);
    let changes = restored(&older, &lines, false).await;
    let fates = changes.iter().map(|restored| restored.number).collect::<Vec<_>>();
    assert_eq!(fates, [Fate::Restored]);
}

/// What an administrator does after a backup was taken, and before a row is damaged.
#[derive(Clone, Copy)]
enum Act {
    /// `enroll --replace`, as after the phone was stolen.
    Replace,
    /// A verb.
    Verb(Verb),
    /// `recovery-codes`.
    Codes,
}

impl House {
    async fn act(&self, act: Act) {
        match act {
            Act::Replace => {
                let phone = Secret::new("+12025550143".into());
                let request = EnrollRequest { phone, channel: None, replace: true };
                self.verifier.register(&self.root, request, 0).await.expect("a good number");
            }
            Act::Verb(verb) => {
                let done = self.verifier.manage(&self.root, verb, 0).await;
                done.expect("a commit").expect("enrolled");
            }
            Act::Codes => {
                self.verifier.recovery_codes(&self.root, 0).await.expect("enrolled");
            }
        }
    }

    /// Damages what is stored of root's logins, and has all of root taken away as the daemon says.
    pub(super) async fn lose_root(&self) {
        let db = rusqlite::Connection::open(self.dir.path().join("otpd.db")).expect("the database");
        let spoil = "UPDATE login SET state = x'85' WHERE account = 'root'";
        assert_eq!(db.execute(spoil, []), Ok(1));
        drop(db);
        assert_eq!(self.verifier.remove(&self.root, 0).await, Ok(Some(Gone::Discarded)));
    }
}

/// When codes were made, what was done after the backup, and what comes back: the number, whether the
/// account is off, and recovery codes.
type Case<'a> = (&'a str, i64, &'a [Act], Fate, Off, u8);

/// The way out of a damaged row brings back no phone that was stolen, nobody who was switched off, and
/// no recovery code of which nobody knows whether it was used.
#[tokio::test]
async fn what_was_damaged_comes_back_no_laxer_than_it_was() {
    let (off, on) = (Act::Verb(Verb::Disable), Act::Verb(Verb::Enable));
    let cases: [Case; 7] = [
        ("nothing", 0, &[], Fate::Restored, Off::No, 8),
        ("replaced", 0, &[off, Act::Replace, on], Fate::LeftRemoved, Off::No, 0),
        ("switched off", 0, &[off, on, off], Fate::Restored, Off::Still, 8),
        ("switched on again", 0, &[off, on], Fate::Restored, Off::No, 8),
        ("other codes", 0, &[Act::Codes], Fate::Restored, Off::No, 0),
        ("the same codes, made just before", 599, &[], Fate::Restored, Off::No, 8),
        ("unlocked", 0, &[Act::Verb(Verb::Unlock)], Fate::Restored, Off::No, 8),
    ];
    for (name, made, acts, fate, off, codes) in cases {
        let house = House::new().await;
        house.act(Act::Codes).await;
        house.at(made);
        house.act(Act::Codes).await;
        house.at(600);
        let lines = lines(&house).await;
        for (minute, act) in (610..).zip(acts) {
            house.at(minute);
            house.act(*act).await;
        }
        house.at(700);
        house.lose_root().await;
        let changes = restored(&house, &lines, false).await;
        let lost = fate == Fate::Restored && codes == 0;
        let fates = changes.iter().map(|done| (done.number, done.off, done.codes_lost));
        assert_eq!(fates.collect::<Vec<_>>(), [(fate, off, lost)], "{name}");
        let shown = house.verifier.show(&house.root).await.expect("read");
        assert_eq!(shown.map_or(0, |shown| shown.recovery), codes, "{name}");
    }
}

/// Where policy asks nobody without a proved number for a code, it would else ask nobody for this one.
#[tokio::test]
async fn a_number_that_was_proved_after_the_backup_comes_back_proved() {
    let mut house = House::empty().await;
    let text = house.enroll().await;
    house.verifier.drained().await;
    house.at(1);
    let lines = lines(&house).await;
    house.at(2);
    let proved = house.verifier.verify(&house.root, Typed::new(&code(&text)), 0).await;
    proved.expect("the right code");
    house.act(Act::Codes).await;
    house.lose_root().await;
    restored(&house, &lines, false).await;
    let shown = house.verifier.show(&house.root).await.expect("read").expect("it is back");
    assert_eq!(shown.enrollment.verified_at(), Some(Timestamp(NOW.0 + 2 * 60_000)));
}

#[tokio::test]
async fn what_was_proved_of_another_number_by_a_clock_that_was_ahead_proves_nothing() {
    let house = House::new().await;
    house.act(Act::Codes).await;
    let db = rusqlite::Connection::open(house.dir.path().join("otpd.db")).expect("the database");
    let ahead = "UPDATE audit SET at = at + 86400000 WHERE event LIKE '{\"event\":\"verified\"%'";
    assert_eq!(db.execute(ahead, []), Ok(1));
    drop(db);
    house.at(200);
    house.act(Act::Replace).await;
    house.at(210);
    let lines = lines(&house).await;
    house.lose_root().await;
    restored(&house, &lines, false).await;
    let shown = house.verifier.show(&house.root).await.expect("read").expect("it is back");
    assert_eq!(shown.enrollment.verified_at(), None);
}

#[tokio::test]
async fn a_restore_is_written_down_before_anything_of_it_is_taken() {
    let house = House::new().await;
    let lines = lines(&house).await;
    let begun = async |house: &House| {
        let trail = house.verifier.reader.events(Trail::default(), 0, i64::MAX, 100).await;
        trail.expect("rows").iter().filter(|row| row.event == "restore-begun").count()
    };
    let new = House::empty().await;
    for (dry_run, expected) in [(true, 0), (false, 1)] {
        let mut restore = new.verifier.begin_restore(dry_run, 0);
        let done = new.verifier.restore(&mut restore, &lines[0]).await.expect("a header");
        assert!(done.header.is_some());
        assert_eq!(begun(&new).await, expected, "dry run: {dry_run}");
    }
    // Where it cannot be written down there is no restore.
    new.fail_to_read(true);
    let mut restore = new.verifier.begin_restore(false, 0);
    assert!(new.verifier.restore(&mut restore, &lines[0]).await.is_err());
    assert_eq!(begun(&new).await, 1);
}

#[tokio::test]
async fn the_trail_is_read_without_the_snapshot_and_its_time() {
    let house = House::new().await;
    let mut backup = house.verifier.backup(true, 0).await.expect("begun");
    while backup.holds_snapshot() {
        assert!(backup.next().await.expect("a line").is_some(), "the trail is still to come");
    }
    tokio::time::pause();
    tokio::time::advance(Duration::from_mins(6)).await;
    tokio::time::resume();
    assert!(backup.next().await.expect("a line").is_some());
}
