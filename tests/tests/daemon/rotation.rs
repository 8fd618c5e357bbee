//! The master key is replaced while logins go on.

use std::{
    fs,
    os::unix::{fs::PermissionsExt, process::ExitStatusExt},
    path::{Path, PathBuf},
    process::{Child, Command},
};

use otp_proto::{
    admin::{RotateKey, finish_rotation},
    login::Step,
    shell,
};
use otpd_tests::{
    daemon::{Daemon, Place, failpoints},
    phone::Phone,
    postgres::Server,
    wire::{Wire, is_granted, login, typed},
};
use serde_json::Value;

use super::{
    listeners::get,
    people::{PEOPLE, script},
    postgres::{Host, hosts_come_to, log_in},
    web::free,
};

const USER: &str = PEOPLE[0].0;
const NUMBER: &str = PEOPLE[0].1;

pub(super) fn make_next_key(place: &Place) -> PathBuf {
    let made = place.command().arg("--make-next-key").output().expect("otpd runs");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let file = place.file("otpd.key.next");
    assert_eq!(fs::read(&file).expect("a key").len(), 32);
    file
}

/// What otpctl says; whether it was done.
pub(super) fn rotate(place: &Place) -> (bool, String) {
    let output = place.otpctl(&["key", "rotate", "--yes"]).output().expect("otpctl runs");
    let told = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&told).into_owned())
}

/// Answers as the module does: where the daemon has hung up, once more on a new connection.
fn answer(daemon: &Daemon, wire: &mut Wire, challenge: &str, code: &str) -> Step {
    let answer = typed(challenge, code);
    let told = wire.try_call(&answer).or_else(|| daemon.connect().try_call(&answer));
    told.expect("the daemon comes back").expect("a step").step
}

/// What is told to be done on every host, with the paths of this one.
fn finishing(place: &Place) -> String {
    finish_rotation(&place.file("otpd.key"))
}

/// Does that, but for the restart, with this program in the place of otpctl; whether all of it was done.
fn finish_by(place: &Place, otpctl: &str) -> bool {
    let programs = place.file("programs");
    fs::create_dir_all(&programs).expect("a folder");
    let restart = r#"[ "$*" = "restart otpd" ]"#;
    for (name, does) in [("otpctl", otpctl), ("systemctl", restart)] {
        let program = programs.join(name);
        fs::write(&program, format!("#!/bin/sh\n{does}\n")).expect("a program");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("a mode");
    }
    let path = format!("{}:/usr/bin:/bin", programs.display());
    let mut shell = Command::new("sh");
    shell.args(["-c", &finishing(place)]).env("PATH", path);
    shell.status().expect("a shell").success()
}

/// The same with otpctl, which asks this place's daemon.
fn may_finish(place: &Place) -> bool {
    let otpctl = place.otpctl(&[]);
    let words = [otpctl.get_program()].into_iter().chain(otpctl.get_args());
    let words = words.map(|word| shell::word(word.to_str().expect("UTF-8")));
    let [program, socket @ ..] = &words.collect::<Vec<_>>()[..] else { panic!("no words") };
    finish_by(place, &format!("exec {program} \"$@\" {}", socket.join(" ")))
}

/// The same where the key was rotated: a daemon that is slow to find its next key says so later.
fn finish(place: &Place) {
    assert!((0..30).any(|_| may_finish(place)), "{}", finishing(place));
}

/// Until otpd is restarted it is told to be done, and another rotation comes: no key is overwritten.
#[test]
fn a_rotation_that_is_finished_twice_and_again_loses_no_key() {
    let phone = Phone::start();
    let place = Place::new(&phone);
    let guide = include_str!("../../../packaging/doc/guide.md");
    let shipped = finish_rotation(Path::new("/etc/otpd/otpd.key"));
    assert!(guide.contains(&format!("\n{shipped}\n")));
    let finish = |place: &Place| {
        assert!(finish_by(place, r#"[ "$*" = "key is-rotated" ]"#));
    };
    let key = |name: &str| fs::read(place.file(name)).expect("a key");
    fs::write(place.file("otpd.key"), "first").expect("a key");
    fs::write(place.file("otpd.key.next"), "second").expect("a key");
    for _ in 0..2 {
        finish(&place);
        assert_eq!((key("otpd.key"), key("otpd.key.old")), (b"second".into(), b"first".into()));
    }
    fs::write(place.file("otpd.key.next"), "third").expect("a key");
    for _ in 0..2 {
        finish(&place);
        let kept = ["otpd.key", "otpd.key.old", "otpd.key.old.~1~"].map(key);
        assert_eq!(kept, ["third", "second", "first"].map(Vec::from));
    }
}

#[test]
fn the_key_of_two_hosts_is_rotated_while_logins_go_on() {
    let (phone, server) = (Phone::start(), Server::start());
    let hosts = ["web1", "web2"].map(|name| Host::new(name, &phone, &server));
    let daemons = hosts.each_ref().map(Host::start);
    daemons[0].enroll(&phone, USER, NUMBER);
    hosts_come_to(&hosts[0], |hosts| hosts[1]["state"] == "running");
    let (done, told) = rotate(&hosts[0].place);
    assert!(!done && told.contains("there is no next key"), "{told}");
    let next = make_next_key(&hosts[0].place);
    let (done, told) = rotate(&hosts[0].place);
    assert!(!done && told.contains("do not hold the next key") && told.contains("web2"), "{told}");
    fs::copy(next, hosts[1].place.file("otpd.key.next")).expect("a copy");
    let holds = |hosts: &Value| hosts[1]["next_key"].is_string();
    let told = hosts_come_to(&hosts[0], holds);
    assert_eq!(told["hosts"][0]["next_key"], told["hosts"][1]["next_key"]);

    // Somebody waits at the prompt of either host.
    let mut logins = daemons.each_ref().map(|daemon| {
        let mut wire = daemon.connect();
        let challenge = wire.prompt(&login(USER, None)).challenge;
        (wire, challenge, phone.next().code())
    });
    let (done, told) = rotate(&hosts[0].place);
    assert!(done && told.contains("numbers among it: 1"), "{told}");
    for (daemon, (wire, challenge, code)) in daemons.iter().zip(&mut logins) {
        assert!(is_granted(&answer(daemon, wire, challenge, code)), "{}", daemon.log());
        let again = daemon.connect().try_call(&typed(challenge, code)).expect("an answer");
        assert!(!again.is_ok_and(|reply| is_granted(&reply.step)), "it is used");
        daemon.wait_for("the keys of the database are others now");
        log_in(daemon, &phone);
    }
    for host in &hosts {
        let told = hosts_come_to(host, |hosts| hosts[1]["next_key"].is_null());
        assert_eq!(told["hosts"][0]["key"], told["hosts"][1]["key"]);
        let problem = told["problems"][0].as_str().unwrap_or_default();
        assert!(problem.ends_with(&finishing(&host.place)), "{told}");
        let (done, told) = rotate(&host.place);
        assert!(!done && told.contains("is under this key already"), "{told}");
        assert!(told.contains(&finishing(&host.place)), "{told}");
    }
    let log = hosts[1].otpctl(&["log"]);
    assert!(log.contains("master key rotated"), "{log}");
    // The key from before is gone; a host that has it alone does not work, and says why.
    finish(&hosts[0].place);
    drop(daemons);
    let first = hosts[0].start();
    log_in(&first, &phone);
    let told = hosts_come_to(&hosts[0], |_| true);
    assert_eq!(told["problems"], serde_json::json!([]));
    fs::remove_file(hosts[1].place.file("otpd.key.next")).expect("the next key");
    hosts[1].refusing().wait_for("made with another master key");
}

#[test]
fn a_host_that_cannot_begin_anew_does_so_by_the_configuration_that_held() {
    let (phone, server) = (Phone::start(), Server::start());
    let hosts = ["web1", "web2"].map(|name| Host::new(name, &phone, &server));
    let daemons = hosts.each_ref().map(Host::start);
    daemons[1].enroll(&phone, USER, NUMBER);
    let (next, own) = (make_next_key(&hosts[0].place), hosts[1].place.file("otpd.key.next"));
    fs::copy(&next, &own).expect("a copy");
    hosts_come_to(&hosts[0], |hosts| hosts[1]["next_key"].is_string());
    // What somebody began to write, and nobody asked to be read.
    fs::remove_file(&own).expect("the next key");
    hosts[1].place.configure("[policy]\nunenrolled = \"ign");
    let (done, told) = rotate(&hosts[0].place);
    assert!(done, "{told}");
    let _ = hosts[1].place.otpctl(&["status"]).output().expect("otpctl runs");
    daemons[1].wait_for("made with another master key");
    daemons[1].signal("HUP");
    daemons[1].wait_for("the configuration is wrong; the one before stays");
    fs::copy(&next, &own).expect("a copy");
    daemons[1].wait_for_count(": ready ", 2);
    log_in(&daemons[1], &phone);
}

#[test]
fn a_host_alone_rotates_its_key_too() {
    let phone = Phone::start();
    let place = Place::new(&phone);
    let [admin] = free();
    let text = fs::read_to_string(place.config()).expect("a configuration");
    place.configure(&format!("{text}\n[http]\nadmin-listen = \"{admin}\"\n"));
    let daemon = place.start();
    daemon.enroll(&phone, USER, NUMBER);
    make_next_key(&place);
    let mut wire = daemon.connect();
    let challenge = wire.prompt(&login(USER, None)).challenge;
    let code = phone.next().code();
    let before = fs::read(place.file("otpd.key")).expect("a key");
    // Too early: the database would be without its key.
    assert!(!may_finish(&place));
    assert_eq!(fs::read(place.file("otpd.key")).expect("a key"), before);
    assert!(place.file("otpd.key.next").exists() && !place.file("otpd.key.old").exists());
    let (done, told) = rotate(&place);
    assert!(done && told.contains("numbers among it: 1"), "{told}");
    assert!(told.contains(&finishing(&place)), "{told}");
    assert!(is_granted(&answer(&daemon, &mut wire, &challenge, &code)), "{}", daemon.log());
    daemon.wait_for_count(": ready ", 2);
    let health = get(admin, "/healthz").expect("its port is its own again");
    assert!(health.starts_with("HTTP/1.1 200 "), "{health}");
    // As it is, and after a start with the key in its place.
    log_in(&daemon, &phone);
    daemon.terminate();
    assert!(daemon.wait().success());
    let daemon = place.start();
    log_in(&daemon, &phone);
    finish(&place);
    assert_eq!(fs::read(place.file("otpd.key.old")).expect("a key"), before);
    drop(daemon);
    log_in(&place.start(), &phone);
}

#[test]
fn a_host_that_was_exported_for_good_stays_closed_when_another_rotates_the_key() {
    let (phone, server) = (Phone::start(), Server::start());
    let hosts = ["web1", "web2"].map(|name| Host::new(name, &phone, &server));
    let daemons = hosts.each_ref().map(Host::start);
    daemons[0].enroll(&phone, USER, NUMBER);
    let next = make_next_key(&hosts[0].place);
    fs::copy(next, hosts[1].place.file("otpd.key.next")).expect("a copy");
    hosts_come_to(&hosts[1], |hosts| hosts[1]["next_key"].is_string());
    let file = hosts[0].place.file("last.export");
    hosts[0].otpctl(&["store", "export", file.to_str().expect("a path"), "--final", "--yes"]);
    let refused = |daemon: &Daemon| {
        let told = daemon.connect().try_call(&login(USER, None)).expect("an answer");
        told.expect("a step").challenge.is_none()
    };
    assert!(refused(&daemons[0]));
    let (done, told) = rotate(&hosts[1].place);
    assert!(done, "{told}");
    // It begins anew once it reads anything, within its process; whoever asks may be hung up on.
    let _ = hosts[0].place.otpctl(&["status"]).output().expect("otpctl runs");
    daemons[0].wait_for_count(": ready ", 2);
    assert!(refused(&daemons[0]), "{}", daemons[0].log());
}

#[test]
fn a_file_system_that_hangs_under_the_next_key_keeps_nobody_from_logging_in() {
    let phone = Phone::start();
    let place = Place::new(&phone);
    let (next, aside) = (place.file("otpd.key.next"), place.file("aside"));
    // Whoever opens it waits until somebody writes, as for a disk or a server that does not answer.
    let hang = || {
        let made = Command::new("mkfifo").args(["-m", "600"]).arg(&next).status();
        assert!(made.expect("mkfifo runs").success());
    };
    hang();
    let daemon = place.start();
    daemon.wait_for("the next key is not read: its file system hangs");
    daemon.enroll(&phone, USER, NUMBER);
    let mut wire = daemon.connect();
    assert!(wire.post(&RotateKey {}));
    log_in(&daemon, &phone);
    assert_eq!(daemon.status().problems, [""; 0]);
    let refused = wire.reply::<RotateKey>().expect("the daemon stays").expect_err("refused");
    let told = refused.parameters["reason"].as_str().unwrap_or_default();
    assert!(told.contains("hangs; nothing was changed"), "{refused:?}");
    log_in(&daemon, &phone);

    // It answers again: those that waited find an empty file, and whoever looks from now on the key.
    fs::rename(&next, &aside).expect("another name");
    make_next_key(&place);
    drop(fs::File::options().read(true).write(true).open(aside).expect("a writer"));
    let (done, told) = rotate(&place);
    assert!(done && told.contains("numbers among it: 1"), "{told}");
    log_in_at_last(&daemon, &phone);
    daemon.wait_for_count(": ready ", 2);

    // And a daemon that looks there ends when it is told to.
    finish(&place);
    assert_eq!(daemon.status().problems, [""; 0], "there is no next key any more");
    hang();
    assert_eq!(daemon.status().problems, [""; 0]);
    daemon.terminate();
    assert!(daemon.wait().success());
}

/// Another program that reads a database, and the number in it as it is stored there.
fn read_through(place: &Place) -> (Child, Vec<u8>) {
    let (child, line) = script(READER, &place.file("otpd.db"));
    let bytes = line.trim_end().as_bytes().chunks(2);
    let byte = |hex: &[u8]| {
        u8::from_str_radix(std::str::from_utf8(hex).expect("text"), 16).expect("a byte")
    };
    (child, bytes.map(byte).collect())
}

const READER: &str = "
import sqlite3, sys
database = sqlite3.connect(sys.argv[1], isolation_level=None)
database.execute('BEGIN')
print(database.execute('SELECT number FROM enrollment').fetchone()[0].hex(), flush=True)
sys.stdin.read()
";

#[test]
fn a_rotation_that_another_program_reads_through_says_what_it_leaves_and_clears_it_away() {
    let phone = Phone::start();
    let place = Place::new(&phone);
    let daemon = place.start();
    daemon.enroll(&phone, USER, NUMBER);
    make_next_key(&place);
    let (mut reader, before) = read_through(&place);
    assert!(before.len() > 16, "{before:02x?}");
    let stays = || {
        ["otpd.db", "otpd.db-wal"].iter().any(|name| {
            let bytes = fs::read(place.file(name)).unwrap_or_default();
            bytes.windows(before.len()).any(|window| window == before)
        })
    };
    let (done, told) = rotate(&place);
    assert!(done && told.contains("numbers among it: 1"), "{told}");
    daemon.wait_for("what was under the key from before stays in its files");
    log_in_at_last(&daemon, &phone);
    daemon.wait_for_count(": ready ", 2);
    assert!(stays(), "the other program sees it");
    drop(reader.stdin.take());
    assert!(reader.wait().expect("an end").success());
    assert!(stays(), "nobody has looked since");
    daemon.kill();
    let daemon = place.start();
    assert!(!stays());
    log_in(&daemon, &phone);
}

/// A daemon that kills itself where a file says so.
fn mortal(place: &Place, mut command: Command) -> Daemon {
    command.env("OTPD_FAILPOINT", place.file("failpoint"));
    Daemon::spawn(command, place.socket(), ": ready ")
}

/// Kills the daemon before the rotation's commit, or right after it.
fn killed(place: &Place, daemon: Daemon, point: &str) {
    fs::write(place.file("failpoint"), format!("failpoint-{point} 1")).expect("a file");
    let mut wire = daemon.connect();
    assert!(wire.try_call(&RotateKey {}).is_none(), "nobody is told");
    assert_eq!(daemon.wait().signal(), Some(9));
    fs::remove_file(place.file("failpoint")).expect("the file");
}

#[test]
fn a_rotation_that_is_killed_is_done_or_not() {
    let phone = Phone::start();
    let place = Place::new(&phone);
    let start = || mortal(&place, place.command_of(failpoints()));
    let daemon = start();
    daemon.enroll(&phone, USER, NUMBER);
    make_next_key(&place);
    killed(&place, daemon, "written");
    let daemon = start();
    log_in(&daemon, &phone);
    assert_eq!(daemon.status().problems, [""; 0], "it is under the key from before");
    killed(&place, daemon, "reply");
    // Done: the file from before is of no use.
    fs::remove_file(place.file("otpd.key")).expect("the key from before");
    let daemon = start();
    log_in(&daemon, &phone);
    let (done, told) = rotate(&place);
    assert!(!done && told.contains("is under this key already"), "{told}");
}

#[test]
fn a_rotation_that_is_killed_at_one_host_troubles_no_other() {
    let (phone, server) = (Phone::start(), Server::start());
    let hosts = ["web1", "web2"].map(|name| Host::new(name, &phone, &server));
    let other = hosts[1].start();
    other.enroll(&phone, USER, NUMBER);
    let next = make_next_key(&hosts[0].place);
    fs::copy(next, hosts[1].place.file("otpd.key.next")).expect("a copy");
    let place = &hosts[0].place;
    let start = || mortal(place, hosts[0].command_of(failpoints()));
    let daemon = start();
    hosts_come_to(&hosts[0], |hosts| hosts[1]["next_key"].is_string());
    killed(place, daemon, "written");
    log_in(&other, &phone);
    let daemon = start();
    log_in(&daemon, &phone);
    killed(place, daemon, "reply");
    log_in_at_last(&other, &phone);
    log_in(&start(), &phone);
}

/// A login as the module begins it: where the daemon has hung up, once more on a new connection.
pub(super) fn log_in_at_last(daemon: &Daemon, phone: &Phone) {
    let call = login(USER, None);
    let told = daemon.connect().try_call(&call).or_else(|| daemon.connect().try_call(&call));
    let reply = told.expect("the daemon comes back").expect("a step");
    let challenge = reply.challenge.unwrap_or_else(|| panic!("{:?}", reply.step.text));
    let code = phone.next().code();
    assert!(is_granted(&daemon.connect().answer(&challenge, &code)));
}
