//! Stand-ins for Twilio and `SignalWire` on a loopback address: they take what the API documents and
//! refuse everything else in the vendor's own words.

use std::collections::BTreeMap;

use reqwest::Url;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::gateway::{
    Gateway, Message, Outcome, Status, VendorMessageId,
    settings::{Key, SignalWireSettings, TwilioSettings},
    signalwire,
    testing::{self, Answer, Seen, is_e164, json_answer as answer, patience},
    twilio,
    vendor::Vendor,
};

pub(crate) const SID: &str = "AC0123456789abcdef0123456789abcdef";
pub(crate) const SERVICE: &str = "MG0123456789abcdef0123456789abcdef";
pub(crate) const PROJECT: &str = "16fd2706-8baf-433b-82eb-8c7fada847da";
pub(crate) const TOKEN: &str = "tok_live_7f3d0189";
pub(crate) const FROM: &str = "+13125550123";

/// Whom it stands in for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    Twilio,
    SignalWire,
}

pub(crate) const BOTH: [Who; 2] = [Who::Twilio, Who::SignalWire];

/// What it keeps.
pub(crate) struct State {
    who: Who,
    /// What a question about a message or a call is answered, by its path.
    records: BTreeMap<String, Value>,
    taken: usize,
}

pub(crate) type StandIn = testing::StandIn<State>;

impl StandIn {
    pub(crate) async fn start(who: Who) -> Self {
        let state = State { who, records: BTreeMap::new(), taken: 0 };
        Self::judging(state, move |state, seen| who.judge(state, seen)).await
    }

    /// What the record of `Messages/SM1` or `Calls/CA1` shall say.
    pub(crate) fn record(&self, resource: &str, status: &str, code: &Value, said: &str) {
        let record = json!({"sid": resource, "status": status, "error_code": code,
            "error_message": said, "body": "482913 is your code", "to": "+13125550142"});
        self.with(|state| state.records.insert(state.who.path(resource), record));
    }

    pub(crate) fn gateway(&self) -> Box<dyn Gateway> {
        self.with(|state| state.who).gateway(self.server.url(""))
    }

    pub(crate) async fn send(&self, message: &Message) -> Outcome {
        self.gateway().send(message).await
    }

    pub(crate) async fn ask(&self, message: &Message, id: &str) -> Status {
        let id = VendorMessageId::checked(id).unwrap();
        self.gateway().status(message, &id).unwrap().await
    }
}

pub(crate) fn twilio(base_url: String) -> TwilioSettings {
    TwilioSettings {
        base_url,
        account_sid: SID.to_owned(),
        auth_token: key("twilio.token"),
        from: Some(FROM.to_owned()),
        messaging_service_sid: None,
        ca_file: None,
    }
}

pub(crate) fn signalwire(base_url: String) -> SignalWireSettings {
    SignalWireSettings {
        base_url,
        project_id: PROJECT.to_owned(),
        api_token: key("signalwire.token"),
        signing_key: None,
        from: FROM.to_owned(),
        ca_file: None,
    }
}

fn key(file: &str) -> Key {
    Key { secret: Zeroizing::new(TOKEN.to_owned()), file: file.to_owned() }
}

/// A gateway that waits shortly for who falls silent.
pub(crate) fn open_twilio(settings: &TwilioSettings) -> Box<dyn Gateway> {
    let patience = patience(&settings.base_url);
    Box::new(Vendor::open(twilio::Api::new(settings).unwrap(), None, patience).unwrap())
}

/// A gateway that waits shortly for who falls silent.
pub(crate) fn open_signalwire(settings: &SignalWireSettings) -> Box<dyn Gateway> {
    let patience = patience(&settings.base_url);
    Box::new(Vendor::open(signalwire::Api::new(settings).unwrap(), None, patience).unwrap())
}

/// The fields of a form.
pub(crate) fn form(body: &str) -> Vec<(String, String)> {
    let url = Url::parse(&format!("http://localhost/?{body}")).unwrap();
    url.query_pairs().map(|(name, value)| (name.into_owned(), value.into_owned())).collect()
}

/// Fields that are expected in a form.
pub(crate) fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// An error as both write it.
pub(crate) fn error(code: &Value, message: &str, status: u16) -> Value {
    json!({"code": code, "message": message, "status": status,
        "more_info": "https://www.example.com/docs/errors/1"})
}

fn refusal(status: u16, code: u32, message: &str) -> Answer {
    answer(status, &error(&json!(code), message, status))
}

impl Who {
    pub(crate) fn gateway(self, base_url: String) -> Box<dyn Gateway> {
        match self {
            Self::Twilio => open_twilio(&twilio(base_url)),
            Self::SignalWire => open_signalwire(&signalwire(base_url)),
        }
    }

    /// A resource's path.
    pub(crate) fn path(self, resource: &str) -> String {
        match self {
            Self::Twilio => format!("/2010-04-01/Accounts/{SID}/{resource}.json"),
            Self::SignalWire => format!("/api/laml/2010-04-01/Accounts/{PROJECT}/{resource}"),
        }
    }

    /// The key, as hints name it.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Self::Twilio => "the key in auth-token-file twilio.token",
            Self::SignalWire => "the key in api-token-file signalwire.token",
        }
    }

    fn account(self) -> &'static str {
        match self {
            Self::Twilio => SID,
            Self::SignalWire => PROJECT,
        }
    }

    fn judge(self, state: &mut State, seen: &Seen) -> Result<Answer, Answer> {
        use base64::{Engine as _, engine::general_purpose::STANDARD};

        let basic = STANDARD.encode(format!("{}:{TOKEN}", self.account()));
        if seen.header("authorization") != format!("Basic {basic}") {
            return Err(refusal(401, 20003, "Authenticate"));
        }
        if seen.method == "GET" && seen.body.is_empty() {
            let record = state.records.get(&seen.path);
            return record.map(|record| answer(200, record)).ok_or_else(not_found);
        }
        let channel = ["Messages", "Calls"].into_iter().find(|name| self.path(name) == seen.path);
        let Some(channel) = channel.filter(|_| seen.method == "POST") else {
            return Err(not_found());
        };
        if seen.header("content-type") != "application/x-www-form-urlencoded" {
            return Err(refusal(400, 21619, "No form"));
        }
        let fields = form(&seen.body);
        match channel {
            "Messages" => self.judge_text(&fields)?,
            _ => self.judge_call(&fields)?,
        }
        state.taken += 1;
        // Both say 201; SignalWire's description says 200 for calls.
        let status = if channel == "Calls" && self == Self::SignalWire { 200 } else { 201 };
        let sid = format!("{}-{}", &channel[..1], state.taken);
        Ok(answer(status, &json!({"sid": sid, "status": "queued", "error_code": null})))
    }

    fn judge_text(self, fields: &[(String, String)]) -> Result<(), Answer> {
        let known: &[&str] = match self {
            Self::Twilio => &[
                "To",
                "From",
                "MessagingServiceSid",
                "Body",
                "ValidityPeriod",
                "SmartEncoded",
                "StatusCallback",
            ],
            Self::SignalWire => &["To", "From", "Body", "ValidityPeriod", "StatusCallback"],
        };
        self.judge_fields(fields, known)?;
        if field(fields, "MessagingServiceSid").is_some_and(|service| service != SERVICE) {
            return Err(refusal(400, 21705, "The Messaging Service Sid is invalid"));
        }
        if field(fields, "From").is_none() && field(fields, "MessagingServiceSid").is_none() {
            return Err(refusal(400, 21603, "A 'From' phone number is required"));
        }
        if field(fields, "Body").unwrap_or_default().is_empty() {
            return Err(refusal(400, 21602, "Message body is required"));
        }
        let longest = if self == Self::Twilio { 36_000 } else { 172_800 };
        whole(fields, "ValidityPeriod", longest)?;
        match field(fields, "SmartEncoded") {
            None | Some("true" | "false") => Ok(()),
            Some(_) => Err(refusal(400, 20001, "SmartEncoded")),
        }
    }

    fn judge_call(self, fields: &[(String, String)]) -> Result<(), Answer> {
        let known: &[&str] = match self {
            Self::Twilio => {
                &["To", "From", "Url", "Method", "Twiml", "Timeout", "TimeLimit", "StatusCallback"]
            }
            Self::SignalWire => &["To", "From", "Url", "Method", "Timeout", "StatusCallback"],
        };
        self.judge_fields(fields, known)?;
        if field(fields, "From").is_none() {
            return Err(refusal(400, 21213, "A 'From' phone number is required"));
        }
        match (field(fields, "Url"), field(fields, "Twiml")) {
            (Some(url), None) if Url::parse(url).is_ok() => {}
            (None, Some(twiml)) if twiml.chars().count() <= 4000 => {}
            _ => return Err(refusal(400, 21205, "Url parameter is required")),
        }
        whole(fields, "Timeout", 600)?;
        whole(fields, "TimeLimit", 14_400)
    }

    fn judge_fields(self, fields: &[(String, String)], known: &[&str]) -> Result<(), Answer> {
        for (index, (name, _)) in fields.iter().enumerate() {
            let twice = fields[..index].iter().any(|(other, _)| other == name);
            if twice || !known.contains(&name.as_str()) {
                return Err(refusal(400, 20001, &format!("Unknown parameter {name}")));
            }
        }
        let to = field(fields, "To").unwrap_or_default();
        if !is_e164(to) {
            return Err(refusal(400, 21211, "Invalid 'To' Phone Number"));
        }
        match (self, field(fields, "From")) {
            (_, None | Some(FROM)) => Ok(()),
            (Self::Twilio, Some(_)) => Err(refusal(400, 21606, "'From' is not yours")),
            (Self::SignalWire, Some(_)) => Err(refusal(400, 21210, "'From' is not yours")),
        }
    }
}

fn not_found() -> Answer {
    refusal(404, 20404, "The requested resource was not found")
}

fn field<'a>(fields: &'a [(String, String)], name: &str) -> Option<&'a str> {
    fields.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
}

fn whole(fields: &[(String, String)], name: &str, most: u64) -> Result<(), Answer> {
    let whole = |text: &str| text.parse().is_ok_and(|number| (1..=most).contains(&number));
    if field(fields, name).is_none_or(whole) { Ok(()) } else { Err(refusal(400, 21624, name)) }
}
