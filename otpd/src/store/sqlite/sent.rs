//! Messages that an earlier run of the daemon handed to vendors, found again at the start: by the
//! challenges that are live, and by what the end of the audit trail says of their messages.

use std::collections::HashMap;

use rusqlite::{Connection, params};
use serde_json::Value;
use tracing::error;

use super::{
    Reader,
    audit::{OUT_OF_ORDER, before},
    rows::{self, damaged},
};
use crate::{
    domain::{challenge::Delivery, login::SentBefore, time::Timestamp},
    keys::Keys,
    store::StoreError,
};

/// Events that are looked at, the newest: what a busy host writes in the life of a code. Reading
/// them takes some hundredths of a second, once a start, and holds up no login.
const LOOKED_AT: i64 = 16_384;
/// Messages that are looked for.
const MESSAGES: usize = 4096;

/// A challenge by what the trail calls it, while its message is looked for.
struct Wanted {
    sent: SentBefore,
    /// Messages of its gateway that the trail has since its code was issued.
    found: u32,
}

impl Reader {
    /// Messages with a code that may still be typed, of challenges whose code was issued before
    /// `begun`. Those that cannot be told apart from another message of their login are left out.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn sent_before(&self, begun: Timestamp) -> Result<Vec<SentBefore>, StoreError> {
        self.read(move |db, keys| {
            let mut wanted = wanted(db, keys, begun)?;
            let Some(since) = wanted.values().map(|wanted| wanted.sent.issued_at).min() else {
                return Ok(Vec::new());
            };
            look_through(db, since, &mut wanted)?;
            let found = wanted.into_values().filter(|wanted| wanted.found == 1);
            Ok(found.map(|wanted| wanted.sent).collect())
        })
        .await
    }
}

/// What may be told about a message whose challenge is live.
fn wanted(
    db: &Connection,
    keys: &Keys,
    begun: Timestamp,
) -> rusqlite::Result<HashMap<(String, u32), Wanted>> {
    let mut select = db.prepare_cached("SELECT DISTINCT account FROM challenge")?;
    let (mut found, mut wanted) = (select.query([])?, HashMap::new());
    while let Some(row) = found.next()? {
        let account = rows::name(row, 0)?;
        let (enrollment, login) = match rows::account(db, keys, &account) {
            Ok(read) => read,
            Err(error) => {
                error!(%account, %error, "the account's messages are not followed");
                continue;
            }
        };
        let Some(enrollment) = enrollment else { continue };
        for challenge in login.challenges {
            let Delivery::Accepted { gateway } = &challenge.delivery else { continue };
            let waits = challenge.is_live() && !challenge.is_expired(begun);
            if !waits || challenge.issued_at >= begun || wanted.len() >= MESSAGES {
                continue;
            }
            let sent = SentBefore {
                account: account.clone(),
                token: challenge.token,
                to: enrollment.number().clone(),
                index: enrollment.index,
                channel: challenge.channel,
                reference: challenge.reference(),
                issued_at: challenge.issued_at,
                expires_at: challenge.expires_at(),
                gateway: gateway.clone(),
                vendor_id: None,
                repeat: challenge.repeats,
            };
            let key = (account.as_str().to_owned(), challenge.token.request().0);
            wanted.insert(key, Wanted { sent, found: 0 });
        }
    }
    Ok(wanted)
}

/// Goes through the end of the trail, from `since` on.
fn look_through(
    db: &Connection,
    since: Timestamp,
    wanted: &mut HashMap<(String, u32), Wanted>,
) -> rusqlite::Result<()> {
    let last: i64 = db.query_row("SELECT coalesce(max(id), 0) FROM audit", [], |row| row.get(0))?;
    let first = before(db, since.before(OUT_OF_ORDER), last)?.max(last - LOOKED_AT);
    let mut select = db.prepare_cached(
        "SELECT at, account, request, event FROM audit
         WHERE id > ?1 AND id <= ?2 AND request IS NOT NULL AND event LIKE '%\"message-sent\"%'",
    )?;
    let mut rows = select.query(params![first, last])?;
    while let Some(row) = rows.next()? {
        let Some(one) = wanted.get_mut(&(row.get(1)?, row.get(2)?)) else { continue };
        let event: Value = serde_json::from_str(row.get_ref(3)?.as_str()?)
            .map_err(|error| damaged(3, rusqlite::types::Type::Text, error))?;
        let field = |name| event.get(name).and_then(Value::as_str);
        let its = field("event") == Some("message-sent")
            && field("gateway") == Some(&*one.sent.gateway)
            && Timestamp(row.get(0)?) >= one.sent.issued_at;
        if its {
            one.found += 1;
            one.sent.vendor_id = field("vendor_id").map(str::to_owned);
        }
    }
    Ok(())
}
