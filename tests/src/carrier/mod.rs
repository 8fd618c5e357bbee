//! A stand-in for the carriers: one server that speaks the APIs of five vendors as they document them,
//! with the phones behind them. It refuses what the vendor would refuse, and misbehaves when told to.
//!
//! Each vendor is below a path of its own: [`Carrier::url`] is what goes into `base-url`. It is told
//! what to do by this API, or over HTTP ([`control`]).

mod callback;
mod calls;
mod compatible;
pub mod control;
mod document;
mod exchange;
mod flowroute;
mod gsm7;
mod harness;
mod plivo;
mod records;
mod serve;
pub mod settings;
mod sign;
mod signalwire;
mod telnyx;
#[cfg(test)]
mod tests;
pub mod told;
mod twilio;
mod vendor;
mod world;

pub use self::{
    harness::Carrier,
    records::{Callback, Channel, Count, Heard, Item, Request},
    vendor::Vendor,
};
