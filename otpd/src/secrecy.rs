//! Nothing secret is in what `Debug` shows: of each type that holds a secret, and by the sources of
//! all crates for those that are written tomorrow.

use std::{fmt::Debug, fs, path::Path};

use rand::{SeedableRng, rngs::StdRng};
use zeroize::Zeroizing;

use crate::{
    domain::{
        challenge::{Challenge, Channel, CodeRules, Instance, Issuer, Question},
        login::Typed,
        passcode::{ChallengeToken, CodeKey, Draw, Passcode, Purpose},
        recovery::{RecoveryCode, RecoveryHash},
        scene::{Scene, account, ssh},
    },
    gateway::{
        GatewayName, Message, MessageId,
        callback::{Keys as CallbackKeys, flowroute, laml, plivo},
        settings::{HttpSettings, Key},
    },
    keys::MasterKey,
    store::Password,
    verifier::EnrollRequest,
};

/// What nobody may read: a code, a number, a key as text and as bytes.
const CODE: &str = "482913";
const NUMBER: &str = "+13125550142";
const KEY: &str = "canary-key-7f3a9c1e";
const BYTES: u8 = 0xA7;

fn shown(name: &'static str, value: &impl Debug) -> (&'static str, String) {
    // Both forms: derived ones differ in their lines only, written ones may differ in anything.
    (name, format!("{value:?}\n{value:#?}"))
}

fn passcode() -> Passcode {
    Passcode::typed(CODE, 6).expect("a code")
}

fn message() -> Message {
    let url = || Some(Zeroizing::new(format!("https://h.example/answer/{KEY}")));
    Message {
        id: MessageId([1; 16]),
        to: NUMBER.parse().expect("a number"),
        channel: Channel::Sms,
        text: Zeroizing::new(format!("{CODE} is your code")),
        code: Some(Zeroizing::new(CODE.to_owned())),
        valid_for: std::time::Duration::from_mins(5),
        answer_url: url(),
        report_url: url(),
    }
}

/// Stored challenges, orders, terms and whatever else a decision holds.
fn decided() -> Vec<(&'static str, String)> {
    let mut scene = Scene::new();
    let token = scene.start(ssh(1));
    let code = scene.code(token);
    let hide = |text: String| text.replace(&code, CODE);
    let order = scene.orders.last().expect("an order").clone();
    let mut all = vec![
        shown("Order", &order),
        shown("LoginState", &scene.login("alice")),
        shown("Enrollment", &scene.enrollments[&account("alice")]),
        shown("Terms", &scene.terms),
        shown("Budget", &scene.budgets),
        shown("Audit", &scene.audit),
    ];
    for (_, text) in &mut all {
        *text = hide(std::mem::take(text));
    }
    all
}

#[test]
fn no_secret_is_in_debug_output() {
    let key = MasterKey::from_bytes([BYTES; 32]).derive();
    let code_key = CodeKey::new(1, [BYTES; 32]);
    let alice = account("alice");
    let number = NUMBER.parse().expect("a number");
    let recovery = RecoveryCode::generate(&mut StdRng::seed_from_u64(1));
    let draw = Draw { code: passcode(), ..Draw::new(&mut StdRng::seed_from_u64(1), 6) };
    let issuer = Issuer { key: code_key.clone(), instance: Instance(1), host: None };
    let question = Question {
        account: &alice,
        purpose: Purpose::Login,
        service: "sshd",
        attempt: None,
        source: None,
        channel: Channel::Sms,
        rules: CodeRules::default(),
        long: false,
    };
    let (challenge, code) =
        Challenge::issue(&question, &issuer, &draw, crate::domain::scene::START);
    let settings = HttpSettings {
        url: format!("https://h.example/{KEY}"),
        method: "POST".to_owned(),
        headers: vec![("Authorization".to_owned(), Zeroizing::new(KEY.to_owned()))],
        body: format!("{{text}}{{to}}{KEY}"),
        success_status: Vec::new(),
        id_pointer: None,
        ca_file: None,
    };
    let vendor = Key { secret: Zeroizing::new(KEY.to_owned()), file: "vendor.key".to_owned() };
    let main = GatewayName("main".to_owned());
    let callbacks = [
        CallbackKeys::Plivo(plivo::Token::new(KEY).expect("a token")),
        CallbackKeys::Twilio(laml::Twilio::new(KEY).expect("a token")),
        CallbackKeys::SignalWire(laml::SignalWire::new(KEY).expect("a key")),
        CallbackKeys::Flowroute(flowroute::Secret::derive(KEY, &main).expect("a secret")),
    ];
    let enroll = EnrollRequest {
        phone: otp_proto::Secret::new(NUMBER.to_owned()),
        channel: None,
        replace: false,
    };
    let mut all = vec![
        shown("Passcode", &passcode()),
        shown("Typed", &Typed::new(CODE)),
        shown("Draw", &draw),
        shown("issued code", &code),
        shown("Challenge", &challenge),
        shown("CodeHash", &code_key.hash(Purpose::Login, draw.token, &alice, &passcode())),
        shown("RecoveryCode", &recovery),
        shown("RecoveryHash", &RecoveryHash::of(&code_key, &alice, &recovery)),
        shown("CodeKey", &code_key),
        shown("Issuer", &issuer),
        shown("Keys", &key),
        shown("NumberIndex", &key.index(&number)),
        shown("RangeIndex", &key.range(&number)),
        shown("E164", &number),
        shown("ChallengeToken", &ChallengeToken([BYTES; 16])),
        shown("Message", &message()),
        shown("Key", &vendor),
        shown("HttpSettings", &settings),
        shown("callback keys", &callbacks),
        shown("EnrollRequest", &enroll),
        shown("Password", &Password::new(Zeroizing::new(KEY.to_owned()))),
        shown("Secret", &otp_proto::Secret::new(CODE.to_owned())),
    ];
    all.extend(decided());
    let grouped = recovery.grouped();
    let bytes = [format!("{BYTES}, {BYTES}"), "a7a7a7".to_owned(), "A7, A7".to_owned()];
    let secrets =
        [CODE, &NUMBER[1..], &NUMBER[2..], KEY, &grouped, &bytes[0], &bytes[1], &bytes[2]];
    for (name, text) in &all {
        assert!(!text.is_empty(), "{name}");
        for secret in secrets {
            assert!(!text.contains(secret), "{secret} of {name}: {text}");
        }
    }
    println!("{} types hold secrets and show none", all.len());
}

/// The items whose `Debug` is derived although a field would show a secret: `Zeroizing` wipes, and
/// shows what it holds.
fn leaky(source: &str) -> Vec<&str> {
    let derived = source.match_indices("#[derive(").filter_map(|(at, _)| {
        let (traits, item) = source.get(at..)?.split_once(")]")?;
        let end = item.find("\n}\n").or_else(|| item.find(";\n")).unwrap_or(item.len());
        // A tuple struct ends before the next brace does.
        let end = item
            .find(";\n")
            .filter(|semi| item.find('{').is_none_or(|open| *semi < open))
            .unwrap_or(end);
        let item = item.get(..end)?;
        (traits.contains("Debug") && item.contains("Zeroizing<")).then_some(item)
    });
    derived.collect()
}

fn sources(folder: &Path, into: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).expect("a source");
            into.push((path.display().to_string(), text));
        }
    }
}

#[test]
fn no_type_with_a_secret_derives_debug() {
    let caught = "#[derive(Clone, Debug)]\npub struct Key {\n    secret: Zeroizing<String>,\n}\n";
    assert_eq!(leaky(caught).len(), 1);
    assert_eq!(leaky("#[derive(Debug)]\nstruct Key(Zeroizing<String>);\n").len(), 1);
    assert_eq!(leaky(&caught.replace(", Debug", "")), Vec::<&str>::new());
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    let mut files = Vec::new();
    for name in ["otp_proto", "pam_otp", "otpd", "otpctl"] {
        sources(&root.join(name).join("src"), &mut files);
    }
    assert!(files.len() > 200, "{} files", files.len());
    for (path, text) in files.iter().filter(|(path, _)| !path.ends_with("secrecy.rs")) {
        assert_eq!(leaky(text), Vec::<&str>::new(), "{path}");
    }
}
