//! What a stand-in can be told: to misbehave, to lose messages, to sign wrongly, to press keys.

use serde::{Deserialize, Serialize};

use super::Vendor;

/// Something that holds for the next requests, messages or callbacks.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Told<T> {
    /// For which vendor; `None`: whichever.
    #[serde(default)]
    pub vendor: Option<Vendor>,
    /// How many times; `None`: from now on, until told otherwise.
    #[serde(default)]
    pub times: Option<u32>,
    /// What.
    #[serde(flatten)]
    pub what: T,
}

impl<T> Told<T> {
    /// The next time only.
    pub fn once(vendor: Vendor, what: T) -> Self {
        Self { vendor: Some(vendor), times: Some(1), what }
    }

    /// Every time from now on.
    pub fn always(vendor: Vendor, what: T) -> Self {
        Self { vendor: Some(vendor), times: None, what }
    }
}

/// Takes the first that is for this vendor and fits, and counts it down.
pub(super) fn next<T: Clone>(
    told: &mut Vec<Told<T>>,
    vendor: Vendor,
    fits: impl Fn(&T) -> bool,
) -> Option<T> {
    let at = told
        .iter()
        .position(|one| one.vendor.is_none_or(|whose| whose == vendor) && fits(&one.what))?;
    let one = told.get_mut(at)?;
    let what = one.what.clone();
    match &mut one.times {
        None => {}
        Some(0 | 1) => drop(told.remove(at)),
        Some(times) => *times -= 1,
    }
    Some(what)
}

/// How a vendor misbehaves.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Order {
    /// With which requests.
    #[serde(default)]
    pub on: On,
    /// Whether it does what it was asked to before it misbehaves; `None`: as [`What`] says.
    #[serde(default)]
    pub takes: Option<bool>,
    /// What it does.
    #[serde(flatten)]
    pub what: What,
}

impl From<What> for Order {
    fn from(what: What) -> Self {
        Self { on: On::Any, takes: None, what }
    }
}

/// Kinds of requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum On {
    /// All.
    #[default]
    Any,
    /// Those that send or call: POST.
    Send,
    /// Questions about messages: GET.
    Poll,
}

/// A way to misbehave.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(tag = "do", rename_all = "kebab-case", rename_all_fields = "kebab-case")]
pub enum What {
    /// Refuses with a documented error, in the vendor's words. Takes nothing.
    Refuse {
        /// The vendor's code, or the HTTP status where the vendor has no codes.
        code: String,
    },
    /// Refuses with 429 in the vendor's words. Takes nothing.
    TooMany {
        /// `Retry-After`, seconds.
        #[serde(default)]
        retry_after: Option<u64>,
    },
    /// Takes it, and answers when told to go on.
    Stall,
    /// Closes the connection before it reads the body. Takes nothing.
    CutBefore,
    /// Closes the connection when it has read all, and answers nothing. Takes nothing unless told to.
    CutAfter,
    /// Takes it, and closes the connection in the middle of the reply.
    CutReply,
    /// Takes it, and stops in the middle of the reply without closing the connection.
    StallReply,
    /// Takes it, and answers a success with JSON that has nothing of what is documented.
    Nonsense,
    /// Takes it, and answers with the id of another message.
    WrongId,
    /// Takes it, and answers a body that never ends.
    Endless,
    /// Takes it, and answers a body that never ends, of which a byte comes ten times in a second.
    Drip,
    /// Takes it, and answers with 10 MB.
    Huge,
    /// Sends the client elsewhere. Takes nothing.
    Redirect {
        /// Where to.
        to: String,
        /// The status.
        #[serde(default = "found")]
        status: u16,
    },
    /// Takes it, and calls the reply HTML.
    WrongType,
    /// Takes it, and answers half the JSON.
    BrokenJson,
    /// Refuses, and repeats all that it was sent: credentials, number and text. Takes nothing.
    Echo {
        /// The status.
        status: u16,
    },
    /// Answers this. Takes nothing unless told to.
    Say {
        /// The status.
        status: u16,
        /// The body.
        #[serde(default)]
        body: String,
    },
}

fn found() -> u16 {
    302
}

impl What {
    /// Whether the request is carried out, where the order does not say.
    pub(super) fn takes(&self) -> bool {
        match self {
            Self::Refuse { .. }
            | Self::TooMany { .. }
            | Self::CutBefore
            | Self::CutAfter
            | Self::Redirect { .. }
            | Self::Echo { .. }
            | Self::Say { .. } => false,
            Self::Stall
            | Self::CutReply
            | Self::StallReply
            | Self::Nonsense
            | Self::WrongId
            | Self::Endless
            | Self::Drip
            | Self::Huge
            | Self::WrongType
            | Self::BrokenJson => true,
        }
    }
}

/// What becomes of a message that a vendor took.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(tag = "fate", rename_all = "kebab-case")]
pub enum Fate {
    /// It arrives, and the carrier says so.
    #[default]
    Delivered,
    /// It arrives; the carrier says nothing.
    Sent,
    /// It waits with the vendor, until told otherwise.
    Queued,
    /// It does not arrive.
    Failed {
        /// The vendor's code.
        #[serde(default)]
        code: Option<String>,
        /// The vendor's word for it, where there are several.
        #[serde(default)]
        word: Option<String>,
    },
}

impl Fate {
    /// Whether the phone gets it.
    pub(super) fn arrives(&self) -> bool {
        match self {
            Self::Delivered | Self::Sent => true,
            Self::Queued | Self::Failed { .. } => false,
        }
    }
}

/// What is wrong with a callback.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Flaw {
    /// One bit of the signature.
    WrongSignature,
    /// No signature at all.
    NoSignature,
    /// The body is not the one that was signed.
    ChangedBody,
    /// Signed well, ten minutes ago. Only Telnyx signs the time; of the others nothing changes.
    Stale,
    /// Signed well, ten minutes from now. As above.
    Future,
    /// Nothing: it is kept until it is let go, so that the order can be another.
    Held,
}

/// A flaw, and which callbacks have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Flawed {
    /// The flaw.
    pub flaw: Flaw,
    /// Only these; `None`: all.
    #[serde(default)]
    pub event: Option<Event>,
}

/// What a callback is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Event {
    /// How far a message or a call is.
    Receipt,
    /// Somebody wrote to a number of the account.
    Inbound,
    /// What a call is to say.
    Answer,
}

/// What the owner of a phone does with calls.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct Habits {
    /// Whether they take the call.
    pub answers: Answers,
    /// The keys pressed each time a call asks for one, `None`: none. A voicemail presses none.
    pub presses: Option<String>,
}

/// What a phone does when it rings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answers {
    /// It is taken.
    #[default]
    Yes,
    /// It is busy.
    Busy,
    /// It rings in vain.
    No,
}
