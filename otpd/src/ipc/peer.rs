//! Who is at the other end, as the kernel says it.

use tokio::net::UnixStream;

/// The uid that stands for "nobody in particular": every user that is not mapped into a user
/// namespace has it, so it is never anybody.
const OVERFLOW_UID: u32 = 65534;

/// A peer by its credentials at the time it connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Peer {
    pub(super) uid: u32,
    pub(super) gid: u32,
}

impl Peer {
    /// Reads `SO_PEERCRED`; `None` for a peer that cannot be told from others.
    pub(super) fn of(stream: &UnixStream) -> Option<Self> {
        let credentials = stream.peer_cred().ok()?;
        Self::new(credentials.uid(), credentials.gid())
    }

    pub(super) fn new(uid: u32, gid: u32) -> Option<Self> {
        (uid != OVERFLOW_UID && uid != u32::MAX).then_some(Self { uid, gid })
    }
}

#[cfg(test)]
mod tests {
    use super::Peer;

    #[test]
    fn nobody_is_nobody() {
        assert_eq!(Peer::new(65534, 65534), None);
        assert_eq!(Peer::new(u32::MAX, 0), None);
        assert!(Peer::new(0, 0).is_some() && Peer::new(1000, 1000).is_some());
    }
}
