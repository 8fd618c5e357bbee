//! `org.otpd.Admin`: what stands in for a code, that is recovery codes and bypasses.

use otp_proto::{
    Secret,
    admin::{self as wire, AdminError},
};

use super::{
    connection::{Connection, Done},
    permit::Right,
    wire::{Fault, bypass_fault, fault, grant},
};
use crate::{domain::bypass::Wanted, verifier::Verifier};

impl Connection {
    pub(super) async fn recovery_codes(
        &mut self,
        verifier: &Verifier,
        request: wire::RecoveryCodes,
    ) -> Result<wire::MadeCodes, Fault> {
        let identity = self.target(verifier, Right::Administer, &request.user).await?;
        let made = verifier.recovery_codes(&identity, self.peer.uid).await;
        let codes = made.map_err(|failure| fault(failure, &identity.account))?;
        let codes = codes.iter().map(|code| Secret::from(code.grouped())).collect();
        Ok(wire::MadeCodes { codes })
    }

    pub(super) async fn grant_bypass(
        &mut self,
        verifier: &Verifier,
        request: wire::Bypass,
    ) -> Result<wire::Granted, Fault> {
        let identity = self.target(verifier, Right::Administer, &request.user).await?;
        let wire::Bypass { seconds, reason, uses, from, .. } = request;
        let wanted = Wanted::new(seconds, &reason, uses, from.as_deref())
            .map_err(|error| AdminError::Refused { reason: error.to_string() })?;
        let granted = verifier.grant_bypass(&identity, wanted, self.peer.uid).await;
        let bypass = granted.map_err(|failure| bypass_fault(failure, &identity.account))?;
        Ok(wire::Granted { bypass: grant(&identity.account, &bypass) })
    }

    pub(super) async fn revoke_bypass(
        &mut self,
        verifier: &Verifier,
        request: wire::RevokeBypass,
    ) -> Result<wire::Revoked, Fault> {
        let identity = self.target(verifier, Right::Revoke, &request.user).await?;
        let revoked = verifier.revoke_bypass(&identity, request.id, self.peer.uid).await?;
        Ok(wire::Revoked { revoked: u32::try_from(revoked).unwrap_or(u32::MAX) })
    }

    /// One row a reply; there are few.
    pub(super) async fn list_bypasses(&mut self) -> Done {
        let found = match self.overseen().await {
            Ok(verifier) => verifier.bypasses().await.map_err(Fault::from),
            Err(fault) => Err(fault),
        };
        let rows = match found {
            Ok(rows) => rows,
            Err(Fault::Service(error)) => return self.error(&error).await,
            Err(Fault::Admin(error)) => return self.error(&error).await,
        };
        for (account, bypass) in &rows {
            let bypass = Some(grant(account, bypass));
            self.reply(&wire::BypassListed { bypass }, true).await?;
        }
        self.reply(&wire::BypassListed { bypass: None }, false).await
    }
}
