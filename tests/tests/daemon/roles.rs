//! Hosts that share a PostgreSQL with as few rights as each needs.

use std::{fs, os::unix::fs::PermissionsExt};

use otp_proto::{
    admin::{Bypass, RecoveryCodes, Resend, Verify},
    login::Verdict,
};
use otpd_tests::{
    daemon::{Daemon, LONG_CODES},
    phone::{Phone, Vendor},
    postgres::Server,
    wire::{is_granted, login, wrong},
};

use super::{
    check::check,
    people::{PEOPLE, outcome},
    postgres::{Host, hosts_come_to},
    rotation::{log_in_at_last, make_next_key, rotate},
};

const USER: &str = PEOPLE[0].0;
const NUMBER: &str = PEOPLE[0].1;

/// Has the schema made as its owner does it, from this host.
fn migrate(host: &Host) -> (Option<i32>, String, String) {
    let mut command = host.place.command();
    command.args(["--migrate", "otpd_owner"]);
    outcome(command)
}

/// A server, a host of administrators and one that may only log people in.
fn divided(phone: &Phone) -> (Server, Host, Host) {
    let server = Server::start();
    server.divide();
    let office = Host::of_role("office", phone, &server.url_of("office"));
    let web = Host::of_role("web1", phone, &server.url_of("web"));
    for host in [&office, &web] {
        let text = fs::read_to_string(host.place.config()).expect("a configuration");
        let voice = text.replace(
            "sms = [\"phone\"]",
            "sms = [\"phone\"]\nvoice = [\"said\"]\nvoice-without-key-press = true\n\
             allow-file-gateway = true",
        );
        let said = host.place.file("said");
        let said = format!("\n[gateway.said]\nkind = \"file\"\npath = \"{}\"\n", said.display());
        host.place.configure(&(voice + &said + LONG_CODES));
    }
    (server, office, web)
}

/// The code that was said in the only call; waits for it.
fn called(daemon: &Daemon, host: &Host) -> String {
    let file = host.place.file("said");
    let mut looks = (0..100_000).map(|_| {
        // To be answered takes as long as a look is worth.
        let _ = daemon.status();
        fs::read_to_string(&file).ok().filter(|said| said.ends_with('\n'))
    });
    let said = looks.find_map(|said| said).expect("a call");
    let call: serde_json::Value = serde_json::from_str(&said).expect("one line of JSON");
    assert_eq!((call["channel"].as_str(), call["to"].as_str()), (Some("voice"), Some(NUMBER)));
    let text = call["text"].as_str().expect("a text");
    text.chars().filter(char::is_ascii_digit).take(8).collect()
}

fn given(office: &Daemon) -> Vec<String> {
    let codes = office.connect().call(&RecoveryCodes { user: USER.to_owned() }).expect("made");
    codes.codes.iter().map(|code| code.expose().to_owned()).collect()
}

#[test]
fn the_whole_life_of_logins_at_a_host_that_may_only_log_people_in() {
    let phone = Phone::start();
    let (server, office, web) = divided(&phone);
    let refused = web.refusing();
    refused.wait_for("otpd --migrate OWNER");
    let (exit, told, stderr) = migrate(&office);
    assert_eq!((exit, stderr.as_str()), (Some(0), ""), "{told}");
    assert!(told.contains("its schema is that of this otpd"), "{told}");
    // It waited for that.
    refused.wait_for(": ready ");
    drop(refused);
    let (office, daemon) = (office.start(), web.start());
    daemon.wait_for("the role of this host may only log people in");
    office.enroll(&phone, USER, NUMBER);
    let codes = given(&office);

    // By text, after a wrong code and a resend.
    let mut wire = daemon.connect();
    let challenge = wire.prompt(&login(USER, None)).challenge;
    let code = phone.next().code();
    assert!(wire.answer(&challenge, &wrong(&code, 0)).prompt.is_some());
    assert_eq!(office.show(USER).failures_24h, 1);
    assert!(is_granted(&wire.answer(&challenge, &code)));
    // A restart in the middle, and a code that was lost in it.
    phone.set(Vendor::Stalls);
    let connection = "192.0.2.7 40000 192.0.2.1 22 0123456789abcdef";
    assert!(wire.post(&login(USER, Some(connection))));
    let lost = phone.next().code();
    daemon.kill();
    phone.set(Vendor::Accepts);
    let daemon = web.start();
    let fresh = phone.next().code();
    assert_ne!(fresh, lost, "sent anew");
    let mut wire = daemon.connect();
    let challenge = wire.prompt(&login(USER, Some(connection))).challenge;
    assert!(is_granted(&wire.answer(&challenge, &fresh)));

    // A recovery code, once.
    let challenge = wire.prompt(&login(USER, None)).challenge;
    let _ = phone.next();
    assert!(is_granted(&wire.answer(&challenge, &codes[0])));
    assert!(phone.next().text.contains("7 left"));
    assert_eq!(office.show(USER).recovery_codes_left, 7);
    let challenge = wire.prompt(&login(USER, None)).challenge;
    let code = phone.next().code();
    assert!(!is_granted(&wire.answer(&challenge, &codes[0])), "a code that is used");
    assert!(is_granted(&wire.answer(&challenge, &code)));

    // A bypass, as often as it is good for.
    let bypass = Bypass {
        user: USER.to_owned(),
        seconds: 3600,
        reason: "lost phone".to_owned(),
        uses: Some(2),
        from: None,
    };
    office.connect().call(&bypass).expect("granted");
    for left in [Some(1), None] {
        assert_eq!(wire.begin(USER).step.verdict, Some(Verdict::Granted));
        let shown = office.show(USER);
        assert_eq!(shown.bypasses.first().and_then(|bypass| bypass.uses_left), left);
    }

    // Wrong codes bring a pause, which an administrator ends.
    for _ in 0..9 {
        let challenge = wire.prompt(&login(USER, None)).challenge;
        let code = phone.next().code();
        let _ = wire.answer(&challenge, &wrong(&code, 0));
    }
    let held = wire.prompt(&login(USER, None)).text;
    assert!(held.starts_with("Too many wrong codes.\n"), "with the first one: {held}");
    office.unlock(USER);
    let challenge = wire.prompt(&login(USER, None)).challenge;
    let code = phone.next().code();
    assert!(is_granted(&wire.answer(&challenge, &code)));

    let log = server.sql("otpd", "SELECT count(*) FROM otpd.audit WHERE event LIKE '%web1%'");
    assert_ne!(log, "0", "what it did is written down");
    assert!(!daemon.log().contains("the role lacks a right"), "{}", daemon.log());
}

#[test]
fn a_call_at_a_host_that_may_only_log_people_in() {
    let phone = Phone::start();
    let (_server, office, web) = divided(&phone);
    assert_eq!(migrate(&office).0, Some(0));
    let (daemon, administrators) = (web.start(), office.start());
    let spoken = otp_proto::admin::Channel::Voice;
    administrators.prove(USER, NUMBER, spoken, || called(&administrators, &office));
    let mut wire = daemon.connect();
    let challenge = wire.prompt(&login(USER, None)).challenge;
    assert!(is_granted(&wire.answer(&challenge, &called(&daemon, &web))));
}

#[test]
fn what_administrators_want_is_refused_there_with_where_it_can_be_done() {
    let phone = Phone::start();
    let (server, office, web) = divided(&phone);
    assert_eq!(migrate(&office).0, Some(0));
    let (administrators, daemon) = (office.start(), web.start());
    administrators.enroll(&phone, USER, NUMBER);
    let backup = web.place.file("backup");
    let backup = backup.to_str().expect("a path");
    assert_eq!(outcome(web.place.otpctl(&["backup", backup])).0, Some(0), "reading is for it");
    let before =
        server.sql("otpd", "SELECT md5(string_agg(x::text, '')) FROM otpd.enrollment AS x");
    for verb in [
        &["enroll", PEOPLE[1].0, PEOPLE[1].1][..],
        &["enroll", USER, PEOPLE[1].1, "--replace", "--yes"],
        &["verify", USER, "12345678"],
        &["resend", USER],
        &["disable", USER],
        &["enable", USER],
        &["remove", USER, "--yes"],
        &["unlock", USER],
        &["recovery-codes", USER],
        &["bypass", USER, "--for", "1h", "--reason", "lost phone"],
        &["bypass", USER, "--revoke"],
        &["restore", backup, "--yes"],
    ] {
        let (exit, stdout, stderr) = outcome(web.place.otpctl(verb));
        assert_eq!((exit, stdout.as_str()), (Some(1), ""), "{verb:?}: {stderr}");
        assert!(stderr.contains("may only log people in"), "{verb:?}: {stderr}");
        assert!(stderr.contains("run this at a host of administrators"), "{verb:?}: {stderr}");
    }
    let after = server.sql("otpd", "SELECT md5(string_agg(x::text, '')) FROM otpd.enrollment AS x");
    assert_eq!(before, after);
    for verb in [&["list"][..], &["show", USER], &["status"], &["log"], &["bypass", "--list"]] {
        let (exit, _, stderr) = outcome(web.place.otpctl(verb));
        assert_eq!(exit, Some(0), "{verb:?}: {stderr}");
    }
    // What people may do for themselves needs such a host as well.
    let refusal = daemon.connect().call(&Resend { user: USER.to_owned(), voice: false });
    let refusal = refusal.expect_err("refused");
    assert_eq!(refusal.error, "org.otpd.Admin.Refused");
    let verify = Verify { user: USER.to_owned(), code: otp_proto::Secret::new("1".to_owned()) };
    assert_eq!(daemon.connect().call(&verify).expect_err("refused").error, refusal.error);
}

#[test]
fn the_schema_is_made_by_a_role_that_may_and_by_no_other() {
    let phone = Phone::start();
    let (server, office, _web) = divided(&phone);
    let try_as = |role: &str, more: &[&str]| {
        let mut command = office.place.command();
        command.args(["--migrate", role]).args(more);
        outcome(command)
    };
    let (exit, _, stderr) = try_as("office", &[]);
    assert_eq!(exit, Some(2));
    assert!(stderr.contains("the role office may not change that"), "{stderr}");
    let (exit, _, stderr) = try_as("otpd_owner", &["--password-file", "/no/such/file"]);
    assert_eq!(exit, Some(2));
    assert!(stderr.contains("/no/such/file"), "{stderr}");
    assert_eq!(server.sql("otpd", "SELECT to_regclass('otpd.login') IS NULL"), "t");

    // With the role's own password, and not that of the host.
    server.execute("postgres", "ALTER ROLE otpd_owner PASSWORD 'of the owner'");
    server.let_in("local all otpd_owner scram-sha-256\nlocal all all trust\n");
    server.execute("postgres", "SELECT pg_reload_conf()");
    office.place.keep("wrong", "hunter2\n");
    office.place.keep("right", "of the owner\n");
    let file = |name: &str| office.place.file(name).to_str().expect("a path").to_owned();
    let (exit, _, stderr) = try_as("otpd_owner", &["--password-file", &file("wrong")]);
    assert_eq!(exit, Some(2));
    assert!(stderr.contains("password authentication failed"), "{stderr}");
    let (exit, told, stderr) = try_as("otpd_owner", &["--password-file", &file("right")]);
    assert_eq!((exit, stderr.as_str()), (Some(0), ""), "{told}");
    assert_eq!(server.sql("otpd", "SELECT to_regclass('otpd.login') IS NULL"), "f");
}

/// Who runs it by hand is handed no credential: a key made then would lie beside the right one.
#[test]
fn a_schema_that_is_made_by_hand_makes_no_key() {
    let phone = Phone::start();
    let (server, office, web) = divided(&phone);
    let key = office.place.file("otpd.key");
    let whole = fs::read(&key).expect("the key");
    fs::remove_file(&key).expect("its file");
    let (exit, told, stderr) = migrate(&office);
    assert_eq!((exit, told.as_str()), (Some(2), ""), "{stderr}");
    let key_named = key.to_str().expect("a path");
    for part in [key_named, "is new", "while otpd.service runs", "otpd --make-key"] {
        assert!(stderr.contains(part), "{part}: {stderr}");
    }
    assert_eq!(server.sql("otpd", "SELECT to_regclass('otpd.login') IS NULL"), "t");

    let handed = office.place.credentials();
    fs::write(handed.join("otpd.key"), whole).expect("a file");
    fs::set_permissions(handed.join("otpd.key"), fs::Permissions::from_mode(0o600))
        .expect("a mode");
    let (exit, _, stderr) = migrate(&office);
    assert_eq!((exit, stderr.as_str()), (Some(0), ""));
    // It belongs to its key now, and an upgrade asks for none.
    fs::remove_dir_all(handed).expect("no credentials");
    let (exit, _, stderr) = migrate(&office);
    assert_eq!((exit, stderr.as_str()), (Some(0), ""));
    let _ = check(&office.place);
    assert!(!key.exists(), "a key was made");
    office.place.keep("otpd.key", "another key of thirty-two bytes!");
    let (exit, _, stderr) = migrate(&office);
    assert_eq!(exit, Some(2));
    assert!(stderr.contains("made with another master key"), "{stderr}");
    drop(web.start());
}

#[test]
fn a_login_host_tells_of_itself_and_follows_a_rotation_that_it_may_not_begin() {
    let phone = Phone::start();
    let (_server, office, web) = divided(&phone);
    assert_eq!(migrate(&office).0, Some(0));
    let (daemon, other) = (office.start(), web.start());
    daemon.enroll(&phone, USER, NUMBER);
    fs::copy(make_next_key(&web.place), office.place.file("otpd.key.next")).expect("a copy");
    hosts_come_to(&office, |hosts| {
        hosts[1]["name"] == "web1"
            && hosts[1]["state"] == "running"
            && hosts[1]["next_key"].is_string()
    });
    let (done, told) = rotate(&web.place);
    assert!(!done && told.contains("may only log people in"), "{told}");
    let (done, told) = rotate(&office.place);
    assert!(done, "{told}");
    log_in_at_last(&other, &phone);
    log_in_at_last(&daemon, &phone);
}
