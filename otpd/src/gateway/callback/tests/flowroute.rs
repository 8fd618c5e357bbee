use super::{Keys, Notice, Owned, Refusal};
use crate::gateway::{GatewayName, VendorMessageId, callback::flowroute::Secret};

fn secret() -> Secret {
    Secret::derive("secret-key", &GatewayName("flowroute".to_owned())).unwrap()
}

#[test]
fn the_path_is_of_the_key_and_the_gateway() {
    let path = secret().path().to_owned();
    assert_eq!(path.len(), 32);
    let others = [("secret-kez", "flowroute"), ("secret-key", "flowroute2")];
    for (key, name) in others {
        let other = Secret::derive(key, &GatewayName(name.to_owned())).unwrap();
        assert_ne!(other.path(), path, "{key} {name}");
    }
}

#[test]
fn what_comes_by_the_path_is_a_hint_and_nothing_else() {
    let url = format!("https://h.example/receipts/flowroute/{}", secret().path());
    let hint = |id: &str| vec![Notice::Hint { id: VendorMessageId(id.to_owned()) }];
    let wrapped = r#"{"data":{"type":"delivery_receipt","id":"mdr2-1","attributes":{"status":"delivered","status_code":1003,"body":"482913 is it"}}}"#;
    let cases = [
        ("wrapped", wrapped, Ok(hint("mdr2-1"))),
        ("bare", r#"{"id":"mdr2-1","status":"failed","to":"1","from":"2"}"#, Ok(hint("mdr2-1"))),
        (
            "what people write",
            r#"{"data":{"id":"mdr2-2","attributes":{"direction":"inbound","body":"STOP","from":"1"}}}"#,
            Ok(Vec::new()),
        ),
        ("the same, bare", r#"{"id":"mdr2-2","to":"1","from":"2","body":"STOP"}"#, Ok(Vec::new())),
        ("no id", r#"{"data":{}}"#, Ok(Vec::new())),
        ("no JSON", "id=1", Err(Refusal::Unreadable)),
    ];
    let keys = Keys::Flowroute(secret());
    for (name, body, expected) in cases {
        assert_eq!(Owned::post(&url, body).notices(&keys), expected, "{name}");
        assert_eq!(Owned::post(&format!("{url}?x=1"), body).notices(&keys), expected, "{name}");
    }
    for wrong in ["", "/", "/0123456789abcdef0123456789abcdef"] {
        let url = format!("https://h.example/receipts/flowroute{wrong}");
        assert_eq!(Owned::post(&url, wrapped).told(&keys), Err(Refusal::Forged), "{wrong}");
    }
    assert!(keys.caller(&Owned::post(&url, "CallSid=1").borrowed()).is_err());
}
