//! What vendors tell without being asked.

use tracing::info;

use super::Verifier;
use crate::{
    domain::phone::E164,
    gateway::{GatewayName, Keyword, Notice},
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
            Notice::Inbound { from, keyword } => self.inbound(gateway, &from, keyword),
        }
    }

    /// How often vendors told something about a message that this run of the daemon did not send, or
    /// does not remember.
    #[must_use]
    pub fn unknown_receipts(&self) -> u64 {
        self.courier.messages.strangers()
    }

    fn inbound(&self, gateway: &GatewayName, from: &E164, keyword: Keyword) {
        let from = from.masked();
        info!(%gateway, from, ?keyword, "somebody wrote to the number that sends codes");
    }
}
