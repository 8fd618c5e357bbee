//! The words of calls that are under way, for vendors that fetch them.
//!
//! They are the memory of this run alone: a call that outlives it has nothing to say any more and asks
//! for another. Its code may still be typed by who heard it in time.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rand::RngExt;
use tracing::{error, warn};
use zeroize::Zeroizing;

use super::{Site, Verifier};
use crate::{
    conversation,
    domain::{
        account::Account,
        call_key::CallKey,
        challenge::Channel,
        login::{Order, WrongKey},
        passcode::ChallengeToken,
        time::Timestamp,
    },
    gateway::{GatewayName, Message},
    hex, random,
    store::Scope,
};

/// Calls at once whose words are kept; a further one takes the place of that which ends first.
const CALLS: usize = 1024;

/// Names a call in the URL of its words: 128 random bits, good for this call only.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct CallToken([u8; 16]);

/// What a call says.
pub enum Words {
    /// That a key is to be pressed first: voicemail presses none, or does not know which.
    Question(String),
    /// What the call is for.
    Said(Zeroizing<String>),
    /// That there is nothing to say any more, or that the wrong key was pressed.
    Over(String),
    /// Nothing: it is another call's.
    NotTheirs,
}

/// The calls of this run. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Calls(Arc<Mutex<HashMap<CallToken, Call>>>);

struct Call {
    words: Zeroizing<String>,
    /// The key that has the words said.
    key: CallKey,
    question: String,
    until: Timestamp,
    purpose: Purpose,
    /// Whose call it is: with each gateway, that of the first who asked. There may be several: the
    /// same URL goes to the next gateway where it is unclear whether the one before calls.
    callers: BTreeMap<GatewayName, String>,
}

/// What a call of this run does next.
enum Next {
    Ask(String),
    Say(Zeroizing<String>),
    /// It ends, and so does every other by the same URL: a mailbox gets one try for a message.
    WrongKey,
    NotTheirs,
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
        let mut rng = random::system();
        let (token, key) = (CallToken(rng.random()), CallKey::draw(&mut rng));
        let call = Call {
            words: message.text.clone(),
            key,
            question: conversation::spoken_question(&site.message.host, key),
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

    /// What the first of a gateway's calls that asked does next, and no other of them.
    fn next(
        &self,
        token: CallToken,
        gateway: &GatewayName,
        call: &str,
        pressed: Option<&str>,
    ) -> Option<Next> {
        let mut calls = self.lock();
        let Call { words, key, question, callers, .. } = calls.get_mut(&token)?;
        if callers.entry(gateway.clone()).or_insert_with(|| call.to_owned()) != call {
            return Some(Next::NotTheirs);
        }
        match pressed {
            None => Some(Next::Ask(question.clone())),
            Some(pressed) if key.is(pressed) => Some(Next::Say(words.clone())),
            Some(_) => {
                calls.remove(&token);
                Some(Next::WrongKey)
            }
        }
    }
}

impl Verifier {
    /// What a call says, asked for by its vendor, whose signature was checked. `call` is the
    /// vendor's name for it, and `pressed` the keys that were pressed.
    ///
    /// The first that are pressed decide: wrong ones end the call. Its code stays good, and who is at
    /// the prompt may ask for another call, which names another key.
    pub async fn words(
        &self,
        token: CallToken,
        gateway: &GatewayName,
        call: &str,
        pressed: Option<&str>,
    ) -> Words {
        let calls = &self.courier.calls;
        let over = || Words::Over(conversation::spoken_over(&self.site().message.host));
        let Some(purpose) = calls.purpose(token, self.clock.now()) else { return over() };
        let live = match &purpose {
            Purpose::Test => Some(true),
            Purpose::Code(issued) => self.is_live(issued).await,
        };
        match live {
            Some(true) => match calls.next(token, gateway, call, pressed) {
                Some(Next::Ask(question)) => Words::Question(question),
                Some(Next::Say(words)) => Words::Said(words),
                Some(Next::NotTheirs) => Words::NotTheirs,
                Some(Next::WrongKey) => {
                    self.wrong_key(purpose, gateway).await;
                    Words::Over(conversation::SPOKEN_WRONG_KEY.to_owned())
                }
                None => over(),
            },
            Some(false) => {
                calls.lock().remove(&token);
                over()
            }
            // Only for now: the vendor may ask again.
            None => over(),
        }
    }

    /// Writes down that a call ended without its words. Where that fails the call ends no less.
    async fn wrong_key(&self, purpose: Purpose, gateway: &GatewayName) {
        let issued = match purpose {
            Purpose::Code(issued) => issued,
            Purpose::Test => {
                warn!(%gateway, "another key than the one that it named was pressed in a test call");
                return;
            }
        };
        let Issued { account, token, at: _ } = issued;
        let wrong = WrongKey { account: account.clone(), token, gateway: gateway.0.clone() };
        let decide = move |records: &_, now| wrong.decide(records, now);
        if let Err(error) = self.courier.transact(Scope::Account(account), decide).await {
            error!(%error, request = %token.request(), "a wrong key in a call was not recorded");
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
        BTreeMap, Call, CallKey, CallToken, Calls, GatewayName, Next, Purpose, Timestamp,
        Zeroizing, random,
    };

    const TOKEN: CallToken = CallToken([7; 16]);

    /// One call, and the key that it names.
    fn one() -> (Calls, CallKey) {
        let (calls, key) = (Calls::default(), CallKey::draw(&mut random::system()));
        let call = Call {
            words: Zeroizing::new("4. 8. 2.".to_owned()),
            key,
            question: format!("press {key}"),
            until: Timestamp(1),
            purpose: Purpose::Test,
            callers: BTreeMap::new(),
        };
        calls.lock().insert(TOKEN, call);
        (calls, key)
    }

    /// In one word.
    fn next(calls: &Calls, gateway: &str, call: &str, pressed: Option<&str>) -> &'static str {
        match calls.next(TOKEN, &GatewayName(gateway.to_owned()), call, pressed) {
            Some(Next::Ask(_)) => "asks",
            Some(Next::Say(_)) => "says",
            Some(Next::WrongKey) => "ends",
            Some(Next::NotTheirs) => "not theirs",
            None => "over",
        }
    }

    #[test]
    fn each_gateway_has_one_call() {
        let (calls, key) = one();
        let key = key.to_string();
        for (name, gateway, call, expected) in [
            ("the first", "a", "CA1", "says"),
            ("another call of its gateway", "a", "CA2", "not theirs"),
            ("the next gateway's, where the first was unclear", "b", "call-1", "says"),
            ("the first again", "a", "CA1", "says"),
            ("another call of the next", "b", "CA1", "not theirs"),
        ] {
            assert_eq!(next(&calls, gateway, call, Some(&key)), expected, "{name}");
        }
    }

    #[test]
    fn a_wrong_key_ends_all_calls_of_a_message() {
        let all = "1234567890*#".chars().map(String::from);
        for wrong in all.chain(["12".to_owned(), "1234567890".to_owned()]) {
            let (calls, key) = one();
            if key.is(&wrong) {
                continue;
            }
            let key = key.to_string();
            assert_eq!(next(&calls, "a", "CA1", None), "asks");
            assert_eq!(next(&calls, "a", "CA1", None), "asks", "a vendor may ask again");
            // Nor has somebody else's call ended by it.
            assert_eq!(next(&calls, "a", "CA2", Some(&wrong)), "not theirs", "{wrong}");
            assert_eq!(next(&calls, "a", "CA1", Some(&wrong)), "ends", "{wrong}");
            for (gateway, call) in [("a", "CA1"), ("a", "CA2"), ("b", "call-1")] {
                for pressed in [None, Some(key.as_str()), Some(&wrong)] {
                    assert_eq!(next(&calls, gateway, call, pressed), "over", "{wrong}");
                }
            }
        }
    }
}
