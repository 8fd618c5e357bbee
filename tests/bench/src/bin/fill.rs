//! Fills a database with enrolled accounts, through the store that the daemon uses.
//!
//! usage: fill DATABASE KEY-FILE ACCOUNTS, where the database is a file of SQLite's, or the folder with
//! the socket of a PostgreSQL server whose role and database are called otpd.

use std::{path::Path, sync::Arc, thread::JoinHandle};

use otpd::{
    clock::Clock,
    config::host_name,
    domain::{
        account::Account,
        challenge::Channel,
        enrollment::Enrollment,
        phone::{Destination, Line},
        records::{Decided, Records},
        time::Timestamp,
    },
    keys::{self, Keys, MasterKey},
    store::{DEFAULT_PORT, Postgres, PostgresSettings, Scope, Server, Site, Sqlite, Store},
};
use otpd_bench::{number, user};
use tokio::task::JoinSet;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Decisions that wait at once: half of what the store's queue holds.
const AT_ONCE: usize = 512;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [database, key, accounts] = arguments.as_slice() else {
        return Err("usage: fill DATABASE KEY-FILE ACCOUNTS".into());
    };
    let accounts = accounts.parse()?;
    let keys = MasterKey::read(Path::new(key))?.ok_or("no key; see otpd --make-key")?.derive();
    let (store, thread) = open(Path::new(database), &keys)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(fill(store, keys, accounts))?;
    drop(runtime);
    thread.join().map_err(|_| "the store's thread panicked")?;
    Ok(())
}

fn open(database: &Path, keys: &Keys) -> Result<(Store, JoinHandle<()>), Failure> {
    let silent = Arc::new(|_: &_| {});
    if !database.is_dir() {
        let sqlite = Sqlite::open(database, keys.clone())?;
        let clock = Clock::system(sqlite.agreement()?)?;
        return Ok(Store::start(sqlite, clock, silent)?);
    }
    let settings = PostgresSettings {
        servers: vec![Server::Socket { folder: database.to_owned(), port: DEFAULT_PORT }],
        user: "otpd".to_owned(),
        database: "otpd".to_owned(),
        password: None,
        ca_file: None,
    };
    let name = host_name();
    let site = Site { host: keys::host("fill", &name), name, state: None };
    let postgres = Postgres::open(settings, keys.clone(), site)?;
    let (agreed, now) = postgres.times();
    Ok(Store::start(postgres, Clock::of_database(agreed, now)?, silent)?)
}

async fn fill(store: Store, keys: Keys, accounts: u32) -> Result<(), Failure> {
    let mut under_way = JoinSet::new();
    for nth in 0..accounts {
        if under_way.len() == AT_ONCE {
            under_way.join_next().await.transpose()?.transpose()?;
        }
        under_way.spawn(enroll(store.clone(), keys.clone(), nth));
    }
    while let Some(enrolled) = under_way.join_next().await {
        enrolled??;
    }
    Ok(())
}

/// Stores an account with a proved number.
async fn enroll(store: Store, keys: Keys, nth: u32) -> Result<(), Failure> {
    let account = Account::new(&user(nth))?;
    let destination = Destination {
        number: number(nth).parse().map_err(|_| "no number")?,
        country: "US".parse().map_err(|()| "no country")?,
        line: Line::FixedOrMobile,
    };
    let (index, range) = (keys.index(&destination.number), keys.range(&destination.number));
    let scope = Scope::Number { account, number: index };
    let decide = move |records: &Records, now: Timestamp| {
        let mut enrollment = Enrollment::new(destination.clone(), index, range, Channel::Sms, now);
        enrollment.prove(now);
        let records = Records { enrollment: Some(enrollment), ..records.clone() };
        Decided { records, audit: Vec::new(), answer: () }
    };
    store.transact(scope, decide).await?;
    Ok(())
}
