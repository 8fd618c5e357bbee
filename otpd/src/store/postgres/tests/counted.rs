//! What many accounts do together, and a disk without room.

use std::sync::Arc;

use super::{Store, StoreError, alice, charge, charged, open, serve, testing};
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

#[tokio::test]
async fn a_damaged_share_of_the_site_stops_no_decision() {
    let server = Server::start();
    let store = serve(open(testing::settings(&server)));
    assert_eq!(guess(&store).await, Ok(false));
    server.execute("otpd", "UPDATE otpd.budget SET state = '\\xff' WHERE kind = 4");
    assert_eq!(charge(&store, "alice").await, Ok(1));
    let site = |records: &Records, _| Decided::unchanged(records, records.clone().site().is_some());
    assert_eq!(store.transact(alice(), site).await, Ok(false), "not read: what it limits is held");
    assert_eq!(charged(&store, "alice").await, Ok(1));
}

#[tokio::test]
async fn a_full_disk_is_full_until_something_was_written() {
    let server = Server::start();
    let store = serve(open(testing::settings(&server)));
    let full = "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS
                $$ BEGIN RAISE EXCEPTION 'no space' USING ERRCODE = '53100'; END $$";
    server.execute("otpd", full);
    for table in ["login", "meta"] {
        let trigger = format!(
            "CREATE TRIGGER full_disk BEFORE INSERT OR UPDATE ON otpd.{table}
             EXECUTE FUNCTION full_disk()"
        );
        server.execute("otpd", &trigger);
    }
    assert_eq!(charge(&store, "alice").await, Err(StoreError::Full));
    assert_eq!(store.has_room().await, Err(StoreError::Full));
    assert!(store.shortage().holds(), "to ask makes no room");
    server.execute("otpd", "DROP TRIGGER full_disk ON otpd.login");
    server.execute("otpd", "DROP TRIGGER full_disk ON otpd.meta");
    assert_eq!(store.has_room().await, Ok(()));
    assert_eq!(charge(&store, "alice").await, Ok(1));
}
