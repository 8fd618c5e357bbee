//! `pam_otp`: asks for a one-time code at a login and relays it to `otpd`.
//!
//! The module shows what the daemon says and hands back what was typed; it holds no policy and no
//! wording but one sentence, for a daemon it cannot reach. It lives in other people's programs
//! (sshd, login, su, sudo), so it starts no thread, forks nothing, touches no signal, reads no
//! environment and opens no file but one socket, which is closed before it returns.
//!
//! `unsafe` is in what a macro writes for [`entry`] (the symbols PAM looks for) and in [`sys`] (six
//! C calls), nowhere else.

mod authenticate;
mod begin;
mod daemon;
mod entry;
#[cfg(test)]
#[path = "../../tests/fuzz/module.rs"]
mod fuzz;
mod host;
mod result;
mod sys;
mod text;
