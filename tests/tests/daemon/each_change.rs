//! The daemon killed before each change that it makes to a file, one after the other: while it
//! starts for the first time, while an old database is brought up to date, while old rows are
//! deleted, and while numbers are imported.
//!
//! In CI some of the changes are met, with `--long` every one.

use std::{fs, path::Path, process::Command, time::Duration};

use otp_proto::admin::State;
use otpd_tests::{
    daemon::{Daemon, Place},
    disk::{Disk, What, kinds},
    phone::Phone,
    wire::{is_granted, login},
};

use super::people::{PEOPLE, outcome};

const USER: &str = PEOPLE[0].0;

/// The first of all schemas.
const V1: &str = include_str!("../../../otpd/src/store/sqlite/migrations/V1__first.sql");

/// Starts a daemon on this disk; `None` when it was killed before it was ready.
fn start_on(disk: &Disk, place: &Place) -> Option<Daemon> {
    Daemon::try_spawn(disk.under(place.command()), place.socket(), ": ready ").ok()
}

/// Kills before the first change, then before the one `step` later, and so on, until nothing is
/// left to be killed in. `check` does it once: false when the daemon was not killed.
fn each_change(what: &str, step: usize, check: impl Fn(u32) -> bool) {
    let kills = (1..).step_by(step).take_while(|nth| check(*nth)).count();
    assert!(kills * step > 10, "{what}: {kills} kills are not all there is to be killed in");
    println!("{what}: {kills} kills survived, one before every {step}. change of a file");
}

fn logs_in(daemon: &Daemon, phone: &Phone, user: &str) {
    let mut wire = daemon.connect();
    let challenge = wire.prompt(&login(user, None)).challenge;
    assert!(is_granted(&wire.answer(&challenge, &phone.next().code())));
}

/// The first start makes the key and the database. Whatever is left of it, the second start works,
/// and there is never half a key.
fn first_start(nth: u32) -> bool {
    let phone = Phone::start();
    let place = Place::new(&phone);
    let disk = Disk::new(&place, "otpd.");
    disk.set(What::Kill(nth), kinds::CHANGES);
    if start_on(&disk, &place).is_some() {
        return false;
    }
    if let Ok(key) = fs::read(place.file("otpd.key")) {
        assert_eq!(key.len(), 32, "killed before change {nth}: half a key");
    }
    let daemon = place.start();
    assert!(!place.file("otpd.key.new").exists() || place.file("otpd.key").exists());
    daemon.enroll(&phone, USER, PEOPLE[0].1);
    logs_in(&daemon, &phone, USER);
    true
}

#[test]
fn killed_while_the_key_and_the_database_are_made() {
    each_change("the first start", 7, first_start);
}

#[test]
#[ignore = "long"]
fn killed_before_every_change_while_the_key_and_the_database_are_made() {
    each_change("the first start", 1, first_start);
}

/// Makes a database of the first schema, with everything that is in a new one.
const OLDEN: &str = r"
import sqlite3, sys
new, old, schema = sys.argv[1:]
database = sqlite3.connect(old, isolation_level=None)
database.executescript(schema)
database.execute('ATTACH ? AS new', [new])
history = database.execute('''SELECT sql FROM new.sqlite_schema WHERE name = 'refinery_schema_history' ''')
database.execute(history.fetchone()[0])
database.execute('INSERT INTO refinery_schema_history SELECT * FROM new.refinery_schema_history WHERE version = 1')
for table in 'meta', 'enrollment', 'login', 'challenge', 'audit':
    database.execute(f'INSERT INTO {table} SELECT * FROM new.{table}')
database.execute('INSERT INTO budget SELECT kind, key, key_id, state FROM new.budget')
database.execute('''DELETE FROM meta WHERE name NOT IN ('key-check', 'clock')''')
";

/// The migrations that a database has seen.
const HISTORY: &str = r"
import sqlite3, sys
database = sqlite3.connect(sys.argv[1])
print(*[row[0] for row in database.execute('SELECT version FROM refinery_schema_history ORDER BY 1')])
";

fn python(script: &str, arguments: &[&Path]) -> String {
    let output = Command::new("python3").args(["-c", script]).args(arguments).output();
    let output = output.expect("python3 runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text").trim().to_owned()
}

/// A database of the first schema, in which somebody is enrolled, and its key.
struct Olden {
    place: Place,
    phone: Phone,
}

impl Olden {
    fn new() -> Self {
        let phone = Phone::start();
        let place = Place::new(&phone);
        let daemon = place.start();
        daemon.enroll(&phone, USER, PEOPLE[0].1);
        logs_in(&daemon, &phone, USER);
        daemon.terminate();
        assert!(daemon.wait().success());
        let (new, old) = (place.file("otpd.db"), place.file("old.db"));
        python(OLDEN, &[&new, &old, Path::new(V1)]);
        assert_eq!(python(HISTORY, &[&old]), "1");
        Self { place, phone }
    }

    /// A copy of it: another place, whose messages go to the same phone.
    fn copy(&self) -> Place {
        let place = Place::new(&self.phone);
        fs::copy(self.place.file("otpd.key"), place.file("otpd.key")).expect("a copy");
        fs::copy(self.place.file("old.db"), place.file("otpd.db")).expect("a copy");
        place
    }

    /// All of the migrations are made or none, and the next start makes them.
    fn migrates(&self, nth: u32) -> bool {
        let place = self.copy();
        let disk = Disk::new(&place, "otpd.");
        disk.set(What::Kill(nth), kinds::CHANGES);
        if start_on(&disk, &place).is_some() {
            return false;
        }
        let seen = python(HISTORY, &[&place.file("otpd.db")]);
        assert!(["1", "1 2 3 4"].contains(&&*seen), "killed before change {nth}: {seen}");
        let daemon = place.start();
        assert_eq!(python(HISTORY, &[&place.file("otpd.db")]), "1 2 3 4");
        assert_eq!(daemon.show(USER).subscriber.state, State::Active);
        logs_in(&daemon, &self.phone, USER);
        true
    }
}

#[test]
fn killed_while_an_old_database_is_brought_up_to_date() {
    let olden = Olden::new();
    each_change("the migrations", 5, |nth| olden.migrates(nth));
}

#[test]
#[ignore = "long"]
fn killed_before_every_change_while_an_old_database_is_brought_up_to_date() {
    let olden = Olden::new();
    each_change("the migrations", 1, |nth| olden.migrates(nth));
}

/// Twenty accounts of the host.
fn many() -> String {
    let rows = (0..20).map(|nth| format!("u{nth}:x:{}:100::/:/bin/false\n", 30_000 + nth));
    ["root:x:0:0::/root:/bin/sh\n".to_owned()].into_iter().chain(rows).collect()
}

/// An import that the daemon does not live through. Its second run enters the rest, and what was
/// reported as entered is there.
fn import(nth: u32) -> bool {
    let phone = Phone::start();
    let place = Place::new(&phone);
    let rows = (0..20).map(|nth| format!("u{nth},+131255502{nth:02}\n"));
    fs::write(place.file("people.csv"), rows.collect::<String>()).expect("a file");
    let file = place.file("people.csv");
    let file = file.to_str().expect("UTF-8");
    let passwd = place.file("passwd");
    fs::write(&passwd, many()).expect("a file");
    let disk = Disk::new(&place, "otpd.db");
    let among = |command: Command| {
        let mut inside = Command::new("unshare");
        inside.args(["--mount", "--propagation", "private", "sh", "-c"]);
        inside.args(["mount --bind \"$0\" /etc/passwd && exec \"$@\""]).arg(&passwd);
        inside.arg(command.get_program()).args(command.get_args());
        inside
    };
    let command = disk.under(among(place.command()));
    let daemon = Daemon::spawn(command, place.socket(), ": ready ");
    disk.set(What::Kill(nth), kinds::CHANGES);
    let (status, output, errors) = outcome(place.otpctl(&["enroll", "--from", file]));
    if disk.met() == 0 {
        assert_eq!(status, Some(0), "{output}{errors}");
        return false;
    }
    assert_ne!(status, Some(0), "killed before change {nth}: not said to be done: {output}");
    let _ = daemon.wait();
    let command = among(place.command());
    let daemon = Daemon::spawn(command, place.socket(), ": ready ");
    let (status, output, errors) = outcome(place.otpctl(&["enroll", "--from", file]));
    assert_eq!(status, Some(0), "killed before change {nth}: {output}{errors}");
    let (_, listed, _) = outcome(place.otpctl(&["list", "--json"]));
    for account in 0..20 {
        let row = format!("\"u{account}\"");
        assert_eq!(listed.matches(&row).count(), 1, "killed before change {nth}: {listed}");
    }
    assert!(phone.pending().is_none(), "an import sends nothing");
    drop(daemon);
    true
}

#[test]
fn killed_while_numbers_are_imported() {
    each_change("an import", 4, import);
}

#[test]
#[ignore = "long"]
fn killed_before_every_change_while_numbers_are_imported() {
    each_change("an import", 1, import);
}

/// Puts three thousand events of long ago before those that there are.
const AGED: &str = r#"
import sqlite3, sys
database = sqlite3.connect(sys.argv[1])
database.execute('UPDATE audit SET id = -id')
database.execute('UPDATE audit SET id = 3000 - id')
database.execute('DELETE FROM audit_account')
database.execute('DELETE FROM audit_request')
database.execute("DELETE FROM meta WHERE name = 'audit-indexed'")
rows = [(nth, 1000 + nth, 'nobody', 'daemon', '{}') for nth in range(1, 3001)]
database.executemany('INSERT INTO audit (id, at, account, actor, event) VALUES (?, ?, ?, ?, ?)', rows)
database.commit()
"#;

/// How many events there are, the oldest and the newest.
const EVENTS: &str = r"
import sqlite3, sys
database = sqlite3.connect(sys.argv[1])
print(*database.execute('SELECT count(*), min(id), max(id) FROM audit').fetchone())
print(database.execute('PRAGMA integrity_check').fetchone()[0])
";

/// Daemons whose first clean-up comes after a minute, all at the same time; each is killed at
/// another change of it.
fn retention(nths: &[u32]) -> usize {
    let phone = Phone::start();
    let place = Place::new(&phone);
    let daemon = place.start();
    daemon.enroll(&phone, USER, PEOPLE[0].1);
    daemon.terminate();
    assert!(daemon.wait().success());
    python(AGED, &[&place.file("otpd.db")]);
    let killed = |nth: u32| {
        let own = Place::new(&phone);
        for name in ["otpd.key", "otpd.db"] {
            fs::copy(place.file(name), own.file(name)).expect("a copy");
        }
        let disk = Disk::new(&own, "otpd.db");
        let daemon = start_on(&disk, &own).expect("it is not killed yet");
        // What it does at once is behind it.
        assert_eq!(daemon.show(USER).subscriber.state, State::Active);
        disk.set(What::Kill(nth), kinds::CHANGES);
        (own, disk, daemon)
    };
    let places = nths.iter().map(|nth| (*nth, killed(*nth))).collect::<Vec<_>>();
    let mut kills = 0;
    for (nth, (place, disk, daemon)) in places {
        // It is killed, or says that it is done.
        let done = daemon.says_within("deleted what was old", Duration::from_secs(90));
        if done {
            daemon.kill();
        } else {
            kills += 1;
            assert_eq!(disk.met(), 1, "killed before change {nth}");
            let _ = daemon.wait();
        }
        let daemon = place.start();
        logs_in(&daemon, &phone, USER);
        daemon.terminate();
        assert!(daemon.wait().success());
        let events = python(EVENTS, &[&place.file("otpd.db")]);
        assert!(events.ends_with("ok"), "killed before change {nth}: {events}");
        // What is left begins where a piece ended.
        let left = events.split(' ').nth(1).and_then(|oldest| oldest.parse::<u32>().ok());
        let left = left.expect("a number");
        assert!([1, 1001, 2001, 3001].contains(&left), "killed before change {nth}: {events}");
    }
    kills
}

#[test]
fn killed_while_old_rows_are_deleted() {
    // While the events are indexed, while they are deleted, and behind both.
    let kills = retention(&[2, 60, 120, 180, 400]);
    assert!((3..5).contains(&kills), "{kills} kills");
    println!("retention: {kills} kills survived");
}

#[test]
#[ignore = "long"]
fn killed_at_many_changes_while_old_rows_are_deleted() {
    // Some of them while the events are indexed, some while they are deleted, some behind both.
    let nths = (2..=400).step_by(8).collect::<Vec<_>>();
    let kills = retention(&nths);
    assert!((15..nths.len()).contains(&kills), "{kills} kills");
    println!("retention: {kills} kills survived");
}
