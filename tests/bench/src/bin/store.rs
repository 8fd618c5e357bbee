//! The store alone: codes issued and answered by the daemon's own decisions, without a socket, a
//! vendor or a message.
//!
//! usage: store DATABASE KEY-FILE CLIENTS CYCLES ACCOUNTS, where the database is of `fill`. Prints the
//! figures as JSON.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use nix::sys::resource::{UsageWho, getrusage};
use otpd::{
    clock::Clock,
    domain::{
        account::{Account, Source},
        budget::Limits,
        challenge::{CodeRules, Instance},
        login::{Answer, Answered, Begin, Begun, Terms, Typed},
        passcode::Draw,
        policy::{Requirement, SharedSources, Unenrolled},
        records::Records,
        time::Timestamp,
    },
    keys::{Keys, MasterKey},
    random,
    store::{Scope, Sqlite, Store},
    verifier::Verifier,
};
use otpd_bench::{figures::Figures, user};
use serde::Serialize;
use tokio::task::JoinSet;

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[derive(Serialize)]
struct Report {
    cycles_per_second: f64,
    /// User and system time of a cycle, microseconds.
    cpu: f64,
    /// Two transactions.
    cycle: Option<Figures>,
}

/// What all clients share.
#[derive(Clone)]
struct Site {
    store: Store,
    keys: Keys,
    terms: Arc<Terms>,
    next: Arc<AtomicU32>,
    cycles: u32,
    accounts: u32,
}

#[expect(clippy::print_stdout, reason = "the figures are what this program is run for")]
fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [database, key, clients, cycles, accounts] = arguments.as_slice() else {
        return Err("usage: store DATABASE KEY-FILE CLIENTS CYCLES ACCOUNTS".into());
    };
    let (clients, cycles): (u32, u32) = (clients.parse()?, cycles.parse()?);
    let keys = MasterKey::read(Path::new(key))?.ok_or("no key; see otpd --make-key")?.derive();
    let sqlite = Sqlite::open(Path::new(database), keys.clone())?;
    let clock = Clock::system(sqlite.agreement()?)?;
    let (store, thread) = Store::start(sqlite, clock, Arc::new(|_| {}))?;
    let terms = Terms {
        unenrolled: Unenrolled::Deny,
        rules: CodeRules::default(),
        limits: Limits::default(),
        countries: BTreeSet::from(["US".parse().map_err(|()| "no country")?]),
        shared_sources: SharedSources(Vec::new()),
        voice: false,
        issuer: Verifier::issuer(&keys, Instance(1), None),
    };
    let (terms, next) = (Arc::new(terms), Arc::new(AtomicU32::new(0)));
    let site = Site { store, keys, terms, next, cycles, accounts: accounts.parse()? };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (used, began) = (used()?, now());
    let times = runtime.block_on(run(clients, site))?;
    let (seconds, used) = (began.elapsed().as_secs_f64(), self::used()?.saturating_sub(used));
    drop(runtime);
    thread.join().map_err(|_| "the store's thread panicked")?;
    let report = Report {
        cycles_per_second: f64::from(cycles) / seconds,
        cpu: used.as_secs_f64() * 1e6 / f64::from(cycles),
        cycle: Figures::of(times),
    };
    println!("{}", serde_json::to_string(&report)?);
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "this program measures time")]
fn now() -> Instant {
    Instant::now()
}

/// User and system time of this process.
fn used() -> Result<Duration, Failure> {
    let usage = getrusage(UsageWho::RUSAGE_SELF)?;
    let of = |time: nix::sys::time::TimeVal| -> Result<Duration, Failure> {
        Ok(Duration::from_micros(u64::try_from(time.tv_sec() * 1_000_000 + time.tv_usec())?))
    };
    Ok(of(usage.user_time())? + of(usage.system_time())?)
}

async fn run(clients: u32, site: Site) -> Result<Vec<Duration>, Failure> {
    let mut under_way: JoinSet<_> = (0..clients).map(|_| client(site.clone())).collect();
    // The store ends when nobody holds it.
    drop(site);
    let mut times = Vec::new();
    while let Some(client) = under_way.join_next().await {
        times.extend(client??);
    }
    Ok(times)
}

async fn client(site: Site) -> Result<Vec<Duration>, Failure> {
    let mut times = Vec::new();
    loop {
        let nth = site.next.fetch_add(1, Ordering::Relaxed);
        if nth >= site.cycles {
            return Ok(times);
        }
        let began = now();
        cycle(&site, nth).await?;
        times.push(began.elapsed());
    }
}

/// A code is issued and answered.
async fn cycle(site: &Site, nth: u32) -> Result<(), Failure> {
    let account = Account::new(&user(nth % site.accounts))?;
    let draw = || Draw::new(&mut random::system(), site.terms.rules.digits);
    // Everybody comes from an address of their own, and is never taken for an earlier login.
    let source = Source::of(IpAddr::V4(Ipv4Addr::from_bits((10 << 24) | nth)));
    let begin = Begin {
        terms: site.terms.clone(),
        account: account.clone(),
        requirement: Requirement::Code,
        source: Some(source),
        service: "sshd".into(),
        attempt: Some(site.keys.attempt("box", "sshd", &nth.to_string())),
        by_itself: false,
        full: false,
        draw: draw(),
    };
    let decide = move |records: &Records, now: Timestamp| begin.decide(records, now);
    let issued = site.store.transact(Scope::Account(account), decide).await?;
    let Begun::Issued(_, order) = issued else {
        return Err(format!("no code was issued: {issued:?}").into());
    };
    let typed = Typed::new(order.code.expose());
    let answer =
        Answer { terms: site.terms.clone(), token: order.token, typed, full: false, draw: draw() };
    let decide = move |records: &Records, now: Timestamp| answer.decide(records, now);
    match site.store.transact(Scope::Challenge(order.token), decide).await? {
        Answered::Granted => Ok(()),
        other => Err(format!("the code was not right: {other:?}").into()),
    }
}
