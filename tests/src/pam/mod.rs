//! Logins through real libpam, without root's files and without a sandbox: a small C program
//! (`pamdriver/`) starts PAM with a private configuration directory that names the module by path.
#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "where the harness cannot go on, the test fails"
)]
#![expect(clippy::missing_panics_doc, reason = "panics are how all of this fails")]

pub mod build;
pub mod daemon;
pub mod login;
