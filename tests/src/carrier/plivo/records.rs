//! How Plivo describes messages and calls, when it is asked and by itself.

use serde_json::{Value, json};

use super::super::{
    Vendor,
    callback::{Draft, Inbound, draft},
    exchange::{Form, fields},
    gsm7,
    records::{Channel, Item, Target},
    told::Event,
    world::World,
};

pub(super) fn plain(number: &str) -> &str {
    number.trim_start_matches('+')
}

pub(super) fn message(world: &World, item: &Item) -> Value {
    json!({
        "api_id": world.uuid(),
        "error_code": item.code,
        "error_message": item.code.as_deref().map(reason),
        "from_number": plain(&item.from),
        "message_direction": "outbound",
        "message_state": item.status,
        "message_time": item.at.to_string(),
        "message_type": "sms",
        "message_uuid": item.id,
        "powerpack_id": null,
        "resource_uri": format!(
            "/v1/Account/{}/Message/{}/", world.settings.plivo.auth_id, item.id
        ),
        "to_number": plain(&item.to),
        "total_amount": "0.00000",
        "total_rate": "0.00350",
        "units": gsm7::parts(&item.text),
    })
}

fn reason(code: &str) -> &'static str {
    match code {
        "10" => "Invalid Message",
        "20" => "Network Error",
        "30" => "Spam Detected",
        "40" => "Invalid Source Number",
        "50" => "Invalid Destination Number",
        "60" => "Loop Detected",
        "70" => "Destination Permanently Unavailable",
        "80" => "Destination Temporarily Unavailable",
        "90" => "No Route Available",
        "100" => "Prohibited by Carrier",
        "110" => "Message Too Long",
        "200" => "Source Number Blocked by STOP from Destination Number",
        "201" => "Outbound Messages from US Toll-Free Numbers to Canada Blocked",
        "300" => "Failed to Dispatch Message",
        "420" => "Message Expired",
        "450" => "Destination Country Barred",
        "900" => "Insufficient Credit",
        "910" => "Account Disabled",
        _ => "Unknown Error",
    }
}

pub(super) fn call_record(world: &World, item: &Item) -> Value {
    let (cause, code) = match item.status.as_str() {
        "completed" => ("Normal Hangup", 4000),
        "busy" => ("Busy Line", 3010),
        "no-answer" => ("No Answer", 3000),
        _ => ("Network Error", 5010),
    };
    let answered = (item.status == "completed").then(|| item.at.to_string());
    json!({
        "api_id": world.uuid(),
        "answer_time": answered,
        "bill_duration": 0,
        "call_direction": "outbound",
        "call_duration": 0,
        "call_state": if item.status == "completed" { "ANSWER" } else { "FAILED" },
        "call_uuid": item.id,
        "end_time": item.at.to_string(),
        "from_number": plain(&item.from),
        "hangup_cause_code": code,
        "hangup_cause_name": cause,
        "hangup_source": "Callee",
        "initiation_time": item.at.to_string(),
        "parent_call_uuid": null,
        "resource_uri": format!("/v1/Account/{}/Call/{}/", world.settings.plivo.auth_id, item.id),
        "to_number": plain(&item.to),
        "total_amount": "0.00000",
        "total_rate": "0.00000",
    })
}

/// What is told when a call's document is fetched.
pub(in crate::carrier) fn fields_of_call(item: &Item, status: &str) -> Form {
    fields([
        ("CallUUID", &item.id),
        ("RequestUUID", &item.id),
        ("ALegRequestUUID", &item.id),
        ("From", plain(&item.from)),
        ("To", plain(&item.to)),
        ("CallStatus", status),
        ("Direction", "outbound"),
        ("Event", "StartApp"),
    ])
}

/// A receipt; a call has one, at its end.
pub(in crate::carrier) fn receipt(item: &Item, target: Target) -> Option<Draft> {
    let mut form = match item.channel {
        Channel::Text => fields([
            ("MessageUUID", &item.id),
            ("ParentMessageUUID", &item.id),
            ("From", plain(&item.from)),
            ("To", plain(&item.to)),
            ("Type", "sms"),
            ("Status", &item.status),
            ("Units", &gsm7::parts(&item.text).to_string()),
            ("PartInfo", "1 of 1"),
            ("Sequence", &item.receipts.to_string()),
            ("TotalRate", "0.00350"),
            ("TotalAmount", "0.00350"),
            ("MessageTime", &item.at.to_string()),
        ]),
        Channel::Call if !matches!(item.status.as_str(), "ringing" | "in-progress") => {
            let mut form = fields_of_call(item, &item.status);
            form.retain(|(name, _)| name != "Event");
            form.extend(fields([("Event", "Hangup"), ("HangupSource", "Callee")]));
            form
        }
        Channel::Call => return None,
    };
    if let Some(code) = &item.code {
        form.push(("ErrorCode".to_owned(), code.clone()));
    }
    Some(Draft { fields: form, ..draft(item, target) })
}

/// A message to the account.
pub(in crate::carrier) fn inbound(world: &World, inbound: &Inbound) -> Option<Draft> {
    let account = &world.settings.plivo;
    let target = Target::post(account.inbound.as_deref()?);
    let id = world.uuid();
    let form = fields([
        ("MessageUUID", &id),
        ("From", plain(&inbound.from)),
        ("To", plain(&inbound.to)),
        ("Text", &inbound.text),
        ("Type", "sms"),
        ("Units", "1"),
        ("TotalRate", "0"),
        ("TotalAmount", "0"),
    ]);
    let (vendor, event) = (Vendor::Plivo, Event::Inbound);
    Some(Draft { vendor, event, id, target, fields: form, json: String::new() })
}
