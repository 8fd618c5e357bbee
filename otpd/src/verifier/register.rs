//! Numbers are entered without a message.

use std::sync::Arc;

use super::{EnrollRequest, Failure, Verifier};
use crate::{
    accounts::Identity,
    domain::register::{Register, Registered},
    store::Scope,
};

impl Verifier {
    /// Enters a number; the same one again changes nothing.
    ///
    /// # Errors
    /// [`Failure`]; nothing was changed, but after [`Failure::Unavailable`] perhaps.
    pub async fn register(
        &self,
        identity: &Identity,
        request: EnrollRequest,
        uid: u32,
    ) -> Result<Registered, Failure> {
        self.may_change().await?;
        let site = self.site();
        let destination = site.destination(&request.phone)?;
        let number = self.keys.index(&destination.number);
        let register = Register {
            terms: Arc::clone(&site.terms),
            account: identity.account.clone(),
            index: number,
            range: self.keys.range(&destination.number),
            destination,
            channel: request.channel,
            replace: request.replace,
            uid,
        };
        let scope = Scope::Number { account: identity.account.clone(), number };
        let decide = move |records: &_, now| register.decide(records, now);
        self.decide(scope, uid, decide).await
    }
}
