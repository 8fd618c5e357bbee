//! `org.otpd.Login`, for root only.

use otp_proto::{
    envelope::Call,
    login::{Answer, AnswerReply, Begin, BeginReply, Cancel, Empty, LoginError, Step, Verdict},
    service::ServiceError,
};
use tracing::warn;

use super::{
    Backend,
    connection::{Connection, Done, Over},
    permit::{Caller, Right, Target, permits},
};
use crate::{
    conversation,
    domain::{account::Account, login::Typed, passcode::ChallengeToken},
    verifier::{Attendance, Claim, Verifier},
};

/// Longest text of a request that has no rule of its own, bytes.
const LONGEST: usize = 256;

impl Connection {
    pub(super) async fn login(&mut self, method: &str, call: &Call<'_>) -> Done {
        let caller = if self.peer.uid == 0 { Caller::Root } else { Caller::Other };
        if !permits(caller, Right::Login, Target::Account) {
            self.log_denied();
            return self.error(&ServiceError::PermissionDenied {}).await;
        }
        match method {
            "Begin" => match self.parameters::<Begin>(call.parameters).await? {
                Some(request) => self.begin(request).await,
                None => Ok(()),
            },
            "Answer" => match self.parameters::<Answer>(call.parameters).await? {
                Some(request) => self.answer(request).await,
                None => Ok(()),
            },
            "Cancel" => match self.parameters::<Cancel>(call.parameters).await? {
                Some(request) => self.cancel(&request).await,
                None => Ok(()),
            },
            _ => self.no_method(&call.method).await,
        }
    }

    async fn begin(&mut self, request: Begin) -> Done {
        if let Some(parameter) = unfit(&request) {
            warn!(
                parameter,
                "a login was refused: what was sent as its {parameter} is not of its shape; is pam_otp of \
                 another version?"
            );
            return self.invalid(parameter).await;
        }
        let Backend::Working(verifier) = self.backend.clone() else {
            let step = self.broken();
            return self.reply(&BeginReply { challenge: None, step }, false).await;
        };
        let claim = Claim {
            user: request.user,
            service: request.service,
            by_key: !request.first_factor.is_empty(),
            connection: request.connection,
        };
        let (token, step) = verifier.begin(claim).await;
        self.undecided(&verifier, &step).await?;
        self.attendance = token.map(|token| Attendance::begin(&verifier, token));
        let challenge = token.map(ChallengeToken::to_wire);
        self.reply(&BeginReply { challenge, step }, false).await
    }

    async fn answer(&mut self, request: Answer) -> Done {
        let Backend::Working(verifier) = self.backend.clone() else {
            let step = self.broken();
            return self.reply(&AnswerReply { step }, false).await;
        };
        let token = ChallengeToken::from_wire(&request.challenge);
        let answered = match token {
            Some(token) => {
                let typed = Typed::new(request.answer.expose());
                verifier.answer(token, typed).await.ok().map(|step| (token, step))
            }
            None => None,
        };
        let Some((token, step)) = answered else {
            return self.error(&LoginError::UnknownChallenge {}).await;
        };
        self.undecided(&verifier, &step).await?;
        if matches!(step.verdict, Some(Verdict::Granted | Verdict::Denied)) {
            // The login is over; nothing is left to cancel when the connection ends.
            if let Some(attendance) = self.attendance.take_if(|held| held.token() == token) {
                attendance.finish();
            }
        } else if self.attendance.as_ref().map(Attendance::token) != Some(token) {
            // The module reconnected, for example after a restart.
            self.attendance = Some(Attendance::begin(&verifier, token));
        }
        self.reply(&AnswerReply { step }, false).await
    }

    /// Answers nothing where nothing was decided because the database has gone over to another key: the
    /// daemon begins anew at once, and the module comes again, as after a restart.
    async fn undecided(&mut self, verifier: &Verifier, step: &Step) -> Done {
        if step.verdict != Some(Verdict::Unavailable) || !verifier.rekeyed().holds() {
            return Ok(());
        }
        // Before that it would only find this one again.
        self.common.stop.clone().requested().await;
        Err(Over::Rules("the daemon begins anew"))
    }

    async fn cancel(&mut self, request: &Cancel) -> Done {
        if let (Backend::Working(verifier), Some(token)) =
            (self.backend.clone(), ChallengeToken::from_wire(&request.challenge))
        {
            verifier.cancel(token).await;
            if let Some(attendance) = self.attendance.take_if(|held| held.token() == token) {
                attendance.finish();
            }
        }
        self.reply(&Empty {}, false).await
    }

    fn broken(&self) -> Step {
        let host = match &self.backend {
            Backend::Broken { host, .. } => host,
            Backend::Working(_) => "this host",
        };
        conversation::unavailable(host)
    }
}

/// The first parameter that is not of its shape.
fn unfit(request: &Begin) -> Option<&'static str> {
    let service = &request.service;
    let named = (1..=64).contains(&service.len())
        && service.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/');
    let plain = |text: &Option<String>| {
        text.as_ref().is_none_or(|text| text.len() <= LONGEST && !text.contains(char::is_control))
    };
    [
        (Account::new(&request.user).is_err(), "user"),
        (!named, "service"),
        (!plain(&request.rhost), "rhost"),
        (!plain(&request.tty), "tty"),
        (!plain(&request.ruser), "ruser"),
        (!plain(&request.connection), "connection"),
        (request.first_factor.len() > 16, "first_factor"),
    ]
    .into_iter()
    .find_map(|(unfit, name)| unfit.then_some(name))
}
