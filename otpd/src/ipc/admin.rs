//! `org.otpd.Admin`: one method for each verb of `otpctl`.

use std::sync::Arc;

use otp_proto::{
    admin::{self as wire, AdminError},
    envelope::Call,
    login::Empty,
    service::ServiceError,
};

use super::{
    Backend,
    connection::{Connection, Done},
    permit::{Right, Target},
    wire::{
        Fault, channel_in, checked, delivery, fault, fitting, gateway, grant, host, key_rotated,
        limit, not_enrolled, not_rotated, opt_out, policy, subscriber,
    },
};
use crate::{
    domain::{
        account::Account,
        login::Typed,
        manage::{Managed, Verb},
    },
    store::ListedNumber,
    verifier::{EnrollRequest, Gone, Unconfirmed, Verifier},
};

impl Connection {
    pub(super) async fn admin(&mut self, method: &str, call: &Call<'_>) -> Done {
        macro_rules! handle {
            ($request:ty, $handler:ident) => {{
                let Some(request) = self.parameters::<$request>(call.parameters).await? else {
                    return Ok(());
                };
                let result = match self.verifier() {
                    Ok(verifier) => self.$handler(&verifier, request).await,
                    Err(fault) => Err(fault),
                };
                match result {
                    Ok(reply) => self.reply(&reply, false).await,
                    Err(Fault::Service(error)) => self.error(&error).await,
                    Err(Fault::Admin(error)) => self.error(&error).await,
                }
            }};
        }
        match method {
            "Enroll" => handle!(wire::Enroll, enroll),
            "Register" => handle!(wire::Register, register),
            "Reveal" => handle!(wire::Reveal, reveal),
            "TestMessage" => handle!(wire::TestMessage, test_message),
            "Verify" => handle!(wire::Verify, verify),
            "Resend" => handle!(wire::Resend, resend),
            "Show" => handle!(wire::Show, show),
            "Disable" => handle!(wire::Disable, disable),
            "Enable" => handle!(wire::Enable, enable),
            "Remove" => handle!(wire::Remove, remove),
            "Unlock" => handle!(wire::Unlock, unlock),
            "RecoveryCodes" => handle!(wire::RecoveryCodes, recovery_codes),
            "Bypass" => handle!(wire::Bypass, grant_bypass),
            "RevokeBypass" => handle!(wire::RevokeBypass, revoke_bypass),
            "Status" => handle!(wire::Status, status),
            "Policy" => handle!(wire::Policy, policy),
            "CheckGateways" => handle!(wire::CheckGateways, check_gateways),
            "ConfirmClock" => handle!(wire::ConfirmClock, confirm_clock),
            "RotateKey" => handle!(wire::RotateKey, rotate_key),
            "Restore" => handle!(wire::Restore, restore),
            "Import" => handle!(wire::Import, import),
            "Export" => self.export(call).await,
            "Backup" => self.backup(call).await,
            "Log" => self.log(call).await,
            "Watch" => self.watch(call).await,
            "List" => {
                let Some(_) = self.parameters::<wire::List>(call.parameters).await? else {
                    return Ok(());
                };
                if !call.more {
                    return self.error(&ServiceError::ExpectedMore {}).await;
                }
                self.list().await
            }
            "Hosts" => {
                let Some(_) = self.parameters::<wire::Hosts>(call.parameters).await? else {
                    return Ok(());
                };
                if !call.more {
                    return self.error(&ServiceError::ExpectedMore {}).await;
                }
                self.hosts().await
            }
            "Bypasses" => {
                let Some(_) = self.parameters::<wire::Bypasses>(call.parameters).await? else {
                    return Ok(());
                };
                if !call.more {
                    return self.error(&ServiceError::ExpectedMore {}).await;
                }
                self.list_bypasses().await
            }
            _ => self.no_method(&call.method).await,
        }
    }

    pub(super) fn verifier(&self) -> Result<Arc<Verifier>, Fault> {
        match &self.backend {
            Backend::Working(verifier) => Ok(Arc::clone(verifier)),
            Backend::Broken { reason, .. } if self.peer.uid == 0 => {
                Err(AdminError::Unavailable { reason: fitting(reason) }.into())
            }
            Backend::Broken { .. } => {
                self.log_denied();
                Err(Fault::Service(ServiceError::PermissionDenied {}))
            }
        }
    }

    async fn enroll(
        &mut self,
        verifier: &Verifier,
        request: wire::Enroll,
    ) -> Result<wire::Enrolled, Fault> {
        let identity = self.target(verifier, Right::Administer, &request.user).await?;
        let enroll = EnrollRequest {
            phone: request.phone,
            channel: request.channel.map(channel_in),
            replace: request.replace,
        };
        let done = verifier.enroll(&identity, enroll, self.peer.uid).await;
        let (enrollment, placed) = done.map_err(|failure| fault(failure, &identity.account))?;
        let subscriber = subscriber(&identity.account, &enrollment);
        Ok(wire::Enrolled { subscriber, delivery: delivery(placed) })
    }

    async fn verify(
        &mut self,
        verifier: &Verifier,
        request: wire::Verify,
    ) -> Result<wire::Changed, Fault> {
        let identity = self.target(verifier, Right::OwnAffairs, &request.user).await?;
        let typed = Typed::new(request.code.expose());
        let done = verifier.verify(&identity, typed, self.peer.uid).await;
        let enrollment = done.map_err(|failure| fault(failure, &identity.account))?;
        Ok(wire::Changed { subscriber: subscriber(&identity.account, &enrollment) })
    }

    async fn resend(
        &mut self,
        verifier: &Verifier,
        request: wire::Resend,
    ) -> Result<wire::Resent, Fault> {
        let identity = self.target(verifier, Right::OwnAffairs, &request.user).await?;
        let done = verifier.resend(&identity, request.voice, self.peer.uid).await;
        let placed = done.map_err(|failure| fault(failure, &identity.account))?;
        Ok(wire::Resent { delivery: delivery(placed) })
    }

    async fn show(
        &mut self,
        verifier: &Verifier,
        request: wire::Show,
    ) -> Result<wire::Shown, Fault> {
        let identity = self.target(verifier, Right::OwnAffairs, &request.user).await?;
        let found = verifier.show(&identity).await?;
        let summary = found.ok_or_else(|| not_enrolled(&identity.account))?;
        let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        Ok(wire::Shown {
            subscriber: subscriber(&identity.account, &summary.enrollment),
            limits: summary.limits.iter().map(limit).collect(),
            failures_24h: count(summary.failures),
            sends_24h: count(summary.sends),
            live_challenges: count(summary.live),
            recovery_codes_left: summary.recovery.into(),
            bypasses: summary.bypasses.iter().map(|b| grant(&identity.account, b)).collect(),
            undelivered: summary.undelivered,
            opted_out: summary.opted_out.map(opt_out),
        })
    }

    async fn disable(&mut self, v: &Verifier, r: wire::Disable) -> Result<wire::Changed, Fault> {
        self.manage(v, &r.user, Verb::Disable).await
    }

    async fn enable(&mut self, v: &Verifier, r: wire::Enable) -> Result<wire::Changed, Fault> {
        self.manage(v, &r.user, Verb::Enable).await
    }

    async fn unlock(&mut self, v: &Verifier, r: wire::Unlock) -> Result<wire::Unlocked, Fault> {
        let (account, done) = self.managed(v, &r.user, Verb::Unlock).await?;
        let subscriber = subscriber(&account, &done.enrollment);
        Ok(wire::Unlocked { subscriber, opted_in: done.opted_in })
    }

    async fn remove(&mut self, v: &Verifier, r: wire::Remove) -> Result<wire::Removed, Fault> {
        if r.user.starts_with('/') {
            return self.remove_lost(v, r).await;
        }
        let identity = self.target(v, Right::Revoke, &r.user).await?;
        let gone = v.remove(&identity, self.peer.uid).await?;
        let gone = gone.ok_or_else(|| not_enrolled(&identity.account))?;
        Ok(wire::Removed { damaged: gone == Gone::Discarded })
    }

    /// Removes by a damaged name, as it is shown: it begins as no account's does.
    async fn remove_lost(
        &mut self,
        verifier: &Verifier,
        request: wire::Remove,
    ) -> Result<wire::Removed, Fault> {
        // It may be anybody's, an administrator's too.
        if !self.may(verifier, Right::Revoke, Target::Gone).await {
            return Err(Fault::Service(ServiceError::PermissionDenied {}));
        }
        if verifier.remove_lost(&request.user, self.peer.uid).await? {
            Ok(wire::Removed { damaged: true })
        } else {
            Err(AdminError::NoSuchUser { user: request.user }.into())
        }
    }

    async fn manage(
        &mut self,
        verifier: &Verifier,
        user: &str,
        verb: Verb,
    ) -> Result<wire::Changed, Fault> {
        let (account, done) = self.managed(verifier, user, verb).await?;
        Ok(wire::Changed { subscriber: subscriber(&account, &done.enrollment) })
    }

    async fn managed(
        &mut self,
        verifier: &Verifier,
        user: &str,
        verb: Verb,
    ) -> Result<(Account, Managed), Fault> {
        let right = match verb {
            Verb::Disable | Verb::Remove => Right::Revoke,
            Verb::Enable | Verb::Unlock => Right::Administer,
        };
        let identity = self.target(verifier, right, user).await?;
        let done = verifier.manage(&identity, verb, self.peer.uid).await?;
        let done = done.ok_or_else(|| not_enrolled(&identity.account))?;
        Ok((identity.account, done))
    }

    async fn status(
        &mut self,
        verifier: &Verifier,
        _: wire::Status,
    ) -> Result<wire::StatusReply, Fault> {
        if !self.may(verifier, Right::Administer, Target::Everyone).await {
            return Err(Fault::Service(ServiceError::PermissionDenied {}));
        }
        let status = verifier.status().await?;
        let gateways = status.gateways.into_iter().map(gateway).collect::<Vec<_>>();
        let problems = gateways
            .iter()
            .filter_map(|gateway| Some((gateway, gateway.reason.as_ref()?)))
            .map(|(gateway, reason)| format!("gateway {}: {reason}", gateway.name));
        let problems = status.problems.into_iter().chain(problems).collect();
        Ok(wire::StatusReply {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            host: status.host,
            store: status.store.to_owned(),
            pending: status.counts.pending,
            active: status.counts.active,
            disabled: status.counts.disabled,
            live_challenges: status.counts.live_challenges,
            gateways,
            problems,
        })
    }

    async fn policy(
        &mut self,
        verifier: &Verifier,
        _: wire::Policy,
    ) -> Result<wire::PolicyReply, Fault> {
        if !self.may(verifier, Right::Administer, Target::Everyone).await {
            return Err(Fault::Service(ServiceError::PermissionDenied {}));
        }
        Ok(policy(verifier.rules()))
    }

    async fn check_gateways(
        &mut self,
        verifier: &Verifier,
        _: wire::CheckGateways,
    ) -> Result<wire::GatewaysChecked, Fault> {
        if !self.may(verifier, Right::Administer, Target::Everyone).await {
            return Err(Fault::Service(ServiceError::PermissionDenied {}));
        }
        let standings = verifier.standings().await;
        Ok(wire::GatewaysChecked { gateways: standings.into_iter().map(checked).collect() })
    }

    async fn rotate_key(
        &mut self,
        verifier: &Verifier,
        _: wire::RotateKey,
    ) -> Result<wire::KeyRotated, Fault> {
        if !self.may(verifier, Right::Backup, Target::Everyone).await {
            return Err(Fault::Service(ServiceError::PermissionDenied {}));
        }
        verifier.rotate_key(self.peer.uid).await.map(key_rotated).map_err(not_rotated)
    }

    async fn confirm_clock(
        &mut self,
        verifier: &Verifier,
        _: wire::ConfirmClock,
    ) -> Result<Empty, Fault> {
        if !self.may(verifier, Right::Administer, Target::Everyone).await {
            return Err(Fault::Service(ServiceError::PermissionDenied {}));
        }
        match verifier.confirm_clock(self.peer.uid).await {
            Ok(()) => Ok(Empty {}),
            Err(why @ Unconfirmed::NoDoubt) => {
                Err(AdminError::Refused { reason: why.to_string() }.into())
            }
            Err(Unconfirmed::Store(error)) => Err(error.into()),
        }
    }

    /// The verifier, for who may see everybody.
    pub(super) async fn overseen(&mut self) -> Result<Arc<Verifier>, Fault> {
        let verifier = self.verifier()?;
        let may = self.may(&verifier, Right::Administer, Target::Everyone).await;
        may.then_some(verifier).ok_or(Fault::Service(ServiceError::PermissionDenied {}))
    }

    /// One daemon a reply: of many hosts, not all fit one.
    async fn hosts(&mut self) -> Done {
        let verifier = match self.overseen().await {
            Ok(verifier) => verifier,
            Err(Fault::Service(error)) => return self.error(&error).await,
            Err(Fault::Admin(error)) => return self.error(&error).await,
        };
        let hosts = match verifier.hosts().await {
            Ok(hosts) => hosts,
            Err(error) => {
                let reason = error.to_string();
                return self.error(&AdminError::Unavailable { reason }).await;
            }
        };
        for known in hosts {
            self.reply(&wire::HostListed { host: Some(host(known)) }, true).await?;
        }
        self.reply(&wire::HostListed { host: None }, false).await
    }

    /// One row a reply, a page at a time, so that a long list is never held whole.
    async fn list(&mut self) -> Done {
        let verifier = match self.overseen().await {
            Ok(verifier) => verifier,
            Err(Fault::Service(error)) => return self.error(&error).await,
            Err(Fault::Admin(error)) => return self.error(&error).await,
        };
        let mut after = None;
        loop {
            let page = match verifier.page(after.take()).await {
                Ok(page) => page,
                Err(error) => {
                    let reason = error.to_string();
                    return self.error(&AdminError::Unavailable { reason }).await;
                }
            };
            for row in &page {
                let listed = match &row.number {
                    Some(ListedNumber { enrollment, opted_out: out }) => wire::Listed {
                        subscriber: Some(subscriber(&row.account, enrollment)),
                        opted_out: out.clone().map(opt_out),
                        damaged: None,
                    },
                    None => wire::Listed {
                        damaged: Some(row.account.as_str().to_owned()),
                        ..wire::Listed::default()
                    },
                };
                self.reply(&listed, true).await?;
            }
            let Some(last) = page.into_iter().last() else { break };
            after = Some(last.account);
        }
        let lost = match verifier.lost_names().await {
            Ok(lost) => lost,
            Err(error) => {
                let reason = error.to_string();
                return self.error(&AdminError::Unavailable { reason }).await;
            }
        };
        for name in lost {
            let damaged = Some(name.to_string());
            self.reply(&wire::Listed { damaged, ..wire::Listed::default() }, true).await?;
        }
        self.reply(&wire::Listed::default(), false).await
    }
}
