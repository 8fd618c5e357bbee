//! The daemons that share a store: this one tells the others of itself, and administrators of all.

use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tracing::{error, info};

use super::Verifier;
use crate::{
    domain::{challenge::Instance, time::Timestamp},
    gateway::route::{GatewayHealth, GatewayState},
    shutdown::Shutdown,
    store::{GatewaySeen, HostSeen, Life, Presence, StoreError, Twin, Use, Word},
};

/// How often a daemon says that it runs.
const EVERY: Duration = Duration::from_secs(20);
/// How often it looks whether its gateways are as it said.
const LOOK: Duration = Duration::from_secs(1);
/// How often it looks whether it holds a key for later, which is a file.
const LOOK_FOR_KEY: Duration = Duration::from_secs(5);
/// How long it may take to say that it stops.
const LAST_WORD: Duration = Duration::from_secs(2);

/// A daemon among those that share the store.
#[derive(Clone, Debug)]
pub struct Member {
    /// It is the one that was asked.
    pub here: bool,
    /// What is known of it.
    pub seen: HostSeen,
}

impl Verifier {
    /// Tells the daemons that share the store that this one runs, again and again until it stops, and
    /// then that it stops. Nobody waits for it; what goes wrong is tried again.
    pub async fn be_seen(&self, mut stop: Shutdown) {
        if !self.reader.is_shared() {
            return;
        }
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut last, mut begun) = (None::<(Presence, Instant)>, None);
        let mut looked = None::<Instant>;
        loop {
            tokio::select! {
                biased;
                () = stop.requested() => break,
                _ = looks.tick() => {}
            }
            if looked.is_none_or(|at| at.elapsed() >= LOOK_FOR_KEY) {
                self.look_for_next_key().await;
                looked = Some(Instant::now());
            }
            let presence = self.presence();
            if last
                .as_ref()
                .is_some_and(|(told, at)| at.elapsed() < EVERY && same_states(told, &presence))
            {
                continue;
            }
            last = Some((presence.clone(), Instant::now()));
            tokio::select! {
                biased;
                () = stop.requested() => break,
                told = self.reader.tell(self.word(begun, presence, false)) => {
                    // The store says why it cannot.
                    if let Ok(told) = told {
                        begun.get_or_insert(told.at);
                        self.note_twin(told.twin);
                    }
                }
            }
        }
        let last_word = self.reader.tell(self.word(begun, self.presence(), true));
        // Who does not hear it sees that nothing comes any more.
        let _ = timeout(LAST_WORD, last_word).await;
    }

    /// The daemons that share the store: this one first, then the others by their names.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn hosts(&self) -> Result<Vec<Member>, StoreError> {
        self.look_for_next_key().await;
        let own = HostSeen {
            name: self.machine.clone(),
            run: self.run(),
            started_at: self.begun,
            seen_at: self.clock.now(),
            life: Life::Running,
            presence: self.presence(),
        };
        let mut others = self.reader.hosts().await?;
        others.retain(|host| (&host.name, host.run) != (&own.name, own.run));
        let others = others.into_iter().map(|seen| Member { here: false, seen });
        Ok(std::iter::once(Member { here: true, seen: own }).chain(others).collect())
    }

    /// What is wrong with the hosts, where another passes for this one.
    pub(super) fn trouble_with_hosts(&self) -> Option<String> {
        let twin = *self.twin.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        twin.map(|twin| double(twin, &self.machine))
    }

    fn run(&self) -> Instance {
        self.site().terms.issuer.instance
    }

    fn word(&self, begun: Option<Timestamp>, presence: Presence, stopped: bool) -> Word {
        Word { run: self.run(), begun, presence, stopped }
    }

    fn presence(&self) -> Presence {
        let gateways = self.site().routes.health().into_iter().map(seen).collect();
        let version = env!("CARGO_PKG_VERSION").to_owned();
        let next_key = self.next_key_id();
        let doubts = self.clock.doubt().is_some();
        Presence { version, gateways, key: self.keys.id, next_key, doubts }.bounded()
    }

    fn note_twin(&self, found: Option<Twin>) {
        let mut known = self.twin.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if *known == found {
            return;
        }
        *known = found;
        if let Some(twin) = found {
            error!("{}", double(twin, &self.machine));
        } else {
            info!("no other daemon uses this host's name any more");
        }
    }
}

fn double(twin: Twin, name: &str) -> String {
    match twin {
        Twin::Machine => format!(
            "another daemon uses this database under the same /etc/machine-id and the same name, \
             {name}, and both send each other's codes anew: give one of the machines its own \
             (systemd-machine-id-setup), and restart otpd there"
        ),
        Twin::Name => format!(
            "another daemon uses this database under the same name, {name}, and the log cannot tell \
             them apart: give one of the machines its own (hostnamectl), and restart otpd there"
        ),
    }
}

fn seen(health: GatewayHealth) -> GatewaySeen {
    GatewaySeen {
        name: health.name.0,
        kind: health.kind.to_owned(),
        state: match health.state {
            GatewayState::Ready => Use::Ready,
            GatewayState::Resting { .. } => Use::Resting,
            GatewayState::Probing => Use::Probing,
        },
        reason: health.last_reason,
    }
}

/// Whether the same gateways are in use and the same key is held; a reason may differ with every
/// message.
fn same_states(one: &Presence, other: &Presence) -> bool {
    let states = |presence: &Presence| {
        let states = presence.gateways.iter().map(|gateway| (gateway.name.clone(), gateway.state));
        states.collect::<Vec<_>>()
    };
    let rest = |presence: &Presence| (presence.next_key, presence.doubts);
    states(one) == states(other) && rest(one) == rest(other)
}
