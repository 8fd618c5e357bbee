//! The words of calls that are under way, for vendors that fetch them.
//!
//! They are the memory of this run alone: a call that outlives it is told that its code is gone,
//! which it is, since a restart sends a fresh one.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rand::RngExt;
use zeroize::Zeroizing;

use super::{Site, Verifier};
use crate::{
    conversation,
    domain::{
        account::Account, challenge::Channel, login::Order, passcode::ChallengeToken,
        time::Timestamp,
    },
    gateway::{GatewayName, Message},
    random,
};

/// Calls at once whose words are kept; a further one has none, and its gateway is passed over.
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
    /// Whose call it is: that of the first who asked.
    caller: Option<(GatewayName, String)>,
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
        let plain = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        let fits = text.len() == 32 && text.bytes().all(plain);
        let number = fits.then(|| u128::from_str_radix(text, 16).ok()).flatten()?;
        Some(Self(number.to_be_bytes()))
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
            caller: None,
        };
        let mut calls = self.lock();
        calls.retain(|_, call| call.until > now);
        if calls.len() >= CALLS {
            return;
        }
        calls.insert(token, call);
        let name = u128::from_be_bytes(token.0);
        message.answer_url = Some(Zeroizing::new(format!("{url}/answer/{name:032x}")));
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

    /// What the call says to whoever asked first, and to nobody else.
    fn say(
        &self,
        token: CallToken,
        caller: &(GatewayName, String),
        pressed: bool,
    ) -> Option<Words> {
        let mut calls = self.lock();
        let call = calls.get_mut(&token)?;
        if call.caller.get_or_insert_with(|| caller.clone()) != caller {
            return Some(Words::NotTheirs);
        }
        Some(if pressed {
            Words::Said(call.words.clone())
        } else {
            Words::Question(call.question.clone())
        })
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
            Some(Purpose::Test) => true,
            Some(Purpose::Code(issued)) => self.is_live(&issued).await,
        };
        if !live {
            calls.lock().remove(&token);
            return over();
        }
        calls.say(token, &(gateway.clone(), call.to_owned()), pressed).unwrap_or_else(over)
    }

    /// Whether a call of this run is still to say something.
    #[must_use]
    pub fn expects(&self, token: CallToken) -> bool {
        self.courier.calls.purpose(token, self.clock.now()).is_some()
    }

    /// Whether the code may still be typed, and no newer one took its place.
    async fn is_live(&self, issued: &Issued) -> bool {
        let Ok(records) = self.reader.account(issued.account.clone()).await else { return false };
        let now = self.clock.now();
        records.login.challenges.iter().any(|challenge| {
            challenge.token == issued.token
                && challenge.issued_at == issued.at
                && challenge.is_live()
                && !challenge.is_expired(now)
        })
    }
}
