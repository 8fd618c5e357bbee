//! A disk that is full, really: the database on a small file system of the daemon's own.

use std::{
    fs,
    io::{BufRead, BufReader, ErrorKind, Write},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use otp_proto::{
    Secret,
    admin::{Disable, Enroll, Status, Unlock},
    login::Verdict,
};
use otpd_tests::{
    daemon::{Daemon, Place},
    phone::Phone,
    wire::{Wire, is_denied, is_granted, login, wrong},
};

use super::{
    listeners::{get, is_ready},
    people::PEOPLE,
    web::free,
};

/// The daemon's disk, 24 MiB. It is mounted where only the daemon sees it, and goes with it.
pub(crate) struct Disk {
    pub(crate) daemon: Daemon,
    pub(crate) folder: PathBuf,
}

impl Disk {
    pub(crate) fn start(place: &Place, phone: &Phone) -> Self {
        Self::start_with(place, phone, "")
    }

    /// The same with further tables in the configuration.
    fn start_with(place: &Place, phone: &Phone, tables: &str) -> Self {
        let folder = place.file("disk");
        fs::create_dir(&folder).expect("a directory");
        place.configure(&(place.settings(phone).replace("/otpd.db", "/disk/otpd.db") + tables));
        let otpd = place.command();
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-c"]);
        command.arg("mount -t tmpfs -o size=24m,mode=700 none \"$0\" && exec \"$@\"").arg(&folder);
        command.arg(otpd.get_program()).args(otpd.get_args());
        let daemon = Daemon::spawn(command, place.socket(), ": ready ");
        let folder = daemon.path(folder.to_str().expect("UTF-8"));
        Self { daemon, folder }
    }

    /// Takes all that is free, to the last page.
    fn fill(&self, name: &str) {
        Self::take_all(&self.folder, name);
    }

    pub(crate) fn take_all(folder: &Path, name: &str) -> u64 {
        let mut file = fs::File::create(folder.join(name)).expect("a file");
        let page = [1; 4096];
        while file.write_all(&page).is_ok() {}
        file.metadata().expect("a file").len()
    }

    /// Another program that reads the database, until [`end`].
    fn read_all_the_time(&self, place: &Place) -> Child {
        let pid = self.daemon.pid().to_string();
        let mut child = Command::new("nsenter")
            .args(["--mount", "--target", &pid, "python3", "-c", READER])
            .arg(place.file("disk/otpd.db"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("nsenter runs");
        let mut line = String::new();
        let output = child.stdout.take().expect("a pipe");
        BufReader::new(output).read_line(&mut line).expect("a line");
        assert_eq!(line, "reading\n");
        child
    }

    /// Takes so many bytes less than it did.
    fn shrink(&self, name: &str, by: u64) {
        let file = fs::File::options().write(true).open(self.folder.join(name)).expect("a file");
        file.set_len(file.metadata().expect("a file").len() - by).expect("a shorter one");
    }

    fn free(&self, name: &str) {
        fs::remove_file(self.folder.join(name)).expect("it is there");
    }

    /// Bytes that the reserve really takes up; none when it is gone.
    fn reserved(&self) -> u64 {
        let file = self.folder.join("otpd.db.reserve");
        fs::metadata(file).map_or(0, |reserve| reserve.blocks() * 512)
    }

    fn problems(&self) -> Vec<String> {
        self.daemon.connect().call(&Status {}).expect("a status").problems
    }

    fn failures(&self, user: &str) -> u32 {
        self.daemon.show(user).failures_24h
    }

    /// New logins are refused, and nothing is sent or charged for them.
    fn refuses_new_logins(&self, phone: &Phone, user: &str) {
        let before = self.daemon.show(user);
        let begun = self.daemon.connect().begin(user);
        assert_eq!(begun.step.verdict, Some(Verdict::Unavailable), "{:?}", begun.step);
        assert!(begun.challenge.is_none() && phone.pending().is_none());
        assert_eq!(self.daemon.show(user), before);
    }

    /// A login from its begin to its grant.
    fn logs_in(&self, phone: &Phone, user: &str) {
        let mut wire = self.daemon.connect();
        let challenge = wire.prompt(&login(user, None)).challenge;
        assert!(is_granted(&wire.answer(&challenge, &phone.next().code())));
    }
}

fn end(mut child: Child) {
    drop(child.stdin.take());
    assert!(child.wait().expect("an end").success());
}

const READER: &str = "
import sqlite3, sys
database = sqlite3.connect(sys.argv[1], isolation_level=None)
database.execute('BEGIN')
database.execute('SELECT count(*) FROM audit').fetchone()
print('reading', flush=True)
sys.stdin.read()
";
const RESERVE: u64 = 4 << 20;
const FULL: &str = "the disk of the store is full";

/// Ends the daemon and fills its disk; then another one starts there.
fn restart_on_a_full_disk(disk: Disk, place: &Place) -> Disk {
    let Disk { daemon, folder } = disk;
    let pid = daemon.pid().to_string();
    // Keeps the disk mounted.
    let mut holder = Command::new("nsenter")
        .args(["--mount", "--target", &pid, "sh", "-c", "echo && exec cat"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("nsenter runs");
    let mut line = String::new();
    BufReader::new(holder.stdout.take().expect("a pipe")).read_line(&mut line).expect("a line");
    daemon.terminate();
    assert!(daemon.wait().success());
    let own = format!("/proc/{pid}/root");
    let inside = folder.strip_prefix(own).expect("the daemon's view").to_owned();
    let pid = holder.id().to_string();
    let seen = Path::new(&format!("/proc/{pid}/root")).join(&inside);
    // Of the two connections of the daemon the last one to close takes the index of the log away,
    // if there is time. Without it, it must be made anew.
    match fs::remove_file(seen.join("otpd.db-shm")) {
        Ok(()) => {}
        Err(error) => assert_eq!(error.kind(), ErrorKind::NotFound),
    }
    let filled = Disk::take_all(&seen, "filler");
    assert!(filled > 8 << 20, "{filled} bytes");
    let otpd = place.command();
    let mut command = Command::new("nsenter");
    command.args(["--mount", "--target", &pid]).arg(otpd.get_program()).args(otpd.get_args());
    let daemon = Daemon::spawn(command, place.socket(), ": ready ");
    end(holder);
    let folder = daemon.path(&format!("/{}", inside.to_str().expect("UTF-8")));
    Disk { daemon, folder }
}

/// A daemon with two people enrolled; the first one waits for nothing but to type this code.
fn waiting(place: &Place, phone: &Phone) -> (Disk, Wire, String, String) {
    let disk = Disk::start(place, phone);
    assert_eq!(disk.reserved(), RESERVE, "kept from the start");
    for (user, number) in PEOPLE.into_iter().take(2) {
        disk.daemon.enroll(phone, user, number);
    }
    let mut wire = disk.daemon.connect();
    let challenge = wire.prompt(&login(PEOPLE[0].0, None)).challenge;
    let code = phone.next().code();
    (disk, wire, challenge, code)
}

#[test]
fn who_waits_for_a_code_gets_in_and_nobody_new_until_there_is_room() {
    let phone = Phone::start();
    let place = Place::new(&phone);
    let (disk, mut wire, challenge, code) = waiting(&place, &phone);
    let [(waits, _), (comes, _), (other, number), ..] = PEOPLE;
    disk.fill("filler");

    let step = wire.answer(&challenge, &wrong(&code, 0));
    let prompt = step.prompt.expect("the login goes on").text;
    assert!(prompt.contains("2 tries left"), "{prompt}");
    assert_eq!(disk.failures(waits), 1, "charged, and once");
    disk.daemon.wait_for("the disk is full: new logins are refused");
    assert_eq!(disk.reserved(), 0, "given up");
    disk.refuses_new_logins(&phone, comes);
    assert!(disk.problems().iter().any(|problem| problem.starts_with(FULL)));

    // What an administrator adds can wait; what denies need not.
    let mut admin = disk.daemon.connect();
    let (user, phone_number) = (other.to_owned(), Secret::new(number.to_owned()));
    let enroll = Enroll { user, phone: phone_number, channel: None, replace: false };
    let unlock = Unlock { user: comes.to_owned() };
    let refusals = [admin.call(&enroll).expect_err("full"), admin.call(&unlock).expect_err("full")];
    for refusal in refusals {
        assert_eq!(refusal.error, "org.otpd.Admin.Unavailable");
        let reason = refusal.parameters["reason"].as_str().expect("a reason");
        assert!(reason.starts_with(FULL), "{reason}");
    }
    let disable = Disable { user: comes.to_owned() };
    admin.call(&disable).expect("denying needs next to no room");

    assert!(is_granted(&wire.answer(&challenge, &code)));
    assert!(is_denied(&wire.answer(&challenge, &code)), "once");

    disk.free("filler");
    admin.call(&unlock).expect("there is room, and no need to wait for anything");
    assert_eq!(disk.reserved(), RESERVE, "kept again");
    disk.logs_in(&phone, waits);
    assert!(!disk.problems().iter().any(|problem| problem.starts_with(FULL)));
    disk.daemon.wait_for("the disk has room again");
}

#[test]
fn readiness_says_so_and_when_it_is_over() {
    let phone = Phone::start();
    let place = Place::new(&phone);
    let [admin] = free();
    let http = format!("\n[http]\nadmin-listen = \"{admin}\"\n");
    let disk = Disk::start_with(&place, &phone, &http);
    let (user, number) = PEOPLE[0];
    disk.daemon.enroll(&phone, user, number);
    assert!(is_ready(admin));
    disk.fill("filler");
    disk.refuses_new_logins(&phone, user);
    let answer = get(admin, "/readyz").expect("it answers");
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(answer.ends_with("store: failing\ngateways: ok\nclock: ok\n"), "{answer}");
    let health = get(admin, "/healthz").expect("it answers");
    assert!(health.starts_with("HTTP/1.1 200 "), "a restart would mend nothing: {health}");
    disk.free("filler");
    // One probe finds the room itself, whatever it says of a slow machine's store.
    let _ = get(admin, "/readyz").expect("it answers");
    disk.daemon.wait_for("the disk has room again");
    assert!(is_ready(admin));
    disk.logs_in(&phone, user);
}

#[test]
fn a_new_login_that_finds_the_disk_full_leaves_the_room_to_others() {
    let phone = Phone::start();
    let place = Place::new(&phone);
    let (disk, mut wire, challenge, code) = waiting(&place, &phone);
    disk.fill("filler");
    // The first one to notice is not the one that the room is for.
    for _ in 0..20 {
        disk.refuses_new_logins(&phone, PEOPLE[1].0);
    }
    assert!(is_granted(&wire.answer(&challenge, &code)));
    // Room for the reserve and for nothing beside it would be gone again at once.
    disk.shrink("filler", 2 << 20);
    disk.refuses_new_logins(&phone, PEOPLE[1].0);
    disk.free("filler");
    disk.logs_in(&phone, PEOPLE[1].0);
    // After that line nothing more comes of before.
    disk.daemon.wait_for("the disk has room again");
    let said = disk.daemon.log().matches("the disk is full: new logins are refused").count();
    assert_eq!(said, 1, "once");
}

#[test]
fn without_any_room_nobody_is_granted_and_nothing_is_lost() {
    let phone = Phone::start();
    let place = Place::new(&phone);
    let (disk, mut wire, challenge, code) = waiting(&place, &phone);
    let waits = PEOPLE[0].0;
    // Another program reads all the time, so that the room of the database's log, which alone
    // would see this login through, cannot be used again.
    let reader = disk.read_all_the_time(&place);
    disk.fill("filler");
    disk.refuses_new_logins(&phone, PEOPLE[1].0);
    assert_eq!(disk.reserved(), 0);
    // And somebody takes the reserve's room as well.
    disk.fill("more");
    for answer in [wrong(&code, 0), code.clone()] {
        let step = wire.answer(&challenge, &answer);
        assert_eq!(step.verdict, Some(Verdict::Unavailable), "{step:?}");
    }
    assert_eq!(disk.failures(waits), 0, "not judged, not charged");
    end(reader);
    disk.free("more");
    disk.free("filler");
    assert!(is_granted(&wire.answer(&challenge, &code)), "and not used");
    disk.logs_in(&phone, PEOPLE[1].0);
    assert_eq!(disk.reserved(), RESERVE);
}

#[test]
fn a_daemon_that_starts_on_a_full_disk_answers_who_waits() {
    let phone = Phone::start();
    let place = Place::new(&phone);
    let (disk, wire, challenge, code) = waiting(&place, &phone);
    drop(wire);
    let disk = restart_on_a_full_disk(disk, &place);
    assert_eq!(disk.reserved(), 0, "it took that much to open the database");
    disk.refuses_new_logins(&phone, PEOPLE[1].0);
    assert!(disk.problems().iter().any(|problem| problem.starts_with(FULL)));
    assert!(is_granted(&disk.daemon.connect().answer(&challenge, &code)));
    disk.free("filler");
    disk.logs_in(&phone, PEOPLE[1].0);
    assert_eq!(disk.reserved(), RESERVE);
}
