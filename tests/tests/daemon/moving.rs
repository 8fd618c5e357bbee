//! A whole store goes to another one, of the same kind or the other: complete, read back, and into an
//! empty one alone.

use std::{fs, path::Path};

use otp_proto::{
    Method,
    admin::{Bypass, Import, ImportedPiece, RecoveryCodes},
    login::Verdict,
};
use otpd_tests::{
    daemon::{Daemon, Place},
    phone::Phone,
    postgres::Server,
    wire::{Refusal, Wire, is_granted, login, typed, wrong},
};
use serde_json::{Value, json};

use super::{
    backup::{Scene, lines, with_another_byte},
    people::{PEOPLE, outcome},
    postgres::{Host, copy_key},
};

const USER: &str = PEOPLE[0].0;
const OTHER: &str = PEOPLE[1].0;
const THIRD: (&str, &str) = PEOPLE[2];

/// What is the same of a store wherever it is.
const SAME: [&str; 7] = [
    "users",
    "numbers",
    "recovery_codes",
    "bypasses",
    "users_checksum",
    "limits",
    "limits_checksum",
];

fn told(place: &Place, arguments: &[&str]) -> Value {
    let (exit, stdout, stderr) = outcome(place.otpctl(&[arguments, &["--json"]].concat()));
    assert_eq!((exit, stderr.as_str()), (Some(0), ""), "{arguments:?}");
    serde_json::from_str(&stdout).expect("JSON")
}

fn refused(place: &Place, arguments: &[&str]) -> String {
    let (exit, stdout, stderr) = outcome(place.otpctl(arguments));
    assert_eq!((exit, stdout.as_str()), (Some(1), ""), "{arguments:?}: {stderr}");
    stderr
}

fn export(place: &Place, file: &str) -> (String, Value) {
    let path = place.file(file).to_str().expect("a path").to_owned();
    let exported = told(place, &["store", "export", &path]);
    (path, exported)
}

fn import(place: &Place, path: &str) -> Value {
    told(place, &["store", "import", path, "--yes"])
}

fn assert_same(one: &Value, other: &Value) {
    for name in SAME {
        assert_eq!(one[name], other[name], "{name}: {one} {other}");
    }
}

/// A store with everything that there is: numbers in every state, wrong codes, a lock, sources that are
/// known, recovery codes of which one is used, a bypass that was used once, and a code that waits.
fn furnished() -> (Scene, Vec<String>, (Wire, String, String)) {
    let scene = Scene::new();
    let daemon = &scene.daemon;
    daemon.enroll(&scene.phone, THIRD.0, THIRD.1);
    let enroll = ["enroll", PEOPLE[3].0, PEOPLE[3].1];
    assert_eq!(outcome(scene.place.otpctl(&enroll)).0, Some(0));
    let _ = scene.phone.next();
    assert_eq!(outcome(scene.place.otpctl(&["disable", THIRD.0])).0, Some(0));
    let made = daemon.connect().call(&RecoveryCodes { user: USER.to_owned() }).expect("made");
    let codes = made.codes.iter().map(|code| code.expose().to_owned()).collect::<Vec<_>>();
    let mut wire = daemon.connect();
    let from = "192.0.2.7 40000 192.0.2.1 22 0123456789abcdef";
    let challenge = wire.prompt(&login(USER, Some(from))).challenge;
    let code = scene.phone.next().code();
    for nth in 0..2 {
        assert!(wire.answer(&challenge, &wrong(&code, nth)).prompt.is_some());
    }
    assert!(is_granted(&wire.answer(&challenge, &codes[0])));
    assert!(scene.phone.next().text.contains("7 left"));
    let bypass = Bypass {
        user: OTHER.to_owned(),
        seconds: 3600,
        reason: "lost phone".to_owned(),
        uses: Some(2),
        from: None,
    };
    daemon.connect().call(&bypass).expect("granted");
    assert_eq!(wire.begin(OTHER).step.verdict, Some(Verdict::Granted));
    let waiting = scene.begun();
    (scene, codes, waiting)
}

/// A host on this server with the same key.
fn moved_to(scene: &Scene, server: &Server) -> Host {
    let host = Host::new("web1", &scene.phone, server);
    copy_key(&scene.place, &host.place);
    host
}

#[test]
fn from_sqlite_to_postgres_and_back_nothing_is_lost() {
    let (scene, codes, (_waiting, challenge, live)) = furnished();
    let shows = |place: &Place| PEOPLE.map(|(user, _)| told(place, &["show", user]));
    let mut before = shows(&scene.place);
    let (path, exported) = export(&scene.place, "out.export");
    assert_eq!((&exported["users"], &exported["numbers"]), (&json!(4), &json!(4)), "{exported}");
    let given = (&exported["recovery_codes"], &exported["bypasses"]);
    assert_eq!(given, (&json!(7), &json!(1)), "{exported}");
    assert!(exported["events"].as_u64().is_some_and(|events| events > 10), "{exported}");
    assert!(exported["limits"].as_u64().is_some_and(|limits| limits >= 2), "{exported}");

    let server = Server::start();
    let host = moved_to(&scene, &server);
    let daemon = host.start();
    let imported = import(&host.place, &path);
    assert_same(&exported, &imported);
    for name in ["together", "events", "events_checksum"] {
        assert_eq!(exported[name], imported[name], "{name}");
    }
    // The only thing that does not come along is what waits for a code.
    for user in &mut before {
        user["live_challenges"] = json!(0);
    }
    assert_eq!(shows(&host.place), before);
    let reply = daemon.connect().call(&typed(&challenge, &live));
    assert!(!reply.is_ok_and(|reply| is_granted(&reply.step)), "a code of then is dead");
    // The same file again changes nothing, whatever happened since.
    let again = import(&host.place, &path);
    assert_eq!((&imported["known"], &again["known"]), (&json!(false), &json!(true)));
    assert_same(&exported, &again);

    // And back, from what PostgreSQL has.
    let (path, second) = export(&host.place, "back.export");
    assert_same(&exported, &second);
    let alone = Place::new(&scene.phone);
    copy_key(&scene.place, &alone);
    let returned = alone.start();
    let back = import(&alone, &path);
    assert_same(&exported, &back);
    assert_eq!(second["events_checksum"], back["events_checksum"]);
    assert_eq!(shows(&alone), before);
    drop(daemon);

    // It is used as it was left: one more login by the bypass, and no code twice.
    let mut wire = returned.connect();
    assert_eq!(wire.begin(OTHER).step.verdict, Some(Verdict::Granted));
    assert!(wire.begin(OTHER).step.prompt.is_some(), "that was the last");
    let _ = scene.phone.next();
    let challenge = wire.prompt(&login(USER, None)).challenge;
    let _ = scene.phone.next();
    assert!(!is_granted(&wire.answer(&challenge, &codes[0])), "it was used before");
    assert!(is_granted(&wire.answer(&challenge, &codes[1])));
    let (exit, text, _) = outcome(alone.otpctl(&["log"]));
    assert_eq!(exit, Some(0));
    for said in ["login granted", "recovery code", "bypass"] {
        assert!(text.contains(said), "{said}: {text}");
    }
}

#[test]
fn an_export_goes_into_an_empty_store_alone_and_only_whole() {
    let (scene, ..) = furnished();
    let (path, _) = export(&scene.place, "out.export");
    let text = fs::read_to_string(&path).expect("text");
    let why = refused(&scene.place, &["store", "import", &path, "--yes"]);
    assert!(
        why.contains("there are users here already") && why.contains("otpctl restore"),
        "{why}"
    );

    let fresh = Place::new(&scene.phone);
    copy_key(&scene.place, &fresh);
    let daemon = fresh.start();
    let nobody = |name: &str| {
        let status = daemon.status();
        assert_eq!(status.active + status.pending + status.disabled, 0, "{name}");
    };
    let bad = fresh.file("bad.export");
    let whole = text.split_inclusive('\n').collect::<Vec<_>>();
    let mut cases = (0..whole.len())
        .map(|count| (format!("{count} lines"), whole[..count].concat(), "cut off"))
        .collect::<Vec<_>>();
    cases.push(("something else".to_owned(), "hello\n".to_owned(), "is not a backup of otpd"));
    cases.extend(with_another_byte(&text));
    for (name, text, said) in cases {
        fs::write(&bad, text).expect("a file");
        let bad = bad.to_str().expect("a path");
        let why = refused(&fresh, &["store", "import", bad, "--yes"]);
        assert!(why.contains(said), "{name}: {why}");
        nobody(&name);
    }
    let partial = scene.place.file("partial");
    let partial = partial.to_str().expect("a path");
    assert_eq!(outcome(scene.place.otpctl(&["backup", partial, "--no-log"])).0, Some(0));
    let why = refused(&fresh, &["store", "import", partial, "--yes"]);
    assert!(why.contains("a backup without the log"), "{why}");
    let other = Place::new(&scene.phone);
    let stranger = other.start();
    let why = refused(&other, &["store", "import", &path, "--yes"]);
    assert!(why.contains("made with another master key"), "{why}");
    drop(stranger);
    nobody("nothing of all that");
    // And the good one still finds it empty.
    assert_eq!(import(&fresh, &path)["users"], json!(4));
    nobody_waits(&daemon, &scene.phone);
}

/// Somebody who is enrolled gets in.
fn nobody_waits(daemon: &Daemon, phone: &Phone) {
    let mut wire = daemon.connect();
    let challenge = wire.prompt(&login(USER, None)).challenge;
    let code = phone.next().code();
    assert!(is_granted(&wire.answer(&challenge, &code)));
}

/// One piece of an export that is imported.
fn send(wire: &mut Wire, text: &str) -> Result<ImportedPiece, Refusal> {
    wire.call(&Import { text: text.to_owned(), dry_run: false })
}

#[test]
fn an_import_that_is_interrupted_lets_nobody_in_until_it_is_whole() {
    let (scene, ..) = furnished();
    let (path, exported) = export(&scene.place, "out.export");
    let text = fs::read_to_string(&path).expect("text");
    let server = Server::start();
    let host = moved_to(&scene, &server);
    let mut daemon = host.start();
    let all = lines(&text).collect::<Vec<_>>();
    for part in [1, all.len() / 2, all.len() - 1] {
        let mut wire = daemon.connect();
        for piece in all.iter().take(part).flatten() {
            send(&mut wire, piece).expect("taken");
        }
        let shut = |daemon: &Daemon| {
            let step = daemon.connect().begin(USER).step;
            assert_eq!(step.verdict, Some(Verdict::Unavailable), "{part}: {step:?}");
        };
        shut(&daemon);
        let half = host.place.file("half.export");
        let half = half.to_str().expect("a path");
        let why = refused(&host.place, &["store", "export", half]);
        assert!(why.contains("is not whole, and an export is of all"), "{part}: {why}");
        assert!(!Path::new(half).exists());
        daemon.kill();
        daemon = host.start();
        daemon.wait_for("an import came to no end");
        shut(&daemon);
    }
    assert!(scene.phone.pending().is_none(), "nothing is sent meanwhile");
    assert_same(&exported, &import(&host.place, &path));
    nobody_waits(&daemon, &scene.phone);
    daemon.kill();
    let daemon = host.start();
    nobody_waits(&daemon, &scene.phone);
    // What is not a piece is not taken for one.
    let mut wire = daemon.connect();
    let refusal = send(&mut wire, "a\nb").expect_err("no piece");
    assert_eq!(refusal.error, "org.varlink.service.InvalidParameter");
    assert_eq!(Import::NAME, "org.otpd.Admin.Import");
}

#[test]
fn after_the_last_export_nobody_is_let_in_until_the_daemon_is_started_again() {
    let (scene, _, (mut waiting, challenge, live)) = furnished();
    let path = scene.place.file("out.export");
    let path = path.to_str().expect("a path");
    let (exit, _, stderr) = outcome(scene.place.otpctl(&["store", "export", path, "--final"]));
    assert_eq!(exit, Some(2), "it asks, and there is no terminal: {stderr}");
    assert!(stderr.contains("--yes"), "{stderr}");
    assert!(!Path::new(path).exists());
    nobody_waits(&scene.daemon, &scene.phone);
    let done = told(&scene.place, &["store", "export", path, "--final", "--yes"]);
    assert_eq!(done["final"], json!(true));
    let step = scene.daemon.connect().begin(USER).step;
    assert_eq!(step.verdict, Some(Verdict::Unavailable));
    let step = waiting.answer(&challenge, &live);
    assert_eq!(step.verdict, Some(Verdict::Unavailable), "nor who was asked before");
    assert!(scene.phone.pending().is_none());
    let Scene { phone, place, daemon } = scene;
    daemon.kill();
    nobody_waits(&place.start(), &phone);
}

/// Who is enrolled nowhere gets in without a code by that policy: also before an import.
#[test]
fn a_database_in_which_nobody_is_asked_is_warned_of() {
    let (phone, server) = (Phone::start(), Server::start());
    let host = Host::new("web1", &phone, &server);
    let text = fs::read_to_string(host.place.config()).expect("a configuration");
    host.place.configure(&format!("{text}\n[policy]\nunenrolled = \"ignore\"\n"));
    let warning = "nobody is enrolled in the database: nobody is asked for a code";
    let daemon = host.start();
    daemon.wait_for(warning);
    daemon.enroll(&phone, USER, PEOPLE[0].1);
    daemon.kill();
    let daemon = host.start();
    nobody_waits(&daemon, &phone);
    assert!(!daemon.log().contains(warning), "{}", daemon.log());
}

#[test]
fn ten_thousand_users_move() {
    const MANY: usize = 10_000;
    let scene = Scene::crowded(MANY);
    let (path, exported) = export(&scene.place, "out.export");
    assert_eq!(exported["users"], json!(MANY));
    let server = Server::start();
    let host = moved_to(&scene, &server);
    let _daemon = host.start();
    let imported = import(&host.place, &path);
    assert_same(&exported, &imported);
    assert_eq!(exported["events_checksum"], imported["events_checksum"]);
    let enrolled = server.sql("otpd", "SELECT count(*) FROM otpd.enrollment");
    assert_eq!(enrolled, "10000");
    let counted = server.sql("otpd", "SELECT sum(count) FROM otpd.enrolled");
    assert_eq!(counted, "10000", "limits on all together grow with it");
}
