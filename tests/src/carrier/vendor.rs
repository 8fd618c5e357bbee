//! The five vendors: what each is asked, and where their ways part.

use std::sync::Arc;

use hyper::Method;
use serde::{Deserialize, Serialize};

use super::{
    callback::{Draft, Inbound},
    document::Dialect,
    exchange::{Asked, Form, Reply, field},
    flowroute, plivo,
    records::{Item, Target},
    sign, signalwire, telnyx,
    told::{Event, Fate},
    twilio,
    world::World,
};

/// A company that carries messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Vendor {
    /// Flowroute, all three versions.
    Flowroute,
    /// Telnyx, version 2.
    Telnyx,
    /// Plivo, version 1.
    Plivo,
    /// `SignalWire`'s compatibility API.
    SignalWire,
    /// Twilio's API of 2010.
    Twilio,
}

/// A vendor's words for how far a message is.
pub(super) struct Words {
    pub queued: &'static str,
    pub sent: &'static str,
    pub delivered: &'static str,
    pub failed: &'static str,
}

impl Vendor {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Flowroute, Self::Telnyx, Self::Plivo, Self::SignalWire, Self::Twilio];

    /// The name, as in paths, in settings and in otpd's `kind`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Flowroute => "flowroute",
            Self::Telnyx => "telnyx",
            Self::Plivo => "plivo",
            Self::SignalWire => "signalwire",
            Self::Twilio => "twilio",
        }
    }

    pub(super) const fn words(self) -> Words {
        let (queued, sent, failed) = match self {
            Self::Flowroute => ("smsc submit", "message buffered", "failed"),
            Self::Telnyx => ("queued", "sent", "delivery_failed"),
            Self::Plivo | Self::SignalWire | Self::Twilio => ("queued", "sent", "undelivered"),
        };
        Words { queued, sent, delivered: "delivered", failed }
    }

    /// What is reported of a message, one after the other: the word, and the code of a failure.
    pub(super) fn course(self, fate: &Fate) -> Vec<(String, Option<String>)> {
        let words = self.words();
        let sent = (words.sent.to_owned(), None);
        match fate {
            Fate::Delivered => vec![sent, (words.delivered.to_owned(), None)],
            Fate::Sent => vec![sent],
            Fate::Queued => Vec::new(),
            Fate::Failed { code, word } => {
                let word = word.clone().unwrap_or_else(|| words.failed.to_owned());
                vec![sent, (word, code.clone())]
            }
        }
    }

    pub(super) const fn document(self) -> Dialect {
        match self {
            Self::Plivo => Dialect::Speak,
            Self::Flowroute | Self::Telnyx | Self::SignalWire | Self::Twilio => Dialect::Say,
        }
    }

    pub(super) fn answer(self, world: &Arc<World>, asked: &Asked) -> Reply {
        match self {
            Self::Flowroute => flowroute::answer(world, asked),
            Self::Telnyx => telnyx::answer(world, asked),
            Self::Plivo => plivo::answer(world, asked),
            Self::SignalWire => signalwire::answer(world, asked),
            Self::Twilio => twilio::answer(world, asked),
        }
    }

    pub(super) fn refusal(self, world: &World, code: &str) -> Option<Reply> {
        match self {
            Self::Flowroute => flowroute::refusal(world, code),
            Self::Telnyx => telnyx::refusal(code),
            Self::Plivo => plivo::refusal(world, code),
            Self::SignalWire => signalwire::refusal(code),
            Self::Twilio => twilio::refusal(code),
        }
    }

    pub(super) fn too_many(self, world: &World) -> Reply {
        let code = match self {
            Self::Flowroute | Self::Plivo => "429",
            Self::Telnyx => "10011",
            Self::SignalWire | Self::Twilio => "20429",
        };
        self.refusal(world, code).expect("a code of the vendor's table")
    }

    pub(super) fn receipt(self, world: &World, item: &Item, target: Target) -> Option<Draft> {
        match self {
            Self::Flowroute => Some(flowroute::receipt(item, target)),
            Self::Telnyx => telnyx::receipt(world, item, target),
            Self::Plivo => plivo::receipt(item, target),
            Self::SignalWire => signalwire::receipt(world, item, target),
            Self::Twilio => twilio::receipt(world, item, target),
        }
    }

    pub(super) fn inbound(self, world: &World, inbound: &Inbound) -> Option<Draft> {
        match self {
            Self::Flowroute => flowroute::inbound(world, inbound),
            Self::Telnyx => telnyx::inbound(world, inbound),
            Self::Plivo => plivo::inbound(world, inbound),
            Self::SignalWire => signalwire::inbound(world, inbound),
            Self::Twilio => twilio::inbound(world, inbound),
        }
    }

    /// What is told when a call's document is fetched.
    pub(super) fn call_fields(self, world: &World, item: &Item, status: &str) -> Form {
        match self {
            // It makes no calls.
            Self::Flowroute => Form::new(),
            Self::Telnyx => telnyx::fields_of_call(world, item, status),
            Self::Plivo => plivo::fields_of_call(item, status),
            Self::SignalWire => signalwire::fields_of_call(world, item, status),
            Self::Twilio => twilio::fields_of_call(world, item, status),
        }
    }

    /// The headers that sign a callback, in lower case.
    pub(super) fn signature(self, world: &World, unsigned: &Unsigned<'_>) -> Form {
        let Unsigned { event, method, url, fields, seconds, body } = *unsigned;
        let header = |name: &str, value: String| (name.to_owned(), value);
        let settings = &world.settings;
        match self {
            Self::Flowroute => Form::new(),
            Self::Telnyx => vec![
                header("telnyx-signature-ed25519", sign::telnyx(&world.telnyx_key, seconds, body)),
                header("telnyx-timestamp", seconds.to_string()),
            ],
            Self::Plivo => {
                let (key, nonce) = (&settings.plivo.auth_token, world.hex());
                // Of calls in the third way, of messages in the second.
                let call = event == Event::Answer
                    || field(fields, "CallUUID").is_some()
                    || url.contains("CallUUID=");
                if call || settings.plivo.third_signatures {
                    let signature = sign::plivo_v3(key, method, url, fields, &nonce);
                    vec![
                        header("x-plivo-signature-v3", signature),
                        header("x-plivo-signature-v3-nonce", nonce),
                    ]
                } else {
                    vec![
                        header("x-plivo-signature-v2", sign::plivo_v2(key, url, &nonce)),
                        header("x-plivo-signature-v2-nonce", nonce),
                    ]
                }
            }
            Self::SignalWire => {
                let signature = sign::twilio(&settings.signalwire.signing_key, url, fields);
                vec![header("x-signalwire-signature", signature)]
            }
            Self::Twilio => {
                let signature = sign::twilio(&settings.twilio.auth_token, url, fields);
                vec![header("x-twilio-signature", signature)]
            }
        }
    }
}

/// What a signature is made over.
#[derive(Clone, Copy)]
pub(super) struct Unsigned<'a> {
    pub event: Event,
    pub method: &'a Method,
    /// With its query.
    pub url: &'a str,
    /// Those of the body; none when they are in the query.
    pub fields: &'a [(String, String)],
    /// The time, Unix.
    pub seconds: i64,
    pub body: &'a str,
}
