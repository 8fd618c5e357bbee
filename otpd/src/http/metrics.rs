//! `/metrics`: counts and conditions in Prometheus' text format. No label holds a user, a number or
//! anything else that a person brought in.

use std::{fmt::Write as _, sync::Arc};

use axum::{
    extract::State,
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

use crate::{
    domain::audit::{AuditEvent, Event},
    gateway::{GatewayName, route::GatewayState, tally::Tally},
    verifier::Verifier,
};

/// Everything that is counted in this run. Cheap to clone.
#[derive(Clone, Default)]
pub struct Metrics {
    logins: Family<Login, Counter>,
    undelivered: Family<ByGateway, Counter>,
    receipts: Family<Receipt, Counter>,
    tally: Tally,
    /// Held by the one request at a time that counts who is enrolled.
    counting: Arc<tokio::sync::Mutex<()>>,
}

/// How a login ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Login {
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByGateway {
    gateway: String,
}

/// What became of a vendor's request.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Receipt {
    gateway: String,
    outcome: &'static str,
}

/// A gateway's condition.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Condition {
    gateway: String,
    kind: &'static str,
    state: &'static str,
}

/// How many of what there are.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Enrolled {
    state: &'static str,
}

impl Metrics {
    /// What becomes of messages, for the gateways to count.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.tally.clone()
    }

    /// Counts what was decided.
    pub fn note(&self, event: &AuditEvent) {
        let event = &event.event;
        if let Event::MessageUndelivered { gateway, .. } = event {
            let gateway = gateway.clone();
            self.undelivered.get_or_create(&ByGateway { gateway }).inc();
        }
        let ends = [
            ("granted", matches!(event, Event::LoginGranted { .. })),
            ("bypassed", matches!(event, Event::LoginBypassed { .. })),
            ("ignored", matches!(event, Event::LoginIgnored { .. })),
            ("denied", matches!(event, Event::LoginDenied { .. })),
        ];
        // What is no end of a login is in the audit trail.
        if let Some((outcome, _)) = ends.into_iter().find(|(_, ended)| *ended) {
            self.logins.get_or_create(&Login { outcome }).inc();
        }
    }

    /// Counts a request of a vendor; only for gateways that are configured, whose names are few.
    pub(super) fn receipt(&self, gateway: &GatewayName, outcome: &'static str) {
        self.receipts.get_or_create(&Receipt { gateway: gateway.0.clone(), outcome }).inc();
    }

    /// All of it as text. What is a condition and no count is read now.
    pub(super) async fn text(&self, verifier: &Verifier) -> Option<String> {
        let mut registry = Registry::with_prefix("otpd");
        let counters = &mut registry;
        counters.register("logins", "Logins by how they ended", self.logins.clone());
        let help = "Logins that were refused, or got no code, and are left out of the log";
        counters.register("logins_unwritten", help, verifier.unwritten());
        let help = "Messages handed to gateways, by what became of it";
        counters.register("messages", help, self.tally.family());
        let help = "Messages that a vendor took and reported lost";
        counters.register("messages_undelivered", help, self.undelivered.clone());
        let help = "Requests of vendors, by what became of them";
        counters.register("receipts", help, self.receipts.clone());

        let gateways = Family::<Condition, Gauge>::default();
        for gateway in verifier.site().routes.health() {
            for (state, holds) in [
                ("ready", gateway.state == GatewayState::Ready),
                ("resting", matches!(gateway.state, GatewayState::Resting { .. })),
                ("probing", gateway.state == GatewayState::Probing),
            ] {
                let condition =
                    Condition { gateway: gateway.name.0.clone(), kind: gateway.kind, state };
                gateways.get_or_create(&condition).set(holds.into());
            }
        }
        let help = "Whether a gateway is in this state (1) or not (0)";
        registry.register("gateway_state", help, gateways);

        // All of them are read for it. Anybody on this machine may ask as often as they like, and
        // whoever else reads the store must not wait behind a hundred of these.
        let counting = self.counting.lock().await;
        let status = verifier.status().await;
        drop(counting);
        if let Ok(status) = status {
            let enrolled = Family::<Enrolled, Gauge>::default();
            let counts = status.counts;
            for (state, count) in [
                ("pending", counts.pending),
                ("active", counts.active),
                ("disabled", counts.disabled),
            ] {
                enrolled.get_or_create(&Enrolled { state }).set(count.into());
            }
            registry.register("enrolled_accounts", "Accounts with a number", enrolled);
            let live = gauge(counts.live_challenges.into());
            registry.register("live_challenges", "Logins that wait for a code", live);
        }
        let depth = gauge(i64::try_from(verifier.store_depth()).unwrap_or(i64::MAX));
        registry.register("store_queue_depth", "Decisions that wait for the store", depth);
        let help = "How long transactions of the store took";
        let seconds: Histogram = verifier.commit_seconds();
        registry.register("store_commit_seconds", help, seconds);
        let sockets = gauge(i64::try_from(verifier.connections()).unwrap_or(i64::MAX));
        registry.register("socket_connections", "Connections to the socket", sockets);

        let mut text = String::new();
        encode(&mut text, &registry).ok()?;
        Some(plain(&text))
    }
}

fn gauge(value: i64) -> Gauge {
    let gauge = Gauge::default();
    gauge.set(value);
    gauge
}

/// The older text format, which every Prometheus reads, out of `OpenMetrics`: there a counter has
/// the name of its samples, and the text has no end mark.
fn plain(text: &str) -> String {
    let counters: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter"))
        .collect();
    let mut plain = String::with_capacity(text.len() + 64);
    for line in text.lines().filter(|line| *line != "# EOF" && !line.starts_with("# UNIT ")) {
        let mut words = line.splitn(4, ' ');
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some("#"), Some(what), Some(name), rest) if counters.contains(&name) => {
                let _ = write!(plain, "# {what} {name}_total {}", rest.unwrap_or_default());
            }
            _ => plain.push_str(line),
        }
        plain.push('\n');
    }
    plain
}

/// For Prometheus to fetch.
pub(super) async fn render(
    State((verifier, metrics)): State<(Arc<Verifier>, Metrics)>,
) -> Response {
    match metrics.text(&verifier).await {
        Some(text) => {
            ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
        }
        None => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn counters_have_the_name_of_their_samples() {
        let open = "# HELP otpd_logins Logins.\n# TYPE otpd_logins counter\n\
                    otpd_logins_total{outcome=\"granted\"} 1\n# HELP otpd_x X.\n\
                    # TYPE otpd_x gauge\notpd_x 2\n# EOF\n";
        let text = "# HELP otpd_logins_total Logins.\n# TYPE otpd_logins_total counter\n\
                    otpd_logins_total{outcome=\"granted\"} 1\n# HELP otpd_x X.\n\
                    # TYPE otpd_x gauge\notpd_x 2\n";
        assert_eq!(plain(open), text);
    }
}
