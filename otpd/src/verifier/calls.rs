//! The words of calls that are under way, for vendors that fetch them.
//!
//! They are the memory of this run alone: a call that outlives it has nothing to say any more and asks
//! for another. Its code may still be typed by who heard it in time.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rand::RngExt;
use tracing::error;
use zeroize::Zeroizing;

use super::{Site, Verifier};
use crate::{
    conversation,
    domain::{
        account::Account, challenge::Channel, login::Order, passcode::ChallengeToken,
        time::Timestamp,
    },
    gateway::{GatewayName, Message},
    hex, random,
};

/// Calls at once whose words are kept; a further one takes the place of that which ends first.
const CALLS: usize = 1024;

/// Names a call in the URL of its words: 128 random bits, good for this call only.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct CallToken([u8; 16]);

/// What a call says.
pub enum Words {
    /// That a key is to be pressed first: voicemail presses none.
    Question(String),
    /// What the call is for.
    Said(Zeroizing<String>),
    /// That there is nothing to say any more.
    Over(String),
    /// Nothing: it is another call's.
    NotTheirs,
}

/// The calls of this run. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Calls(Arc<Mutex<HashMap<CallToken, Call>>>);

struct Call {
    words: Zeroizing<String>,
    question: String,
    until: Timestamp,
    purpose: Purpose,
    /// Whose call it is: with each gateway, that of the first who asked. There may be several: the
    /// same URL goes to the next gateway where it is unclear whether the one before calls.
    callers: BTreeMap<GatewayName, String>,
}

/// What a call is for.
#[derive(Clone)]
enum Purpose {
    /// To say a code.
    Code(Issued),
    /// To see whether it comes.
    Test,
}

/// A code, and whose.
#[derive(Clone)]
struct Issued {
    account: Account,
    token: ChallengeToken,
    at: Timestamp,
}

impl CallToken {
    /// Reads 32 hexadecimal digits, in the one spelling that there is.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        hex::read(text).map(Self)
    }
}

impl Calls {
    /// Keeps a call's words and tells the message where they are, where that is of use.
    pub(super) fn place(
        &self,
        site: &Site,
        message: &mut Message,
        order: Option<&Order>,
        now: Timestamp,
    ) {
        match message.channel {
            Channel::Voice => {}
            Channel::Sms => return,
        }
        let Some(url) = site.public_url.as_deref() else { return };
        let token = CallToken(random::system().random());
        let call = Call {
            words: message.text.clone(),
            question: conversation::spoken_question(&site.message.host),
            until: now.after(message.valid_for),
            purpose: order.map_or(Purpose::Test, |order| {
                let (token, at) = (order.token, order.issued_at);
                Purpose::Code(Issued { account: order.account.clone(), token, at })
            }),
            callers: BTreeMap::new(),
        };
        let mut calls = self.lock();
        calls.retain(|_, call| call.until > now);
        if calls.len() >= CALLS
            && let Some(first) = calls.iter().min_by_key(|(_, call)| call.until).map(|(t, _)| *t)
        {
            calls.remove(&first);
        }
        calls.insert(token, call);
        let name = Zeroizing::new(hex::write(token.0));
        message.answer_url = Some(Zeroizing::new(format!("{url}/answer/{}", *name)));
    }

    /// Forgets the calls of a challenge that is over.
    pub(super) fn wipe(&self, challenge: ChallengeToken) {
        self.lock().retain(|_, call| match &call.purpose {
            Purpose::Code(issued) => issued.token != challenge,
            Purpose::Test => true,
        });
    }

    /// Forgets the calls whose codes are dead.
    pub(super) fn forget(&self, now: Timestamp) {
        self.lock().retain(|_, call| call.until > now);
    }

    /// Held for a moment, never across an await.
    fn lock(&self) -> MutexGuard<'_, HashMap<CallToken, Call>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a call is for, if it is one of this run's and not over by time.
    fn purpose(&self, token: CallToken, now: Timestamp) -> Option<Purpose> {
        let mut calls = self.lock();
        calls.retain(|_, call| call.until > now);
        calls.get(&token).map(|call| call.purpose.clone())
    }

    /// What the call says to the first of a gateway's calls that asked, and to no other of them.
    fn say(
        &self,
        token: CallToken,
        gateway: &GatewayName,
        call: &str,
        pressed: bool,
    ) -> Option<Words> {
        let mut calls = self.lock();
        let Call { words, question, callers, .. } = calls.get_mut(&token)?;
        if callers.entry(gateway.clone()).or_insert_with(|| call.to_owned()) != call {
            return Some(Words::NotTheirs);
        }
        Some(if pressed { Words::Said(words.clone()) } else { Words::Question(question.clone()) })
    }
}

impl Verifier {
    /// What a call says, asked for by its vendor, whose signature was checked. `call` is the
    /// vendor's name for it, and `pressed` whether the person has pressed a key.
    pub async fn words(
        &self,
        token: CallToken,
        gateway: &GatewayName,
        call: &str,
        pressed: bool,
    ) -> Words {
        let calls = &self.courier.calls;
        let over = || Words::Over(conversation::spoken_over(&self.site().message.host));
        let live = match calls.purpose(token, self.clock.now()) {
            None => return over(),
            Some(Purpose::Test) => Some(true),
            Some(Purpose::Code(issued)) => self.is_live(&issued).await,
        };
        match live {
            Some(true) => calls.say(token, gateway, call, pressed).unwrap_or_else(over),
            Some(false) => {
                calls.lock().remove(&token);
                over()
            }
            // Only for now: the vendor may ask again.
            None => over(),
        }
    }

    /// Whether a call of this run is still to say something.
    #[must_use]
    pub fn expects(&self, token: CallToken) -> bool {
        self.courier.calls.purpose(token, self.clock.now()).is_some()
    }

    /// Whether the code may still be typed, and no newer one took its place; `None` where the
    /// store does not tell.
    async fn is_live(&self, issued: &Issued) -> Option<bool> {
        let records = self.reader.account(issued.account.clone()).await;
        let records =
            records.inspect_err(|error| error!(%error, "a call cannot say its words")).ok()?;
        let now = self.clock.now();
        Some(records.login.challenges.iter().any(|challenge| {
            challenge.token == issued.token
                && challenge.issued_at == issued.at
                && challenge.is_live()
                && !challenge.is_expired(now)
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::{
        BTreeMap, Call, CallToken, Calls, GatewayName, Purpose, Timestamp, Words, Zeroizing,
    };

    #[test]
    fn each_gateway_has_one_call() {
        let (calls, token) = (Calls::default(), CallToken([7; 16]));
        let call = Call {
            words: Zeroizing::new("4. 8. 2.".to_owned()),
            question: "press 1".to_owned(),
            until: Timestamp(1),
            purpose: Purpose::Test,
            callers: BTreeMap::new(),
        };
        calls.lock().insert(token, call);
        for (name, gateway, call, theirs) in [
            ("the first", "a", "CA1", true),
            ("another call of its gateway", "a", "CA2", false),
            ("the next gateway's, where the first was unclear", "b", "call-1", true),
            ("the first again", "a", "CA1", true),
            ("another call of the next", "b", "CA1", false),
        ] {
            let gateway = GatewayName(gateway.to_owned());
            let said = calls.say(token, &gateway, call, true).expect("it is there");
            assert_eq!(matches!(said, Words::Said(_)), theirs, "{name}");
            assert_eq!(matches!(said, Words::NotTheirs), !theirs, "{name}");
        }
    }
}
