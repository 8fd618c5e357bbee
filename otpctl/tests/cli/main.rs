//! The real program against a scripted daemon: what goes over the wire, what is printed, how it
//! exits.

// With the engine that the crate is fuzzed by: cargo builds this program beside that of the target.
#[cfg(test)]
use bolero as _;

// Marked, so that clippy knows all of it for test code.
#[cfg(test)]
mod daemon;
#[cfg(test)]
mod edges;
#[cfg(test)]
mod import;
#[cfg(test)]
mod log;
#[cfg(test)]
mod numbers;
#[cfg(test)]
mod restore;
#[cfg(test)]
mod schema;
#[cfg(test)]
mod stand_ins;
#[cfg(test)]
mod terminal;
#[cfg(test)]
mod verbs;

/// An account as the daemon sends it.
const ALICE: &str = r#"{"user":"alice","phone":"+1 ••• ••• ••42","country":"US","channel":"sms","state":"active","created_at":1785585600000,"verified_at":1785585660000}"#;

/// A reply to `Status`.
/// What a daemon that has its store alone says of those that share it.
const HOST: &str = r#"{"name":"web1","version":"0.1.0","state":"here","started_at":1785585600000,"seen_at":1785585660000,"gateways":[],"key":"00c0ffee","next_key":null}"#;

const STATUS: &str = r#"{"version":"0.1.0","host":"web1","store":"sqlite","pending":1,"active":3,"disabled":0,"live_challenges":2,"gateways":[{"name":"main","kind":"telnyx","state":"resting","reason":"no\u001b[2J credit"}],"problems":["main rests"]}"#;
