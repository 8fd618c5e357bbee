//! Who may call what, and how many connections anybody gets.

use std::{
    io::{BufRead, BufReader},
    os::unix::{net::UnixStream, process::CommandExt},
    process::{Child, Command, Stdio},
    time::Duration,
};

use otp_proto::{admin::RecoveryCodes, login::DESCRIPTION, service::GetInfo};
use otpd_tests::{
    daemon::{ADMIN_GROUP, Daemon, Place},
    phone::Phone,
    wire::{Wire, frame, is_granted, login},
};
use serde_json::{Value, json};

use super::people::{PEOPLE, ids, relay};

/// The whole of it, written out: a line is a method, a column a caller, a letter of a column an
/// account that the call is about. `y` is permitted; a single letter stands for a call that is
/// about nobody in particular. The accounts, in the order of the letters:
///
/// `a`lice and `b`ob, users; `A`my and `E`lla, whose first group is the admin group; `r`oot and `t`oor,
/// uid 0 both; `x`, a name that nobody has or had; `g`ina, enrolled once and since deleted from the
/// host.
const MATRIX: &str = "
                        root     amy      group    alice+   alice    fakeroot none
                        abAErtxg abAErtxg abAErtxg abAErtxg abAErtxg abAErtxg abAErtxg
GetInfo                 y        y        y        y        y        y        y
GetInterfaceDescription y        y        y        y        y        y        y
Login.Begin             yyyyyyyy -------- -------- -------- -------- -------- --------
Login.Answer            y        -        -        -        -        -        -
Login.Cancel            y        -        -        -        -        -        -
Admin.List              y        y        y        y        -        -        -
Admin.Hosts             y        y        y        y        -        -        -
Admin.Bypasses          y        y        y        y        -        -        -
Admin.Status            y        y        y        y        -        -        -
Admin.RotateKey         y        -        -        -        -        -        -
Admin.ConfirmClock      y        y        y        y        -        -        -
Admin.Policy            y        y        y        y        -        -        -
Admin.CheckGateways     y        y        y        y        -        -        -
Admin.Log               y        y        y        y        -        -        -
Admin.Watch             y        y        y        y        -        -        -
Admin.TestMessage       y        y        y        y        -        -        -
Admin.Reveal            yyyyyyyy -------- -------- -------- -------- -------- --------
Admin.Backup            y        -        -        -        -        -        -
Admin.Restore           y        -        -        -        -        -        -
Admin.Export            y        -        -        -        -        -        -
Admin.Import            y        -        -        -        -        -        -
Admin.Register          yyyyyyyy yy----y- yy----y- -y----y- -------- -------- --------
Admin.Enroll            yyyyyyyy yy----y- yy----y- -y----y- -------- -------- --------
Admin.Enable            yyyyyyyy yy----y- yy----y- -y----y- -------- -------- --------
Admin.Unlock            yyyyyyyy yy----y- yy----y- -y----y- -------- -------- --------
Admin.RecoveryCodes     yyyyyyyy yy----y- yy----y- -y----y- -------- -------- --------
Admin.Bypass            yyyyyyyy yy----y- yy----y- -y----y- -------- -------- --------
Admin.RevokeBypass      yyyyyyyy yy----yy yy----yy -y----yy -------- -------- --------
Admin.Show              yyyyyyyy yyy---yy yy----yy yy----yy y------- y------- --------
Admin.Verify            yyyyyyyy yyy---yy yy----yy yy----yy y------- y------- --------
Admin.Resend            yyyyyyyy yyy---yy yy----yy yy----yy y------- y------- --------
Admin.Disable           yyyyyyyy yy----yy yy----yy -y----yy -------- -------- --------
Admin.Remove            yyyyyyyy yy----yy yy----yy -y----yy -------- -------- --------
";

/// Whom the letters of a column stand for.
const ACCOUNTS: [&str; 8] = ["alice", "bob", "amy", "ella", "root", "toor", "nobody-here", "gina"];

const ALICE: u32 = 21_001;
const AMY: u32 = 21_010;
/// A uid and gid that no account has.
const NONE: u32 = 21_099;

/// Who calls: a column of the table, a name, uid and gid, and whether from a user namespace of the
/// caller's own in which it is root.
type Caller = (&'static str, &'static str, u32, u32, bool);

/// Two who can only be told by the group's number call it by `group`.
fn callers(group: u32) -> [Caller; 9] {
    [
        ("none", "a uid without an account", NONE, NONE, false),
        ("fakeroot", "alice, root in a namespace of hers", ALICE, ALICE, true),
        ("alice", "alice", ALICE, ALICE, false),
        ("alice+", "alice, running with the admin group", ALICE, group, false),
        ("group", "no account, but the admin group", NONE, group, false),
        ("amy", "amy", AMY, group, false),
        // A foreign gid: it is NSS that knows the membership.
        ("amy", "amy, running with another group", AMY, NONE, false),
        ("root", "root", 0, 0, false),
        ("root", "toor, running with the admin group", 0, group, false),
    ]
}

/// The host's accounts; gina was one of them.
fn passwd(group: u32, gina: bool) -> String {
    let mut rows = vec![
        ("root", 0, 0),
        ("toor", 0, 0),
        ("alice", ALICE, ALICE),
        ("bob", 21_002, 21_002),
        ("amy", AMY, group),
        ("ella", 21_011, group),
    ];
    rows.extend(gina.then_some(("gina", 21_003, 21_003)));
    let row = |(name, uid, gid)| format!("{name}:x:{uid}:{gid}::/:/bin/sh\n");
    rows.into_iter().map(row).collect()
}

/// A line of [`MATRIX`]: the method, and what it says in this column.
fn cells(column: &str) -> Vec<(String, &'static str)> {
    let mut lines = MATRIX.trim_start_matches('\n').lines();
    let mut titles = lines.next().expect("titles").split_whitespace();
    let place = titles.position(|title| title == column).expect("a column");
    let cell = |line: &'static str| {
        let mut words = line.split_whitespace();
        let method = match words.next().expect("a method") {
            name if name.contains('.') => format!("org.otpd.{name}"),
            name => format!("org.varlink.service.{name}"),
        };
        (method, words.nth(place).expect("a cell"))
    };
    lines.skip(1).map(cell).collect()
}

/// Parameters that are right in shape and change nothing: nobody is enrolled.
fn parameters(method: &str, user: &str) -> Value {
    let challenge = "0".repeat(32);
    match method.rsplit('.').next().expect("a name") {
        "GetInterfaceDescription" => json!({ "interface": "org.otpd.Login" }),
        "Begin" => json!(login(user, None)),
        "Answer" => json!({ "challenge": challenge, "answer": "123456" }),
        "Cancel" => json!({ "challenge": challenge }),
        "TestMessage" => json!({ "phone": "x", "gateway": null, "voice": false }),
        "Enroll" | "Register" => {
            json!({ "user": user, "phone": "x", "channel": null, "replace": false })
        }
        "Verify" => json!({ "user": user, "code": "123456" }),
        "Resend" => json!({ "user": user, "voice": false }),
        // Shorter than any bypass.
        "Bypass" => json!({ "user": user, "seconds": 1, "reason": "x" }),
        "RevokeBypass" => json!({ "user": user, "id": "0000-00" }),
        "GetInfo" | "List" | "Bypasses" | "Hosts" | "Status" | "ConfirmClock" | "RotateKey"
        | "Policy" | "CheckGateways" => json!({}),
        // Nobody has done anything to this account, so the list is its end alone.
        "Log" => json!({ "user": "nobody-has-this-name" }),
        "Backup" => json!({ "log": false }),
        "Export" => json!({ "final": false }),
        "Restore" | "Import" => json!({ "text": "no backup", "dry_run": true }),
        "Watch" => json!({ "user": null, "after": null }),
        _ => json!({ "user": user }),
    }
}

fn is_permitted(wire: &mut Wire, method: &str, user: &str) -> bool {
    let parameters = parameters(method, user);
    // Asked without `more`, Watch and Backup say only whether they may be asked.
    let more = [".List", ".Bypasses", ".Hosts", ".Log"].iter().any(|name| method.ends_with(name));
    assert!(
        wire.send(&frame(&json!({ "method": method, "parameters": parameters, "more": more })))
    );
    let mut next =
        || wire.receive().unwrap_or_else(|| panic!("{method} {user}: the daemon hung up"));
    let mut reply = next();
    while reply["continues"] == true {
        reply = next();
    }
    reply["error"] != "org.varlink.service.PermissionDenied"
}

/// Calls a line's method about everybody that the line names; the cell that this makes.
fn found(wire: &mut Wire, method: &str, expected: &str) -> String {
    let users = ACCOUNTS.iter().take(expected.len());
    let letter = |user: &&str| if is_permitted(wire, method, user) { 'y' } else { '-' };
    users.map(letter).collect()
}

#[test]
fn every_method_is_for_whom_the_table_says() {
    let phone = Phone::start();
    let place = Place::new(&phone);
    let (_, group) = ids(ADMIN_GROUP);
    let before = place.start_among(&passwd(group, true));
    before.enroll(&phone, "gina", "+13125550142");
    before.kill();
    let daemon = place.start_among(&passwd(group, false));
    let relay = relay(&place);
    let mut calls = 0;
    // Removing takes gina away for all who come later.
    for last in [false, true] {
        for (column, name, uid, gid, own_namespace) in callers(group) {
            let mut command = Command::new(&relay);
            if own_namespace {
                command = Command::new("unshare");
                command.args(["--user", "--map-root-user"]).arg(&relay);
            }
            let mut wire = daemon.connect_by({
                command.uid(uid).gid(gid);
                command
            });
            for (method, expected) in cells(column) {
                if method.ends_with(".Remove") == last {
                    assert_eq!(found(&mut wire, &method, expected), expected, "{name}: {method}");
                    calls += expected.len();
                }
            }
        }
    }
    assert!(phone.pending().is_none(), "a message was sent");
    assert_eq!(calls, 9 * (19 + 14 * ACCOUNTS.len()), "calls that were made");
}

#[test]
fn the_table_has_every_method_that_the_daemon_describes() {
    let described = [otp_proto::service::DESCRIPTION, DESCRIPTION, otp_proto::admin::DESCRIPTION];
    let mut methods = Vec::new();
    for text in described {
        let starting = |word: &'static str| text.lines().filter_map(move |l| l.strip_prefix(word));
        let interface = starting("interface ").next().expect("an interface");
        let name = |line: &str| line.split('(').next().unwrap_or_default().to_owned();
        methods.extend(starting("method ").map(|line| format!("{interface}.{}", name(line))));
    }
    let mut listed = cells("root").into_iter().map(|(method, _)| method).collect::<Vec<_>>();
    methods.sort_unstable();
    listed.sort_unstable();
    assert_eq!(listed, methods);
}

/// What a process of alice's gets told that finds root's connection among its descriptors: the
/// kernel notes who connected, and nobody can see who writes. So the module's is closed by exec, and
/// nothing else may ever hand one on.
#[test]
fn a_connection_is_its_makers_whoever_holds_it() {
    let phone = Phone::start();
    let place = Place::new(&phone);
    let daemon = place.start();
    let call = json!({ "method": "org.otpd.Admin.Status", "parameters": {} }).to_string();
    let ask = |stream: UnixStream| {
        let output = Command::new("sh")
            .args(["-c", "printf '%s\\0' \"$1\" >&0 && head --zero-terminated --lines=1", "sh"])
            .arg(&call)
            .uid(ALICE)
            .gid(ALICE)
            .stdin(Stdio::from(std::os::fd::OwnedFd::from(stream)))
            .output()
            .expect("sh runs");
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    let passed_on = ask(UnixStream::connect(place.socket()).expect("the daemon"));
    assert!(passed_on.contains("\"active\":0"), "{passed_on}");
    let mut own = daemon.connect_as(&relay(&place), ALICE, ALICE);
    assert!(!is_permitted(&mut own, "org.otpd.Admin.Status", ""), "alice's own connection");
}

#[test]
fn uid_65534_is_nobody_and_is_turned_away() {
    let phone = Phone::start();
    let place = Place::new(&phone);
    let daemon = place.start();
    let relay = relay(&place);
    let (_, group) = ids(ADMIN_GROUP);
    // Another user is answered by the same way, before and after.
    let answers = || daemon.connect_as(&relay, 21_000, 21_000).call(&GetInfo {}).expect("served");
    answers();
    for gid in [65534, group, 0] {
        for (method, _) in cells("root") {
            let mut wire = daemon.connect_as(&relay, 65534, gid);
            let call = json!({ "method": method, "parameters": parameters(&method, "alice") });
            // It may be gone before this is written.
            let _ = wire.send(&frame(&call));
            assert_eq!(wire.receive(), None, "{method}, gid {gid}");
        }
    }
    answers();
    assert!(phone.pending().is_none(), "a message was sent");
}

#[test]
fn a_refused_oneway_call_gets_no_reply_either() {
    let phone = Phone::start();
    let place = Place::new(&phone);
    let daemon = place.start();
    let mut wire = daemon.connect_as(&relay(&place), 21_000, 21_000);
    let parameters = json!({ "challenge": "0".repeat(32) });
    let method = "org.otpd.Login.Cancel";
    let call = json!({ "method": method, "parameters": parameters, "oneway": true });
    assert!(wire.send(&frame(&call)));
    wire.call(&GetInfo {}).expect("the next reply belongs to the next call");
}

/// A process of `uid` that holds connections; and which of them were served.
fn hold(daemon: &Place, relay: &std::path::Path, uid: u32, number: usize) -> (Child, String) {
    let mut child = Command::new(relay)
        .arg(daemon.socket())
        .arg(number.to_string())
        .uid(uid)
        .gid(uid)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the relay starts");
    let mut served = String::new();
    let output = child.stdout.take().expect("a pipe");
    BufReader::new(output).read_line(&mut served).expect("a line");
    (child, served.trim_end().to_owned())
}

/// Ends it, and with it its connections.
fn release((mut child, _): (Child, String)) {
    drop(child.stdin.take());
    child.wait().expect("an end");
}

#[test]
fn a_user_gets_8_connections_and_a_surplus_one_is_closed_at_once() {
    let phone = Phone::start();
    let place = Place::new(&phone);
    let _daemon = place.start();
    let relay = relay(&place);
    let first = hold(&place, &relay, 21_000, 10);
    assert_eq!(first.1, "1111111100");
    let other = hold(&place, &relay, 21_001, 1);
    assert_eq!(other.1, "1", "another user is not concerned");
    let same = hold(&place, &relay, 21_000, 1);
    assert_eq!(same.1, "0", "another process of the user is");
    release(first);
    // The seats are free again once the daemon has seen the connections end.
    let again = std::iter::repeat_with(|| hold(&place, &relay, 21_000, 8))
        .take(100)
        .find(|again| again.1 == "11111111");
    assert!(again.is_some(), "the seats stay taken");
}

#[test]
fn prompts_that_nobody_answers_keep_nobody_out() {
    let phone = Phone::start();
    let place = Place::new(&phone);
    let (many, one) = ("unanswered-per-hour = 60", "unanswered-per-hour = 1");
    let settings = place.settings(&phone);
    assert!(settings.contains(many));
    place.configure(&settings.replace(many, one));
    let daemon = place.start();
    let [(user, number), (thief, theirs), ..] = PEOPLE;
    daemon.enroll(&phone, user, number);
    daemon.enroll(&phone, thief, theirs);
    let mut early = daemon.connect();
    let challenge = early.prompt(&login(user, None)).challenge;
    let code = phone.next().code();
    daemon.connect().call(&RecoveryCodes { user: thief.to_owned() }).expect("made");
    let _ = daemon.connect().prompt(&login(thief, None));
    let _ = phone.next();
    // Each waits for a recovery code, which costs nothing and of which there is no end.
    let mut held = Vec::new();
    while !early.ends_within(Duration::from_millis(1)) {
        assert!(held.len() < 600, "who has waited longest leaves");
        let mut wire = daemon.connect();
        let _ = wire.prompt(&login(thief, None));
        held.push(wire);
    }
    assert!(is_granted(&daemon.connect().answer(&challenge, &code)), "and comes again");
    drop(held);
}

#[test]
fn root_logs_people_in_while_users_hold_all_connections_they_can_get() {
    let phone = Phone::start();
    let place = Place::new(&phone);
    let daemon: Daemon = place.start();
    let [(user, number), ..] = PEOPLE;
    daemon.enroll(&phone, user, number);
    let relay = relay(&place);
    let held = (0..32).map(|nth| hold(&place, &relay, 21_000 + nth, 8)).collect::<Vec<_>>();
    assert!(held.iter().all(|(_, served)| served == "11111111"), "{held:?}");
    let surplus = hold(&place, &relay, 21_999, 1);
    assert_eq!(surplus.1, "0", "256 are kept for root");
    // Root's half: 255 idle connections, and the one that logs in.
    let idle = (0..255).map(|_| daemon.connect()).collect::<Vec<_>>();
    let mut wire = daemon.connect();
    let challenge = wire.prompt(&login(user, None)).challenge;
    assert!(is_granted(&wire.answer(&challenge, &phone.next().code())));
    let mut beyond = daemon.connect();
    assert_eq!(beyond.receive(), None, "512 are all there are");
    drop(idle);
    held.into_iter().chain([surplus]).for_each(release);
}

#[test]
fn a_daemon_out_of_descriptors_serves_who_is_there_and_then_the_rest() {
    let phone = Phone::start();
    let place = Place::new(&phone);
    let otpd = place.command();
    let mut command = Command::new("prlimit");
    command.arg("--nofile=64").arg(otpd.get_program()).args(otpd.get_args());
    let daemon = Daemon::spawn(command, place.socket(), ": ready ");
    let mut first = daemon.connect();
    first.call(&GetInfo {}).expect("served");
    let mut crowd = (0..100).map(|_| daemon.connect()).collect::<Vec<_>>();
    daemon.wait_for("a connection could not be accepted error=Too many open files");
    first.call(&GetInfo {}).expect("still served");
    assert!(crowd.last_mut().expect("the last one").post(&GetInfo {}));
    drop(crowd.drain(..99));
    let reply = crowd.pop().and_then(|mut last| last.reply::<GetInfo>()).expect("a reply");
    reply.expect("served once there is room");
}
