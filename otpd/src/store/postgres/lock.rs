//! What a transaction locks and reads before it decides: accounts, then numbers, each in the order of
//! their names; then, without a lock, what many accounts do together.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::try_join;
use tokio_postgres::{Row, types::Type};

use super::{
    BYTES, TEXTS, given, rows,
    session::{Parameter, Session},
    trouble::Trouble,
};
use crate::{
    domain::{
        account::Account,
        budget::Budget,
        login::LoginState,
        passcode::ChallengeToken,
        records::{BudgetKey, TrafficKey},
    },
    keys::Keys,
    store::{
        Damage, Scope, Working,
        format::{self, CountedKey},
    },
};

/// What a batch names.
#[derive(Default)]
pub(super) struct Wanted {
    accounts: BTreeSet<Account>,
    tokens: BTreeSet<ChallengeToken>,
    numbers: BTreeSet<BudgetKey>,
    traffic: BTreeSet<TrafficKey>,
}

/// Rows as they were locked: those of accounts, and those of numbers.
pub(super) type Rows = (Vec<Row>, Vec<Row>);

/// What a commit must know about what was read.
#[derive(Debug, Default)]
pub(super) struct Locked {
    /// Accounts whose row was made to be locked.
    pub(super) made_accounts: BTreeSet<String>,
    /// The same of numbers.
    pub(super) made_numbers: BTreeSet<Vec<u8>>,
    /// Shares of what many accounts do together, as they were read, without a lock.
    pub(super) shares: BTreeMap<(CountedKey, i16), Vec<u8>>,
    /// Accounts with a number.
    pub(super) enrolled: u32,
}

impl Wanted {
    pub(super) fn of(scopes: &[Scope]) -> Self {
        let mut wanted = Self::default();
        for scope in scopes {
            match scope {
                Scope::Account(account) => {
                    wanted.accounts.insert(account.clone());
                }
                Scope::Number { account, number } => {
                    wanted.accounts.insert(account.clone());
                    wanted.numbers.insert(BudgetKey::Number(*number));
                }
                Scope::Traffic { account, key } => {
                    wanted.accounts.insert(account.clone());
                    wanted.traffic.insert(*key);
                }
                Scope::Challenge(token) => {
                    wanted.tokens.insert(*token);
                }
            }
        }
        wanted
    }

    /// Makes the rows that are not there, and locks all: what is read of them cannot change before the
    /// commit.
    pub(super) async fn lock(&self, session: &Session, keys: &Keys) -> Result<Rows, Trouble> {
        let tokens = self.tokens.iter().map(|token| token.0.as_slice()).collect::<Vec<_>>();
        let names = self.accounts.iter().map(Account::as_str).collect::<Vec<_>>();
        let numbers = self.numbers.iter().map(|key| format::budget_key(*key).1);
        let numbers = numbers.collect::<Vec<_>>();
        let numbers = numbers.iter().map(<[u8; 16]>::as_slice).collect::<Vec<_>>();
        let key_id = i64::from(keys.id);
        let no_login = format::encode(&LoginState::default())?;
        let accounts: [Parameter<'_>; 4] =
            [(&tokens, BYTES), (&names, TEXTS), (&key_id, Type::INT8), (&no_login, Type::BYTEA)];
        let no_budget = format::encode(&Budget::default())?;
        let budgets: [Parameter<'_>; 5] = [
            (&tokens, BYTES),
            (&names, TEXTS),
            (&numbers, BYTES),
            (&key_id, Type::INT8),
            (&no_budget, Type::BYTEA),
        ];
        try_join(
            session.query("SELECT * FROM otpd.lock_accounts($1, $2, $3, $4)", &accounts),
            session.query("SELECT * FROM otpd.lock_numbers($1, $2, $3, $4, $5)", &budgets),
        )
        .await
    }

    /// Makes values of what is locked, and reads the rest.
    pub(super) async fn read(
        &self,
        session: &Session,
        keys: &Keys,
        (accounts, numbers): &Rows,
    ) -> Result<(Working, Locked), Trouble> {
        let (mut working, mut locked) = (Working::default(), Locked::default());
        for row in accounts {
            self.add_account(row, keys, &mut working, &mut locked)?;
        }
        let found = add_numbers(numbers, &mut working, &mut locked)?;
        if !working.budgets_needed().is_subset(&found) {
            // The challenge ended between the two questions that look its account up.
            return Err(Trouble::Overtaken);
        }
        let traffic = self.traffic.union(&working.traffic_needed()).copied().collect();
        let together = rows::shares(session, &traffic);
        let (together, (enrolled, now)) =
            try_join(together, rows::enrolled_and_now(session)).await?;
        for (key, share) in together.sums {
            working.add_traffic(key, share.total());
        }
        working.set_enrolled(enrolled);
        working.set_time(now);
        locked.shares = together.each;
        locked.enrolled = enrolled;
        Ok((working, locked))
    }

    /// Adds an account, and whose challenges it shows to be its own.
    fn add_account(
        &self,
        row: &Row,
        keys: &Keys,
        working: &mut Working,
        locked: &mut Locked,
    ) -> Result<(), Trouble> {
        let account = rows::of(None, Damage::Logins, rows::name(row, 0))?;
        let Some(state) = row.try_get::<_, Option<&[u8]>>(2)? else {
            // It was deleted by whoever held it.
            return Err(Trouble::Overtaken);
        };
        let whose = Some(&account);
        let login = format::decode::<LoginState>(state).map_err(Trouble::from);
        let mut login = rows::of(whose, Damage::Logins, login)?;
        let enrolled = row.try_get::<_, Option<&[u8]>>(3)?.is_some();
        let enrollment = enrolled.then(|| rows::enrollment(keys, &account, row, 3)).transpose();
        let enrollment = rows::of(whose, Damage::Number, enrollment)?;
        rows::of(whose, Damage::Logins, given::add(&mut login, row, 6))?;
        if row.try_get(1)? {
            locked.made_accounts.insert(account.as_str().to_owned());
        }
        for challenge in &login.challenges {
            if self.tokens.contains(&challenge.token) {
                working.add_owner(challenge.token, account.clone());
            }
        }
        working.add_account(account, enrollment, login);
        Ok(())
    }
}

/// Adds the budgets of numbers; which there are.
fn add_numbers(
    numbers: &[Row],
    working: &mut Working,
    locked: &mut Locked,
) -> Result<BTreeSet<BudgetKey>, Trouble> {
    let mut found = BTreeSet::new();
    for row in numbers {
        let name = row.try_get::<_, &[u8]>(0)?;
        let key = format::number(name)?;
        let Some(state) = row.try_get::<_, Option<&[u8]>>(2)? else {
            return Err(Trouble::Overtaken);
        };
        if row.try_get(1)? {
            locked.made_numbers.insert(name.to_owned());
        }
        let budget = format::decode(state).map_err(Trouble::from);
        working.add_budget(key, rows::of(None, Damage::Limits, budget)?);
        found.insert(key);
    }
    Ok(found)
}
