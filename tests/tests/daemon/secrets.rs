//! Codes and numbers stay out of files and of the log, even of a talkative one.

use std::fs;

use otp_proto::login::Answer;
use otpd_tests::{
    daemon::{LONG_CODES, Place, hasty},
    phone::{Phone, Vendor},
    wire::{frame, is_granted, login, typed, wrong},
};
use serde_json::json;

use super::people::PEOPLE;

#[test]
fn neither_files_nor_log_hold_codes_or_numbers() {
    let phone = Phone::start();
    let place = Place::new(&phone);
    let debug = place.settings(&phone).replace("[log]", "[log]\nlevel = \"debug\"");
    place.configure(&(hasty(&debug) + LONG_CODES));
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
    phone.set(Vendor::Stalls);
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
