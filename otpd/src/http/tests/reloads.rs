//! What is under way when the configuration is read again.

use std::time::Duration;

use super::{
    Open, Public, TOKEN, URL,
    answers::{called, named},
    signed, status, told,
};
use crate::{
    domain::login::Cause,
    gateway::{Notice, Status},
};

/// What vendors are told by the configuration that comes after.
const NEW_URL: &str = "https://login.example.net";
/// The token of its gateway.
const NEW_TOKEN: &str = "canary-token-2";

/// Ten minutes, the longest life of a challenge, without the last seconds of it.
const NEARLY: Duration = Duration::from_secs(590);
/// And what is left of them.
const REST: Duration = Duration::from_millis(10_001);

fn delivered(id: &str) -> [(&str, &str); 2] {
    [("MessageSid", id), ("MessageStatus", "delivered")]
}

fn stop(id: &str) -> [(&str, &str); 3] {
    [("Body", "STOP"), ("From", "+14155550100"), ("MessageSid", id)]
}

impl Open {
    fn reload(&self, url: &str, twilio: &str, token: &str) {
        let gate = self.gate.as_ref().expect("the public listener");
        gate.replace_public(told(url, twilio, token));
    }

    /// The status of a form that was signed with this token for this site.
    async fn signed(&self, token: &str, url: &str, path: &str, fields: &[(&str, &str)]) -> u16 {
        let (headers, body) = signed(token, url, path, fields);
        status(&self.post(path, &headers, &body).await)
    }
}

/// Has the runtime's time go by.
async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

#[tokio::test]
async fn receipts_are_heard_under_the_configuration_of_their_messages_for_ten_minutes() {
    let cases = [
        ("another URL", (NEW_URL, "twilio", TOKEN)),
        ("another key", (URL, "twilio", NEW_TOKEN)),
        ("another name", (URL, "second", TOKEN)),
        ("all of it", (NEW_URL, "second", NEW_TOKEN)),
    ];
    for (name, (url, gateway, token)) in cases {
        let mut open = Open::public().await;
        open.reload(url, gateway, token);
        pass(NEARLY).await;
        let old = open.signed(TOKEN, URL, "/receipts/twilio", &delivered("old")).await;
        assert_eq!(old, 200, "{name}");
        let (heard, _) = open.queue().recv().await.expect("queued");
        assert_eq!(heard.0, "twilio", "{name}: by the name that the message went out under");
        let path = format!("/receipts/{gateway}");
        assert_eq!(open.signed(token, url, &path, &delivered("new")).await, 200, "{name}");
        pass(REST).await;
        let late = open.signed(TOKEN, URL, "/receipts/twilio", &delivered("late")).await;
        assert_eq!(late, 404, "{name}");
        assert_eq!(open.signed(token, url, &path, &delivered("newer")).await, 200, "{name}");
    }
}

#[tokio::test]
async fn what_people_write_is_heard_by_the_key_that_holds_whatever_url_it_was_sent_to() {
    let mut open = Open::public().await;
    open.reload(NEW_URL, "twilio", TOKEN);
    assert_eq!(open.signed(TOKEN, URL, "/receipts/twilio", &stop("SM1")).await, 200);
    let (_, notice) = open.queue().try_recv().expect("queued");
    assert!(matches!(notice, Notice::Inbound { .. }), "{notice:?}");
    // And then another key: the first one is of no more use for either URL.
    open.reload(NEW_URL, "twilio", NEW_TOKEN);
    for url in [URL, NEW_URL] {
        assert_eq!(open.signed(TOKEN, url, "/receipts/twilio", &stop(url)).await, 404, "{url}");
    }
}

#[tokio::test]
async fn what_people_write_is_heard_by_the_key_that_holds_alone() {
    let mut open = Open::public().await;
    assert_eq!(open.signed(TOKEN, URL, "/receipts/twilio", &stop("SM1")).await, 200);
    open.reload(URL, "twilio", NEW_TOKEN);
    assert_eq!(open.signed(TOKEN, URL, "/receipts/twilio", &stop("SM2")).await, 404);
    assert_eq!(open.signed(NEW_TOKEN, URL, "/receipts/twilio", &stop("SM3")).await, 200);
    open.reload(URL, "second", NEW_TOKEN);
    assert_eq!(open.signed(NEW_TOKEN, URL, "/receipts/twilio", &stop("SM4")).await, 404);
    let mut heard = 0;
    while let Ok((_, notice)) = open.queue().try_recv() {
        assert!(matches!(notice, Notice::Inbound { .. }), "{notice:?}");
        heard += 1;
    }
    assert_eq!(heard, 2, "before the reload, and with the new key");
}

#[tokio::test]
async fn by_a_superseded_key_a_loss_only_has_the_vendor_asked() {
    let lost =
        |code, id| [("ErrorCode", code), ("MessageSid", id), ("MessageStatus", "undelivered")];
    for (code, expected) in [("21610", Cause::OptedOut), ("30003", Cause::Route)] {
        let mut open = Open::public().await;
        open.reload(NEW_URL, "twilio", TOKEN);
        // Only the URL is another one.
        assert_eq!(open.signed(TOKEN, URL, "/receipts/twilio", &lost(code, "SM1")).await, 200);
        open.reload(NEW_URL, "twilio", NEW_TOKEN);
        assert_eq!(open.signed(TOKEN, URL, "/receipts/twilio", &lost(code, "SM2")).await, 200);
        let new = open.signed(NEW_TOKEN, NEW_URL, "/receipts/twilio", &lost(code, "SM3")).await;
        assert_eq!(new, 200);
        let mut heard = Vec::new();
        while let Ok((_, notice)) = open.queue().try_recv() {
            heard.push(match notice {
                Notice::Progress { id, status: Status::Failed { cause, .. } } => {
                    (id.0, Some(cause))
                }
                Notice::Hint { id } => (id.0, None),
                other => panic!("{other:?}"),
            });
        }
        let expected = [("SM1", Some(expected)), ("SM2", None), ("SM3", Some(expected))];
        assert_eq!(heard, expected.map(|(id, cause)| (id.to_owned(), cause)), "{code}");
    }
}

#[tokio::test]
async fn a_call_says_its_words_under_the_configuration_it_was_made_under() {
    let (open, calling) = called().await;
    let (path, _) = calling.newest();
    open.reload(NEW_URL, "second", NEW_TOKEN);
    let asks = &[("CallSid", "CA1")];
    let (headers, body) = signed(TOKEN, URL, &path, asks);
    let asked = open.post(&path, &headers, &body).await;
    assert_eq!(status(&asked), 200, "{asked}");
    // The next question goes where this one went: it is signed for that.
    assert!(asked.contains(&format!("action=\"{URL}{path}\"")), "{asked}");
    let key = named(&asked);
    let call = [("CallSid", "CA1"), ("Digits", key.as_str())];
    let (headers, body) = signed(TOKEN, URL, &path, &call);
    assert!(open.post(&path, &headers, &body).await.contains("Your code"), "it is said");
    assert_eq!(open.signed(TOKEN, NEW_URL, &path, &call).await, 404, "neither of the two");
    pass(Duration::from_mins(10)).await;
    assert_eq!(open.signed(TOKEN, URL, &path, &call).await, 404);
}

#[tokio::test]
async fn of_many_reloads_the_newest_are_remembered_and_the_same_again_is_none() {
    let open = Open::public().await;
    let token = |age: usize| format!("canary-token-of-reload-{age}");
    for age in 1..=5 {
        open.reload(URL, "twilio", &token(age));
        // Nothing that vendors notice.
        open.reload(URL, "twilio", &token(age));
    }
    for (token, expected) in
        [(TOKEN.to_owned(), 404), (token(1), 200), (token(4), 200), (token(5), 200)]
    {
        let id = format!("SM {token}");
        let answer = open.signed(&token, URL, "/receipts/twilio", &delivered(&id)).await;
        assert_eq!(answer, expected, "{token}");
    }
}

/// Whose connections are many people's is said by the same networks as whose word counts.
#[tokio::test]
async fn proxies_that_are_trusted_since_a_reload_have_all_seats_and_others_no_more() {
    let open = Open::public().await;
    let gate = open.gate.as_ref().expect("the public listener");
    // What the listener was begun with.
    let limits = gate.limits();
    let trusts = |address: &str| limits.trusts(address.parse().expect("an address"));
    assert!(trusts("127.0.0.1") && !trusts("192.0.2.1"));
    let network = "192.0.2.0/24".parse().expect("a network");
    gate.replace_public(Public { trusted_proxies: vec![network], ..told(URL, "twilio", TOKEN) });
    assert!(!trusts("127.0.0.1") && trusts("192.0.2.1"));
}
