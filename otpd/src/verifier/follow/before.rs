//! Messages that an earlier run of the daemon handed to vendors, without their codes.

use std::{sync::Arc, time::Duration};

use zeroize::Zeroizing;

use super::Courier;
use crate::{
    domain::{
        login::{Cause, Order, SentBefore, UndeliveredBefore},
        passcode::Draw,
    },
    gateway::{GatewayName, Message, MessageId, VendorMessageId},
    random,
    store::StoreError,
    verifier::{
        Site,
        deliver::message_id,
        taken::{Names, Taken, What},
    },
};

impl Courier {
    /// Follows a message that an earlier run of the daemon sent.
    pub(in crate::verifier) fn follow_before(&self, sent: SentBefore) {
        let gateway = GatewayName(sent.gateway.clone());
        let id = message_id(sent.token, sent.issued_at, sent.repeat);
        let vendor_id = sent.vendor_id.clone().map(VendorMessageId);
        let site = self.sites.now();
        let Some(names) = Names::of(&site, sent.channel, gateway, vendor_id, id) else { return };
        self.follow(Arc::new(Taken::new(What::Before(Box::new(sent)), names)));
    }

    /// Asks a vendor that reported a loss whether it is so. A report that is wrong would end a code that
    /// somebody holds in their hand, and only here: a message of this run goes out again with its code.
    pub(super) fn confirm(&self, taken: &Arc<Taken>) {
        self.ask_soon(taken);
    }

    /// A carrier's report that such a message did not arrive; what to send in its place, under the
    /// rules that hold now: a fresh code is no part of what began under others.
    pub(super) async fn undelivered_before(
        &self,
        taken: &Taken,
        site: &Site,
        sent: &SentBefore,
        reason: String,
        cause: Cause,
    ) -> Result<Option<Order>, StoreError> {
        let report = UndeliveredBefore {
            terms: Arc::clone(&site.terms),
            sent: sent.clone(),
            vendor_id: taken.written_id(),
            reason,
            cause,
            others: site.routes.has_other(sent.channel, &[GatewayName(sent.gateway.clone())]),
            draw: Draw::new(&mut random::system(), site.terms.rules.digits),
        };
        let whose = (sent.account.clone(), sent.index);
        self.lost(whose, sent.token, move |records, now| report.decide(records, now)).await
    }
}

/// A message of an earlier run as far as it is known: enough to ask after it and to mask its number.
pub(super) fn without_code(sent: &SentBefore) -> Message {
    Message {
        id: MessageId([0; 16]),
        to: sent.to.clone(),
        channel: sent.channel,
        text: Zeroizing::default(),
        code: None,
        valid_for: Duration::ZERO,
        answer_url: None,
        report_url: None,
    }
}
