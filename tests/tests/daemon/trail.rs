//! The audit trail, as it is listed and watched through the socket.

use otp_proto::{
    admin::{Log, Logged, Record, Watch, Watched},
    event::Event,
};
use otpd_tests::{
    daemon::Daemon,
    wire::{Wire, frame},
};
use serde_json::json;

/// Posts a call that many replies answer.
pub(crate) fn ask<M: otp_proto::Method>(wire: &mut Wire, method: &M) {
    let call = json!({ "method": M::NAME, "parameters": method, "more": true });
    assert!(wire.send(&frame(&call)));
}

/// All rows of a list.
pub(crate) fn list(daemon: &Daemon, log: &Log) -> Vec<Record> {
    let mut wire = daemon.connect();
    ask(&mut wire, log);
    let next = || {
        let Logged { record } = wire.reply::<Log>().expect("the daemon stays").expect("a row");
        record
    };
    std::iter::from_fn(next).collect()
}

/// A watcher, and the events that it has been told.
pub(crate) struct Watcher(pub(crate) Wire);

impl Watcher {
    pub(crate) fn new(mut wire: Wire, watch: &Watch) -> Self {
        ask(&mut wire, watch);
        Self(wire)
    }

    pub(crate) fn next(&mut self) -> Record {
        let Watched { record } =
            self.0.reply::<Watch>().expect("the daemon stays").expect("an event");
        record
    }

    /// Everything up to the event of this kind about this account.
    pub(crate) fn until(&mut self, event: &str, user: &str) -> Vec<Record> {
        let mut records = Vec::new();
        loop {
            let record = self.next();
            let last = record.event == event && record.user == user;
            records.push(record);
            if last {
                return records;
            }
        }
    }

    /// What became of the next messages, until so many were taken: who failed, and who took them.
    pub(crate) fn deliveries(&mut self, taken: usize) -> Vec<Event> {
        let (mut found, mut left) = (Vec::new(), taken);
        while left > 0 {
            let event = Event::of(&self.next()).expect("an event that otpctl knows");
            match event {
                Event::MessageSent { .. } => left -= 1,
                Event::MessageFailed { .. } => {}
                _ => continue,
            }
            found.push(event);
        }
        found
    }
}
