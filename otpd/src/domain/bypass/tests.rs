use std::time::Duration;

use super::{
    Bypass, BypassId, BypassRefusal, Bypasses, GrantBypass, Network, NetworkError, RevokeBypass,
    Wanted, WantedError,
};
use crate::domain::{
    manage::Verb,
    scene::{START, Scene, account, source},
    time::{DAY, HOUR, Timestamp},
};

const MS: Duration = Duration::from_millis(1);

fn bypass(uses_left: Option<u8>, from: Option<&str>) -> Bypass {
    Bypass {
        id: BypassId(1),
        granted_at: START,
        until: START.after(HOUR),
        by: 0,
        reason: "lost phone".to_owned(),
        uses_left,
        used: 0,
        from: from.map(|text| Network::parse(text).expect("a network")),
    }
}

#[test]
fn what_can_be_asked_for() {
    let (long, too_long) = ("ä".repeat(200), "ä".repeat(201));
    let cases = [
        ("the shortest", (60, "x", None, None), Ok(())),
        ("shorter", (59, "x", None, None), Err(WantedError::Span)),
        ("the longest", (604_800, "x", None, None), Ok(())),
        ("longer", (604_801, "x", None, None), Err(WantedError::Span)),
        ("negative", (-3600, "x", None, None), Err(WantedError::Span)),
        ("no reason", (60, " ", None, None), Err(WantedError::Reason)),
        ("the longest reason", (60, &*long, None, None), Ok(())),
        ("a longer one", (60, &*too_long, None, None), Err(WantedError::Reason)),
        ("two lines", (60, "a\nb", None, None), Err(WantedError::Reason)),
        ("an escape", (60, "a\u{1b}[2J", None, None), Err(WantedError::Reason)),
        ("one login", (60, "x", Some(1), None), Ok(())),
        ("no login", (60, "x", Some(0), None), Err(WantedError::Uses)),
        ("a hundred", (60, "x", Some(100), None), Ok(())),
        ("one more", (60, "x", Some(101), None), Err(WantedError::Uses)),
        ("very many", (60, "x", Some(357), None), Err(WantedError::Uses)),
        ("a network", (60, "x", None, Some("10.0.0.0/8")), Ok(())),
        ("none", (60, "x", None, Some("office")), Err(WantedError::From(NetworkError::Shape))),
    ];
    for (name, (seconds, reason, uses, from), expected) in cases {
        assert_eq!(Wanted::new(seconds, reason, uses, from).map(drop), expected, "{name}");
    }
}

#[test]
fn a_bypass_admits_in_its_time_for_its_uses_and_addresses() {
    let slack = Duration::from_secs(5);
    let (here, end) = (Some(source(9)), START.after(HOUR));
    let cases = [
        ("at its grant", bypass(None, None), here, START, true),
        ("a millisecond before its end", bypass(None, None), here, end.before(MS), true),
        ("at its end", bypass(None, None), here, end, false),
        ("the clock a little back", bypass(None, None), here, START.before(slack), true),
        ("the clock back", bypass(None, None), here, START.before(slack + MS), false),
        ("a use left", bypass(Some(1), None), here, START, true),
        ("none left", bypass(Some(0), None), here, START, false),
        ("from inside", bypass(None, Some("203.0.113.0/24")), here, START, true),
        ("from outside", bypass(None, Some("198.51.100.0/24")), here, START, false),
        ("on a console", bypass(None, None), None, START, true),
        ("on a console, for a network", bypass(None, Some("0.0.0.0/0")), None, START, false),
    ];
    for (name, bypass, from, now, admits) in cases {
        let mut bypasses = Bypasses(vec![bypass.clone()]);
        let taken = bypasses.take(from, now);
        assert_eq!(taken.is_some(), admits, "{name}");
        if let Some(taken) = taken {
            assert_eq!(taken.used, 1, "{name}");
            assert_eq!(taken.uses_left, bypass.uses_left.map(|uses| uses - 1), "{name}");
            let kept = bypasses.0.first().cloned();
            assert_eq!(kept, (taken.uses_left != Some(0)).then_some(taken), "{name}");
        }
    }
}

#[test]
fn the_one_that_ends_first_is_used_first() {
    let mut scene = Scene::new();
    let long = grant(&mut scene, 2, DAY, Some(3)).expect("granted");
    let short = grant(&mut scene, 1, HOUR, Some(1)).expect("granted");
    let mut bypasses = scene.login("alice").bypasses;
    let order = (0..5).map(|_| bypasses.take(None, START).map(|taken| taken.id));
    let order = order.collect::<Vec<_>>();
    assert_eq!(order, [Some(short), Some(long), Some(long), Some(long), None]);
}

#[test]
fn those_that_are_over_are_not_shown() {
    let over = Bypass { id: BypassId(2), until: START, ..bypass(None, None) };
    let bypasses = Bypasses(vec![over, bypass(Some(0), None), bypass(Some(1), None)]);
    let shown = |now| bypasses.current(now).map(|bypass| bypass.uses_left).collect::<Vec<_>>();
    assert_eq!(shown(START), [Some(1)]);
    assert_eq!(shown(START.after(HOUR)), []);
}

fn grant(
    scene: &mut Scene,
    id: u32,
    span: Duration,
    uses: Option<i64>,
) -> Result<BypassId, BypassRefusal> {
    let seconds = i64::try_from(span.as_secs()).expect("a span");
    let wanted = Wanted::new(seconds, "lost phone", uses, None).expect("in range");
    let grant = GrantBypass { account: account("alice"), id: BypassId(id), wanted, uid: 7 };
    let alice = Some(account("alice"));
    let granted = scene.decide(alice, None, |records, now| grant.decide(records, now));
    granted.map(|bypass| bypass.id)
}

fn revoke(scene: &mut Scene, id: Option<&str>) -> usize {
    let revoke = RevokeBypass { account: account("alice"), id: id.map(str::to_owned), uid: 7 };
    scene.decide(Some(account("alice")), None, |records, now| revoke.decide(records, now))
}

#[test]
fn an_account_has_at_most_eight() {
    let mut scene = Scene::new();
    for id in 0..8 {
        assert_eq!(grant(&mut scene, id, HOUR, None), Ok(BypassId(id)));
    }
    scene.events();
    assert_eq!(grant(&mut scene, 8, HOUR, None), Err(BypassRefusal::TooMany));
    assert_eq!(scene.events(), ["refused too-many-bypasses"]);
    scene.now = START.after(HOUR).before(MS);
    assert_eq!(grant(&mut scene, 8, HOUR, None), Err(BypassRefusal::TooMany));
    scene.now = START.after(HOUR);
    assert_eq!(grant(&mut scene, 8, HOUR, None), Ok(BypassId(8)), "those that are over are gone");
    assert_eq!(scene.login("alice").bypasses.0.len(), 1);
}

#[test]
fn one_is_revoked_by_its_name_or_all_without() {
    let mut scene = Scene::new();
    for id in 0..3 {
        grant(&mut scene, id, HOUR, None).expect("granted");
    }
    scene.events();
    let name = BypassId(1).to_string();
    for (case, id, ended) in [
        ("unknown", Some("ZZZZ-ZZ"), 0),
        ("in lower case", Some(&*name.to_ascii_lowercase()), 1),
        ("again", Some(&*name), 0),
        ("all", None, 2),
        ("none are left", None, 0),
    ] {
        assert_eq!(revoke(&mut scene, id), ended, "{case}");
        let events =
            if ended == 0 { vec!["refused no-such-bypass"] } else { vec!["bypass-revoked"; ended] };
        assert_eq!(scene.events(), events, "{case}");
    }
}

#[test]
fn one_that_is_over_was_not_revoked() {
    let mut scene = Scene::new();
    grant(&mut scene, 1, HOUR, None).expect("granted");
    scene.now = START.after(HOUR);
    assert_eq!(revoke(&mut scene, None), 0);
}

#[test]
fn an_account_that_is_switched_off_gets_none_and_a_removed_one_keeps_none() {
    let mut scene = Scene::new();
    grant(&mut scene, 1, HOUR, None).expect("granted");
    scene.manage("alice", Verb::Disable);
    assert_eq!(grant(&mut scene, 2, HOUR, None), Err(BypassRefusal::Disabled));
    scene.manage("alice", Verb::Remove);
    assert_eq!(scene.login("alice").bypasses, Bypasses::default());
    assert_eq!(grant(&mut scene, 3, HOUR, None), Ok(BypassId(3)), "it needs no number");
}

#[test]
fn times_do_not_overflow() {
    let mut bypass = bypass(None, None);
    bypass.granted_at = Timestamp(i64::MIN);
    assert!(!bypass.is_over(START) && bypass.admits(None, Timestamp(i64::MIN)));
}
