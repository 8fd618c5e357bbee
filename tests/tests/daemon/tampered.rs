//! Somebody can write the database: what a login makes of it.

use std::{os::unix::fs::MetadataExt, path::Path, process::Command};

use otp_proto::{admin::Show, login::Verdict};
use otpd_tests::{
    daemon::{Daemon, Place},
    phone::Phone,
    wire::{is_granted, login},
};

use super::people::{PEOPLE, outcome};

const DAMAGED: &str = "a stored number does not decrypt";

/// Runs statements on the database, as a thief of the disk would.
pub(super) fn write(database: &Path, statements: &str) {
    let script = "import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
db.executescript(sys.argv[2])
db.commit()";
    let done = Command::new("python3").args(["-c", script]).arg(database).arg(statements).output();
    let done = done.expect("python3 runs");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

/// The verdict on a login that gets no prompt.
fn verdict(daemon: &Daemon, user: &str) -> Option<Verdict> {
    daemon.connect().begin(user).step.verdict
}

#[test]
fn a_number_that_was_moved_or_changed_is_refused_and_said() {
    let [(one, number), (two, other), (third, thirds), ..] = PEOPLE;
    let swap = format!(
        "CREATE TEMP TABLE kept AS SELECT account, number, number_index FROM enrollment;
         UPDATE enrollment SET (number, number_index) =
           (SELECT number, number_index FROM kept WHERE account = '{two}') WHERE account = '{one}';
         UPDATE enrollment SET (number, number_index) =
           (SELECT number, number_index FROM kept WHERE account = '{one}') WHERE account = '{two}';"
    );
    let rename = format!(
        "DELETE FROM enrollment WHERE account = '{one}';
         UPDATE enrollment SET account = '{one}' WHERE account = '{two}';"
    );
    let changed = format!(
        "UPDATE enrollment SET number =
           CAST(substr(number, 1, 30) || char(1) || substr(number, 32) AS BLOB)
           WHERE account = '{one}';"
    );
    let cut = format!("UPDATE enrollment SET number = x'' WHERE account = '{one}';");
    let state = format!("UPDATE login SET state = x'85' WHERE account = '{one}';");
    let foreign = format!("UPDATE enrollment SET details = x'a0' WHERE account = '{one}';");
    let logins = format!("the state of the logins of {one} cannot be read");
    let details = format!("the number of {one} cannot be read");
    let cases = [
        ("two numbers are swapped", swap, DAMAGED),
        ("an account gets another's row", rename, DAMAGED),
        ("a byte of the number is another", changed, DAMAGED),
        ("there is nothing in it", cut, DAMAGED),
        ("the state is cut off", state, &logins),
        ("the details are something else", foreign, &details),
    ];
    for (name, statements, said) in cases {
        let phone = Phone::start();
        let place = Place::new(&phone);
        let daemon = place.start();
        for (user, number) in [(one, number), (two, other), (third, thirds)] {
            daemon.enroll(&phone, user, number);
            // There is a row of logins to change.
            let mut wire = daemon.connect();
            let challenge = wire.prompt(&login(user, None)).challenge;
            assert!(is_granted(&wire.answer(&challenge, &phone.next().code())));
        }
        daemon.kill();
        write(&place.file("otpd.db"), &statements);

        let daemon = place.start();
        assert_eq!(verdict(&daemon, one), Some(Verdict::Unavailable), "{name}");
        assert!(phone.pending().is_none(), "{name}: nothing is sent");
        daemon.wait_for(said);
        assert!(daemon.connect().call(&Show { user: one.to_owned() }).is_err(), "{name}");
        // Somebody whose row nobody touched.
        let mut wire = daemon.connect();
        let challenge = wire.prompt(&login(third, None)).challenge;
        assert!(is_granted(&wire.answer(&challenge, &phone.next().code())), "{name}");
    }
}

/// Somebody looks into the database while the daemon works: what it writes then is there afterwards, and
/// the next one who looks sees it.
#[test]
fn a_look_from_outside_takes_nothing_away_from_a_daemon_at_work() {
    let [(one, number), (two, other), (third, thirds), ..] = PEOPLE;
    let phone = Phone::start();
    let place = Place::new(&phone);
    let daemon = place.start();
    daemon.enroll(&phone, one, number);
    let inode = || place.file("otpd.db-wal").metadata().expect("its log").ino();
    let before = inode();
    write(&place.file("otpd.db"), "CREATE TEMP TABLE look AS SELECT * FROM enrollment;");
    assert_eq!(inode(), before, "the log is the daemon's");
    daemon.enroll(&phone, two, other);
    let backup = place.file("otpd.backup");
    let (exit, said, _) = outcome(place.otpctl(&["backup", backup.to_str().expect("UTF-8")]));
    assert_eq!(exit, Some(0), "{said}");
    write(&place.file("otpd.db"), "CREATE TEMP TABLE look AS SELECT * FROM enrollment;");
    assert_eq!(inode(), before, "also after a backup, which reads by a connection of its own");
    daemon.enroll(&phone, third, thirds);
    daemon.kill();
    let daemon = place.start();
    for user in [one, two, third] {
        assert_eq!(daemon.show(user).subscriber.user, user);
    }
}

/// A live code is copied into the row of somebody else, whose login a thief then answers with it.
#[test]
fn a_code_that_was_moved_to_another_account_is_worth_nothing() {
    let [(thief, number), (victim, other), ..] = PEOPLE;
    let phone = Phone::start();
    let place = Place::new(&phone);
    let daemon = place.start();
    daemon.enroll(&phone, thief, number);
    daemon.enroll(&phone, victim, other);
    let challenge = daemon.connect().prompt(&login(thief, None)).challenge;
    let code = phone.next().code();
    daemon.kill();
    let moved = format!(
        "INSERT OR REPLACE INTO login SELECT '{victim}', key_id, state FROM login
           WHERE account = '{thief}';
         DELETE FROM login WHERE account = '{thief}';
         UPDATE challenge SET account = '{victim}' WHERE account = '{thief}';"
    );
    write(&place.file("otpd.db"), &moved);
    let daemon = place.start();
    let step = daemon.connect().answer(&challenge, &code);
    assert!(!is_granted(&step), "{step:?}");
}

#[test]
fn a_database_that_says_it_is_of_another_key_is_not_opened() {
    let phone = Phone::start();
    let place = Place::new(&phone);
    place.start().kill();
    write(&place.file("otpd.db"), "UPDATE meta SET value = x'00' WHERE name LIKE '%check%';");
    let daemon = place.start_broken();
    assert!(daemon.log().contains("another master key"), "{}", daemon.log());
}
