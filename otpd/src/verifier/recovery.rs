//! Recovery codes are made; an account's owner is told of their use, and of a number that was replaced.

use std::sync::Arc;

use rand::RngExt;
use tokio::sync::watch;
use tracing::error;
use zeroize::Zeroizing;

use super::{
    Failure, Site, Verifier,
    deliver::{Sent, reason},
    enroll::refused_by_store,
};
use crate::{
    accounts::Identity,
    conversation,
    domain::{
        account::Account,
        challenge::Channel,
        login::{About, Progress, Recovered, Told},
        passcode::ChallengeToken,
        phone::E164,
        recovery::{CODES, MakeCodes, RecoveryCode, RecoveryHash},
        time::HOUR,
    },
    failpoint::{self, Point},
    gateway::{
        Message, MessageId, Outcome,
        route::{Delivered as Routed, Delivery},
    },
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
        self.store.may_administer().map_err(refused_by_store)?;
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

    /// Tells the owner of an account by a text message that a recovery code was used.
    pub(super) fn tell_owner(&self, site: Arc<Site>, recovered: Recovered) {
        let Recovered { account, token, left, tell } = recovered;
        let text = conversation::used_text(left, &site.message.host);
        let (token, about) = (Some(token), About::RecoveryCodeUsed);
        self.tell(site, Notice { account, token, about, to: tell, text });
    }

    /// Tells whoever has a number that it was replaced: the owner, if it was not the owner's wish.
    pub(super) fn tell_replaced(
        &self,
        site: Arc<Site>,
        account: &Account,
        token: Option<ChallengeToken>,
        to: E164,
    ) {
        let text = conversation::replaced_text(&site.message.host);
        let about = About::NumberReplaced;
        self.tell(site, Notice { account: account.clone(), token, about, to: Some(to), text });
    }

    /// Sends a notice in a task of its own: nobody waits for it but the daemon's end.
    fn tell(&self, site: Arc<Site>, notice: Notice) {
        let (publish, sent) = watch::channel(None);
        let place = match (notice.about, notice.token) {
            // In the place of the login's own message, which nobody waits for any more.
            (About::RecoveryCodeUsed, Some(token)) => token,
            (About::RecoveryCodeUsed | About::NumberReplaced, _) => {
                ChallengeToken(random::system().random())
            }
        };
        let on_its_way = self.courier.in_flight.enter(place, sent);
        let (courier, clock) = (self.courier.clone(), self.clock.clone());
        tokio::spawn(async move {
            let _on_its_way = on_its_way;
            let Notice { account, token, about, to, text } = notice;
            let mut told = Told {
                account: account.clone(),
                token,
                about,
                failures: Vec::new(),
                sent: None,
                opted_out: None,
            };
            if let Some(to) = to {
                let message = Message {
                    id: MessageId(random::system().random()),
                    to,
                    channel: Channel::Sms,
                    text,
                    code: None,
                    valid_for: HOUR,
                    answer_url: None,
                    report_url: None,
                };
                failpoint::reach(Point::Ordered);
                let delivery = site.routes.deliver(&message, &[], || clock.now()).await;
                failpoint::reach(Point::Taken);
                note(&mut told, &message, delivery);
            }
            let decide = move |records: &_, now| told.decide(records, now);
            if let Err(error) = courier.transact(Scope::Account(account), decide).await {
                let request = token.map(ChallengeToken::request);
                error!(%error, ?request, "a notice was not recorded");
            }
            failpoint::reach(Point::Recorded);
            let _ = publish.send(Some(Sent { progress: Progress::Sent, reason: None }));
            courier.undo_opt_outs(&site.routes).await;
        });
    }
}

/// A message without a code to an account's owner.
struct Notice {
    account: Account,
    /// What it is recorded with.
    token: Option<ChallengeToken>,
    about: About,
    /// The number; `None`: there is none to tell.
    to: Option<E164>,
    text: Zeroizing<String>,
}

/// What became of it.
fn note(told: &mut Told, message: &Message, delivery: Delivery) {
    let perhaps = delivery.attempts.iter().rev().find_map(|attempt| match attempt.outcome {
        Outcome::Unknown(_) => Some(attempt.gateway.0.clone()),
        _ => None,
    });
    let failed = delivery
        .attempts
        .iter()
        .filter_map(|attempt| Some((attempt.gateway.0.clone(), reason(&attempt.outcome)?)));
    told.failures = failed.collect();
    told.sent = match delivery.result {
        Routed::Sent { gateway, vendor_id } => Some((gateway.0, vendor_id.map(|id| id.0), true)),
        Routed::Unknown => perhaps.map(|gateway| (gateway, None, false)),
        Routed::OptedOut { gateway } => {
            told.opted_out = Some((message.to.clone(), gateway.0));
            perhaps.map(|gateway| (gateway, None, false))
        }
        Routed::Rejected { .. } | Routed::Failed => None,
    };
}
