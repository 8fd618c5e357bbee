//! Recovery codes are made, and their use is told to the account's owner.

use std::sync::Arc;

use rand::RngExt;
use tokio::sync::watch;
use tracing::error;

use super::{
    Failure, Site, Verifier,
    deliver::{Sent, reason},
};
use crate::{
    accounts::Identity,
    conversation,
    domain::{
        challenge::Channel,
        login::{Progress, Recovered, Told},
        recovery::{CODES, MakeCodes, RecoveryCode, RecoveryHash},
        time::HOUR,
    },
    gateway::{Message, MessageId, Outcome, route::Delivered as Routed},
    random,
    store::Scope,
};

impl Verifier {
    /// Makes a new set of recovery codes; the earlier ones no longer work. These are the only copies
    /// of the plain codes.
    ///
    /// # Errors
    /// [`Failure`]; after [`Failure::Unavailable`] perhaps the earlier ones are void all the same.
    pub async fn recovery_codes(
        &self,
        identity: &Identity,
        uid: u32,
    ) -> Result<Vec<RecoveryCode>, Failure> {
        let (site, account) = (self.site(), &identity.account);
        let key = &site.terms.issuer.key;
        let mut rng = random::system();
        let codes = std::iter::repeat_with(|| RecoveryCode::generate(&mut rng));
        let codes = codes.take(CODES).collect::<Vec<_>>();
        let hashes = codes.iter().map(|code| RecoveryHash::of(key, account, code)).collect();
        let make = MakeCodes { account: account.clone(), key: key.clone(), codes: hashes, uid };
        let decide = move |records: &_, now| make.decide(records, now);
        self.decide(Scope::Account(account.clone()), uid, decide).await?;
        Ok(codes)
    }

    /// Tells the owner of an account by a text message that a recovery code was used, in a task of
    /// its own: the login waits for nothing.
    pub(super) fn tell_owner(&self, site: Arc<Site>, recovered: Recovered) {
        let (publish, sent) = watch::channel(None);
        // In the place of the login's own message, which nobody waits for any more.
        let on_its_way = self.courier.in_flight.enter(recovered.token, sent);
        let (store, clock) = (self.store.clone(), self.clock.clone());
        let id = MessageId(random::system().random());
        tokio::spawn(async move {
            let _on_its_way = on_its_way;
            let Recovered { account, token, left, tell } = recovered;
            let mut told =
                Told { account: account.clone(), token, failures: Vec::new(), sent: None };
            if let Some(to) = tell {
                let text = conversation::used_text(left, &site.message.host);
                let message = Message {
                    id,
                    to,
                    channel: Channel::Sms,
                    text,
                    code: None,
                    valid_for: HOUR,
                    answer_url: None,
                    report_url: None,
                };
                let delivery = site.routes.deliver(&message, None, || clock.now()).await;
                let failed = delivery.attempts.iter().filter_map(|attempt| {
                    Some((attempt.gateway.0.clone(), reason(&attempt.outcome)?))
                });
                told.failures = failed.collect();
                told.sent = match delivery.result {
                    Routed::Sent { gateway, vendor_id } => {
                        Some((gateway.0, vendor_id.map(|id| id.0), true))
                    }
                    Routed::Unknown => {
                        let perhaps = delivery.attempts.iter().rev();
                        let perhaps = perhaps
                            .filter(|attempt| matches!(attempt.outcome, Outcome::Unknown(_)))
                            .map(|attempt| (attempt.gateway.0.clone(), None, false));
                        perhaps.take(1).last()
                    }
                    Routed::OptedOut | Routed::Rejected | Routed::Failed => None,
                };
            }
            let decide = move |records: &_, now| told.decide(records, now);
            if let Err(error) = store.transact(Scope::Account(account), decide).await {
                error!(%error, request = %token.request(), "a notice was not recorded");
            }
            let _ = publish.send(Some(Sent { progress: Progress::Sent, reason: None }));
        });
    }
}
