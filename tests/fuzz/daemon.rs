//! What the daemon reads that is no vendor's: its configuration, numbers, templates, what people type,
//! and rows of its own database.

#[path = "edit.rs"]
pub(crate) mod edit;
#[path = "../src/carrier/gsm7.rs"]
mod gsm7;

use std::{path::Path, sync::Arc, time::Duration};

use rand::{SeedableRng, rngs::StdRng};

use self::edit::{TIME, edited};
use crate::{
    config::{MessageTemplate, SMALLEST, check},
    domain::{
        account::Account,
        budget::{Budget, Traffic},
        bypass::Network,
        login::{Abandon, Answer, Begin, LoginState, Typed, holding},
        passcode::{ChallengeToken, Draw, Passcode, RequestId},
        phone::{self, Country, E164},
        policy::Requirement,
        records::{BudgetKey, Records, TrafficKey},
        recovery::RecoveryCode,
        scene::{START, Scene, account, console, ssh},
        time::Timestamp,
    },
};

const SHIPPED: &[u8] = include_bytes!("../../packaging/conf/otpd.toml");

/// Every table, with a key that nobody may read in an error.
const FULL: &[u8] = br#"[server]
socket = "/run/otpd/otpd.sock"
admin-group = "otpd-admin"
[store]
url = "sqlite:/var/lib/otpd/otpd.db"
[policy]
unenrolled = "deny"
exempt-users = ["root"]
[code]
digits = 6
life-seconds = 300
tries = 3
resends = 2
[message]
text = "{code} is your {service} code for {host}, ref {ref}."
host = "web1"
[limits]
unanswered-per-hour = 5
conversion = "block"
shared-sources = ["10.0.0.0/8", "2001:db8::/64"]
[delivery]
countries = ["US", "AT"]
sms = ["site"]
accept-timeout-seconds = 4
[gateway.site]
kind = "http"
url = "https://sms.example.com/send"
headers = { Content-Type = "application/json", Authorization = "Bearer CANARY7f3a9c" }
body = '{"to":"{to}","text":"{text}"}'
[http]
listen = "127.0.0.1:8080"
public-url = "https://otp.example.com"
trusted-proxies = ["127.0.0.1"]
[log]
level = "info"
audit-days = 400
"#;

/// A whole file: never a panic, never a key in an error, and what is accepted is within its ranges.
#[test]
fn configuration() {
    let seeds = [SMALLEST.as_bytes(), FULL, SHIPPED];
    bolero::check!(name = "configuration").with_test_time(TIME).for_each(|input: &[u8]| {
        let input = &*edit::run("configuration", input);
        let file = edited(&seeds, input);
        let Ok(text) = str::from_utf8(&file) else { return };
        match check(Path::new("/etc/otpd/otpd.toml"), text, None, "web1") {
            Ok(config) => {
                let rules = config.code;
                assert!((6..=8).contains(&rules.digits) && (1..=5).contains(&rules.tries));
                assert!((60..=600).contains(&rules.life.as_secs()));
                assert!(!config.delivery.countries.is_empty());
                let message = &config.message;
                let text = message.template.render("48291312", "W9", &message.host, "sshd");
                assert_eq!(gsm7::parts(&text), 1, "{}", &*text);
                assert!(!format!("{config:?}").contains("CANARY7f3a9c"));
            }
            Err(errors) => {
                assert!(errors.iter().count() > 0);
                for error in &errors {
                    let said = error.to_string();
                    assert!(!said.contains("CANARY7f3a9c"), "{said}");
                }
            }
        }
    });
    edit::report("configuration");
}

const NUMBERS: [&[u8]; 8] = [
    b"+1 (312) 555-0142",
    b"+43 664 1234567",
    b"0664 1234567",
    b"(312) 555-0142",
    b"0043 664 1234567",
    b"+44 7400 123456",
    b"+1-900-555-0100",
    b"+883510001234567",
];

/// What is accepted is E.164, reads as itself, and is shown by its last two digits only.
#[test]
fn numbers() {
    bolero::check!(name = "numbers").with_test_time(TIME).for_each(|input: &[u8]| {
        let input = &*edit::run("numbers", input);
        let bytes = edited(&NUMBERS, input);
        let text = String::from_utf8_lossy(&bytes);
        let countries = [None, Some("US"), Some("AT"), Some("ZZ")];
        let country = countries.get(input.len() % 4).copied().flatten();
        let country = country.and_then(|code| code.parse::<Country>().ok());
        match phone::parse(&text, country) {
            Ok(found) => {
                let number = found.number.expose();
                let digits = number.strip_prefix('+').expect("a plus");
                assert!((7..=15).contains(&digits.len()), "{}", digits.len());
                assert!(digits.bytes().all(|byte| byte.is_ascii_digit()));
                assert!(!digits.starts_with('0'));
                let again = phone::parse(number, None).expect("it reads as itself");
                assert_eq!(again, found);
                let masked = found.number.masked();
                let shown: String = masked.chars().filter(char::is_ascii_digit).collect();
                assert!(shown.len() <= 5 && shown.ends_with(found.number.ending()), "{masked}");
                assert_eq!(format!("{:?}", found.number), format!("+…{}", found.number.ending()));
            }
            Err(error) => {
                let said = error.to_string();
                assert!(!said.contains("555") && !said.contains("1234567"), "{said}");
            }
        }
        if let Ok(number) = text.parse::<E164>() {
            assert_eq!(number.expose(), text);
        }
    });
    edit::report("numbers");
}

const TEMPLATES: [&[u8]; 5] = [
    b"{code} is your {service} code for {host}, ref {ref}. Never share it. Not you? Tell IT.",
    b"{ref}{code}",
    b"{code} {ref} {{host}",
    "{code} {ref} €[]~\\^|".as_bytes(),
    b"{code}{ref}{service}{host}{code}{ref}{service}{host}",
];

/// What is accepted fits one message, whatever the host and the service are called.
#[test]
fn messages() {
    bolero::check!(name = "messages").with_test_time(TIME).for_each(|input: &[u8]| {
        let input = &*edit::run("messages", input);
        let bytes = edited(&TEMPLATES, input);
        let text = String::from_utf8_lossy(&bytes);
        let cut = text.floor_char_boundary(usize::from(input.first().copied().unwrap_or(9)));
        let (service, host) = text.split_at(cut);
        // A host's name is checked before the template is.
        let host: String = host
            .chars()
            .take(64)
            .filter(|c| {
                gsm7::parts(&c.to_string()) == 1 && gsm7::parts(&c.to_string().repeat(71)) == 1
            })
            .collect();
        let Ok(template) = MessageTemplate::parse(&text, &host) else { return };
        for service in ["sshd", service, "a service with a long name", "{code}"] {
            let message = template.render("48291312", "W9", &host, service);
            assert_eq!(gsm7::parts(&message), 1, "{}", &*message);
            assert!(message.contains("48291312") && message.contains("W9"));
        }
    });
    edit::report("messages");
}

const TYPED: [&[u8]; 10] = [
    b"482913",
    b"482 913",
    b"4829-1312",
    b"7K3F-Q2AB-0000-1111-2222-3333",
    b"7K3F-Q2",
    b"00112233445566778899aabbccddeeff",
    b"10.0.0.0/8",
    b"2001:db8:1:2::/64",
    b"::ffff:10.0.0.1",
    b"alice@corp",
];

/// Codes, recovery codes, names of logins, addresses, accounts: what is accepted reads as itself.
#[test]
fn typed() {
    bolero::check!(name = "typed").with_test_time(TIME).for_each(|input: &[u8]| {
        let input = &*edit::run("typed", input);
        let bytes = edited(&TYPED, input);
        let text = String::from_utf8_lossy(&bytes);
        assert_eq!(format!("{:?}", Typed::new(&text)), "Typed(..)");
        for digits in [6, 7, 8] {
            let Some(code) = Passcode::typed(&text, digits) else { continue };
            assert_eq!(code.expose().len(), usize::from(digits));
            assert!(code.expose().bytes().all(|byte| byte.is_ascii_digit()));
            let again = Passcode::typed(code.expose(), digits).expect("a code");
            assert_eq!(again.expose(), code.expose());
        }
        if let Some(code) = RecoveryCode::typed(&text) {
            let grouped = code.grouped();
            let again = RecoveryCode::typed(&grouped).expect("a recovery code");
            assert_eq!(*again.grouped(), *grouped);
            assert!((6..=8).all(|digits| Passcode::typed(&text, digits).is_none()), "one of them");
        }
        if let Ok(request) = text.parse::<RequestId>() {
            assert_eq!(request.to_string().parse(), Ok(request));
        }
        if let Some(token) = ChallengeToken::from_wire(&text) {
            assert_eq!(token.to_wire(), text.to_ascii_lowercase());
        }
        if let Ok(network) = Network::parse(&text) {
            assert_eq!(Network::parse(&network.to_string()), Ok(network));
        }
        if let Ok(account) = Account::new(&text) {
            assert_eq!(account.as_str(), text);
            assert!((1..=256).contains(&text.len()) && !text.contains(['/', '\0', '\n']));
        }
        if let Ok(country) = text.parse::<Country>() {
            assert_eq!(country.as_str().parse(), Ok(country));
        }
    });
    edit::report("typed");
}

/// Rows as they are stored.
fn rows() -> Vec<Vec<u8>> {
    let mut scene = Scene::new();
    let token = scene.start(ssh(1));
    let wrong = scene.wrong(token);
    scene.asked(token, &wrong);
    scene.right(token);
    let used = scene.login("alice");
    scene.wait(31);
    let token = scene.start(ssh(2).from(8));
    scene.wait(31);
    scene.asked(token, "r");
    scene.start(console());
    let busy = scene.login("alice");
    let budgets = scene.budgets.values().map(minicbor::to_vec);
    let traffic = scene.traffic.values().map(minicbor::to_vec);
    let logins = [used, busy, LoginState::default()];
    let logins = logins.iter().map(minicbor::to_vec);
    logins.chain(budgets).chain(traffic).map(|row| row.expect("bytes")).collect()
}

/// What is decided on a damaged row is decided without a panic, is a denial or a question, and can
/// be stored.
fn decide(records: &Records, terms: &crate::domain::login::Terms, now: Timestamp) {
    let alice = account("alice");
    let draw = || Draw::new(&mut StdRng::seed_from_u64(7), 6);
    let terms = Arc::new(terms.clone());
    let decision = Begin {
        terms: Arc::clone(&terms),
        account: alice,
        requirement: Requirement::Code,
        service: "sshd".to_owned(),
        attempt: ssh(1).attempt,
        source: ssh(1).source,
        by_itself: true,
        full: false,
        draw: draw(),
    };
    let begun = decision.decide(records, now);
    let stored = minicbor::to_vec(&begun.records.login).expect("a stored form");
    assert_eq!(minicbor::decode::<LoginState>(&stored).expect("a row"), begun.records.login);
    let _ = holding(records, &terms, now);
    for challenge in records.login.challenges.iter().take(4) {
        for typed in ["000000", "00000000", "r", "v", "?", "0000-0000-0000-0000-0000-0000"] {
            let (token, typed) = (challenge.token, Typed::new(typed));
            let answer =
                Answer { terms: Arc::clone(&terms), token, typed, full: false, draw: draw() };
            let answered = answer.decide(records, now);
            minicbor::to_vec(&answered.records.login).expect("a stored form");
        }
        let abandoned = Abandon { token: challenge.token }.decide(records, now);
        minicbor::to_vec(&abandoned.records.login).expect("a stored form");
    }
}

#[test]
fn stored() {
    let seeds = rows();
    let seeds: Vec<&[u8]> = seeds.iter().map(Vec::as_slice).collect();
    let scene = Scene::new();
    let enrollment = scene.enrollments.get(&account("alice")).expect("enrolled").clone();
    let number = BudgetKey::Number(enrollment.index);
    bolero::check!(name = "stored").with_test_time(TIME).for_each(|input: &[u8]| {
        let input = &*edit::run("stored", input);
        let row = edited(&seeds, input);
        let login = minicbor::decode::<LoginState>(&row);
        let budget = minicbor::decode::<Budget>(&row);
        let traffic = minicbor::decode::<Traffic>(&row);
        if let Ok(login) = &login {
            let again = minicbor::to_vec(login).expect("a stored form");
            assert_eq!(&minicbor::decode::<LoginState>(&again).expect("a row"), login);
        }
        if login.is_err() && budget.is_err() && traffic.is_err() {
            return;
        }
        let traffic = traffic.unwrap_or_default();
        let records = Records {
            account: Some(account("alice")),
            enrollment: Some(enrollment.clone()),
            login: login.unwrap_or_default(),
            budgets: [(number, budget.unwrap_or_default())].into(),
            traffic: TrafficKey::of(&enrollment).map(|key| (key, traffic.clone())).into(),
            enrolled: 2,
        };
        let times = [START, Timestamp(0), Timestamp(i64::MAX), Timestamp(i64::MIN)];
        for now in times.into_iter().chain([START.after(Duration::from_secs(40))]) {
            decide(&records, &scene.terms, now);
        }
    });
    edit::report("stored");
}
