//! How large the one row is that every decision reads and writes.

use super::granted;
use crate::domain::{
    passcode::ChallengeToken,
    scene::{Scene, ssh},
};

fn size(scene: &Scene) -> usize {
    minicbor::to_vec(scene.login("alice")).expect("a stored form").len()
}

#[test]
fn the_row_of_a_normal_day_is_small() {
    let mut scene = Scene::new();
    for id in 0..5 {
        let token = scene.start(ssh(id));
        if id == 2 {
            let wrong = scene.wrong(token);
            scene.asked(token, &wrong);
        }
        assert!(granted(&scene.right(token)));
        scene.wait(3600);
    }
    scene.start(ssh(5));
    let size = size(&scene);
    println!("a row after five logins in a day, with one live challenge: {size} bytes");
    assert!(size < 300, "{size} bytes");
}

#[test]
fn of_the_ended_logins_the_newest_are_kept() {
    let mut scene = Scene::new();
    let token = scene.start(ssh(1));
    assert!(granted(&scene.right(token)));
    scene.start(ssh(2));
    let mut login = scene.login("alice");
    let live = login.challenges.pop().expect("the second");
    let ended = login.challenges.pop().expect("the first");
    let many = (0..20).map(|id| {
        let mut one = ended.clone();
        one.token = ChallengeToken([id; 16]);
        one
    });
    login.challenges = [live.clone()].into_iter().chain(many).collect();
    login.prune(scene.now);
    let kept = login.challenges.iter().map(|challenge| challenge.token).collect::<Vec<_>>();
    let newest = (4..20).map(|id| ChallengeToken([id; 16]));
    assert_eq!(kept, [live.token].into_iter().chain(newest).collect::<Vec<_>>());
}

#[test]
fn the_row_of_a_bad_day_is_bounded() {
    let mut scene = Scene::new();
    for id in 0..120 {
        let token = scene.start(ssh(id).from(id));
        let wrong = scene.wrong(token);
        if id % 8 == 0 {
            scene.asked(token, &wrong);
        }
        for _ in 0..2 {
            scene.wait(60);
            scene.answer(token, "r");
            scene.fail();
        }
        assert!(granted(&scene.right(token)));
        scene.wait(600);
    }
    let size = size(&scene);
    println!("a row after 120 logins in a day: {size} bytes");
    assert!(size < 4096, "{size} bytes");
}
