//! `GET|POST /answer/{token}`: what a call says, fetched by the vendor that makes it.

use std::sync::Arc;

use axum::{
    extract::{Path, Request, State},
    http::{
        HeaderValue, Method, StatusCode,
        header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE},
    },
    response::{IntoResponse, Response},
};
use tokio::time::Instant;

use super::{Gate, Taken, take};
use crate::verifier::{CallToken, Words};

/// Says the words to the vendor whose call it is.
pub(super) async fn answer(
    State(gate): State<Arc<Gate>>,
    Path(name): Path<String>,
    request: Request,
) -> Response {
    // Not HEAD, which axum would take for GET: it could pin the call.
    if !matches!(*request.method(), Method::GET | Method::POST) {
        return (StatusCode::METHOD_NOT_ALLOWED, [(ALLOW, "GET, POST")]).into_response();
    }
    let public = gate.public();
    let request: Taken = match take(request, &public.now().trusted_proxies).await {
        Ok(request) => request,
        Err(answer) => return answer,
    };
    let checked = Instant::now();
    // Nothing is looked at for who makes up a name: all gateways' keys would be tried.
    let Some(token) = CallToken::parse(&name) else { return gate.refuse(checked).await };
    let Some((gateway, caller, url)) = public.caller(&request, &gate.clock) else {
        // Whoever has the token is most likely the vendor, and this site's setting is wrong.
        if gate.verifier.expects(token) {
            gate.tell_of_call(request.peer);
        }
        return gate.refuse(checked).await;
    };
    let words = gate.verifier.words(token, gateway, &caller.call, caller.pressed.as_deref()).await;
    let document = match words {
        Words::Question(question) => caller.markup.asks(&question, &url),
        Words::Said(words) => caller.markup.says(&words),
        Words::Over(words) => caller.markup.says(&words),
        Words::NotTheirs => return gate.refuse(checked).await,
    };
    // From here on the code is in buffers of the HTTP library, which do not wipe.
    let mut response = document.as_str().to_owned().into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/xml; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
