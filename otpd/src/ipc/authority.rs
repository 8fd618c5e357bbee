//! What the peer of a connection may do to whom: the facts for the table in [`super::permit`].

use otp_proto::{admin::AdminError, service::ServiceError};

use super::{
    connection::Connection,
    permit::{Caller, Right, Target, permits},
    wire::Fault,
};
use crate::{
    accounts::{Accounts, Identity, Unreachable},
    domain::account::Account,
    verifier::Verifier,
};

/// Who the peer is, as NSS said once for this connection.
#[derive(Clone, Debug)]
pub(super) struct Who {
    caller: Caller,
    own: Option<Identity>,
}

fn denied() -> Fault {
    Fault::Service(ServiceError::PermissionDenied {})
}

impl Connection {
    /// Who the peer is. Root is root without a question; an NSS that does not answer makes nobody
    /// an administrator.
    async fn who(&mut self, verifier: &Verifier) -> Who {
        if let Some(who) = &self.who {
            return who.clone();
        }
        let (accounts, group) = (verifier.directory(), &verifier.site().admin_group);
        let own = accounts.by_uid(self.peer.uid).await.ok().flatten();
        let caller = if self.peer.uid == 0 {
            Caller::Root
        } else {
            let by_gid = accounts.group(self.peer.gid).await;
            let by_gid = by_gid.is_ok_and(|name| name.as_deref() == Some(group));
            let by_name = match &own {
                Some(own) if !by_gid => is_member(accounts, own, group).await.unwrap_or(false),
                Some(_) | None => false,
            };
            if by_gid || by_name { Caller::Admin } else { Caller::Other }
        };
        let who = Who { caller, own };
        self.who = Some(who.clone());
        who
    }

    /// Whether the peer may do what concerns nobody in particular.
    pub(super) async fn may(&mut self, verifier: &Verifier, right: Right, target: Target) -> bool {
        let permitted = permits(self.who(verifier).await.caller, right, target);
        if !permitted {
            self.log_denied();
        }
        permitted
    }

    /// The account of this name, if the peer may do this to it. Who may do nothing to it learns
    /// nothing about it, and asks NSS nothing about it.
    pub(super) async fn target(
        &mut self,
        verifier: &Verifier,
        right: Right,
        user: &str,
    ) -> Result<Identity, Fault> {
        let found = self.find_target(verifier, right, user).await;
        if matches!(found, Err(Fault::Service(ServiceError::PermissionDenied {}))) {
            self.log_denied();
        }
        found
    }

    async fn find_target(
        &mut self,
        verifier: &Verifier,
        right: Right,
        user: &str,
    ) -> Result<Identity, Fault> {
        let Ok(account) = Account::new(user) else {
            let parameter = "user".to_owned();
            return Err(Fault::Service(ServiceError::InvalidParameter { parameter }));
        };
        let who = self.who(verifier).await;
        if !permits(who.caller, right, Target::Account) {
            let oneself = who.own.filter(|own| own.account == account);
            let permitted = oneself.filter(|_| permits(who.caller, right, Target::Oneself));
            return permitted.ok_or_else(denied);
        }
        let accounts = verifier.directory();
        let unreachable = |error: Unreachable| {
            Fault::Admin(AdminError::Unavailable { reason: error.to_string() })
        };
        let Some(identity) = accounts.by_name(user.to_owned()).await.map_err(unreachable)? else {
            // The account was deleted; its number or bypass must not wait for the next one of that name.
            if !verifier.is_known(&account).await? {
                return Err(AdminError::NoSuchUser { user: user.to_owned() }.into());
            }
            // A directory that has lost its server says the same of everybody, administrators too.
            let permitted = permits(who.caller, right, Target::Gone);
            return permitted.then(|| Identity::deleted(account)).ok_or_else(denied);
        };
        let target = if identity.uid == self.peer.uid {
            Target::Oneself
        } else if who.caller == Caller::Root {
            Target::Account
        } else {
            let group = &verifier.site().admin_group;
            // Not knowing is no permission: a member must not pass for an ordinary account.
            let member = is_member(accounts, &identity, group).await.map_err(unreachable)?;
            if identity.uid == 0 || member { Target::Privileged } else { Target::Account }
        };
        if permits(who.caller, right, target) { Ok(identity) } else { Err(denied()) }
    }
}

async fn is_member(
    accounts: &Accounts,
    identity: &Identity,
    group: &str,
) -> Result<bool, Unreachable> {
    Ok(accounts.groups(identity).await?.iter().any(|name| name == group))
}
