//! What is stored of an account, and cannot be read, is taken away without being read.

use rand::RngExt;
use tokio_postgres::{Row, types::Type};

use super::{
    Postgres, audit, given,
    lock::Wanted,
    rows,
    session::{Parameter, Session},
    trouble::Trouble,
    write,
};
use crate::{
    domain::{
        audit::AuditEvent,
        budget::{Budget, SHARES},
        login::LoginState,
    },
    random,
    store::{
        LostName, Scope,
        format::{self, NUMBER},
    },
};

impl Postgres {
    /// See [`crate::store::Chore::Discard`].
    pub(super) async fn discard(
        &self,
        session: &Session,
        event: &AuditEvent,
    ) -> Result<u32, Trouble> {
        let account = &event.account;
        let own: [Parameter<'_>; 1] = [(&account.as_str(), Type::TEXT)];
        // Rows are made and locked as for a decision: what is deleted is what was read.
        let wanted = Wanted::of(&[Scope::Account(account.clone())]);
        let (accounts, numbers) = wanted.lock(session, &self.keys).await?;
        let row = accounts.first().ok_or(Trouble::Nonsense("no row of an account"))?;
        if row.try_get::<_, Option<&[u8]>>(2)?.is_none() {
            return Err(Trouble::Overtaken);
        }
        let enrolled = row.try_get::<_, Option<&[u8]>>(3)?.is_some();
        let number = enrolled.then(|| rows::enrollment(&self.keys, account, row, 3)).transpose();
        let (number, login) = (rows::apart(number)?, rows::apart(rows::login(row, 2, 6))?);
        let limits = numbers.first().map(Limits::of).transpose()?;
        let lost_limits = limits.as_ref().is_some_and(|limits| limits.are_lost);
        let lost = [number.is_err(), login.is_err(), lost_limits];
        let rows = lost.into_iter().map(u32::from).sum();
        if rows == 0 {
            return Ok(0);
        }
        let removed =
            session.execute("DELETE FROM otpd.enrollment WHERE account = $1", &own).await?;
        if removed > 0 {
            let share = i16::from(random::system().random_range(0..SHARES));
            write::put_enrolled(session, share, -1).await?;
        }
        for table in GIVEN {
            let delete = format!("DELETE FROM otpd.{table} WHERE account = $1");
            session.execute(&delete, &own).await?;
        }
        let login = given::without(&login.unwrap_or_default().without_number());
        if login == LoginState::default() {
            session.execute("DELETE FROM otpd.login WHERE account = $1", &own).await?;
        } else {
            let (key_id, state) = (i64::from(self.keys.id), format::encode(&login)?);
            let update = "UPDATE otpd.login SET key_id = $2, state = $3 WHERE account = $1";
            let row: [Parameter<'_>; 3] =
                [(&account.as_str(), Type::TEXT), (&key_id, Type::INT8), (&state, Type::BYTEA)];
            session.execute(update, &row).await?;
        }
        if let Some(limits) = limits.filter(|limits| limits.are_lost || limits.were_made) {
            let delete = "DELETE FROM otpd.budget WHERE kind = $1 AND key = $2 AND share = 0";
            let key: [Parameter<'_>; 2] = [(&NUMBER, Type::INT2), (&limits.key, Type::BYTEA)];
            session.execute(delete, &key).await?;
        }
        audit::append(session, &self.site, std::slice::from_ref(event)).await?;
        Ok(rows)
    }

    /// See [`crate::store::Chore::DiscardLost`].
    pub(super) async fn discard_lost(
        &self,
        session: &Session,
        name: &LostName,
        event: &AuditEvent,
    ) -> Result<u32, Trouble> {
        // Text is UTF-8 there.
        let Ok(name) = std::str::from_utf8(name.bytes()) else { return Ok(0) };
        let mut gone = 0;
        for table in NAMED_BY_ACCOUNT {
            let delete = format!("DELETE FROM otpd.{table} WHERE account = $1");
            let rows = session.execute(&delete, &[(&name, Type::TEXT)]).await?;
            if table == "enrollment" && rows > 0 {
                let share = i16::from(random::system().random_range(0..SHARES));
                write::put_enrolled(session, share, -1).await?;
            }
            gone += rows;
        }
        if gone > 0 {
            audit::append(session, &self.site, std::slice::from_ref(event)).await?;
        }
        Ok(u32::try_from(gone).unwrap_or(u32::MAX))
    }
}

/// What counts for a number, as it was locked.
struct Limits<'r> {
    key: &'r [u8],
    /// To be locked.
    were_made: bool,
    are_lost: bool,
}

impl<'r> Limits<'r> {
    fn of(row: &'r Row) -> Result<Self, Trouble> {
        let state = row.try_get::<_, Option<&[u8]>>(2)?.ok_or(Trouble::Overtaken)?;
        let are_lost = format::decode::<Budget>(state).is_err();
        Ok(Self { key: row.try_get(0)?, were_made: row.try_get(1)?, are_lost })
    }
}

/// What belongs to a number or to a login, by the account's name.
const GIVEN: [&str; 3] = ["challenge", "recovery_code", "bypass"];
/// All that is found by the account's name; what a decision locks first comes first.
pub(super) const NAMED_BY_ACCOUNT: [&str; 5] =
    ["login", "enrollment", GIVEN[0], GIVEN[1], GIVEN[2]];
