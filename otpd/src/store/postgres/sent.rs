//! Messages that an earlier run of this host's daemon handed to vendors, looked for in SQL.

use std::collections::HashMap;

use tokio_postgres::{Row, types::Type};
use tracing::error;

use super::{
    Reads,
    audit::before,
    read::each_login_under_way,
    rows,
    session::{Parameter, Purpose, Session},
    trouble::Trouble,
};
use crate::{
    domain::{challenge::Host, login::SentBefore, time::Timestamp},
    keys::Keys,
    store::{
        StoreError,
        found::OUT_OF_ORDER,
        sent::{LOOKED_AT, MESSAGES, Name, Wanted, waiting},
    },
};

impl Reads {
    pub(in crate::store) async fn sent_before(
        &self,
        begun: Timestamp,
    ) -> Result<Vec<SentBefore>, StoreError> {
        let host = self.site.host;
        self.read(Purpose::Read, async move |session, keys| {
            let mut wanted = wanted(session, keys, host, begun).await?;
            let Some(since) = wanted.values().map(|wanted| wanted.sent.issued_at).min() else {
                return Ok(Vec::new());
            };
            look_through(session, since, &mut wanted).await?;
            Ok(wanted.into_values().filter_map(Wanted::found).collect())
        })
        .await
    }
}

/// What may be told about a message of this host whose challenge is live.
async fn wanted(
    session: &Session,
    keys: &Keys,
    host: Host,
    begun: Timestamp,
) -> Result<HashMap<Name, Wanted>, Trouble> {
    let mut all = Vec::new();
    each_login_under_way(session, |account, mut login| {
        // Another host's daemon follows its own.
        login.challenges.retain(|challenge| challenge.host == Some(host));
        let challenges = waiting(login, begun);
        if !challenges.is_empty() && all.len() < MESSAGES {
            all.push((account, challenges));
        }
    })
    .await?;
    let mut wanted = HashMap::new();
    // Numbers are decrypted for those alone that wait.
    for (account, challenges) in all {
        let enrollment = match rows::enrollment_of(session, keys, &account).await {
            Ok(Some(enrollment)) => enrollment,
            Ok(None) => continue,
            Err(Trouble::Unread(error)) => {
                error!(%account, %error, "the account's messages are not followed");
                continue;
            }
            Err(trouble) => return Err(trouble),
        };
        for (challenge, gateway) in challenges {
            if wanted.len() >= MESSAGES {
                return Ok(wanted);
            }
            let (name, one) = Wanted::new(&account, &enrollment, &challenge, gateway);
            wanted.insert(name, one);
        }
    }
    Ok(wanted)
}

/// Goes through the end of the trail, from `since` on, and through so many events at most.
async fn look_through(
    session: &Session,
    since: Timestamp,
    wanted: &mut HashMap<Name, Wanted>,
) -> Result<(), Trouble> {
    let first = before(session, since.before(OUT_OF_ORDER), i64::MAX).await?;
    let select = "SELECT at, account, request, event FROM (
                    SELECT * FROM otpd.audit WHERE id > $1 ORDER BY id DESC LIMIT $2) AS newest
                  WHERE request IS NOT NULL
                  AND (event LIKE '%\"message-sent\"%' OR event LIKE '%\"message-status\"%'
                       OR event LIKE '%\"message-undelivered\"%')
                  ORDER BY id";
    let values: [Parameter<'_>; 2] = [(&first, Type::INT8), (&LOOKED_AT, Type::INT8)];
    let note = |row: &Row| -> Result<(), Trouble> {
        let request = u32::try_from(row.try_get::<_, i64>(2)?).unwrap_or(u32::MAX);
        if let Some(one) = wanted.get_mut(&(row.try_get(1)?, request)) {
            one.note(Timestamp(row.try_get(0)?), row.try_get(3).ok());
        }
        Ok(())
    };
    session.query(select, &values).await?.iter().try_for_each(note)
}
