//! A database that is damaged, and a disk that is read-only from the start: what is said, which ways lead
//! back, and that nobody is granted and no charge lost until then.

use std::{fs, os::unix::fs::FileExt, process::Command};

use otpd_tests::{
    daemon::{Daemon, Place},
    phone::Phone,
    wire::{is_denied, is_granted, login, wrong},
};

use super::{
    people::PEOPLE,
    promises::{asks_again, is_refused, logs_in},
};

/// Who waits at a prompt when the damage is met.
const WAITS: &str = PEOPLE[0].0;

/// A daemon that refuses every login, for this reason.
fn broken(place: &Place, reasons: &[&str]) -> Daemon {
    let daemon = Daemon::spawn(place.command(), place.socket(), "refused until this is mended");
    for reason in reasons {
        daemon.wait_for(reason);
    }
    assert!(is_refused(&daemon.connect().begin(WAITS).step));
    daemon
}

/// What is told about a damaged database: both ways lead back, without a restart.
#[test]
fn a_damaged_database_says_how_to_recover_and_both_ways_do() {
    let phone = Phone::start();
    let place = Place::new(&phone);
    let daemon = place.start();
    daemon.enroll(&phone, WAITS, PEOPLE[0].1);
    daemon.terminate();
    assert!(daemon.wait().success());
    place.settle();
    let (database, backup) = (place.file("otpd.db"), place.file("backup.db"));
    let key = fs::read(place.file("otpd.key")).expect("the key");
    fs::copy(&database, &backup).expect("a copy");
    let reasons = [
        "otpd.db: file is not a database; the database is damaged",
        "otpctl restore your last backup, or enroll everybody again; the key file stays",
    ];

    fs::write(
        &database,
        "nothing that SQLite knows, and longer than its header of a hundred bytes. \
                          It does not matter what it says beyond that.",
    )
    .expect("a file");
    let daemon = broken(&place, &reasons);
    fs::copy(&backup, &database).expect("the backup");
    daemon.signal("HUP");
    daemon.wait_for(": ready ");
    logs_in(&daemon, &phone, WAITS, "the backup");
    daemon.kill();

    for extra in ["otpd.db-wal", "otpd.db-shm"] {
        let _ = fs::remove_file(place.file(extra));
    }
    fs::write(&database, [0xa5; 4096]).expect("a file");
    let daemon = broken(&place, &reasons);
    fs::rename(&database, place.file("damaged.db")).expect("moved away");
    daemon.signal("HUP");
    daemon.wait_for(": ready ");
    daemon.enroll(&phone, WAITS, PEOPLE[0].1);
    logs_in(&daemon, &phone, WAITS, "a new database");
    assert_eq!(fs::read(place.file("otpd.key")).expect("the key"), key, "the key stays");
}

/// Where a table begins in the file, its page's number.
const ROOT: &str = "
import sqlite3, sys
database = sqlite3.connect(sys.argv[1])
print(database.execute('SELECT rootpage FROM sqlite_schema WHERE name = ?', [sys.argv[2]]).fetchone()[0])
";

/// A page of this table is damaged between two runs; then it is as it was again, in the file that the
/// daemon has open or in another one, for which it is stopped.
fn a_page_is_damaged(table: &str, in_place: bool) {
    let phone = Phone::start();
    let place = Place::new(&phone);
    let daemon = place.start();
    daemon.enroll(&phone, WAITS, PEOPLE[0].1);
    let mut wire = daemon.connect();
    let challenge = wire.prompt(&login(WAITS, None)).challenge;
    let code = phone.next().code();
    asks_again(&wire.answer(&challenge, &wrong(&code, 0)), 2, table);
    let before = daemon.show(WAITS);
    daemon.terminate();
    assert!(daemon.wait().success());
    place.settle();
    let (database, backup) = (place.file("otpd.db"), place.file("backup.db"));
    fs::copy(&database, &backup).expect("a copy");
    let output = Command::new("python3").args(["-c", ROOT]).arg(&database).arg(table).output();
    let page = String::from_utf8(output.expect("python3 runs").stdout).expect("text");
    let at = (page.trim().parse::<u64>().expect("a number") - 1) * 4096;
    let file = fs::File::options().read(true).write(true).open(&database).expect("the database");
    let mut good = [0; 4096];
    file.read_exact_at(&mut good, at).expect("a page");
    file.write_all_at(&[0xa5; 4096], at).expect("damage");

    let mut daemon = place.start();
    let pid = daemon.pid();
    let mut wire = daemon.connect();
    assert!(is_refused(&wire.begin(WAITS).step), "{table}");
    for typed in [&wrong(&code, 1), &code] {
        let step = wire.answer(&challenge, typed);
        assert!(is_refused(&step), "{table}: {step:?}");
    }
    daemon.wait_for("the database is damaged: stop otpd");
    if in_place {
        file.write_all_at(&good, at).expect("the page");
    } else {
        daemon.terminate();
        assert!(daemon.wait().success());
        for extra in ["otpd.db-wal", "otpd.db-shm"] {
            let _ = fs::remove_file(place.file(extra));
        }
        fs::copy(&backup, &database).expect("the backup");
        daemon = place.start();
    }
    let after = daemon.show(WAITS);
    assert_eq!(after.failures_24h, 1, "{table}: what was told is on record, and no more");
    assert_eq!(after.sends_24h, before.sends_24h, "{table}: messages");
    let mut wire = daemon.connect();
    asks_again(&wire.answer(&challenge, &wrong(&code, 1)), 1, table);
    assert!(is_granted(&wire.answer(&challenge, &code)), "{table}");
    assert!(is_denied(&wire.answer(&challenge, &code)), "{table}: once");
    assert_eq!(daemon.show(WAITS).failures_24h, 2, "{table}");
    assert!(phone.pending().is_none(), "{table}");
    assert!(daemon.is_running() && (daemon.pid() == pid) == in_place, "{table}");
}

#[test]
fn a_damaged_page_is_met_while_running_and_grants_nothing() {
    for table in ["enrollment", "login", "budget"] {
        a_page_is_damaged(table, true);
        a_page_is_damaged(table, false);
    }
}

#[test]
fn a_read_only_disk_at_the_start_is_named_and_waited_for() {
    let phone = Phone::start();
    let place = Place::new(&phone);
    let folder = place.file("disk");
    fs::create_dir(&folder).expect("a directory");
    place.configure(&place.settings(&phone).replace("/otpd.db", "/disk/otpd.db"));
    let otpd = place.command();
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-c"]);
    let mount = "mount -t tmpfs -o size=24m,mode=700,ro none \"$0\" && exec \"$@\"";
    command.arg(mount).arg(&folder).arg(otpd.get_program()).args(otpd.get_args());
    let mut daemon = Daemon::spawn(command, place.socket(), "refused until this is mended");
    daemon.wait_for("Read-only file system");
    daemon.wait_for("see that otpd may read and write it");
    assert!(is_refused(&daemon.connect().begin(WAITS).step));
    let pid = daemon.pid().to_string();
    let remount = ["--mount", "--target", &pid, "mount", "-o", "remount,rw"];
    let status = Command::new("nsenter").args(remount).arg(&folder).status();
    assert!(status.expect("nsenter runs").success());
    // It looks by itself every ten seconds.
    daemon.wait_for(": ready ");
    daemon.enroll(&phone, WAITS, PEOPLE[0].1);
    logs_in(&daemon, &phone, WAITS, "writable again");
    assert!(daemon.is_running());
}
