//! A login is answered or given up.

use otp_proto::login::{Step, Verdict};
use tokio::time::Instant;
use tracing::{error, warn};

use super::Verifier;
use crate::{
    conversation,
    domain::{
        login::{Abandon, Answer, Answered, Typed},
        passcode::{ChallengeToken, Draw},
    },
    random,
    store::{Scope, StoreError},
};

/// There is no such challenge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownChallenge;

impl Verifier {
    /// Takes what was typed.
    ///
    /// # Errors
    /// [`UnknownChallenge`].
    pub async fn answer(
        &self,
        token: ChallengeToken,
        typed: Typed,
    ) -> Result<Step, UnknownChallenge> {
        let (site, begun) = (self.site(), Instant::now());
        let draw = Draw::new(&mut random::system(), site.terms.rules.digits);
        let answer = Answer { terms: site.terms.clone(), token, typed, full: false, draw };
        let shortage = self.store.shortage().clone();
        let decide = move |records: &_, now| {
            let full = shortage.holds();
            let decided = Answer { full, ..answer.clone() }.decide(records, now);
            let account = records.account.clone();
            crate::domain::records::Decided {
                records: decided.records,
                audit: decided.audit,
                answer: (decided.answer, account),
            }
        };
        let (answered, account) = match self.transact(Scope::Challenge(token), decide).await {
            Ok(answered) => answered,
            Err(StoreError::Moving) => {
                warn!(request = %token.request(), "an answer is refused while the store moves");
                return Ok(Self::unavailable(&site));
            }
            Err(error) => {
                // Perhaps a try was used, perhaps not; nothing was granted.
                error!(%error, request = %token.request(), "an answer could not be judged");
                return Ok(Self::unavailable(&site));
            }
        };
        if matches!(answered, Answered::Granted | Answered::Recovered(_) | Answered::Denied(..)) {
            self.courier.wipe(token);
        }
        let step = match answered {
            Answered::Granted => conversation::verdict(Verdict::Granted),
            Answered::Recovered(recovered) => {
                let step = conversation::recovered(recovered.left, &recovered.account);
                self.tell_owner(site, *recovered);
                step
            }
            Answered::AskRecovery(notice, asked) => {
                conversation::withheld_again(notice, &asked, &self.setting(&site))
            }
            Answered::Unknown => return Err(UnknownChallenge),
            Answered::Denied(denial, token) => {
                let Some(account) = account else { return Err(UnknownChallenge) };
                let setting = self.setting(&site);
                conversation::denied(denial, &account, token.request(), &setting)
            }
            Answered::Ask(notice, mut view, order) => {
                if let Some(order) = order {
                    view.report(self.send_and_wait(&site, *order, begun).await);
                }
                conversation::again(notice, &view, &self.setting(&site))
            }
        };
        Ok(step)
    }

    /// Gives a login up.
    pub async fn cancel(&self, token: ChallengeToken) {
        let abandon = Abandon { token };
        let decide = move |records: &_, now| abandon.decide(records, now);
        match self.courier.transact(Scope::Challenge(token), decide).await {
            // Not before: the code of a login that goes on must not be sent again as an empty one.
            Ok(_) => self.courier.wipe(token),
            // It stays answerable until it expires; nobody but its own login can name it.
            Err(error) => {
                error!(%error, request = %token.request(), "a login could not be cancelled");
            }
        }
    }
}
