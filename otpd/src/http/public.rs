//! What vendors are told, and what tells them from others: as the configuration says it now, and for
//! a while as it said before.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use ipnet::IpNet;
use tokio::time::Instant;

use super::Taken;
use crate::{
    clock::Clock,
    domain::challenge::LONGEST_LIFE,
    gateway::{
        GatewayName, Notice, Status,
        callback::{Caller, Keys, Refusal, Told},
    },
};

/// Superseded configurations that are kept at most; of more reloads than that within
/// [`LONGEST_LIFE`] the oldest is forgotten early. Each costs an attacker's request one more check.
const GENERATIONS: usize = 4;

/// What vendors are told, and what tells them from others; replaced as a whole when the
/// configuration is read again.
#[derive(Debug, Default)]
pub struct Public {
    /// Where vendors reach this listener, without a slash at its end.
    pub url: String,
    /// What each gateway's vendor proves itself by.
    pub keys: BTreeMap<GatewayName, Keys>,
    /// Proxies whose word about addresses counts.
    pub trusted_proxies: Vec<IpNet>,
}

impl Public {
    /// Whether vendors are told the same and prove themselves by the same.
    fn is_heard_as(&self, other: &Self) -> bool {
        let keys = |public: &Self| {
            let keys = public.keys.iter();
            keys.map(|(name, keys)| (name.clone(), keys.fingerprint())).collect::<Vec<_>>()
        };
        self.url == other.url && keys(self) == keys(other)
    }
}

/// The configuration that holds, and those before it under which something may be under way: a
/// challenge finishes under the configuration it began with, and so do its receipts and its calls.
#[derive(Clone, Debug)]
pub(super) struct Generations {
    now: Arc<Public>,
    /// The newest first, each with the time of the reload that superseded it.
    before: VecDeque<(Instant, Arc<Public>)>,
}

impl Generations {
    pub(super) fn new(public: Public) -> Self {
        Self { now: Arc::new(public), before: VecDeque::new() }
    }

    /// Takes over what the configuration says now. One that vendors do not notice supersedes
    /// nothing, so that reloads for other reasons push nothing out.
    pub(super) fn replace(&mut self, public: Public) {
        let before = std::mem::replace(&mut self.now, Arc::new(public));
        if !before.is_heard_as(&self.now) {
            self.before.push_front((Instant::now(), before));
            self.before.truncate(GENERATIONS);
        }
    }

    /// Forgets those under which no challenge can be live any more.
    pub(super) fn forget(&mut self) {
        self.before.retain(|(superseded, _)| superseded.elapsed() < LONGEST_LIFE);
    }

    /// What the configuration says now.
    pub(super) fn now(&self) -> &Public {
        &self.now
    }

    /// The newest first.
    fn all(&self) -> impl Iterator<Item = &Public> {
        std::iter::once(&*self.now).chain(self.before.iter().map(|(_, public)| &**public))
    }

    /// What a request says to a gateway, by the newest configuration under which it is the
    /// vendor's. `None`: no configuration knows the gateway.
    ///
    /// A key that holds still is believed whatever URL the vendor was given. One that was changed may
    /// have been changed because somebody else has it: it must be of no more use to end the messages
    /// to a number or to allow them again, which waits for no challenge, nor to have messages sent. So
    /// of what people write nothing is heard by such a key, and a receipt by it ends the wait for its
    /// message, or has the vendor asked about it.
    pub(super) fn told(
        &self,
        gateway: &GatewayName,
        request: &Taken,
        clock: &Clock,
    ) -> Option<Result<(&Keys, Told), Refusal>> {
        let mut refused = None;
        let holds = self.now.keys.get(gateway).map(Keys::fingerprint);
        for public in self.all() {
            let Some(keys) = public.keys.get(gateway) else { continue };
            let url = request.url(public);
            match keys.told(&request.callback(&url, clock)) {
                Ok(told) if holds == Some(keys.fingerprint()) => return Some(Ok((keys, told))),
                Ok(Told { notices, mark, unproved }) if !notices.iter().any(is_written) => {
                    let notices = notices.into_iter().map(harmless).collect();
                    return Some(Ok((keys, Told { notices, mark, unproved })));
                }
                Ok(_) => refused = refused.or(Some(Refusal::Forged)),
                Err(why) => refused = refused.or(Some(why)),
            }
        }
        refused.map(Err)
    }

    /// Whose call asks for its words: the gateway, the call, and the URL as that gateway's vendor was
    /// given it. The token does not say which gateway's turn it was when the message went out, nor
    /// under which configuration; whoever has it and signs is taken for the vendor.
    pub(super) fn caller(
        &self,
        request: &Taken,
        clock: &Clock,
    ) -> Option<(&GatewayName, Caller, String)> {
        self.all().find_map(|public| {
            let url = request.url(public);
            let callback = request.callback(&url, clock);
            let mut callers = public.keys.iter();
            let (name, caller) =
                callers.find_map(|(name, keys)| Some((name, keys.caller(&callback).ok()?)))?;
            Some((name, caller, url))
        })
    }
}

/// Whether it is what a person wrote.
fn is_written(notice: &Notice) -> bool {
    match notice {
        Notice::Inbound { .. } => true,
        Notice::Progress { .. } | Notice::Call { .. } | Notice::Hint { .. } => false,
    }
}

/// A receipt by a key that was changed. What it says about a loss is not taken from it: it would be
/// charged for, remembered for the number, or sent again. The vendor is asked instead, with the
/// credentials that hold. A call that its vendor did not name on taking it is not found by the
/// vendor's name, so a loss of one by such a key is not heard at all: whoever waits asks for another.
fn harmless(notice: Notice) -> Notice {
    match notice {
        Notice::Progress { id, status: Status::Failed { .. } }
        | Notice::Call { id, status: Status::Failed { .. }, .. } => Notice::Hint { id },
        Notice::Progress {
            status: Status::Delivered | Status::UnderWay | Status::Unconfirmed | Status::Unknown(_),
            ..
        }
        | Notice::Call {
            status: Status::Delivered | Status::UnderWay | Status::Unconfirmed | Status::Unknown(_),
            ..
        }
        | Notice::Hint { .. }
        | Notice::Inbound { .. } => notice,
    }
}

#[cfg(test)]
mod tests {
    use super::{Notice, Status, harmless};
    use crate::{
        domain::login::Cause,
        gateway::{MessageId, VendorMessageId},
    };

    #[test]
    fn by_a_changed_key_no_loss_is_believed() {
        let id = || VendorMessageId("m-1".to_owned());
        let ours = MessageId([7; 16]);
        for cause in [Cause::Route, Cause::Number, Cause::OptedOut] {
            let status = || Status::Failed { reason: "lost".to_owned(), cause };
            let asked = Notice::Hint { id: id() };
            assert_eq!(harmless(Notice::Progress { id: id(), status: status() }), asked);
            assert_eq!(harmless(Notice::Call { ours, id: id(), status: status() }), asked);
        }
        for status in [Status::Delivered, Status::Unconfirmed, Status::UnderWay] {
            let call = Notice::Call { ours, id: id(), status: status.clone() };
            assert_eq!(harmless(call.clone()), call);
            let progress = Notice::Progress { id: id(), status };
            assert_eq!(harmless(progress.clone()), progress);
        }
    }
}
