//! A store that moves: what is decided meanwhile, and what the new one has then.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, mpsc},
    time::Duration,
};

use otp_proto::{Secret, login::Verdict};

use super::{
    Claim, EnrollRequest, House, Policy, Routes, Site, Typed, backup::lines, follow::pass,
    site_with,
};
use crate::{
    domain::{account::Account, bypass::Wanted, manage::Verb, records::Decided},
    gateway::Keyword,
    store::{
        Chore, Imported, Scope,
        StoreError::{self, Moving},
        Trail,
    },
    verifier::{
        BackupError, BypassFailure, Failure, Import, ImportError, ImportProgress, NotRotated,
        RestoreError, TestFailure, TestRequest, Unconfirmed,
    },
};

/// Hands these lines to an import; what came of the last.
async fn feed(
    house: &House,
    import: &mut Import,
    lines: &[String],
) -> Result<ImportProgress, ImportError> {
    let mut progress = ImportProgress::default();
    for piece in lines.iter().flat_map(|line| line.as_bytes().chunks(5000)) {
        let piece = std::str::from_utf8(piece).expect("text");
        progress = house.verifier.import(import, piece).await?;
    }
    Ok(progress)
}

/// Imports an export, and is told at its end that all of it is there.
async fn imported(house: &House, lines: &[String]) {
    let mut import = house.verifier.begin_import(false, 0);
    let progress = feed(house, &mut import, lines).await.expect("it is the same");
    assert!(progress.whole.is_some());
}

/// Another code than this.
fn wrong(code: &str) -> String {
    code.chars().map(|digit| if digit == '1' { '2' } else { '1' }).collect()
}

/// All lines but the last.
fn interrupted(lines: &[String]) -> &[String] {
    lines.split_last().expect("the end").1
}

impl House {
    /// What becomes of a further login.
    async fn verdict(&self) -> Option<Verdict> {
        let connection = Some("203.0.113.9 50001 192.0.2.1 22 4712".to_owned());
        self.verifier.begin(Claim { connection, ..Self::claim() }).await.1.verdict
    }

    /// Lets root in without a code for an hour.
    async fn bypass(&self) {
        let wanted = Wanted::new(3600, "lost phone", None, None).expect("good");
        self.verifier.grant_bypass(&self.root, wanted, 0).await.expect("granted");
    }

    /// Writes down how far an import is, as another host does.
    async fn elsewhere(&self, whole: bool) {
        let imported = Imported { export: 7, whole };
        let chore = Chore::Imported { imported, retired: None };
        self.verifier.store.tidy(chore).await.expect("a commit");
    }

    /// Returns once people are let in again, which they are by themselves.
    async fn opened(&self) {
        let opened = async {
            while self.verdict().await == Some(Verdict::Unavailable) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_mins(1), opened).await.expect("opened");
    }
}

#[tokio::test]
async fn who_was_refused_before_an_import_spoils_nothing() {
    let old = House::new().await;
    old.bypass().await;
    let lines = lines(&old).await;
    let new = House::empty().await;
    new.at(1);
    assert_eq!(new.verdict().await, Some(Verdict::Denied), "not enrolled");
    imported(&new, &lines).await;
    assert_eq!(new.verdict().await, Some(Verdict::Granted), "by the bypass that came along");
}

#[tokio::test]
async fn nobody_is_let_in_from_the_first_look_at_an_export_on() {
    let old = House::new().await;
    let lines = lines(&old).await;
    let new = House::empty().await;
    let mut import = new.verifier.begin_import(true, 0);
    assert!(!import.is_awaited());
    for line in &lines {
        feed(&new, &mut import, std::slice::from_ref(line)).await.expect("good");
        assert_eq!(new.verdict().await, Some(Verdict::Unavailable));
        assert!(import.is_awaited());
    }
    drop(import);
    assert_eq!(new.verdict().await, Some(Verdict::Denied), "not enrolled");
    // Where it cannot go, nobody is locked out by it.
    old.bypass().await;
    let mut import = old.verifier.begin_import(true, 0);
    let refused = feed(&old, &mut import, &lines).await.expect_err("there is somebody");
    assert_eq!(refused, ImportError::NotEmpty);
    assert_eq!(old.verdict().await, Some(Verdict::Granted));
}

#[tokio::test]
async fn a_log_whose_times_go_back_moves_whole() {
    let old = House::new().await;
    for minutes in [60, -30, 0] {
        old.at(minutes);
        old.bypass().await;
    }
    let lines = lines(&old).await;
    let new = House::empty().await;
    new.at(30);
    assert_eq!(new.verdict().await, Some(Verdict::Denied));
    imported(&new, &lines).await;
}

#[tokio::test]
async fn nothing_is_deleted_before_all_was_read_back() {
    let old = House::new().await;
    let lines = lines(&old).await;
    let new = House::empty().await;
    let mut import = new.verifier.begin_import(false, 0);
    feed(&new, &mut import, interrupted(&lines)).await.expect("good");
    // What counted for the number does so no more.
    new.at(3 * 24 * 60);
    new.verifier.keep_up().await;
    feed(&new, &mut import, &lines[lines.len() - 1..]).await.expect("it is the same");
    new.verifier.keep_up().await;
    let kept = new.verifier.reader.idle(None, new.verifier.clock.now()).await.expect("a read");
    assert!(kept.idle.is_empty(), "and afterwards it is");
}

/// What the other store counted is still to come, by this one's clock.
#[tokio::test]
async fn one_that_was_interrupted_goes_on_by_a_clock_that_is_behind() {
    let mut old = House::new().await;
    let (token, _, code) = old.begin().await;
    assert_eq!(old.answer(token, &wrong(&code)).await, None);
    let lines = lines(&old).await;
    let new = House::empty().await;
    new.at(-60);
    let mut import = new.verifier.begin_import(false, 0);
    feed(&new, &mut import, interrupted(&lines)).await.expect("good");
    drop(import);
    assert_eq!(new.verdict().await, Some(Verdict::Unavailable), "it is not whole");
    new.at(-30);
    imported(&new, &lines).await;
}

#[tokio::test]
async fn where_nobody_knows_whether_an_import_is_whole_nobody_is_let_in() {
    let house = House::empty().await;
    house.hide("meta", true);
    house.verifier.look_for_import().await;
    assert_eq!(house.verdict().await, Some(Verdict::Unavailable));
    house.hide("meta", false);
    // Found out by itself.
    let verifier = Arc::clone(&house.verifier);
    let following = tokio::spawn(async move { verifier.follow_import().await });
    house.opened().await;
    following.abort();
}

#[tokio::test]
async fn people_are_let_in_when_another_host_has_imported_all() {
    let house = House::empty().await;
    house.elsewhere(false).await;
    house.verifier.look_for_import().await;
    let verifier = Arc::clone(&house.verifier);
    let following = tokio::spawn(async move { verifier.follow_import().await });
    tokio::task::yield_now().await;
    pass(10).await;
    assert_eq!(house.verdict().await, Some(Verdict::Unavailable));
    house.elsewhere(true).await;
    pass(10).await;
    house.opened().await;
    following.abort();
}

#[tokio::test]
async fn an_import_that_is_run_again_says_and_finds_that_all_is_there() {
    let old = House::new().await;
    old.bypass().await;
    let lines = lines(&old).await;
    let new = House::empty().await;
    imported(&new, &lines).await;
    // As where the daemon did not hear that its last word was written down.
    *new.verifier.unfinished.lock().await = Some(new.verifier.doors.close());
    assert_eq!(new.verdict().await, Some(Verdict::Unavailable));
    let mut import = new.verifier.begin_import(true, 0);
    let progress = feed(&new, &mut import, &lines).await.expect("good");
    assert!(progress.known && progress.whole.is_some());
    assert_eq!(new.verdict().await, Some(Verdict::Granted));
}

#[tokio::test]
async fn an_export_that_was_not_taken_whole_locks_nobody_out() {
    let house = House::new().await;
    house.bypass().await;
    for whole in [false, true] {
        let mut export = house.verifier.export(true, 0).await.expect("begun");
        while export.next().await.expect("a line").is_some() {}
        assert_eq!(house.verdict().await, Some(Verdict::Unavailable));
        if whole {
            export.handed_out();
            assert_eq!(house.verdict().await, Some(Verdict::Unavailable));
        } else {
            drop(export);
            assert_eq!(house.verdict().await, Some(Verdict::Granted));
        }
    }
}

/// Half a store would pass for a whole one.
#[tokio::test]
async fn what_is_not_all_here_yet_is_not_exported() {
    let old = House::new().await;
    let lines = lines(&old).await;
    let new = House::empty().await;
    let mut import = new.verifier.begin_import(false, 0);
    feed(&new, &mut import, interrupted(&lines)).await.expect("good");
    for last in [false, true] {
        let refused = new.verifier.export(last, 0).await.err();
        assert_eq!(refused, Some(BackupError::Importing), "{last}");
    }
    // As after an interruption, at this host or another.
    drop(import);
    assert_eq!(new.verifier.export(false, 0).await.err(), Some(BackupError::Importing));
    imported(&new, &lines).await;
    assert!(new.verifier.export(false, 0).await.is_ok());
    let house = House::empty().await;
    house.elsewhere(false).await;
    assert_eq!(house.verifier.export(false, 0).await.err(), Some(BackupError::Importing));
}

/// Who needs no code is said by the configuration and by NSS, and by nothing that moves.
#[tokio::test]
async fn who_needs_no_code_is_let_by_while_the_store_moves() {
    let house = House::new().await;
    let site = house.verifier.site();
    let policy = Policy { exempt_users: BTreeSet::from(["root".to_owned()]), ..Policy::default() };
    let routes = Routes::new(Vec::new(), &[], &[]).expect("none");
    let closed = house.verifier.doors.close();
    assert_eq!(house.verdict().await, Some(Verdict::Unavailable));
    house.verifier.replace_site(Site { policy, ..site_with(&site, routes) });
    assert_eq!(house.verdict().await, Some(Verdict::Ignored));
    let noted = async || {
        let kept = house.verifier.reader.events(Trail::default(), i64::MIN, i64::MAX, 100).await;
        kept.expect("a read").iter().filter(|row| row.event == "login-ignored").count()
    };
    assert_eq!(noted().await, 0, "what is written down now would not come along");
    drop(closed);
    assert_eq!(house.verdict().await, Some(Verdict::Ignored));
    assert_eq!(noted().await, 1);
}

#[tokio::test]
async fn nothing_is_changed_that_would_not_come_along() {
    let house = House::new().await;
    let (verifier, root) = (&house.verifier, &house.root);
    let export = verifier.export(true, 0).await.expect("begun");
    for verb in [Verb::Disable, Verb::Enable, Verb::Remove, Verb::Unlock] {
        let refused = verifier.manage(root, verb, 0).await.expect_err("refused");
        assert_eq!(refused, Moving, "{verb:?}");
    }
    let number = || Secret::new("+12025550142".into());
    let request = || EnrollRequest { phone: number(), channel: None, replace: true };
    let trial = TestRequest { phone: number(), gateway: None, voice: false };
    let verbs = [
        ("enroll", verifier.enroll(root, request(), 0).await.err()),
        ("register", verifier.register(root, request(), 0).await.err()),
        ("verify", verifier.verify(root, Typed::new("123456"), 0).await.err()),
        ("resend", verifier.resend(root, false, 0).await.err()),
        ("recovery codes", verifier.recovery_codes(root, 0).await.err()),
    ];
    for (verb, refused) in verbs {
        assert_eq!(refused, Some(Failure::Elsewhere(Moving)), "{verb}");
    }
    let refused = TestFailure::Other(Failure::Elsewhere(Moving));
    assert_eq!(verifier.test_message(trial, 0).await, Err(refused));
    let wanted = Wanted::new(3600, "lost phone", None, None).expect("good");
    let refused = verifier.grant_bypass(root, wanted, 0).await.expect_err("refused");
    assert_eq!(refused, BypassFailure::Store(Moving));
    assert_eq!(verifier.revoke_bypass(root, None, 0).await, Err(Moving));
    assert_eq!(verifier.reveal(root, 0).await.err(), Some(Moving));
    let refused = verifier.rotate_key(0).await.expect_err("refused");
    assert!(matches!(refused, NotRotated::Store(Moving)), "{refused:?}");
    let mut restore = verifier.begin_restore(false, 0);
    let refused = verifier.restore(&mut restore, "otpd-backup").await.expect_err("refused");
    assert_eq!(refused, RestoreError::Store(Moving));
    let problems = verifier.status().await.expect("a read").problems;
    assert!(problems.iter().any(|problem| problem.contains("--final")), "{problems:?}");

    // What the vendor was thanked for already is kept for a while.
    house.writes("+12025550142", Keyword::Stop).await;
    let stopped =
        async || verifier.show(root).await.expect("a read").expect("enrolled").opted_out.is_some();
    pass(1).await;
    assert!(!stopped().await);
    drop(export);
    let heard = async {
        while !stopped().await {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), heard).await.expect("recorded");
    verifier.manage(root, Verb::Disable, 0).await.expect("a commit").expect("enrolled");

    let house = House::in_doubt().await;
    let _export = house.verifier.export(true, 0).await.expect("begun");
    assert_eq!(house.verifier.confirm_clock(0).await, Err(Unconfirmed::Store(Moving)));
}

#[tokio::test]
async fn what_waits_for_its_turn_when_the_store_begins_to_move_is_not_done() {
    let house = House::new().await;
    let verifier = &house.verifier;
    let (go, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let hold = move |records: &_, _| {
        // Also when it is gone.
        let _ = wait.lock().unwrap().recv();
        Decided::unchanged(records, ())
    };
    let mut first = std::pin::pin!(verifier.store.transact(Scope::Account(Account::host()), hold));
    let mut verb = std::pin::pin!(verifier.manage(&house.root, Verb::Disable, 0));
    tokio::select! {
        biased;
        _ = &mut first => panic!("it is held up"),
        _ = &mut verb => panic!("it waits"),
        () = std::future::ready(()) => {}
    }
    let _closed = verifier.doors.close();
    go.send(()).expect("it waits");
    let answers: (Result<(), StoreError>, _) = tokio::join!(first, verb);
    assert_eq!(answers.0, Ok(()));
    assert_eq!(answers.1.err(), Some(Moving));
}
