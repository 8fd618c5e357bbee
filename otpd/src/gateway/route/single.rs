//! A message through one gateway that an administrator names, to see whether it delivers.

use super::{Attempt, Delivery, Routes, result, telling_nothing};
use crate::{
    domain::{challenge::Channel, time::Timestamp},
    gateway::{GatewayName, Message, Standing},
};

/// Why a gateway cannot carry a message. The texts name the remedy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unroutable {
    /// There is none of this name.
    #[error("there is no gateway of this name; there are: {}", known.join(", "))]
    Unknown {
        /// Those that there are.
        known: Vec<String>,
    },
    /// It does not carry such messages.
    #[error("gateway {name} carries no {}", match channel {
        Channel::Sms => "text messages; try it with --voice",
        Channel::Voice => "calls; leave --voice out, or name one that calls",
    })]
    Unsupported {
        /// Its name.
        name: GatewayName,
        /// What it does not carry.
        channel: Channel,
    },
}

impl Routes {
    /// The names of all gateways.
    #[must_use]
    pub fn names(&self) -> Vec<GatewayName> {
        self.gateways.keys().cloned().collect()
    }

    /// How this gateway's account is with its vendor; `None` where that cannot be asked.
    pub async fn standing(&self, name: &GatewayName) -> Option<Standing> {
        Some(self.gateways.get(name)?.gateway.standing()?.await)
    }

    /// The gateway of this name, which need not be on any route.
    ///
    /// # Errors
    /// [`Unroutable`].
    pub fn named(&self, name: &str, channel: Channel) -> Result<GatewayName, Unroutable> {
        let name = GatewayName(name.to_owned());
        match self.gateways.get(&name) {
            Some(slot) if slot.gateway.supports(channel) => Ok(name),
            Some(_) => Err(Unroutable::Unsupported { name, channel }),
            None => {
                let known = self.gateways.keys().map(|name| name.0.clone()).collect();
                Err(Unroutable::Unknown { known })
            }
        }
    }

    /// Hands a message to this gateway and to no other, also while it rests: whoever mends it wants
    /// to know, and what comes of it counts for its rest as ever.
    pub async fn deliver_by(
        &self,
        name: &GatewayName,
        message: &Message,
        now: impl Fn() -> Timestamp,
    ) -> Delivery {
        let mut attempts = Vec::new();
        if let Some(slot) = self.gateways.get(name) {
            let report_url = self.reports.get(name).cloned();
            let answer_url = message.answer_url.clone().filter(|_| report_url.is_some());
            let message = Message { answer_url, report_url, ..message.clone() };
            let outcome = telling_nothing(slot.gateway.send(&message).await, &message);
            let outcome = slot.record().note(name, &message, outcome, now());
            self.tally.count(name, message.channel, &outcome);
            attempts.push(Attempt { gateway: name.clone(), outcome });
        }
        Delivery { result: result(&attempts), attempts }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            GatewayState,
            tests::{NOW, accepted, fake, misconfigured, name, routes},
        },
        Unroutable,
    };
    use crate::{domain::challenge::Channel, gateway::testing::message};

    #[tokio::test]
    async fn one_gateway_is_asked_also_while_it_rests_and_no_other() {
        let (resting, other) = (fake(&[(); 6].map(|()| misconfigured())), fake(&[]));
        let routes = routes(&[("main", &resting), ("other", &other)]);
        let main = routes.named("main", Channel::Sms).expect("it is there");
        let state = || routes.health().first().expect("main").state;
        for _ in 0..5 {
            let _ = routes.deliver_by(&main, &message(Channel::Sms), || NOW).await;
        }
        assert!(matches!(state(), GatewayState::Resting { .. }));
        let delivery = routes.deliver_by(&main, &message(Channel::Sms), || NOW).await;
        assert_eq!(delivery.attempts.len(), 1, "the other one's script is empty");
    }

    #[tokio::test]
    async fn one_that_works_again_is_in_use_again() {
        let mut script = [(); 5].map(|()| misconfigured()).to_vec();
        script.push(accepted());
        let mended = fake(&script);
        let routes = routes(&[("main", &mended)]);
        for _ in 0..6 {
            let _ = routes.deliver_by(&name("main"), &message(Channel::Sms), || NOW).await;
        }
        assert_eq!(routes.health().first().expect("main").state, GatewayState::Ready);
    }

    #[test]
    fn names_are_looked_up_with_a_remedy() {
        let mut texts = fake(&[]);
        texts.voice = false;
        let calls = fake(&[]);
        let routes = super::Routes::new(
            vec![(name("calls"), Box::new(calls)), (name("texts"), Box::new(texts))],
            &[name("texts")],
            &[],
        )
        .expect("both are there");
        assert_eq!(routes.named("calls", Channel::Voice), Ok(name("calls")), "on no route");
        let unknown = routes.named("tests", Channel::Sms).expect_err("no such gateway");
        let text = "there is no gateway of this name; there are: calls, texts";
        assert_eq!(unknown.to_string(), text);
        let unsupported = routes.named("texts", Channel::Voice);
        let expected = Unroutable::Unsupported { name: name("texts"), channel: Channel::Voice };
        assert_eq!(unsupported, Err(expected));
    }
}
