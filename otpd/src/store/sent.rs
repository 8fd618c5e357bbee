//! Messages that an earlier run of the daemon handed to vendors, found again at the start: by the
//! challenges that are live, and by what the end of the audit trail says of their messages. What is
//! damaged costs its own message's following and no other's.

use serde_json::Value;
use tracing::error;

use crate::domain::{
    account::Account,
    challenge::{Challenge, Delivery},
    enrollment::Enrollment,
    login::{LoginState, SentBefore},
    time::Timestamp,
};

/// Events that are looked at, the newest: what a busy host writes in the life of a code. Reading
/// them takes some hundredths of a second, once a start, and holds up no login.
pub(super) const LOOKED_AT: i64 = 16_384;
/// Messages that are looked for.
pub(super) const MESSAGES: usize = 4096;

/// What the trail calls a challenge: its account and its request id.
pub(super) type Name = (String, u32);

/// A challenge, while its message is looked for.
pub(super) struct Wanted {
    pub(super) sent: SentBefore,
    /// Messages of its gateway that the trail has since its code was issued.
    found: u32,
    /// The vendor's names for messages of its gateway that were reported to be at their end since then.
    ended: Vec<String>,
    /// Something of its login cannot be read.
    unclear: bool,
}

/// A challenge that waits for a code, and the gateway that took the message.
pub(super) type Waiting = (Challenge, String);

impl Wanted {
    pub(super) fn new(
        account: &Account,
        enrollment: &Enrollment,
        challenge: &Challenge,
        gateway: String,
    ) -> (Name, Self) {
        let name = (account.as_str().to_owned(), challenge.token.request().0);
        let sent = sent(account, enrollment, challenge, gateway);
        (name, Self { sent, found: 0, ended: Vec::new(), unclear: false })
    }

    /// Takes what an event of its login says; `None` when that cannot be read.
    pub(super) fn note(&mut self, at: Timestamp, event: Option<&str>) {
        let Some(event) = event.and_then(|event| serde_json::from_str::<Value>(event).ok()) else {
            let account = &self.sent.account;
            error!(%account, "a message is not followed: an event of its login is damaged");
            self.unclear = true;
            return;
        };
        let field = |name| event.get(name).and_then(Value::as_str);
        let of_gateway = field("gateway") == Some(&*self.sent.gateway);
        if !of_gateway || at < self.sent.issued_at {
            return;
        }
        let id = field("vendor_id").map(str::to_owned);
        match field("event") {
            Some("message-sent") => {
                self.found += 1;
                self.sent.vendor_id = id;
            }
            Some("message-status" | "message-undelivered") => {
                self.ended.push(id.unwrap_or_default());
            }
            Some(_) | None => {}
        }
    }

    /// The message, if it is known which one it is, and nothing tells that it is at its end: what is
    /// told again would be acted on again.
    pub(super) fn found(self) -> Option<SentBefore> {
        let own = self.sent.vendor_id.as_deref();
        let ended = self.ended.iter().any(|id| own.is_none_or(|own| own == id));
        (self.found == 1 && !self.unclear && !ended).then_some(self.sent)
    }
}

/// The challenges of an account that wait for a code which a gateway took before `begun`.
pub(super) fn waiting(login: LoginState, begun: Timestamp) -> Vec<Waiting> {
    let waits = |challenge: &Challenge| {
        challenge.is_live() && !challenge.is_expired(begun) && challenge.issued_at < begun
    };
    let taken = |challenge: Challenge| {
        let Delivery::Accepted { gateway } = &challenge.delivery else { return None };
        let gateway = gateway.clone();
        Some((challenge, gateway))
    };
    login.challenges.into_iter().filter(waits).filter_map(taken).collect()
}

fn sent(
    account: &Account,
    enrollment: &Enrollment,
    challenge: &Challenge,
    gateway: String,
) -> SentBefore {
    SentBefore {
        account: account.clone(),
        token: challenge.token,
        to: enrollment.number().clone(),
        index: enrollment.index,
        channel: challenge.channel,
        reference: challenge.reference(),
        issued_at: challenge.issued_at,
        expires_at: challenge.expires_at(),
        gateway,
        vendor_id: None,
        repeat: challenge.repeats,
    }
}
