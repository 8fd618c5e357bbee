//! Test messages, followed to their end.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::AtomicBool},
};

use otp_proto::Secret;
use tokio::sync::mpsc;
use zeroize::Zeroizing;

use super::super::{House, NOW, Outcome, Scripted, follow::pass, site_with};
use crate::{
    domain::{
        audit::Event,
        challenge::Channel,
        login::{Cause, Terms},
    },
    gateway::{Gateway, GatewayName, Notice, Status, VendorMessageId, route::Routes},
    verifier::{Arrival, Site, TestRequest},
};

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

/// An administrator looks why nobody gets a code, and is not opted out by whom nobody believes.
#[tokio::test]
async fn a_gateway_that_is_not_believed_opts_nobody_out_by_a_test_message() {
    let mut house = House::new().await;
    let verifier = Arc::clone(&house.verifier);
    let stopped = || Status::Failed { reason: "200".to_owned(), cause: Cause::OptedOut };
    let (site, first) = (verifier.site(), GatewayName("first".into()));
    for nth in 0..5 {
        let number = format!("+1202555016{nth}").parse().expect("a number");
        let _ = site.routes.believed(&first, (Channel::Sms, &number), stopped(), NOW);
    }
    // Root's own number.
    let phone = Secret::new("+12025550142".into());
    let test = TestRequest { phone, gateway: Some("first".into()), voice: false };
    let (tested, _asked) = tokio::join!(verifier.test_message(test, 0), async {
        house.accept().await;
        house.verifier.drained().await;
        pass(1).await;
        let asked = house.asked.recv().await.expect("a question");
        asked.tell.send(stopped()).expect("it waits");
        asked.id
    });
    let (arrival, reason) = tested.expect("a message").arrival.expect("an end");
    assert_eq!(arrival, Arrival::Undelivered);
    assert!(reason.expect("words").contains("not believed"));
    let shown = house.verifier.show(&house.root).await.expect("read").expect("enrolled");
    assert_eq!(shown.opted_out, None);
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
