//! The daemon as a process, through its socket: what must hold whatever is done to it.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "helpers outside test functions fail the test, and say what they counted"
)]

#[path = "daemon/aliases.rs"]
mod aliases;
#[path = "daemon/backup.rs"]
mod backup;
#[path = "daemon/canaries.rs"]
mod canaries;
#[path = "daemon/check.rs"]
mod check;
#[path = "daemon/clock.rs"]
mod clock;
#[path = "daemon/crash.rs"]
mod crash;
#[path = "daemon/damaged.rs"]
mod damaged;
#[path = "daemon/damaged_file.rs"]
mod damaged_file;
#[path = "daemon/each_change.rs"]
mod each_change;
#[path = "daemon/failover.rs"]
mod failover;
#[path = "daemon/failpoints.rs"]
mod failpoints;
#[path = "daemon/failpoints_once.rs"]
mod failpoints_once;
#[path = "daemon/faults.rs"]
mod faults;
#[path = "daemon/floods.rs"]
mod floods;
#[path = "daemon/frames.rs"]
mod frames;
#[path = "daemon/full_disk.rs"]
mod full_disk;
#[path = "daemon/io_errors.rs"]
mod io_errors;
#[path = "daemon/kill_loop.rs"]
mod kill_loop;
#[path = "daemon/listeners.rs"]
mod listeners;
#[path = "daemon/lists.rs"]
mod lists;
#[path = "daemon/log.rs"]
mod log;
#[path = "daemon/memory.rs"]
mod memory;
#[path = "daemon/metrics.rs"]
mod metrics;
#[path = "daemon/moving.rs"]
mod moving;
#[path = "daemon/nemesis.rs"]
mod nemesis;
#[path = "daemon/numbers.rs"]
mod numbers;
#[path = "daemon/opt_out.rs"]
mod opt_out;
#[path = "daemon/people.rs"]
mod people;
#[path = "daemon/postgres.rs"]
mod postgres;
#[path = "daemon/power.rs"]
mod power;
#[path = "daemon/promises.rs"]
mod promises;
#[path = "daemon/receipts.rs"]
mod receipts;
#[path = "daemon/recovery.rs"]
mod recovery;
#[path = "daemon/reload.rs"]
mod reload;
#[path = "daemon/restart.rs"]
mod restart;
#[path = "daemon/rights.rs"]
mod rights;
#[path = "daemon/roles.rs"]
mod roles;
#[path = "daemon/rotation.rs"]
mod rotation;
#[path = "daemon/secrets.rs"]
mod secrets;
#[path = "daemon/single_use.rs"]
mod single_use;
#[path = "daemon/slow.rs"]
mod slow;
#[path = "daemon/startup.rs"]
mod startup;
#[path = "daemon/steps.rs"]
mod steps;
#[path = "daemon/tampered.rs"]
mod tampered;
#[path = "daemon/threat_model.rs"]
mod threat_model;
#[path = "daemon/timing.rs"]
mod timing;
#[path = "daemon/tls.rs"]
mod tls;
#[path = "daemon/trail.rs"]
mod trail;
#[path = "daemon/variants.rs"]
mod variants;
#[path = "daemon/vendors.rs"]
mod vendors;
#[path = "daemon/versions.rs"]
mod versions;
#[path = "daemon/web.rs"]
mod web;
