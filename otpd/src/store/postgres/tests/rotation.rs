//! Another master key, where more than one host has a say.

use super::{Keys, MasterKey, StoreError, charge, keys, serve, testing};
use crate::{
    postgres_server::Server,
    store::{
        Chore, Reader, Store,
        conformance::rotation,
        postgres::{Postgres, rotate},
    },
};

fn key(seed: u8) -> Keys {
    MasterKey::from_bytes([seed; 32]).derive()
}

/// A host under the key of [`keys`].
fn host(server: &Server, number: u8) -> Postgres {
    testing::open(server, keys(), number).expect("a database")
}

/// What a backup brings that was taken after a rotation from this key to that of [`keys`].
fn brought(before: &Keys) -> Vec<u8> {
    keys().after(before).seal_retired()
}

async fn rotate(store: &Store, next: Keys) -> Result<u32, StoreError> {
    store.tidy(Chore::Rotate(Box::new(rotation(&keys(), next)))).await
}

#[tokio::test]
async fn a_host_learns_of_keys_that_were_restored_at_another() {
    let server = Server::start();
    let [one, other] = [1, 2].map(|number| serve(host(&server, number)));
    assert_eq!(charge(&other, "alice").await, Ok(1));
    assert_eq!(one.tidy(Chore::Retired(brought(&key(9)))).await, Ok(1));
    // It would call a recovery code wrong that the other host knows to be right.
    assert_eq!(charge(&other, "alice").await, Err(StoreError::Unavailable));
    assert!(other.rekeyed().holds());
    let again = serve(host(&server, 2));
    assert_eq!(charge(&again, "alice").await, Ok(2));
}

#[tokio::test]
async fn what_several_hosts_know_of_keys_from_before_is_all_kept() {
    let server = Server::start();
    let [mut first, mut second, third] = [1, 2, 3].map(|number| host(&server, number));
    // All of them have begun before any of them is done.
    let [one, other] = [first.begun().await, second.begun().await];
    let (one, other) = (one.expect("a server"), other.expect("a server"));
    let mut last = rotate::begin(&third.connector).await.expect("a server");
    assert_eq!(first.retire(&one, &brought(&key(8))).await.expect("kept"), 1);
    first.finish(one).await.expect("a commit");
    assert_eq!(second.retire(&other, &brought(&key(9))).await.expect("kept"), 1);
    second.finish(other).await.expect("a commit");
    third.switch(&last, &rotation(&keys(), key(2))).await.expect("switched");
    last.commit().await.expect("a commit");
    let now = testing::open(&server, key(2), 1).expect("the next key");
    let kept = now.keys().code.earlier().map(|(id, _)| id).collect::<Vec<_>>();
    assert_eq!(kept, [keys().id, key(8).id, key(9).id]);
}

#[tokio::test]
async fn one_rotation_is_under_way_at_a_time() {
    let server = Server::start();
    let engine = host(&server, 1);
    let reader = Reader::postgres(&engine).expect("a thread");
    let mut session = rotate::begin(&engine.connector).await.expect("the first");
    let store = serve(engine);
    let prepared = reader.prepare_rotation(key(2)).await;
    assert_eq!(prepared, Err(StoreError::Unavailable), "it would undo what the first has prepared");
    assert_eq!(rotate(&store, key(2)).await, Err(StoreError::Unavailable));
    assert_eq!(charge(&store, "alice").await, Ok(1), "logins go on");
    session.rollback().await.expect("the first gives up");
    assert_eq!(reader.prepare_rotation(key(2)).await, Ok(()), "though nobody has a number");
    assert_eq!(rotate(&store, key(2)).await, Ok(0));
}

#[tokio::test]
async fn a_host_from_before_an_upgrade_rotates_nothing() {
    let server = Server::start();
    let engine = host(&server, 1);
    let reader = Reader::postgres(&engine).expect("a thread");
    let store = serve(engine);
    let upgrade = "INSERT INTO otpd.refinery_schema_history VALUES (99, 'x', '', '')";
    server.execute("otpd", upgrade);
    assert_eq!(reader.prepare_rotation(key(2)).await, Err(StoreError::Unavailable));
    assert_eq!(rotate(&store, key(2)).await, Err(StoreError::Unavailable));
    server.execute("otpd", "DELETE FROM otpd.refinery_schema_history WHERE version = 99");
    assert_eq!(rotate(&store, key(2)).await, Ok(0));
}
