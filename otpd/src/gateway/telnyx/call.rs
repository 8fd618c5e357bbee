//! Calls by `TeXML`, Telnyx's mark-up: the words go with the request, or are fetched.

use reqwest::Url;
use serde::Serialize;
use serde_json::Value;
use zeroize::Zeroizing;

use super::{pause, refused, undocumented, untold};
use crate::{
    domain::{login::Cause, phone::E164},
    gateway::{
        Message, Outcome, Status, VendorMessageId,
        client::{Reply, json},
        redact::Redactor,
        settings::TelnyxSettings,
        spoken::Markup,
    },
};

/// How long a telephone rings, seconds: shorter than most voicemails wait before they answer.
const RING: u16 = 25;
/// Longest call, seconds: the question twice, and the words.
const TALK: u16 = 120;

/// What calls need besides what text messages do.
pub(super) struct Calls {
    url: Url,
    application: String,
    from: String,
}

/// The body of a request to call. Its fields must be written like this.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Body<'a> {
    application_sid: &'a str,
    to: &'a str,
    from: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    texml: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    url_method: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status_callback: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status_callback_method: Option<&'static str>,
    /// Seconds that it rings.
    timeout: u16,
    /// Seconds that it may last.
    time_limit: u16,
}

impl Calls {
    /// Takes the settings; `None` where calls are not set up, or there is no number to call from.
    /// `base` is where the API is, without its version.
    pub(super) fn new(base: &Url, settings: &TelnyxSettings) -> Option<Self> {
        let texml = settings.texml.as_ref()?;
        let from = settings.from.as_ref().filter(|from| from.parse::<E164>().is_ok())?;
        let mut url = base.clone();
        let parts = ["v2", "texml", "Accounts", &texml.account_sid, "Calls"];
        url.path_segments_mut().ok()?.pop_if_empty().extend(parts);
        Some(Self { url, application: texml.application_sid.clone(), from: from.clone() })
    }

    /// Where calls are asked for.
    pub(super) fn url(&self) -> &Url {
        &self.url
    }

    /// Where one of them is asked after.
    pub(super) fn one(&self, id: &VendorMessageId) -> Option<Url> {
        let mut url = self.url.clone();
        url.path_segments_mut().ok()?.push(&id.0);
        Some(url)
    }

    /// The request's body.
    pub(super) fn body(&self, message: &Message) -> serde_json::Result<Zeroizing<Vec<u8>>> {
        let url = message.answer_url.as_ref().map(|url| url.as_str());
        // The reply to calling names no call, so its reports are known by where they come.
        let reports = message.report_url.as_ref();
        let reports =
            reports.map(|url| Zeroizing::new(format!("{}/{}", **url, message.id.name().0)));
        let reports = reports.as_ref().map(|url| url.as_str());
        let document = url.is_none().then(|| Markup::Twiml.says(&message.text));
        let fields = Body {
            application_sid: &self.application,
            to: message.to.expose(),
            from: &self.from,
            texml: document.as_ref().map(|document| document.as_str()),
            url,
            url_method: url.map(|_| "POST"),
            status_callback: reports,
            status_callback_method: reports.map(|_| "POST"),
            timeout: RING,
            time_limit: TALK,
        };
        json(&fields)
    }
}

/// What became of asking for a call.
pub(super) fn sent(reply: &Reply, redactor: &Redactor<'_>) -> Outcome {
    if !(200..=299).contains(&reply.status) {
        return refused(reply, redactor);
    }
    // A success with a body that cannot be read is still one, without an id.
    let Some(record) = Record::read(reply) else { return Outcome::Accepted { vendor_id: None } };
    match record.progress() {
        Progress::Failed(word) => {
            Outcome::Retryable { after: pause(reply), reason: word.to_owned() }
        }
        Progress::UnderWay | Progress::Answered | Progress::Unclear => {
            Outcome::Accepted { vendor_id: record.id() }
        }
    }
}

/// How far a call is.
pub(super) fn status(reply: &Reply, redactor: &Redactor<'_>) -> Status {
    let record = Record::read(reply).filter(|_| (200..=299).contains(&reply.status));
    let Some(record) = record else { return untold(reply, redactor) };
    match record.progress() {
        Progress::Answered => Status::Delivered,
        Progress::UnderWay => Status::UnderWay,
        Progress::Failed(word) => Status::Failed { reason: word.to_owned(), cause: Cause::Route },
        Progress::Unclear => undocumented(),
    }
}

/// A call as Telnyx describes it, in the reply to calling and to asking.
struct Record(Value);

/// Where a call is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// Not at its end.
    UnderWay,
    /// Somebody or something answered, and it ended.
    Answered,
    /// Nobody did; Telnyx's word for it.
    Failed(&'static str),
    /// Nothing that is documented.
    Unclear,
}

impl Record {
    /// Reads a reply, which has no `data` around it; one with it will do. `None` when it is no record.
    fn read(reply: &Reply) -> Option<Self> {
        let mut body: Value = serde_json::from_slice(reply.body.as_deref()?).ok()?;
        if let Some(data) = body.get_mut("data").map(Value::take) {
            body = data;
        }
        body.is_object().then_some(Self(body))
    }

    /// Telnyx's name for the call. The reply to calling is documented without it, and then the call is
    /// not asked after; what is reported of it is known by the URL.
    fn id(&self) -> Option<VendorMessageId> {
        let id = |name| self.0.get(name).and_then(Value::as_str);
        VendorMessageId::checked(id("call_sid").or(id("sid")).or(id("CallSid"))?)
    }

    /// Where it is.
    ///
    /// `busy` and `no-answer` count as lost on the way, although a person may have caused them:
    /// calls that carriers take for spam end so too, and nobody here can tell these apart.
    fn progress(&self) -> Progress {
        match self.0.get("status").and_then(Value::as_str) {
            Some("queued" | "initiated" | "ringing" | "in-progress") => Progress::UnderWay,
            Some("completed") => Progress::Answered,
            Some("busy") => Progress::Failed("busy"),
            Some("no-answer") => Progress::Failed("no-answer"),
            Some("failed") => Progress::Failed("failed"),
            Some("canceled") => Progress::Failed("canceled"),
            Some(_) | None => Progress::Unclear,
        }
    }
}
