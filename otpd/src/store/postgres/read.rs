//! Reads that decide nothing, on a connection of their own: a long list never holds up a login.

use std::{collections::BTreeSet, pin::Pin, sync::Arc};

use futures_util::TryStreamExt;
use tokio::sync::{mpsc, oneshot};
use tokio_postgres::{Row, types::Type};
use tracing::{debug, error};

use super::{
    Site,
    connect::Connector,
    discard::NAMED_BY_ACCOUNT,
    given,
    open::PostgresError,
    rows,
    session::{Purpose, Session, Uncommitted},
    trouble::Trouble,
    watch::watch,
};
use crate::{
    domain::{
        account::Account,
        budget::{Budget, Share},
        bypass::Bypass,
        challenge::Instance,
        enrollment::NumberIndex,
        login::LoginState,
        passcode::ChallengeToken,
        records::{BudgetKey, Records, TrafficKey},
        time::Timestamp,
    },
    keys::Keys,
    store::{
        Counts, ListedNumber, LostName, StoreError, Subscriber, damage,
        format::{self, NUMBER},
        found,
    },
    threads,
};

/// What the reader's thread works with.
struct Desk {
    connector: Connector,
    keys: Keys,
    idle: Option<Session>,
}

type Read = Box<dyn for<'d> FnOnce(&'d mut Desk) -> Pin<Box<dyn Future<Output = ()> + 'd>> + Send>;

/// The way to a read; cheap to clone.
#[derive(Clone)]
pub(in crate::store) struct Reads {
    queue: mpsc::Sender<Read>,
    pub(super) connector: Connector,
    pub(super) keys: Keys,
    pub(super) site: Arc<Site>,
}

impl Reads {
    /// Prepares a second connection to a database, on a thread of its own.
    ///
    /// # Errors
    /// [`PostgresError::Thread`].
    pub(super) fn start(
        connector: Connector,
        keys: Keys,
        site: Site,
    ) -> Result<Self, PostgresError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(PostgresError::Thread)?;
        let mut desk = Desk { connector: connector.clone(), keys: keys.clone(), idle: None };
        let (queue, mut reads) = mpsc::channel::<Read>(64);
        threads::spawn("reader", move || {
            runtime.block_on(async move {
                tokio::spawn(watch(desk.connector.clone()));
                while let Some(read) = reads.recv().await {
                    read(&mut desk).await;
                }
            });
        })
        .map_err(PostgresError::Thread)?;
        Ok(Self { queue, connector, keys, site: site.into() })
    }

    pub(in crate::store) async fn account(&self, account: Account) -> Result<Records, StoreError> {
        self.read(Purpose::Read, async move |session, keys| alone(session, keys, account).await)
            .await
    }

    pub(in crate::store) async fn account_among_all(
        &self,
        account: Account,
    ) -> Result<Records, StoreError> {
        self.read(Purpose::Read, async move |session, keys| {
            let mut records = alone(session, keys, account).await?;
            let wanted = records.enrollment.iter().flat_map(TrafficKey::of).collect();
            let shares = rows::shares(session, &wanted).await?;
            let sums = shares.sums.into_iter();
            records.traffic = sums.map(|(key, share)| (key, share.total())).collect();
            (records.enrolled, _) = rows::enrolled_and_now(session).await?;
            Ok(records)
        })
        .await
    }

    pub(in crate::store) async fn subscribers(
        &self,
        after: Option<Account>,
        limit: u32,
    ) -> Result<Vec<Subscriber>, StoreError> {
        self.read(Purpose::Read, async move |session, keys| {
            let select = "SELECT account, number, number_index, details, budget.state
                          FROM otpd.enrollment LEFT JOIN otpd.budget
                               ON budget.kind = $3 AND budget.key = number_index AND share = 0
                          WHERE account > $1 ORDER BY account LIMIT $2";
            let mut after = after.map_or_else(String::new, |after| after.as_str().to_owned());
            let subscriber = |row: &Row| {
                let Some(account) = rows::whose(row, 0)? else { return Ok(None) };
                let read = || -> Result<_, Trouble> {
                    let enrollment = rows::enrollment(keys, &account, row, 1)?;
                    let kept = row.try_get::<_, Option<&[u8]>>(4)?.is_some();
                    let budget = kept.then(|| rows::decode::<Budget>(row, 4)).transpose()?;
                    let opted_out = budget.and_then(|budget| budget.opted_out);
                    Ok(ListedNumber { enrollment, opted_out })
                };
                let number = read();
                let number = number.inspect_err(|error| damage::listed(&account, error)).ok();
                Ok(Some(Subscriber { account, number }))
            };
            loop {
                let values: [super::session::Parameter<'_>; 3] =
                    [(&after, Type::TEXT), (&i64::from(limit), Type::INT8), (&NUMBER, Type::INT2)];
                let found = session.query(select, &values).await?;
                let page = found.iter().filter_map(|row| subscriber(row).transpose());
                let page = page.collect::<Result<Vec<_>, Trouble>>()?;
                match found.last() {
                    // None of them has a name; there may be more.
                    Some(last) if page.is_empty() => after = last.try_get(0)?,
                    _ => return Ok(page),
                }
            }
        })
        .await
    }

    pub(in crate::store) async fn lost_names(&self) -> Result<BTreeSet<LostName>, StoreError> {
        self.read(Purpose::Read, async |session, _| lost_names(session).await).await
    }

    pub(in crate::store) async fn accounts_with(
        &self,
        number: NumberIndex,
    ) -> Result<Vec<Account>, StoreError> {
        self.read(Purpose::Read, async move |session, _| {
            let select =
                "SELECT account FROM otpd.enrollment WHERE number_index = $1 ORDER BY account";
            let found = session.query(select, &[(&number.0.as_slice(), Type::BYTEA)]).await?;
            found.iter().filter_map(|row| rows::whose(row, 0).transpose()).collect()
        })
        .await
    }

    pub(in crate::store) async fn counts(&self, now: Timestamp) -> Result<Counts, StoreError> {
        self.read(Purpose::Read, async move |session, keys| {
            let mut counts = Counts::default();
            let select = "SELECT account, number, number_index, details FROM otpd.enrollment";
            each(session, select, |row| {
                let Some(account) = rows::whose(&row, 0)? else { return Ok(()) };
                match rows::enrollment(keys, &account, &row, 1) {
                    Ok(enrollment) => counts.add(&enrollment),
                    Err(error) => {
                        damage::listed(&account, &error);
                        counts.unreadable.add(account.as_str());
                    }
                }
                Ok(())
            })
            .await?;
            for lost in lost_names(session).await? {
                counts.unreadable.add(lost.to_string());
            }
            counts.unreadable.sums = damaged_sums(session).await?;
            each_login_under_way(session, |_, login| counts.add_login(&login, now)).await?;
            Ok(counts)
        })
        .await
    }

    pub(in crate::store) async fn lost(
        &self,
        instance: Instance,
        now: Timestamp,
    ) -> Result<Vec<ChallengeToken>, StoreError> {
        let host = self.site.host;
        self.read(Purpose::Read, async move |session, _| {
            let mut lost = Vec::new();
            each_login_under_way(session, |_, mut login| {
                // Another host's daemon lives, for all that is known here, and holds its own codes.
                login.challenges.retain(|challenge| challenge.host == Some(host));
                lost.extend(found::lost(&login, instance, now));
            })
            .await?;
            Ok(lost)
        })
        .await
    }

    pub(in crate::store) async fn untold(&self) -> Result<Vec<ChallengeToken>, StoreError> {
        let host = self.site.host;
        self.read(Purpose::Read, async move |session, _| {
            let mut untold = Vec::new();
            each_login_under_way(session, |_, login| {
                let own = |token: &ChallengeToken| {
                    let mut all = login.challenges.iter();
                    all.any(|challenge| challenge.token == *token && challenge.host == Some(host))
                };
                untold.extend(login.recovery.untold().filter(own));
            })
            .await?;
            Ok(untold)
        })
        .await
    }

    pub(in crate::store) async fn bypasses(
        &self,
        now: Timestamp,
    ) -> Result<Vec<(Account, Bypass)>, StoreError> {
        self.read(Purpose::Read, async move |session, _| {
            let mut bypasses = Vec::new();
            each_login(session, "ORDER BY account", |account, login| {
                let current = login.bypasses.current(now).cloned();
                bypasses.extend(current.map(|bypass| (account.clone(), bypass)));
            })
            .await?;
            Ok(bypasses)
        })
        .await
    }

    /// Has the reader's thread read, in a transaction of its own.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        purpose: Purpose,
        read: impl AsyncFnOnce(&Session, &Keys) -> Result<T, Trouble> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        let job: Read = Box::new(move |desk| {
            Box::pin(async move {
                // The one who asked may have given up, and others wait.
                if !reply.is_closed() {
                    let _ = reply.send(desk.serve(purpose, read).await);
                }
            })
        });
        self.queue.try_send(job).map_err(|_| StoreError::Unavailable)?;
        match tokio::time::timeout(crate::store::PATIENCE, answer).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) | Err(_) => Err(StoreError::Unavailable),
        }
    }
}

impl Desk {
    async fn serve<T>(
        &mut self,
        purpose: Purpose,
        read: impl AsyncFnOnce(&Session, &Keys) -> Result<T, Trouble>,
    ) -> Result<T, StoreError> {
        let mut session = self.begun(purpose).await.map_err(|trouble| failed(purpose, &trouble))?;
        let found = match read(&session, &self.keys).await {
            Ok(told) if purpose == Purpose::Tell => {
                session.commit().await.map_err(|uncommitted| {
                    let (Uncommitted::Refused(trouble) | Uncommitted::Unknown(trouble)) =
                        uncommitted;
                    failed(purpose, &trouble)
                })?;
                self.idle = Some(session);
                return Ok(told);
            }
            found => found,
        };
        // Whatever it found: the next one begins with a connection that nothing is under way on.
        let unharmed = found.as_ref().err().is_none_or(|trouble| !trouble.says_goodbye());
        if unharmed && session.rollback().await.is_ok() {
            self.idle = Some(session);
        }
        found.map_err(|trouble| failed(purpose, &trouble))
    }

    async fn begun(&mut self, purpose: Purpose) -> Result<Session, Trouble> {
        if let Some(mut session) = self.idle.take() {
            match session.begin(purpose).await {
                Ok(()) => {
                    self.connector.accept(&session)?;
                    return Ok(session);
                }
                // The server was started again since.
                Err(trouble) => debug!(%trouble, "the connection for reads is made anew"),
            }
        }
        let mut session = self.connector.connect().await?;
        session.begin(purpose).await?;
        self.connector.accept(&session)?;
        Ok(session)
    }
}

fn failed(purpose: Purpose, trouble: &Trouble) -> StoreError {
    if purpose == Purpose::Tell {
        // Whoever needs the server says why there is none.
        debug!(error = %trouble, "the other hosts are not told of this one");
        return StoreError::Unavailable;
    }
    if let Trouble::Unread(unread) = trouble {
        return unread.refused("read");
    }
    if !matches!(trouble, Trouble::Rekeyed) {
        error!(error = %trouble, remedy = trouble.remedy(), "a read of the store failed");
    }
    StoreError::Unavailable
}

async fn alone(session: &Session, keys: &Keys, account: Account) -> Result<Records, Trouble> {
    let (enrollment, login) = rows::account(session, keys, &account).await?;
    let mut records = Records { account: Some(account), enrollment, login, ..Records::default() };
    if let Some(enrollment) = &records.enrollment {
        let key = BudgetKey::Number(enrollment.index);
        records.budgets.insert(key, rows::budget(session, key).await?);
    }
    Ok(records)
}

/// Every row of a statement, one by one: of a million, none but this one is held in memory.
pub(super) async fn each(
    session: &Session,
    select: &str,
    mut see: impl FnMut(Row) -> Result<(), Trouble>,
) -> Result<(), Trouble> {
    let mut rows = std::pin::pin!(session.stream(select, &[]).await?);
    while let Some(row) = rows.try_next().await? {
        see(row)?;
    }
    Ok(())
}

/// The accounts that have a challenge, live or remembered.
pub(super) async fn each_login_under_way(
    session: &Session,
    see: impl FnMut(Account, LoginState),
) -> Result<(), Trouble> {
    each_login(session, "WHERE account IN (SELECT account FROM otpd.challenge)", see).await
}

/// Of what many accounts do together, how much cannot be read. One share that is damaged is enough.
async fn damaged_sums(session: &Session) -> Result<u64, Trouble> {
    let mut damaged = BTreeSet::new();
    let select = format!("SELECT kind, key, state FROM otpd.budget WHERE kind > {NUMBER}");
    each(session, &select, |row| {
        let (kind, key) = (row.try_get::<_, i16>(0)?, row.try_get::<_, &[u8]>(1)?);
        let known = format::traffic_of(kind, key).is_ok();
        if !known || rows::decode::<Share>(&row, 2).is_err() {
            damaged.insert((kind, key.to_owned()));
        }
        Ok(())
    })
    .await?;
    Ok(damaged.len() as u64)
}

/// What [`Account::new`] refuses. NUL is in no text of the server's.
const NO_NAME: &str = "account = '' OR octet_length(account) > 256
                       OR account ~ '[/\u{1}-\u{1f}\u{7f}-\u{9f}]'";

/// What is in the place of accounts' names. The server looks for it: none but that comes over.
async fn lost_names(session: &Session) -> Result<BTreeSet<LostName>, Trouble> {
    let tables =
        NAMED_BY_ACCOUNT.map(|table| format!("SELECT account FROM otpd.{table} WHERE {NO_NAME}"));
    let mut lost = BTreeSet::new();
    each(session, &tables.join(" UNION ALL "), |row| {
        lost.extend(rows::name_or_lost(&row, 0)?.err());
        Ok(())
    })
    .await?;
    Ok(lost)
}

/// Logins, of those that are named so. A damaged row keeps no other account from what it waits for.
async fn each_login(
    session: &Session,
    which: &str,
    mut see: impl FnMut(Account, LoginState),
) -> Result<(), Trouble> {
    let given = given::columns("login.account");
    let select = format!("SELECT account, state, {given} FROM otpd.login {which}");
    each(session, &select, |row| {
        let Some(account) = rows::whose(&row, 0)? else { return Ok(()) };
        match rows::login(&row, 1, 2) {
            Ok(login) => see(account, login),
            Err(error) => error!(%account, %error, "the account's logins are damaged"),
        }
        Ok(())
    })
    .await
}
