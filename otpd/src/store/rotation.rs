//! Another master key takes the place of the one that a database belongs to.

use std::sync::Arc;

use tokio::sync::watch;

use super::format::Damaged;
use crate::{
    domain::{
        account::Account,
        audit::{AuditEvent, Event},
    },
    keys::{Keys, Unsealable},
};

/// What a rotation takes.
#[derive(Clone, Debug)]
pub struct Rotation {
    /// The key to come, with what is kept of those before it.
    pub next: Keys,
    /// Who had it done; what was done is filled in.
    pub event: AuditEvent,
}

impl Rotation {
    /// The key to come, after the one in use and all that the store keeps of those before: it may keep
    /// more than whoever asked for this knew of.
    pub(super) fn next(&self, before: &Keys, kept: Option<&[u8]>) -> Result<Keys, Unsealable> {
        Ok(self.next.clone().after(&with_kept(before, kept)?))
    }

    /// What is written down of it.
    pub(super) fn done(&self, numbers: u32) -> AuditEvent {
        let mut done = self.event.clone();
        if let Event::KeyRotated { numbers: told, .. } = &mut done.event {
            *told = numbers.into();
        }
        done
    }
}

/// The code keys from before, sealed, once a backup has brought some to those that the store keeps;
/// `None` where it brings none that is new.
pub(super) fn joined(
    keys: &Keys,
    kept: Option<&[u8]>,
    brought: &[u8],
) -> Result<Option<Vec<u8>>, Unsealable> {
    let kept = with_kept(keys, kept)?;
    let joined = kept.clone().with_retired(brought)?;
    Ok((joined.retired() > kept.retired()).then(|| joined.seal_retired()))
}

fn with_kept(keys: &Keys, kept: Option<&[u8]>) -> Result<Keys, Unsealable> {
    match kept {
        Some(sealed) => keys.clone().with_retired(sealed),
        None => Ok(keys.clone()),
    }
}

/// A number under the next key.
pub(super) struct Renewed {
    pub(super) number: Vec<u8>,
    pub(super) index: [u8; 16],
    /// Of its range, before and after.
    pub(super) range: [[u8; 16]; 2],
}

impl Renewed {
    /// Takes an account's number from one key to the next.
    pub(super) fn of(
        before: &Keys,
        next: &Keys,
        account: &Account,
        sealed: &[u8],
    ) -> Result<Self, Damaged> {
        let number = before.unseal(account, sealed)?;
        Ok(Self {
            number: next.seal(account, &number),
            index: next.index(&number).0,
            range: [before, next].map(|keys| keys.range(&number).0),
        })
    }
}

/// Says that the database went over to another key: whoever works with the one before has to begin
/// anew. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Rekeyed(Arc<watch::Sender<bool>>);

impl Default for Rekeyed {
    fn default() -> Self {
        Self(Arc::new(watch::channel(false).0))
    }
}

impl Rekeyed {
    /// Whether it did.
    #[must_use]
    pub fn holds(&self) -> bool {
        *self.0.borrow()
    }

    /// It did.
    pub(super) fn set(&self) {
        self.0.send_replace(true);
    }

    /// Waits until it does.
    pub async fn happens(&self) {
        // The sender is here, so this waits on.
        let _ = self.0.subscribe().wait_for(|rekeyed| *rekeyed).await;
    }
}

#[cfg(test)]
mod tests {
    use std::{future::ready, pin::pin};

    use super::Rekeyed;

    #[tokio::test]
    async fn whoever_waits_for_another_key_is_told_then_and_not_before() {
        let rekeyed = Rekeyed::default();
        let mut waits = pin!(rekeyed.happens());
        tokio::select! {
            biased;
            () = &mut waits => panic!("nothing has happened"),
            () = ready(()) => {}
        }
        rekeyed.clone().set();
        waits.await;
        assert!(rekeyed.holds());
    }
}
