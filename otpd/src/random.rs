//! The only place that reaches the system's random number generator.

use rand::{CryptoRng, rand_core::UnwrapErr, rngs::SysRng};

/// `getrandom(2)` at every draw: no pool of ours that a fork or a restored snapshot could repeat.
///
/// It panics when the kernel has no randomness, which on Linux it has from early boot on; a panic
/// denies the login it happens in.
#[must_use]
pub fn system() -> impl CryptoRng {
    UnwrapErr(SysRng)
}
