//! What follows from an error: whether to try again, with which connection, and what an administrator does.

use std::{io, sync::Arc, time::Duration};

use super::{
    super::{connect::Connector, trouble::Trouble},
    testing,
};
use crate::{postgres_server::Server, store::format::Damaged};

/// What holds of it: the same may succeed at once; the connection has ended; a server may come back; a
/// COMMIT was surely refused.
fn judged(trouble: &Trouble) -> Vec<&'static str> {
    let all = [
        ("passing", trouble.is_passing()),
        ("goodbye", trouble.says_goodbye()),
        ("away", trouble.is_away()),
        ("refused", trouble.refuses_commit()),
    ];
    all.into_iter().filter_map(|(word, holds)| holds.then_some(word)).collect()
}

#[tokio::test]
async fn what_the_server_says_is_judged_by_its_code() {
    let server = Server::start();
    let connector = Connector::new(testing::settings(&server)).expect("settings");
    let session = connector.connect().await.expect("a connection");
    let (log, rows) = ("the log of the database server", "see pg_stat_activity");
    let cases: [(&str, &[&str], &str); 24] = [
        ("40000", &["passing", "refused"], log),
        ("40001", &["passing", "refused"], log),
        ("40002", &["passing", "refused"], log),
        ("40P01", &["passing", "refused"], log),
        // Whether the statement was completed is not known.
        ("40003", &[], log),
        ("23505", &["refused"], log),
        ("23514", &["refused"], log),
        ("25P02", &["refused"], log),
        ("25P03", &["passing", "goodbye"], log),
        ("08006", &["passing", "goodbye"], log),
        ("57P01", &["passing", "goodbye", "away"], log),
        ("57P03", &["passing", "goodbye", "away"], log),
        ("57014", &[], rows),
        ("55P03", &[], rows),
        ("42P07", &[], log),
        ("28P01", &[], "store.password-file"),
        ("28000", &[], "pg_hba.conf"),
        ("3D000", &[], "createdb"),
        ("42501", &[], "roles.sql"),
        ("42P01", &[], "otpctl restore"),
        ("3F000", &[], "otpctl restore"),
        ("53100", &[], "free space"),
        ("53300", &[], "max_connections"),
        ("25006", &[], "name the primary"),
    ];
    for (code, words, remedy) in cases {
        let raise = format!("DO $$ BEGIN RAISE 'as planned' USING ERRCODE = '{code}'; END $$");
        let trouble = session.simple(&raise).await.expect_err("it is raised");
        assert_eq!(judged(&trouble), words, "{code}");
        assert!(trouble.remedy().contains(remedy), "{code}: {}", trouble.remedy());
        assert_eq!(trouble.to_string(), format!("ERROR: as planned ({code})"));
        let named = [trouble.is_full(), trouble.is_forbidden(), trouble.is_there_already()];
        let expected = [code == "53100", code == "42501", ["23505", "42P07"].contains(&code)];
        assert_eq!(named, expected, "{code}");
    }
    // And by its silence.
    session.simple("SELECT pg_terminate_backend(pg_backend_pid())").await.expect_err("an end");
    let trouble = session.simple("SELECT").await.expect_err("it has ended");
    assert_eq!(judged(&trouble), ["passing", "goodbye", "away"]);
    assert!(trouble.remedy().ends_with("otpd comes back by itself"), "{}", trouble.remedy());
    assert_eq!(trouble.to_string(), "connection closed");
}

#[test]
fn what_otpd_finds_itself_is_judged_too() {
    let soon = Duration::from_secs(1);
    let unreachable = || Trouble::Unreachable(io::ErrorKind::NotFound.into());
    let cases: [(Trouble, &[&str]); 22] = [
        (unreachable(), &["goodbye", "away"]),
        (Trouble::Late(soon), &["goodbye", "away"]),
        (Trouble::Standby, &["goodbye", "away"]),
        (Trouble::ReadOnly, &["goodbye", "away"]),
        (Trouble::NoEntry(Arc::new(unreachable())), &["goodbye", "away"]),
        (Trouble::Resting(Arc::new(unreachable())), &["goodbye", "away"]),
        (Trouble::NoEntry(Arc::new(Trouble::OpenFolder)), &["goodbye"]),
        (Trouble::Resting(Arc::new(Trouble::OpenFolder)), &["goodbye"]),
        (Trouble::Nonsense("as planned"), &["goodbye"]),
        (Trouble::Outdated { found: 1, known: 2 }, &["goodbye"]),
        (Trouble::Forgotten { found: 1, known: 2, place: String::new() }, &["goodbye"]),
        (Trouble::OtherDatabase, &["goodbye"]),
        (Trouble::OpenFolder, &["goodbye"]),
        (Trouble::Stranger(1), &["goodbye"]),
        (Trouble::TooOld("9.6".to_owned()), &["goodbye"]),
        (Trouble::Encoding("LATIN1".to_owned()), &["goodbye"]),
        (Trouble::Newer(9), &["goodbye"]),
        (Trouble::Overtaken, &["passing"]),
        // What is wrong with a row, or with a key, is not the connection's fault.
        (Trouble::Damaged(Damaged::Index(1)), &[]),
        (Trouble::Damaged(Damaged::Counted(9)), &[]),
        (Trouble::Rekeyed, &[]),
        (Trouble::TooMany(1), &[]),
    ];
    for (trouble, words) in cases {
        assert_eq!(judged(&trouble), words, "{trouble:?}");
        assert!(!trouble.remedy().is_empty(), "{trouble:?}");
    }
}
