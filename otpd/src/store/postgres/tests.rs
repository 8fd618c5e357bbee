//! What only a database at the other end of a connection can do wrong, and several hosts at once.

mod counted;
mod discards;
mod doors;
mod errors;
mod fleet;
mod hosts;
mod lines;
mod roles;
mod rotation;
mod servers;
mod troubles;

use std::sync::Arc;

use super::{Postgres, PostgresSettings, Server, testing};
use crate::{
    clock::Clock,
    domain::{
        account::Account,
        audit::{Actor, AuditEvent, Event},
        budget::Purse,
        challenge::Channel,
        passcode::ChallengeToken,
        records::{Decided, Records},
        time::Timestamp,
    },
    keys::{Keys, MasterKey},
    store::{AuditSink, Scope, Store, StoreError},
};

const NOW: Timestamp = Timestamp(1_800_000_000_000);

fn keys() -> Keys {
    MasterKey::from_bytes([1; 32]).derive()
}

fn alice() -> Scope {
    scope("alice")
}

fn scope(name: &str) -> Scope {
    Scope::Account(Account::new(name).expect("a name"))
}

/// Serves an engine at a time that stands still.
fn serve(engine: Postgres) -> Store {
    let sink: AuditSink = Arc::new(|_| ());
    Store::start(engine, Clock::from_fn(|| NOW), sink).expect("a thread").0
}

fn open(settings: PostgresSettings) -> Postgres {
    Postgres::open(settings, keys(), testing::host(1)).expect("a database")
}

/// Counts a message, and writes down that it did; how many there are then.
async fn charge(store: &Store, name: &str) -> Result<usize, StoreError> {
    let account = Account::new(name).expect("a name");
    let token = ChallengeToken([9; 16]);
    let decide = move |records: &Records, now| {
        let mut records = records.clone();
        records.login.messages.charge(token, Channel::Sms, Purse::Common, now);
        let answer = records.login.messages.in_a_day(now);
        let event = AuditEvent {
            at: now,
            request: None,
            account: account.clone(),
            actor: Actor::Daemon,
            event: Event::Unlocked {},
        };
        Decided { records, audit: vec![event], answer }
    };
    store.transact(scope(name), decide).await
}

/// Messages that are counted.
async fn charged(store: &Store, name: &str) -> Result<usize, StoreError> {
    let look =
        |records: &Records, now| Decided::unchanged(records, records.login.messages.in_a_day(now));
    store.transact(scope(name), look).await
}
