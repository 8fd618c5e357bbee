//! A rest and its end over real HTTP: the requests are real, and the time is set.

use std::sync::atomic::{AtomicBool, Ordering};

use super::{
    super::{
        super::{
            settings::{HttpSettings, Settings},
            testing::Server,
        },
        open,
    },
    *,
};

fn gateway(server: &Server) -> Settings {
    Settings::Http(HttpSettings {
        url: server.url("/send"),
        method: "POST".to_owned(),
        headers: Vec::new(),
        body: r#"{"to": "{to}", "text": "{text}"}"#.to_owned(),
        success_status: Vec::new(),
        id_pointer: Some("/id".to_owned()),
        ca_file: None,
    })
}

#[tokio::test]
async fn a_vendor_is_asked_again_when_its_rest_is_over_and_stays_in_use_if_it_is_well() {
    let ill = Arc::new(AtomicBool::new(true));
    let condition = Arc::clone(&ill);
    let answer = move |_: &_| {
        if condition.load(Ordering::SeqCst) {
            (503, vec![], "maintenance".into())
        } else {
            (200, vec![], r#"{"id": "m-1"}"#.into())
        }
    };
    let (first, second) =
        (Server::answering(answer).await, Server::start(200, &[], r#"{"id": "m-1"}"#).await);
    let order = [name("first"), name("second")];
    let settings = [&first, &second].map(gateway);
    let gateways: Vec<_> = order.iter().cloned().zip(settings).collect();
    let routes = open(&gateways, &order, &[]).unwrap();
    // Seconds since the begin, whether the first is ill by then, and who is asked.
    let mut steps = vec![(0, true, "first, second"); 5];
    steps.extend([
        (0, true, "second"),
        (29, true, "second"),
        (30, true, "first, second"),
        (31, false, "second"),
        (89, false, "second"),
        (90, false, "first"),
        (91, false, "first"),
        // One failure after that is one, and no rest.
        (92, true, "first, second"),
        (93, false, "first"),
    ]);
    for (nth, (seconds, is_ill, expected)) in steps.into_iter().enumerate() {
        ill.store(is_ill, Ordering::SeqCst);
        let now = NOW.after(Duration::from_secs(seconds));
        let delivery = deliver(&routes, &[], now).await;
        assert_eq!(asked(&delivery).join(", "), expected, "step {nth}, after {seconds} s");
        let seen = [first.seen().len(), second.seen().len()];
        let requests = ["first", "second"].map(|name| usize::from(expected.contains(name)));
        assert_eq!(seen, requests, "step {nth}, after {seconds} s");
        let by = if expected == "first" { "first" } else { "second" };
        assert_eq!(delivery.result, sent(by), "step {nth}, after {seconds} s");
    }
    assert_eq!(routes.health()[0].state, GatewayState::Ready);
}
