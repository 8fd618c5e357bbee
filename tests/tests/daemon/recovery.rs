//! Recovery codes and bypasses through the real process.

use std::fs;

use otp_proto::{
    admin::{Bypass, Bypasses, Grant, RecoveryCodes, RevokeBypass},
    login::{Answer, Begin, Step, Verdict},
};
use otpd_tests::{
    daemon::{Daemon, Place},
    phone::Phone,
    wire::{is_denied, is_granted, login, typed, wrong},
};

use super::people::PEOPLE;

/// Who is enrolled here.
const USER: &str = PEOPLE[0].0;
const NUMBER: &str = PEOPLE[0].1;
/// Who is not.
const OTHER: &str = PEOPLE[1].0;

pub(crate) fn recovery_codes(daemon: &Daemon, user: &str) -> Vec<String> {
    let made = daemon.connect().call(&RecoveryCodes { user: user.to_owned() }).expect("made");
    made.codes.iter().map(|code| code.expose().to_owned()).collect()
}

/// A daemon whose user has recovery codes.
fn start(place: &Place, phone: &Phone) -> (Daemon, Vec<String>) {
    let daemon = place.start();
    daemon.enroll(phone, USER, NUMBER);
    let codes = recovery_codes(&daemon, USER);
    (daemon, codes)
}

/// Has the daemon find all these answers at once.
fn at_once(daemon: &Daemon, answers: &[Answer]) -> Vec<Step> {
    let mut wires = answers.iter().map(|_| daemon.connect()).collect::<Vec<_>>();
    daemon.signal("STOP");
    for (wire, answer) in wires.iter_mut().zip(answers) {
        assert!(wire.post(answer));
    }
    daemon.signal("CONT");
    let steps = wires.iter_mut().map(|wire| {
        wire.reply::<Answer>().expect("the daemon stays").expect("a step, not an error").step
    });
    steps.collect()
}

fn granted(steps: &[Step]) -> usize {
    steps.iter().filter(|step| is_granted(step)).count()
}

#[test]
fn a_recovery_code_at_an_ordinary_prompt() {
    let phone = Phone::start();
    let place = Place::new(&phone);
    let (daemon, codes) = start(&place, &phone);
    assert_eq!(daemon.show(USER).recovery_codes_left, 8);
    let mut wire = daemon.connect();
    let challenge = wire.prompt(&login(USER, None)).challenge;
    assert!(!phone.next().code().is_empty());
    let step = wire.answer(&challenge, &codes[0].to_lowercase().replace('-', " "));
    assert!(is_granted(&step));
    assert_eq!(step.text.as_deref(), Some("Recovery code accepted. 7 are left."));
    let told = phone.next();
    assert_eq!(told.to, NUMBER);
    assert_eq!(told.text, "A recovery code was used to log in to box. 7 left. Not you? Tell IT.");
    let shown = daemon.show(USER);
    assert_eq!((shown.recovery_codes_left, shown.failures_24h), (7, 0));
    let challenge = wire.prompt(&login(USER, None)).challenge;
    let again = wire.answer(&challenge, &codes[0]).prompt.expect("asked again").text;
    assert!(again.starts_with("That is not one of your recovery codes. 9 tries left"), "{again}");
}

#[test]
fn a_recovery_code_when_the_messages_are_used_up() {
    let phone = Phone::start();
    let place = Place::empty();
    let narrow = place.settings(&phone).replace("per-hour = 60\n", "per-hour = 1\n");
    place.configure(&narrow);
    let (daemon, codes) = start(&place, &phone);
    let mut wire = daemon.connect();
    let one = wire.prompt(&login(USER, None)).challenge;
    let code = phone.next().code();
    let prompted = wire.prompt(&login(USER, None));
    for part in ["No more messages can be sent until ", "Limit unanswered-per-hour, since "] {
        assert!(prompted.text.contains(part), "{}", prompted.text);
    }
    assert_ne!(prompted.challenge, one);
    let help = wire.answer(&prompted.challenge, &code).prompt.expect("asked again").text;
    assert!(help.contains("8 are left"), "another login's code is not compared: {help}");
    daemon.kill();
    let daemon = place.start();
    let mut wire = daemon.connect();
    assert!(is_granted(&wire.answer(&prompted.challenge, &codes[5])));
    assert!(phone.next().text.contains("7 left"));
    assert_eq!(daemon.show(USER).failures_24h, 0);
    assert!(phone.pending().is_none(), "nothing else was sent");
}

#[test]
fn a_recovery_code_when_wrong_codes_bring_a_pause() {
    let phone = Phone::start();
    let place = Place::new(&phone);
    let (daemon, codes) = start(&place, &phone);
    let mut wire = daemon.connect();
    for _ in 0..10 {
        let challenge = wire.prompt(&login(USER, None)).challenge;
        let code = phone.next().code();
        let _ = wire.answer(&challenge, &wrong(&code, 0));
    }
    let prompted = wire.prompt(&login(USER, None));
    assert!(prompted.text.starts_with("Too many wrong codes.\n"), "{}", prompted.text);
    assert!(phone.pending().is_none(), "nothing is sent");
    assert!(is_granted(&wire.answer(&prompted.challenge, &codes[0])));
    assert!(phone.next().text.contains("7 left"));
    // It ends no window: the pause goes on.
    let prompted = wire.prompt(&login(USER, None));
    assert!(prompted.text.starts_with("Too many wrong codes.\n"), "{}", prompted.text);
}

#[test]
fn of_64_times_the_same_recovery_code_one_is_granted() {
    let phone = Phone::start();
    let place = Place::new(&phone);
    let (daemon, codes) = start(&place, &phone);
    for (round, code) in codes.iter().take(4).enumerate() {
        // Two logins, so that it is the code that is used once, and not the login.
        let challenges = [(); 2].map(|()| {
            let challenge = daemon.connect().prompt(&login(USER, None)).challenge;
            assert!(!phone.next().code().is_empty());
            challenge
        });
        let one = (0..64).map(|_| typed(&challenges[0], code)).collect::<Vec<_>>();
        let steps = at_once(&daemon, &one);
        let denied = steps.iter().filter(|step| is_denied(step)).count();
        assert_eq!((granted(&steps), denied), (1, 63), "round {round}");
        assert!(phone.next().text.starts_with("A recovery code was used"));
        assert!(!is_granted(&daemon.connect().answer(&challenges[1], code)), "round {round}");
        let left = daemon.show(USER).recovery_codes_left;
        assert_eq!(usize::try_from(left), Ok(7 - round), "one is gone");
    }
}

#[test]
fn of_64_logins_with_the_same_recovery_code_one_gets_in() {
    let phone = Phone::start();
    let place = Place::new(&phone);
    let (daemon, codes) = start(&place, &phone);
    let challenges = [(); 2].map(|()| {
        let challenge = daemon.connect().prompt(&login(USER, None)).challenge;
        assert!(!phone.next().code().is_empty());
        challenge
    });
    let crossed = challenges.iter().cycle().take(64);
    let answers = crossed.map(|challenge| typed(challenge, &codes[0])).collect::<Vec<_>>();
    assert_eq!(granted(&at_once(&daemon, &answers)), 1);
    assert_eq!(daemon.show(USER).recovery_codes_left, 7);
}

#[test]
fn recovery_codes_are_neither_in_files_nor_in_the_log() {
    let phone = Phone::start();
    let place = Place::empty();
    let debug = place.settings(&phone).replace("[log]", "[log]\nlevel = \"debug\"");
    place.configure(&debug);
    let (daemon, codes) = start(&place, &phone);
    let mut wire = daemon.connect();
    let challenge = wire.prompt(&login(USER, None)).challenge;
    assert!(wire.answer(&challenge, "0000-0000-0000-0000-0000-0000").prompt.is_some());
    assert!(is_granted(&wire.answer(&challenge, &codes[0])));
    daemon.wait_for("owner-told");
    let log = daemon.log();
    daemon.kill();
    for event in ["recovery-codes-made", "recovery-code-wrong", "recovery-code-used"] {
        assert!(log.contains(event), "{event} is not in the log:\n{log}");
    }
    for code in &codes {
        let plain = code.replace('-', "");
        for form in [code.as_str(), &plain, &code[..9]] {
            assert!(!log.contains(form), "{form} is in the log:\n{log}");
            for name in ["otpd.db", "otpd.db-wal"] {
                let bytes = fs::read(place.file(name)).expect("a file of the database");
                let found = bytes.windows(form.len()).any(|part| part == form.as_bytes());
                assert!(!found, "{form} is in {name}");
            }
        }
    }
}

pub(crate) fn grant(daemon: &Daemon, user: &str, logins: Option<i64>, from: Option<&str>) -> Grant {
    let bypass = Bypass {
        user: user.to_owned(),
        seconds: 3600,
        reason: "lost phone".to_owned(),
        uses: logins,
        from: from.map(str::to_owned),
    };
    daemon.connect().call(&bypass).expect("granted").bypass
}

fn listed(daemon: &Daemon) -> Vec<Grant> {
    let mut wire = daemon.connect();
    let call = serde_json::json!({
        "method": <Bypasses as otp_proto::Method>::NAME, "parameters": {}, "more": true
    });
    assert!(wire.send(&otpd_tests::wire::frame(&call)));
    let rows = std::iter::from_fn(|| {
        let reply = wire.reply::<Bypasses>().expect("a reply").expect("a row");
        reply.bypass
    });
    rows.collect()
}

#[test]
fn a_bypass_for_two_logins_lets_exactly_two_in() {
    let phone = Phone::start();
    let place = Place::new(&phone);
    let daemon = place.start();
    for round in 0..10 {
        grant(&daemon, OTHER, Some(2), None);
        let mut wires = (0..64).map(|_| daemon.connect()).collect::<Vec<_>>();
        daemon.signal("STOP");
        for wire in &mut wires {
            assert!(wire.post(&login(OTHER, None)));
        }
        daemon.signal("CONT");
        let verdicts = wires.iter_mut().map(|wire| {
            let reply = wire.reply::<Begin>().expect("the daemon stays").expect("a step");
            assert_eq!(reply.challenge, None);
            reply.step.verdict
        });
        let verdicts = verdicts.collect::<Vec<_>>();
        let count = |verdict| verdicts.iter().filter(|found| **found == Some(verdict)).count();
        assert_eq!((count(Verdict::Granted), count(Verdict::Denied)), (2, 62), "round {round}");
        assert!(listed(&daemon).is_empty());
    }
    for said in ["NO CODE ASKED because of a bypass", "login-bypassed"] {
        daemon.wait_for_count(said, 20);
        assert_eq!(daemon.log().matches(said).count(), 20, "{said}");
    }
    assert!(phone.pending().is_none(), "no message was sent");
}

#[test]
fn a_bypass_holds_for_its_addresses_and_survives_a_crash() {
    let phone = Phone::start();
    let place = Place::new(&phone);
    let daemon = place.start();
    let wide = grant(&daemon, OTHER, None, Some("192.0.2.77/24"));
    assert_eq!(wide.from.as_deref(), Some("192.0.2.0/24"));
    grant(&daemon, OTHER, None, Some("2001:db8:1:2::/64"));
    daemon.kill();
    let daemon = place.start();
    let cases = [
        ("inside", Some("192.0.2.1 1 192.0.2.9 22 aa"), true),
        ("outside", Some("198.51.100.1 1 192.0.2.9 22 bb"), false),
        ("inside over IPv6", Some("2001:db8:1:2:ffff::9 1 ::1 22 cc"), true),
        ("outside over IPv6", Some("2001:db8:1:3::9 1 ::1 22 dd"), false),
        ("no address", None, false),
    ];
    for (name, connection, expected) in cases {
        let reply = daemon.connect().call(&login(OTHER, connection)).expect("a step");
        assert_eq!(is_granted(&reply.step), expected, "{name}");
    }
    let listed = listed(&daemon);
    let used = listed.iter().map(|bypass| bypass.used).collect::<Vec<_>>();
    assert_eq!(used, [1, 1]);
}

#[test]
fn a_revoked_bypass_lets_nobody_in() {
    let phone = Phone::start();
    let place = Place::new(&phone);
    let daemon = place.start();
    daemon.enroll(&phone, USER, NUMBER);
    let (one, two) = (grant(&daemon, USER, None, None), grant(&daemon, USER, None, None));
    assert_eq!(daemon.show(USER).bypasses, [one.clone(), two]);
    assert!(is_granted(&daemon.connect().begin(USER).step));
    let revoke = |id: Option<&str>| {
        let revoke = RevokeBypass { user: USER.to_owned(), id: id.map(str::to_owned) };
        daemon.connect().call(&revoke).expect("a number").revoked
    };
    assert_eq!([revoke(Some("ZZZZ-ZZ")), revoke(Some(&one.id))], [0, 1]);
    assert!(is_granted(&daemon.connect().begin(USER).step), "the other one");
    assert_eq!([revoke(None), revoke(None)], [1, 0]);
    assert!(daemon.connect().begin(USER).step.prompt.is_some(), "a code is asked for");
    assert!(daemon.show(USER).bypasses.is_empty());
}

#[test]
fn what_cannot_be_granted_is_refused_with_its_remedy() {
    let phone = Phone::start();
    let place = Place::new(&phone);
    let daemon = place.start();
    let good = Bypass {
        user: OTHER.to_owned(),
        seconds: 60,
        reason: "x".to_owned(),
        uses: Some(1),
        from: None,
    };
    let cases = [
        (Bypass { seconds: 59, ..good.clone() }, "1 minute to 7 days"),
        (Bypass { seconds: 604_801, ..good.clone() }, "1 minute to 7 days"),
        (Bypass { reason: "a\nb".to_owned(), ..good.clone() }, "one line"),
        (Bypass { uses: Some(0), ..good.clone() }, "1 to 100 logins"),
        (Bypass { from: Some("office".to_owned()), ..good.clone() }, "10.0.0.0/8"),
        (Bypass { from: Some("2001:db8::1".to_owned()), ..good.clone() }, "/64"),
    ];
    for (bypass, remedy) in cases {
        let refusal = daemon.connect().call(&bypass).expect_err(remedy);
        assert_eq!(refusal.error, "org.otpd.Admin.Refused", "{remedy}");
        let reason = refusal.parameters["reason"].as_str().expect("a reason");
        assert!(reason.contains(remedy), "{reason}");
    }
    for _ in 0..8 {
        daemon.connect().call(&good).expect("granted");
    }
    let refusal = daemon.connect().call(&good).expect_err("a ninth");
    let reason = refusal.parameters["reason"].as_str().expect("a reason");
    assert!(reason.contains("8 bypasses already") && reason.contains("--revoke"), "{reason}");
    let refusal = daemon.connect().call(&RecoveryCodes { user: OTHER.to_owned() });
    assert_eq!(refusal.expect_err("no number").error, "org.otpd.Admin.NotEnrolled");
}
