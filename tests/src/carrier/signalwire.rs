//! `SignalWire`'s compatibility API, under `/signalwire`.

use std::sync::Arc;

use hyper::Method;
use serde_json::{Value, json};

use super::{
    Vendor,
    callback::{Draft, Inbound},
    compatible::{
        self, Codes, Resource, Rules, call_fields, date, described, resource, start, words,
    },
    exchange::{Asked, Form, Reply, fields},
    gsm7,
    records::{Item, Target},
    settings::SignalWire,
    world::World,
};

/// Code, HTTP status and words of what it refuses.
const ERRORS: [(u32, u16, &str); 24] = [
    (10001, 400, "Account is not active"),
    (20001, 500, "Unknown error"),
    (20003, 401, "Authentication Error - No credentials provided or blocked"),
    (20010, 400, "The requested action is disabled for this project"),
    (20404, 404, "The requested resource was not found"),
    (20429, 429, "Too many requests"),
    (20504, 500, "Internal server error"),
    (21205, 400, "Url is not a valid URL"),
    (21210, 422, "'From' phone number not purchased"),
    (21211, 400, "Invalid 'To' Phone Number"),
    (21212, 400, "Invalid 'From' Phone Number"),
    (21217, 400, "Phone number does not appear to be valid"),
    (21219, 400, "'To' phone number not verified"),
    (21408, 400, "Callback URL not set"),
    (21601, 400, "Phone number is not a valid SMS-capable inbound phone number"),
    (21603, 400, "The source 'from' phone number is required to send an SMS"),
    (21604, 400, "The destination 'to' phone number is required to send an SMS"),
    (21606, 400, "The 'To' phone number provided is not a mobile number"),
    (21610, 400, "Attempt to send to unsubscribed recipient"),
    (21611, 400, "This 'From' number has exceeded the maximum number of queued messages"),
    (21614, 400, "'To' number is not a valid mobile number"),
    (21617, 400, "The concatenated message body exceeds the 1600 character limit"),
    (21619, 400, "A text message body or media urls must be specified"),
    (21717, 400, "From must belong to an active campaign"),
];

const CODES: Codes = Codes {
    to_missing: 21604,
    to_invalid: 21211,
    from_missing: 21603,
    from_invalid: 21212,
    from_not_owned: 21210,
    body_missing: 21619,
    body_long: 21617,
    opted_out: 21610,
    parameter: 21217,
    call_to_missing: 21211,
    call_from_missing: 21212,
    call_from_not_owned: 21210,
    url: 21205,
};

const MESSAGE: [&str; 9] = [
    "To",
    "From",
    "MessagingServiceSid",
    "Body",
    "MediaUrl",
    "StatusCallback",
    "ValidityPeriod",
    "MaxPrice",
    "ApplicationSid",
];

const CALL: [&str; 14] = [
    "To",
    "From",
    "Url",
    "Method",
    "ApplicationSid",
    "FallbackUrl",
    "FallbackMethod",
    "StatusCallback",
    "StatusCallbackEvent",
    "StatusCallbackMethod",
    "Timeout",
    "MachineDetection",
    "MachineDetectionTimeout",
    "SendDigits",
];

/// Answers a request.
pub(super) fn answer(world: &Arc<World>, asked: &Asked) -> Reply {
    let project = &world.settings.signalwire;
    if !asked.is_from(&project.project_id, &project.api_token) {
        return error(20003);
    }
    // The same with and without `.json`; its own client asks without the beginning, too.
    let path = asked.path.strip_prefix("/api/laml").unwrap_or(&asked.path);
    let Some((resource, _)) = resource(path, &project.project_id) else { return error(20404) };
    match (&asked.method, &resource) {
        (&Method::POST, Resource::Messages) => send(world, asked, project),
        (&Method::POST, Resource::Calls) => call(world, asked, project),
        _ => {
            let (message, call) =
                (|item: &Item| message(project, item), |item: &Item| call_record(project, item));
            let found = described(world, Vendor::SignalWire, (asked, &resource), message, call);
            found.map_or_else(|| error(20404), |found| Reply::json(200, &found))
        }
    }
}

fn rules(project: &SignalWire) -> Rules<'_> {
    Rules {
        vendor: Vendor::SignalWire,
        numbers: &project.numbers,
        services: &project.services,
        message_fields: &MESSAGE,
        call_fields: &CALL,
        longest: 172_800,
        codes: &CODES,
        refuse: &error,
    }
}

fn send(world: &Arc<World>, asked: &Asked, project: &SignalWire) -> Reply {
    let form = asked.form().unwrap_or_default();
    match rules(project).message(world, &form, world.uuid()) {
        Ok(new) => Reply::json(201, &message(project, &world.bring(new))),
        Err(refusal) => refusal,
    }
}

/// A call; its document is always fetched.
fn call(world: &Arc<World>, asked: &Asked, project: &SignalWire) -> Reply {
    let form = asked.form().unwrap_or_default();
    let rules = Rules { refuse: &call_error, ..rules(project) };
    let judged =
        rules.call(&form, world.uuid()).and_then(|new| Ok((new, rules.document_at(&form)?)));
    match judged {
        Ok((new, document)) => {
            let item = world.take(new);
            let reply = Reply::json(200, &call_record(project, &item));
            start(world, item, document);
            reply
        }
        Err(refusal) => refusal,
    }
}

fn info(code: u32) -> String {
    format!("https://developer.signalwire.com/compatibility-api/reference/error-codes#{code}")
}

/// A refusal in `SignalWire`'s words.
fn error(code: u32) -> Reply {
    let (status, message) = words(&ERRORS, code);
    let body = json!({"code": code, "message": message, "more_info": info(code), "status": status});
    Reply::json(status, &body)
}

/// The form that refused calls have: a list, with the code as text.
fn call_error(code: u32) -> Reply {
    let (status, message) = words(&ERRORS, code);
    let one = json!({"code": code.to_string(), "message": message, "more_info": info(code)});
    Reply::json(status, &json!({"errors": [one]}))
}

/// A refusal that a test asks for; `None`: no such code is documented.
pub(super) fn refusal(code: &str) -> Option<Reply> {
    compatible::refusal(&ERRORS, code, error)
}

fn message(project: &SignalWire, item: &Item) -> Value {
    let id = &project.project_id;
    json!({
        "account_sid": id,
        "api_version": "2010-04-01",
        "body": item.text,
        "num_segments": gsm7::parts(&item.text),
        "num_media": 0,
        "date_created": date(item),
        "date_sent": null,
        "date_updated": date(item),
        "direction": "outbound-api",
        "error_code": item.code,
        "error_message": null,
        "from": item.from,
        "price": null,
        "price_unit": "USD",
        "sid": item.id,
        "status": item.status,
        "to": item.to,
        "messaging_service_sid": null,
        "uri": format!("/api/laml/2010-04-01/Accounts/{id}/Messages/{}", item.id),
        "subresource_uris": {"media": null},
    })
}

fn call_record(project: &SignalWire, item: &Item) -> Value {
    let id = &project.project_id;
    json!({
        "sid": item.id,
        "date_created": date(item),
        "date_updated": date(item),
        "parent_call_sid": null,
        "account_sid": id,
        "to": item.to,
        "formatted_to": item.to,
        "to_formatted": item.to,
        "from": item.from,
        "formatted_from": item.from,
        "from_formatted": item.from,
        "phone_number_sid": null,
        "status": item.status,
        "start_time": null,
        "end_time": null,
        "duration": null,
        "price": null,
        "price_unit": "USD",
        "direction": "outbound-api",
        "answered_by": null,
        "api_version": "2010-04-01",
        "annotation": null,
        "forwarded_from": null,
        "group_sid": null,
        "caller_name": null,
        "uri": format!("/api/laml/2010-04-01/Accounts/{id}/Calls/{}", item.id),
        "subresource_uris": {},
    })
}

/// What is told when a call's document is fetched.
pub(super) fn fields_of_call(world: &World, item: &Item, status: &str) -> Form {
    call_fields(&world.settings.signalwire.project_id, item, status)
}

/// A receipt; it holds the text. `None` for a turn that nobody asked for.
pub(super) fn receipt(world: &World, item: &Item, target: Target) -> Option<Draft> {
    let project = world.settings.signalwire.project_id.as_str();
    let text = fields([
        ("MessageStatus", &item.status),
        ("MessageSid", &item.id),
        ("AccountSid", project),
        ("From", &item.from),
        ("To", &item.to),
        ("Body", &item.text),
        ("NumMedia", "0"),
        ("NumSegments", &gsm7::parts(&item.text).to_string()),
    ]);
    compatible::receipt(project, item, target, text)
}

/// A message to the project.
pub(super) fn inbound(world: &World, inbound: &Inbound) -> Option<Draft> {
    let project = &world.settings.signalwire;
    let target = Target::post(project.inbound.as_deref()?);
    let account = (Vendor::SignalWire, project.project_id.as_str());
    Some(compatible::inbound(account, world.uuid(), inbound, target, Form::new()))
}
