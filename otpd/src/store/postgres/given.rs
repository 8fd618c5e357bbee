//! What administrators gave an account: recovery codes and bypasses, in tables of their own.
//!
//! Everything else of a login is one value that a host writes as it decided. These are rows, so that
//! the server itself can see to it that a role which may only log people in uses them up and makes
//! none.

use tokio_postgres::{Row, types::Type};

use super::{
    BYTES, NUMBERS, TEXTS,
    session::{Parameter, Session},
    trouble::Trouble,
};
use crate::{
    domain::{
        account::Account,
        bypass::{Bypass, Bypasses},
        login::LoginState,
        recovery::RecoveryHash,
    },
    store::{
        format::{self, Damaged},
        working::Slot,
    },
};

/// Columns with all that was given to the account that `of` names.
pub(super) fn columns(of: &str) -> String {
    format!(
        "ARRAY(SELECT hash FROM otpd.recovery_code AS given
               WHERE given.account = {of} ORDER BY place),
         ARRAY(SELECT details FROM otpd.bypass AS given WHERE given.account = {of} ORDER BY id),
         ARRAY(SELECT uses_left FROM otpd.bypass AS given WHERE given.account = {of} ORDER BY id),
         ARRAY(SELECT used FROM otpd.bypass AS given WHERE given.account = {of} ORDER BY id)"
    )
}

/// A login's state as its row has it, without what was given.
pub(super) fn without(login: &LoginState) -> LoginState {
    let mut rest = login.clone();
    rest.set_given(Vec::new(), Bypasses::default());
    rest
}

/// `bypass.details`: all but what a login changes.
fn details(bypass: &Bypass) -> Bypass {
    Bypass { uses_left: None, used: 0, ..bypass.clone() }
}

/// Adds what [`columns`] hold, from this one on.
pub(super) fn add(login: &mut LoginState, row: &Row, column: usize) -> Result<(), Trouble> {
    let hash = |bytes: &[u8]| {
        let hash = <[u8; 16]>::try_from(bytes).map(RecoveryHash::stored);
        hash.map_err(|_| Damaged::RecoveryCode(bytes.len()))
    };
    let codes = row.try_get::<_, Vec<&[u8]>>(column)?.into_iter().map(hash);
    let details = row.try_get::<_, Vec<&[u8]>>(column + 1)?;
    let left = row.try_get::<_, Vec<Option<i16>>>(column + 2)?;
    let used = row.try_get::<_, Vec<i64>>(column + 3)?;
    let bypass = |((details, left), used): ((&[u8], Option<i16>), i64)| {
        let bypass: Bypass = format::decode(details)?;
        let left = left.map(|left| u8::try_from(left.max(0)).unwrap_or(u8::MAX));
        let used = u32::try_from(used.max(0)).unwrap_or(u32::MAX);
        Ok(Bypass { uses_left: left, used, ..bypass })
    };
    let bypasses = details.into_iter().zip(left).zip(used).map(bypass);
    let bypasses = bypasses.collect::<Result<Vec<_>, Trouble>>()?;
    login.set_given(codes.collect::<Result<Vec<_>, _>>()?, Bypasses::stored(bypasses));
    Ok(())
}

/// Writes what changed of it. What a login does is one statement each: it deletes a code, deletes a
/// bypass, counts a use. The rest needs more rights.
pub(super) async fn put(
    session: &Session,
    changed: &[(&Account, &Slot<LoginState>)],
) -> Result<(), Trouble> {
    let mut gone = Codes::default();
    let (mut made, mut places) = (Codes::default(), Vec::new());
    let mut bypasses = ChangedBypasses::default();
    for (account, slot) in changed {
        let (before, now) = (slot.read.recovery.codes(), slot.now.recovery.codes());
        if now.iter().all(|code| before.contains(code)) {
            gone.add(account, before.iter().filter(|code| !now.contains(code)));
        } else {
            gone.add(account, before);
            made.add(account, now);
            places.extend((0i16..).take(now.len()));
        }
        bypasses.add(account, slot);
    }
    gone.delete(session).await?;
    if !made.hashes.is_empty() {
        let insert = "INSERT INTO otpd.recovery_code (account, place, hash)
                      SELECT * FROM unnest($1, $2, $3)";
        let values: [Parameter<'_>; 3] =
            [(&made.accounts, TEXTS), (&places, Type::INT2_ARRAY), (&made.hashes, BYTES)];
        session.execute(insert, &values).await?;
    }
    bypasses.write(session).await
}

/// Recovery codes of accounts.
#[derive(Default)]
struct Codes<'a> {
    accounts: Vec<&'a str>,
    hashes: Vec<&'a [u8]>,
}

impl<'a> Codes<'a> {
    fn add(&mut self, account: &'a Account, codes: impl IntoIterator<Item = &'a RecoveryHash>) {
        for code in codes {
            self.accounts.push(account.as_str());
            self.hashes.push(code.as_bytes());
        }
    }

    /// Each once: what is used twice must not be committed.
    async fn delete(&self, session: &Session) -> Result<(), Trouble> {
        if self.hashes.is_empty() {
            return Ok(());
        }
        let delete = "DELETE FROM otpd.recovery_code USING unnest($1, $2) AS gone (account, hash)
                      WHERE recovery_code.account = gone.account AND recovery_code.hash = gone.hash";
        let values: [Parameter<'_>; 2] = [(&self.accounts, TEXTS), (&self.hashes, BYTES)];
        super::write::expect(session.execute(delete, &values).await?, self.hashes.len())
    }
}

/// What becomes of bypasses.
#[derive(Default)]
struct ChangedBypasses<'a> {
    gone: Vec<(&'a str, i64)>,
    used: Vec<(&'a str, &'a Bypass)>,
    granted: Vec<(&'a str, &'a Bypass)>,
}

fn id(bypass: &Bypass) -> i64 {
    i64::from(bypass.id.bits())
}

impl<'a> ChangedBypasses<'a> {
    fn add(&mut self, account: &'a Account, slot: &'a Slot<LoginState>) {
        let name = account.as_str();
        for before in slot.read.bypasses.all() {
            match slot.now.bypasses.all().find(|now| now.id == before.id) {
                None => self.gone.push((name, id(before))),
                Some(now) if now == before => {}
                Some(now) if details(now) == details(before) => {
                    self.used.push((name, now));
                }
                Some(now) => self.granted.push((name, now)),
            }
        }
        let known = |now: &&Bypass| slot.read.bypasses.all().any(|before| before.id == now.id);
        let new = slot.now.bypasses.all().filter(|now| !known(now));
        self.granted.extend(new.map(|now| (name, now)));
    }

    async fn write(self, session: &Session) -> Result<(), Trouble> {
        if !self.gone.is_empty() {
            let (accounts, ids): (Vec<_>, Vec<_>) = self.gone.into_iter().unzip();
            let delete = "DELETE FROM otpd.bypass USING unnest($1, $2) AS gone (account, id)
                          WHERE bypass.account = gone.account AND bypass.id = gone.id";
            session.execute(delete, &[(&accounts, TEXTS), (&ids, NUMBERS)]).await?;
        }
        if !self.used.is_empty() {
            let Columns { accounts, ids, left, used, .. } = Columns::of(&self.used)?;
            let update = "UPDATE otpd.bypass SET uses_left = now.uses_left, used = now.used
                          FROM unnest($1, $2, $3, $4) AS now (account, id, uses_left, used)
                          WHERE bypass.account = now.account AND bypass.id = now.id";
            let values: [Parameter<'_>; 4] =
                [(&accounts, TEXTS), (&ids, NUMBERS), (&left, Type::INT2_ARRAY), (&used, NUMBERS)];
            super::write::expect(session.execute(update, &values).await?, ids.len())?;
        }
        if !self.granted.is_empty() {
            let Columns { accounts, ids, left, used, details } = Columns::of(&self.granted)?;
            let put = "INSERT INTO otpd.bypass (account, id, uses_left, used, details)
                       SELECT * FROM unnest($1, $2, $3, $4, $5)
                       ON CONFLICT (account, id) DO UPDATE SET uses_left = excluded.uses_left,
                         used = excluded.used, details = excluded.details";
            let values: [Parameter<'_>; 5] = [
                (&accounts, TEXTS),
                (&ids, NUMBERS),
                (&left, Type::INT2_ARRAY),
                (&used, NUMBERS),
                (&details, BYTES),
            ];
            session.execute(put, &values).await?;
        }
        Ok(())
    }
}

/// Rows of `bypass`, by column.
struct Columns<'a> {
    accounts: Vec<&'a str>,
    ids: Vec<i64>,
    left: Vec<Option<i16>>,
    used: Vec<i64>,
    details: Vec<Vec<u8>>,
}

impl<'a> Columns<'a> {
    fn of(rows: &[(&'a str, &Bypass)]) -> Result<Self, Trouble> {
        let whole = rows.iter().map(|(_, bypass)| format::encode(&details(bypass)));
        Ok(Self {
            accounts: rows.iter().map(|(account, _)| *account).collect(),
            ids: rows.iter().map(|(_, bypass)| id(bypass)).collect(),
            left: rows.iter().map(|(_, bypass)| bypass.uses_left.map(i16::from)).collect(),
            used: rows.iter().map(|(_, bypass)| i64::from(bypass.used)).collect(),
            details: whole.collect::<Result<_, _>>()?,
        })
    }
}
