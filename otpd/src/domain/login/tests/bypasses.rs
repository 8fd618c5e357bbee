//! Logins that a bypass lets in.

use std::time::Duration;

use super::{Begun, Denial, granted, guess, refused};
use crate::domain::{
    audit::Event,
    bypass::{BypassId, GrantBypass, RevokeBypass, Wanted},
    enrollment::State,
    manage::Verb,
    policy::Unenrolled,
    scene::{Run, START, Scene, account, console, ssh},
    time::{DAY, HOUR},
};

pub(super) fn bypass(scene: &mut Scene, name: &str, uses: Option<i64>, from: Option<&str>) {
    let wanted = Wanted::new(3600, "lost phone", uses, from).expect("in range");
    let id = BypassId::new(u32::MAX);
    let grant = GrantBypass { account: account(name), id, wanted, uid: 7 };
    let granted =
        scene.decide(Some(account(name)), None, |records, now| grant.decide(records, now));
    granted.expect("granted");
    scene.audit.clear();
}

fn bypassed(begun: &Begun) -> bool {
    matches!(begun, Begun::Bypassed(_))
}

#[test]
fn a_bypass_grants_without_a_prompt_whatever_the_codes_are_like() {
    type Setting = fn(&mut Scene);
    let settings: [(&str, &str, Setting); 7] = [
        ("a proved number", "alice", |_| {}),
        ("no number", "carol", |_| {}),
        ("no number, where none is needed", "carol", |scene| {
            scene.terms.unenrolled = Unenrolled::Ignore;
        }),
        ("not proved yet", "alice", |scene| {
            let alice = scene.enrollments.get_mut(&account("alice")).expect("enrolled");
            alice.state = State::Pending;
        }),
        ("a pause", "alice", |scene| guess(scene, 10)),
        ("no country", "alice", |scene| scene.terms.countries.clear()),
        ("no message left", "alice", |scene| {
            scene.terms.limits.unanswered_per_hour = 1;
            scene.start(console());
        }),
    ];
    for (name, user, set) in settings {
        let mut scene = Scene::new();
        set(&mut scene);
        bypass(&mut scene, user, None, None);
        let (sent, before) = (scene.sent(), scene.login(user));
        for run in [ssh(1), ssh(1), console()] {
            assert!(bypassed(&scene.begin(run.of(user))), "{name}");
        }
        assert_eq!(scene.events(), ["login-bypassed lost phone"; 3], "{name}");
        assert_eq!(scene.sent(), sent, "{name}");
        let after = scene.login(user);
        assert_eq!(after.challenges.len(), before.challenges.len(), "{name}");
        assert!(!after.knows(ssh(1).source, scene.now), "{name}: no factor was shown");
        assert_eq!(after.failures, before.failures, "{name}");
    }
}

#[test]
fn who_is_denied_or_exempt_anyway_uses_none_up() {
    let mut scene = Scene::new();
    bypass(&mut scene, "alice", Some(1), None);
    assert!(matches!(scene.begin(Run { exempt: true, ..ssh(1) }), Begun::Ignored));
    let nobody = Run { exists: false, ..ssh(2) };
    assert_eq!(refused(&scene.begin(nobody)), Denial::NoAccount);
    scene.manage("alice", Verb::Disable);
    assert_eq!(refused(&scene.begin(ssh(3))), Denial::Disabled, "switched off wins");
    scene.manage("alice", Verb::Enable);
    assert!(bypassed(&scene.begin(ssh(4))));
    assert!(matches!(scene.begin(ssh(5)), Begun::Issued(..)), "one use was all");
}

#[test]
fn uses_are_counted_exactly() {
    for uses in [1u8, 2, 100] {
        let mut scene = Scene::new();
        bypass(&mut scene, "alice", Some(uses.into()), None);
        for nth in 0..uses {
            let Begun::Bypassed(bypass) = scene.begin(ssh(nth)) else { panic!("{nth} of {uses}") };
            assert_eq!((bypass.used, bypass.uses_left), (u32::from(nth) + 1, Some(uses - nth - 1)));
            if nth % 2 == 0 {
                scene.restart();
            }
        }
        let token = scene.start(ssh(200));
        assert!(granted(&scene.right(token)), "then a code is asked for");
    }
}

#[test]
fn who_granted_it_and_why_is_written_down_with_every_use() {
    let mut scene = Scene::new();
    bypass(&mut scene, "alice", Some(2), Some("203.0.113.0/24"));
    scene.begin(ssh(1));
    let event = scene.audit.pop().expect("an event");
    let expected = Event::LoginBypassed {
        service: "sshd".to_owned(),
        source: Some("203.0.113.9".to_owned()),
        bypass: "ZZZZ-ZZ".to_owned(),
        granted_by: 7,
        reason: "lost phone".to_owned(),
        uses_left: Some(1),
    };
    assert_eq!(event.event, expected);
}

#[test]
fn it_holds_for_its_addresses_and_its_time() {
    let ms = Duration::from_millis(1);
    let end = START.after(HOUR);
    let cases = [
        ("inside", ssh(1), START, true),
        ("inside, at the last moment", ssh(1), end.before(ms), true),
        ("at its end", ssh(1), end, false),
        ("outside", Run { source: "198.51.100.9".parse().ok().map(of), ..ssh(1) }, START, false),
        ("on a console", console(), START, false),
        ("the clock went back", ssh(1), START.before(DAY), false),
    ];
    for (name, run, now, grants) in cases {
        let mut scene = Scene::new();
        bypass(&mut scene, "alice", None, Some("203.0.113.0/24"));
        scene.now = now;
        assert_eq!(bypassed(&scene.begin(run)), grants, "{name}");
    }
}

fn of(address: core::net::IpAddr) -> crate::domain::account::Source {
    crate::domain::account::Source::of(address)
}

#[test]
fn one_that_is_revoked_grants_nothing() {
    let mut scene = Scene::new();
    bypass(&mut scene, "alice", None, None);
    assert!(bypassed(&scene.begin(ssh(1))));
    let revoke = RevokeBypass { account: account("alice"), id: None, uid: 0 };
    let alice = Some(account("alice"));
    assert_eq!(scene.decide(alice, None, |records, now| revoke.decide(records, now)), 1);
    assert!(matches!(scene.begin(ssh(2)), Begun::Issued(..)));
}

#[test]
fn a_login_that_was_just_denied_gets_in_once_an_administrator_has_helped() {
    let mut scene = Scene::new();
    scene.terms.countries.clear();
    assert_eq!(refused(&scene.begin(ssh(1))), Denial::Country);
    bypass(&mut scene, "alice", None, None);
    assert!(bypassed(&scene.begin(ssh(1))));
}

#[test]
fn it_is_the_accounts_own() {
    let mut scene = Scene::new();
    bypass(&mut scene, "alice", None, None);
    assert!(matches!(scene.begin(ssh(1).of("bob")), Begun::Issued(..)));
}
