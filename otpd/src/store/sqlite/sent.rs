//! Messages that an earlier run of the daemon handed to vendors, found again at the start: by the
//! challenges that are live, and by what the end of the audit trail says of their messages. What is
//! damaged costs its own message's following and no other's.

use std::collections::HashMap;

use rusqlite::{Connection, Row, params, types::Type};
use serde_json::Value;
use tracing::error;

use super::{
    Reader,
    audit::{OUT_OF_ORDER, before},
    rows::{self, damaged},
};
use crate::{
    domain::{
        account::Account,
        challenge::{Challenge, Delivery},
        enrollment::Enrollment,
        login::SentBefore,
        time::Timestamp,
    },
    keys::Keys,
    store::StoreError,
};

/// Events that are looked at, the newest: what a busy host writes in the life of a code. Reading
/// them takes some hundredths of a second, once a start, and holds up no login.
const LOOKED_AT: i64 = 16_384;
/// Messages that are looked for.
const MESSAGES: usize = 4096;

/// What the trail calls a challenge: its account and its request id.
type Name = (String, u32);

/// A challenge, while its message is looked for.
struct Wanted {
    sent: SentBefore,
    /// Messages of its gateway that the trail has since its code was issued.
    found: u32,
    /// The vendor's names for messages of its gateway that were reported to be at their end since then.
    ended: Vec<String>,
    /// Something of its login cannot be read.
    unclear: bool,
}

impl Wanted {
    /// The message, if it is known which one it is, and nothing tells that it is at its end: what is
    /// told again would be acted on again.
    fn found(self) -> Option<SentBefore> {
        let own = self.sent.vendor_id.as_deref();
        let ended = self.ended.iter().any(|id| own.is_none_or(|own| own == id));
        (self.found == 1 && !self.unclear && !ended).then_some(self.sent)
    }
}

impl Reader {
    /// Messages with a code that may still be typed, of challenges whose code was issued before
    /// `begun`. Those that cannot be told apart from another message of their login are left out, and
    /// those that were reported to have arrived, or not.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn sent_before(&self, begun: Timestamp) -> Result<Vec<SentBefore>, StoreError> {
        self.read(move |db, keys| {
            let mut wanted = wanted(db, keys, begun, MESSAGES)?;
            let Some(since) = wanted.values().map(|wanted| wanted.sent.issued_at).min() else {
                return Ok(Vec::new());
            };
            look_through(db, since, &mut wanted, LOOKED_AT)?;
            Ok(wanted.into_values().filter_map(Wanted::found).collect())
        })
        .await
    }
}

/// What may be told about a message whose challenge is live, of `limit` such messages at most.
fn wanted(
    db: &Connection,
    keys: &Keys,
    begun: Timestamp,
    limit: usize,
) -> rusqlite::Result<HashMap<Name, Wanted>> {
    let mut select = db.prepare_cached(
        "SELECT account, state FROM login WHERE account IN (SELECT account FROM challenge)",
    )?;
    let (mut found, mut wanted) = (select.query([])?, HashMap::new());
    while let Some(row) = found.next()? {
        let (account, challenges) = match waiting(row, begun) {
            Ok(read) => read,
            Err(error) => {
                error!(%error, "the messages of a damaged login are not followed");
                continue;
            }
        };
        // Numbers are decrypted for those alone that wait.
        if challenges.is_empty() {
            continue;
        }
        let enrollment = match rows::enrollment_of(db, keys, &account) {
            Ok(Some(enrollment)) => enrollment,
            Ok(None) => continue,
            Err(error) => {
                error!(%account, %error, "the account's messages are not followed");
                continue;
            }
        };
        for (challenge, gateway) in challenges {
            if wanted.len() >= limit {
                return Ok(wanted);
            }
            let name = (account.as_str().to_owned(), challenge.token.request().0);
            let sent = sent(&account, &enrollment, &challenge, gateway);
            wanted.insert(name, Wanted { sent, found: 0, ended: Vec::new(), unclear: false });
        }
    }
    Ok(wanted)
}

/// The challenges of an account that wait for a code which a gateway took before `begun`, and that
/// gateway.
fn waiting(
    row: &Row<'_>,
    begun: Timestamp,
) -> rusqlite::Result<(Account, Vec<(Challenge, String)>)> {
    let (account, login) = (rows::name(row, 0)?, rows::login(row, 1)?);
    let waits = |challenge: &Challenge| {
        challenge.is_live() && !challenge.is_expired(begun) && challenge.issued_at < begun
    };
    let taken = |challenge: Challenge| {
        let Delivery::Accepted { gateway } = &challenge.delivery else { return None };
        let gateway = gateway.clone();
        Some((challenge, gateway))
    };
    let challenges = login.challenges.into_iter().filter(waits);
    Ok((account, challenges.filter_map(taken).collect()))
}

fn sent(
    account: &Account,
    enrollment: &Enrollment,
    challenge: &Challenge,
    gateway: String,
) -> SentBefore {
    SentBefore {
        account: account.clone(),
        token: challenge.token,
        to: enrollment.number().clone(),
        index: enrollment.index,
        channel: challenge.channel,
        reference: challenge.reference(),
        issued_at: challenge.issued_at,
        expires_at: challenge.expires_at(),
        gateway,
        vendor_id: None,
        repeat: challenge.repeats,
    }
}

/// Goes through the end of the trail, from `since` on, and through `limit` events at most.
fn look_through(
    db: &Connection,
    since: Timestamp,
    wanted: &mut HashMap<Name, Wanted>,
    limit: i64,
) -> rusqlite::Result<()> {
    let last: i64 = db.query_row("SELECT coalesce(max(id), 0) FROM audit", [], |row| row.get(0))?;
    let first = before(db, since.before(OUT_OF_ORDER), last)?.max(last - limit);
    let mut select = db.prepare_cached(
        "SELECT at, account, request, event FROM audit
         WHERE id > ?1 AND id <= ?2 AND request IS NOT NULL
         AND (event LIKE '%\"message-sent\"%' OR event LIKE '%\"message-status\"%'
              OR event LIKE '%\"message-undelivered\"%')",
    )?;
    let mut rows = select.query(params![first, last])?;
    while let Some(row) = rows.next()? {
        let Some(one) = wanted.get_mut(&(row.get(1)?, row.get(2)?)) else { continue };
        if let Err(error) = read(row, one) {
            let account = &one.sent.account;
            error!(%account, %error, "a message is not followed: an event of its login is damaged");
            one.unclear = true;
        }
    }
    Ok(())
}

/// What an event says about the message of its challenge.
fn read(row: &Row<'_>, one: &mut Wanted) -> rusqlite::Result<()> {
    let event: Value = serde_json::from_str(row.get_ref(3)?.as_str()?)
        .map_err(|error| damaged(3, Type::Text, error))?;
    let field = |name| event.get(name).and_then(Value::as_str);
    let of_gateway = field("gateway") == Some(&*one.sent.gateway);
    if !of_gateway || Timestamp(row.get(0)?) < one.sent.issued_at {
        return Ok(());
    }
    let id = field("vendor_id").map(str::to_owned);
    match field("event") {
        Some("message-sent") => {
            one.found += 1;
            one.sent.vendor_id = id;
        }
        Some("message-status" | "message-undelivered") => one.ended.push(id.unwrap_or_default()),
        Some(_) | None => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests;
