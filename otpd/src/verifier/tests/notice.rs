//! What vendors tell by themselves.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use otp_proto::{Secret, login::Verdict};
use rand::RngExt;
use tokio::sync::mpsc;
use zeroize::Zeroizing;

use super::{House, Outcome, Scripted, Typed, accepted, code, follow::pass, site_with};
use crate::{
    config::{Message as Text, MessageTemplate},
    conversation,
    domain::{
        audit::Event,
        challenge::CodeRules,
        enrollment::State,
        login::{Cause, Progress, Terms},
        manage::Verb,
        policy::Policy,
        proof::Refusal,
        records::{Decided, Records},
    },
    gateway::{
        Gateway, GatewayName, Keyword, Notice, Status, VendorMessageId, callback::Mark,
        route::Routes,
    },
    random,
    store::Scope,
    verifier::{Arrival, EnrollRequest, Failure, Site, TestFailure, TestRequest, follow::FOLLOWED},
};

fn failed(cause: Cause) -> Status {
    // The vendor repeats the number, which must not be written down.
    Status::Failed { reason: "40006 +12025550142 unreachable".to_owned(), cause }
}

impl House {
    async fn told(&self, gateway: &str, status: Status) {
        let id = VendorMessageId("id-1".into());
        let notice = Notice::Progress { id, status };
        self.verifier.notice(&GatewayName(gateway.into()), notice).await;
    }

    fn passes(&self, milliseconds: i64) {
        self.now.lock().unwrap().0 += milliseconds;
    }

    async fn hint(&self, gateway: &str) {
        let id = VendorMessageId("id-1".into());
        self.verifier.notice(&GatewayName(gateway.into()), Notice::Hint { id }).await;
    }

    async fn writes(&self, from: &str, keyword: Keyword) {
        let from = from.parse().expect("a number");
        let (mark, id) = (Mark(random::system().random()), None);
        let notice = Notice::Inbound { from, keyword, mark, id };
        self.verifier.notice(&GatewayName("first".into()), notice).await;
    }

    /// What was written down about messages after vendors took them, and about opt-outs.
    async fn ends(&self) -> Vec<String> {
        // What was decided before is written down before this is.
        let nothing = |records: &Records, _| Decided {
            records: records.clone(),
            audit: Vec::new(),
            answer: (),
        };
        let scope = Scope::Account(self.root.account.clone());
        self.verifier.store.transact(scope, nothing).await.expect("a commit");
        let events = self.audit.lock().unwrap();
        let of = |event: &Event| match event {
            Event::MessageUndelivered { gateway, then, reason, .. } => {
                assert!(!reason.contains("5550142"), "{reason}");
                Some(format!("{gateway} lost: {then}"))
            }
            Event::MessageStatus { gateway, status, .. } => Some(format!("{gateway} {status}")),
            Event::OptedOut { ending, gateway } => Some(format!("out ..{ending} {gateway}")),
            Event::OptedIn { ending, gateway } => Some(format!("in ..{ending} {gateway:?}")),
            _ => None,
        };
        events.iter().filter_map(|event| of(&event.event)).collect()
    }

    /// A vendor is asked, and says this.
    async fn vendor_says(&mut self, status: Status) {
        let asked = self.asked.recv().await.expect("a question");
        assert_eq!((asked.gateway, asked.id.as_str()), ("first", "id-1"));
        asked.tell.send(status).expect("it waits");
    }

    async fn nobody_is_asked(&mut self) {
        while self.verifier.courier.followed.available_permits() < FOLLOWED {
            tokio::task::yield_now().await;
        }
        assert!(self.asked.try_recv().is_err());
    }
}

/// A house where nothing is followed yet: the proof's message is at its end.
async fn house() -> House {
    let mut house = House::new().await;
    house.told("first", Status::Unconfirmed).await;
    house.nobody_is_asked().await;
    assert_eq!(house.ends().await, ["first unconfirmed"]);
    house.audit.lock().unwrap().clear();
    house
}

#[tokio::test]
async fn a_receipt_ends_the_asking_and_is_written_down_once() {
    for (status, expected) in
        [(Status::Delivered, "first delivered"), (Status::Unconfirmed, "first unconfirmed")]
    {
        let mut house = house().await;
        let (token, _, code) = house.begin().await;
        house.told("first", Status::UnderWay).await;
        assert_eq!(house.verifier.courier.followed.available_permits(), FOLLOWED - 1);
        for _ in 0..3 {
            house.told("first", status.clone()).await;
        }
        house.told("first", failed(Cause::Route)).await;
        // Without a second of waiting.
        house.nobody_is_asked().await;
        assert_eq!(house.ends().await, [expected]);
        assert!(house.vendors.try_recv().is_err());
        assert_eq!(house.answer(token, &code).await, Some(Verdict::Granted));
    }
}

#[tokio::test]
async fn a_receipt_of_a_loss_sends_by_the_next_gateway_at_once_and_once() {
    let mut house = house().await;
    let (token, _, first) = house.begin().await;
    let (one, other) = (failed(Cause::Route), failed(Cause::Route));
    tokio::join!(house.told("first", one), house.told("first", other));
    let handed = house.vendors.recv().await.expect("a message");
    assert_eq!((handed.gateway, code(&handed.text)), ("second", first.clone()));
    handed.settle.send(accepted()).expect("it waits");
    house.verifier.drained().await;
    house.told("first", Status::Delivered).await;
    assert_eq!(house.ends().await, ["first lost: sent-again"]);
    let sends = house.verifier.show(&house.root).await.expect("a read").expect("enrolled").sends;
    assert_eq!(sends, 2, "charged like any message");
    house.told("second", Status::Delivered).await;
    assert_eq!(house.ends().await, ["first lost: sent-again", "second delivered"]);
    house.nobody_is_asked().await;
    assert_eq!(house.answer(token, &first).await, Some(Verdict::Granted));
}

#[tokio::test]
async fn a_poll_and_a_receipt_about_one_message_are_one() {
    let mut house = house().await;
    house.begin().await;
    pass(5).await;
    let asked = house.asked.recv().await.expect("a question");
    house.told("first", Status::Delivered).await;
    // The task that asked has ended; its answer comes too late.
    house.nobody_is_asked().await;
    assert!(asked.tell.send(failed(Cause::Route)).is_err());
    assert_eq!(house.ends().await, ["first delivered"]);
}

#[tokio::test]
async fn a_receipt_that_comes_before_the_vendors_own_reply_is_not_lost() {
    let mut house = house().await;
    let verifier = Arc::clone(&house.verifier);
    let (begun, text) = tokio::join!(verifier.begin(House::claim()), async {
        let handed = house.vendors.recv().await.expect("a message");
        house.told("first", failed(Cause::Route)).await;
        handed.settle.send(accepted()).expect("it waits");
        house.accept().await
    });
    house.verifier.drained().await;
    assert_eq!(house.ends().await, ["first lost: sent-again"]);
    let token = begun.0.expect("a challenge");
    assert_eq!(house.answer(token, &code(&text)).await, Some(Verdict::Granted));
}

#[tokio::test]
async fn what_nobody_sent_is_ignored_and_counted() {
    let house = house().await;
    let before = house.verifier.unknown_receipts();
    for status in [Status::Delivered, failed(Cause::OptedOut), failed(Cause::Route)] {
        house.told("third", status).await;
    }
    house.hint("third").await;
    assert_eq!(house.verifier.unknown_receipts(), before + 3);
    assert!(house.ends().await.is_empty());
}

#[tokio::test]
async fn a_hint_has_the_vendor_asked_at_once_but_not_without_end() {
    let mut house = house().await;
    house.begin().await;
    for _ in 0..5 {
        house.hint("first").await;
    }
    let asked = house.asked.recv().await.expect("a question");
    asked.tell.send(Status::UnderWay).expect("it waits");
    pass(3).await;
    assert!(house.asked.try_recv().is_err(), "asked once for five hints");
    house.hint("first").await;
    let asked = house.asked.recv().await.expect("a question");
    asked.tell.send(Status::Delivered).expect("it waits");
    house.nobody_is_asked().await;
    assert_eq!(house.ends().await, ["first delivered"]);
}

#[tokio::test]
async fn a_loss_of_the_last_run_s_message_brings_a_fresh_code_by_the_next_gateway() {
    let mut house = house().await;
    let (token, _, lost) = house.begin().await;
    let mut house = house.crash().await;
    house.passes(1);
    house.verifier.recover_lost().await;
    let (one, other) = (failed(Cause::Route), failed(Cause::Route));
    tokio::join!(house.told("first", one), house.told("first", other));
    house.vendor_says(failed(Cause::Route)).await;
    let handed = house.vendors.recv().await.expect("a message");
    let fresh = code(&handed.text);
    assert_eq!(handed.gateway, "second");
    assert_ne!(fresh, lost);
    handed.settle.send(accepted()).expect("it waits");
    house.verifier.drained().await;
    house.told("first", Status::Delivered).await;
    assert_eq!(house.ends().await, ["first lost: sent-again"]);
    assert_eq!(house.verifier.unknown_receipts(), 1, "it was told after the end of it");
    assert_eq!(house.answer(token, &lost).await, None, "recognised, no try");
    assert_eq!(house.answer(token, &fresh).await, Some(Verdict::Granted));
    assert!(house.vendors.try_recv().is_err());
}

#[tokio::test]
async fn a_false_loss_of_the_last_run_s_message_leaves_its_code_alone() {
    for (status, expected) in [
        (Status::Delivered, &["first delivered"][..]),
        (Status::UnderWay, &[]),
        (Status::Unknown("HTTP 500".to_owned()), &[]),
    ] {
        let mut house = house().await;
        let (token, _, code) = house.begin().await;
        let mut house = house.crash().await;
        house.passes(1);
        house.verifier.recover_lost().await;
        house.told("first", failed(Cause::Route)).await;
        house.vendor_says(status.clone()).await;
        // What it said is acted on by the task that asked, which has its place until then; another
        // waits to ask in the seconds to come, unless the message is at its end.
        let left = FOLLOWED - usize::from(expected.is_empty());
        while house.verifier.courier.followed.available_permits() < left {
            tokio::task::yield_now().await;
        }
        assert_eq!(house.ends().await, expected, "{status:?}");
        assert!(house.vendors.try_recv().is_err(), "{status:?}");
        assert_eq!(house.answer(token, &code).await, Some(Verdict::Granted), "{status:?}");
    }
}

#[tokio::test]
async fn a_loss_of_the_last_run_s_message_is_believed_where_its_vendor_cannot_be_asked() {
    let mut house = house().await;
    let (token, _, lost) = house.begin().await;
    let mut house = house.crash().await;
    house.mute.store(true, Ordering::Relaxed);
    house.passes(1);
    house.verifier.recover_lost().await;
    house.told("first", failed(Cause::Route)).await;
    let handed = house.vendors.recv().await.expect("a message");
    assert_eq!(handed.gateway, "second");
    handed.settle.send(accepted()).expect("it waits");
    house.verifier.drained().await;
    assert_eq!(house.answer(token, &lost).await, None, "recognised, no try");
}

#[tokio::test]
async fn a_fresh_code_for_the_last_run_s_message_goes_by_the_rules_that_hold_then() {
    let mut house = house().await;
    let (token, _, _) = house.begin().await;
    let mut house = house.crash().await;
    house.passes(1);
    house.verifier.recover_lost().await;
    let old = house.verifier.site();
    let rules = CodeRules { digits: 8, ..old.terms.rules };
    house.verifier.replace_site(Site {
        policy: Policy::default(),
        terms: Arc::new(Terms { rules, ..(*old.terms).clone() }),
        message: Text {
            template: MessageTemplate::parse("{code} for {host}, ref {ref}", "web02")
                .expect("fits"),
            host: "web02".into(),
        },
        delivery: old.delivery.clone(),
        routes: Arc::clone(&old.routes),
        public_url: None,
        admin_group: old.admin_group.clone(),
        keep_audit: old.keep_audit,
    });
    house.told("first", failed(Cause::Route)).await;
    house.vendor_says(failed(Cause::Route)).await;
    let handed = house.vendors.recv().await.expect("a message");
    assert!(handed.text.contains(" for web02, ref "), "{}", handed.text);
    let fresh = code(&handed.text);
    assert_eq!(fresh.len(), 8);
    handed.settle.send(accepted()).expect("it waits");
    house.verifier.drained().await;
    assert_eq!(house.answer(token, &fresh).await, Some(Verdict::Granted));
}

#[tokio::test]
async fn a_proof_of_the_last_run_that_did_not_arrive_is_left_to_the_administrator() {
    let mut house = House::empty().await;
    let phone = Secret::new("+12025550142".into());
    let request = EnrollRequest { phone, channel: None, replace: false };
    let (verifier, root) = (Arc::clone(&house.verifier), house.root.clone());
    let (enrolled, text) = tokio::join!(verifier.enroll(&root, request, 0), house.accept());
    enrolled.expect("a good number");
    drop(verifier);
    let mut house = house.crash().await;
    house.passes(1);
    house.verifier.recover_lost().await;
    house.told("first", failed(Cause::Route)).await;
    house.vendor_says(failed(Cause::Route)).await;
    while house.ends().await.is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(house.ends().await, ["first lost: left-to-administrator"]);
    assert!(house.vendors.try_recv().is_err(), "nothing is sent again");
    let proved = house.verifier.verify(&root, Typed::new(&code(&text)), 0).await;
    proved.expect("it came after all");
}

#[tokio::test]
async fn what_comes_before_the_last_run_s_messages_are_found_waits_for_them() {
    let mut house = house().await;
    let (token, _, code) = house.begin().await;
    let house = house.crash().await;
    house.passes(1);
    house.told("first", Status::Delivered).await;
    assert!(house.ends().await.is_empty());
    house.verifier.recover_lost().await;
    while house.ends().await.is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(house.ends().await, ["first delivered"]);
    assert_eq!(house.answer(token, &code).await, Some(Verdict::Granted));
}

#[tokio::test]
async fn the_last_run_s_messages_are_asked_after_too() {
    let mut house = house().await;
    house.begin().await;
    let mut house = house.crash().await;
    house.passes(1);
    house.verifier.recover_lost().await;
    pass(5).await;
    let asked = house.asked.recv().await.expect("a question");
    assert_eq!((asked.gateway, asked.id.as_str()), ("first", "id-1"));
    asked.tell.send(failed(Cause::Route)).expect("it waits");
    let handed = house.vendors.recv().await.expect("a message");
    assert_eq!(handed.gateway, "second");
    handed.settle.send(accepted()).expect("it waits");
    house.verifier.drained().await;
    assert_eq!(house.ends().await, ["first lost: sent-again"]);
}

#[tokio::test]
async fn of_the_last_run_s_messages_only_those_that_somebody_waits_for_are_followed() {
    type Then = fn(&House);
    let cases: [(&str, bool, Then); 3] = [
        ("granted", true, |_| {}),
        ("out of time", false, |house| house.passes(300_000)),
        ("not of an earlier run", false, |_| {}),
    ];
    for (name, granted, then) in cases {
        let mut house = house().await;
        let (token, _, code) = house.begin().await;
        if granted {
            assert_eq!(house.answer(token, &code).await, Some(Verdict::Granted));
        }
        let house = house.crash().await;
        then(&house);
        house.verifier.recover_lost().await;
        house.told("first", failed(Cause::Route)).await;
        assert!(house.ends().await.is_empty(), "{name}");
        assert_eq!(house.verifier.unknown_receipts(), 1, "{name}");
    }
}

#[tokio::test]
async fn stop_is_heard_and_start_and_an_unlocking() {
    let house = house().await;
    let root = house.root.clone();
    let shown = async |house: &House| {
        let shown = house.verifier.show(&root).await.expect("a read").expect("enrolled");
        shown.opted_out.map(|opted_out| opted_out.gateway)
    };
    house.writes("+12025550142", Keyword::Help).await;
    house.writes("+12025550142", Keyword::Other).await;
    assert!(house.audit.lock().unwrap().is_empty(), "the vendor answers HELP");
    house.writes("+12025550142", Keyword::Stop).await;
    house.writes("+12025550142", Keyword::Stop).await;
    house.writes("+12025550199", Keyword::Stop).await;
    assert_eq!(house.ends().await, ["out ..42 first"]);
    assert_eq!(shown(&house).await.as_deref(), Some("first"));
    let (token, step) = house.verifier.begin(House::claim()).await;
    assert_eq!((token, step.verdict), (None, Some(Verdict::Denied)));
    assert!(step.text.expect("words").contains("ending 42 were stopped by a reply with STOP."));
    // Also not to see whether a gateway works.
    let trial =
        TestRequest { phone: Secret::new("+12025550142".into()), gateway: None, voice: false };
    let refused = house.verifier.test_message(trial, 0).await;
    assert_eq!(refused, Err(TestFailure::Other(Failure::Refused(Refusal::OptedOut))));
    // It is stored.
    let mut house = house.crash().await;
    assert_eq!(shown(&house).await.as_deref(), Some("first"));
    house.writes("+12025550142", Keyword::Start).await;
    assert_eq!(house.ends().await, ["in ..42 Some(\"first\")"]);
    assert_eq!(shown(&house).await, None);
    house.writes("+12025550142", Keyword::Stop).await;
    let done = house.verifier.manage(&root, Verb::Unlock, 0).await.expect("a commit");
    assert!(done.expect("enrolled").opted_in);
    let mut claim = House::claim();
    claim.connection = Some("203.0.113.9 50009 192.0.2.1 22 1".into());
    let verifier = Arc::clone(&house.verifier);
    let (begun, words) = tokio::join!(verifier.begin(claim), house.accept());
    let (token, code) = (begun.0.expect("a challenge"), code(&words));
    assert_eq!(house.answer(token, &code).await, Some(Verdict::Granted));
}

#[tokio::test]
async fn a_vendor_that_refuses_for_an_opt_out_ends_all_sending() {
    let mut house = house().await;
    let verifier = Arc::clone(&house.verifier);
    let (begun, _) = tokio::join!(verifier.begin(House::claim()), house.settle(Outcome::OptedOut));
    let prompt = begun.1.prompt.expect("a prompt").text;
    assert!(prompt.contains("ending 42 were stopped by a reply with STOP."), "{prompt}");
    assert!(house.vendors.try_recv().is_err(), "another sender would be a way around it");
    assert_eq!(house.ends().await, ["out ..42 first"]);
    let mut claim = House::claim();
    claim.connection = Some("203.0.113.9 50009 192.0.2.1 22 1".into());
    let (token, step) = verifier.begin(claim).await;
    assert_eq!((token, step.verdict), (None, Some(Verdict::Denied)));
    assert!(step.text.expect("words").contains("ending 42 were stopped by a reply with STOP."));
    assert!(house.vendors.try_recv().is_err(), "no vendor is asked again");
    let listed = verifier.page(None).await.expect("a list");
    assert!(listed.iter().all(|row| row.opted_out.is_some()));
}

#[tokio::test]
async fn a_number_that_opted_out_is_enrolled_again_and_unlocked() {
    let mut house = house().await;
    let (verifier, root) = (Arc::clone(&house.verifier), house.root.clone());
    house.writes("+12025550142", Keyword::Stop).await;
    verifier.manage(&root, Verb::Remove, 0).await.expect("a commit").expect("enrolled");
    let phone = Secret::new("+12025550142".into());
    let request = EnrollRequest { phone, channel: None, replace: false };
    let (enrollment, placed) = verifier.enroll(&root, request, 0).await.expect("entered");
    assert_eq!((enrollment.state, placed.progress), (State::Pending, Progress::Stopped));
    assert!(placed.reason.expect("why").ends_with("and then run: otpctl unlock root"));
    let stopped = Some(Failure::Refused(Refusal::OptedOut));
    assert_eq!(verifier.resend(&root, false, 0).await.err(), stopped);
    verifier.manage(&root, Verb::Unlock, 0).await.expect("a commit").expect("enrolled");
    let (placed, text) = tokio::join!(verifier.resend(&root, false, 0), house.accept());
    assert_eq!(placed.expect("a message").progress, Progress::Sent);
    verifier.verify(&root, Typed::new(&code(&text)), 0).await.expect("the right code");
    assert!(house.vendors.try_recv().is_err(), "one message, after the unlocking");
}

#[tokio::test]
async fn of_an_opt_out_that_no_account_could_lift_nothing_is_kept() {
    let mut house = House::empty().await;
    let (verifier, root) = (Arc::clone(&house.verifier), house.root.clone());
    let phone = || Secret::new("+12025550177".into());
    let trial = TestRequest { phone: phone(), gateway: None, voice: false };
    let (tested, _) =
        tokio::join!(verifier.test_message(trial, 0), house.settle(Outcome::OptedOut));
    assert_eq!(tested.expect("an answer").progress, Progress::Stopped);
    house.writes("+12025550177", Keyword::Stop).await;
    assert!(house.ends().await.is_empty());
    let request = EnrollRequest { phone: phone(), channel: None, replace: false };
    let (enrolled, _) = tokio::join!(verifier.enroll(&root, request, 0), house.accept());
    assert_eq!(enrolled.expect("entered").1.progress, Progress::Sent);
}

#[tokio::test]
async fn only_an_enrollment_tells_the_number_that_it_replaces() {
    let request = || EnrollRequest {
        phone: Secret::new("+12025550177".into()),
        channel: None,
        replace: true,
    };
    let mut house = house().await;
    let (verifier, root) = (Arc::clone(&house.verifier), house.root.clone());
    verifier.register(&root, request(), 0).await.expect("entered");
    verifier.drained().await;
    assert!(house.vendors.try_recv().is_err(), "a list sends nothing");
    let mut house = self::house().await;
    let (verifier, root) = (Arc::clone(&house.verifier), house.root.clone());
    let (enrolled, texts) = tokio::join!(verifier.enroll(&root, request(), 0), async {
        [house.accept().await, house.accept().await]
    });
    enrolled.expect("entered");
    verifier.drained().await;
    let notice = conversation::replaced_text("web01");
    assert_eq!(texts.iter().filter(|text| **text == *notice).count(), 1, "{texts:?}");
}

#[tokio::test]
async fn a_test_message_is_followed_until_its_end_is_known() {
    let test = || TestRequest {
        phone: Secret::new("+12025550177".into()),
        gateway: Some("first".into()),
        voice: false,
    };
    let cases = [
        (Status::Delivered, (Arrival::Delivered, None), "first delivered"),
        (Status::Unconfirmed, (Arrival::Unconfirmed, None), "first unconfirmed"),
        (
            Status::Failed { reason: "40008 no +12025550177".to_owned(), cause: Cause::Route },
            (Arrival::Undelivered, Some("40008 no +1 ••• ••• ••77".to_owned())),
            "first lost: left-to-administrator",
        ),
    ];
    for by_receipt in [false, true] {
        for (status, arrival, noted) in &cases {
            let mut house = House::empty().await;
            let verifier = Arc::clone(&house.verifier);
            let (tested, _asked) = tokio::join!(verifier.test_message(test(), 0), async {
                house.accept().await;
                house.verifier.drained().await;
                for _ in 0..3 {
                    tokio::task::yield_now().await;
                }
                pass(1).await;
                let asked = house.asked.recv().await.expect("a question");
                if by_receipt {
                    house.told("first", status.clone()).await;
                    return Some(asked);
                }
                asked.tell.send(status.clone()).expect("it waits");
                None
            });
            let tested = tested.expect("a message");
            assert_eq!(tested.arrival.as_ref(), Some(arrival), "{by_receipt}");
            assert_eq!(house.ends().await, [*noted]);
            assert!(house.vendors.try_recv().is_err(), "nothing is sent again");
        }
    }
}

#[tokio::test]
async fn the_end_of_a_test_call_is_told_by_our_name_for_it() {
    let house = House::empty().await;
    let verifier = Arc::clone(&house.verifier);
    let (handed, mut vendors) = mpsc::unbounded_channel();
    let (asked, _asked) = mpsc::unbounded_channel();
    let (name, mute) = (GatewayName("caller".into()), Arc::new(AtomicBool::new(true)));
    let caller: Box<dyn Gateway> = Box::new(Scripted { name: "caller", handed, asked, mute });
    let order = [name.clone()];
    let reports = BTreeMap::from([(name.clone(), Zeroizing::new(String::new()))]);
    let routes = Routes::new(vec![(name.clone(), caller)], &order, &order).expect("it exists");
    let old = verifier.site();
    verifier.replace_site(Site {
        terms: Arc::new(Terms { voice: true, ..(*old.terms).clone() }),
        ..site_with(&old, routes.reporting(reports))
    });
    let phone = Secret::new("+12025550177".into());
    let test = TestRequest { phone, gateway: None, voice: true };
    let (tested, ()) = tokio::join!(verifier.test_message(test, 0), async {
        let call = vendors.recv().await.expect("a call");
        call.settle.send(Outcome::Accepted { vendor_id: None }).expect("it waits");
        let id = VendorMessageId("v3:1".into());
        let notice = Notice::Call { ours: call.id, id, status: Status::Delivered };
        house.verifier.notice(&name, notice).await;
    });
    assert_eq!(tested.expect("a call").arrival, Some((Arrival::Delivered, None)));
    assert_eq!(house.ends().await, ["caller delivered"]);
    let events = house.audit.lock().unwrap();
    let named = |event: &Event| matches!(event, Event::MessageStatus { vendor_id, .. } if vendor_id == "v3:1");
    assert!(events.iter().any(|event| named(&event.event)), "by the name that it was told with");
}

#[tokio::test]
async fn a_test_message_of_which_nothing_is_heard_is_under_way() {
    let mut house = House::empty().await;
    let verifier = Arc::clone(&house.verifier);
    let phone = Secret::new("+12025550177".into());
    let test = TestRequest { phone, gateway: None, voice: false };
    let (tested, _asked) = tokio::join!(verifier.test_message(test, 0), async {
        house.accept().await;
        house.verifier.drained().await;
        for _ in 0..3 {
            tokio::task::yield_now().await;
        }
        pass(1).await;
        // The vendor never answers this.
        let asked = house.asked.recv().await.expect("a question");
        pass(9).await;
        asked
    });
    assert_eq!(tested.expect("a message").arrival, Some((Arrival::UnderWay, None)));
    assert!(house.ends().await.is_empty());
}
