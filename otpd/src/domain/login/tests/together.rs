//! What many accounts do together: whom its limits stop, and whom never.

use super::{Begun, LimitName, granted, limit, refused};
use crate::domain::{
    audit::Event,
    budget::Conversion,
    enrollment::Enrollment,
    records::TrafficKey,
    scene::{Scene, account, ssh},
};

fn enrollment(scene: &Scene) -> Enrollment {
    scene.enrollments[&account("alice")].clone()
}

/// Others of the country had as many messages in this hour as there may be, and nobody answered.
fn flood(scene: &mut Scene) {
    let country = TrafficKey::Country(enrollment(scene).destination.country);
    let traffic = scene.traffic.entry(country).or_default();
    (0..20).for_each(|_| traffic.charge(scene.now));
}

#[test]
fn the_first_message_of_the_hour_goes_and_no_further_one() {
    let mut scene = Scene::new();
    flood(&mut scene);
    // The number was proved lately.
    assert!(matches!(scene.begin(ssh(1)), Begun::Issued(..)));
    assert_eq!(limit(refused(&scene.begin(ssh(2)))), LimitName::CountryPerHour);
}

#[test]
fn not_even_the_first_one_goes_to_who_was_not_in_lately() {
    let mut scene = Scene::new();
    scene.now = scene.now.after(crate::domain::time::DAY * 31);
    flood(&mut scene);
    assert_eq!(limit(refused(&scene.begin(ssh(1)))), LimitName::CountryPerHour);
}

#[test]
fn whoever_comes_from_a_known_source_is_not_stopped() {
    let mut scene = Scene::new();
    let token = scene.start(ssh(1).from(1));
    assert!(granted(&scene.right(token)));
    flood(&mut scene);
    assert!(matches!(scene.begin(ssh(2).from(1)), Begun::Issued(..)));
    assert_eq!(limit(refused(&scene.begin(ssh(3).from(2)))), LimitName::CountryPerHour);
}

#[test]
fn an_alert_says_whether_messages_stop() {
    for (rule, stops) in [(Conversion::Alert, false), (Conversion::Block, true)] {
        let mut scene = Scene::new();
        scene.terms.limits.conversion = rule;
        flood(&mut scene);
        scene.wait(121);
        scene.start(ssh(1));
        let told = scene.audit.iter().find_map(|event| match event.event {
            Event::ConversionLow { blocked, .. } => Some(blocked),
            _ => None,
        });
        assert_eq!(told, Some(stops), "{rule:?}");
    }
}
