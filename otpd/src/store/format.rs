//! What rows hold, whatever database keeps them: the format that is stored.
//!
//! A database differs in its columns' types and in nothing else, so that what one wrote another can
//! take over.

use minicbor::{Decode, Encode};
use serde_json::{Map, Value};

use super::AuditRow;
use crate::{
    domain::{
        account::{Account, InvalidAccount},
        audit::{Actor, AuditEvent},
        budget::{Budget, Traffic},
        challenge::Channel,
        enrollment::{Enrollment, NumberIndex, RangeIndex, State},
        passcode::RequestId,
        phone::{Country, Destination, Line},
        records::{BudgetKey, TrafficKey},
        time::Timestamp,
    },
    keys::{Keys, Unsealable},
};

/// A value that is damaged: an error, never a guess.
#[derive(Debug, thiserror::Error)]
pub(super) enum Damaged {
    /// Bytes that are not what they should encode.
    #[error("a stored state is damaged: {0}")]
    State(#[from] minicbor::decode::Error),
    /// A value that cannot be encoded.
    #[error("a state cannot be stored: {0}")]
    Unstorable(#[from] minicbor::encode::Error<std::convert::Infallible>),
    /// A number that does not decrypt.
    #[error(transparent)]
    Number(#[from] Unsealable),
    /// A keyed hash of another length.
    #[error("a stored index of a number has {0} bytes, not 16")]
    Index(usize),
    /// A recovery code's hash of another length.
    #[error("a stored recovery code has {0} bytes, not 16")]
    RecoveryCode(usize),
    /// What is counted for nothing that there is.
    #[error("a stored budget of kind {0} is of nothing that is counted")]
    Counted(i16),
    /// What cannot be the name of an account.
    #[error(transparent)]
    Account(#[from] InvalidAccount),
    /// An event that is no JSON.
    #[error("a stored event is damaged: {0}")]
    Event(#[from] serde_json::Error),
}

/// `enrollment.details`; the field numbers are the stored format.
#[derive(Encode, Decode)]
struct Details {
    #[n(0)]
    country: Country,
    #[n(1)]
    line: Line,
    #[n(2)]
    channel: Channel,
    #[n(3)]
    state: State,
    #[n(4)]
    created_at: Timestamp,
    #[n(5)]
    required: bool,
    /// Not in rows from before this field.
    #[n(8)]
    proof_sent_at: Option<Timestamp>,
}

pub(super) fn decode<'b, T: Decode<'b, ()>>(bytes: &'b [u8]) -> Result<T, Damaged> {
    Ok(minicbor::decode(bytes)?)
}

pub(super) fn encode(value: &impl Encode<()>) -> Result<Vec<u8>, Damaged> {
    Ok(minicbor::to_vec(value)?)
}

/// An account's name as a column has it.
pub(super) fn account(name: &str) -> Result<Account, Damaged> {
    Ok(Account::new(name)?)
}

/// The columns of a row of `enrollment` beside its key and the key's id.
pub(super) struct Enrolled {
    /// Encrypted, bound to the account.
    pub(super) number: Vec<u8>,
    /// Keyed hash.
    pub(super) index: [u8; 16],
    /// Everything else.
    pub(super) details: Vec<u8>,
}

impl Enrolled {
    /// What is stored of an enrollment.
    pub(super) fn of(
        keys: &Keys,
        account: &Account,
        enrollment: &Enrollment,
    ) -> Result<Self, Damaged> {
        let details = Details {
            country: enrollment.destination.country,
            line: enrollment.destination.line,
            channel: enrollment.channel,
            state: enrollment.state,
            created_at: enrollment.created_at,
            required: enrollment.required,
            proof_sent_at: enrollment.proof_sent_at,
        };
        let number = keys.seal(account, enrollment.number());
        Ok(Self { number, index: enrollment.index.0, details: encode(&details)? })
    }
}

/// The enrollment of an account, by its columns `number`, `number_index` and `details`.
pub(super) fn enrollment(
    keys: &Keys,
    account: &Account,
    number: &[u8],
    index: &[u8],
    details: &[u8],
) -> Result<Enrollment, Damaged> {
    let number = keys.unseal(account, number)?;
    let index = number_index(index)?;
    let details: Details = decode(details)?;
    Ok(Enrollment {
        range: keys.range(&number),
        destination: Destination { number, country: details.country, line: details.line },
        index,
        channel: details.channel,
        state: details.state,
        created_at: details.created_at,
        required: details.required,
        proof_sent_at: details.proof_sent_at,
    })
}

/// `kind` and `key` of what is counted.
pub(super) type CountedKey = (i16, [u8; 16]);

/// The kind of numbers.
pub(super) const NUMBER: i16 = 1;
/// The kind of ranges.
pub(super) const RANGE: i16 = 2;

/// How a number's budget is named.
pub(super) fn budget_key(key: BudgetKey) -> CountedKey {
    match key {
        BudgetKey::Number(index) => (NUMBER, index.0),
    }
}

/// The number that a budget's `key` is of.
pub(super) fn number(key: &[u8]) -> Result<BudgetKey, Damaged> {
    let key = <[u8; 16]>::try_from(key).map_err(|_| Damaged::Index(key.len()))?;
    Ok(BudgetKey::Number(NumberIndex(key)))
}

/// How what many accounts do together is named.
pub(super) fn traffic_key(key: TrafficKey) -> CountedKey {
    match key {
        TrafficKey::Range(index) => (RANGE, index.0),
        TrafficKey::Country(country) => {
            let mut bytes = [0; 16];
            bytes.iter_mut().zip(country.as_str().bytes()).for_each(|(place, byte)| *place = byte);
            (3, bytes)
        }
        TrafficKey::All => (4, [0; 16]),
    }
}

/// What a row of `budget` is about.
pub(super) enum Counted {
    /// A number.
    Number(NumberIndex, Budget),
    /// What many accounts do together.
    Together(TrafficKey, Traffic),
}

/// What is counted, by the columns `kind`, `key` and `state`.
pub(super) fn any_counted(kind: i16, key: &[u8], state: &[u8]) -> Result<Counted, Damaged> {
    if kind == NUMBER {
        return Ok(Counted::Number(number_index(key)?, decode(state)?));
    }
    Ok(Counted::Together(traffic_of(kind, key)?, decode(state)?))
}

/// A number's name, as columns have it.
pub(super) fn number_index(key: &[u8]) -> Result<NumberIndex, Damaged> {
    let index = <[u8; 16]>::try_from(key).map_err(|_| Damaged::Index(key.len()))?;
    Ok(NumberIndex(index))
}

/// What many accounts do together, by the columns `kind` and `key`.
pub(super) fn traffic_of(kind: i16, key: &[u8]) -> Result<TrafficKey, Damaged> {
    let key = <[u8; 16]>::try_from(key).map_err(|_| Damaged::Index(key.len()))?;
    match kind {
        2 => Ok(TrafficKey::Range(RangeIndex(key))),
        3 => {
            let name = key.split(|byte| *byte == 0).next().unwrap_or_default();
            let country = std::str::from_utf8(name).ok().and_then(|name| name.parse().ok());
            Ok(TrafficKey::Country(country.ok_or(Damaged::Counted(kind))?))
        }
        4 => Ok(TrafficKey::All),
        unknown => Err(Damaged::Counted(unknown)),
    }
}

/// An event's columns that are text: who brought it about, and what happened.
pub(super) fn event_columns(event: &AuditEvent) -> Result<(String, String), Damaged> {
    Ok((serde_json::to_string(&event.actor)?, serde_json::to_string(&event.event)?))
}

/// The same where hosts share a trail: the event says on which one it happened.
pub(super) fn event_of_host(event: &AuditEvent, host: &str) -> Result<(String, String), Damaged> {
    let mut what = match serde_json::to_value(&event.event)? {
        Value::Object(fields) => fields,
        other => Map::from_iter([("event".to_owned(), other)]),
    };
    what.insert("host".to_owned(), host.into());
    Ok((serde_json::to_string(&event.actor)?, serde_json::to_string(&what)?))
}

/// The columns of a row of `audit`.
pub(super) struct EventColumns<'r> {
    pub(super) id: i64,
    pub(super) at: i64,
    pub(super) request: Option<u32>,
    pub(super) account: &'r str,
    pub(super) actor: &'r str,
    pub(super) event: &'r str,
}

/// An event as it is read back. One that cannot be read is unknown, and hides none of the others: where
/// hosts share a trail, one that fell may write into it what it likes.
pub(super) fn event(row: &EventColumns<'_>) -> AuditRow {
    let mut details = serde_json::from_str::<Map<String, Value>>(row.event).unwrap_or_default();
    let event = details.remove("event");
    AuditRow {
        id: row.id,
        at: Timestamp(row.at),
        request: row.request.map(RequestId),
        account: account(row.account).unwrap_or_else(|_| Account::host()),
        actor: serde_json::from_str(row.actor).unwrap_or(Actor::Daemon),
        event: event.as_ref().and_then(Value::as_str).unwrap_or(UNKNOWN).to_owned(),
        details,
    }
}

/// The event of a row that says no other.
const UNKNOWN: &str = "unknown";

#[cfg(test)]
mod tests {
    use minicbor::Encode;

    use super::{Channel, Country, Details, Line, State, Timestamp, decode, encode};

    /// As it was stored before `proof_sent_at`.
    #[derive(Encode)]
    struct First {
        #[n(0)]
        country: Country,
        #[n(1)]
        line: Line,
        #[n(2)]
        channel: Channel,
        #[n(3)]
        state: State,
        #[n(4)]
        created_at: Timestamp,
        #[n(5)]
        required: bool,
    }

    #[test]
    fn rows_from_before_a_field_read_as_without_it() {
        let old = First {
            country: "US".parse().expect("a country"),
            line: Line::Mobile,
            channel: Channel::Voice,
            state: State::Active { verified_at: Timestamp(7) },
            created_at: Timestamp(5),
            required: true,
        };
        let now: Details = decode(&encode(&old).expect("bytes")).expect("an old row");
        assert_eq!((now.created_at, now.required), (Timestamp(5), true));
        assert_eq!(now.state, State::Active { verified_at: Timestamp(7) });
        assert_eq!(now.proof_sent_at, None);
        let sent = Details { proof_sent_at: Some(Timestamp(9)), ..now };
        let read: Details = decode(&encode(&sent).expect("bytes")).expect("a new row");
        assert_eq!(read.proof_sent_at, Some(Timestamp(9)));
    }
}
