//! The harness of the tests that are written in Rust. Whatever goes wrong in it ends the test.
#![expect(clippy::expect_used, clippy::panic, reason = "a harness fails its test by panicking")]
#![expect(clippy::missing_panics_doc, reason = "everything here panics when the test has failed")]

pub mod carrier;
pub mod daemon;
pub mod disk;
pub mod machines;
pub mod pam;
pub mod phone;
pub mod postgres;
pub mod wall;
pub mod wire;

use std::time::Duration;

/// How long anything may take before the test has failed. Nothing waits this long when all is well.
pub const PATIENCE: Duration = Duration::from_secs(30);
