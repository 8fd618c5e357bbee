//! What vendors tell without being asked.

use tracing::{error, info};

use super::{Doors, Verifier, wishes::Heard};
use crate::{
    domain::{
        account::Account,
        opt_out::{Inbound, Said, Wish, WordMark},
        phone::E164,
    },
    gateway::{GatewayName, Keyword, Notice},
    store::{Reader, Scope, Store, StoreError},
};

impl Verifier {
    /// Acts on what a vendor told, once its signature was checked; for a [`Notice::Hint`] there need
    /// be none. Returns when what follows is written down, or waits for a store that is busy.
    /// Duplicates, and what comes too late or out of order, change nothing.
    pub async fn notice(&self, gateway: &GatewayName, notice: Notice) {
        match notice {
            Notice::Progress { id, status } => {
                self.courier.told(gateway.clone(), id, status).await;
            }
            Notice::Call { ours, id, status } => {
                self.courier.told_of_call(gateway.clone(), ours, id, status).await;
            }
            Notice::Hint { id } => self.courier.hinted(gateway.clone(), id),
            Notice::Inbound { from, keyword, mark, id } => {
                let id = id.as_ref().map(|id| id.0.as_str());
                let mark = WordMark::new(&gateway.0, &mark.0, id);
                self.inbound(gateway, &from, keyword, mark).await;
            }
        }
    }

    /// Says what people wrote to senders and was not recorded yet, as the daemon ends: it is lost here,
    /// and the vendors have their answers. Those know it themselves, and say so when they are asked to
    /// send.
    pub fn farewell(&self) {
        for (gateway, words) in self.wishes.give_up() {
            error!(gateway, words, "what people asked of a sender was not recorded before the end");
        }
    }

    /// How often vendors told something about a message that the daemon does not follow: it never sent
    /// it, nobody waits for it any more, or it was not written down yet that a vendor took it.
    #[must_use]
    pub fn unknown_receipts(&self) -> u64 {
        self.courier.messages.strangers()
    }

    async fn inbound(&self, gateway: &GatewayName, from: &E164, keyword: Keyword, mark: WordMark) {
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
        let heard = Heard {
            number: self.keys.index(from),
            ending: from.ending().to_owned(),
            words: vec![Said { mark, wish, gateway: gateway.0.clone() }],
        };
        if self.wishes.join(&heard) {
            return;
        }
        let (reader, store, doors) = (self.reader.clone(), self.store.clone(), self.doors.clone());
        let record = move |heard| record(reader.clone(), store.clone(), doors.clone(), heard);
        if let Err(error) = record(heard.clone()).await {
            self.wishes.keep(heard, error, record);
        }
    }
}

async fn record(
    reader: Reader,
    store: Store,
    doors: Doors,
    heard: Heard,
) -> Result<(), StoreError> {
    let Heard { number, ending, words } = heard;
    // A read surely writes nothing.
    let accounts = reader.accounts_with(number).await.map_err(|_| StoreError::Unavailable)?;
    let inbound = Inbound { number, ending, words, accounts };
    let scope = Scope::Number { account: Account::host(), number };
    let decide = move |records: &_, now| inbound.decide(records, now);
    doors.pass(decide, |decide| store.transact(scope, decide)).await.map(drop)
}
