//! Numbers are entered and proved.

use std::sync::Arc;

use tokio::time::Instant;
use tracing::error;

use super::{Site, Verifier};
use crate::{
    accounts::Identity,
    domain::{
        challenge::Channel,
        enrollment::Enrollment,
        login::{Order, Progress, Typed},
        passcode::{Draw, Reference},
        phone::{self, Country, Destination, NumberError},
        proof::{Enroll, Outcome, Refusal, Resent, Verify},
        time::Timestamp,
    },
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
    /// Its country is not in `delivery.countries`.
    Country(Country),
    /// A rule forbids it.
    Refused(Refusal),
    /// The store or NSS did not answer.
    Unavailable(&'static str),
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
    /// Enters a number and sends the message that proves it.
    ///
    /// # Errors
    /// [`Failure`]; nothing was changed, but after [`Failure::Unavailable`] perhaps.
    pub async fn enroll(
        &self,
        identity: &Identity,
        request: EnrollRequest,
        uid: u32,
    ) -> Result<(Enrollment, Placed), Failure> {
        self.store.has_room().await.map_err(refused_by_store)?;
        let site = self.site();
        let destination = site.destination(&request.phone)?;
        let channel = request.channel.unwrap_or(Channel::Sms);
        let number = self.keys.index(&destination.number);
        let range = self.keys.range(&destination.number);
        let enroll = Enroll {
            terms: Arc::clone(&site.terms),
            account: identity.account.clone(),
            destination,
            index: number,
            range,
            channel,
            replace: request.replace,
            uid,
            draw: Draw::new(&mut random::system(), site.terms.rules.digits),
        };
        let scope = Scope::Number { account: identity.account.clone(), number };
        let decide = move |records: &_, now| enroll.decide(records, now);
        let (enrollment, order) = outcome(self.store.transact(scope, decide).await)?;
        Ok((enrollment, self.place(&site, *order).await))
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
        let site = self.site();
        let terms = Arc::clone(&site.terms);
        let verify = Verify { terms, account: identity.account.clone(), typed, uid };
        let scope = Scope::Account(identity.account.clone());
        let decide = move |records: &_, now| verify.decide(records, now);
        outcome(self.store.transact(scope, decide).await)
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
        self.store.has_room().await.map_err(refused_by_store)?;
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
        let order = outcome(self.store.transact(scope, decide).await)?;
        Ok(self.place(&site, *order).await)
    }

    async fn place(&self, site: &Arc<Site>, order: Order) -> Placed {
        let (channel, reference, expires_at) = (order.channel, order.reference, order.expires_at);
        let sent = self.send_and_report(site, order, Instant::now()).await;
        Placed { progress: sent.progress, channel, reference, expires_at, reason: sent.reason }
    }
}

impl Site {
    /// A number that messages may go to, as it was typed.
    pub(super) fn destination(&self, phone: &otp_proto::Secret) -> Result<Destination, Failure> {
        let default = self.delivery.default_country;
        let destination = phone::parse(phone.expose(), default).map_err(Failure::Number)?;
        if !self.terms.countries.contains(&destination.country) {
            return Err(Failure::Country(destination.country));
        }
        Ok(destination)
    }
}

pub(super) fn outcome<T>(decided: Result<Outcome<T>, StoreError>) -> Result<T, Failure> {
    match decided {
        Ok(Outcome::Done(done)) => Ok(done),
        Ok(Outcome::Refused(refusal)) => Err(Failure::Refused(refusal)),
        Err(error) => Err(refused_by_store(error)),
    }
}

pub(super) fn refused_by_store(error: StoreError) -> Failure {
    error!(%error, "an administrator's verb failed");
    Failure::Unavailable(match error {
        StoreError::Full => FULL,
        StoreError::Unavailable | StoreError::Unknown => STORE,
    })
}
