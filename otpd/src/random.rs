//! The only place that reaches the system's random number generator.

use std::convert::Infallible;

use rand::{CryptoRng, TryCryptoRng, TryRng, rand_core::UnwrapErr, rngs::SysRng};
use zeroize::Zeroizing;

/// What one request draws at most, bytes; more is another call.
const DRAW: usize = 256;

/// `getrandom(2)`, once for all that one request draws: no pool of ours that a fork or a restored
/// snapshot could repeat.
///
/// It panics when the kernel has no randomness, which on Linux it has from early boot on; a panic
/// denies the login it happens in.
#[must_use]
pub fn system() -> impl CryptoRng {
    Drawn { bytes: Zeroizing::new([0; DRAW]), used: DRAW }
}

/// Random bytes of the kernel, each given out once.
struct Drawn {
    bytes: Zeroizing<[u8; DRAW]>,
    used: usize,
}

impl Drawn {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let mut taken = [0; N];
        self.fill(&mut taken);
        taken
    }

    fn fill(&mut self, target: &mut [u8]) {
        for byte in target {
            if self.used == DRAW {
                rand::Rng::fill_bytes(&mut UnwrapErr(SysRng), &mut *self.bytes);
                self.used = 0;
            }
            *byte = self.bytes.get_mut(self.used).map(std::mem::take).unwrap_or_default();
            self.used += 1;
        }
    }
}

impl TryRng for Drawn {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(u32::from_le_bytes(self.take()))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(u64::from_le_bytes(self.take()))
    }

    fn try_fill_bytes(&mut self, target: &mut [u8]) -> Result<(), Infallible> {
        self.fill(target);
        Ok(())
    }
}

impl TryCryptoRng for Drawn {}

#[cfg(test)]
mod tests;
