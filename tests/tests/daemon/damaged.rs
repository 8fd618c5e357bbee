//! One account's row cannot be read: everybody else is served and backed up, and an administrator finds
//! out whose it is and brings that account back.

use std::path::Path;

use otp_proto::{admin::Remove, login::Verdict};
use otpd_tests::{
    daemon::{Daemon, Keeper, Place},
    phone::Phone,
    wire::{is_granted, login},
};
use serde_json::Value;

use super::{
    people::{PEOPLE, ids, outcome, relay},
    tampered::write,
};

const USER: &str = PEOPLE[0].0;
const OTHER: &str = PEOPLE[1].0;

/// What is damaged of [`USER`]: table, column, and rows.
const DAMAGES: [(&str, &str, &str); 3] = [
    ("enrollment", "number", "account = 'USER'"),
    ("login", "state", "account = 'USER'"),
    (
        "budget",
        "state",
        "kind = 1 AND key = (SELECT number_index FROM enrollment WHERE account = 'USER')",
    ),
];

fn spoil(place: &Place, (table, column, rows): (&str, &str, &str)) {
    let rows = rows.replace("USER", USER);
    let update = |value: &str| format!("UPDATE {table} SET {column} = {value} WHERE {rows}");
    match place.server() {
        Some(server) => {
            let update = update("'\\x85'");
            server.execute("otpd", &format!("SET search_path = otpd; {update}"));
        }
        None => write(&place.file("otpd.db"), &update("x'85'")),
    }
}

fn logs_in(daemon: &Daemon, phone: &Phone, user: &str) {
    let mut wire = daemon.connect();
    let challenge = wire.prompt(&login(user, None)).challenge;
    assert!(is_granted(&wire.answer(&challenge, &phone.next().code())), "{user}");
}

/// What the program says: its exit status, and its output and its complaints together.
fn said(place: &Place, arguments: &[&str]) -> (Option<i32>, String) {
    let (exit, stdout, stderr) = outcome(place.otpctl(arguments));
    (exit, stdout + &stderr)
}

/// It ends so, and says all of this.
fn says(place: &Place, arguments: &[&str], exit: i32, words: &[&str]) {
    let (status, text) = said(place, arguments);
    assert_eq!(status, Some(exit), "{arguments:?}: {text}");
    for word in words {
        assert!(text.contains(word), "{arguments:?}: {word}: {text}");
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

#[test]
fn a_damaged_account_is_named_left_out_and_brought_back() {
    for keeper in Keeper::ALL {
        for damage in DAMAGES {
            brought_back(keeper, damage);
        }
    }
}

/// Nobody can say whose such a row is: it is named so that it can be removed.
#[test]
fn a_row_whose_name_is_damaged_is_removed_by_what_is_shown_of_it() {
    for keeper in Keeper::ALL {
        nameless(keeper);
    }
}

fn nameless(keeper: Keeper) {
    let phone = Phone::start();
    let place = Place::kept_by(keeper, &phone);
    let daemon = place.start();
    for (user, number) in &PEOPLE[..2] {
        daemon.enroll(&phone, user, number);
    }
    let (sound, partial) = (place.file("sound.backup"), place.file("partial.backup"));
    let export = place.file("all.export");
    says(&place, &["backup", text(&sound)], 0, &["2 users"]);
    for table in ["enrollment", "login"] {
        let update = format!("UPDATE {table} SET account = 'm/n' WHERE account = '{USER}'");
        match place.server() {
            Some(server) => server.execute("otpd", &format!("SET search_path = otpd; {update}")),
            None => write(&place.file("otpd.db"), &update),
        }
    }

    let shown = "/m%2Fn";
    says(&place, &["list"], 4, &[OTHER, &format!("cannot be listed: {shown};")]);
    says(&place, &["status"], 0, &[&format!("1 user ({shown})")]);
    says(&place, &["bypass", "--list"], 0, &[]);
    says(&place, &["backup", text(&partial)], 4, &[&format!("1 user ({shown})")]);
    says(&place, &["store", "export", text(&export)], 1, &[shown]);
    logs_in(&daemon, &phone, OTHER);
    // For who has no right it is as if there were nothing.
    let (uid, gid) = ids(OTHER);
    let remove = |user: &str| Remove { user: user.to_owned() };
    let relay = relay(&place);
    for name in [shown, "/nothing"] {
        let refused = daemon.connect_as(&relay, uid, gid).call(&remove(name));
        let refused = refused.expect_err("no right");
        assert_eq!(refused.error, "org.varlink.service.PermissionDenied", "{name}");
    }
    says(&place, &["remove", "/nothing", "--yes"], 1, &["damaged name /nothing", "otpctl list"]);

    says(&place, &["remove", shown, "--yes"], 0, &["are taken away"]);
    says(&place, &["remove", shown, "--yes"], 1, &[]);
    says(&place, &["list"], 0, &[OTHER]);
    says(&place, &["log"], 0, &[&format!("damaged rows taken away: name {shown}"), "by root"]);
    says(&place, &["restore", text(&sound), "--yes"], 0, &[USER]);
    logs_in(&daemon, &phone, USER);
    says(&place, &["backup", text(&partial), "--force"], 0, &["2 users"]);
}

fn brought_back(keeper: Keeper, damage: (&str, &str, &str)) {
    let phone = Phone::start();
    let place = Place::kept_by(keeper, &phone);
    let daemon = place.start();
    for (user, number) in &PEOPLE[..2] {
        daemon.enroll(&phone, user, number);
        logs_in(&daemon, &phone, user);
    }
    let (sound, partial) = (place.file("sound.backup"), place.file("partial.backup"));
    let export = place.file("all.export");
    says(&place, &["backup", text(&sound)], 0, &["2 users"]);
    spoil(&place, damage);

    assert_eq!(daemon.connect().begin(USER).step.verdict, Some(Verdict::Unavailable));
    logs_in(&daemon, &phone, OTHER);
    let named = format!("1 user ({USER})");
    says(&place, &["backup", text(&partial)], 4, &["complete but for what is damaged", &named]);
    daemon.wait_for("is not in the backup");
    assert!(partial.exists(), "it is kept");
    let refusal = [named.as_str(), "an export is of all"];
    says(&place, &["store", "export", text(&export)], 1, &refusal);
    assert!(!export.exists());
    says(&place, &["show", USER], 1, &["is damaged", "otpctl remove USER"]);
    says(&place, &["enroll", USER, PEOPLE[0].1, "--replace", "--yes"], 1, &["is damaged"]);
    if damage.0 != "login" {
        says(&place, &["list"], 4, &[OTHER, &format!("cannot be listed: {USER};")]);
    }
    if damage.0 == "enrollment" {
        says(&place, &["status"], 0, &[&named]);
    }
    let restored = |file: &Path, exit: i32| {
        let (status, text) = said(&place, &["restore", text(file), "--yes", "--json"]);
        assert_eq!(status, Some(exit), "{text}");
        serde_json::from_str::<Value>(&text).expect("JSON")
    };
    // What is there may be newer than the backup: whether it is lost, somebody has to say.
    let done = restored(&sound, 4);
    assert_eq!((&done["damaged"][0], &done["changed"]), (&Value::from(USER), &Value::from(0)));

    says(&place, &["remove", USER, "--yes"], 0, &["was damaged, and is taken away"]);
    assert_eq!(daemon.connect().begin(USER).step.verdict, Some(Verdict::Denied));
    says(&place, &["list"], 0, &[OTHER]);
    let done = restored(&sound, 0);
    assert_eq!(done["enrolled"][0], Value::from(USER), "{done}");
    logs_in(&daemon, &phone, USER);
    logs_in(&daemon, &phone, OTHER);
    says(&place, &["log", "--user", USER], 0, &["damaged rows taken away", "by root"]);
    says(&place, &["backup", text(&partial), "--force"], 0, &["2 users"]);
    // Whom somebody removes of their own will does not come back.
    says(&place, &["remove", USER, "--yes"], 0, &["is removed;"]);
    assert_eq!(restored(&sound, 0)["left_removed"][0], Value::from(USER));
}
