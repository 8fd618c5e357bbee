//! What is no proper call gets a clear error, and the daemon serves the next one.

use otp_proto::{
    frame::MAX_FRAME,
    service::{GetInfo, ServiceError},
};
use otpd_tests::{
    daemon::Place,
    phone::Phone,
    wire::{Wire, frame, login, typed},
};
use serde_json::{Value, json};

use super::people::PEOPLE;

const INVALID: &str = "org.varlink.service.InvalidParameter";
const NO_METHOD: &str = "org.varlink.service.MethodNotFound";
const NO_INTERFACE: &str = "org.varlink.service.InterfaceNotFound";

fn call(method: &str, parameters: &Value) -> Vec<u8> {
    frame(&json!({ "method": method, "parameters": parameters }))
}

fn begin(change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let mut parameters = json!(login("man", None));
    change(&mut parameters);
    call("org.otpd.Login.Begin", &parameters)
}

fn begin_with(name: &str, value: Value) -> Vec<u8> {
    begin(|parameters| parameters[name] = value)
}

fn enroll(user: &str, phone: &str) -> Vec<u8> {
    let parameters = json!({ "user": user, "phone": phone, "channel": null, "replace": false });
    call("org.otpd.Admin.Enroll", &parameters)
}

fn raw(text: &str) -> Vec<u8> {
    [text.as_bytes(), b"\0"].concat()
}

/// What is sent, the error it gets, and what the error must name.
type Case = (&'static str, Vec<u8>, &'static str, &'static str);

fn envelopes() -> Vec<Case> {
    let nested = |depth: usize| ["[".repeat(depth), "]".repeat(depth)].concat();
    let deep = format!(
        "{{\"method\":\"org.otpd.Login.Begin\",\"parameters\":{{\"user\":{}}}}}",
        nested(8000)
    );
    // Begin, up to the name; what follows closes the braces.
    let bomb = |rest: &str| format!("{}{rest}", &deep[..deep.find('[').expect("a bracket")]);
    let objects = ["{\"a\":".repeat(2_500), "1".to_owned(), "}".repeat(2_502)].concat();
    let digits = "9".repeat(9_000);
    let info = "org.varlink.service.GetInfo";
    vec![
        ("no JSON", raw("hello"), INVALID, "object"),
        ("an empty frame", raw(""), INVALID, "object"),
        ("half of JSON", raw("{\"method\":"), INVALID, "EOF"),
        ("an array", raw("[]"), INVALID, "object"),
        ("a call as an array", raw("[\"org.varlink.service.GetInfo\"]"), INVALID, "object"),
        ("two values", raw("{\"method\":\"a.b\"}{}"), INVALID, "trailing"),
        ("not UTF-8", b"{\"method\":\"\xff\xfe\"}\0".to_vec(), INVALID, "unicode"),
        (
            "not UTF-8 in the parameters",
            b"{\"method\":\"org.otpd.Login.Begin\",\"parameters\":{\"user\":\"\xff\"}}\0".to_vec(),
            INVALID,
            "unicode",
        ),
        ("deep nesting", raw(&nested(8000)), INVALID, "object"),
        ("deep nesting in the parameters", raw(&deep), INVALID, "expected a string"),
        ("10,000 brackets that never close", raw(&bomb(&"[".repeat(10_000))), INVALID, "EOF"),
        ("objects in objects", raw(&bomb(&objects)), INVALID, "expected a string"),
        ("a number of 9,000 digits", raw(&bomb(&format!("{digits}}}}}"))), INVALID, "out of range"),
        ("a number beyond all", raw(&bomb("1e999999}}")), INVALID, "out of range"),
        ("half of a pair", raw(&bomb("\"\\ud800\"}}")), INVALID, "escape"),
        ("a parameter twice", raw(&bomb("\"a\",\"user\":\"b\"}}")), INVALID, "duplicate"),
        ("no method", raw("{}"), INVALID, "method"),
        ("method is a number", raw("{\"method\":1}"), INVALID, "string"),
        ("two methods", raw("{\"method\":\"a.b\",\"method\":\"a.b\"}"), INVALID, "duplicate"),
        ("unknown field", frame(&json!({ "method": info, "mroe": true })), INVALID, "mroe"),
        ("upgrade", frame(&json!({ "method": info, "upgrade": true })), INVALID, "upgrade"),
        ("oneway is text", frame(&json!({ "method": info, "oneway": "yes" })), INVALID, "yes"),
        ("no dot", call("GetInfo", &json!({})), NO_METHOD, "GetInfo"),
        ("empty method", call("", &json!({})), NO_METHOD, ""),
        ("unknown method", call("org.otpd.Login.Begin2", &json!({})), NO_METHOD, "Begin2"),
        ("unknown Admin method", call("org.otpd.Admin.Nothing", &json!({})), NO_METHOD, "Nothing"),
        ("unknown interface", call("org.evil.Get", &json!({})), NO_INTERFACE, "org.evil"),
        (
            "unknown description",
            call(
                "org.varlink.service.GetInterfaceDescription",
                &json!({ "interface": "org.evil" }),
            ),
            NO_INTERFACE,
            "org.evil",
        ),
        (
            "a method name that fills the frame",
            call(&"x".repeat(MAX_FRAME - 40), &json!({})),
            NO_METHOD,
            "xxx",
        ),
        (
            "an interface name that fills the frame",
            call(&["x".repeat(MAX_FRAME - 40), "y".into()].join("."), &json!({})),
            NO_INTERFACE,
            "xxx",
        ),
        (
            "quotes that grow when they are told",
            frame(&json!({ "method": info, "oneway": "\"".repeat(8000) })),
            INVALID,
            "invalid type: string",
        ),
        ("List without more", call("org.otpd.Admin.List", &json!({})), MORE, ""),
    ]
}

const MORE: &str = "org.varlink.service.ExpectedMore";

fn parameters() -> Vec<Case> {
    let long = "x".repeat(257);
    let unknown = "org.otpd.Login.UnknownChallenge";
    vec![
        ("parameters missing", call("org.otpd.Login.Begin", &json!({})), INVALID, "user"),
        ("parameters null", call("org.otpd.Login.Begin", &Value::Null), INVALID, "user"),
        ("parameters a list", call("org.otpd.Login.Begin", &json!([])), INVALID, "object"),
        (
            "parameters a list of the right length",
            call("org.otpd.Login.Answer", &json!(["0".repeat(32), "123456"])),
            INVALID,
            "object",
        ),
        ("too many", begin_with("password", json!("x")), INVALID, "password"),
        ("wrong type", begin_with("user", json!(7)), INVALID, "string"),
        ("wrong type in a list", begin_with("first_factor", json!([1])), INVALID, "string"),
        ("not a list", begin_with("first_factor", json!("password")), INVALID, "sequence"),
        (
            "one missing",
            begin(|p| drop(p.as_object_mut().expect("an object").remove("service"))),
            INVALID,
            "service",
        ),
        ("empty user", begin_with("user", json!("")), INVALID, "user"),
        ("user with '/'", begin_with("user", json!("../man")), INVALID, "user"),
        ("user with NUL", begin_with("user", json!("man\0")), INVALID, "user"),
        ("user with line feed", begin_with("user", json!("man\nroot")), INVALID, "user"),
        ("user with C1 control", begin_with("user", json!("man\u{9b}")), INVALID, "user"),
        ("long user", begin_with("user", json!(long)), INVALID, "user"),
        ("empty service", begin_with("service", json!("")), INVALID, "service"),
        ("service with '/'", begin_with("service", json!("a/b")), INVALID, "service"),
        ("service with line feed", begin_with("service", json!("sshd\n")), INVALID, "service"),
        ("long service", begin_with("service", json!("s".repeat(65))), INVALID, "service"),
        ("rhost with escape", begin_with("rhost", json!("\u{1b}[2J")), INVALID, "rhost"),
        ("long tty", begin_with("tty", json!(long)), INVALID, "tty"),
        ("ruser with line feed", begin_with("ruser", json!("a\nb")), INVALID, "ruser"),
        ("long connection", begin_with("connection", json!(long)), INVALID, "connection"),
        ("many factors", begin_with("first_factor", json!(vec!["x"; 17])), INVALID, "first_factor"),
        (
            "challenge of another shape",
            call("org.otpd.Login.Answer", &json!(typed("1234", "1"))),
            unknown,
            "",
        ),
        (
            "challenge that is none",
            call("org.otpd.Login.Answer", &json!(typed(&"0".repeat(32), "1"))),
            unknown,
            "",
        ),
        (
            "challenge with a sign",
            call("org.otpd.Login.Answer", &json!(typed(&format!("+{}", "0".repeat(31)), "1"))),
            unknown,
            "",
        ),
    ]
}

fn administration() -> Vec<Case> {
    let long = "x".repeat(257);
    let nobody = "org.otpd.Admin.NoSuchUser";
    let number = "org.otpd.Admin.InvalidNumber";
    let country = "org.otpd.Admin.CountryNotAllowed";
    let show = |user: &str| call("org.otpd.Admin.Show", &json!({ "user": user }));
    vec![
        ("empty user", show(""), INVALID, "user"),
        ("user with '/'", show("/etc"), INVALID, "user"),
        ("user with escape", show("\u{1b}[31mred"), INVALID, "user"),
        ("long user", show(&long), INVALID, "user"),
        ("nobody", show("no-such-user"), nobody, "no-such-user"),
        ("not enrolled", show("man"), "org.otpd.Admin.NotEnrolled", "man"),
        (
            "unknown channel",
            call(
                "org.otpd.Admin.Enroll",
                &json!({ "user": "man", "phone": "+1", "channel": "fax", "replace": false }),
            ),
            INVALID,
            "fax",
        ),
        (
            "verify without a number",
            call("org.otpd.Admin.Verify", &json!({ "user": "man", "code": "123456" })),
            "org.otpd.Admin.NotEnrolled",
            "man",
        ),
        ("no number", enroll("man", ""), number, "reason"),
        ("letters", enroll("man", "call me"), number, "reason"),
        ("national", enroll("man", "312 555 0142"), number, "reason"),
        ("short", enroll("man", "+1312"), number, "reason"),
        ("long", enroll("man", "+1312555014213125550142"), number, "reason"),
        ("very long", enroll("man", &"1".repeat(9000)), number, "reason"),
        ("control characters", enroll("man", "+1312555\u{0}0142"), number, "reason"),
        ("premium", enroll("man", "+19005550142"), number, "reason"),
        ("toll-free", enroll("man", "+18005550142"), number, "reason"),
        ("another country", enroll("man", "+442079460018"), country, "GB"),
        ("Canada is not the US", enroll("man", "+14165550142"), country, "CA"),
    ]
}

fn check(cases: Vec<Case>) {
    let phone = Phone::start();
    let place = Place::new(&phone);
    let mut daemon = place.start();
    let mut wire = daemon.connect();
    for (name, request, error, naming) in cases {
        assert!(wire.send(&request), "{name}: the daemon hung up");
        let reply = wire.receive().unwrap_or_else(|| panic!("{name}: the daemon hung up"));
        assert_eq!(reply["error"], error, "{name}: {reply}");
        let parameters = reply["parameters"].to_string();
        assert!(parameters.contains(naming), "{name}: {parameters}");
        // The connection is of further use.
        wire.call(&GetInfo {}).unwrap_or_else(|error| panic!("{name}: {error:?}"));
    }
    assert!(daemon.is_running() && !daemon.log().contains("panicked"));
    assert!(phone.pending().is_none(), "a message was sent");
}

#[test]
fn a_frame_that_is_no_call_is_refused_and_the_connection_goes_on() {
    check(envelopes());
}

#[test]
fn parameters_that_do_not_fit_are_named() {
    check(parameters());
}

#[test]
fn what_an_administrator_mistypes_is_named() {
    check(administration());
}

#[test]
fn an_oversize_frame_is_refused_while_it_arrives() {
    let phone = Phone::start();
    let place = Place::new(&phone);
    let daemon = place.start();
    let refused = |wire: &mut Wire| {
        let reply = wire.receive().expect("an error first");
        assert_eq!(reply["error"], INVALID, "{reply}");
        assert!(reply["parameters"].to_string().contains("16 KiB"), "{reply}");
        assert_eq!(wire.receive(), None, "there is no way to go on");
    };
    let mut endless = daemon.connect();
    assert!(endless.send(&vec![b' '; MAX_FRAME + 1]));
    refused(&mut endless);

    let mut much = daemon.connect();
    // The daemon may hang up before it has taken all.
    while much.send(&[b'x'; 4096]) {}
    refused(&mut much);

    // The longest frame that is allowed is read.
    let mut longest = frame(&json!({ "method": "org.varlink.service.GetInfo" }));
    let missing = MAX_FRAME + 1 - longest.len();
    longest.splice(0..0, vec![b' '; missing]);
    let mut wire = daemon.connect();
    assert!(wire.send(&longest));
    assert!(wire.receive().expect("a reply")["error"].is_null());
}

#[test]
fn a_peer_that_leaves_in_the_middle_is_forgotten() {
    let phone = Phone::start();
    let place = Place::new(&phone);
    let mut daemon = place.start();
    let begin = call("org.otpd.Login.Begin", &json!(login("man", None)));
    // More than there are seats: each must be free again. Some may find them all taken, and are
    // turned away before they have sent anything.
    for length in (0..begin.len()).cycle().take(1200) {
        let part = begin.get(..length).expect("a part");
        let _ = daemon.connect().send(part);
    }
    // And with a call on its way.
    for _ in 0..100 {
        let _ = daemon.connect().send(&begin);
    }
    // A seat is free once the daemon has noticed that its peer left; until then it turns us away.
    let info = call("org.varlink.service.GetInfo", &json!({}));
    let served = (0..20_000).any(|_| {
        let mut wire = daemon.connect();
        wire.send(&info) && wire.receive().is_some()
    });
    assert!(served, "no seat became free");
    assert!(daemon.is_running() && !daemon.log().contains("panicked"));
}

#[test]
fn requests_in_one_write_are_answered_in_order() {
    let phone = Phone::start();
    let place = Place::new(&phone);
    let daemon = place.start();
    let mut wire = daemon.connect();
    let requests =
        (0..100).flat_map(|number| call(&format!("org.otpd.Login.M{number}"), &json!({})));
    let requests = requests.collect::<Vec<_>>();
    // Cut anywhere: frames need not begin or end with a write.
    for part in requests.chunks(777) {
        assert!(wire.send(part));
    }
    for number in 0..100 {
        let reply = wire.receive().expect("a reply");
        assert_eq!(reply["parameters"]["method"], format!("org.otpd.Login.M{number}"));
    }
}

#[test]
fn oneway_gets_no_reply_whatever_it_asks() {
    let phone = Phone::start();
    let place = Place::new(&phone);
    let daemon = place.start();
    let [(user, number), ..] = PEOPLE;
    daemon.enroll(&phone, user, number);
    let mut wire = daemon.connect();
    let challenge = wire.prompt(&login(user, None)).challenge;
    let code = phone.next().code();
    let oneway = |method: &str, parameters: Value| {
        frame(&json!({ "method": method, "parameters": parameters, "oneway": true }))
    };
    let cancel = "org.otpd.Login.Cancel";
    for (name, request) in [
        ("a good one", oneway(cancel, json!({ "challenge": challenge }))),
        ("one of no shape", oneway(cancel, json!({ "challenge": "x" }))),
        ("parameters missing", oneway(cancel, json!({}))),
        ("parameters unknown", oneway(cancel, json!({ "challenge": challenge, "why": "x" }))),
    ] {
        assert!(wire.send(&request), "{name}");
        // The next reply belongs to the next call.
        wire.call(&GetInfo {}).unwrap_or_else(|error| panic!("{name}: {error:?}"));
    }
    let step = wire.answer(&challenge, &code);
    assert!(otpd_tests::wire::is_denied(&step), "cancelled: {step:?}");

    // No other method makes sense without its reply.
    for method in ["org.otpd.Login.Begin", "org.otpd.Admin.Unlock", "org.varlink.service.GetInfo"] {
        let mut wire = daemon.connect();
        assert!(wire.send(&oneway(method, json!({}))), "{method}");
        assert_eq!(wire.receive(), None, "{method}");
    }
}

#[test]
fn errors_are_those_of_the_specification() {
    let error = ServiceError::InvalidParameter { parameter: "user".into() };
    let expected = json!({ "error": INVALID, "parameters": { "parameter": "user" } });
    assert_eq!(json!(error), expected);
}

#[test]
fn the_parameter_for_which_a_login_is_refused_is_named_in_the_log() {
    let phone = Phone::start();
    let place = Place::new(&phone);
    let daemon = place.start();
    for name in ["user", "service", "rhost", "tty", "ruser", "connection"] {
        let mut wire = daemon.connect();
        assert!(wire.send(&begin_with(name, json!("a\nb"))), "{name}");
        assert_eq!(wire.receive().expect("a reply")["error"], INVALID, "{name}");
        daemon.wait_for(&format!("what was sent as its {name} is not"));
    }
}
