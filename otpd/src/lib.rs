//! The daemon: it issues, stores, sends and checks one-time codes.

pub mod config;
pub mod domain;
pub mod gateway;
pub mod shutdown;
pub mod systemd;
pub mod telemetry;
