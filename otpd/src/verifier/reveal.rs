//! A number is shown in full.

use tracing::error;

use super::Verifier;
use crate::{
    accounts::Identity,
    domain::{phone::E164, reveal::Reveal},
    store::{Scope, StoreError},
};

impl Verifier {
    /// The account's number, once it is written down who asked; `None` when it has none.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn reveal(&self, identity: &Identity, uid: u32) -> Result<Option<E164>, StoreError> {
        let reveal = Reveal { account: identity.account.clone(), uid };
        let scope = Scope::Account(identity.account.clone());
        let decide = move |records: &_, now| reveal.decide(records, now);
        let done = self.transact(scope, decide).await;
        done.inspect_err(|error| error!(%error, "a number was not revealed"))
    }
}
