//! What is remembered, and how much of it.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    time::{Instant, advance},
};

use super::{EARLY, Key, Messages, Names, REMEMBERED, Taken, What};
use crate::{
    domain::time::Timestamp,
    gateway::{GatewayName, MessageId, Status, VendorMessageId},
};

fn telnyx() -> GatewayName {
    GatewayName("telnyx".into())
}

fn key(id: usize) -> Key {
    Key::Theirs(telnyx(), VendorMessageId(format!("m-{id}")))
}

fn taken(id: usize, until: i64) -> Arc<Taken> {
    let id = Some(VendorMessageId(format!("m-{id}")));
    Arc::new(Taken::new(test(until), Names { gateway: telnyx(), id, ours: None }))
}

fn test(until: i64) -> What {
    What::Test { tell: watch::channel(None).0, until: Timestamp(until) }
}

#[test]
fn a_message_with_two_names_is_found_by_either_and_leaves_under_both() {
    let (messages, own) = (Messages::default(), MessageId([7; 16]));
    let names = |id| Names { gateway: telnyx(), id, ours: Some(own) };
    let ours = Key::Ours(telnyx(), own);
    let told = |id: &str| {
        let id = VendorMessageId(id.to_owned());
        messages.find(ours.clone(), Some(&id), &Status::UnderWay)
    };
    assert!(told("m-0").is_none(), "it is not written down yet");
    let both = Arc::new(Taken::new(test(100), names(Some(VendorMessageId("m-1".into())))));
    assert_eq!(messages.enter(&both, Timestamp(0)), [Status::UnderWay]);
    assert!([key(1), ours.clone()].iter().all(|key| messages.get(key).is_some()));
    messages.leave(&both);
    assert!([key(1), ours.clone()].iter().all(|key| messages.get(key).is_none()));

    let nameless = Arc::new(Taken::new(test(100), names(None)));
    messages.enter(&nameless, Timestamp(0));
    let found = messages.get(&ours).expect("by our name");
    assert_eq!((found.id(), found.written_id()), (None, String::new()));
    messages.leave(&nameless);
    assert!(told("v3:0").is_none());
    let early = Arc::new(Taken::new(test(100), names(None)));
    assert_eq!(messages.enter(&early, Timestamp(0)), [Status::UnderWay]);
    assert_eq!(early.written_id(), "v3:0", "what was told early named it");
    messages.leave(&early);
    messages.enter(&nameless, Timestamp(0));
    found.learn(VendorMessageId("v3:1".into()));
    found.learn(VendorMessageId("v3:2".into()));
    assert_eq!(nameless.written_id(), "v3:1", "the first that was said");
    messages.enter(&taken(2, 300), Timestamp(100));
    assert!(messages.get(&ours).is_none(), "nobody waits for it any more");
}

#[test]
fn one_report_of_a_call_told_under_many_names_pushes_nothing_out() {
    let (messages, call) = (Messages::default(), VendorMessageId("v3:1".into()));
    assert!(messages.find(key(1), None, &Status::Delivered).is_none());
    for name in 0..EARLY {
        let mut own = [0; 16];
        own[..8].copy_from_slice(&name.to_be_bytes());
        let key = Key::Ours(telnyx(), MessageId(own));
        assert!(messages.find(key, Some(&call), &Status::Delivered).is_none());
    }
    assert_eq!(messages.enter(&taken(1, 100), Timestamp(0)), [Status::Delivered], "it is kept");
}

#[test]
fn a_message_is_found_until_it_leaves() {
    let messages = Messages::default();
    let first = taken(1, 100);
    assert!(messages.enter(&first, Timestamp(0)).is_empty());
    let found = messages.find(key(1), None, &Status::Delivered).expect("it is there");
    assert!(Arc::ptr_eq(&found, &first));
    // The vendor gives the name to another one.
    let second = taken(1, 200);
    messages.enter(&second, Timestamp(0));
    messages.leave(&first);
    let found = messages.get(&key(1)).expect("the other one stays");
    assert!(Arc::ptr_eq(&found, &second));
    messages.leave(&second);
    assert!(messages.get(&key(1)).is_none());
    assert_eq!(messages.strangers(), 0);
}

#[test]
fn what_is_over_goes_when_another_one_comes() {
    let messages = Messages::default();
    messages.enter(&taken(1, 100), Timestamp(0));
    messages.enter(&taken(2, 150), Timestamp(99));
    assert!(messages.get(&key(1)).is_some());
    messages.enter(&taken(3, 300), Timestamp(100));
    assert!(messages.get(&key(1)).is_none() && messages.get(&key(2)).is_some());
}

#[test]
fn neither_messages_nor_what_is_told_too_early_grow_without_end() {
    let messages = Messages::default();
    for id in 0..=REMEMBERED {
        messages.enter(&taken(id, 100), Timestamp(0));
    }
    assert!(messages.get(&key(0)).is_none() && messages.get(&key(1)).is_some());
    let base = 2 * REMEMBERED;
    for id in 0..=EARLY {
        assert!(messages.find(key(base + id), None, &Status::Delivered).is_none());
    }
    assert_eq!(messages.strangers(), u64::try_from(EARLY + 1).expect("a small number"));
    assert!(messages.enter(&taken(base, 100), Timestamp(0)).is_empty(), "the oldest is gone");
    let told = messages.enter(&taken(base + 1, 100), Timestamp(0));
    assert_eq!(told, [Status::Delivered]);
    assert!(messages.enter(&taken(base + 1, 100), Timestamp(0)).is_empty(), "it was told once");
}

#[tokio::test(start_paused = true)]
async fn a_question_too_soon_after_another_is_put_off_once() {
    let (pause, second) = (Duration::from_secs(3), Duration::from_secs(1));
    let (taken, begun) = (taken(1, 100), Instant::now());
    assert_eq!(taken.ask_next(pause), Some(begun));
    advance(second).await;
    assert_eq!(taken.ask_next(pause), Some(begun + pause), "the rest of it");
    for _ in 0..2 {
        assert_eq!(taken.ask_next(pause), None, "it is to be asked");
        assert!(!taken.may_ask(pause));
        advance(second).await;
    }
    // Now it was asked again.
    assert_eq!(taken.ask_next(pause), Some(begun + 2 * pause));
    advance(3 * pause).await;
    assert!(taken.may_ask(pause));
    assert_eq!(taken.ask_next(pause), Some(Instant::now() + pause));
}
