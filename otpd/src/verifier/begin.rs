//! A login begins.

use std::{borrow::Cow, net::IpAddr};

use otp_proto::login::{Step, Verdict};
use tokio::time::Instant;
use tracing::{error, warn};

use super::Verifier;
use crate::{
    conversation,
    domain::{
        account::{Account, Source},
        audit::Event,
        challenge::Host,
        login::{Begin, Begun},
        passcode::{ChallengeToken, Draw},
        policy::Requirement,
        records::{Decided, Records},
    },
    hex,
    quota::Line,
    random,
    store::{Scope, StoreError},
};

/// What the module says about a login.
#[derive(Clone, Debug)]
pub struct Claim {
    /// The name that PAM has.
    pub user: String,
    /// PAM service.
    pub service: String,
    /// Whether the first factor was a key, which sshd does not ask for again.
    pub by_key: bool,
    /// Under sshd: client address and port, server address and port, session id.
    pub connection: Option<String>,
}

impl Claim {
    /// The client's address, from the first word of the connection.
    fn source(&self) -> Option<Source> {
        let address = self.connection.as_deref()?.split(' ').next()?;
        // A link-local address comes with its interface.
        let address = address.split('%').next()?;
        address.parse::<IpAddr>().ok().map(Source::of)
    }
}

impl Verifier {
    /// Begins a login, or goes on with it; waits a few seconds for the vendor.
    pub async fn begin(&self, claim: Claim) -> (Option<ChallengeToken>, Step) {
        let (site, called) = (self.site(), Instant::now());
        let Ok(identity) = self.accounts.by_name(claim.user.clone()).await else {
            warn!(service = claim.service, "a login could not begin: NSS does not answer");
            return (None, Self::unavailable(&site));
        };
        let (account, requirement) = match identity {
            Some(identity) => {
                // Groups can only exempt; when they cannot be looked up, nobody is exempt.
                let groups = if site.policy.exempt_groups.is_empty() {
                    Vec::new()
                } else {
                    self.accounts.groups(&identity).await.unwrap_or_else(|error| {
                        warn!(%error, "groups are unknown, so no group exempts this login");
                        Vec::new()
                    })
                };
                let exempt = site.policy.exempts(&identity.account, &groups);
                let requirement = if exempt { Requirement::Nothing } else { Requirement::Code };
                (identity.account, requirement)
            }
            // Not stored under this name, but written down.
            None => match Account::new(&claim.user) {
                Ok(account) => (account, Requirement::NoAccount),
                Err(_) => return (None, conversation::verdict(Verdict::Denied)),
            },
        };
        let place = place(site.terms.issuer.host, &site.message.host);
        let attempt = claim
            .connection
            .as_deref()
            .map(|connection| self.keys.attempt(&place, &claim.service, connection));
        let draw = Draw::new(&mut random::system(), site.terms.rules.digits);
        let request = draw.token.request();
        let begin = Begin {
            terms: site.terms.clone(),
            account: account.clone(),
            requirement,
            source: claim.source(),
            service: claim.service,
            attempt,
            by_itself: claim.by_key,
            full: false,
            draw,
        };
        let scope = Scope::Account(account.clone());
        let shortage = self.store.shortage().clone();
        let written = self.denials.has_room(&account);
        let decide = move |records: &Records, now| {
            let full = shortage.holds();
            let decided = Begin { full, ..begin.clone() }.decide(records, now);
            unless_full(full, records, unless_too_often(written, decided))
        };
        let decided = self.transact(scope, decide).await;
        match decided.and_then(|begun| begun.ok_or(StoreError::Full)) {
            Ok(Begun::Ignored) => (None, conversation::verdict(Verdict::Ignored)),
            Ok(Begun::Denied(denial)) => {
                self.count_denial(&account);
                let setting = self.setting(&site);
                (None, conversation::denied(denial, &account, request, &setting))
            }
            Ok(Begun::Withheld(asked)) => {
                self.count_denial(&account);
                (Some(asked.token), conversation::withheld(&asked, &self.setting(&site)))
            }
            Ok(Begun::Bypassed(bypass)) => {
                super::bypass::report(&account, &bypass);
                (None, conversation::verdict(Verdict::Granted))
            }
            Ok(Begun::Resumed(view)) => (Some(view.token), conversation::first(&view)),
            Ok(Begun::Issued(mut view, order)) => {
                view.report(self.send_and_wait(&site, *order, called).await);
                (Some(view.token), conversation::first(&view))
            }
            // Who needs no code is in nothing that moves.
            Err(StoreError::Moving) if requirement == Requirement::Nothing => {
                warn!(account = %account, "a login without a code is not in the log: the store moves");
                (None, conversation::verdict(Verdict::Ignored))
            }
            Err(StoreError::Moving) => {
                warn!(account = %account, "a login is refused while the store moves");
                (None, Self::unavailable(&site))
            }
            Err(error) => {
                error!(%error, account = %account, "a login could not begin");
                (None, Self::unavailable(&site))
            }
        }
    }

    fn count_denial(&self, account: &Account) {
        match self.denials.take(account) {
            Line::Written => {}
            Line::Last => {
                warn!(%account, "was refused often; for an hour no more of that is written down");
            }
            Line::LeftOut => {
                self.unwritten.inc();
            }
        }
    }
}

/// Where a connection of sshd is: a store that machines share must not take two of them for one.
/// There messages may call all of them the same.
fn place(host: Option<Host>, name: &str) -> Cow<'_, str> {
    host.map_or(Cow::Borrowed(name), |host| hex::write(host.0).into())
}

/// Who is refused as often as they ask, which costs nothing, fills no disk with that, nor with the ends
/// of the logins of which each takes the place of the one before. Of one that was somebody else's it is
/// written down when they type something there, and they are told. What changes anything else is
/// written down all the same.
fn unless_too_often(written: bool, begun: Decided<Begun>) -> Decided<Begun> {
    let Decided { records, mut audit, answer } = begun;
    if !written {
        audit.retain(|event| {
            !matches!(
                (&answer, &event.event),
                (Begun::Denied(_), Event::LoginDenied { .. })
                    | (
                        Begun::Withheld(_),
                        Event::CodeWithheld { .. } | Event::ChallengeEnded { .. }
                    )
            )
        });
    }
    Decided { records, audit, answer }
}

/// On a full disk no code is issued and no refusal is written: what room there is belongs to the
/// logins that wait for a code, to recovery codes, and to whoever needs none.
fn unless_full(full: bool, records: &Records, begun: Decided<Begun>) -> Decided<Option<Begun>> {
    let Decided { records: after, audit, answer } = begun;
    let nothing = |answer| Decided::unchanged(records, answer);
    match answer {
        _ if !full => Decided { records: after, audit, answer: Some(answer) },
        Begun::Ignored | Begun::Resumed(_) => nothing(Some(answer)),
        Begun::Withheld(_) | Begun::Bypassed(_) => {
            Decided { records: after, audit, answer: Some(answer) }
        }
        Begun::Denied(_) | Begun::Issued(..) => nothing(None),
    }
}

#[cfg(test)]
mod tests {
    use super::{Begun, Decided, Event, Host, Records, place, unless_too_often};
    use crate::domain::{
        audit::{Actor, AuditEvent},
        login::{Why, Withheld},
        passcode::ChallengeToken,
        scene::{START, account},
    };

    #[test]
    fn who_begins_too_often_without_a_code_is_not_written_down() {
        let withheld = Event::CodeWithheld {
            service: "sshd".to_owned(),
            source: None,
            reason: "unanswered-per-hour",
        };
        let event = |event| AuditEvent {
            at: START,
            request: None,
            account: account("alice"),
            actor: Actor::Claimant,
            event,
        };
        let begun = || {
            let asked = Withheld { token: ChallengeToken([1; 16]), why: Why::Full, recovery: 8 };
            let ended = Event::ChallengeEnded { how: "superseded" };
            Decided {
                records: Records::default(),
                audit: vec![event(ended), event(withheld.clone())],
                answer: Begun::Withheld(asked),
            }
        };
        let written = |written| {
            let audit = unless_too_often(written, begun()).audit;
            audit.into_iter().map(|event| event.event).collect::<Vec<_>>()
        };
        assert_eq!(written(false), []);
        assert_eq!(written(true), [Event::ChallengeEnded { how: "superseded" }, withheld.clone()]);
    }

    #[test]
    fn machines_that_messages_call_the_same_are_two_places() {
        let name = "Example Bank";
        assert_ne!(place(Some(Host([1; 16])), name), place(Some(Host([2; 16])), name));
        assert_eq!(place(None, name), name, "alone with its store");
    }
}
