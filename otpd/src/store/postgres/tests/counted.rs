//! What many accounts do together.

use std::sync::Arc;

use super::{Store, StoreError, alice, open, testing};
use crate::{
    clock::Clock,
    domain::{
        records::{Decided, Records},
        time::Timestamp,
    },
    postgres_server::Server,
};

/// Counts a wrong code of the whole site, which has nobody; whether it brings eight digits.
async fn guess(store: &Store) -> Result<bool, StoreError> {
    let decide = |records: &Records, now| {
        let mut records = records.clone();
        let long = records.site().is_some_and(|site| site.charge_wrong(0, now));
        Decided { records, audit: Vec::new(), answer: long }
    };
    store.transact(alice(), decide).await
}

#[tokio::test]
async fn what_counts_by_the_believed_time_is_not_forgotten_by_the_databases() {
    let server = Server::start();
    let engine = open(testing::settings(&server));
    // The database is years ahead, and in doubt: decisions go by this.
    let believed = Clock::from_fn(|| Timestamp(1_700_000_000_000));
    let store = Store::start(engine, believed, Arc::new(|_| ())).expect("a thread").0;
    let mut crossed = 0;
    for _ in 0..120 {
        crossed += u32::from(guess(&store).await.expect("a commit"));
    }
    assert_eq!(crossed, 1, "all are counted, in whichever share");
}
