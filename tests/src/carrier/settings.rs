//! What a stand-in is started with: addresses, bounds, and an account with each vendor.

use std::{collections::BTreeMap, net::SocketAddr};

use serde::Deserialize;

/// Everything; a settings file is this as JSON, and may leave out whatever the default suits.
#[derive(Clone, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// Where the vendors' APIs are. Port 0: any that is free.
    pub listen: SocketAddr,
    /// Where it is told what to do.
    pub control: SocketAddr,
    /// Keeps no log of requests and callbacks, only counts: for measuring.
    pub quiet: bool,
    /// How many messages are remembered for questions about them; older ones are forgotten.
    pub keep: usize,
    /// How many messages each phone remembers.
    pub inbox: usize,
    /// How many requests and how many callbacks are kept in the logs.
    pub log: usize,
    /// Which address a public one stands for: callbacks and answer URLs that begin with the former are
    /// signed as they are and connect to the latter, as if a proxy stood between.
    pub connect: BTreeMap<String, String>,
    /// The account with Flowroute.
    pub flowroute: Flowroute,
    /// The account with Telnyx.
    pub telnyx: Telnyx,
    /// The account with Plivo.
    pub plivo: Plivo,
    /// The account with SignalWire.
    pub signalwire: SignalWire,
    /// The account with Twilio.
    pub twilio: Twilio,
}

impl Default for Settings {
    fn default() -> Self {
        let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
        Self {
            listen: anywhere,
            control: anywhere,
            quiet: false,
            keep: 50_000,
            inbox: 1000,
            log: 10_000,
            connect: BTreeMap::new(),
            flowroute: Flowroute::default(),
            telnyx: Telnyx::default(),
            plivo: Plivo::default(),
            signalwire: SignalWire::default(),
            twilio: Twilio::default(),
        }
    }
}

/// An account with Flowroute. It signs nothing.
#[derive(Clone, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Flowroute {
    /// User of the basic authentication.
    pub access_key: String,
    /// Password of it.
    pub secret_key: String,
    /// Numbers that may send, E.164.
    pub numbers: Vec<String>,
    /// Where receipts go unless a message names another place.
    pub receipts: Option<String>,
    /// Where messages to the account's numbers go.
    pub inbound: Option<String>,
}

impl Default for Flowroute {
    fn default() -> Self {
        Self {
            access_key: "fr-access-4711".into(),
            secret_key: "fr-secret-8f1d2c".into(),
            numbers: vec!["+12065550110".into()],
            receipts: None,
            inbound: None,
        }
    }
}

/// An account with Telnyx.
#[derive(Clone, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Telnyx {
    /// The API key.
    pub api_key: String,
    /// Numbers that may send, E.164.
    pub numbers: Vec<String>,
    /// Messaging profiles with a pool of those numbers.
    pub profiles: Vec<String>,
    /// The account of `TeXML` calls.
    pub account_sid: String,
    /// Its applications.
    pub applications: Vec<String>,
    /// Base64 of the 32 bytes that the signing key is made from; the public key is its.
    pub signing_seed: String,
    /// Where receipts and inbound messages go unless a message names another place.
    pub receipts: Option<String>,
}

impl Default for Telnyx {
    fn default() -> Self {
        Self {
            api_key: "KEY0189A_stand_in_7f3d".into(),
            numbers: vec!["+13125550123".into()],
            profiles: vec!["40017f3d-2e9c-4c53-9a3c-6f0d1b2c3d4e".into()],
            account_sid: "5a1e0c7b-9f43-4d8e-8d0c-2b6a1f3e4d5c".into(),
            applications: vec!["2190000000000000001".into()],
            signing_seed: "c3RhbmQtaW4gc2VlZCBvZiB0aGlydHktdHdvIGJ5dGU=".into(),
            receipts: None,
        }
    }
}

/// An account with Plivo.
#[derive(Clone, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Plivo {
    /// User of the basic authentication: 20 characters, `MA…`.
    pub auth_id: String,
    /// Password of it, and the key of signatures.
    pub auth_token: String,
    /// Numbers that may send, E.164.
    pub numbers: Vec<String>,
    /// Its PHLOs by id, each with what it sends or says; `{otp}` and other `{names}` stand for what it
    /// is run with.
    pub phlos: BTreeMap<String, String>,
    /// Whether receipts and inbound messages are signed as calls are, in Plivo's third way, and not in
    /// the second as its manual says of messages.
    pub third_signatures: bool,
    /// Where messages to the account's numbers go.
    pub inbound: Option<String>,
}

impl Default for Plivo {
    fn default() -> Self {
        let phlo = ("7c1b1d6e-0f5e-4f6c-9f1a-1d2e3f4a5b6c".into(), "{otp}".into());
        Self {
            auth_id: "MASTANDIN0PLIVO00042".into(),
            auth_token: "plivo-token-5d2a9e77c1".into(),
            numbers: vec!["+14155550130".into()],
            phlos: BTreeMap::from([phlo]),
            third_signatures: false,
            inbound: None,
        }
    }
}

/// A project with SignalWire.
#[derive(Clone, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct SignalWire {
    /// User of the basic authentication.
    pub project_id: String,
    /// Password of it.
    pub api_token: String,
    /// The key of signatures.
    pub signing_key: String,
    /// Numbers that may send, E.164.
    pub numbers: Vec<String>,
    /// Messaging services with a pool of those numbers.
    pub services: Vec<String>,
    /// Where messages to the project's numbers go.
    pub inbound: Option<String>,
}

impl Default for SignalWire {
    fn default() -> Self {
        Self {
            project_id: "b08dacad-2f3e-4f7b-8a6e-3c1d5e7f9a0b".into(),
            api_token: "PTa1b2c3d4e5f6-stand-in".into(),
            signing_key: "PSK_stand_in_3f9c".into(),
            numbers: vec!["+15125550140".into()],
            services: vec!["9d8c7b6a-5f4e-4d3c-8b2a-1f0e9d8c7b6a".into()],
            inbound: None,
        }
    }
}

/// An account with Twilio.
#[derive(Clone, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Twilio {
    /// User of the basic authentication, `AC…`.
    pub account_sid: String,
    /// Password of it, and the key of signatures.
    pub auth_token: String,
    /// Numbers that may send, E.164.
    pub numbers: Vec<String>,
    /// Messaging services with a pool of those numbers.
    pub services: Vec<String>,
    /// Where messages to the account's numbers go.
    pub inbound: Option<String>,
}

impl Default for Twilio {
    fn default() -> Self {
        Self {
            // In two parts, or programs that look for leaked keys take it for one.
            account_sid: ["AC", "0123456789abcdef0123456789abcdef"].concat(),
            auth_token: "twilio-token-6b1f0a9d3c".into(),
            numbers: vec!["+19175550150".into()],
            services: vec![["MG", "0123456789abcdef0123456789abcdef"].concat()],
            inbound: None,
        }
    }
}
