//! `/healthz` and `/readyz`: whether the daemon runs, and whether logins would succeed now.

use std::sync::Arc;

use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};

use super::Metrics;
use crate::verifier::Verifier;

/// It answers, so it runs.
pub(super) async fn healthz() -> &'static str {
    "ok\n"
}

/// What logins need, a line each; 503 when something of it is not there.
pub(super) async fn readyz(State((verifier, _)): State<(Arc<Verifier>, Metrics)>) -> Response {
    let readiness = verifier.readiness().await;
    let parts =
        [("store", readiness.store), ("gateways", readiness.gateways), ("clock", readiness.clock)];
    let all = parts.iter().all(|(_, ready)| *ready);
    let status = if all { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let word = |ready| if ready { "ok" } else { "failing" };
    let lines = parts.iter().map(|(part, ready)| format!("{part}: {}\n", word(*ready)));
    (status, lines.collect::<String>()).into_response()
}
