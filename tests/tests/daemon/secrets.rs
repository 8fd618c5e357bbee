//! Codes and numbers stay out of files and of the log, even of a talkative one.

use std::fs;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use otp_proto::{admin::Channel, login::Answer};
use otpd_tests::{
    carrier::{
        Carrier, Vendor,
        settings::Settings,
        told::{Habits, On, Order, Told, What},
    },
    daemon::{Daemon, Place},
    phone::{self, Phone},
    wire::{frame, is_granted, login, typed, wrong},
};
use serde_json::json;

use super::{
    people::{PEOPLE, outcome},
    vendors::{delivery, gateway},
    web::Web,
};

#[test]
fn neither_files_nor_log_hold_codes_or_numbers() {
    let phone = Phone::start();
    let place = Place::new(&phone);
    let debug = place.settings(&phone).replace("[log]", "[log]\nlevel = \"debug\"");
    place.configure(&debug);
    let daemon = place.start();
    let [(user, number), ..] = PEOPLE;
    daemon.enroll(&phone, user, number);
    let mut wire = daemon.connect();
    let prompted = wire.prompt(&login(user, None));
    let mut secrets = vec![phone.next().code()];
    secrets.push(wrong(&secrets[0], 0));
    // A frame that carries a code and is no call, and one that is cut off.
    let broken = json!({ "method": "org.otpd.Login.Answer", "code": secrets[0] });
    assert!(wire.send(&frame(&broken)));
    assert!(wire.receive().expect("an error").get("error").is_some());
    let answer = typed(&prompted.challenge, &secrets[0]);
    let mut cut = frame(&json!({ "method": "org.otpd.Login.Answer", "parameters": answer }));
    cut.truncate(cut.len() - 3);
    assert!(daemon.connect().send(&cut));
    let step = wire.answer(&prompted.challenge, &secrets[1]);
    assert!(step.prompt.is_some(), "wrong");
    assert!(is_granted(&wire.answer(&prompted.challenge, &secrets[0])));
    // A code that is on its way when the daemon dies.
    phone.set(phone::Vendor::Stalls);
    wire.post(&login(user, None));
    secrets.push(phone.next().code());
    wire.post(&typed(&prompted.challenge, &secrets[2]));
    assert!(wire.reply::<otp_proto::login::Begin>().is_some_and(|reply| reply.is_ok()));
    assert!(wire.reply::<Answer>().is_some_and(|reply| reply.is_ok()));
    let log = daemon.log();
    daemon.kill();

    let digits = number.trim_start_matches('+');
    secrets.extend([digits.to_owned(), digits[1..].to_owned(), prompted.challenge]);
    assert!(
        log.contains("audit") && log.contains("DEBUG"),
        "there is something to look at:\n{log}"
    );
    for secret in &secrets {
        assert!(!log.contains(secret.as_str()), "{secret} is in the log:\n{log}");
    }
    let (token, stored) = secrets.split_last().expect("secrets");
    for name in ["otpd.db", "otpd.db-wal"] {
        let bytes = fs::read(place.file(name)).expect("a file of the database");
        let has = |text: &str| bytes.windows(text.len()).any(|part| part == text.as_bytes());
        assert!(name != "otpd.db-wal" || has(user), "there is something to look at");
        for secret in stored {
            assert!(!has(secret), "{secret} is in {name}");
        }
        assert!(!has(token), "the challenge's name, as it goes over the wire, is in {name}");
    }
}

/// What the accounts with the vendors have that nobody else may see.
const KEYS: [&str; 6] = [
    "canary-of-flowroute-1f7a",
    "KEY0CANARYofTelnyx7d2c",
    "canary-of-plivo-9b3e",
    "PTcanaryofSignalWire5a1d",
    "PSK_canaryofSignalWire8c4f",
    "canary-of-twilio-2e6b",
];

fn accounts(web: &Web) -> Settings {
    let mut accounts = Settings::default();
    let keys = [
        &mut accounts.flowroute.secret_key,
        &mut accounts.telnyx.api_key,
        &mut accounts.plivo.auth_token,
        &mut accounts.signalwire.api_token,
        &mut accounts.signalwire.signing_key,
        &mut accounts.twilio.auth_token,
    ];
    for (key, canary) in keys.into_iter().zip(KEYS) {
        canary.clone_into(key);
    }
    accounts.twilio.inbound = Some(web.receipts(Vendor::Twilio));
    accounts
}

/// Five vendors' gateways, calls, and a talkative log.
fn talkative(place: &Place, web: &Web, carrier: &Carrier, accounts: &Settings) -> Daemon {
    let table = |vendor| {
        let table = gateway(place, accounts, vendor, &carrier.url(vendor));
        let key = carrier.public_key();
        let more = (vendor == Vendor::Telnyx).then(|| format!("webhook-public-key = \"{key}\"\n"));
        table + &more.unwrap_or_default()
    };
    let basics = place.basics().replace("[log]", "[log]\nlevel = \"debug\"");
    let route = delivery(&Vendor::ALL, &[Vendor::Twilio]);
    place.configure(&(basics + &web.settings() + &route + &Vendor::ALL.map(table).concat()));
    place.start()
}

/// The code that a call said, digit by digit.
fn spoken(text: &str) -> String {
    let digits = text.split(" is: ").nth(1).expect("a code").chars();
    digits
        .take_while(|c| " .".contains(*c) || c.is_ascii_digit())
        .filter(|c| c.is_ascii_digit())
        .collect()
}

/// The code in what a vendor was sent.
fn code_in(body: &str) -> String {
    let body: serde_json::Value = serde_json::from_str(body).expect("JSON");
    let text = body["text"].as_str().expect("a text");
    text.split(' ').next().expect("a code").to_owned()
}

#[test]
fn no_vendor_is_told_of_and_none_makes_the_daemon_tell() {
    let web = Web::new();
    let accounts = accounts(&web);
    let (place, carrier) = (Place::empty(), Carrier::start(accounts.clone()));
    let daemon = talkative(&place, &web, &carrier, &accounts);
    let [(user, number), ..] = PEOPLE;
    let (mut codes, mut said) = (Vec::new(), Vec::new());
    daemon.prove(user, number, Channel::Sms, || {
        codes.push(carrier.next(number).code());
        codes[0].clone()
    });
    let mut wire = daemon.connect();

    // All of them refuse, and say again all that they were sent.
    for vendor in Vendor::ALL {
        let what = What::Echo { status: 400 };
        carrier.order(Told::once(vendor, Order { on: On::Send, takes: None, what }));
    }
    let begun = wire.begin(user);
    said.push(format!("{:?}", begun.step));
    assert!(said[0].contains("could not be sent"), "{said:?}");
    let asked = carrier.requests(Vendor::Telnyx);
    codes.push(code_in(&asked.last().expect("a request").body));
    let failed = ["log", "--json", "--user", user];
    let echoed = outcome(place.otpctl(&failed)).1;
    assert!(echoed.contains("[key]") && echoed.contains("[code]"), "there is an echo: {echoed}");

    // Each of them brings a code once, for those before it refuse; it comes back in their reports.
    for (nth, vendor) in Vendor::ALL.into_iter().enumerate() {
        for earlier in &Vendor::ALL[..nth] {
            let what = What::TooMany { retry_after: None };
            carrier.order(Told::once(*earlier, Order { on: On::Send, takes: None, what }));
        }
        let challenge = wire.prompt(&login(user, None)).challenge;
        let heard = carrier.next(number);
        assert_eq!(heard.vendor, vendor);
        let typed = wrong(&heard.code(), 0);
        said.push(format!("{:?}", wire.answer(&challenge, &typed)));
        assert!(is_granted(&wire.answer(&challenge, &heard.code())), "{vendor:?}");
        codes.extend([heard.code(), typed]);
    }
    // A call, whose words are fetched where only the vendor is told to.
    let (caller, called) = PEOPLE[1];
    carrier.habits(called, Habits { presses: Some("1".to_owned()), ..Habits::default() });
    daemon.prove(caller, called, Channel::Voice, || {
        codes.push(spoken(&carrier.next(called).text));
        codes.last().expect("a code").clone()
    });
    let challenge = wire.prompt(&login(caller, None)).challenge;
    codes.push(spoken(&carrier.next(called).text));
    assert!(is_granted(&wire.answer(&challenge, codes.last().expect("a code"))));
    let ordered = carrier.requests(Vendor::Twilio);
    let tokens = ordered.iter().filter_map(|asked| asked.body.split("%2Fanswer%2F").nth(1));
    let tokens: Vec<_> = tokens.map(|rest| rest.split('&').next().expect("a token")).collect();
    assert!(tokens.len() == 2 && tokens.iter().all(|token| token.len() >= 22), "{tokens:?}");
    // A frame that is no call, and one that is cut off.
    let broken = json!({ "method": "org.otpd.Login.Answer", "code": codes[0], "key": KEYS[1] });
    assert!(wire.send(&frame(&broken)));
    said.push(format!("{:?}", wire.receive()));
    let mut cut = frame(&broken);
    cut.truncate(cut.len() - 3);
    assert!(daemon.connect().send(&cut));
    daemon.wait_for("DEBUG");
    let forged = format!("From={}&Body={}&Key={}", &number[1..], codes[0], KEYS[5]);
    for path in ["/receipts/twilio", "/receipts/gone", "/answer/gone"] {
        let answer = web.post(path, &forged);
        assert_eq!(answer.status, 404, "{path}");
        said.push(answer.head + &answer.body);
    }
    for path in ["/metrics", "/readyz", "/healthz"] {
        let answer = web.admin(path);
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        said.push(answer.head + &answer.body);
    }
    let runs: [&[&str]; 7] = [
        &["log", "--json"],
        &["show", user, "--json"],
        &["status", "--json"],
        &["list", "--json"],
        &["enroll", user, number],
        &["verify", user, &codes[0]],
        &["test-message", number, "--json"],
    ];
    for arguments in runs {
        let (_, stdout, stderr) = outcome(place.otpctl(arguments));
        assert!(!stdout.is_empty() || !stderr.is_empty(), "{arguments:?}");
        said.extend([stdout, stderr]);
    }
    let log = daemon.log();
    daemon.kill();

    let mut secrets = codes;
    let digits = number.trim_start_matches('+');
    secrets.extend([digits, &digits[1..], &called[2..]].map(str::to_owned));
    secrets.extend(tokens.into_iter().map(str::to_owned));
    secrets.extend(KEYS.map(str::to_owned));
    let Settings { flowroute, plivo, signalwire, twilio, .. } = &accounts;
    let pairs = [
        (&flowroute.access_key, &flowroute.secret_key),
        (&plivo.auth_id, &plivo.auth_token),
        (&signalwire.project_id, &signalwire.api_token),
        (&twilio.account_sid, &twilio.auth_token),
    ];
    secrets.extend(pairs.map(|(id, key)| STANDARD.encode(format!("{id}:{key}"))));
    // A time may have the digits of a code.
    let timeless = |line: &str| line.split_once("Z ").expect("a time").1.to_owned();
    said.push(log.lines().map(timeless).collect::<Vec<_>>().join("\n"));
    for said in said {
        let told = secrets.iter().find(|secret| said.contains(secret.as_str()));
        assert_eq!(told, None, "in {said}");
    }
    for name in ["otpd.db", "otpd.db-wal"] {
        let bytes = fs::read(place.file(name)).expect("a file of the database");
        let has = |text: &str| bytes.windows(text.len()).any(|part| part == text.as_bytes());
        assert!(name != "otpd.db-wal" || has(caller), "there is something to look at");
        assert_eq!(secrets.iter().find(|secret| has(secret)), None, "in {name}");
    }
}
