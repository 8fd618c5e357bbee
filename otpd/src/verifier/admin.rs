//! What an administrator looks at and switches.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use otp_proto::admin::MEND_DAMAGED;
use tokio::task::{Id, JoinSet};
use tracing::error;

use super::Verifier;
use crate::{
    accounts::Identity,
    domain::{
        account::Account,
        audit::{Actor, AuditEvent, Event},
        budget::Held,
        bypass::Bypass,
        challenge::{Channel, Delivery},
        enrollment::Enrollment,
        login::{LoginState, holding},
        manage::{Manage, Managed, Verb},
        opt_out::OptOut,
        policy::Policy,
        time::DAY,
    },
    gateway::{GatewayName, Standing, route::GatewayHealth},
    store::{Chore, Counts, LostName, SHORTAGE, Scope, StoreError, Subscriber, Unreadable},
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
    /// Recovery codes not used yet.
    pub recovery: u8,
    /// Bypasses that are not over.
    pub bypasses: Vec<Bypass>,
    /// Why the newest message did not arrive, where a carrier reported that.
    pub undelivered: Option<String>,
    /// Since when nothing may be sent to the number, if that is so.
    pub opted_out: Option<OptOut>,
}

/// What a removal took away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gone {
    /// The number, for good.
    Removed,
    /// What could not be read; a backup brings it back.
    Discarded,
}

/// How the daemon is.
#[derive(Clone, Debug)]
pub struct Status {
    /// This host's name in messages.
    pub host: String,
    /// What kind of store it has, in a word.
    pub store: &'static str,
    /// How many of what there are.
    pub counts: Counts,
    /// The gateways in use.
    pub gateways: Vec<GatewayHealth>,
    /// What is wrong with the clock, the store and the hosts that share it.
    pub problems: Vec<String>,
}

/// Who needs no code, and which way messages go.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Who needs no code.
    pub policy: Policy,
    /// Gateways for text messages, in order.
    pub sms: Vec<GatewayName>,
    /// Gateways for calls, in order.
    pub voice: Vec<GatewayName>,
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

/// What an administrator reads of rows that cannot be read.
fn damaged(unreadable: &Unreadable) -> impl Iterator<Item = String> + use<> {
    let accounts = Unreadable { sums: 0, ..unreadable.clone() };
    let of_accounts = (!accounts.is_empty()).then(|| {
        format!(
            "what is stored of {accounts} is damaged, and no new backup has it; for each of them: \
             {MEND_DAMAGED}"
        )
    });
    let of_all = (unreadable.sums > 0).then(|| {
        format!(
            "what ranges, countries or all numbers together count is damaged ({} of them), and no \
             new backup has it: no codes are sent to numbers of theirs until it goes by itself, a day \
             or two after their last message; recovery codes and bypasses work",
            unreadable.sums
        )
    });
    of_accounts.into_iter().chain(of_all)
}

/// What every one of the tasks found out, by the names of their gateways.
async fn told(
    mut asked: JoinSet<Option<Standing>>,
    mut names: HashMap<Id, GatewayName>,
) -> Vec<(GatewayName, Option<Standing>)> {
    let mut standings = Vec::new();
    while let Some(done) = asked.join_next_with_id().await {
        let (task, standing) = match done {
            Ok(done) => done,
            Err(error) => {
                let task = error.id();
                let gateway = names.get(&task).map(|name| name.0.as_str());
                // What a panic said may quote a secret.
                let error = std::io::Error::from(error);
                error!(%error, gateway, "a gateway's check came to no end");
                let reason = "the check failed inside otpd; the journal says how".to_owned();
                (task, Some(Standing::Unclear(reason)))
            }
        };
        standings.extend(names.remove(&task).map(|name| (name, standing)));
    }
    standings.sort_unstable_by(|one, other| one.0.cmp(&other.0));
    standings
}

impl Verifier {
    /// Everything about one account; `None` when it has no number.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn show(&self, identity: &Identity) -> Result<Option<Summary>, StoreError> {
        let mut records = self.reader.account_among_all(identity.account.clone()).await?;
        let (now, site) = (self.clock.now(), self.site());
        let limits = holding(&records, &site.terms, now);
        Ok(records.enrollment.take().map(|enrollment| {
            let login = &records.login;
            Summary {
                limits,
                failures: login.failures.within(DAY, now),
                sends: login.messages.in_a_day(now),
                live: login.live(now),
                recovery: login.recovery.left(),
                bypasses: login.bypasses.current(now).cloned().collect(),
                undelivered: undelivered(login),
                opted_out: records.opted_out(enrollment.index).cloned(),
                enrollment,
            }
        }))
    }

    /// Whether something is kept for the account that an administrator gave it: a number, or a
    /// bypass.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn is_known(&self, account: &Account) -> Result<bool, StoreError> {
        let records = match self.reader.account(account.clone()).await {
            Ok(records) => records,
            // Something is, whatever it was.
            Err(StoreError::Damaged(_)) => return Ok(true),
            Err(error) => return Err(error),
        };
        let bypassed = records.login.bypasses.current(self.clock.now()).next().is_some();
        Ok(records.enrollment.is_some() || bypassed)
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
    ) -> Result<Option<Managed>, StoreError> {
        self.store.may_administer()?;
        match verb {
            // Denies more, and needs next to no room.
            Verb::Disable => {}
            Verb::Enable | Verb::Remove | Verb::Unlock => self.store.has_room().await?,
        }
        let manage = Manage { account: identity.account.clone(), verb, uid };
        let scope = Scope::Account(identity.account.clone());
        let decide = move |records: &_, now| manage.decide(records, now);
        let done = self.transact(scope, decide).await;
        done.inspect_err(|error| error!(%error, ?verb, "an administrator's verb failed"))
    }

    /// Has the number forgotten; where what is stored of the account cannot be read, that is taken away,
    /// so that a backup can bring it back. `None` when the account has no number.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn remove(&self, identity: &Identity, uid: u32) -> Result<Option<Gone>, StoreError> {
        loop {
            let what = match self.manage(identity, Verb::Remove, uid).await {
                Ok(done) => return Ok(done.map(|_| Gone::Removed)),
                Err(StoreError::Damaged(what)) => what,
                Err(error) => return Err(error),
            };
            let event = AuditEvent {
                at: self.clock.now(),
                request: None,
                account: identity.account.clone(),
                actor: Actor::Uid(uid),
                event: Event::DamagedRemoved { what: what.as_str(), name: None },
            };
            if self.store.tidy(Chore::Discard(Box::new(event))).await? > 0 {
                self.courier.wipe_all(&identity.account);
                return Ok(Some(Gone::Discarded));
            }
            // It was mended meanwhile.
        }
    }

    /// What is stored under names that no account has: who may name them may have it removed.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn lost_names(&self) -> Result<BTreeSet<LostName>, StoreError> {
        self.reader.lost_names().await
    }

    /// Has what is stored under such a name taken away, by the name as it is shown; false when there is
    /// nothing.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn remove_lost(&self, shown: &str, uid: u32) -> Result<bool, StoreError> {
        self.store.may_administer()?;
        self.store_stays()?;
        self.store.has_room().await?;
        let lost = self.lost_names().await?;
        let Some(name) = lost.into_iter().find(|name| name.to_string() == shown) else {
            return Ok(false);
        };
        let event = AuditEvent {
            at: self.clock.now(),
            request: None,
            account: Account::host(),
            actor: Actor::Uid(uid),
            event: Event::DamagedRemoved { what: "name", name: Some(shown.to_owned()) },
        };
        let event = Box::new(event);
        let gone = self.store.tidy(Chore::DiscardLost { name: name.clone(), event }).await? > 0;
        if !gone && self.lost_names().await?.contains(&name) {
            return Err(StoreError::Corrupt);
        }
        Ok(gone)
    }

    /// The site's rules that hold now.
    #[must_use]
    pub fn rules(&self) -> Rules {
        let site = self.site();
        let names = |channel| site.routes.order(channel).to_vec();
        let (sms, voice) = (names(Channel::Sms), names(Channel::Voice));
        Rules { policy: site.policy.clone(), sms, voice }
    }

    /// How each gateway's account is with its vendor, all asked at once; `None` where that cannot be
    /// asked.
    pub async fn standings(&self) -> Vec<(GatewayName, Option<Standing>)> {
        let (mut asked, mut names) = (JoinSet::new(), HashMap::new());
        let site = self.site();
        for name in site.routes.names() {
            let routes = Arc::clone(&site.routes);
            let gateway = name.clone();
            let task = asked.spawn(async move { routes.standing(&gateway).await });
            names.insert(task.id(), name);
        }
        told(asked, names).await
    }

    /// How the daemon is.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn status(&self) -> Result<Status, StoreError> {
        let counts = self.reader.counts(self.clock.now()).await?;
        let site = self.site();
        let gateways = site.routes.health();
        let full = self.store.has_room().await.is_err().then(|| SHORTAGE.to_owned());
        let clock = self.clock.doubt().map(|doubt| doubt.to_string());
        let moving = self.store_stays().err().map(|error| error.to_string());
        let damaged = damaged(&counts.unreadable);
        let problems = full.into_iter().chain(clock).chain(moving).chain(damaged);
        let problems =
            problems.chain(self.trouble_with_hosts()).chain(self.leftover_key().await).collect();
        let (host, store) = (site.message.host.clone(), self.reader.kind());
        Ok(Status { host, store, counts, gateways, problems })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use tokio::task::JoinSet;

    use super::{GatewayName, MEND_DAMAGED, Standing, Unreadable, damaged, told};

    #[test]
    fn what_is_damaged_is_told_with_what_helps() {
        let some = |accounts: u64, sums| Unreadable {
            accounts,
            first: (0..accounts).map(|nth| format!("u{nth}")).collect(),
            sums,
        };
        let told = |accounts, sums| damaged(&some(accounts, sums)).collect::<Vec<_>>();
        assert_eq!(told(0, 0), Vec::<String>::new());
        let both = told(1, 2);
        assert!(both[0].contains("1 user (u0)") && both[0].ends_with(MEND_DAMAGED), "{both:?}");
        assert!(both[1].contains("(2 of them)") && both[1].contains("by itself"), "{both:?}");
        // No account is to be removed for those.
        assert_eq!((both.len(), told(0, 2)), (2, both[1..].to_vec()));
        assert!(!both[1].contains(MEND_DAMAGED));
    }

    #[tokio::test]
    async fn a_check_that_panics_is_told_of_like_any_other() {
        let (mut asked, mut names) = (JoinSet::new(), HashMap::new());
        let name = |name: &str| GatewayName(name.to_owned());
        names.insert(asked.spawn(async { panic!("a fault") }).id(), name("broken"));
        names.insert(asked.spawn(async { Some(Standing::Untold) }).id(), name("sound"));
        let told = told(asked, names).await;
        let [(broken, Some(Standing::Unclear(_))), (sound, Some(Standing::Untold))] = &told[..]
        else {
            panic!("{told:?}")
        };
        assert_eq!((broken, sound), (&name("broken"), &name("sound")));
    }
}
