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
    domain::{challenge::LONGEST_LIFE, login::Cause},
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
    /// What people write is judged by the configuration that holds and by no other. It waits for no
    /// challenge; and a key that was changed because somebody else has it must be of no more use to
    /// end the messages to a number, or to allow them again. For the same reason a receipt by such a
    /// key ends the wait for its message at most.
    pub(super) fn told(
        &self,
        gateway: &GatewayName,
        request: &Taken,
        clock: &Clock,
    ) -> Option<Result<(&Keys, Told), Refusal>> {
        let mut refused = None;
        for (age, public) in self.all().enumerate() {
            let Some(keys) = public.keys.get(gateway) else { continue };
            let url = request.url(public);
            match keys.told(&request.callback(&url, clock)) {
                Ok(told) if age == 0 => return Some(Ok((keys, told))),
                Ok(Told { notices, mark }) if !notices.iter().any(is_written) => {
                    let notices = notices.into_iter().map(without_opt_out).collect();
                    return Some(Ok((keys, Told { notices, mark })));
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

/// A receipt that says that the person opted out, as one that says that nothing reaches the number:
/// nothing is sent again, and nothing is remembered. Where it is so, the vendor says it of the next
/// message too.
fn without_opt_out(notice: Notice) -> Notice {
    let weaker = |status| match status {
        Status::Failed { reason, cause: Cause::OptedOut } => {
            Status::Failed { reason, cause: Cause::Number }
        }
        Status::Failed { .. }
        | Status::Delivered
        | Status::UnderWay
        | Status::Unconfirmed
        | Status::Unknown(_) => status,
    };
    match notice {
        Notice::Progress { id, status } => Notice::Progress { id, status: weaker(status) },
        Notice::Call { ours, id, status } => Notice::Call { ours, id, status: weaker(status) },
        Notice::Hint { .. } | Notice::Inbound { .. } => notice,
    }
}
