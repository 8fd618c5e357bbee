//! Who issued a code: which machine, and which run of its daemon.

use minicbor::{Decode, Encode};

use super::Challenge;
use crate::domain::passcode::CodeKey;

/// One run of a daemon: a code in the memory of another run is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(transparent)]
pub struct Instance(#[n(0)] pub u32);

/// One machine of several that share a store. A keyed hash, so that the store does not tell machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(transparent)]
pub struct Host(#[cbor(n(0), with = "minicbor::bytes")] pub [u8; 16]);

/// Who issues codes, and with which key.
#[derive(Clone, Debug)]
pub struct Issuer {
    /// Hashes codes.
    pub key: CodeKey,
    /// This run of the daemon.
    pub instance: Instance,
    /// This machine, where the store is shared with others.
    pub host: Option<Host>,
}

impl Issuer {
    /// Whether a challenge waits for a code that was lost with an earlier run on this machine. What
    /// another machine was sending may be on its way: that machine is to say, or the claimant.
    #[must_use]
    pub fn has_lost(&self, challenge: &Challenge) -> bool {
        challenge.host == self.host && challenge.is_lost(self.instance)
    }
}
