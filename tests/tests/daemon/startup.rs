//! A daemon that finds something wrong says what, and serves `unavailable` instead of dying.

use std::{fs, os::unix::fs::PermissionsExt, process::Output};

use otp_proto::{
    admin::{AdminError, Status},
    login::Verdict,
    service::GetInfo,
};
use otpd_tests::{
    daemon::{Daemon, PATIENT, Place},
    phone::Phone,
    wire::{Wire, is_denied, is_granted, login, wrong},
};
use serde_json::json;

use super::people::{PEOPLE, ids, relay};

const USER: &str = PEOPLE[0].0;

/// Runs `otpd` with this option to its end.
fn run(place: &Place, option: &str) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } =
        place.command().arg(option).output().expect("otpd starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    (status.code(), text(stdout), text(stderr))
}

/// Logins are refused politely, and root is told why.
fn is_unavailable(wire: &mut Wire, reasons: &[&str]) {
    wire.call(&GetInfo {}).expect("information");
    let reply = wire.begin(USER);
    assert_eq!((reply.challenge, reply.step.verdict), (None, Some(Verdict::Unavailable)));
    let told = reply.step.text.expect("words");
    assert!(told.contains("cannot check codes now"), "{told}");
    for secret in reasons {
        assert!(!told.contains(secret), "the claimant is not told: {told}");
    }
    let step = wire.answer(&"0".repeat(32), "123456");
    assert_eq!(step.verdict, Some(Verdict::Unavailable), "what a prompt before it led to");
    let refusal = wire.call(&Status {}).expect_err("unavailable");
    let error = json!({ "error": refusal.error, "parameters": refusal.parameters });
    let error = serde_json::from_value::<AdminError>(error).expect("a typed error");
    let AdminError::Unavailable { reason } = error else { panic!("{error:?}") };
    for expected in reasons {
        assert!(reason.contains(expected), "{expected:?} is not in:\n{reason}");
    }
}

/// A daemon in `place` that is broken for these reasons, which are in its log, too.
fn starts_broken(place: &Place, reasons: &[&str]) -> Daemon {
    let daemon = place.start_broken();
    is_unavailable(&mut daemon.connect(), reasons);
    for reason in reasons {
        daemon.wait_for(reason);
    }
    daemon
}

#[test]
fn a_wrong_configuration_is_told_whole_and_every_login_is_unavailable() {
    let phone = Phone::start();
    let place = Place::new(&phone);
    let good = place.settings(&phone);
    assert_eq!(run(&place, "--check").0, Some(0));
    let wrong = good
        .replace(PATIENT, "accept-timeout-seconds = 99")
        .replace("unanswered-per-hour", "unanswred-per-hour")
        .replace("[\"phone\"]", "[\"fax\"]");
    place.configure(&wrong);
    let reasons = ["accept-timeout-seconds", "unanswred-per-hour", "fax"];
    let (status, output, errors) = run(&place, "--check");
    assert_eq!((status, output.as_str()), (Some(2), ""));
    for expected in reasons {
        assert!(errors.contains(expected), "{expected:?} is not in:\n{errors}");
    }

    let daemon = starts_broken(&place, &reasons);
    let (uid, gid) = ids(USER);
    let mut other = daemon.connect_as(&relay(&place), uid, gid);
    let refusal = other.call(&Status {}).expect_err("not for users");
    assert_eq!(refusal.error, "org.varlink.service.PermissionDenied");
    daemon.terminate();
    assert_eq!(daemon.wait().code(), Some(0));

    place.configure(&good);
    let daemon = place.start();
    daemon.connect().call(&Status {}).expect("mended");
}

#[test]
fn more_errors_than_a_reply_can_hold_are_cut_where_a_line_ends() {
    let phone = Phone::start();
    let place = Place::new(&phone);
    let unknown = (0..500).map(|nth| format!("\"unknown \\\"{nth}\\\"\" = 1\n"));
    let unknown = unknown.collect::<String>();
    place.configure(
        &place.settings(&phone).replace("[message]\n", &format!("[message]\n{unknown}")),
    );
    let daemon = place.start_broken();
    is_unavailable(&mut daemon.connect(), &["otpd.toml", "\nand more; the journal has all of it"]);
    daemon.wait_for("499");
}

/// A daemon that cannot use anything in its configuration serves the default socket.
fn starts_broken_at_the_usual_place(place: &Place, reasons: &[&str]) {
    let (status, _, errors) = run(place, "--check");
    assert_eq!(status, Some(2), "{errors}");
    let daemon = place.start_broken();
    let mut wire = Wire::connect(&daemon.path(otp_proto::DEFAULT_SOCKET));
    is_unavailable(&mut wire, reasons);
    for reason in reasons {
        assert!(errors.contains(reason), "{reason:?} is not in:\n{errors}");
        daemon.wait_for(reason);
    }
}

#[test]
fn a_configuration_that_cannot_be_used_at_all_is_named() {
    let phone = Phone::start();
    let place = Place::new(&phone);
    let good = place.settings(&phone);
    place.configure(&format!("{good}\n[server\n"));
    starts_broken_at_the_usual_place(&place, &["otpd.toml"]);
    // Others may write to it, so it decides nothing, not even where the socket is.
    place.configure(&good);
    let open = fs::Permissions::from_mode(0o666);
    fs::set_permissions(place.config(), open).expect("a mode");
    starts_broken_at_the_usual_place(&place, &["otpd.toml", "0666"]);
    place.configure(&good);
    place.start().kill();

    let place = Place::empty();
    starts_broken_at_the_usual_place(&place, &["otpd.toml", "there is no such file"]);
    fs::write(place.config(), b"[server]\nsocket = \"/\xff\"\n").expect("a file");
    starts_broken_at_the_usual_place(&place, &["otpd.toml", "UTF-8"]);
    fs::write(place.config(), vec![b'#'; 4 << 20]).expect("a file");
    starts_broken_at_the_usual_place(&place, &["otpd.toml", "bytes"]);
    fs::remove_file(place.config()).expect("a file");
    fs::create_dir(place.config()).expect("a directory");
    starts_broken_at_the_usual_place(&place, &["otpd.toml", "file"]);
}

#[test]
fn a_used_database_is_not_opened_with_another_key_or_none() {
    let phone = Phone::start();
    let place = Place::new(&phone);
    let daemon = place.start();
    let mode = fs::metadata(place.file("otpd.key")).expect("made").permissions().mode();
    assert_eq!(mode & 0o7777, 0o600, "the key that was made for the empty database");
    daemon.enroll(&phone, USER, PEOPLE[0].1);
    let challenge = daemon.connect().prompt(&login(USER, None)).challenge;
    let code = phone.next().code();
    daemon.kill();

    let (key, saved) = (place.file("otpd.key"), place.file("saved.key"));
    fs::rename(&key, &saved).expect("a file");
    starts_broken(&place, &["otpd.key: no such file", "restore the key", "otpd.key.old"]).kill();
    assert!(!key.exists(), "none was made");

    assert_eq!(run(&place, "--make-key").0, Some(0));
    starts_broken(&place, &["otpd.db: made with another master key"]).kill();

    fs::write(&key, "short").expect("a file");
    starts_broken(&place, &["otpd.key"]).kill();

    fs::rename(&saved, &key).expect("a file");
    let daemon = place.start();
    assert!(is_granted(&daemon.connect().answer(&challenge, &code)), "nothing was lost");
}

#[test]
fn a_damaged_database_is_named_and_left_alone() {
    let phone = Phone::start();
    let place = Place::new(&phone);
    place.start().kill();
    let database = place.file("otpd.db");
    for extra in ["otpd.db-wal", "otpd.db-shm"] {
        let _ = fs::remove_file(place.file(extra));
    }
    fs::write(&database, b"this is no database, whatever its name says").expect("a file");
    starts_broken(&place, &["otpd.db"]).kill();
    assert!(fs::read(&database).expect("a file").starts_with(b"this is no database"));
}

#[test]
fn a_key_is_made_once() {
    let phone = Phone::start();
    let place = Place::new(&phone);
    let (status, output, errors) = run(&place, "--make-key");
    assert_eq!((status, errors.as_str()), (Some(0), ""), "{output}");
    let key = fs::read(place.file("otpd.key")).expect("the key");
    let mode = fs::metadata(place.file("otpd.key")).expect("the key").permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);
    let (status, output, errors) = run(&place, "--make-key");
    assert_eq!((status, output.as_str()), (Some(2), ""));
    assert!(errors.contains("otpd.key exists"), "{errors}");
    assert_eq!(fs::read(place.file("otpd.key")).expect("the key"), key, "as it was");
    let daemon = place.start();
    daemon.enroll(&phone, USER, PEOPLE[0].1);
}

#[test]
fn a_key_is_made_before_the_rest_is_filled_in() {
    let place = Place::new(&Phone::start());
    let key = place.file("otpd.key");
    let server = format!("[server]\nkey-file = \"{}\"\n", key.display());
    place.configure(&server);
    assert_eq!(run(&place, "--check").0, Some(2), "nothing can be sent by it");
    assert_eq!(run(&place, "--make-key").0, Some(0));
    assert_eq!(fs::read(&key).expect("the key").len(), 32);

    fs::remove_file(&key).expect("the key");
    let cases = [
        ("another key in [server]", format!("{server}keyfile = \"/x\"\n"), "keyfile"),
        ("a path that is none", server.replace("= \"", "= \"not"), "key-file"),
        ("no TOML", format!("{server}["), "otpd.toml"),
    ];
    for (name, text, told) in cases {
        place.configure(&text);
        let (status, _, errors) = run(&place, "--make-key");
        assert_eq!(status, Some(2), "{name}");
        assert!(errors.contains(told), "{name}: {errors}");
        assert!(!key.exists(), "{name}");
    }
}

#[test]
fn a_credential_that_says_none_is_no_key() {
    let phone = Phone::start();
    let place = Place::new(&phone);
    let credential = place.credentials().join("otpd.key");
    fs::write(&credential, "none").expect("a file");
    fs::set_permissions(&credential, fs::Permissions::from_mode(0o400)).expect("systemd's mode");
    let daemon = place.start();
    daemon.enroll(&phone, USER, PEOPLE[0].1);
    daemon.kill();
    let key = place.file("otpd.key");
    fs::rename(&key, &credential).expect("the key that was made");
    let daemon = place.start();
    let challenge = daemon.connect().prompt(&login(USER, None)).challenge;
    assert!(is_granted(&daemon.connect().answer(&challenge, &phone.next().code())));
    daemon.kill();

    fs::write(&credential, "none").expect("a file");
    starts_broken(&place, &["otpd.key: no such file", "restore the key", "otpd.key.old"]).kill();
    assert!(!key.exists(), "none was made");
}

#[test]
fn a_second_daemon_leaves_the_first_ones_socket_alone() {
    let phone = Phone::start();
    let place = Place::new(&phone);
    let daemon = place.start();
    let second = place.command().output().expect("otpd starts");
    let errors = String::from_utf8_lossy(&second.stderr);
    assert_eq!(second.status.code(), Some(2), "{errors}");
    assert!(errors.contains("another process serves this socket"), "{errors}");
    daemon.connect().call(&GetInfo {}).expect("the first is served");
    daemon.kill();
    // What a killed one leaves behind is in nobody's way.
    place.start().connect().call(&GetInfo {}).expect("served");
}

#[test]
fn a_reload_takes_over_what_is_right_and_nothing_of_what_is_wrong() {
    let phone = Phone::start();
    let place = Place::new(&phone);
    let good = place.settings(&phone);
    let daemon = place.start();
    daemon.enroll(&phone, USER, PEOPLE[0].1);
    let mut before = daemon.connect();
    let begun = before.prompt(&login(USER, None)).challenge;
    let code = phone.next().code();

    place.configure(&good.replace("countries = [\"US\"]", "countries = []"));
    daemon.signal("HUP");
    daemon.wait_for("the configuration is wrong; the one before stays");
    let status = daemon.connect().call(&Status {}).expect("it works");
    assert_eq!(status.host, "box");

    let changed = good.replace("host = \"box\"", "host = \"crate\"");
    place.configure(&format!("{changed}\n[code]\ntries = 1\n"));
    daemon.signal("HUP");
    daemon.wait_for("the configuration was read again");
    assert_eq!(daemon.connect().call(&Status {}).expect("it works").host, "crate");
    let step = before.answer(&begun, &wrong(&code, 0));
    let text = step.prompt.expect("a prompt").text;
    assert!(text.contains("2 tries left"), "what has begun ends under its own rules: {text}");
    assert!(is_granted(&before.answer(&begun, &code)));
    let mut after = daemon.connect();
    let begun = after.prompt(&login(USER, None)).challenge;
    let text = phone.next();
    assert!(text.text.contains("crate"), "{}", text.text);
    let step = after.answer(&begun, &wrong(&text.code(), 0));
    assert!(is_denied(&step), "one try: {step:?}");
}
