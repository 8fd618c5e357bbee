//! Which gateway carries a message, and which comes next when one fails.

mod record;
mod single;

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    future::{Future, ready},
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::sleep;
use zeroize::Zeroizing;

pub use single::Unroutable;

use self::record::Record;
use super::{
    Asking, Gateway, GatewayName, HttpError, Message, Outcome, VendorError, VendorMessageId,
    breaker::Breaker,
    client::DEADLINE,
    command::Command,
    file::File,
    flowroute,
    http::Http,
    plivo,
    redact::Redactor,
    settings::Settings,
    signalwire,
    tally::Tally,
    telnyx, twilio,
    vendor::{Dialect, Vendor},
};
use crate::domain::{challenge::Channel, time::Timestamp};

/// The gateways, in the order in which each channel uses them.
pub struct Routes {
    gateways: BTreeMap<GatewayName, Slot>,
    sms: Vec<GatewayName>,
    voice: Vec<GatewayName>,
    tally: Tally,
    reports: BTreeMap<GatewayName, Zeroizing<String>>,
}

/// Why the routes cannot be set up. Names the gateway; the remedy is in the problem.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A gateway of kind `http` cannot be used.
    #[error("gateway {name}: {problem}")]
    Http {
        /// Its name.
        name: GatewayName,
        /// What is wrong.
        #[source]
        problem: HttpError,
    },
    /// A vendor's gateway cannot be used.
    #[error("gateway {name}: {problem}")]
    Vendor {
        /// Its name.
        name: GatewayName,
        /// What is wrong.
        #[source]
        problem: VendorError,
    },
    /// Two gateways have one name.
    #[error("gateway {0} is defined twice")]
    Twice(GatewayName),
    /// A channel names a gateway that there is not.
    #[error("`delivery.{channel}` names {name}, but there is no [gateway.{name}]")]
    NoGateway {
        /// The key under `delivery`.
        channel: &'static str,
        /// The name.
        name: GatewayName,
    },
    /// A channel names a gateway that cannot carry it.
    #[error(
        "`delivery.{channel}` names {name}, which carries no such messages; a gateway of kind \
         {kind} may need {{channel}} in its body"
    )]
    Unsupported {
        /// The key under `delivery`.
        channel: &'static str,
        /// The name.
        name: GatewayName,
        /// Its kind.
        kind: &'static str,
    },
}

/// One gateway's turn with a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Who was asked.
    pub gateway: GatewayName,
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Every attempt, in order.
    pub attempts: Vec<Attempt>,
    /// The end of it.
    pub result: Delivered,
}

/// How a delivery ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivered {
    /// A vendor took it.
    Sent {
        /// Whose.
        gateway: GatewayName,
        /// The vendor's name for it, where it gives one.
        vendor_id: Option<VendorMessageId>,
    },
    /// No vendor said yes, but some gateway may have sent it: the code may arrive.
    Unknown,
    /// The person asked a vendor to stop; nothing may be sent from now on.
    OptedOut {
        /// Whose.
        gateway: GatewayName,
    },
    /// A vendor says that nothing can be sent to this number, and no gateway may have sent it.
    Rejected {
        /// Whose.
        gateway: GatewayName,
    },
    /// Surely not sent by any gateway.
    Failed,
}

/// One gateway's condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewayHealth {
    /// Its name.
    pub name: GatewayName,
    /// Its kind as the configuration has it.
    pub kind: &'static str,
    /// Whether it is in use.
    pub state: GatewayState,
    /// Why its last message failed; `None` once one succeeded after that. Fit for a log.
    pub last_reason: Option<String>,
}

/// Whether a gateway is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GatewayState {
    /// In use.
    Ready,
    /// Left alone after failures.
    Resting {
        /// Until when.
        until: Timestamp,
    },
    /// A message is on its way to find out whether it works again.
    Probing,
}

struct Slot {
    gateway: Box<dyn Gateway>,
    record: Mutex<Record>,
}

/// Sets up the gateways of a configuration and the order in which they are used.
///
/// # Errors
/// [`OpenError`] for the first gateway or name that cannot be used.
pub fn open(
    settings: &[(GatewayName, Settings)],
    sms: &[GatewayName],
    voice: &[GatewayName],
) -> Result<Routes, OpenError> {
    let open_one = |(name, settings): &(GatewayName, Settings)| {
        let gateway: Box<dyn Gateway> = match settings {
            Settings::Http(settings) => Box::new(
                Http::open(settings)
                    .map_err(|problem| OpenError::Http { name: name.clone(), problem })?,
            ),
            Settings::Telnyx(settings) => {
                vendor(name, telnyx::Api::new(settings), settings.ca_file.as_deref())?
            }
            Settings::Twilio(settings) => {
                vendor(name, twilio::Api::new(settings), settings.ca_file.as_deref())?
            }
            Settings::SignalWire(settings) => {
                vendor(name, signalwire::Api::new(settings), settings.ca_file.as_deref())?
            }
            Settings::Flowroute(settings) => {
                vendor(name, flowroute::Api::new(settings), settings.ca_file.as_deref())?
            }
            Settings::Plivo(settings) => {
                vendor(name, plivo::Api::new(settings), settings.ca_file.as_deref())?
            }
            Settings::Command(settings) => Box::new(Command::open(settings)),
            Settings::File(settings) => Box::new(File::open(settings)),
        };
        Ok((name.clone(), gateway))
    };
    Routes::new(settings.iter().map(open_one).collect::<Result<_, _>>()?, sms, voice)
}

fn vendor<D: Dialect + 'static>(
    name: &GatewayName,
    dialect: Result<D, VendorError>,
    ca_file: Option<&Path>,
) -> Result<Box<dyn Gateway>, OpenError> {
    let opened = dialect.and_then(|dialect| Vendor::open(dialect, ca_file, DEADLINE));
    match opened {
        Ok(vendor) => Ok(Box::new(vendor)),
        Err(problem) => Err(OpenError::Vendor { name: name.clone(), problem }),
    }
}

impl Routes {
    /// Routes over gateways that are set up already.
    ///
    /// # Errors
    /// [`OpenError`] when `sms` or `voice` names a gateway that there is not, or that cannot carry
    /// the channel.
    pub fn new(
        gateways: Vec<(GatewayName, Box<dyn Gateway>)>,
        sms: &[GatewayName],
        voice: &[GatewayName],
    ) -> Result<Self, OpenError> {
        let mut routes = Self {
            gateways: BTreeMap::new(),
            sms: sms.to_vec(),
            voice: voice.to_vec(),
            tally: Tally::default(),
            reports: BTreeMap::new(),
        };
        for (name, gateway) in gateways {
            let slot = Slot { gateway, record: Mutex::default() };
            if routes.gateways.insert(name.clone(), slot).is_some() {
                return Err(OpenError::Twice(name));
            }
        }
        for (key, channel) in [("sms", Channel::Sms), ("voice", Channel::Voice)] {
            for name in routes.order(channel) {
                let Some(slot) = routes.gateways.get(name) else {
                    return Err(OpenError::NoGateway { channel: key, name: name.clone() });
                };
                if !slot.gateway.supports(channel) {
                    let kind = slot.gateway.kind();
                    return Err(OpenError::Unsupported { channel: key, name: name.clone(), kind });
                }
            }
        }
        Ok(routes)
    }

    /// The same routes, with what becomes of messages counted in `tally`.
    #[must_use]
    pub fn counted(self, tally: Tally) -> Self {
        Self { tally, ..self }
    }

    /// The same routes, with messages that say where their vendor may report; gateways that are not
    /// among `urls` are not told.
    #[must_use]
    pub fn reporting(self, urls: BTreeMap<GatewayName, Zeroizing<String>>) -> Self {
        Self { reports: urls, ..self }
    }

    /// Whether the vendor of a gateway is told where to report.
    #[must_use]
    pub fn is_reporting(&self, gateway: &GatewayName) -> bool {
        self.reports.contains_key(gateway)
    }

    /// Whether calls can be made at all.
    #[must_use]
    pub fn has_voice(&self) -> bool {
        !self.voice.is_empty()
    }

    /// Hands a message to the first gateway that takes it.
    ///
    /// The next one gets the same message, with the same code, when one is out of order, wrongly
    /// set up or does not answer; never when a vendor says that the number is bad, or that the person
    /// opted out, unless it says so of everybody: that counts as wrongly set up. Those of `avoid`, the
    /// routes that this login used last, are tried last, in that order. Gateways that rest are tried
    /// after all others: no login is refused because of a breaker. One alone that surely did not send it
    /// is asked once more after a moment. It ends early when the message's `valid_for` is over.
    ///
    /// Dropping the future abandons the rest.
    pub async fn deliver(
        &self,
        message: &Message,
        avoid: &[GatewayName],
        now: impl Fn() -> Timestamp,
    ) -> Delivery {
        self.deliver_while(message, avoid, &[], now, || ready(true)).await
    }

    /// As [`Self::deliver`], but by none of `except`, which took the code and lost it, and by no further
    /// gateway once `wanted` says no: a login may be over by the time that a gateway has not answered.
    pub async fn deliver_while<W: Future<Output = bool>>(
        &self,
        message: &Message,
        avoid: &[GatewayName],
        except: &[GatewayName],
        now: impl Fn() -> Timestamp,
        wanted: impl Fn() -> W,
    ) -> Delivery {
        let slots = self.slots(message.channel).filter(|(name, _)| !except.contains(name));
        let mut slots: Vec<_> = slots.collect();
        // Stable: the others stay in their order, before all that are avoided.
        slots.sort_by_key(|(name, _)| avoid.iter().position(|avoided| avoided == *name));
        self.hand_over(message, slots.into_iter(), now, wanted).await
    }

    /// Whether a channel has a gateway besides these.
    #[must_use]
    pub fn has_other(&self, channel: Channel, than: &[GatewayName]) -> bool {
        self.slots(channel).any(|(name, _)| !than.contains(name))
    }

    /// Asks how far a message is. `None` when its gateway cannot tell.
    #[must_use]
    pub fn status<'a>(
        &'a self,
        gateway: &GatewayName,
        message: &'a Message,
        id: &'a VendorMessageId,
    ) -> Option<Asking<'a>> {
        self.gateways.get(gateway)?.gateway.status(message, id)
    }

    fn slots(&self, channel: Channel) -> impl Iterator<Item = (&GatewayName, &Slot)> {
        self.order(channel).iter().filter_map(|name| self.gateways.get_key_value(name))
    }

    async fn hand_over<W: Future<Output = bool>>(
        &self,
        message: &Message,
        slots: impl Iterator<Item = (&GatewayName, &Slot)>,
        now: impl Fn() -> Timestamp,
        wanted: impl Fn() -> W,
    ) -> Delivery {
        let expires = now().after(message.valid_for);
        let mut attempts = Vec::new();
        let mut queue: VecDeque<_> = slots.map(|(name, slot)| (name, slot, false)).collect();
        while let Some((name, slot, rested)) = queue.pop_front() {
            if !attempts.is_empty() && !wanted().await {
                break;
            }
            if !rested && !slot.record().breaker.admit(now()) {
                queue.push_back((name, slot, true));
                continue;
            }
            let valid_for = expires.since(now());
            if valid_for.is_zero() {
                break;
            }
            let report_url = self.reports.get(name).cloned();
            // Whoever cannot prove to be the vendor is not told what a call says.
            let answer_url = message.answer_url.clone().filter(|_| report_url.is_some());
            let message = Message { valid_for, answer_url, report_url, ..message.clone() };
            let outcome = telling_nothing(slot.gateway.send(&message).await, &message);
            let outcome = slot.record().note(name, &message, outcome, now());
            self.tally.count(name, message.channel, &outcome);
            let attempt = Attempt { gateway: name.clone(), outcome };
            let ended = is_final(&attempt.outcome);
            attempts.push(attempt);
            if ended {
                break;
            }
            // Nobody else is left to ask, and whoever logs in would wait half a minute for `r`.
            if queue.is_empty()
                && let Some(pause) = once_more(&attempts)
            {
                sleep(pause).await;
                queue.push_back((name, slot, true));
            }
        }
        Delivery { result: result(&attempts), attempts }
    }

    /// The condition of every gateway, by name.
    #[must_use]
    pub fn health(&self) -> Vec<GatewayHealth> {
        let health = |(name, slot): (&GatewayName, &Slot)| {
            let record = slot.record();
            GatewayHealth {
                name: name.clone(),
                kind: slot.gateway.kind(),
                state: record.breaker.into(),
                last_reason: record.last_reason.clone(),
            }
        };
        self.gateways.iter().map(health).collect()
    }

    /// The gateways of a channel, in the order in which they are tried.
    #[must_use]
    pub fn order(&self, channel: Channel) -> &[GatewayName] {
        match channel {
            Channel::Sms => &self.sms,
            Channel::Voice => &self.voice,
        }
    }
}

impl fmt::Debug for Routes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { gateways: _, sms, voice, tally: _, reports: _ } = self;
        f.debug_struct("Routes").field("sms", sms).field("voice", voice).finish_non_exhaustive()
    }
}

impl Slot {
    /// Held for a moment, never across an await.
    fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl From<Breaker> for GatewayState {
    fn from(breaker: Breaker) -> Self {
        match breaker {
            Breaker::Closed { .. } => Self::Ready,
            Breaker::Resting { since, rest } => Self::Resting { until: since.after(rest) },
            Breaker::Probing { .. } => Self::Probing,
        }
    }
}

/// A vendor's id is written down as it is; one that holds the code or the number is not kept.
fn telling_nothing(outcome: Outcome, message: &Message) -> Outcome {
    let tells = |id: &VendorMessageId| Redactor::new(message, []).reason(&id.0) != id.0;
    match outcome {
        Outcome::Accepted { vendor_id: Some(id) } if tells(&id) => {
            Outcome::Accepted { vendor_id: None }
        }
        other => other,
    }
}

/// Whether no other gateway is to be asked.
fn is_final(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Accepted { .. } | Outcome::Rejected(_) | Outcome::OptedOut => true,
        Outcome::Retryable { .. } | Outcome::Misconfigured(_) | Outcome::Unknown(_) => false,
    }
}

/// How long to wait before the only gateway that was asked is asked once more; `None` where it may have
/// sent the message, is wrongly set up, was asked twice, or wants a longer pause than somebody at a prompt
/// is to wait.
fn once_more(attempts: &[Attempt]) -> Option<Duration> {
    let [Attempt { outcome: Outcome::Retryable { after, .. }, .. }] = attempts else { return None };
    let pause = after.unwrap_or_default().max(MOMENT);
    (pause <= LONGEST_MOMENT).then_some(pause)
}

/// The pause before a gateway alone is asked once more, at least and at most.
const MOMENT: Duration = Duration::from_secs(1);
const LONGEST_MOMENT: Duration = Duration::from_secs(3);

/// The end of a delivery. That a gateway may have sent the message outweighs that a later one
/// refused the number, because the code may arrive; it does not outweigh an opt-out.
fn result(attempts: &[Attempt]) -> Delivered {
    let perhaps = attempts.iter().any(|a| matches!(a.outcome, Outcome::Unknown(_)));
    match attempts.last().map(|attempt| (&attempt.gateway, &attempt.outcome)) {
        Some((gateway, Outcome::Accepted { vendor_id })) => {
            Delivered::Sent { gateway: gateway.clone(), vendor_id: vendor_id.clone() }
        }
        Some((gateway, Outcome::OptedOut)) => Delivered::OptedOut { gateway: gateway.clone() },
        _ if perhaps => Delivered::Unknown,
        Some((gateway, Outcome::Rejected(_))) => Delivered::Rejected { gateway: gateway.clone() },
        _ => Delivered::Failed,
    }
}

#[cfg(test)]
mod tests;
