//! Recovery codes and bypasses, from their making to their use.

use otp_proto::login::{Step, Verdict};

use super::{House, Outcome, Typed, accepted};
use crate::domain::{bypass::Wanted, passcode::ChallengeToken};

impl House {
    async fn recovery_codes(&self) -> Vec<String> {
        let made = self.verifier.recovery_codes(&self.root, 0).await.expect("enrolled");
        made.iter().map(|code| code.grouped().to_string()).collect()
    }

    async fn step(&self, token: ChallengeToken, typed: &str) -> Step {
        self.verifier.answer(token, Typed::new(typed)).await.expect("a known challenge")
    }

    /// Everything the database keeps on disk.
    fn bytes(&self) -> Vec<u8> {
        let files = std::fs::read_dir(self.dir.path()).expect("the directory");
        files.flat_map(|file| std::fs::read(file.expect("a file").path()).expect("bytes")).collect()
    }
}

#[tokio::test]
async fn a_recovery_code_lets_in_at_once_and_its_owner_is_told() {
    let mut house = House::new().await;
    let codes = house.recovery_codes().await;
    let (token, _, _) = house.begin().await;
    // The answer does not wait for the vendor, who has not even been asked by then.
    let step = house.step(token, &codes[0]).await;
    assert_eq!(step.verdict, Some(Verdict::Granted));
    assert_eq!(step.text.as_deref(), Some("Recovery code accepted. 7 are left."));
    let text = house.accept().await;
    assert_eq!(text, "A recovery code was used to log in to web01. 7 left. Not you? Tell IT.");
    house.verifier.drained().await;
    assert_eq!(house.verifier.show(&house.root).await.unwrap().expect("enrolled").recovery, 7);
}

#[tokio::test]
async fn an_owner_who_cannot_be_told_is_let_in_all_the_same() {
    let mut house = House::new().await;
    let codes = house.recovery_codes().await;
    let (token, _, _) = house.begin().await;
    assert_eq!(house.step(token, &codes[0]).await.verdict, Some(Verdict::Granted));
    for outcome in [Outcome::Misconfigured("401".into()), Outcome::Rejected("gone".into())] {
        house.settle(outcome).await;
    }
    house.verifier.drained().await;
    assert!(house.vendors.try_recv().is_err(), "it is not tried for ever");
}

#[tokio::test]
async fn telling_the_owner_is_finished_before_the_daemon_ends() {
    let mut house = House::new().await;
    let codes = house.recovery_codes().await;
    let (token, _, _) = house.begin().await;
    house.step(token, &codes[0]).await;
    let handed = house.vendors.recv().await.expect("a message");
    let drained = std::pin::pin!(house.verifier.drained());
    let mut drained = drained;
    let waits = tokio::select! {
        biased;
        () = &mut drained => false,
        () = std::future::ready(()) => true,
    };
    assert!(waits, "it is on its way");
    handed.settle.send(accepted()).expect("the gateway waits");
    drained.await;
}

#[tokio::test]
async fn an_owner_is_told_once_also_when_the_daemon_has_just_started() {
    let mut house = House::new().await;
    let codes = house.recovery_codes().await;
    let (token, _, _) = house.begin().await;
    let mut house = house.crash().await;
    assert_eq!(house.step(token, &codes[0]).await.verdict, Some(Verdict::Granted));
    house.verifier.recover_lost().await;
    house.accept().await;
    house.verifier.drained().await;
    assert!(house.vendors.try_recv().is_err(), "it was on its way");
    // One that the last run did not get to is told by this one.
    let (token, _, _) = house.begin().await;
    assert_eq!(house.step(token, &codes[1]).await.verdict, Some(Verdict::Granted));
    let mut house = house.crash().await;
    house.verifier.recover_lost().await;
    house.accept().await;
    house.verifier.drained().await;
    assert!(house.vendors.try_recv().is_err());
}

#[tokio::test]
async fn recovery_codes_survive_a_crash_and_are_not_in_clear() {
    let mut house = House::new().await;
    let codes = house.recovery_codes().await;
    let (token, _, _) = house.begin().await;
    let bytes = house.bytes();
    let holds = |text: &str| bytes.windows(text.len()).any(|part| part == text.as_bytes());
    assert!(holds("recovery-codes-made"), "the search finds what is in clear");
    for code in &codes {
        let plain = code.replace('-', "");
        for form in [code.as_str(), &plain, &code.to_lowercase(), &plain[..8]] {
            assert!(!holds(form), "{form} is in clear");
        }
    }
    let mut house = house.crash().await;
    assert_eq!(house.step(token, &codes[3]).await.verdict, Some(Verdict::Granted));
    house.accept().await;
    house.verifier.drained().await;
    let again = house.step(token, &codes[4]).await;
    assert_eq!(again.verdict, Some(Verdict::Denied), "the login is over");
}

#[tokio::test]
async fn without_messages_the_prompt_asks_for_a_recovery_code() {
    let mut house = House::new().await;
    let codes = house.recovery_codes().await;
    for round in 0..5 {
        let mut claim = House::claim();
        claim.connection = Some(format!("203.0.113.9 5000{round} 192.0.2.1 22 1"));
        let verifier = std::sync::Arc::clone(&house.verifier);
        let ((token, _), _) = tokio::join!(verifier.begin(claim), house.accept());
        verifier.cancel(token.expect("a challenge")).await;
    }
    let (token, step) = house.verifier.begin(House::claim()).await;
    let prompt = step.prompt.expect("a prompt").text;
    assert!(prompt.starts_with("No more messages can be sent until "), "{prompt}");
    assert!(prompt.contains("Limit unanswered-per-hour, since "), "{prompt}");
    assert!(house.vendors.try_recv().is_err(), "nothing is sent");
    let token = token.expect("a challenge");
    let mut house = house.crash().await;
    house.verifier.recover_lost().await;
    assert!(house.vendors.try_recv().is_err(), "nor after a restart");
    let help = house.step(token, "482913").await.prompt.expect("a prompt").text;
    assert!(help.contains("A recovery code has 24 letters and digits; 8 are left."), "{help}");
    assert_eq!(house.step(token, &codes[0]).await.verdict, Some(Verdict::Granted));
    house.accept().await;
}

#[tokio::test]
async fn a_bypass_lets_in_is_listed_and_ends_with_its_uses() {
    let mut house = House::empty().await;
    let wanted = Wanted::new(3600, "lost phone", Some(2), Some("203.0.113.0/24")).expect("good");
    let bypass = house.verifier.grant_bypass(&house.root, wanted, 0).await.expect("granted");
    for left in [Some(1), None] {
        let (token, step) = house.verifier.begin(House::claim()).await;
        assert_eq!((token, step.verdict), (None, Some(Verdict::Granted)));
        let listed = house.verifier.bypasses().await.expect("a list");
        let listed = listed.iter().map(|(account, found)| {
            assert_eq!((account, found.id), (&house.root.account, bypass.id));
            found.uses_left.expect("counted")
        });
        assert_eq!(listed.collect::<Vec<_>>(), left.into_iter().collect::<Vec<u8>>());
    }
    let (_, step) = house.verifier.begin(House::claim()).await;
    assert_eq!(step.verdict, Some(Verdict::Denied), "not enrolled");
    assert!(house.vendors.try_recv().is_err());
}

#[tokio::test]
async fn a_bypass_that_is_revoked_or_over_is_listed_no_more() {
    let house = House::empty().await;
    let wanted = || Wanted::new(3600, "lost phone", None, None).expect("good");
    for _ in 0..2 {
        house.verifier.grant_bypass(&house.root, wanted(), 0).await.expect("granted");
    }
    assert_eq!(house.verifier.bypasses().await.expect("a list").len(), 2);
    assert_eq!(house.verifier.revoke_bypass(&house.root, None, 0).await, Ok(2));
    assert!(house.verifier.bypasses().await.expect("a list").is_empty());
    house.verifier.grant_bypass(&house.root, wanted(), 0).await.expect("granted");
    assert_eq!(house.verifier.is_known(&house.root.account).await, Ok(true));
    house.now.lock().unwrap().0 += 3_600_000;
    assert!(house.verifier.bypasses().await.expect("a list").is_empty());
    assert_eq!(house.verifier.is_known(&house.root.account).await, Ok(false));
}
