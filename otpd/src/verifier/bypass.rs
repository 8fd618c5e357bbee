//! Bypasses are granted, listed, ended and used.

use rand::RngExt;
use tracing::{error, warn};

use super::Verifier;
use crate::{
    accounts::Identity,
    domain::{
        account::Account,
        bypass::{Bypass, BypassId, BypassRefusal, GrantBypass, RevokeBypass, Wanted},
    },
    random,
    store::{Scope, StoreError},
};

/// Why a bypass was not granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BypassFailure {
    /// A rule forbids it.
    Refused(BypassRefusal),
    /// The store did not answer.
    Store(StoreError),
}

/// Says loudly that somebody was let in without a code.
pub(super) fn report(account: &Account, bypass: &Bypass) {
    warn!(
        account = %account, bypass = %bypass.id, granted_by = bypass.by, reason = ?bypass.reason,
        "NO CODE ASKED because of a bypass; otpctl bypass --list shows all of them"
    );
}

impl Verifier {
    /// Grants a bypass.
    ///
    /// # Errors
    /// [`BypassFailure`].
    pub async fn grant_bypass(
        &self,
        identity: &Identity,
        wanted: Wanted,
        uid: u32,
    ) -> Result<Bypass, BypassFailure> {
        self.store.may_administer().map_err(BypassFailure::Store)?;
        let account = identity.account.clone();
        let id = BypassId::new(random::system().random());
        let grant = GrantBypass { account: account.clone(), id, wanted, uid };
        let decide = move |records: &_, now| grant.decide(records, now);
        match self.transact(Scope::Account(account), decide).await {
            Ok(granted) => granted.map_err(BypassFailure::Refused),
            Err(error) => {
                error!(%error, "a bypass could not be granted");
                Err(BypassFailure::Store(error))
            }
        }
    }

    /// Ends the bypass of this name, or all that the account has; how many it were.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn revoke_bypass(
        &self,
        identity: &Identity,
        id: Option<String>,
        uid: u32,
    ) -> Result<usize, StoreError> {
        self.store.may_administer()?;
        let account = identity.account.clone();
        let revoke = RevokeBypass { account: account.clone(), id, uid };
        let decide = move |records: &_, now| revoke.decide(records, now);
        let done = self.transact(Scope::Account(account), decide).await;
        done.inspect_err(|error| error!(%error, "a bypass could not be ended"))
    }

    /// Every bypass that is not over, in the order of the accounts.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn bypasses(&self) -> Result<Vec<(Account, Bypass)>, StoreError> {
        self.reader.bypasses(self.clock.now()).await
    }
}
