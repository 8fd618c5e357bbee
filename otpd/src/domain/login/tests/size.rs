//! How large the one row is that every decision reads and writes.

use super::granted;
use crate::domain::scene::{Scene, ssh};

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
