//! What an earlier run of the daemon left unfinished.

use std::sync::Arc;

use tracing::{error, info};

use super::{Site, Verifier};
use crate::{
    domain::{
        login::{Recover, Retell},
        passcode::Draw,
        time::Timestamp,
    },
    random,
    store::Scope,
};

impl Verifier {
    /// Takes up what the last run left: sends a fresh code to everybody who waits for one that the
    /// daemon did not hand to a vendor before it ended, follows those that it did hand over, and tells
    /// whoever was not told yet. Called once, when logins are served again.
    pub async fn recover_lost(&self) {
        let (site, begun) = (self.site(), self.clock.now());
        self.resend_lost(&site, begun).await;
        self.follow_sent(begun).await;
        self.recover_notices(site).await;
    }

    async fn resend_lost(&self, site: &Arc<Site>, begun: Timestamp) {
        let lost = match self.reader.lost(site.terms.issuer.instance, begun).await {
            Ok(lost) => lost,
            Err(error) => {
                error!(%error, "codes that were lost with the last run are not looked for");
                return;
            }
        };
        for token in lost {
            let draw = Draw::new(&mut random::system(), site.terms.rules.digits);
            let recover = Recover { terms: Arc::clone(&site.terms), token, draw };
            let decide = move |records: &_, now| recover.decide(records, now);
            match self.courier.transact(Scope::Challenge(token), decide).await {
                Ok(Some(order)) => {
                    info!(request = %token.request(), "a lost code is sent anew");
                    self.courier.send(Arc::clone(site), *order);
                }
                // Its login came back first.
                Ok(None) => {}
                Err(error) => error!(%error, request = %token.request(), "a code stays lost"),
            }
        }
    }

    /// Listens to what is told about the messages that vendors took from the last run, and asks after
    /// them. `begun` is when this run began, so that its own are not among them. A receipt that comes
    /// before they are found waits for them.
    async fn follow_sent(&self, begun: Timestamp) {
        match self.reader.sent_before(begun).await {
            Ok(sent) => {
                for sent in sent {
                    self.courier.follow_before(sent);
                }
            }
            Err(error) => error!(%error, "messages of the last run are not followed"),
        }
    }

    /// Tells those whose recovery codes were used while the daemon was ending.
    async fn recover_notices(&self, site: Arc<Site>) {
        let untold = match self.reader.untold().await {
            Ok(untold) => untold,
            Err(error) => {
                error!(%error, "who was not told of a recovery code's use is not looked for");
                return;
            }
        };
        for token in untold {
            // Logins are served already: that code was used a moment ago, and is being told. What is on
            // its way now may have arrived by the time of the answer below.
            if self.courier.in_flight.holds(token) {
                continue;
            }
            let retell = Retell { terms: Arc::clone(&site.terms), token };
            let decide = move |records: &_, now| retell.decide(records, now);
            match self.courier.transact(Scope::Challenge(token), decide).await {
                // It was used between that look and this answer.
                Ok(Some(_)) if self.courier.in_flight.holds(token) => {}
                Ok(Some(recovered)) => self.tell_owner(Arc::clone(&site), *recovered),
                Ok(None) => {}
                Err(error) => error!(%error, request = %token.request(), "a notice stays lost"),
            }
        }
    }
}
