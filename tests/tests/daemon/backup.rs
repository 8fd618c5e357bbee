//! Backups that are made while logins go on, and come back: into a database that was lost, and over one
//! that has gone on; whole, cut off, damaged, of another key, and interrupted.

use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf, process::Command};

use otp_proto::{
    Method,
    admin::{Backup, BackupPiece, Restore, RestoredPiece, Status},
};
use otpd_tests::{
    daemon::{Daemon, Place},
    phone::Phone,
    wire::{Refusal, Wire, frame, is_granted, login, typed, wrong},
};
use serde_json::{Value, json};

use super::people::{PEOPLE, outcome};

const USER: &str = PEOPLE[0].0;
const NUMBER: &str = PEOPLE[0].1;
const OTHER: &str = PEOPLE[1].0;
const OTHERS_NUMBER: &str = PEOPLE[1].1;

/// Accounts of the long list.
const MANY: usize = 400;
/// Accounts whose backup no socket's buffer holds.
const TOO_MANY: usize = 5_000;

pub(super) struct Scene {
    pub(super) phone: Phone,
    pub(super) place: Place,
    pub(super) daemon: Daemon,
}

impl Scene {
    /// Two people who have a proved number.
    pub(super) fn new() -> Self {
        let phone = Phone::start();
        let place = Place::new(&phone);
        let daemon = place.start();
        daemon.enroll(&phone, USER, NUMBER);
        daemon.enroll(&phone, OTHER, OTHERS_NUMBER);
        Self { phone, place, daemon }
    }

    /// So many whose number is registered.
    pub(super) fn crowded(many: usize) -> Self {
        let phone = Phone::start();
        let place = Place::new(&phone);
        let own = fs::read_to_string("/etc/passwd").expect("accounts");
        let rows = (0..many).map(|nth| format!("u{nth}:x:{}:65534::/:/bin/false\n", 30_000 + nth));
        let daemon = place
            .start_among(&(own.trim_end().to_owned() + "\n" + &rows.collect::<Vec<_>>().concat()));
        let list = (0..many).map(|nth| format!("u{nth},+1312556{nth:04}\n"));
        let list = list.collect::<Vec<_>>().concat();
        let path = place.file("list.csv");
        fs::write(&path, list).expect("a file");
        let path = path.to_str().expect("UTF-8");
        let (exit, _, stderr) = outcome(place.otpctl(&["enroll", "--from", path]));
        assert_eq!((exit, &*stderr), (Some(0), ""));
        Self { phone, place, daemon }
    }

    /// A login up to its prompt; its code.
    pub(super) fn begun(&self) -> (Wire, String, String) {
        let mut wire = self.daemon.connect();
        let challenge = wire.prompt(&login(USER, None)).challenge;
        (wire, challenge, self.phone.next().code())
    }

    fn logs_in(&self) {
        let (mut wire, challenge, code) = self.begun();
        assert!(is_granted(&wire.answer(&challenge, &code)));
    }

    /// A backup, made by the program.
    fn backup(&self, name: &str) -> PathBuf {
        let path = self.place.file(name);
        let file = path.to_str().expect("UTF-8");
        let (exit, stdout, stderr) = outcome(self.place.otpctl(&["backup", file]));
        assert_eq!((exit, &*stderr), (Some(0), ""), "{stdout}");
        path
    }

    /// The daemon stops, its database goes, and one that has never had any begins.
    fn lose(self) -> Self {
        let Self { phone, place, daemon } = self;
        daemon.kill();
        for name in ["otpd.db", "otpd.db-wal", "otpd.db-shm"] {
            fs::remove_file(place.file(name)).expect("a file of the database");
        }
        let daemon = place.start();
        Self { phone, place, daemon }
    }

    fn restored(&self, file: &std::path::Path, more: &[&str]) -> Value {
        let file = file.to_str().expect("UTF-8");
        let arguments = [&["restore", file, "--json"], more].concat();
        let (exit, stdout, stderr) = outcome(self.place.otpctl(&arguments));
        assert_eq!((exit, &*stderr), (Some(0), ""), "{arguments:?}");
        serde_json::from_str(&stdout).expect("JSON")
    }

    /// What keeps a restore from being done.
    fn refused(&self, file: &std::path::Path) -> String {
        let file = file.to_str().expect("UTF-8");
        let (exit, stdout, stderr) = outcome(self.place.otpctl(&["restore", file, "--yes"]));
        assert_eq!((exit, &*stdout), (Some(1), ""), "{stderr}");
        stderr
    }

    pub(super) fn enrolled(&self) -> u32 {
        let status = self.daemon.status();
        status.active + status.pending + status.disabled
    }
}

/// One piece of a backup that is restored.
fn send(wire: &mut Wire, text: &str) -> Result<RestoredPiece, Refusal> {
    wire.call(&Restore { text: text.to_owned(), dry_run: false })
}

/// Whole lines of a backup, each in its pieces.
pub(super) fn lines(text: &str) -> impl Iterator<Item = Vec<&str>> {
    let piece = |line: &str| line.len().div_ceil(Restore::LONGEST);
    text.split_inclusive('\n').map(move |line| {
        let mut rest = line;
        (0..piece(line))
            .map(|_| {
                let (one, later) = rest.split_at(rest.len().min(Restore::LONGEST));
                rest = later;
                one
            })
            .collect()
    })
}

#[test]
fn a_lost_database_comes_back_from_a_backup_that_was_made_while_people_logged_in() {
    let scene = Scene::new();
    scene.logs_in();
    let (mut wire, challenge, live) = scene.begun();
    let missed = wrong(&live, 0);
    assert!(wire.answer(&challenge, &missed).prompt.is_some());
    let request = {
        let (_, stdout, _) = outcome(scene.place.otpctl(&["log", "--json", "--user", USER]));
        let first: Value =
            serde_json::from_str(stdout.lines().last().expect("events")).expect("JSON");
        first["request"].as_str().expect("a request").to_owned()
    };
    let backup = scene.backup("otpd.backup");
    assert!(is_granted(&wire.answer(&challenge, &live)), "the login went on meanwhile");
    let mode = backup.metadata().expect("a file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    // Nothing in it can be read without the key, also where it is not packed.
    let text = fs::read_to_string(&backup).expect("text");
    let script = "import base64, sys
for line in open(sys.argv[1]):
    for part in line.split()[-1].split('.'):
        sys.stdout.buffer.write(base64.b64decode(part + '=' * (-len(part) % 4)) + b' ')";
    let opened = Command::new("python3").args(["-c", script]).arg(&backup).output();
    let opened = opened.expect("python3 runs");
    assert!(opened.status.success(), "{}", String::from_utf8_lossy(&opened.stderr));
    let key = fs::read(scene.place.file("otpd.key")).expect("a key");
    let has = |bytes: &[u8], part: &[u8]| bytes.windows(part.len()).any(|found| found == part);
    assert!(has(&opened.stdout, USER.as_bytes()), "there is something to look at");
    for secret in [&NUMBER.as_bytes()[2..], live.as_bytes(), &key, challenge.as_bytes()] {
        for bytes in [text.as_bytes(), &opened.stdout] {
            // Six digits turn up among times by themselves.
            let harmless = secret.len() == 6 && !has(bytes, &[b"\"", secret, b"\""].concat());
            assert!(harmless || !has(bytes, secret), "{}", String::from_utf8_lossy(secret));
        }
    }

    let scene = scene.lose();
    assert!(scene.daemon.connect().begin(USER).challenge.is_none(), "nobody is enrolled");
    let found = scene.restored(&backup, &["--dry-run"]);
    assert_eq!(found["enrolled"].as_array().map(Vec::len), Some(2), "{found}");
    assert_eq!(scene.enrolled(), 0, "a dry run changes nothing");
    let done = scene.restored(&backup, &["--yes"]);
    assert_eq!(done["enrolled"].as_array().map(Vec::len), Some(2), "{done}");
    assert!(done["events"].as_u64().is_some_and(|events| events > 5), "{done}");
    assert_eq!(scene.enrolled(), 2);
    let again = scene.restored(&backup, &["--yes"]);
    assert_eq!((&again["changed"], &again["events"]), (&json!(0), &json!(0)), "{again}");
    let mut wire = scene.daemon.connect();
    assert_eq!(scene.daemon.show(USER).failures_24h, 1, "what was typed wrong counts");
    let reply = wire.call(&typed(&challenge, &live));
    assert!(!reply.is_ok_and(|reply| is_granted(&reply.step)), "and no code of then lets in");
    scene.logs_in();
    let (exit, story, _) = outcome(scene.place.otpctl(&["explain", &request]));
    assert_eq!(exit, Some(0));
    assert!(story.contains(USER), "{story}");
    let (_, log, _) = outcome(scene.place.otpctl(&["log"]));
    for said in ["backup restored", "number restored from a backup", "by root"] {
        assert!(log.contains(said), "{said}: {log}");
    }
}

#[test]
fn an_old_backup_over_a_newer_database_gives_nothing_back() {
    let scene = Scene::new();
    let (_waiting, challenge, live) = scene.begun();
    let (mut wire, second, code) = scene.begun();
    assert!(wire.answer(&second, &wrong(&code, 0)).prompt.is_some());
    let backup = scene.backup("old.backup");
    // What happens afterwards: another number, another wrong code, and somebody is removed.
    assert!(wire.answer(&second, &wrong(&code, 1)).prompt.is_some());
    let number = "+13125550199";
    let enroll = ["enroll", USER, number, "--replace", "--yes"];
    assert_eq!(outcome(scene.place.otpctl(&enroll)).0, Some(0));
    let _ = scene.phone.next();
    assert_eq!(outcome(scene.place.otpctl(&["remove", OTHER, "--yes"])).0, Some(0));
    let (before, number) = (scene.daemon.show(USER), scene.daemon.show(USER).subscriber.phone);
    let done = scene.restored(&backup, &["--yes"]);
    assert_eq!(done["left_removed"], json!([OTHER]), "{done}");
    assert_eq!(done["enrolled"], json!([]), "{done}");
    let after = scene.daemon.show(USER);
    assert_eq!(after.subscriber.phone, number, "the number that was changed stays");
    assert_eq!(after.failures_24h, 2);
    assert!(after.sends_24h >= before.sends_24h, "budgets are not refilled");
    assert_eq!(scene.enrolled(), 1);
    let reply = scene.daemon.connect().call(&typed(&challenge, &live));
    assert!(!reply.is_ok_and(|reply| is_granted(&reply.step)), "a code of then is dead");
}

/// A backup of which one byte is another, here and there: a name, the text, and what is said of it.
pub(super) fn with_another_byte(text: &str) -> Vec<(String, String, &'static str)> {
    let places = [40, text.len() / 3, text.len() / 2, text.len() - 10];
    let damaged = places.map(|place| {
        let mut bytes = text.as_bytes().to_vec();
        bytes[place] = if bytes[place] == b'A' { b'B' } else { b'A' };
        let text = String::from_utf8(bytes).expect("text");
        (format!("byte {place}"), text, " of the backup is damaged")
    });
    damaged.into()
}

#[test]
fn what_is_not_whole_is_refused_before_anything_is_changed() {
    let scene = Scene::new();
    let backup = scene.backup("otpd.backup");
    let text = fs::read_to_string(&backup).expect("text");
    let scene = scene.lose();
    let file = scene.place.file("bad.backup");
    let whole = text.split_inclusive('\n').collect::<Vec<_>>();
    assert!(whole.len() > 4, "pages to cut off: {}", whole.len());
    let mut cases = (0..whole.len())
        .map(|count| (format!("{count} lines"), whole[..count].concat(), "cut off"))
        .collect::<Vec<_>>();
    cases.push(("no line feed".to_owned(), text.trim_end().to_owned(), "cut off"));
    cases.push(("more".to_owned(), text.clone() + whole[1], "after the end"));
    cases.push(("something else".to_owned(), "hello\n".to_owned(), "is not a backup of otpd"));
    let newer = text.replacen("otpd-backup 1 ", "otpd-backup 2 ", 1);
    cases.push(("a newer one".to_owned(), newer, "in a format that is newer"));
    cases.extend(with_another_byte(&text));
    for (name, text, said) in cases {
        fs::write(&file, text).expect("a file");
        let why = scene.refused(&file);
        assert!(why.contains(said), "{name}: {why}");
        assert_eq!(scene.enrolled(), 0, "{name}");
    }
    fs::write(&file, [0xff, 0xfe, b'\n']).expect("a file");
    assert!(scene.refused(&file).contains("not a backup of otpd"), "no text");

    let phone = Phone::start();
    let place = Place::new(&phone);
    let daemon = place.start();
    let other = Scene { phone, place, daemon };
    let why = other.refused(&backup);
    assert!(why.contains("made with another master key") && why.contains("put the key"), "{why}");
}

#[test]
fn a_restore_that_is_interrupted_is_made_whole_by_the_next_one() {
    let scene = Scene::crowded(MANY);
    let backup = scene.backup("otpd.backup");
    let text = fs::read_to_string(&backup).expect("text");
    let mut scene = scene.lose();
    let all = lines(&text).collect::<Vec<_>>();
    assert!(all.len() > 12, "pages: {}", all.len());
    // The daemon is killed in the middle, and then the one who restores goes away.
    for part in [all.len() / 3, all.len() / 2] {
        let mut wire = scene.daemon.connect();
        for piece in all.iter().take(part).flatten() {
            send(&mut wire, piece).expect("restored");
        }
        let Scene { phone, place, daemon } = scene;
        daemon.kill();
        let daemon = place.start();
        scene = Scene { phone, place, daemon };
        let enrolled = usize::try_from(scene.enrolled()).expect("a number");
        assert!((1..MANY).contains(&enrolled), "{enrolled}");
    }
    let done = scene.restored(&backup, &["--yes"]);
    assert_eq!(done["users"], json!(MANY), "{done}");
    assert_eq!(usize::try_from(scene.enrolled()), Ok(MANY));
    let (_, trail, _) = outcome(scene.place.otpctl(&["log", "--json"]));
    let count = |kind: &str| trail.lines().filter(|line| line.contains(kind)).count();
    assert_eq!(count("\"event\":\"number-restored\""), MANY, "each of them once");
    assert_eq!(count("\"event\":\"enrolled\""), MANY, "and the trail, once");
    // What is not a piece is not taken for one.
    let mut wire = scene.daemon.connect();
    let long = "x".repeat(Restore::LONGEST + 1);
    for text in ["a\nb", "\n\n", &long] {
        let refusal = send(&mut wire, text).expect_err("no piece");
        assert_eq!(refusal.error, "org.varlink.service.InvalidParameter", "{text}");
    }
}

/// Asks for a backup, and reads nothing yet.
fn asked(daemon: &Daemon) -> Wire {
    let mut wire = daemon.connect();
    let call = json!({ "method": Backup::NAME, "parameters": { "log": true }, "more": true });
    assert!(wire.send(&frame(&call)));
    wire
}

/// A backup that somebody began to read, and that waits for its reader.
fn stalled(scene: &Scene) -> Wire {
    let mut stalled = asked(&scene.daemon);
    let first = stalled.reply::<Backup>().expect("a reply").expect("a piece");
    let BackupPiece { text, of, .. } = first;
    assert!(text.starts_with("otpd-backup 1 ") && of == TOO_MANY as u64);
    let mut second = asked(&scene.daemon);
    let refusal = second.reply::<Backup>().expect("a reply").expect_err("one at a time");
    assert!(
        refusal.parameters["reason"].as_str().is_some_and(|why| why.contains("another backup"))
    );
    stalled
}

/// A backup succeeds within so many tries; of users and limits alone, for the trail holds nobody up.
fn succeeds_within(tries: usize, scene: &Scene) {
    let file = scene.place.file("second.backup");
    let path = file.to_str().expect("UTF-8");
    let made =
        || outcome(scene.place.otpctl(&["backup", path, "--no-log", "--force"])).0 == Some(0);
    assert!((0..tries).any(|_| made()), "the seat stays taken");
    // The daemon waits for its reader only where the system takes no more on the reader's behalf.
    let buffer = fs::read_to_string("/proc/sys/net/core/wmem_default").expect("a setting");
    let buffer: u64 = buffer.trim().parse().expect("bytes");
    assert!(fs::metadata(file).expect("a file").len() > 2 * buffer, "nobody had to wait");
}

#[test]
fn a_reader_that_stops_gives_its_seat_up_and_holds_nobody_up() {
    let scene = Scene::crowded(TOO_MANY);
    let stalled = stalled(&scene);
    // Administration goes on meanwhile.
    scene.daemon.connect().call(&Status {}).expect("a status");
    // Whoever goes away is noticed by the next piece.
    drop(stalled);
    succeeds_within(200, &scene);
}

/// Waits for the end of a stalled reader, which takes its 15 s.
#[test]
#[ignore = "long"]
fn a_reader_that_takes_nothing_is_hung_up_on() {
    let scene = Scene::crowded(TOO_MANY);
    let mut stalled = stalled(&scene);
    succeeds_within(10_000, &scene);
    let pieces = std::iter::from_fn(|| stalled.reply::<Backup>()).count();
    assert!(pieces > 0, "what was on its way is read, and then there is no more");
}

#[test]
fn files_that_cannot_be_written_are_said_with_the_remedy() {
    let scene = Scene::new();
    let backup = scene.backup("otpd.backup");
    let before = fs::read(&backup).expect("a file");
    let file = backup.to_str().expect("UTF-8");
    let (exit, _, stderr) = outcome(scene.place.otpctl(&["backup", file]));
    assert_eq!(exit, Some(1));
    assert!(stderr.contains("is there already") && stderr.contains("--force"), "{stderr}");
    assert_eq!(fs::read(&backup).expect("a file"), before);
    let (exit, _, stderr) = outcome(scene.place.otpctl(&["backup", file, "--force", "--no-log"]));
    assert_eq!((exit, &*stderr), (Some(0), ""));
    assert_ne!(fs::read(&backup).expect("a file"), before);
    let (exit, _, stderr) = outcome(scene.place.otpctl(&["backup", "/no/such/folder/x"]));
    assert_eq!(exit, Some(1));
    assert!(stderr.contains("cannot write /no/such/folder/x"), "{stderr}");

    let folder = scene.place.file("small");
    fs::create_dir(&folder).expect("a directory");
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-c"]);
    let script = "mount -t tmpfs -o size=8k none \"$0\" && head -c 8192 /dev/zero > \"$0/full\" && \
                  \"$@\"; status=$?; ls -A \"$0\"; exit $status";
    command.arg(script).arg(&folder);
    let otpctl = scene.place.otpctl(&["backup", folder.join("x").to_str().expect("UTF-8")]);
    command.arg(otpctl.get_program()).args(otpctl.get_args());
    let (exit, left, stderr) = outcome(command);
    assert_eq!((exit, &*left), (Some(1), "full\n"), "nothing of it is left: {stderr}");
    assert!(stderr.contains("free space"), "{stderr}");

    let (exit, stdout, stderr) = outcome(scene.place.otpctl(&["backup", "-"]));
    assert_eq!(exit, Some(0), "{stderr}");
    assert!(stdout.starts_with("otpd-backup 1 ") && stderr.contains("keep that in another place"));
    for (arguments, said) in [
        (&["restore", "/no/such/file"][..], "cannot read /no/such/file"),
        (&["restore", "/dev/null"], "is read twice"),
        (&["restore", file], "needs a yes"),
    ] {
        let (exit, stdout, stderr) = outcome(scene.place.otpctl(arguments));
        assert!(exit != Some(0) && stdout.is_empty(), "{arguments:?}");
        assert!(stderr.contains(said), "{arguments:?}: {stderr}");
    }
}
