//! Messages after a vendor took them.

use std::{sync::Arc, time::Duration};

use otp_proto::login::Verdict;

use super::{Asked, Attendance, Claim, Handed, House, Outcome, Status, accepted, code};
use crate::{
    domain::{
        account::Account,
        audit::Event,
        challenge::Delivery,
        login::{Cause, Typed},
        manage::Verb,
        records::{Decided, Records},
        time::Timestamp,
    },
    gateway::{GatewayName, VendorMessageId},
    store::Scope,
    verifier::{
        follow::FOLLOWED,
        taken::{Code, Key, Names, Taken, What},
    },
};

/// Lets the runtime's time pass, and what then falls due begin.
pub(super) async fn pass(seconds: u64) {
    tokio::time::pause();
    tokio::time::advance(Duration::from_millis(seconds * 1000 + 1)).await;
    tokio::time::resume();
}

fn failed(cause: Cause) -> Status {
    Status::Failed { reason: "delivery_failed: 40006 Carrier down".to_owned(), cause }
}

impl House {
    async fn asked(&mut self) -> Asked {
        self.asked.recv().await.expect("a question")
    }

    async fn handed(&mut self) -> Handed {
        self.vendors.recv().await.expect("a message")
    }

    /// What was done about messages that did not arrive.
    fn undelivered(&self) -> Vec<(String, String, &'static str)> {
        let events = self.audit.lock().unwrap();
        let of = |event: &Event| match event {
            Event::MessageUndelivered { gateway, vendor_id, then, reason } => {
                assert_eq!(reason, "delivery_failed: 40006 Carrier down");
                Some((gateway.clone(), vendor_id.clone(), *then))
            }
            _ => None,
        };
        events.iter().filter_map(|event| of(&event.event)).collect()
    }

    /// Waits until a report was decided on.
    async fn reported(&self, count: usize) {
        while self.undelivered().len() < count {
            tokio::task::yield_now().await;
        }
    }

    /// Nobody asks, however much time passes and whatever is ready to run.
    async fn nobody_asks(&mut self) {
        pass(60).await;
        // Whether somebody still waits is read from the store; a read behind it comes after it.
        for _ in 0..2 {
            self.verifier.show(&self.root).await.expect("a read");
            tokio::task::yield_now().await;
        }
        assert!(self.asked.try_recv().is_err());
    }
}

/// A house where nothing is followed yet: the proof's message is at its end.
async fn house() -> House {
    let house = House::new().await;
    pass(5).await;
    // The number is proved, so nobody waits for that message.
    while house.verifier.courier.followed.available_permits() < FOLLOWED {
        tokio::task::yield_now().await;
    }
    house
}

#[tokio::test]
async fn a_code_that_did_not_arrive_is_brought_by_the_next_gateway() {
    let mut house = house().await;
    let (token, _, first) = house.begin().await;
    pass(5).await;
    let asked = house.asked().await;
    assert_eq!((asked.gateway, asked.id.as_str()), ("first", "id-1"));
    asked.tell.send(failed(Cause::Route)).expect("it waits");
    let handed = house.handed().await;
    assert_eq!((handed.gateway, code(&handed.text)), ("second", first.clone()));
    house.reported(1).await;
    assert_eq!(house.undelivered(), [("first".into(), "id-1".into(), "sent-again")]);
    handed.settle.send(accepted()).expect("it waits");
    house.verifier.drained().await;
    let sends = house.verifier.show(&house.root).await.expect("a read").expect("enrolled").sends;
    assert_eq!(sends, 2, "charged like any message");

    // And when that does not arrive either, there is no third way.
    pass(5).await;
    let asked = house.asked().await;
    assert_eq!(asked.gateway, "second");
    asked.tell.send(failed(Cause::Route)).expect("it waits");
    house.reported(2).await;
    assert_eq!(house.undelivered()[1].2, "no-other-gateway");
    house.nobody_asks().await;
    assert!(house.vendors.try_recv().is_err());
    assert_eq!(house.answer(token, &first).await, Some(Verdict::Granted));
}

#[tokio::test]
async fn a_vendor_is_asked_four_times_and_then_no_more() {
    let mut house = house().await;
    house.begin().await;
    let mut answers =
        [Status::UnderWay, Status::Unknown("HTTP 500".to_owned())].into_iter().cycle();
    for wait in [5, 5, 10, 20] {
        pass(wait - 2).await;
        tokio::task::yield_now().await;
        assert!(house.asked.try_recv().is_err(), "{wait}");
        pass(2).await;
        let status = answers.next().expect("one of two");
        house.asked().await.tell.send(status).expect("it waits");
    }
    house.nobody_asks().await;
    assert!(house.undelivered().is_empty());
}

#[tokio::test]
async fn an_end_is_an_end() {
    for status in [Status::Delivered, Status::Unconfirmed] {
        let mut house = house().await;
        house.begin().await;
        pass(5).await;
        house.asked().await.tell.send(status).expect("it waits");
        house.nobody_asks().await;
        assert!(house.undelivered().is_empty());
    }
}

#[tokio::test]
async fn who_asked_for_an_end_to_messages_gets_none() {
    for (cause, then) in [(Cause::OptedOut, "opted-out"), (Cause::Number, "bad-number")] {
        let mut house = house().await;
        house.begin().await;
        pass(5).await;
        house.asked().await.tell.send(failed(cause)).expect("it waits");
        house.reported(1).await;
        assert_eq!(house.undelivered(), [("first".into(), "id-1".into(), then)]);
        house.nobody_asks().await;
        assert!(house.vendors.try_recv().is_err());
    }
}

#[tokio::test]
async fn nobody_asks_after_what_nobody_waits_for() {
    let mut house = house().await;
    let (token, _, code) = house.begin().await;
    assert_eq!(house.answer(token, &code).await, Some(Verdict::Granted));
    house.nobody_asks().await;

    let (token, _, _) = house.begin().await;
    house.verifier.cancel(token).await;
    house.nobody_asks().await;
}

#[tokio::test]
async fn a_login_that_ends_while_the_vendor_is_asked_gets_no_message() {
    let mut house = house().await;
    let (token, _, code) = house.begin().await;
    pass(5).await;
    let asked = house.asked().await;
    assert_eq!(house.answer(token, &code).await, Some(Verdict::Granted));
    asked.tell.send(failed(Cause::Route)).expect("it waits");
    house.reported(1).await;
    assert_eq!(house.undelivered(), [("first".into(), "id-1".into(), "not-awaited")]);
    house.nobody_asks().await;
    assert!(house.vendors.try_recv().is_err());
}

#[tokio::test]
async fn of_a_login_that_ended_before_its_vendors_reply_no_plain_code_is_kept() {
    let mut house = house().await;
    let (token, _) = house.verifier.begin(House::claim()).await;
    let handed = house.handed().await;
    let token = token.expect("a challenge");
    let typed = code(&handed.text);
    assert_eq!(house.answer(token, &typed).await, Some(Verdict::Granted));
    handed.settle.send(accepted()).expect("it waits");
    house.verifier.drained().await;
    let key = Key::Theirs(GatewayName("first".into()), VendorMessageId("id-1".into()));
    let entry = house.verifier.courier.messages.get(&key).expect("it is listened to");
    let What::Code(code) = &entry.what else { panic!("a code was sent") };
    assert!(code.order().token == token && code.order().code.is_wiped());
}

#[tokio::test]
async fn of_a_login_that_ends_while_its_message_is_written_down_no_plain_code_is_kept() {
    let mut house = house().await;
    let (token, _, _) = house.begin().await;
    let key = Key::Theirs(GatewayName("first".into()), VendorMessageId("id-1".into()));
    let messages = &house.verifier.courier.messages;
    let What::Code(code) = &messages.get(&key).expect("it is listened to").what else {
        panic!("a code was sent")
    };
    assert!(!code.order().code.is_wiped());
    let names = Names { gateway: GatewayName("first".into()), id: None, ours: None };
    let again = Code::new(Arc::clone(&code.site), code.order());
    let again = Arc::new(Taken::new(What::Code(Box::new(again)), names));
    // Written down from here, and found under its names not before the end.
    messages.hold(&again);
    house.verifier.courier.wipe(token);
    messages.enter(&again, *house.now.lock().unwrap());
    let What::Code(code) = &again.what else { panic!("a code was sent") };
    assert!(code.order().code.is_wiped() && !messages.holds_code(token));
}

#[tokio::test]
async fn of_a_login_that_others_take_the_place_of_no_plain_code_is_kept() {
    let mut house = house().await;
    let mut begun = Vec::new();
    for nth in 0..4 {
        let connection = Some(format!("203.0.113.9 5000{nth} 192.0.2.1 22 471{nth}"));
        let claim = Claim { connection, ..House::claim() };
        let verifier = Arc::clone(&house.verifier);
        let now = house.now.lock().unwrap().after(Duration::from_secs(1));
        *house.now.lock().unwrap() = now;
        let id = Some(VendorMessageId(format!("id-{nth}")));
        let taken = house.settle(Outcome::Accepted { vendor_id: id });
        let (login, _) = tokio::join!(verifier.begin(claim), taken);
        house.verifier.drained().await;
        begun.push(login.0.expect("a challenge"));
    }
    let held = || house.verifier.courier.messages.plain_codes_of(&house.root.account);
    assert!(!held().contains(&begun[0]) && held().len() == 3, "a fourth ends the first");
    house.verifier.manage(&house.root, Verb::Disable, 0).await.expect("a commit");
    assert_eq!(held(), [], "and an administrator all of them");
}

#[tokio::test]
async fn of_an_account_whose_damaged_rows_are_taken_away_no_plain_code_is_kept() {
    let mut house = house().await;
    let (token, _, _) = house.begin().await;
    let holds = || house.verifier.courier.messages.holds_code(token);
    assert!(holds());
    house.lose_root().await;
    assert!(!holds());
}

#[tokio::test]
async fn a_name_that_a_vendor_gives_twice_keeps_no_code_for_ever() {
    let mut house = house().await;
    let (first, _, typed) = house.begin().await;
    let holds = |house: &House, token| house.verifier.courier.messages.holds_code(token);
    assert!(holds(&house, first));
    let mut claim = House::claim();
    claim.connection = Some("203.0.113.9 50001 192.0.2.1 22 4712".into());
    let verifier = Arc::clone(&house.verifier);
    let (begun, _) = tokio::join!(verifier.begin(claim), house.accept());
    house.verifier.drained().await;
    let second = begun.0.expect("a challenge");
    assert!(!holds(&house, first) && holds(&house, second));
    assert_eq!(house.answer(first, &typed).await, Some(Verdict::Granted), "it is right as before");
    *house.now.lock().unwrap() = Timestamp(1_800_003_600_000);
    house.verifier.courier.forget();
    assert!(!holds(&house, second));
}

#[tokio::test]
async fn a_code_that_expired_is_wiped_while_the_store_is_busy_with_something_else() {
    let mut house = house().await;
    let (token, _, _) = house.begin().await;
    house.verifier.drained().await;
    let holds = |house: &House| house.verifier.courier.messages.holds_code(token);
    assert!(holds(&house));
    // The engine stands in a decision, and upkeep waits for it behind that.
    let (open, opened) = std::sync::mpsc::channel::<()>();
    let (arrive, mut arrival) = tokio::sync::mpsc::unbounded_channel();
    let opened = std::sync::Mutex::new(opened);
    let wait = move |records: &Records, _| {
        let _ = arrive.send(());
        let _ = opened.lock().expect("one decision").recv();
        Decided::unchanged(records, ())
    };
    let store = house.verifier.store.clone();
    tokio::spawn(async move { store.transact(Scope::Account(Account::host()), wait).await });
    arrival.recv().await.expect("the engine arrives");
    let verifier = Arc::clone(&house.verifier);
    let upkeep = tokio::spawn(async move { verifier.look_after().await });
    pass(61).await;
    tokio::task::yield_now().await;
    assert!(holds(&house), "it is good still");
    *house.now.lock().unwrap() = Timestamp(1_800_003_600_000);
    tokio::time::pause();
    for _ in 0..10 {
        // Paused, time passes when nothing is left to do but to wait for it.
        tokio::time::sleep(Duration::from_secs(30)).await;
    }
    tokio::time::resume();
    assert!(!holds(&house), "five minutes later");
    drop(open);
    upkeep.abort();
}

#[tokio::test]
async fn what_is_followed_holds_no_end_up_and_is_bounded() {
    let mut house = house().await;
    let places = Arc::clone(&house.verifier.courier.followed);
    house.begin().await;
    assert_eq!(places.available_permits(), FOLLOWED - 1, "and the proof's is at its end");
    // Returns, although a vendor is still to be asked.
    house.verifier.drained().await;
    pass(5).await;
    house.asked().await.tell.send(Status::Delivered).expect("it waits");
    // Not before the one that is followed is at its end.
    let all = u32::try_from(FOLLOWED).expect("a small number");
    let held = places.acquire_many(all).await.expect("open");

    let mut claim = House::claim();
    claim.connection = Some("203.0.113.9 50001 192.0.2.1 22 4712".into());
    let verifier = Arc::clone(&house.verifier);
    let (begun, _) = tokio::join!(verifier.begin(claim), house.accept());
    drop(held);
    house.nobody_asks().await;
    drop(Attendance::begin(&house.verifier, begun.0.expect("a challenge")));
}

#[tokio::test]
async fn a_proof_that_did_not_arrive_is_left_to_the_administrator() {
    let mut house = House::empty().await;
    let text = house.enroll().await;
    pass(5).await;
    house.asked().await.tell.send(failed(Cause::Route)).expect("it waits");
    house.reported(1).await;
    assert_eq!(house.undelivered(), [("first".into(), "id-1".into(), "left-to-administrator")]);
    let records = house.verifier.reader.account(house.root.account.clone()).await.expect("a read");
    let expected = Delivery::Undelivered {
        gateway: "first".into(),
        reason: "delivery_failed: 40006 Carrier down".into(),
    };
    assert_eq!(records.login.challenges[0].delivery, expected);
    let shown = house.verifier.show(&house.root).await.expect("a read").expect("enrolled");
    let reason = "first: delivery_failed: 40006 Carrier down";
    assert_eq!(shown.undelivered.as_deref(), Some(reason));
    assert!(house.vendors.try_recv().is_err());
    // It came after all: a report never touches a code.
    let proved = house.verifier.verify(&house.root, Typed::new(&code(&text)), 0).await;
    proved.expect("the right code");
}
