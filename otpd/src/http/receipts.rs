//! `POST /receipts/{gateway}`: what vendors tell without being asked.

use std::sync::{Arc, PoisonError};

use axum::{
    extract::{Path, Request, State},
    http::{Method, StatusCode, header::ALLOW, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use tokio::time::Instant;

use super::{Gate, Taken, take};
use crate::gateway::{
    GatewayName, Notice,
    callback::{Keys, Mark},
};

/// A vendor that signs.
pub(super) async fn receive(
    State(gate): State<Arc<Gate>>,
    Path(gateway): Path<String>,
    request: Request,
) -> Response {
    heard(&gate, GatewayName(gateway), request).await
}

/// Flowroute, which only knows the path: what is in it is checked as a signature is. And Telnyx, of
/// calls: the path says which.
pub(super) async fn receive_by_path(
    State(gate): State<Arc<Gate>>,
    Path((gateway, _)): Path<(String, String)>,
    request: Request,
) -> Response {
    heard(&gate, GatewayName(gateway), request).await
}

async fn heard(gate: &Gate, gateway: GatewayName, request: Request) -> Response {
    if *request.method() != Method::POST {
        return (StatusCode::METHOD_NOT_ALLOWED, [(ALLOW, "POST")]).into_response();
    }
    let public = gate.public();
    let taken: Taken = match take(request, &public.now().trusted_proxies).await {
        Ok(taken) => taken,
        Err(answer) => return answer,
    };
    let checked = Instant::now();
    let (keys, told) = match public.told(&gateway, &taken, &gate.clock) {
        None => return gate.refuse(checked).await,
        Some(Ok(told)) => told,
        Some(Err(why)) => {
            gate.metrics.receipt(&gateway, "refused");
            gate.tell(&gateway, taken.peer, why);
            return gate.refuse(checked).await;
        }
    };
    if told.unproved {
        gate.tell_unproved(&gateway, taken.peer);
    }
    let outcome = if gate.verifier.store_stays().is_ok() {
        queue(gate, &gateway, told.notices, told.mark)
    } else {
        // It would be lost: the vendor is to tell it once more, then to the new store.
        MOVING
    };
    gate.metrics.receipt(&gateway, outcome);
    match outcome {
        FULL | MOVING => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        _ => thanks(keys),
    }
}

const TAKEN: &str = "taken";
const REPEATED: &str = "repeated";
const FULL: &str = "queue-full";
const MOVING: &str = "store-moves";

/// Hands over all of a request's notices or none, and remembers the request only then: a vendor
/// that is told to come again must be heard when it does.
fn queue(gate: &Gate, gateway: &GatewayName, notices: Vec<Notice>, mark: Mark) -> &'static str {
    let mut seen = gate.seen.lock().unwrap_or_else(PoisonError::into_inner);
    if seen.contains(gateway, mark) {
        return REPEATED;
    }
    let Ok(places) = gate.queue.try_reserve_many(notices.len()) else { return FULL };
    for (place, notice) in places.zip(notices) {
        place.send((gateway.clone(), notice));
    }
    seen.insert(gateway, mark);
    TAKEN
}

/// Yes, as each vendor wants it: Twilio and `SignalWire` take the answer to a message for a
/// document with what to send back, which is nothing.
fn thanks(keys: &Keys) -> Response {
    match keys {
        Keys::Twilio(_) | Keys::SignalWire(_) => {
            ([(CONTENT_TYPE, "text/xml; charset=utf-8")], "<Response/>").into_response()
        }
        Keys::Telnyx(_) | Keys::Plivo(_) | Keys::Flowroute(_) => StatusCode::OK.into_response(),
    }
}
