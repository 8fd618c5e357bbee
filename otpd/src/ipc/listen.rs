//! Accepting connections, and how many.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{net::UnixListener, task::JoinSet};
use tracing::{debug, warn};

use super::{Backend, Common, backup, connection::Connection, log::Watchers, peer::Peer};
use crate::{quota::Quota, shutdown::Shutdown, waiting::Waiting};

/// Connections at once.
const ALL: usize = 512;
/// Of those, at most this many that are not root's; the rest is kept for root.
const NOT_ROOT: usize = 256;
/// Connections of one uid that is not root.
const PER_UID: usize = 8;

/// Who is connected.
#[derive(Clone, Default)]
struct Seats(Arc<Mutex<HashMap<u32, usize>>>);

/// One connection's place; it is free again when this is dropped.
struct Seat {
    seats: Seats,
    uid: u32,
}

impl Seats {
    fn take(&self, uid: u32) -> Option<Seat> {
        let taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let all = taken.values().sum::<usize>();
        let root = taken.get(&0).copied().unwrap_or(0);
        let own = taken.get(&uid).copied().unwrap_or(0);
        let free = all < ALL && (uid == 0 || (all - root < NOT_ROOT && own < PER_UID));
        drop(taken);
        free.then(|| self.give(uid))
    }

    /// A seat, though there may be none left.
    fn give(&self, uid: u32) -> Seat {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *taken.entry(uid).or_insert(0) += 1;
        Seat { seats: self.clone(), uid }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = taken.get_mut(&self.uid) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.uid);
            }
        }
    }
}

/// Serves until `stop`; then what is being answered is answered, and the rest closed.
///
/// A surplus connection is closed at once, so that no local user fills the backlog.
pub async fn serve(listener: &UnixListener, backend: Backend, mut stop: Shutdown) {
    let seats = Seats::default();
    let mut connections = JoinSet::new();
    let (watchers, denials) = (Watchers::default(), Quota::default());
    let backups = backup::Seat::default();
    let prompts = Waiting::default();
    let common = Common { stop: stop.clone(), watchers, backups, denials, prompts };
    loop {
        let accepted = tokio::select! {
            () = stop.requested() => break,
            accepted = listener.accept() => accepted,
            // Collects what has ended, so that the set does not grow.
            Some(_) = connections.join_next() => {
                backend.count(connections.len());
                continue;
            }
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of descriptors or memory: what is connected goes on, and ends.
                warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let Some(peer) = Peer::of(&stream) else {
            debug!("a peer without a usable uid was turned away");
            continue;
        };
        // A login that waits at its prompt needs no connection before somebody types: the module comes
        // again. So root, as whom logins ask, gets a seat whatever is held.
        let seat = seats
            .take(peer.uid)
            .or_else(|| (peer.uid == 0 && common.prompts.relieve()).then(|| seats.give(peer.uid)));
        let Some(seat) = seat else {
            debug!(uid = peer.uid, "too many connections; one was turned away");
            continue;
        };
        backend.count(connections.len() + 1);
        let connection = Connection::new(stream, peer, backend.clone(), common.clone());
        connections.spawn(async move {
            connection.serve().await;
            drop(seat);
        });
    }
    // Idle ones end at once; the caller bounds how long the others may take.
    while connections.join_next().await.is_some() {}
}

#[cfg(test)]
mod tests {
    use super::{ALL, NOT_ROOT, PER_UID, Seats};

    #[test]
    fn root_keeps_half_of_the_seats_and_nobody_takes_many() {
        let seats = Seats::default();
        let own = std::iter::from_fn(|| seats.take(1000)).collect::<Vec<_>>();
        assert_eq!(own.len(), PER_UID);
        let others = (1001..9999).map_while(|uid| seats.take(uid)).collect::<Vec<_>>();
        assert_eq!(own.len() + others.len(), NOT_ROOT);
        let root = std::iter::from_fn(|| seats.take(0)).collect::<Vec<_>>();
        assert_eq!(root.len(), ALL - NOT_ROOT);
        drop(own);
        assert!(seats.take(1000).is_some(), "a seat is free when its connection ends");
        assert_eq!(std::iter::from_fn(|| seats.take(0)).collect::<Vec<_>>().len(), PER_UID);
    }

    #[test]
    fn root_may_have_all() {
        let seats = Seats::default();
        assert_eq!(std::iter::from_fn(|| seats.take(0)).collect::<Vec<_>>().len(), ALL);
    }
}
