mod refusals;
mod rest;

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use super::{
    super::{Sending, testing::message},
    Channel, Delivered, Delivery, Gateway, GatewayName, GatewayState, Message, OpenError, Outcome,
    Routes, Timestamp, VendorMessageId,
};

pub(super) const NOW: Timestamp = Timestamp(1_000_000_000);

/// A gateway that answers from a script; being asked beyond it is a failure of the test.
#[derive(Clone)]
pub(super) struct Fake {
    script: Arc<Mutex<VecDeque<Outcome>>>,
    seen: Arc<Mutex<Vec<Message>>>,
    pub(super) voice: bool,
}

impl Gateway for Fake {
    fn kind(&self) -> &'static str {
        "fake"
    }

    fn supports(&self, channel: Channel) -> bool {
        channel == Channel::Sms || self.voice
    }

    fn send<'a>(&'a self, message: &'a Message) -> Sending<'a> {
        self.seen.lock().unwrap().push(message.clone());
        let outcome = self.script.lock().unwrap().pop_front().expect("asked beyond the script");
        Box::pin(async move { outcome })
    }
}

pub(super) fn fake(script: &[Outcome]) -> Fake {
    let script = Arc::new(Mutex::new(script.iter().cloned().collect()));
    Fake { script, seen: Arc::default(), voice: true }
}

pub(super) fn name(text: &str) -> GatewayName {
    GatewayName(text.to_owned())
}

pub(super) fn routes(fakes: &[(&str, &Fake)]) -> Routes {
    let boxed =
        |(key, fake): &(&str, &Fake)| (name(key), Box::new((*fake).clone()) as Box<dyn Gateway>);
    let order: Vec<_> = fakes.iter().map(|(key, _)| name(key)).collect();
    Routes::new(fakes.iter().map(boxed).collect(), &order, &order).unwrap()
}

async fn deliver(routes: &Routes, avoid: &[&str], now: Timestamp) -> Delivery {
    let avoid: Vec<_> = avoid.iter().copied().map(name).collect();
    routes.deliver(&message(Channel::Sms), &avoid, || now).await
}

fn asked(delivery: &Delivery) -> Vec<&str> {
    delivery.attempts.iter().map(|attempt| attempt.gateway.0.as_str()).collect()
}

pub(super) fn accepted() -> Outcome {
    Outcome::Accepted { vendor_id: VendorMessageId::checked("m-1") }
}

fn retryable() -> Outcome {
    Outcome::Retryable { after: None, reason: "busy".to_owned() }
}

fn unknown() -> Outcome {
    Outcome::Unknown("no reply".to_owned())
}

pub(super) fn misconfigured() -> Outcome {
    Outcome::Misconfigured("HTTP 401".to_owned())
}

fn rejected() -> Outcome {
    Outcome::Rejected("no such number".to_owned())
}

fn sent(by: &str) -> Delivered {
    Delivered::Sent { gateway: name(by), vendor_id: VendorMessageId::checked("m-1") }
}

/// They are written down as they are, and asked for by URL.
#[tokio::test]
async fn a_vendors_id_that_holds_the_number_or_the_code_is_not_kept() {
    let message = message(Channel::Sms);
    let (number, text) = (message.to.expose().to_owned(), message.text.to_string());
    let code = text.split(' ').find(|word| word.bytes().all(|b| b.is_ascii_digit())).expect("one");
    let cases = [
        ("m-1".to_owned(), true),
        ("queued:to=".to_owned() + &number, false),
        (format!("{{\"code\":{code}}}"), false),
    ];
    for (id, kept) in cases {
        let outcome = Outcome::Accepted { vendor_id: VendorMessageId::checked(&id) };
        let delivery = deliver(&routes(&[("a", &fake(&[outcome]))]), &[], NOW).await;
        let Delivered::Sent { vendor_id, .. } = delivery.result else { panic!("{id}") };
        assert_eq!(vendor_id.is_some(), kept, "{id}");
    }
}

#[tokio::test]
async fn the_next_gateway_is_asked_only_where_it_may_do_better() {
    let cases = [
        ("taken at once", vec![accepted()], sent("a")),
        ("after a busy one", vec![retryable(), accepted()], sent("b")),
        ("after a silent one", vec![unknown(), accepted()], sent("b")),
        ("after a wrong key", vec![misconfigured(), accepted()], sent("b")),
        ("after all others", vec![unknown(), retryable(), accepted()], sent("c")),
        ("bad number", vec![rejected()], Delivered::Rejected { gateway: name("a") }),
        ("opted out", vec![Outcome::OptedOut], Delivered::OptedOut { gateway: name("a") }),
        (
            "bad number later",
            vec![retryable(), rejected()],
            Delivered::Rejected { gateway: name("b") },
        ),
        ("perhaps sent before that", vec![unknown(), rejected()], Delivered::Unknown),
        (
            "opted out after all",
            vec![unknown(), Outcome::OptedOut],
            Delivered::OptedOut { gateway: name("b") },
        ),
        ("all fail", vec![retryable(), misconfigured(), retryable()], Delivered::Failed),
        ("one perhaps", vec![retryable(), unknown(), misconfigured()], Delivered::Unknown),
    ];
    for (case, script, result) in cases {
        let fakes: Vec<_> = (0..3).map(|i| fake(script.get(i..=i).unwrap_or_default())).collect();
        let routes = routes(&[("a", &fakes[0]), ("b", &fakes[1]), ("c", &fakes[2])]);
        let delivery = deliver(&routes, &[], NOW).await;
        assert_eq!(delivery.result, result, "{case}");
        let outcomes: Vec<_> = delivery.attempts.into_iter().map(|a| a.outcome).collect();
        assert_eq!(outcomes, script, "{case}");
        for fake in fakes.iter().take(script.len()) {
            let seen = fake.seen.lock().unwrap();
            assert_eq!(*seen[0].text, "482913 is your code", "{case}: the same code");
        }
    }
}

#[tokio::test]
async fn a_resend_tries_the_last_route_last() {
    let cases = [
        (&[][..], ["a", "b", "c"]),
        (&["a"], ["b", "c", "a"]),
        (&["b"], ["a", "c", "b"]),
        (&["b", "a"], ["c", "b", "a"]),
        (&["a", "gone"], ["b", "c", "a"]),
    ];
    for (avoid, order) in cases {
        let all = fake(&[retryable(), retryable(), retryable()]);
        let routes = routes(&[("a", &all), ("b", &all), ("c", &all)]);
        assert_eq!(asked(&deliver(&routes, avoid, NOW).await), order, "{avoid:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn one_alone_that_did_not_send_it_is_asked_once_more_after_a_moment() {
    let busy = |seconds: Option<u64>| Outcome::Retryable {
        after: seconds.map(Duration::from_secs),
        reason: "busy".to_owned(),
    };
    let failed = Delivered::Failed;
    // What it says, how long it takes until then, and what comes of it.
    let cases = [
        ("down", vec![busy(None), accepted()], 1, sent("a")),
        ("wants no pause", vec![busy(Some(0)), accepted()], 1, sent("a")),
        ("wants a short one", vec![busy(Some(3)), accepted()], 3, sent("a")),
        ("wants a long one", vec![busy(Some(4))], 0, failed.clone()),
        ("once and no more", vec![busy(None), busy(None)], 1, failed.clone()),
        ("no answer then", vec![busy(None), unknown()], 1, Delivered::Unknown),
        ("no clear answer", vec![unknown()], 0, Delivered::Unknown),
        ("wrongly set up", vec![misconfigured()], 0, failed),
    ];
    for (case, script, seconds, result) in cases {
        let routes = routes(&[("a", &fake(&script))]);
        let begun = tokio::time::Instant::now();
        let delivery = deliver(&routes, &[], NOW).await;
        assert_eq!(begun.elapsed(), Duration::from_secs(seconds), "{case}");
        assert_eq!((delivery.attempts.len(), delivery.result), (script.len(), result), "{case}");
    }
    // Not for a login that is over by then, nor where others were asked.
    let (one, other) = (fake(&[busy(None)]), fake(&[busy(None)]));
    let over = || std::future::ready(false);
    let message = message(Channel::Sms);
    let alone = routes(&[("a", &one)]);
    let delivery = alone.deliver_while(&message, &[], &[], || NOW, over).await;
    assert_eq!(asked(&delivery), ["a"]);
    let both = routes(&[("a", &fake(&[busy(None)])), ("b", &other)]);
    assert_eq!(asked(&deliver(&both, &[], NOW).await), ["a", "b"]);
}

#[tokio::test]
async fn gateways_that_lost_a_code_are_not_asked_for_it_again() {
    let cases: [(&[&str], &[&str]); 4] = [
        (&[], &["a", "b", "c"]),
        (&["a"], &["b", "c"]),
        (&["c", "a"], &["b"]),
        (&["a", "b", "c"], &[]),
    ];
    for (lost_by, order) in cases {
        let all = fake(&[(); 3].map(|()| misconfigured()));
        let routes = routes(&[("a", &all), ("b", &all), ("c", &all)]);
        let except: Vec<_> = lost_by.iter().copied().map(name).collect();
        assert_eq!(routes.has_other(Channel::Sms, &except), !order.is_empty(), "{lost_by:?}");
        let message = message(Channel::Sms);
        let delivery =
            routes.deliver_while(&message, &[], &except, || NOW, || std::future::ready(true)).await;
        assert_eq!(asked(&delivery), order, "{lost_by:?}");
        assert_eq!(delivery.result, Delivered::Failed, "{lost_by:?}");
    }
}

#[tokio::test]
async fn nobody_is_asked_for_a_login_that_is_over() {
    // The login ends while this gateway is asked.
    let cases = [
        (1, &["a"][..], unknown(), Delivered::Unknown),
        (1, &["a"], retryable(), Delivered::Failed),
        (2, &["a", "b"], unknown(), Delivered::Unknown),
        (3, &["a", "b", "c"], retryable(), Delivered::Failed),
    ];
    for (ends, order, outcome, result) in cases {
        let all = fake(&vec![outcome; ends]);
        let routes = routes(&[("a", &all), ("b", &all), ("c", &all)]);
        let wanted = || std::future::ready(all.seen.lock().unwrap().len() < ends);
        let delivery = routes.deliver_while(&message(Channel::Sms), &[], &[], || NOW, wanted).await;
        assert_eq!((asked(&delivery).as_slice(), &delivery.result), (order, &result), "{ends}");
    }
    // The first one is asked in any case: the order is younger than any answer could be.
    let one = fake(&[accepted()]);
    let routes = routes(&[("a", &one)]);
    let over = || std::future::ready(false);
    let delivery = routes.deliver_while(&message(Channel::Sms), &[], &[], || NOW, over).await;
    assert_eq!(delivery.result, sent("a"));
}

#[test]
fn a_gateway_that_cannot_tell_is_never_asked() {
    let routes = routes(&[("a", &fake(&[]))]);
    let (message, id) = (message(Channel::Sms), VendorMessageId("m-1".to_owned()));
    for gateway in ["a", "gone"] {
        assert!(routes.status(&name(gateway), &message, &id).is_none(), "{gateway}");
    }
}

#[tokio::test]
async fn a_gateway_that_keeps_failing_rests_and_is_probed() {
    let a = fake(&[unknown(), retryable(), misconfigured(), unknown(), retryable(), accepted()]);
    let b = fake(&vec![accepted(); 6]);
    let routes = routes(&[("a", &a), ("b", &b)]);
    for _ in 0..5 {
        assert_eq!(asked(&deliver(&routes, &[], NOW).await), ["a", "b"]);
    }
    assert_eq!(asked(&deliver(&routes, &[], NOW).await), ["b"], "a rests");
    let later = NOW.after(Duration::from_secs(30));
    let health = routes.health();
    assert_eq!(health[0].state, GatewayState::Resting { until: later });
    assert_eq!((health[0].kind, health[0].last_reason.as_deref()), ("fake", Some("busy")));
    assert_eq!(health[1].state, GatewayState::Ready);

    assert_eq!(asked(&deliver(&routes, &[], later).await), ["a"], "the probe");
    assert_eq!(routes.health()[0].state, GatewayState::Ready);
    assert_eq!(routes.health()[0].last_reason, None);
}

#[tokio::test]
async fn no_login_is_refused_because_of_a_breaker() {
    let failures = vec![retryable(); 5];
    let a = fake(&[failures.as_slice(), &[retryable(), accepted()]].concat());
    let b = fake(&[failures.as_slice(), &[accepted()]].concat());
    let routes = routes(&[("a", &a), ("b", &b)]);
    for _ in 0..5 {
        assert_eq!(deliver(&routes, &[], NOW).await.result, Delivered::Failed);
    }
    let delivery = deliver(&routes, &[], NOW).await;
    assert_eq!((asked(&delivery), delivery.result.clone()), (vec!["a", "b"], sent("b")));
    // b is in use again; a rests, and is asked only once b has failed.
    *b.script.lock().unwrap() = VecDeque::from([retryable()]);
    let delivery = deliver(&routes, &[], NOW).await;
    assert_eq!((asked(&delivery), delivery.result.clone()), (vec!["b", "a"], sent("a")));
}

#[tokio::test]
async fn a_bad_number_says_nothing_against_the_gateway() {
    let a = fake(&[vec![rejected(); 6], vec![Outcome::OptedOut; 6]].concat());
    let routes = routes(&[("a", &a)]);
    for _ in 0..12 {
        assert_eq!(asked(&deliver(&routes, &[], NOW).await), ["a"]);
    }
    assert_eq!(routes.health()[0].state, GatewayState::Ready);
}

#[tokio::test]
async fn time_runs_during_a_delivery() {
    let all = fake(&[retryable(), unknown()]);
    let routes = routes(&[("a", &all), ("b", &all), ("c", &all)]);
    // Each attempt takes two of the message's four minutes.
    let asked_before = || u32::try_from(all.seen.lock().unwrap().len()).unwrap();
    let clock = || NOW.after(Duration::from_mins(2) * asked_before());
    let message = Message { valid_for: Duration::from_mins(4), ..message(Channel::Sms) };
    let delivery = routes.deliver(&message, &[], clock).await;
    assert_eq!(asked(&delivery), ["a", "b"], "an expired code is not sent");
    assert_eq!(delivery.result, Delivered::Unknown);
    let left: Vec<_> = all.seen.lock().unwrap().iter().map(|m| m.valid_for.as_secs()).collect();
    assert_eq!(left, [240, 120]);
}

#[tokio::test]
async fn channels_have_their_own_orders() {
    let (a, b) = (fake(&[accepted()]), fake(&[accepted()]));
    let gateways = || -> Vec<(GatewayName, Box<dyn Gateway>)> {
        vec![(name("a"), Box::new(a.clone())), (name("b"), Box::new(b.clone()))]
    };
    let routes = Routes::new(gateways(), &[name("a")], &[name("b")]).unwrap();
    for (channel, by) in [(Channel::Sms, "a"), (Channel::Voice, "b")] {
        let delivery = routes.deliver(&message(channel), &[], || NOW).await;
        assert_eq!(delivery.result, sent(by));
    }
    let sms_only = Routes::new(gateways(), &[name("a")], &[]).unwrap();
    assert!(!sms_only.has_voice());
    let delivery = sms_only.deliver(&message(Channel::Voice), &[], || NOW).await;
    assert_eq!(delivery, Delivery { attempts: vec![], result: Delivered::Failed });
}

#[test]
fn names_are_checked_when_routes_are_set_up() {
    let silent = Fake { voice: false, ..fake(&[]) };
    let gateways = |names: &[&str]| {
        let boxed = |key: &&str| (name(key), Box::new(silent.clone()) as Box<dyn Gateway>);
        names.iter().map(boxed).collect::<Vec<_>>()
    };
    let error = |names: &[&str], sms: &[GatewayName], voice: &[GatewayName]| {
        Routes::new(gateways(names), sms, voice).unwrap_err().to_string()
    };
    assert_eq!(error(&["a", "a"], &[], &[]), "gateway a is defined twice");
    assert_eq!(
        error(&["a"], &[name("b")], &[]),
        "`delivery.sms` names b, but there is no [gateway.b]"
    );
    assert_eq!(
        error(&["a"], &[name("a")], &[name("a")]),
        "`delivery.voice` names a, which carries no such messages; a gateway of kind fake may \
         need {channel} in its body"
    );
    assert!(matches!(
        Routes::new(gateways(&["a"]), &[name("x")], &[]),
        Err(OpenError::NoGateway { channel: "sms", .. })
    ));
}

#[test]
fn a_delivery_may_run_in_a_task() {
    fn is_send(_: impl Send) {}
    let routes = routes(&[]);
    let message = message(Channel::Sms);
    is_send(routes.deliver(&message, &[], || NOW));
}

#[tokio::test]
async fn each_gateway_is_told_its_own_place_to_report_to() {
    let (main, other) = (fake(&[unknown()]), fake(&[accepted()]));
    let url = zeroize::Zeroizing::new("https://h.example/receipts/main".to_owned());
    let urls = std::collections::BTreeMap::from([(name("main"), url.clone())]);
    let routes = routes(&[("main", &main), ("other", &other)]).reporting(urls);
    assert_eq!(deliver(&routes, &[], NOW).await.result, sent("other"));
    let told = |fake: &Fake| fake.seen.lock().unwrap().first().and_then(|m| m.report_url.clone());
    assert_eq!((told(&main), told(&other)), (Some(url), None));
}
