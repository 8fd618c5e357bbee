//! The first operation on a file that fails, then the second, and so on, through a whole login: no
//! grant, no lost charge, and everything goes on by itself.

use otp_proto::login::{Step, Verdict};
use otpd_tests::{
    daemon::{Daemon, Place},
    disk::{Disk, EIO, ENOSPC, EROFS, What, kinds},
    phone::Phone,
    wire::{is_granted, login, wrong},
};

use super::people::PEOPLE;

const USER: &str = PEOPLE[0].0;

/// What came of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Granted,
    Wrong,
    Denied,
    Unavailable,
}

fn told(step: &Step) -> Told {
    match (step.verdict, &step.prompt) {
        (Some(Verdict::Granted), _) => Told::Granted,
        (Some(Verdict::Denied), _) => Told::Denied,
        (Some(Verdict::Unavailable), _) => Told::Unavailable,
        (None, Some(prompt)) if prompt.text.contains("not right") => Told::Wrong,
        other => panic!("neither an answer nor a question: {other:?}"),
    }
}

/// A daemon on a disk that fails by order.
struct Scene {
    phone: Phone,
    place: Place,
    disk: Disk,
    daemon: Daemon,
    /// Times that something was refused.
    refused: usize,
}

impl Scene {
    fn new() -> Self {
        let phone = Phone::start();
        let place = Place::new(&phone);
        let disk = Disk::new(&place, "otpd.db");
        let daemon = Daemon::spawn(disk.under(place.command()), place.socket(), ": ready ");
        daemon.enroll(&phone, USER, PEOPLE[0].1);
        Self { phone, place, disk, daemon, refused: 0 }
    }

    /// A login in the middle of which the disk fails: once begun, one wrong code and the right one
    /// until it is taken or refused. True when the disk had something to fail at.
    fn fails(&mut self, what: What, of: u32) -> bool {
        let name = format!("{what:?} of {of:#x}");
        self.daemon.unlock(USER);
        let before = self.daemon.show(USER);
        let mut wire = self.daemon.connect();
        self.disk.set(what, of);
        let begun = wire.begin(USER);
        let Some(challenge) = begun.challenge else {
            assert_eq!(begun.step.verdict, Some(Verdict::Unavailable), "{name}: {begun:?}");
            let met = self.disk.met();
            self.disk.set(What::Works, 0);
            while self.phone.pending().is_some() {}
            self.cause_is_logged(what);
            assert!(met > 0, "{name}: refused for no reason");
            return true;
        };
        let code = self.phone.next().code();
        let first = told(&wire.answer(&challenge, &wrong(&code, 0)));
        let second = told(&wire.answer(&challenge, &code));
        let met = self.disk.met();
        self.disk.set(What::Works, 0);
        assert_ne!(first, Told::Granted, "{name}");
        let third = told(&wire.answer(&challenge, &code));
        let fourth = told(&wire.answer(&challenge, &code));
        let grants = [second, third, fourth].iter().filter(|told| **told == Told::Granted).count();
        assert!(grants <= 1, "{name}: granted twice");
        assert!([Told::Granted, Told::Denied].contains(&third), "{name}: not by itself: {third:?}");
        assert_eq!(fourth, Told::Denied, "{name}");
        // A grant that nobody was told of is the only other end.
        assert!(grants == 1 || second == Told::Unavailable, "{name}: a login was lost");
        let charged = self.daemon.show(USER).failures_24h - before.failures_24h;
        match first {
            Told::Wrong => assert_eq!(charged, 1, "{name}: told, so on record"),
            Told::Unavailable => assert!(charged <= 1, "{name}"),
            Told::Granted | Told::Denied => panic!("{name}: {first:?}"),
        }
        if [first, second].contains(&Told::Unavailable) {
            self.cause_is_logged(what);
            assert!(met > 0, "{name}: refused for no reason");
        }
        met > 0
    }

    /// Every refusal is explained; a full disk once, for as long as it is full.
    fn cause_is_logged(&mut self, what: What) {
        if let What::FailOnce(_, ENOSPC) | What::FailFrom(_, ENOSPC) = what {
            self.daemon.wait_for("the disk is full: new logins are refused");
            return;
        }
        self.refused += 1;
        let line = "the store failed; nothing is granted until it works";
        self.daemon.wait_for_count(line, self.refused);
    }

    /// A login as if nothing had been, with the same process.
    fn works(&self) {
        let mut wire = self.daemon.connect();
        let challenge = wire.prompt(&login(USER, None)).challenge;
        let code = self.phone.next().code();
        assert!(is_granted(&wire.answer(&challenge, &code)));
    }
}

/// Every operation of a login fails once, one after the other, with this error.
fn each_fails_once(name: &str, error: u32, of: u32) {
    let mut faults = 0;
    // The 21st wrong code of an account ends what is live: a new place before that.
    for from in (1..).step_by(15) {
        let mut scene = Scene::new();
        let met = (from..from + 15).take_while(|nth| scene.fails(What::FailOnce(*nth, error), of));
        let met = u32::try_from(met.count()).expect("few");
        scene.works();
        // What the crash leaves is as good as what the daemon saw.
        let Scene { phone, place, daemon, .. } = scene;
        daemon.kill();
        let daemon = place.start();
        let mut wire = daemon.connect();
        let challenge = wire.prompt(&login(USER, None)).challenge;
        assert!(is_granted(&wire.answer(&challenge, &phone.next().code())));
        faults += met;
        if met < 15 {
            break;
        }
    }
    assert!(faults >= 5, "{name}: {faults} faults");
    println!("{name}: {faults} faults injected");
}

#[test]
fn each_operation_fails_once_with_an_input_output_error() {
    each_fails_once("EIO", EIO, kinds::ALL);
}

#[test]
fn each_change_fails_once_for_want_of_space() {
    each_fails_once("ENOSPC", ENOSPC, kinds::CHANGES);
}

#[test]
fn each_change_fails_once_on_a_disk_that_is_read_only() {
    each_fails_once("EROFS", EROFS, kinds::CHANGES);
}

#[test]
fn a_disk_that_fails_from_some_point_on_and_works_again() {
    let mut faults = 0;
    for (error, of) in [
        (EIO, kinds::ALL),
        (EIO, kinds::SYNC),
        (EIO, kinds::READ),
        (EROFS, kinds::CHANGES),
        (ENOSPC, kinds::WRITE),
    ] {
        let mut scene = Scene::new();
        let met = (1..=15).filter(|nth| scene.fails(What::FailFrom(*nth, error), of));
        faults += met.count();
        scene.works();
    }
    println!("from some point on: {faults} faults injected");
}
