use jiff::tz::{TimeZone, offset};
use otp_proto::admin::{
    Channel, Delivery, DeliveryStatus, Enrolled, Gateway, GatewayState, Host, HostState, Limit,
    OptOut, Shown, State, StatusReply, Subscriber, Unlocked,
};

use super::Lock;

/// 2026-08-01 12:00:00 UTC.
const NOON: i64 = 1_785_585_600_000;

fn zone() -> TimeZone {
    TimeZone::fixed(offset(2))
}

pub(in crate::render) fn alice() -> Subscriber {
    Subscriber {
        user: "alice".into(),
        phone: "+1 ••• ••• ••42".into(),
        country: "US".into(),
        channel: Channel::Sms,
        state: State::Active,
        created_at: NOON,
        verified_at: Some(NOON + 60_000),
    }
}

pub(in crate::render) fn limit(name: &str, until: Option<i64>) -> Limit {
    Limit { name: name.into(), since: NOON, until }
}

pub(in crate::render) fn shown(limits: Vec<Limit>) -> Shown {
    Shown {
        subscriber: alice(),
        limits,
        failures_24h: 3,
        sends_24h: 5,
        live_challenges: 1,
        recovery_codes_left: 8,
        bypasses: Vec::new(),
        undelivered: None,
        opted_out: None,
    }
}

fn delivery(status: DeliveryStatus, channel: Channel, reason: Option<&str>) -> Delivery {
    Delivery {
        status,
        channel,
        reference: "K7".into(),
        expires_at: NOON + 300_000,
        reason: reason.map(str::to_owned),
    }
}

fn pending(delivery: Delivery) -> Enrolled {
    let subscriber = Subscriber { state: State::Pending, verified_at: None, ..alice() };
    Enrolled { subscriber, delivery }
}

#[test]
fn enroll_says_what_was_done_and_what_comes_next() {
    let cases = [
        (
            delivery(DeliveryStatus::Accepted, Channel::Sms, None),
            "A message with a code is on its way to +1 ••• ••• ••42\n\
             (ref K7, valid until 2026-08-01T14:05:00+02:00).",
        ),
        (
            delivery(DeliveryStatus::Sending, Channel::Voice, None),
            "A phone call with a code is being sent to +1 ••• ••• ••42\n\
             (ref K7, valid until 2026-08-01T14:05:00+02:00).\n\
             No gateway has confirmed it yet.",
        ),
    ];
    for (delivery, message) in cases {
        let expected = format!(
            "alice is registered with +1 ••• ••• ••42, which is not verified yet.\n{message}\n\
             Ask alice to read it to you, then run: otpctl verify alice\n"
        );
        assert_eq!(super::enrolled(&pending(delivery), &zone()), expected);
    }
}

#[test]
fn a_message_that_failed_is_told_with_its_reason() {
    let reasons = [
        (Some("telnyx: no credit"), "telnyx: no credit"),
        (Some("\u{1b}[0m"), "\\u{1b}[0m"),
        (Some(" "), "otpd gives no reason, see: journalctl -u otpd"),
        (None, "otpd gives no reason, see: journalctl -u otpd"),
    ];
    for (reason, shown) in reasons {
        let delivery = delivery(DeliveryStatus::Failed, Channel::Sms, reason);
        let failed = format!("the message with the code could not be sent: {shown}; once");
        assert_eq!(
            super::enrolled_unsent(&pending(delivery.clone())),
            format!(
                "+1 ••• ••• ••42 is registered for alice, but {failed} that is mended run: \
                 otpctl resend alice"
            )
        );
        assert_eq!(
            super::resend_failed("alice", &delivery),
            format!("{failed} that is mended run again: otpctl resend alice")
        );
    }
}

#[test]
fn resend_says_that_earlier_codes_are_void() {
    let delivery = delivery(DeliveryStatus::Accepted, Channel::Voice, None);
    assert_eq!(
        super::resent("alice", &delivery, &zone()),
        "A phone call with a code is on its way to the number of alice\n\
         (ref K7, valid until 2026-08-01T14:05:00+02:00).\n\
         Earlier codes no longer count. Once the new one is there, run: otpctl verify alice\n"
    );
}

#[test]
fn changes_say_what_they_mean_for_logins() {
    let cases = [
        (
            State::Active,
            "Logins of alice ask for a code that a message takes to +1 ••• ••• ••42.\n",
        ),
        (
            State::Pending,
            "+1 ••• ••• ••42 is not verified yet; send it a code with: otpctl resend alice\n",
        ),
        (State::Disabled, "Logins of alice are denied until: otpctl enable alice\n"),
    ];
    for (state, consequence) in cases {
        let subscriber = Subscriber { state, ..alice() };
        let text = super::changed(&subscriber, "is enabled");
        assert_eq!(text, format!("alice is enabled.\n{consequence}"));
        let text = super::verified(&subscriber);
        assert_eq!(text, format!("+1 ••• ••• ••42 is verified for alice.\n{consequence}"));
    }
}

fn opted_out() -> OptOut {
    OptOut { at: NOON, gateway: "telnyx".into() }
}

#[test]
fn who_wants_no_messages_is_shown() {
    let text =
        super::shown(&Shown { opted_out: Some(opted_out()), ..shown(vec![]) }, &zone(), Some(80));
    let line = "messages             opted out since 2026-08-01T14:00:00+02:00 (telnyx)";
    assert!(text.lines().any(|found| found == line), "{text}");
    let text = super::shown(&shown(vec![]), &zone(), Some(80));
    assert!(!text.contains("opted out"), "{text}");
}

#[test]
fn unlocking_says_that_messages_may_go_again() {
    let unlocked = |opted_in| super::unlocked(&Unlocked { subscriber: alice(), opted_in });
    assert!(!unlocked(false).contains("Messages"));
    let again = "\nMessages may go to +1 ••• ••• ••42 again; a vendor that was told STOP sends \
                 them once START is sent to it from there.\n";
    assert!(unlocked(true).ends_with(again), "{}", unlocked(true));
}

#[test]
fn a_list_is_a_line_a_subscriber() {
    let bob = Subscriber {
        user: "bob".into(),
        channel: Channel::Voice,
        state: State::Pending,
        verified_at: None,
        ..alice()
    };
    assert_eq!(
        super::list(&[(alice(), Some(opted_out())), (bob, None)], &zone(), Some(80)),
        "USER   PHONE            STATE              CHANNEL  VERIFIED\n\
         alice  +1 ••• ••• ••42  active, opted out  sms      2026-08-01T14:01:00+02:00\n\
         bob    +1 ••• ••• ••42  pending            voice    -\n"
    );
    assert_eq!(super::list(&[], &zone(), Some(80)), "");
}

#[test]
fn long_names_stay_within_80_columns() {
    let long = "a.very.long.name.of.somebody@a-department.of.a-company.example";
    let subscriber = Subscriber { user: long.into(), state: State::Disabled, ..alice() };
    let limits = vec![limit("unanswered-messages-to-an-account-per-day", Some(NOON))];
    let undelivered = Some("telnyx: delivery_failed: 40008 Undeliverable: ".repeat(3));
    let shown = Shown { subscriber: subscriber.clone(), undelivered, ..shown(limits) };
    let gateway = Gateway {
        name: "the-gateway-of-the-vendor".into(),
        kind: "signalwire".into(),
        state: GatewayState::Resting,
        reason: Some("401 the project does not exist or the token is of another one ".repeat(3)),
    };
    let status = StatusReply { gateways: vec![gateway], problems: vec![long.repeat(3)], ..quiet() };
    let texts = [
        super::list(&[(subscriber, Some(opted_out()))], &zone(), Some(80)),
        super::shown(&shown, &zone(), Some(80)),
        super::status(&status, &[], &TimeZone::UTC, Some(80)),
    ];
    for line in texts.iter().flat_map(|text| text.lines()) {
        assert!(line.chars().count() <= 80, "{line}");
        assert_eq!(line, line.trim_end());
    }
}

#[test]
fn show_says_why_a_message_did_not_arrive() {
    let undelivered = Some("telnyx: 40008 Undeliverable".into());
    let text = super::shown(&Shown { undelivered, ..shown(vec![]) }, &zone(), Some(80));
    let last = text.lines().last().expect("a line");
    assert_eq!(last, "last message         did not arrive: telnyx: 40008 Undeliverable");
}

#[test]
fn show_is_a_fact_a_line_and_the_limits_below() {
    let limits = vec![limit("wrong-codes-in-a-row", None), limit("messages-per-hour", Some(NOON))];
    assert_eq!(
        super::shown(&shown(limits), &zone(), Some(80)),
        "\
user                 alice
phone                +1 ••• ••• ••42
country              US
state                active
channel              sms
registered           2026-08-01T14:00:00+02:00
verified             2026-08-01T14:01:00+02:00
locked               until: otpctl unlock alice
wrong codes in 24 h  3
messages in 24 h     5
logins under way     1
recovery codes left  8

LIMIT                 SINCE                      UNTIL
wrong-codes-in-a-row  2026-08-01T14:00:00+02:00  unlocked
messages-per-hour     2026-08-01T14:00:00+02:00  2026-08-01T14:00:00+02:00
"
    );
}

#[test]
fn the_last_of_several_locks_counts() {
    let cases = [
        ("none", vec![], Lock::Open),
        ("messages do not lock", vec![limit("messages-per-day", None)], Lock::Open),
        ("one", vec![limit("wrong-codes-per-hour", Some(5))], Lock::Until(5)),
        (
            "the later one",
            vec![limit("wrong-codes-per-day", Some(9)), limit("wrong-codes-per-hour", Some(5))],
            Lock::Until(9),
        ),
        (
            "an endless one outlasts the rest",
            vec![limit("wrong-codes-in-a-row", None), limit("wrong-codes-per-day", Some(9))],
            Lock::Endless,
        ),
    ];
    for (name, limits, expected) in cases {
        assert_eq!(Lock::of(&limits), expected, "{name}");
    }
}

fn quiet() -> StatusReply {
    StatusReply {
        version: "0.1.0".into(),
        host: "web1".into(),
        store: "sqlite".into(),
        pending: 1,
        active: 3,
        disabled: 0,
        live_challenges: 2,
        gateways: vec![],
        problems: vec![],
    }
}

#[test]
fn status_names_gateways_and_problems() {
    let facts = "\
otpd              0.1.0 on web1
store             sqlite
enrolled          3 active, 1 pending, 0 disabled
logins under way  2
";
    let calm = format!("{facts}gateways          none\nproblems          none\n");
    assert_eq!(super::status(&quiet(), &[], &TimeZone::UTC, None), calm);
    let gateway = |name: &str, state, reason: Option<&str>| Gateway {
        name: name.into(),
        kind: "telnyx".into(),
        state,
        reason: reason.map(str::to_owned),
    };
    let troubled = StatusReply {
        gateways: vec![
            gateway("main", GatewayState::Resting, Some("no credit")),
            gateway("spare", GatewayState::Ready, None),
            gateway("third", GatewayState::Probing, None),
        ],
        problems: vec!["the disk is full".into(), "main rests".into()],
        ..quiet()
    };
    let expected = format!(
        "{facts}\
problem           the disk is full
problem           main rests

GATEWAY  KIND    STATE    LAST FAILURE
main     telnyx  resting  no credit
spare    telnyx  ready    -
third    telnyx  probing  -
"
    );
    assert_eq!(super::status(&troubled, &[], &TimeZone::UTC, Some(80)), expected);
}

#[test]
fn status_tells_of_every_host_that_shares_the_store() {
    let gateway = |name: &str, state| Gateway {
        name: name.into(),
        kind: "telnyx".into(),
        state,
        reason: None,
    };
    let host = |name: &str, state, gateways| Host {
        name: name.into(),
        version: "0.1.0".into(),
        state,
        started_at: 0,
        seen_at: 1_785_585_600_789,
        gateways,
        key: "00c0ffee".into(),
        next_key: None,
    };
    let (good, bad) =
        (gateway("main", GatewayState::Ready), gateway("spare", GatewayState::Resting));
    let hosts = [
        host("web1", HostState::Here, vec![good.clone()]),
        host("db1", HostState::Silent, vec![]),
        host("web2", HostState::Running, vec![good.clone(), bad]),
        host("web3", HostState::Stopped, vec![]),
    ];
    let told = super::status(&quiet(), &hosts, &TimeZone::UTC, None);
    let (_, table) = told.split_once("\n\n").expect("a table");
    let expected = "\
HOST  VERSION  STATE    LAST SEEN                  GATEWAYS DOWN
web1  0.1.0    here     2026-08-01T12:00:00+00:00  -
db1   0.1.0    silent   2026-08-01T12:00:00+00:00  -
web2  0.1.0    running  2026-08-01T12:00:00+00:00  spare
web3  0.1.0    stopped  2026-08-01T12:00:00+00:00  -
";
    assert_eq!(table, expected);
    let alone = super::status(&quiet(), &hosts[..1], &TimeZone::UTC, None);
    assert!(!alone.contains("HOST"), "{alone}");
}
