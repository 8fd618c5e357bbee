//! The power goes at any moment. What the daemon changed on its disk is recorded, and a disk is made
//! for every moment: with all that was written by then, and with nothing but what the disk had been
//! told to keep. A use of a code that was acknowledged before that moment stays a use on both.

use std::{collections::BTreeMap, fs, path::PathBuf};

use otpd_tests::{
    daemon::{Daemon, Place},
    disk::{Change, Disk, How},
    phone::Phone,
    wire::{is_granted, login, wrong},
};

use super::people::PEOPLE;

const USER: &str = PEOPLE[0].0;

/// Files, and what is in them.
type Files = BTreeMap<PathBuf, Vec<u8>>;

/// What a disk keeps of what was written to it and not synced when the power goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Keeps {
    /// All of it: as after a kill.
    All,
    /// None of it.
    Synced,
    /// None of it, of a disk that does not even keep what it was told to: the proof that this test
    /// would see a loss.
    NothingNew,
}

/// The files as a disk has them after these changes.
fn files(before: &Files, changes: &[Change], keeps: Keeps) -> Files {
    let mut files = before.clone();
    for (at, change) in changes.iter().enumerate() {
        let synced = || {
            let mut later = changes.get(at..).unwrap_or_default().iter();
            later.any(|later| later.path == change.path && later.how == How::Sync)
        };
        let kept = match keeps {
            Keeps::All => true,
            Keeps::Synced => synced(),
            Keeps::NothingNew => false,
        };
        if !kept {
            continue;
        }
        let file = files.entry(change.path.clone()).or_default();
        match &change.how {
            How::Write(offset, bytes) => {
                let from = usize::try_from(*offset).expect("a small file");
                let to = from + bytes.len();
                file.resize(file.len().max(to), 0);
                file.get_mut(from..to).expect("that long").copy_from_slice(bytes);
            }
            How::Length(length) => file.resize(usize::try_from(*length).expect("small"), 0),
            How::Sync => {}
            How::Gone => {
                files.remove(&change.path);
            }
        }
    }
    files
}

/// What was acknowledged, and after how many changes.
struct Acknowledged {
    challenge: String,
    code: String,
    /// The begin, a wrong code, the right one.
    after: [usize; 3],
}

/// A login whose every change of the disk is recorded.
struct Recording {
    place: Place,
    phone: Phone,
    before: Files,
    changes: Vec<Change>,
    said: Acknowledged,
}

fn recorded() -> Recording {
    let phone = Phone::start();
    let place = Place::new(&phone);
    let daemon = place.start();
    daemon.enroll(&phone, USER, PEOPLE[0].1);
    daemon.terminate();
    assert!(daemon.wait().success());
    place.settle();
    let database = place.file("otpd.db");
    let before = [(database.clone(), fs::read(&database).expect("a database"))].into();
    let disk = Disk::traced(&place, "otpd.db");
    let daemon = Daemon::spawn(disk.under(place.command()), place.socket(), ": ready ");
    let mut wire = daemon.connect();
    let challenge = wire.prompt(&login(USER, None)).challenge;
    let begun = disk.changes().len();
    let code = phone.next().code();
    assert!(wire.answer(&challenge, &wrong(&code, 0)).prompt.is_some());
    let charged = disk.changes().len();
    assert!(is_granted(&wire.answer(&challenge, &code)));
    let used = disk.changes().len();
    daemon.kill();
    let changes = disk.changes();
    let said = Acknowledged { challenge, code, after: [begun, charged, used] };
    Recording { place, phone, before, changes, said }
}

#[test]
fn what_was_acknowledged_before_the_power_went_holds_after_it() {
    let Recording { place, phone, before, changes, said } = recorded();
    let [begun, charged, used] = said.after;
    assert!(begun < charged && charged < used, "{:?}", said.after);
    let reserve = place.file("otpd.db.reserve");
    let moment = |length: usize, keeps: Keeps| {
        for name in ["otpd.db", "otpd.db-wal", "otpd.db-shm"] {
            let _ = fs::remove_file(place.file(name));
        }
        let changes = changes.get(..length).expect("a beginning");
        for (path, bytes) in files(&before, changes, keeps) {
            if path != reserve {
                fs::write(path, bytes).expect("a file");
            }
        }
        let daemon = place.start();
        let failures = daemon.show(USER).failures_24h;
        let reply = daemon.connect().call(&otpd_tests::wire::typed(&said.challenge, &said.code));
        let granted = reply.is_ok_and(|reply| is_granted(&reply.step));
        daemon.kill();
        while phone.pending().is_some() {}
        (failures, granted)
    };
    let mut moments = 0;
    for length in begun..=changes.len() {
        for keeps in [Keeps::All, Keeps::Synced] {
            let (failures, granted) = moment(length, keeps);
            let name = format!("after {length} changes, kept: {keeps:?}; {:?}", said.after);
            assert!(length < charged || failures == 1, "{name}: a charge was handed back");
            assert!(length < used || !granted, "{name}: a code was used twice");
            moments += 1;
        }
    }
    // A disk that forgets what it was told to keep is seen.
    assert_eq!(moment(changes.len(), Keeps::NothingNew).0, 0, "the charge is lost there");
    println!("power lost at {moments} moments");
}
