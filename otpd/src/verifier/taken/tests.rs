//! What is remembered, and how much of it.

use std::sync::Arc;

use tokio::sync::watch;

use super::{EARLY, Messages, REMEMBERED, Taken, What};
use crate::{
    domain::time::Timestamp,
    gateway::{GatewayName, Status, VendorMessageId},
};

fn key(id: usize) -> (GatewayName, VendorMessageId) {
    (GatewayName("telnyx".into()), VendorMessageId(format!("m-{id}")))
}

fn taken(id: usize, until: i64) -> Arc<Taken> {
    let (gateway, id) = key(id);
    let what = What::Test { tell: watch::channel(None).0, until: Timestamp(until) };
    Arc::new(Taken::new(what, gateway, id))
}

#[test]
fn a_message_is_found_until_it_leaves() {
    let messages = Messages::default();
    let first = taken(1, 100);
    assert!(messages.enter(&first, Timestamp(0)).is_empty());
    let found = messages.find(key(1), &Status::Delivered).expect("it is there");
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
        assert!(messages.find(key(base + id), &Status::Delivered).is_none());
    }
    assert_eq!(messages.strangers(), u64::try_from(EARLY + 1).expect("a small number"));
    assert!(messages.enter(&taken(base, 100), Timestamp(0)).is_empty(), "the oldest is gone");
    let told = messages.enter(&taken(base + 1, 100), Timestamp(0));
    assert_eq!(told, [Status::Delivered]);
    assert!(messages.enter(&taken(base + 1, 100), Timestamp(0)).is_empty(), "it was told once");
}
