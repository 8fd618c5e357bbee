//! `org.otpd.Admin`: what is done with numbers besides proving them.

use otp_proto::{
    Secret,
    admin::{self as wire, AdminError},
    service::ServiceError,
};

use super::{
    connection::Connection,
    permit::{Right, Target},
    wire::{Fault, channel_in, channel_out, fault, not_enrolled, progress, subscriber},
};
use crate::{
    domain::{account::Account, proof::Refusal},
    verifier::{Arrival, EnrollRequest, Failure, TestFailure, TestRequest, Verifier, stopped},
};

impl Connection {
    pub(super) async fn register(
        &mut self,
        verifier: &Verifier,
        request: wire::Register,
    ) -> Result<wire::Registered, Fault> {
        let identity = self.target(verifier, Right::Administer, &request.user).await?;
        let register = EnrollRequest {
            phone: request.phone,
            channel: request.channel.map(channel_in),
            replace: request.replace,
        };
        let done = verifier.register(&identity, register, self.peer.uid).await;
        let done = done.map_err(|failure| fault(failure, &identity.account))?;
        Ok(wire::Registered {
            subscriber: subscriber(&identity.account, &done.enrollment),
            unchanged: done.unchanged,
            proof_sent_at: done.enrollment.proof_sent_at.map(|at| at.0),
        })
    }

    pub(super) async fn reveal(
        &mut self,
        verifier: &Verifier,
        request: wire::Reveal,
    ) -> Result<wire::Revealed, Fault> {
        let identity = self.target(verifier, Right::Reveal, &request.user).await?;
        let number = verifier.reveal(&identity, self.peer.uid).await?;
        let number = number.ok_or_else(|| not_enrolled(&identity.account))?;
        Ok(wire::Revealed { phone: Secret::new(number.expose().to_owned()) })
    }

    pub(super) async fn test_message(
        &mut self,
        verifier: &Verifier,
        request: wire::TestMessage,
    ) -> Result<wire::Tested, Fault> {
        if !self.may(verifier, Right::Administer, Target::Everyone).await {
            return Err(Fault::Service(ServiceError::PermissionDenied {}));
        }
        let wire::TestMessage { phone, gateway, voice } = request;
        let request = TestRequest { phone, gateway, voice };
        let done = verifier.test_message(request, self.peer.uid).await.map_err(untested)?;
        Ok(wire::Tested {
            status: progress(done.progress),
            channel: channel_out(done.channel),
            reference: done.reference.to_string(),
            gateway: done.gateway,
            vendor_id: done.vendor_id,
            reason: done.reason,
            arrival: done.arrival.as_ref().map(|(arrival, _)| arrived(*arrival)),
            arrival_reason: done.arrival.and_then(|(_, reason)| reason),
        })
    }
}

fn arrived(arrival: Arrival) -> wire::Arrival {
    match arrival {
        Arrival::Delivered => wire::Arrival::Delivered,
        Arrival::Unconfirmed => wire::Arrival::Unconfirmed,
        Arrival::Undelivered => wire::Arrival::Undelivered,
        Arrival::UnderWay => wire::Arrival::UnderWay,
    }
}

fn untested(failure: TestFailure) -> Fault {
    let because = |reason: String| Fault::Admin(AdminError::Refused { reason });
    match failure {
        TestFailure::Gateway(why) => because(why.to_string()),
        TestFailure::Other(Failure::Refused(Refusal::LineTakesNoText)) => because(
            "the number is a landline, which takes no text messages; try it with --voice".into(),
        ),
        // Whoever has the number.
        TestFailure::Other(Failure::Refused(Refusal::OptedOut)) => because(stopped("USER")),
        TestFailure::Other(failure) => fault(failure, &Account::host()),
    }
}
