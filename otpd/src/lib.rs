//! The daemon: it issues, stores, sends and checks one-time codes.

pub mod clock;
pub mod config;
pub mod domain;
pub mod gateway;
pub mod keys;
pub mod random;
pub mod shutdown;
pub mod store;
pub mod systemd;
pub mod telemetry;
mod threads;
