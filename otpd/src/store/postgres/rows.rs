//! Rows to values.

use std::collections::{BTreeMap, BTreeSet};

use minicbor::Decode;
use tokio_postgres::{Row, types::Type};

use super::{BYTES, given, session::Session, trouble::Trouble};
use crate::{
    domain::{
        account::Account,
        budget::{Budget, Share},
        enrollment::Enrollment,
        login::LoginState,
        records::{BudgetKey, TrafficKey},
        time::Timestamp,
    },
    keys::Keys,
    store::{
        Damage, LostName,
        damage::{self, Unread},
        format::{self, CountedKey},
    },
};

pub(super) fn decode<T: for<'b> Decode<'b, ()>>(row: &Row, column: usize) -> Result<T, Trouble> {
    Ok(format::decode(row.try_get::<_, &[u8]>(column)?)?)
}

/// Says whose a row is that cannot be read.
pub(super) fn of<T>(
    account: Option<&Account>,
    what: Damage,
    read: Result<T, Trouble>,
) -> Result<T, Trouble> {
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

/// The same, or what is in its place.
pub(super) fn name_or_lost(row: &Row, column: usize) -> Result<Result<Account, LostName>, Trouble> {
    Ok(LostName::or_account(row.try_get::<_, &str>(column)?.as_bytes()))
}

/// The account whose row it is; `None`, which is logged, where its name is damaged.
pub(super) fn whose(row: &Row, column: usize) -> Result<Option<Account>, Trouble> {
    Ok(name_or_lost(row, column)?.inspect_err(LostName::left_out).ok())
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

/// What many accounts do together, as it was read.
pub(super) struct Shares {
    /// The sum of each.
    pub(super) sums: BTreeMap<TrafficKey, Share>,
    /// Every share as it is stored.
    pub(super) each: BTreeMap<(CountedKey, i16), Vec<u8>>,
}

/// The sum of the shares of each of these; nothing where there are none. One that is damaged is left
/// out.
pub(super) async fn shares(
    session: &Session,
    wanted: &BTreeSet<TrafficKey>,
) -> Result<Shares, Trouble> {
    let sums = wanted.iter().map(|key| (*key, Share::default())).collect();
    let mut shares = Shares { sums, each: BTreeMap::new() };
    if wanted.is_empty() {
        return Ok(shares);
    }
    let names = wanted.iter().map(|key| (format::traffic_key(*key), *key));
    let names = names.collect::<BTreeMap<_, _>>();
    let kinds = names.keys().map(|(kind, _)| *kind).collect::<Vec<_>>();
    let keys = names.keys().map(|(_, key)| key.as_slice()).collect::<Vec<_>>();
    let select = "SELECT * FROM otpd.read_shares($1, $2)";
    let found = session.query(select, &[(&kinds, Type::INT2_ARRAY), (&keys, BYTES)]).await?;
    for row in found {
        let name = counted_key(&row)?;
        let Some(key) = names.get(&name) else { continue };
        let state = row.try_get::<_, &[u8]>(3)?;
        match format::decode(state) {
            Ok(share) => shares.sums.get_mut(key).into_iter().for_each(|sum| sum.add(&share)),
            Err(error) => {
                damage::held(*key, &error);
                shares.sums.remove(key);
            }
        }
        shares.each.insert((name, row.try_get(2)?), state.to_owned());
    }
    Ok(shares)
}

/// `kind` and `key` in the first columns.
pub(super) fn counted_key(row: &Row) -> Result<CountedKey, Trouble> {
    let key = <[u8; 16]>::try_from(row.try_get::<_, &[u8]>(1)?);
    Ok((row.try_get(0)?, key.map_err(|_| Trouble::Nonsense("a budget's name is damaged"))?))
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
