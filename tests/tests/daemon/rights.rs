//! Who may call what, and how many connections anybody gets.

use std::{
    io::{BufRead, BufReader},
    os::unix::process::CommandExt,
    process::{Child, Command, Stdio},
};

use otp_proto::service::GetInfo;
use otpd_tests::{
    daemon::{ADMIN_GROUP, Daemon, Place},
    phone::Phone,
    wire::{Wire, frame, is_granted, login},
};
use serde_json::{Value, json};

use super::people::{PEOPLE, ids, relay};

/// What a method is in the table of rights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Introspection,
    Login,
    /// About nobody in particular.
    Everyone,
    Administer,
    OwnAffairs,
    /// For root alone.
    Root,
}

const METHODS: [(&str, Kind); 25] = [
    ("org.varlink.service.GetInfo", Kind::Introspection),
    ("org.varlink.service.GetInterfaceDescription", Kind::Introspection),
    ("org.otpd.Login.Begin", Kind::Login),
    ("org.otpd.Login.Answer", Kind::Login),
    ("org.otpd.Login.Cancel", Kind::Login),
    ("org.otpd.Admin.List", Kind::Everyone),
    ("org.otpd.Admin.Status", Kind::Everyone),
    ("org.otpd.Admin.ConfirmClock", Kind::Everyone),
    ("org.otpd.Admin.Log", Kind::Everyone),
    ("org.otpd.Admin.Watch", Kind::Everyone),
    ("org.otpd.Admin.TestMessage", Kind::Everyone),
    ("org.otpd.Admin.Reveal", Kind::Root),
    ("org.otpd.Admin.Register", Kind::Administer),
    ("org.otpd.Admin.Enroll", Kind::Administer),
    ("org.otpd.Admin.Disable", Kind::Administer),
    ("org.otpd.Admin.Enable", Kind::Administer),
    ("org.otpd.Admin.Remove", Kind::Administer),
    ("org.otpd.Admin.Unlock", Kind::Administer),
    ("org.otpd.Admin.RecoveryCodes", Kind::Administer),
    ("org.otpd.Admin.Bypass", Kind::Administer),
    ("org.otpd.Admin.RevokeBypass", Kind::Administer),
    ("org.otpd.Admin.Bypasses", Kind::Everyone),
    ("org.otpd.Admin.Show", Kind::OwnAffairs),
    ("org.otpd.Admin.Verify", Kind::OwnAffairs),
    ("org.otpd.Admin.Resend", Kind::OwnAffairs),
];

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
        "GetInfo" | "List" | "Bypasses" | "Status" | "ConfirmClock" => json!({}),
        // Nobody has done anything to this account, so the list is its end alone.
        "Log" => json!({ "user": "nobody-has-this-name" }),
        "Watch" => json!({ "user": null, "after": null }),
        _ => json!({ "user": user }),
    }
}

fn is_permitted(wire: &mut Wire, method: &str, user: &str) -> bool {
    let parameters = parameters(method, user);
    // Asked without `more`, Watch says only whether it may be asked.
    let more = [".List", ".Bypasses", ".Log"].iter().any(|name| method.ends_with(name));
    assert!(
        wire.send(&frame(&json!({ "method": method, "parameters": parameters, "more": more })))
    );
    let reply = wire.receive().unwrap_or_else(|| panic!("{method} {user}: the daemon hung up"));
    reply["error"] != "org.varlink.service.PermissionDenied"
}

/// A caller: its name, its uid and gid, and what the table says of it.
struct Caller {
    name: &'static str,
    ids: (u32, u32),
    /// The account that is the caller.
    oneself: &'static str,
    expected: fn(Kind, Target) -> bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    Oneself,
    Root,
    /// A member of the admin group that is not the caller.
    Member,
    Other,
    Unknown,
}

fn root(_: Kind, _: Target) -> bool {
    true
}

fn administrator(kind: Kind, target: Target) -> bool {
    match (kind, target) {
        (Kind::Introspection | Kind::Everyone, _) => true,
        (Kind::Login | Kind::Root, _) => false,
        (Kind::OwnAffairs, Target::Oneself) => true,
        (Kind::Administer, Target::Oneself) => false,
        (_, Target::Root | Target::Member) => false,
        (_, Target::Other | Target::Unknown) => true,
    }
}

fn anybody(kind: Kind, target: Target) -> bool {
    kind == Kind::Introspection || (kind == Kind::OwnAffairs && target == Target::Oneself)
}

#[test]
fn every_method_is_for_whom_the_table_says() {
    let phone = Phone::start();
    let place = Place::new(&phone);
    let daemon = place.start();
    let relay = relay(&place);
    let (member, group) = ids(ADMIN_GROUP);
    let (man, own_group) = ids("man");
    let callers = [
        Caller { name: "root", ids: (0, 0), oneself: "root", expected: root },
        // A foreign gid: it is NSS that knows the membership.
        Caller {
            name: "member by NSS",
            ids: (member, own_group),
            oneself: ADMIN_GROUP,
            expected: administrator,
        },
        // No account at all: it is the gid.
        Caller {
            name: "member by gid",
            ids: (21_000, group),
            oneself: "-",
            expected: administrator,
        },
        Caller {
            name: "member by gid, with an account",
            ids: (man, group),
            oneself: "man",
            expected: administrator,
        },
        Caller { name: "a user", ids: (man, own_group), oneself: "man", expected: anybody },
        Caller { name: "no account", ids: (21_000, 21_000), oneself: "-", expected: anybody },
    ];
    for caller in callers {
        let (uid, gid) = caller.ids;
        let mut wire = daemon.connect_as(&relay, uid, gid);
        let targets = [
            (Target::Oneself, caller.oneself),
            (Target::Root, "root"),
            (Target::Member, ADMIN_GROUP),
            (Target::Other, "lp"),
            (Target::Unknown, "no-such-user"),
        ];
        for (method, kind) in METHODS {
            for (target, user) in targets {
                let same = target != Target::Oneself && user == caller.oneself;
                if user == "-" || same {
                    continue;
                }
                let permitted = is_permitted(&mut wire, method, user);
                let expected = (caller.expected)(kind, target);
                assert_eq!(permitted, expected, "{}: {method} of {user}", caller.name);
            }
        }
    }
    assert!(phone.pending().is_none(), "a message was sent");
}

#[test]
fn uid_65534_is_nobody_and_is_turned_away() {
    let phone = Phone::start();
    let place = Place::new(&phone);
    let daemon = place.start();
    let relay = relay(&place);
    let (_, group) = ids(ADMIN_GROUP);
    for gid in [65534, group, 0] {
        let mut wire = daemon.connect_as(&relay, 65534, gid);
        wire.post(&GetInfo {});
        assert_eq!(wire.receive(), None, "gid {gid}");
    }
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
    daemon.wait_for("could not be accepted");
    first.call(&GetInfo {}).expect("still served");
    assert!(crowd.last_mut().expect("the last one").post(&GetInfo {}));
    drop(crowd.drain(..99));
    let reply = crowd.pop().and_then(|mut last| last.reply::<GetInfo>()).expect("a reply");
    reply.expect("served once there is room");
}
