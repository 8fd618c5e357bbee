//! systemd's watchdog: it restarts a daemon of which it hears nothing.

use std::{future::pending, time::Duration};

use crate::systemd;

/// Tells the watchdog that the daemon is alive, after each `sign_of_life`, for as long as there are
/// any; forever silent where nobody listens. Ends when a sign is false: there will be no more.
pub(super) async fn feed<F: Future<Output = bool>>(sign_of_life: impl Fn() -> F) {
    let Some(limit) = systemd::watchdog() else { return pending().await };
    // Half of what is allowed, as sd_watchdog_enabled(3) has it.
    beat(limit / 2, sign_of_life, systemd::notify_alive).await;
}

/// A sign that does not come is waited for, and nothing is told meanwhile.
async fn beat<F: Future<Output = bool>>(
    every: Duration,
    sign_of_life: impl Fn() -> F,
    mut tell: impl FnMut(),
) {
    while sign_of_life().await {
        tell();
        tokio::time::sleep(every).await;
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use tokio::time::{Instant, sleep, timeout};

    use super::*;

    const EVERY: Duration = Duration::from_secs(45);

    /// When the watchdog was told, in seconds, by a store that takes so long to answer each time and
    /// then never again.
    async fn told(answers: &[u64]) -> Vec<u64> {
        let begun = Instant::now();
        let (next, told) = (Cell::new(0), RefCell::new(Vec::new()));
        let sign_of_life = || async {
            let seconds = answers.get(next.replace(next.get() + 1));
            match seconds {
                Some(seconds) => sleep(Duration::from_secs(*seconds)).await,
                None => pending().await,
            }
            true
        };
        let tell = || told.borrow_mut().push(begun.elapsed().as_secs());
        let silence = timeout(Duration::from_hours(1), beat(EVERY, sign_of_life, tell)).await;
        assert!(silence.is_err(), "a store that hangs is not one that ended");
        told.into_inner()
    }

    #[tokio::test(start_paused = true)]
    async fn the_watchdog_hears_of_a_store_that_answers_and_nothing_of_one_that_hangs() {
        let cases: [(&str, &[u64], &[u64]); 4] = [
            ("hangs from the first", &[], &[]),
            ("answers at once, then hangs", &[0, 0, 0], &[0, 45, 90]),
            ("is slow once, within its patience", &[0, 30, 0], &[0, 75, 120]),
            ("is always slow", &[4, 4, 4], &[4, 53, 102]),
        ];
        for (name, answers, expected) in cases {
            assert_eq!(told(answers).await, expected, "{name}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_told_once_the_store_has_ended() {
        let told = Cell::new(0);
        let left = Cell::new(3);
        let sign_of_life = || {
            left.set(left.get() - 1);
            std::future::ready(left.get() > 0)
        };
        beat(EVERY, sign_of_life, || told.set(told.get() + 1)).await;
        assert_eq!(told.get(), 2);
    }
}
