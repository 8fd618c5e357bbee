//! Numbers are entered and proved.

use std::sync::Arc;

use tokio::time::Instant;
use tracing::{error, warn};

use super::{Site, Verifier};
use crate::{
    accounts::Identity,
    domain::{
        audit::Event,
        challenge::Channel,
        enrollment::Enrollment,
        login::{Order, Progress, Typed},
        passcode::{Draw, Reference},
        phone::{self, Destination, NumberError},
        proof::{Enroll, Enrolled, Outcome, Refusal, Resent, Verify},
        records::{Decided, Records},
        time::Timestamp,
    },
    quota::Line,
    random,
    store::{Scope, StoreError},
};

/// A number as an administrator enters it.
#[derive(Clone, Debug)]
pub struct EnrollRequest {
    /// The number, E.164 or national.
    pub phone: otp_proto::Secret,
    /// How codes shall travel; `None`: by text.
    pub channel: Option<Channel>,
    /// Whether it may take the place of another.
    pub replace: bool,
}

/// Why a verb was not carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Not a number that can be used.
    Number(NumberError),
    /// A rule forbids it.
    Refused(Refusal),
    /// The store or NSS did not answer.
    Unavailable(&'static str),
    /// This host may only log people in, or the store moves.
    Elsewhere(StoreError),
}

/// A message that was ordered.
#[derive(Clone, Debug)]
pub struct Placed {
    /// How far it is.
    pub progress: Progress,
    /// How it travels.
    pub channel: Channel,
    /// In the message.
    pub reference: Reference,
    /// When its code dies.
    pub expires_at: Timestamp,
    /// Why it failed.
    pub reason: Option<String>,
}

const STORE: &str = "the store does not answer; the journal says why";
const FULL: &str = "the disk of the store is full and nothing was changed; free space";

impl Verifier {
    /// Enters a number and sends the message that proves it; to who asked for an end to messages none,
    /// which [`Progress::Stopped`] says.
    ///
    /// # Errors
    /// [`Failure`]; nothing was changed, but after [`Failure::Unavailable`] perhaps.
    pub async fn enroll(
        &self,
        identity: &Identity,
        request: EnrollRequest,
        uid: u32,
    ) -> Result<(Enrollment, Placed), Failure> {
        self.may_change().await?;
        let site = self.site();
        let destination = site.destination(&request.phone)?;
        let channel = request.channel.unwrap_or(Channel::Sms);
        let number = self.keys.index(&destination.number);
        let range = self.keys.range(&destination.number);
        let draw = Draw::new(&mut random::system(), site.terms.rules.digits);
        let reference = draw.reference;
        let enroll = Enroll {
            terms: Arc::clone(&site.terms),
            account: identity.account.clone(),
            destination,
            index: number,
            range,
            channel,
            replace: request.replace,
            uid,
            draw,
        };
        let scope = Scope::Number { account: identity.account.clone(), number };
        let decide = move |records: &_, now| enroll.decide(records, now);
        let Enrolled { enrollment, order, replaced } = self.decide(scope, uid, decide).await?;
        if let Some(old) = replaced {
            let (site, token) = (Arc::clone(&site), order.as_ref().map(|order| order.token));
            self.tell_replaced(site, &identity.account, token, old);
        }
        let placed = match order {
            Some(order) => self.place(&site, *order).await,
            None => Placed {
                progress: Progress::Stopped,
                channel,
                reference,
                expires_at: enrollment.created_at,
                reason: Some(stopped(identity.account.as_str())),
            },
        };
        Ok((enrollment, placed))
    }

    /// Takes the code that proves a number.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn verify(
        &self,
        identity: &Identity,
        typed: Typed,
        uid: u32,
    ) -> Result<Enrollment, Failure> {
        self.store.may_administer().map_err(refused_by_store)?;
        let site = self.site();
        let terms = Arc::clone(&site.terms);
        let verify = Verify { terms, account: identity.account.clone(), typed, uid };
        let scope = Scope::Account(identity.account.clone());
        let decide = move |records: &_, now| verify.decide(records, now);
        let verified = self.decide(scope, uid, decide).await;
        if verified.is_ok() {
            self.courier.wipe_proofs(&identity.account);
        }
        verified
    }

    /// Sends another message to prove a number.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn resend(
        &self,
        identity: &Identity,
        voice: bool,
        uid: u32,
    ) -> Result<Placed, Failure> {
        self.may_change().await?;
        let site = self.site();
        let resent = Resent {
            terms: Arc::clone(&site.terms),
            account: identity.account.clone(),
            voice,
            uid,
            draw: Draw::new(&mut random::system(), site.terms.rules.digits),
        };
        let scope = Scope::Account(identity.account.clone());
        let decide = move |records: &_, now| resent.decide(records, now);
        let order = self.decide(scope, uid, decide).await?;
        Ok(self.place(&site, *order).await)
    }

    /// An error where nothing of an enrollment may be changed, or can be now.
    pub(super) async fn may_change(&self) -> Result<(), Failure> {
        self.store.may_administer().map_err(refused_by_store)?;
        self.store.has_room().await.map_err(refused_by_store)
    }

    async fn place(&self, site: &Arc<Site>, order: Order) -> Placed {
        let (channel, reference, expires_at) = (order.channel, order.reference, order.expires_at);
        let sent = self.send_and_report(site, order, Instant::now()).await;
        Placed { progress: sent.progress, channel, reference, expires_at, reason: sent.reason }
    }

    /// Has it decided. A local user may ask as often as there is time, so of what is refused to one
    /// uid only so much is written down.
    pub(super) async fn decide<T: Send + 'static>(
        &self,
        scope: Scope,
        uid: u32,
        decide: impl Fn(&Records, Timestamp) -> Decided<Outcome<T>> + Send + 'static,
    ) -> Result<T, Failure> {
        let written = uid == 0 || self.refusals.has_room(&uid);
        let decide = move |records: &_, now| unless_too_often(written, decide(records, now));
        match self.transact(scope, decide).await {
            Ok(Outcome::Done(done)) => Ok(done),
            Ok(Outcome::Refused(refusal)) => {
                if uid != 0 && self.refusals.take(&uid) == Line::Last {
                    warn!(uid, "was refused often; for an hour no more of that is written down");
                }
                Err(Failure::Refused(refusal))
            }
            Err(error) => Err(refused_by_store(error)),
        }
    }
}

impl Site {
    /// A number as it was typed. Whether messages may go to its country is decided with the rest, so
    /// that it is written down.
    pub(super) fn destination(&self, phone: &otp_proto::Secret) -> Result<Destination, Failure> {
        phone::parse(phone.expose(), self.delivery.default_country).map_err(Failure::Number)
    }
}

/// What changes nothing need not be written down for ever; wrong codes are, they are few.
fn unless_too_often<T>(written: bool, decided: Decided<Outcome<T>>) -> Decided<Outcome<T>> {
    let Decided { records, mut audit, answer } = decided;
    if !written && matches!(answer, Outcome::Refused(_)) {
        audit.retain(|event| !matches!(event.event, Event::Refused { .. } | Event::CodeEarlier {}));
    }
    Decided { records, audit, answer }
}

/// Why nothing is sent to the number of `account`, and what helps: the vendor hears nobody but the
/// person at the number, and this daemon may not hear them.
#[must_use]
pub fn stopped(account: &str) -> String {
    format!(
        "messages to this number were stopped by a reply with STOP: let START be sent from it to \
         their sender, and then run: otpctl unlock {account}"
    )
}

pub(super) fn refused_by_store(error: StoreError) -> Failure {
    let reason = match error {
        StoreError::Forbidden | StoreError::Moving => return Failure::Elsewhere(error),
        StoreError::Damaged(_) | StoreError::Corrupt => {
            error!(%error, "an administrator's verb failed");
            return Failure::Elsewhere(error);
        }
        StoreError::Full => FULL,
        StoreError::Unavailable | StoreError::Unknown => STORE,
    };
    error!(%error, "an administrator's verb failed");
    Failure::Unavailable(reason)
}
