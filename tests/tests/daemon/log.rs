//! The audit trail through the socket: listed, and followed while logins go on.

use std::{
    collections::BTreeSet,
    io::{BufRead, BufReader, Read},
    process::Stdio,
    sync::mpsc,
    time::Duration,
};

use otp_proto::{
    admin::{Disable, Enable, Log, Record, Unlock, Verify, Watch},
    event::Event,
    login::{Begin, Verdict},
    service::GetInfo,
};
use otpd_tests::{
    PATIENCE,
    daemon::{ADMIN_GROUP, Daemon, Place},
    phone::Phone,
    wire::{Wire, frame, is_denied, is_granted, login, wrong},
};
use serde_json::{Value, json};

use super::{
    people::{PEOPLE, ids, relay},
    trail::{Watcher, ask, list},
};

fn words(records: &[Record]) -> Vec<&str> {
    records.iter().map(|record| record.event.as_str()).collect()
}

/// Logs `user` in with one wrong code on the way; the request id.
fn log_in(daemon: &Daemon, phone: &Phone, user: &str) -> String {
    let mut wire = daemon.connect();
    let challenge = wire.prompt(&login(user, Some("203.0.113.9 1 192.0.2.1 22 aa"))).challenge;
    let code = phone.next().code();
    let help = wire.answer(&challenge, "?").prompt.expect("help").text;
    let id = help.split("equest id").nth(1).expect("a request id");
    let id = id.trim_start_matches([':', ' ']);
    assert!(wire.answer(&challenge, &wrong(&code, 0)).prompt.is_some());
    assert!(is_granted(&wire.answer(&challenge, &code)));
    id.chars().take(7).collect()
}

const LOGIN: [&str; 4] = ["code-issued", "message-sent", "code-wrong", "login-granted"];
const ENROLLMENT: [&str; 4] = ["enrolled", "code-issued", "message-sent", "verified"];

#[test]
fn a_list_is_what_it_is_asked_for() {
    let phone = Phone::start();
    let place = Place::new(&phone);
    let daemon = place.start();
    let [(man, man_number), (lp, lp_number), ..] = PEOPLE;
    assert!(list(&daemon, &Log::default()).is_empty(), "nothing has happened");
    daemon.enroll(&phone, man, man_number);
    daemon.enroll(&phone, lp, lp_number);
    let request = log_in(&daemon, &phone, man);

    let all = list(&daemon, &Log::default());
    assert_eq!(words(&all), [&ENROLLMENT[..], &ENROLLMENT, &LOGIN].concat());
    assert!(all.windows(2).all(|pair| pair[0].id < pair[1].id && pair[0].at <= pair[1].at));
    assert!(all.iter().all(|record| Event::of(record).is_some()), "otpctl knows all of them");
    let granted = all.last().expect("events");
    assert_eq!(
        serde_json::to_value(granted).expect("JSON"),
        json!({
            "id": granted.id,
            "at": granted.at,
            "request": request,
            "user": man,
            "actor": "claimant",
            "event": "login-granted",
            "details": { "service": "sshd", "source": "203.0.113.9" },
        })
    );
    assert_eq!(all[0].actor, "uid 0");
    assert_eq!(all[2].actor, "otpd");

    let user = |user: &str| Log { user: Some(user.to_owned()), ..Log::default() };
    let since = |at| Log { since: Some(at), ..Log::default() };
    let of = |request: &str| Log { request: Some(request.to_owned()), ..Log::default() };
    let low = request.to_lowercase().replace('-', "");
    let first_login = all[8].at;
    let at_least = all.iter().filter(|record| record.at >= first_login).count();
    let later = all.iter().filter(|record| record.at > granted.at).count();
    let cases = [
        ("a user", user(lp), ENROLLMENT.to_vec()),
        ("a user without events", user("mail"), vec![]),
        ("no user at all", user("no-such-user"), vec![]),
        ("the newest", Log { limit: Some(1), ..Log::default() }, vec!["login-granted"]),
        ("none of them", Log { limit: Some(0), ..Log::default() }, vec![]),
        ("the newest of a user", Log { limit: Some(2), ..user(lp) }, ENROLLMENT[2..].to_vec()),
        ("a request", of(&request), LOGIN.to_vec()),
        ("a request as it is said", of(&low), LOGIN.to_vec()),
        ("a request of somebody else", Log { user: Some(lp.to_owned()), ..of(&request) }, vec![]),
        ("a request that never was", of("ZZZZ-ZZ"), vec![]),
    ];
    for (name, log, expected) in cases {
        assert_eq!(words(&list(&daemon, &log)), expected, "{name}");
    }
    assert_eq!(list(&daemon, &since(first_login)).len(), at_least, "the millisecond counts");
    assert_eq!(list(&daemon, &since(granted.at + 1)).len(), later, "the one after does not");
    assert_eq!(list(&daemon, &since(i64::MIN)).len(), all.len());
    assert!(list(&daemon, &since(i64::MAX)).is_empty());
}

#[test]
fn what_cannot_be_asked_is_refused() {
    let phone = Phone::start();
    let place = Place::new(&phone);
    let daemon = place.start();
    let mut wire = daemon.connect();
    let invalid = "org.varlink.service.InvalidParameter";
    let more = "org.varlink.service.ExpectedMore";
    let cases = [
        ("Log", json!({ "request": "7K3F" }), true, invalid, "request"),
        ("Log", json!({ "user": "a/b" }), true, invalid, "user"),
        ("Log", json!({ "limit": -1 }), true, invalid, "-1"),
        ("Log", json!({ "until": 1 }), true, invalid, "until"),
        ("Log", json!({}), false, more, ""),
        ("Watch", json!({ "user": "" }), true, invalid, "user"),
        ("Watch", json!({ "request": "7K3F-Q2" }), true, invalid, "request"),
        ("Watch", json!({}), false, more, ""),
    ];
    for (method, parameters, with_more, error, about) in cases {
        let name = format!("org.otpd.Admin.{method}");
        let call = json!({ "method": name, "parameters": parameters, "more": with_more });
        assert!(wire.send(&frame(&call)));
        let reply = wire.receive().expect("an error");
        assert_eq!(reply["error"], error, "{call}");
        let parameter = reply["parameters"]["parameter"].as_str().unwrap_or_default();
        assert!(parameter.contains(about), "{call}: {reply}");
    }
    wire.call(&GetInfo {}).expect("the connection goes on");
}

#[test]
fn watchers_see_each_event_of_200_logins_once_and_in_order() {
    const LOGINS: usize = 200;
    let phone = Phone::start();
    let place = Place::new(&phone);
    let daemon = place.start();
    for (user, number) in PEOPLE {
        daemon.enroll(&phone, user, number);
    }
    let enrolled = list(&daemon, &Log::default());
    let last = enrolled.last().expect("events").id;
    // From the beginning, from here on by its id, and one user only.
    let mut whole = Watcher::new(daemon.connect(), &Watch { user: None, after: Some(0) });
    let mut rest = Watcher::new(daemon.connect(), &Watch { user: None, after: Some(last) });
    let [(man, _), ..] = PEOPLE;
    let of_man = Watch { user: Some(man.to_owned()), after: Some(last) };
    let mut own = Watcher::new(daemon.connect(), &of_man);
    // This one reads nothing until all is over.
    let mut slow = Watcher::new(daemon.connect(), &Watch { user: None, after: Some(0) });

    // The daemon is stopped while they are written, so that it finds them all at once.
    let mut wires = (0..LOGINS).map(|_| daemon.connect()).collect::<Vec<_>>();
    daemon.signal("STOP");
    for (nth, (wire, (user, _))) in wires.iter_mut().zip(PEOPLE.iter().cycle()).enumerate() {
        let from = format!("203.0.113.{} 1 192.0.2.1 22 {nth}", nth % 50);
        assert!(wire.post(&login(user, Some(&from))));
    }
    daemon.signal("CONT");
    // So many at once that some are told to come again: nothing is decided about those.
    let mut undecided = 0;
    for wire in &mut wires {
        let begun = wire.reply::<Begin>().expect("the daemon stays").expect("a step");
        undecided += usize::from(begun.step.verdict == Some(Verdict::Unavailable));
        // Some are turned away by a limit: that is an event too.
        if let Some(challenge) = begun.challenge {
            assert!(is_denied(&wire.answer(&challenge, "q")));
        }
    }
    assert!(undecided < LOGINS / 2, "{undecided} of {LOGINS}");
    let mut wire = daemon.connect();
    wire.call(&Disable { user: man.to_owned() }).expect("the last event");

    let mut expected = list(&daemon, &Log::default());
    // That a vendor took a message may be written down later still.
    let last =
        expected.iter().position(|record| record.event == "disabled").expect("the last event");
    expected.truncate(last + 1);
    let denied = expected.iter().filter(|record| record.event == "login-denied").count();
    assert_eq!(denied + undecided, LOGINS, "each login left its end");
    let ids = expected.iter().map(|record| record.id).collect::<BTreeSet<_>>();
    assert_eq!(ids.len(), expected.len());
    assert_eq!(whole.until("disabled", man), expected, "from the beginning");
    assert_eq!(rest.until("disabled", man), expected[enrolled.len()..], "after an id");
    let of_man = expected[enrolled.len()..].iter().filter(|record| record.user == man);
    assert_eq!(own.until("disabled", man), of_man.cloned().collect::<Vec<_>>(), "one user");
    assert_eq!(slow.until("disabled", man), expected, "a slow reader");
}

#[test]
fn a_watcher_is_told_of_what_comes_and_not_of_what_was() {
    let phone = Phone::start();
    let place = Place::new(&phone);
    let daemon = place.start();
    let [(man, number), ..] = PEOPLE;
    daemon.enroll(&phone, man, number);
    let mut watcher = Watcher::new(daemon.connect(), &Watch::default());
    let mut wire = daemon.connect();
    // That it has begun shows only in what it is told.
    let told = std::iter::repeat_with(|| {
        wire.call(&Unlock { user: man.to_owned() }).expect("unlocked");
        !watcher.0.is_quiet_for(Duration::from_millis(20))
    });
    assert!(told.take(100).any(|told| told), "nothing is told");
    wire.call(&Disable { user: man.to_owned() }).expect("disabled");
    let seen = watcher.until("disabled", man);
    let (last, before) = seen.split_last().expect("events");
    assert!(before.iter().all(|record| record.event == "unlocked"), "{:?}", words(&seen));
    let newest = Log { limit: Some(1), ..Log::default() };
    assert_eq!(list(&daemon, &newest), std::slice::from_ref(last));
    // Nothing else can be asked on the connection.
    let bytes = frame(&json!({ "method": "org.varlink.service.GetInfo" }));
    assert!(watcher.0.send(&bytes));
    assert_eq!(watcher.0.receive(), None);
}

#[test]
fn sixteen_may_watch_and_a_seat_is_free_when_its_watcher_goes() {
    let phone = Phone::start();
    let place = Place::new(&phone);
    let daemon = place.start();
    let [(man, number), ..] = PEOPLE;
    daemon.enroll(&phone, man, number);
    let all = Watch { user: None, after: Some(0) };
    let mut watchers = (0..16).map(|_| Watcher::new(daemon.connect(), &all)).collect::<Vec<_>>();
    // Each has a seat once it was told something.
    for watcher in &mut watchers {
        assert_eq!(watcher.next().event, "enrolled");
    }
    let refused = |wire: &mut Wire| {
        ask(wire, &all);
        wire.reply::<Watch>().expect("the daemon stays").err()
    };
    let mut surplus = daemon.connect();
    let refusal = refused(&mut surplus).expect("a seventeenth");
    assert_eq!(refusal.error, "org.otpd.Admin.Refused");
    let reason = refusal.parameters["reason"].as_str().expect("a reason");
    assert!(reason.contains("16") && reason.contains("otpctl log --follow"), "{reason}");
    surplus.call(&GetInfo {}).expect("the connection goes on");
    assert_eq!(list(&daemon, &Log::default()).len(), 4, "a list needs no seat");
    drop(watchers.pop());
    // The seat is free once the daemon has seen the watcher go.
    let again = std::iter::repeat_with(|| refused(&mut daemon.connect())).take(1000);
    assert!(again.into_iter().any(|refusal| refusal.is_none()), "the seat stays taken");
}

#[test]
fn a_stop_ends_watchers_at_once_and_slow_ones_too() {
    let phone = Phone::start();
    let place = Place::new(&phone);
    let daemon = place.start();
    let [(man, number), ..] = PEOPLE;
    daemon.enroll(&phone, man, number);
    let mut idle = Watcher::new(daemon.connect(), &Watch { user: None, after: Some(0) });
    assert_eq!(words(&idle.until("verified", man)), ENROLLMENT);
    // More than a socket holds, so that the daemon waits for this reader.
    for _ in 0..600 {
        let mut wire = daemon.connect();
        wire.call(&Disable { user: man.to_owned() }).expect("disabled");
        wire.call(&Enable { user: man.to_owned() }).expect("enabled");
    }
    let mut stuck = Watcher::new(daemon.connect(), &Watch { user: None, after: Some(0) });
    assert_eq!(stuck.next().event, "enrolled", "it has begun, and reads no more");
    daemon.connect().call(&GetInfo {}).expect("others are served");
    daemon.terminate();
    daemon.wait_for(": stopped");
    let log = daemon.log();
    assert!(!log.contains("not everything that was under way ended"), "it waited for them");
    assert!(daemon.wait().success());
    drop((idle, stuck));
}

/// The lines of a pipe as they come.
fn lines(pipe: impl Read + Send + 'static) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let lines = BufReader::new(pipe).lines().map_while(Result::ok);
        lines.map(|line| sender.send(line)).take_while(Result::is_ok).for_each(drop);
    });
    receiver
}

#[test]
fn otpctl_follows_over_a_kill_and_shows_each_event_once() {
    let phone = Phone::start();
    let place = Place::new(&phone);
    let mut daemon = place.start();
    let [(man, number), ..] = PEOPLE;
    daemon.enroll(&phone, man, number);
    let mut command = place.otpctl(&["log", "--follow", "--json"]);
    let mut follower =
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("otpctl starts");
    let events = lines(follower.stdout.take().expect("a pipe"));
    let notes = lines(follower.stderr.take().expect("a pipe"));
    let mut seen = Vec::new();
    let mut until = |word: &str| {
        loop {
            let line = events.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("no {word}"));
            let event: Value = serde_json::from_str(&line).expect("JSON");
            seen.push(event["id"].as_i64().expect("an id"));
            if event["event"] == word {
                return;
            }
        }
    };
    until("verified");
    for _ in 0..3 {
        daemon.connect().call(&Disable { user: man.to_owned() }).expect("disabled");
        until("disabled");
        daemon.kill();
        let away = notes.recv_timeout(PATIENCE).expect("it says so");
        assert!(away.contains("otpd is away") && away.contains("60 s"), "{away}");
        daemon = place.start();
        // Perhaps before the follower is back: then it is told what it has missed.
        daemon.connect().call(&Enable { user: man.to_owned() }).expect("enabled");
        until("enabled");
        let back = notes.recv_timeout(PATIENCE).expect("once, and then");
        assert_eq!(back, "otpctl: otpd is back");
    }
    // An orderly restart as well.
    daemon.terminate();
    assert!(daemon.wait().success());
    assert!(notes.recv_timeout(PATIENCE).expect("a note").contains("otpd is away"));
    let daemon = place.start();
    daemon.connect().call(&Unlock { user: man.to_owned() }).expect("unlocked");
    until("unlocked");
    follower.kill().expect("a signal");
    follower.wait().expect("an end");
    let written = list(&daemon, &Log::default()).iter().map(|record| record.id).collect::<Vec<_>>();
    assert_eq!(seen, written, "each once and in order");
}

#[test]
fn refusals_leave_a_trace_and_no_flood() {
    let phone = Phone::start();
    let place = Place::new(&phone);
    let daemon = place.start();
    let relay = relay(&place);
    let [(man, number), (lp, _), ..] = PEOPLE;
    daemon.enroll(&phone, man, number);
    let (uid, gid) = ids(man);
    let mut wire = daemon.connect_as(&relay, uid, gid);
    let before = list(&daemon, &Log::default()).len();
    let own = Verify { user: man.to_owned(), code: otp_proto::Secret::new("hunter2".to_owned()) };
    for _ in 0..80 {
        let refused = wire.call(&own).expect_err("nothing waits for a code");
        assert_eq!(refused.error, "org.otpd.Admin.NoLiveCode");
    }
    let records = list(&daemon, &Log::default());
    let refused = &records[before..];
    assert_eq!(refused.len(), 60, "so many are written down in an hour");
    for record in refused {
        assert_eq!((record.event.as_str(), &*record.actor), ("refused", &*format!("uid {uid}")));
        assert_eq!(record.details["reason"], "no-code");
    }
    daemon.wait_for("was refused often");
    for _ in 0..80 {
        let refused = wire.call(&Disable { user: lp.to_owned() }).expect_err("not permitted");
        assert_eq!(refused.error, "org.varlink.service.PermissionDenied");
    }
    daemon.wait_for("no more are logged for an hour");
    let log = daemon.log();
    let denials = log.lines().filter(|line| line.contains("org.otpd.Admin.Disable"));
    assert_eq!(denials.count(), 60);
    assert!(!log.contains("hunter2"));
    // Root's are all written down.
    for _ in 0..70 {
        let typed = otp_proto::Secret::new("1".to_owned());
        let refused = daemon.connect().call(&Verify { user: lp.to_owned(), code: typed });
        assert_eq!(refused.expect_err("no number").error, "org.otpd.Admin.NotEnrolled");
    }
    let of_lp = Log { user: Some(lp.to_owned()), ..Log::default() };
    assert_eq!(list(&daemon, &of_lp).len(), 70);
}

#[test]
fn administrators_may_follow_and_others_may_not() {
    let phone = Phone::start();
    let place = Place::new(&phone);
    let daemon = place.start();
    let relay = relay(&place);
    let [(man, number), ..] = PEOPLE;
    daemon.enroll(&phone, man, number);
    let (member, group) = ids(ADMIN_GROUP);
    let (uid, gid) = ids(man);
    let cases = [("a member", member, group, true), ("a user", uid, gid, false)];
    for (name, uid, gid, permitted) in cases {
        for method in ["Log", "Watch"] {
            // About themselves as well: the trail tells more than an account's own affairs.
            let parameters = if method == "Log" {
                json!({ "user": man })
            } else {
                json!({ "user": man, "after": 0 })
            };
            let method = format!("org.otpd.Admin.{method}");
            let mut wire = daemon.connect_as(&relay, uid, gid);
            let call = json!({ "method": method, "parameters": parameters, "more": true });
            assert!(wire.send(&frame(&call)));
            let reply = wire.receive().expect("a reply");
            let event: &Value = &reply["parameters"]["record"]["event"];
            if permitted {
                assert_eq!(event, "enrolled", "{name}: {method}");
            } else {
                assert_eq!(reply["error"], "org.varlink.service.PermissionDenied", "{name}");
            }
        }
    }
}
