//! Keys of five vendors, codes and numbers that turn up nowhere, whatever the vendors do with them.

use std::fs;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use otp_proto::admin::Channel;
use otpd_tests::{
    carrier::{
        Carrier, Vendor,
        settings::Settings,
        told::{Habits, On, Order, Told, What},
    },
    daemon::{Daemon, LONG_CODES, Place},
    wire::{frame, is_granted, login, wrong},
};
use serde_json::{Value, json};

use super::{
    people::{PEOPLE, outcome},
    vendors::{delivery, gateway},
    web::Web,
};

const USER: &str = PEOPLE[0].0;
const NUMBER: &str = PEOPLE[0].1;
/// Somebody whose codes come by call.
const LISTENER: &str = PEOPLE[1].0;
const LISTENERS_NUMBER: &str = PEOPLE[1].1;

/// What the accounts with the vendors have that nobody else may see.
const KEYS: [&str; 6] = [
    "canary-of-flowroute-1f7a",
    "KEY0CANARYofTelnyx7d2c",
    "canary-of-plivo-9b3e",
    "PTcanaryofSignalWire5a1d",
    "PSK_canaryofSignalWire8c4f",
    "canary-of-twilio-2e6b",
];

/// The daemon's master key, whose 32 bytes are a text here.
const MASTER: &str = "canary-master-key-of-this-one-5d";

/// A daemon with all vendors, what nobody may be told, and what it told.
struct Scene {
    place: Place,
    web: Web,
    carrier: Carrier,
    daemon: Daemon,
    secrets: Vec<String>,
    /// The newest code; it is a secret too.
    code: String,
    said: Vec<String>,
}

impl Scene {
    /// Five gateways, calls, and a talkative log.
    fn new() -> Self {
        let (place, web) = (Place::empty(), Web::new());
        let accounts = accounts();
        let carrier = Carrier::start(accounts.clone());
        let table = |vendor| {
            let table = gateway(&place, &accounts, vendor, &carrier.url(vendor));
            let key = carrier.public_key();
            let more =
                (vendor == Vendor::Telnyx).then(|| format!("webhook-public-key = \"{key}\"\n"));
            table + &more.unwrap_or_default()
        };
        let basics = place.basics().replace("[log]", "[log]\nlevel = \"debug\"");
        let route = delivery(&Vendor::ALL, &[Vendor::Twilio]);
        let tables = Vendor::ALL.map(table).concat();
        place.configure(&(basics + &web.settings() + &route + &tables + LONG_CODES));
        place.keep("otpd.key", MASTER);
        let daemon = place.start();
        let mut secrets: Vec<_> = KEYS.map(str::to_owned).into();
        secrets.extend(forms(MASTER));
        let numbers = [NUMBER, LISTENERS_NUMBER].map(|number| number[2..].to_owned());
        secrets.extend(numbers);
        secrets.extend(pairs(&accounts));
        Self { place, web, carrier, daemon, secrets, code: String::new(), said: Vec::new() }
    }

    /// Enrolls somebody by the code that `hear` finds.
    fn prove(&mut self, user: &str, number: &str, by: Channel, hear: fn(&Carrier) -> String) {
        let mut code = String::new();
        self.daemon.prove(user, number, by, || {
            code = hear(&self.carrier);
            code.clone()
        });
        self.note(code);
    }

    fn note(&mut self, code: String) -> String {
        self.secrets.push(code.clone());
        self.code.clone_from(&code);
        code
    }

    /// Has a vendor do this with the next message.
    fn order(&self, vendor: Vendor, what: What) {
        self.carrier.order(Told::once(vendor, Order { on: On::Send, takes: None, what }));
    }

    fn otpctl(&mut self, arguments: &[&str]) -> String {
        let (_, stdout, stderr) = outcome(self.place.otpctl(arguments));
        let said = stdout + &stderr;
        assert!(!said.is_empty(), "{arguments:?}");
        self.said.push(said.clone());
        said
    }

    /// All of them refuse, and say again all that they were sent.
    fn all_echo(&mut self) {
        for vendor in Vendor::ALL {
            self.order(vendor, What::Echo { status: 400 });
        }
        let begun = self.daemon.connect().begin(USER);
        let step = format!("{:?}", begun.step);
        assert!(step.contains("could not be sent"), "{step}");
        self.said.push(step);
        let asked = self.carrier.requests(Vendor::Telnyx);
        let body = &asked.last().expect("a request").body;
        let body: Value = serde_json::from_str(body).expect("JSON");
        let text = body["text"].as_str().expect("a text");
        self.note(text.split(' ').next().expect("a code").to_owned());
        let log = self.otpctl(&["log", "--json", "--user", USER]);
        let echoes = log.lines().filter(|line| line.contains("[key]") && line.contains("[code]"));
        assert_eq!(echoes.count(), Vendor::ALL.len(), "there is an echo of each: {log}");
    }

    /// Each brings a code, for those before it have no time; it comes back in their reports.
    fn each_brings_a_code(&mut self) {
        for (nth, vendor) in Vendor::ALL.into_iter().enumerate() {
            for earlier in Vendor::ALL.into_iter().take(nth) {
                self.order(earlier, What::TooMany { retry_after: None });
            }
            let mut wire = self.daemon.connect();
            let challenge = wire.prompt(&login(USER, None)).challenge;
            let code = self.note(read(&self.carrier));
            let typed = self.note(wrong(&code, 0));
            self.said.push(format!("{:?}", wire.answer(&challenge, &typed)));
            assert!(is_granted(&wire.answer(&challenge, &code)), "{vendor:?}");
            assert_eq!(self.carrier.callbacks(vendor, 1)[0].answer, Some(200), "{vendor:?}");
        }
    }

    /// Calls, whose words are fetched where only the vendor is told to.
    fn calls(&mut self) {
        let habits = Habits { presses: Some("1".to_owned()), ..Habits::default() };
        self.carrier.habits(LISTENERS_NUMBER, habits);
        self.prove(LISTENER, LISTENERS_NUMBER, Channel::Voice, heard);
        let mut wire = self.daemon.connect();
        let challenge = wire.prompt(&login(LISTENER, None)).challenge;
        let code = self.note(heard(&self.carrier));
        assert!(is_granted(&wire.answer(&challenge, &code)));
        let ordered = self.carrier.requests(Vendor::Twilio);
        let tokens = ordered.iter().filter_map(|asked| asked.body.split("%2Fanswer%2F").nth(1));
        let tokens: Vec<_> =
            tokens.map(|rest| rest.split('&').next().expect("a token").to_owned()).collect();
        assert!(tokens.len() == 2 && tokens.iter().all(|token| token.len() == 32), "{tokens:?}");
        self.secrets.extend(tokens);
    }

    /// What nobody should send, by either way in.
    fn nonsense(&mut self) {
        let code = self.code.clone();
        let broken = json!({ "method": "org.otpd.Login.Answer", "code": code, "key": KEYS[1] });
        let mut wire = self.daemon.connect();
        assert!(wire.send(&frame(&broken)));
        self.said.push(format!("{:?}", wire.receive()));
        let mut cut = frame(&broken);
        cut.truncate(cut.len() - 3);
        assert!(self.daemon.connect().send(&cut));
        self.daemon.wait_for("DEBUG");
        let forged = format!("From={NUMBER}&Body={code}&Key={}", KEYS[5]);
        for path in ["/receipts/twilio", "/receipts/gone", "/answer/gone"] {
            let answer = self.web.post(path, &forged);
            assert_eq!(answer.status, 404, "{path}");
            self.said.push(answer.head + &answer.body);
        }
    }

    /// Everything that an administrator can read.
    fn read_all(&mut self) {
        for path in ["/metrics", "/readyz", "/healthz"] {
            let answer = self.web.admin(path);
            assert_eq!(answer.status, 200, "{path}: {}", answer.body);
            self.said.push(answer.head + &answer.body);
        }
        let code = self.code.clone();
        let runs: [&[&str]; 7] = [
            &["log", "--json"],
            &["show", USER, "--json"],
            &["status", "--json"],
            &["list", "--json"],
            &["enroll", USER, NUMBER],
            &["verify", USER, &code],
            &["test-message", NUMBER, "--json"],
        ];
        for arguments in runs {
            self.otpctl(arguments);
        }
        // A time may have the digits of a code.
        let timeless = |line: &str| line.split_once("Z ").expect("a time").1.to_owned();
        self.said.extend(self.daemon.log().lines().map(timeless));
    }
}

/// The code of the next message.
fn read(carrier: &Carrier) -> String {
    carrier.next(NUMBER).code()
}

/// The code of the next call.
fn heard(carrier: &Carrier) -> String {
    let text = carrier.next(LISTENERS_NUMBER).text;
    let words = text.split(" is: ").nth(1).expect("a code").chars();
    words
        .take_while(|c| " .".contains(*c) || c.is_ascii_digit())
        .filter(char::is_ascii_digit)
        .collect()
}

/// Accounts with the keys above.
fn accounts() -> Settings {
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
    accounts
}

/// The keys as they travel, with their accounts' names.
fn pairs(accounts: &Settings) -> [String; 4] {
    let Settings { flowroute, plivo, signalwire, twilio, .. } = accounts;
    let pairs = [
        (&flowroute.access_key, &flowroute.secret_key),
        (&plivo.auth_id, &plivo.auth_token),
        (&signalwire.project_id, &signalwire.api_token),
        (&twilio.account_sid, &twilio.auth_token),
    ];
    pairs.map(|(id, key)| STANDARD.encode(format!("{id}:{key}")))
}

/// A key as it is, and as programs print bytes.
fn forms(key: &str) -> [String; 5] {
    let bytes = key.as_bytes();
    let hex = format!("{bytes:02x?}").replace(['[', ']', ',', ' '], "");
    let upper = hex.to_uppercase();
    let list = format!("{bytes:?}").replace(['[', ']'], "");
    // Without its end, which may be written otherwise.
    let base64 = STANDARD.encode(bytes).trim_end_matches('=').to_owned();
    [key.to_owned(), hex, upper, list, base64]
}

#[test]
fn whatever_five_vendors_do_the_daemon_tells_nothing() {
    let mut scene = Scene::new();
    scene.prove(USER, NUMBER, Channel::Sms, read);
    scene.all_echo();
    scene.each_brings_a_code();
    scene.calls();
    scene.nonsense();
    scene.read_all();
    let Scene { place, daemon, secrets, said, .. } = scene;
    daemon.kill();
    for said in said {
        let told = secrets.iter().find(|secret| said.contains(secret.as_str()));
        assert_eq!(told, None, "in {said}");
    }
    for name in ["otpd.db", "otpd.db-wal"] {
        let bytes = fs::read(place.file(name)).expect("a file of the database");
        let has = |text: &str| bytes.windows(text.len()).any(|part| part == text.as_bytes());
        assert!(name != "otpd.db-wal" || has(LISTENER), "there is something to look at");
        assert_eq!(secrets.iter().find(|secret| has(secret)), None, "in {name}");
    }
}
