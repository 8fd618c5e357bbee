//! The daemon: it issues, stores, sends and checks one-time codes.

pub mod domain;
