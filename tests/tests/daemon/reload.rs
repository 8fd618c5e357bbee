//! The configuration is read again while people log in.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use otpd_tests::{
    daemon::Place,
    phone::{Phone, Vendor},
    wire::{is_granted, login},
};

use super::people::PEOPLE;

/// The settings with a table's key set before all others.
fn with(settings: &str, table: &str, key: &str) -> String {
    format!("[{table}]\n{key}\n\n{settings}")
}

#[test]
fn a_login_ends_under_the_rules_that_it_began_with() {
    let phone = Phone::start();
    let place = Place::new(&phone);
    let daemon = place.start();
    let (user, number) = PEOPLE[0];
    daemon.enroll(&phone, user, number);
    // One that waits for its code, and one whose message is still on its way.
    let mut wire = daemon.connect();
    let waiting = wire.prompt(&login(user, None));
    let code = phone.next().code();
    phone.set(Vendor::Stalls);
    let mut other = daemon.connect();
    assert!(other.post(&login(user, None)));
    let under_way = phone.next().code();

    place.configure(&with(&place.settings(&phone), "code", "digits = 8"));
    daemon.signal("HUP");
    daemon.wait_for("the configuration was read again");
    phone.set(Vendor::Accepts);
    let reply = other.reply::<otp_proto::login::Begin>().expect("a reply").expect("a step");
    let challenge = reply.challenge.expect("a challenge");
    assert!(is_granted(&wire.answer(&waiting.challenge, &code)));
    assert!(is_granted(&other.answer(&challenge, &under_way)));
    let later = wire.prompt(&login(user, None));
    let code = phone.next().code();
    assert_eq!((waiting.challenge == later.challenge, code.len()), (false, 8));
    assert!(is_granted(&wire.answer(&later.challenge, &code)));
}

#[test]
fn nobody_who_logs_in_meanwhile_is_kept_out() {
    const LOGINS: usize = 12;
    let phone = Phone::start();
    let place = Place::new(&phone);
    let daemon = place.start();
    for (user, number) in PEOPLE {
        daemon.enroll(&phone, user, number);
    }
    let right = place.settings(&phone);
    let configurations =
        [with(&right, "code", "digits = 8"), "this is no TOML".to_owned(), right.clone()];
    let (codes, done) = (Mutex::new(BTreeMap::new()), AtomicUsize::new(0));
    thread::scope(|scope| {
        for (user, number) in PEOPLE {
            let (daemon, phone, codes, done) = (&daemon, &phone, &codes, &done);
            scope.spawn(move || {
                for _ in 0..LOGINS {
                    let mut wire = daemon.connect();
                    let prompted = wire.prompt(&login(user, None));
                    let code = {
                        let mut codes = codes.lock().expect("no other thread failed");
                        while let Some(text) = phone.pending() {
                            codes.insert(text.to.clone(), text.code());
                        }
                        codes.remove(number).expect("the vendor took it before the prompt")
                    };
                    let step = wire.answer(&prompted.challenge, &code);
                    assert!(is_granted(&step), "{user}: {step:?}");
                    done.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        for configuration in configurations.iter().cycle() {
            if done.load(Ordering::SeqCst) == PEOPLE.len() * LOGINS {
                break;
            }
            place.configure(configuration);
            daemon.signal("HUP");
            thread::yield_now();
        }
    });
    let log = daemon.log();
    assert!(log.contains("the configuration was read again"), "{log}");
    assert!(log.contains("the one before stays"), "{log}");
}
