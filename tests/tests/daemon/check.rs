//! What `otpd --check` says of the key and the database: it stands between an upgrade and a restart.

use std::{fs, os::unix::fs::PermissionsExt, process::Command};

use otpd_tests::{daemon::Place, phone::Phone};

use super::people::PEOPLE;

/// How it ended, and what it said.
pub(crate) fn check(place: &Place) -> (bool, String) {
    let output = place.command().arg("--check").output().expect("otpd runs");
    let told = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&told).into_owned())
}

/// A daemon that runs has its key and its database; the next one would not.
#[test]
fn what_the_next_start_would_miss_is_said() {
    let phone = Phone::start();
    let place = Place::new(&phone);
    let (good, told) = check(&place);
    assert!(good, "before the first start: {told}");
    let (key, database) = (place.file("otpd.key"), place.file("otpd.db"));
    assert!(!key.exists() && !database.exists(), "it made something");
    let daemon = place.start();
    daemon.enroll(&phone, PEOPLE[0].0, PEOPLE[0].1);
    let (good, told) = check(&place);
    assert!(good, "beside the daemon: {told}");

    let whole = fs::read(&key).expect("the key");
    for (name, bytes, part) in [
        ("gone", None, "no such file, but"),
        ("cut", Some(whole[..31].to_vec()), "31 bytes"),
        ("another", Some(vec![7; 32]), "made with another master key"),
    ] {
        fs::remove_file(&key).expect("its file");
        if let Some(bytes) = bytes {
            fs::write(&key, bytes).expect("a file");
            fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).expect("its mode");
        }
        let (good, told) = check(&place);
        assert!(!good && told.contains(part), "{name}: {told}");
        fs::write(&key, &whole).expect("the key");
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).expect("its mode");
    }
    drop(daemon);

    let newer = "import sqlite3, sys
with sqlite3.connect(sys.argv[1]) as database:
    database.execute(\"INSERT INTO refinery_schema_history VALUES (999, 'later', '', '')\")";
    let done = Command::new("python3").args(["-c", newer]).arg(&database).status();
    assert!(done.expect("python runs").success());
    let (good, told) = check(&place);
    assert!(!good && told.contains("a newer otpd has used it"), "{told}");
}

/// Who is enrolled nowhere gets in without a code by that policy: a database that was lost must be noticed.
#[test]
fn a_new_database_in_which_nobody_is_asked_is_warned_of() {
    let place = Place::new(&Phone::start());
    let text = fs::read_to_string(place.config()).expect("a configuration");
    place.configure(&format!("{text}\n[policy]\nunenrolled = \"ignore\"\n"));
    let warning = "made a database, in which nobody is enrolled";
    place.start().wait_for(warning);
    let again = place.start();
    drop(again.connect());
    assert!(!again.log().contains(warning), "{}", again.log());
}
