//! What is stored of an account, and cannot be read, is taken away without being read.

use rand::RngExt;
use tokio_postgres::types::Type;

use super::{
    Postgres, audit, given, rows,
    session::{Parameter, Session},
    trouble::Trouble,
    write,
};
use crate::{
    domain::{audit::AuditEvent, budget::SHARES, login::LoginState, records::BudgetKey},
    random,
    store::{
        LostName,
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
        // A row is made before it is locked, as for a decision.
        let make = "INSERT INTO otpd.login (account, key_id, state) VALUES ($1, $2, $3)
                    ON CONFLICT DO NOTHING";
        let (key_id, empty) = (i64::from(self.keys.id), format::encode(&LoginState::default())?);
        let row: [Parameter<'_>; 3] =
            [(&account.as_str(), Type::TEXT), (&key_id, Type::INT8), (&empty, Type::BYTEA)];
        session.execute(make, &row).await?;
        let lock = "SELECT FROM otpd.login WHERE account = $1 FOR UPDATE";
        if session.query(lock, &own).await?.is_empty() {
            return Err(Trouble::Overtaken);
        }
        let number = rows::apart(rows::enrollment_of(session, &self.keys, account).await)?;
        let login = rows::apart(rows::login_of(session, account).await)?;
        let select = "SELECT number_index FROM otpd.enrollment WHERE account = $1";
        let found = session.query(select, &own).await?;
        let index = found.first().map(|row| row.try_get::<_, &[u8]>(0)).transpose()?;
        let index = index.and_then(|index| format::number_index(index).ok());
        let limits = match index {
            Some(index) => Some(rows::budget(session, BudgetKey::Number(index)).await),
            None => None,
        };
        let limits = limits.map(rows::apart).transpose()?;
        let lost = [number.is_err(), login.is_err(), matches!(limits, Some(Err(_)))];
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
            let state = format::encode(&login)?;
            let update = "UPDATE otpd.login SET key_id = $2, state = $3 WHERE account = $1";
            let row: [Parameter<'_>; 3] =
                [(&account.as_str(), Type::TEXT), (&key_id, Type::INT8), (&state, Type::BYTEA)];
            session.execute(update, &row).await?;
        }
        if let (Some(index), Some(Err(_))) = (index, limits) {
            let delete = "DELETE FROM otpd.budget WHERE kind = $1 AND key = $2 AND share = 0";
            let key: [Parameter<'_>; 2] =
                [(&NUMBER, Type::INT2), (&index.0.as_slice(), Type::BYTEA)];
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

/// What belongs to a number or to a login, by the account's name.
const GIVEN: [&str; 3] = ["challenge", "recovery_code", "bypass"];
/// All that is found by the account's name; what a decision locks first comes first.
pub(super) const NAMED_BY_ACCOUNT: [&str; 5] =
    ["login", "enrollment", GIVEN[0], GIVEN[1], GIVEN[2]];
