//! Rows to values, read under their locks.

use std::collections::{BTreeMap, BTreeSet};

use minicbor::Decode;
use tokio_postgres::{Row, types::Type};

use super::{BYTES, TEXTS, given, session::Session, trouble::Trouble};
use crate::{
    domain::{
        account::Account,
        budget::{Budget, Share},
        enrollment::Enrollment,
        login::LoginState,
        passcode::ChallengeToken,
        records::{BudgetKey, TrafficKey},
        time::Timestamp,
    },
    keys::Keys,
    store::{
        Damage, Working,
        damage::{self, Unread},
        format::{self, NUMBER},
    },
};

/// What a commit must know about the rows that are locked.
#[derive(Debug, Default)]
pub(super) struct Locked {
    /// Accounts whose row was made to be locked.
    pub(super) made_accounts: BTreeSet<String>,
    /// The same of numbers.
    pub(super) made_numbers: BTreeSet<Vec<u8>>,
    /// Accounts with a number.
    pub(super) enrolled: u32,
}

pub(super) fn decode<T: for<'b> Decode<'b, ()>>(row: &Row, column: usize) -> Result<T, Trouble> {
    Ok(format::decode(row.try_get::<_, &[u8]>(column)?)?)
}

/// Says whose a row is that cannot be read.
fn of<T>(account: Option<&Account>, what: Damage, read: Result<T, Trouble>) -> Result<T, Trouble> {
    read.map_err(|trouble| match trouble {
        Trouble::Damaged(cause) => {
            Unread { account: account.cloned(), what, cause: cause.to_string() }.into()
        }
        other => other,
    })
}

/// Sets what cannot be read apart from other trouble: other rows can be read all the same.
pub(super) fn apart<T>(read: Result<T, Trouble>) -> Result<Result<T, Trouble>, Trouble> {
    match read {
        Err(error @ (Trouble::Damaged(_) | Trouble::Unread(_))) => Ok(Err(error)),
        read => read.map(Ok),
    }
}

/// An account's name in a column.
pub(super) fn name(row: &Row, column: usize) -> Result<Account, Trouble> {
    Ok(format::account(row.try_get(column)?)?)
}

/// A login's state in one column, and what was given to its account in those from another on.
pub(super) fn login(row: &Row, state: usize, given: usize) -> Result<LoginState, Trouble> {
    let kept = row.try_get::<_, Option<&[u8]>>(state)?.is_some();
    // No row reads as an empty state.
    let mut login = kept.then(|| decode::<LoginState>(row, state)).transpose()?.unwrap_or_default();
    given::add(&mut login, row, given)?;
    Ok(login)
}

/// `number, number_index, details`, beginning at `column`.
pub(super) fn enrollment(
    keys: &Keys,
    account: &Account,
    row: &Row,
    column: usize,
) -> Result<Enrollment, Trouble> {
    let (number, index) = (row.try_get(column)?, row.try_get(column + 1)?);
    Ok(format::enrollment(keys, account, number, index, row.try_get(column + 2)?)?)
}

/// The accounts that these challenges belong to.
pub(super) async fn owners(
    session: &Session,
    tokens: &[ChallengeToken],
) -> Result<Vec<(ChallengeToken, Account)>, Trouble> {
    if tokens.is_empty() {
        return Ok(Vec::new());
    }
    let select = "SELECT token, account FROM otpd.challenge WHERE token = ANY($1)";
    let wanted = tokens.iter().map(|token| token.0.as_slice()).collect::<Vec<_>>();
    let found = session.query(select, &[(&wanted, BYTES)]).await?;
    let owner = |row: &Row| {
        let token = <[u8; 16]>::try_from(row.try_get::<_, &[u8]>(0)?);
        let token = token.map_err(|_| Trouble::Nonsense("a challenge's name is damaged"))?;
        Ok((ChallengeToken(token), name(row, 1)?))
    };
    found.iter().map(owner).collect()
}

/// Makes the rows of accounts that have none, locks all, and reads them: what is read cannot change
/// before the commit.
pub(super) async fn lock_accounts(
    session: &Session,
    keys: &Keys,
    accounts: &BTreeSet<Account>,
    working: &mut Working,
    locked: &mut Locked,
) -> Result<(), Trouble> {
    if accounts.is_empty() {
        return Ok(());
    }
    let names = accounts.iter().map(Account::as_str).collect::<Vec<_>>();
    let empty = format::encode(&LoginState::default())?;
    let insert = "INSERT INTO otpd.login (account, key_id, state)
                SELECT account, $2, $3 FROM unnest($1) WITH ORDINALITY AS wanted (account, place)
                ORDER BY place ON CONFLICT DO NOTHING RETURNING account";
    let key_id = i64::from(keys.id);
    let made = session
        .query(insert, &[(&names, TEXTS), (&key_id, Type::INT8), (&empty, Type::BYTEA)])
        .await?;
    for row in made {
        locked.made_accounts.insert(row.try_get(0)?);
    }
    let lock = "SELECT account, state FROM otpd.login WHERE account = ANY($1)
                ORDER BY account FOR UPDATE";
    let logins = session.query(lock, &[(&names, TEXTS)]).await?;
    if logins.len() < names.len() {
        // One was deleted by whoever held it.
        return Err(Trouble::Overtaken);
    }
    // A question of its own: one that waits for locks sees other tables as they were before.
    let select = format!(
        "SELECT wanted.account, number, number_index, details, {}
         FROM unnest($1) AS wanted (account) LEFT JOIN otpd.enrollment USING (account)",
        given::columns("wanted.account")
    );
    let mut states = BTreeMap::new();
    for row in &logins {
        let account = name(row, 0)?;
        let state = of(Some(&account), Damage::Logins, decode::<LoginState>(row, 1))?;
        states.insert(account, state);
    }
    for row in session.query(&select, &[(&names, TEXTS)]).await? {
        let account = name(&row, 0)?;
        let enrolled = row.try_get::<_, Option<&[u8]>>(1)?.is_some();
        let enrollment = enrolled.then(|| enrollment(keys, &account, &row, 1)).transpose();
        let enrollment = of(Some(&account), Damage::Number, enrollment)?;
        let mut login = states.remove(&account).unwrap_or_default();
        of(Some(&account), Damage::Logins, given::add(&mut login, &row, 4))?;
        working.add_account(account, enrollment, login);
    }
    Ok(())
}

/// The same of numbers' budgets.
pub(super) async fn lock_budgets(
    session: &Session,
    keys: &Keys,
    budgets: &BTreeSet<BudgetKey>,
    working: &mut Working,
    locked: &mut Locked,
) -> Result<(), Trouble> {
    if budgets.is_empty() {
        return Ok(());
    }
    let wanted = budgets.iter().map(|key| (format::budget_key(*key).1, *key));
    let wanted = wanted.collect::<BTreeMap<_, _>>();
    let names = wanted.keys().map(<[u8; 16]>::as_slice).collect::<Vec<_>>();
    let empty = format::encode(&Budget::default())?;
    let insert = "INSERT INTO otpd.budget (kind, key, share, key_id, state, idle_at)
                SELECT $4, key, 0, $2, $3, 0
                FROM unnest($1) WITH ORDINALITY AS wanted (key, place)
                ORDER BY place ON CONFLICT DO NOTHING RETURNING key";
    let key_id = i64::from(keys.id);
    let made = session
        .query(
            insert,
            &[(&names, BYTES), (&key_id, Type::INT8), (&empty, Type::BYTEA), (&NUMBER, Type::INT2)],
        )
        .await?;
    for row in made {
        locked.made_numbers.insert(row.try_get(0)?);
    }
    let lock = "SELECT key, state FROM otpd.budget WHERE kind = $2 AND key = ANY($1) AND share = 0
                ORDER BY key FOR UPDATE";
    let found = session.query(lock, &[(&names, BYTES), (&NUMBER, Type::INT2)]).await?;
    if found.len() < names.len() {
        return Err(Trouble::Overtaken);
    }
    for row in found {
        let key = row.try_get::<_, &[u8]>(0)?;
        if let Some(key) = wanted.iter().find(|(name, _)| name.as_slice() == key) {
            working.add_budget(*key.1, of(None, Damage::Limits, decode(&row, 1))?);
        }
    }
    Ok(())
}

/// Reads what many accounts do together: the sum of the shares, as it is now.
pub(super) async fn read_traffic(
    session: &Session,
    wanted: &BTreeSet<TrafficKey>,
    working: &mut Working,
) -> Result<(), Trouble> {
    for (key, share) in shares(session, wanted).await? {
        working.add_traffic(key, share.total());
    }
    Ok(())
}

/// The sum of the shares of each of these; nothing where there are none. One that is damaged is left
/// out.
pub(super) async fn shares(
    session: &Session,
    wanted: &BTreeSet<TrafficKey>,
) -> Result<BTreeMap<TrafficKey, Share>, Trouble> {
    let mut sums = wanted.iter().map(|key| (*key, Share::default())).collect::<BTreeMap<_, _>>();
    if sums.is_empty() {
        return Ok(sums);
    }
    let names = wanted.iter().map(|key| (format::traffic_key(*key), *key));
    let names = names.collect::<BTreeMap<_, _>>();
    let kinds = names.keys().map(|(kind, _)| *kind).collect::<Vec<_>>();
    let keys = names.keys().map(|(_, key)| key.as_slice()).collect::<Vec<_>>();
    let select = "SELECT budget.kind, budget.key, state FROM otpd.budget
                  JOIN unnest($1, $2) AS wanted (kind, key) USING (kind, key)";
    let found = session.query(select, &[(&kinds, Type::INT2_ARRAY), (&keys, BYTES)]).await?;
    for row in found {
        let key = <[u8; 16]>::try_from(row.try_get::<_, &[u8]>(1)?);
        let key = key.map_err(|_| Trouble::Nonsense("a budget's name is damaged"))?;
        let Some(name) = names.get(&(row.try_get(0)?, key)) else { continue };
        match decode(&row, 2) {
            Ok(share) => sums.get_mut(name).into_iter().for_each(|sum| sum.add(&share)),
            Err(error) => {
                damage::held(*name, &error);
                sums.remove(name);
            }
        }
    }
    Ok(sums)
}

/// Accounts with a number, and the database's time.
pub(super) async fn enrolled_and_now(session: &Session) -> Result<(u32, Timestamp), Trouble> {
    let select = "SELECT (SELECT coalesce(sum(count), 0)::bigint FROM otpd.enrolled),
                         (extract(epoch FROM clock_timestamp()) * 1000)::bigint";
    let row = session.one(select, &[]).await?;
    let enrolled = u32::try_from(row.try_get::<_, i64>(0)?.max(0)).unwrap_or(u32::MAX);
    Ok((enrolled, Timestamp(row.try_get(1)?)))
}

/// Both rows of an account, without a lock; empty ones when there are none.
pub(super) async fn account(
    session: &Session,
    keys: &Keys,
    account: &Account,
) -> Result<(Option<Enrollment>, LoginState), Trouble> {
    Ok((enrollment_of(session, keys, account).await?, login_of(session, account).await?))
}

/// The login row with what was given to its account; an empty one when there is none.
pub(super) async fn login_of(session: &Session, account: &Account) -> Result<LoginState, Trouble> {
    let select = format!(
        "SELECT state, {} FROM (VALUES ($1)) AS wanted (account) LEFT JOIN otpd.login USING (account)",
        given::columns("wanted.account")
    );
    let row = session.one(&select, &[(&account.as_str(), Type::TEXT)]).await?;
    of(Some(account), Damage::Logins, login(&row, 0, 1))
}

/// The enrollment row alone.
pub(super) async fn enrollment_of(
    session: &Session,
    keys: &Keys,
    account: &Account,
) -> Result<Option<Enrollment>, Trouble> {
    let select = "SELECT number, number_index, details FROM otpd.enrollment WHERE account = $1";
    let row = session.query(select, &[(&account.as_str(), Type::TEXT)]).await?.into_iter().next();
    let read = row.map(|row| enrollment(keys, account, &row, 0)).transpose();
    of(Some(account), Damage::Number, read)
}

/// A number's budget, without a lock.
pub(super) async fn budget(session: &Session, key: BudgetKey) -> Result<Budget, Trouble> {
    let (kind, key) = format::budget_key(key);
    let select = "SELECT state FROM otpd.budget WHERE kind = $1 AND key = $2 AND share = 0";
    let values: [super::session::Parameter<'_>; 2] =
        [(&kind, Type::INT2), (&key.as_slice(), Type::BYTEA)];
    let row = session.query(select, &values).await?.into_iter().next();
    let read = row.map(|row| decode(&row, 0)).transpose();
    Ok(of(None, Damage::Limits, read)?.unwrap_or_default())
}
