//! What an administrator looks at and switches.

use tracing::error;

use super::Verifier;
use crate::{
    accounts::Identity,
    domain::{
        account::Account,
        budget::Held,
        challenge::Delivery,
        enrollment::{Enrollment, State},
        login::LoginState,
        manage::{Manage, Verb},
        time::DAY,
    },
    gateway::route::GatewayHealth,
    store::{Counts, Scope, StoreError, Subscriber},
};

/// Everything about one account.
#[derive(Clone, Debug)]
pub struct Summary {
    /// Its number.
    pub enrollment: Enrollment,
    /// What holds it back now.
    pub limits: Vec<Held>,
    /// Wrong codes in the last 24 hours.
    pub failures: usize,
    /// Messages to log in, in the last 24 hours.
    pub sends: usize,
    /// Logins that wait for a code.
    pub live: usize,
    /// Why the newest message did not arrive, where a carrier reported that.
    pub undelivered: Option<String>,
}

/// How the daemon is.
#[derive(Clone, Debug)]
pub struct Status {
    /// This host's name in messages.
    pub host: String,
    /// How many of what there are.
    pub counts: Counts,
    /// The gateways in use.
    pub gateways: Vec<GatewayHealth>,
}

/// What became of the newest message, where it did not arrive.
fn undelivered(login: &LoginState) -> Option<String> {
    let newest = login.challenges.iter().max_by_key(|challenge| challenge.issued_at)?;
    match &newest.delivery {
        Delivery::Undelivered { gateway, reason } => Some(format!("{gateway}: {reason}")),
        Delivery::Sending { .. }
        | Delivery::Accepted { .. }
        | Delivery::Uncertain { .. }
        | Delivery::Unsent => None,
    }
}

impl Verifier {
    /// Everything about one account; `None` when it has no number.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn show(&self, identity: &Identity) -> Result<Option<Summary>, StoreError> {
        let mut records = self.reader.account(identity.account.clone()).await?;
        let (now, site) = (self.clock.now(), self.site());
        Ok(records.enrollment.take().map(|enrollment| {
            let (rules, channel) = (&site.terms.limits, enrollment.channel);
            let number = records.number_budget(enrollment.index).cloned().unwrap_or_default();
            let login = &records.login;
            let held = [
                login.failures.held(now),
                login.messages.held(rules, channel, now),
                number.messages.held(rules, channel, now),
                // Of no matter any more once the number is proved.
                number.proofs_held(now).filter(|_| enrollment.state == State::Pending),
            ];
            let mut limits = held.into_iter().flatten().collect::<Vec<_>>();
            // The account and its number have the same limits; one line says enough.
            limits.dedup_by_key(|held| held.limit);
            Summary {
                limits,
                failures: login.failures.within(DAY, now),
                sends: login.messages.in_a_day(now),
                live: login.live(now),
                undelivered: undelivered(login),
                enrollment,
            }
        }))
    }

    /// Whether the account has a number.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn is_enrolled(&self, account: &Account) -> Result<bool, StoreError> {
        Ok(self.reader.account(account.clone()).await?.enrollment.is_some())
    }

    /// A page of the enrolled, in the order of their names.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn page(&self, after: Option<Account>) -> Result<Vec<Subscriber>, StoreError> {
        self.reader.subscribers(after, 100).await
    }

    /// Carries a verb out; `None` when the account has no number.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn manage(
        &self,
        identity: &Identity,
        verb: Verb,
        uid: u32,
    ) -> Result<Option<Enrollment>, StoreError> {
        let manage = Manage { account: identity.account.clone(), verb, uid };
        let scope = Scope::Account(identity.account.clone());
        let decide = move |records: &_, now| manage.decide(records, now);
        let done = self.store.transact(scope, decide).await;
        done.inspect_err(|error| error!(%error, ?verb, "an administrator's verb failed"))
    }

    /// How the daemon is.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn status(&self) -> Result<Status, StoreError> {
        let counts = self.reader.counts(self.clock.now()).await?;
        let site = self.site();
        let gateways = site.routes.health();
        Ok(Status { host: site.message.host.clone(), counts, gateways })
    }
}
