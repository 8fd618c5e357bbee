//! What vendors tell without being asked.

use tracing::{error, info};

use super::Verifier;
use crate::{
    domain::{
        account::Account,
        opt_out::{Inbound, Wish},
        phone::E164,
    },
    gateway::{GatewayName, Keyword, Notice},
    store::Scope,
};

impl Verifier {
    /// Acts on what a vendor told, once its signature was checked; for a [`Notice::Hint`] there need
    /// be none. Returns when what follows is written down. Duplicates, and what comes too late or
    /// out of order, change nothing.
    pub async fn notice(&self, gateway: &GatewayName, notice: Notice) {
        match notice {
            Notice::Progress { id, status } => {
                self.courier.told(gateway.clone(), id, status).await;
            }
            Notice::Hint { id } => self.courier.hinted(gateway.clone(), id),
            Notice::Inbound { from, keyword } => {
                self.inbound(gateway, &from, keyword).await;
            }
        }
    }

    /// How often vendors told something about a message that this run of the daemon did not send, or
    /// does not remember.
    #[must_use]
    pub fn unknown_receipts(&self) -> u64 {
        self.courier.messages.strangers()
    }

    async fn inbound(&self, gateway: &GatewayName, from: &E164, keyword: Keyword) {
        let wish = match keyword {
            Keyword::Stop => Wish::Stop,
            Keyword::Start => Wish::Start,
            // The vendor answers HELP, and nobody answers the rest.
            Keyword::Help | Keyword::Other => {
                let from = from.masked();
                info!(%gateway, from, ?keyword, "somebody wrote to a sender of codes");
                return;
            }
        };
        let number = self.keys.index(from);
        let accounts = self.reader.accounts_with(number).await.unwrap_or_else(|error| {
            error!(%error, "whose number it is that asks for an end to messages is not known");
            // Not forgotten for that.
            vec![Account::host()]
        });
        let inbound = Inbound {
            number,
            ending: from.ending().to_owned(),
            gateway: gateway.0.clone(),
            wish,
            accounts,
        };
        let scope = Scope::Number { account: Account::host(), number };
        let decide = move |records: &_, now| inbound.decide(records, now);
        if let Err(error) = self.store.transact(scope, decide).await {
            // The vendor knows, and says so when it is asked to send.
            error!(%error, %gateway, ?keyword, "what somebody asked of a sender was not recorded");
        }
    }
}
