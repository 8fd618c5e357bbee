//! What is promised under each fault, as a table: nobody is granted without the right code, no charge
//! is lost, the log names the cause, and once it is gone everything goes on, with the same process.

use std::{
    fs,
    path::PathBuf,
    process::{Child, Command},
    sync::OnceLock,
};

use otp_proto::{
    admin::Status,
    login::{Answer, Begin, Step, Verdict},
};
use otpd_tests::{
    daemon::{ADMIN_GROUP, Daemon, Place},
    disk::{self, EIO, ENOSPC, EROFS, What, kinds},
    pam::build::compile,
    phone::{Phone, Vendor},
    wire::{is_denied, is_granted, login, typed, wrong},
};

use super::{
    full_disk,
    people::{PEOPLE, ids, relay, script},
};

/// Who waits at a prompt when the fault begins.
const WAITS: &str = PEOPLE[0].0;
/// Who comes while it lasts.
const COMES: &str = PEOPLE[1].0;

/// What becomes of a call while the fault lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meanwhile {
    /// The same as always.
    GoesOn,
    /// It is refused as unavailable, and costs nothing.
    Refused,
}

/// Brings a fault about.
type Strike = Box<dyn FnOnce(&Place, &Phone, &Daemon) -> Lift>;
/// Ends it.
type Lift = Box<dyn FnOnce(&Phone)>;

/// A daemon that a fault can befall.
struct Stage {
    daemon: Daemon,
    strike: Strike,
}

impl Stage {
    fn new(daemon: Daemon, strike: impl FnOnce(&Place, &Phone, &Daemon) -> Lift + 'static) -> Self {
        Self { daemon, strike: Box::new(strike) }
    }
}

struct Row {
    fault: &'static str,
    /// A login that begins.
    begin: Meanwhile,
    /// An answer at a prompt from before.
    answer: Meanwhile,
    /// What the log says.
    cause: &'static str,
    stage: fn(&Place, &Phone) -> Stage,
}

use Meanwhile::{GoesOn, Refused};

const FAULTS: [Row; 10] = [
    Row {
        fault: "the disk fails",
        begin: Refused,
        answer: Refused,
        cause: "the disk fails: see dmesg",
        stage: |place, _| failing(place, EIO, kinds::CHANGES | kinds::OPEN),
    },
    Row {
        fault: "the disk fails to keep what is written",
        begin: Refused,
        answer: Refused,
        cause: "the disk fails: see dmesg",
        stage: |place, _| failing(place, EIO, kinds::SYNC),
    },
    Row {
        fault: "the disk has become read-only",
        begin: Refused,
        answer: Refused,
        cause: "the disk has become read-only: see dmesg, and mount it writable again",
        stage: |place, _| failing(place, EROFS, kinds::CHANGES),
    },
    Row {
        fault: "the disk is full, and the reserve of no use",
        begin: Refused,
        answer: Refused,
        cause: "the disk is full: new logins are refused",
        stage: |place, _| failing(place, ENOSPC, kinds::WRITE | kinds::LENGTH),
    },
    Row {
        fault: "the disk is full",
        begin: Refused,
        answer: GoesOn,
        cause: "the disk is full: new logins are refused",
        stage: full,
    },
    Row {
        fault: "another program holds the database",
        begin: Refused,
        answer: Refused,
        cause: "another program holds the database: end it",
        stage: held,
    },
    Row {
        fault: "no descriptor is left",
        begin: Refused,
        answer: GoesOn,
        cause: "NSS failed error=EMFILE: Too many open files",
        stage: descriptors,
    },
    Row {
        fault: "the directory of accounts does not answer about others",
        begin: GoesOn,
        answer: GoesOn,
        cause: "NSS did not answer within 2 s",
        stage: |place, _| directory(place, STRANGER),
    },
    Row {
        fault: "the directory of accounts does not answer about who comes",
        begin: Refused,
        answer: GoesOn,
        cause: "NSS did not answer within 2 s",
        stage: |place, _| directory(place, COMES),
    },
    Row {
        fault: "no vendor answers",
        begin: GoesOn,
        answer: GoesOn,
        cause: "no clear answer: ",
        stage: vendor,
    },
];

fn failing(place: &Place, error: u32, of: u32) -> Stage {
    let disk = disk::Disk::new(place, "otpd.db");
    let daemon = Daemon::spawn(disk.under(place.command()), place.socket(), ": ready ");
    Stage::new(daemon, move |_, _, _| {
        disk.set(What::FailFrom(1, error), of);
        Box::new(move |_| disk.set(What::Works, 0))
    })
}

fn full(place: &Place, phone: &Phone) -> Stage {
    let full_disk::Disk { daemon, folder } = full_disk::Disk::start(place, phone);
    Stage::new(daemon, move |_, _, _| {
        full_disk::Disk::take_all(&folder, "filler");
        Box::new(move |_| fs::remove_file(folder.join("filler")).expect("the filler"))
    })
}

/// Another program in the middle of a change, until its input ends.
const HOLDER: &str = "
import sqlite3, sys
database = sqlite3.connect(sys.argv[1], isolation_level=None)
database.execute('BEGIN EXCLUSIVE')
print('held', flush=True)
sys.stdin.read()
database.execute('ROLLBACK')
";

fn holder(place: &Place) -> Child {
    let (child, line) = script(HOLDER, &place.file("otpd.db"));
    assert_eq!(line, "held\n");
    child
}

fn held(place: &Place, _: &Phone) -> Stage {
    Stage::new(place.start(), |place, _, _| {
        let mut child = holder(place);
        Box::new(move |_| {
            drop(child.stdin.take());
            assert!(child.wait().expect("an end").success());
        })
    })
}

fn limit_descriptors(pid: u32, number: usize) {
    let status = Command::new("prlimit")
        .args([format!("--nofile={number}:"), "--pid".to_owned(), pid.to_string()])
        .status();
    assert!(status.expect("prlimit runs").success());
}

fn descriptors(place: &Place, _: &Phone) -> Stage {
    // Who is in files that cannot be opened cannot be found, whatever this machine asks besides.
    let daemon = with_nsswitch(place, "passwd: files\ngroup: files\n", |_| ());
    Stage::new(daemon, |_, _, daemon| {
        let pid = daemon.pid();
        // What is open stays open, and nothing else can be opened.
        limit_descriptors(pid, 3);
        Box::new(move |_| limit_descriptors(pid, 1024))
    })
}

/// Somebody whom the host's own files do not know.
const STRANGER: &str = "far0";

/// A daemon on a host whose directory, which is asked before its files, knows nobody, and hangs when it is
/// asked what the file `hangs` says.
fn with_directory(place: &Place) -> Daemon {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    let library = LIBRARY.get_or_init(|| {
        let test = std::env::current_exe().expect("the test's own file");
        let beside = test.parent().expect("a file in a directory");
        compile("faults/nss.c", beside, "libnss_far.so.2", &["-shared", "-fPIC"], &[])
    });
    let beside = library.parent().expect("a file in a directory");
    with_nsswitch(place, "passwd: far files\ngroup: far files\n", |command| {
        command.env("LD_LIBRARY_PATH", beside).env("NSS_HANGS", place.file("hangs"));
    })
}

/// A daemon on a host that looks accounts up like this.
fn with_nsswitch(place: &Place, order: &str, more: impl FnOnce(&mut Command)) -> Daemon {
    place.keep("nsswitch.conf", order);
    let otpd = place.command();
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-c"]);
    command.args(["mount --bind \"$0\" /etc/nsswitch.conf && exec \"$@\""]);
    command.arg(place.file("nsswitch.conf")).arg(otpd.get_program()).args(otpd.get_args());
    more(&mut command);
    Daemon::spawn(command, place.socket(), ": ready ")
}

/// The directory hangs when it is asked for `whom`.
fn directory(place: &Place, whom: &'static str) -> Stage {
    Stage::new(with_directory(place), move |place, _, daemon| {
        place.keep("hangs", &format!("account {whom}"));
        let (file, mut wire) = (place.file("hangs"), daemon.connect());
        assert!(wire.post(&login(whom, None)));
        Box::new(move |_| {
            let reply = wire.reply::<Begin>().expect("a reply").expect("a step");
            assert_eq!(reply.step.verdict, Some(Verdict::Unavailable), "answered in its time");
            fs::remove_file(file).expect("a file");
        })
    })
}

fn vendor(place: &Place, _: &Phone) -> Stage {
    Stage::new(place.start(), |_, phone, _| {
        phone.set(Vendor::Stalls);
        Box::new(|phone| phone.set(Vendor::Accepts))
    })
}

pub(super) fn is_refused(step: &Step) -> bool {
    step.verdict == Some(Verdict::Unavailable)
}

/// The code was wrong, and so many tries are left.
pub(super) fn asks_again(step: &Step, tries: u32, fault: &str) {
    let said = step.prompt.as_ref().map(|prompt| &prompt.text);
    let left = format!("{tries} {} left", if tries == 1 { "try" } else { "tries" });
    assert!(said.is_some_and(|said| said.contains(&left)), "{fault}: {step:?}");
}

/// A login from its begin to its grant; nobody gets in twice.
pub(super) fn logs_in(daemon: &Daemon, phone: &Phone, user: &str, fault: &str) {
    let mut wire = daemon.connect();
    let challenge = wire.prompt(&login(user, None)).challenge;
    let code = phone.next().code();
    assert!(is_granted(&wire.answer(&challenge, &code)), "{fault}: {user}");
    assert!(is_denied(&wire.answer(&challenge, &code)), "{fault}: {user}");
}

fn keeps_its_promises(row: &Row) {
    let Row { fault, begin, answer, cause, stage } = row;
    let phone = Phone::start();
    let place = Place::new(&phone);
    let Stage { mut daemon, strike } = stage(&place, &phone);
    for (user, number) in PEOPLE.into_iter().take(2) {
        daemon.enroll(&phone, user, number);
    }
    let [mut waits, mut comes] = [daemon.connect(), daemon.connect()];
    let challenge = waits.prompt(&login(WAITS, None)).challenge;
    let code = phone.next().code();
    // A charge that can be lost.
    asks_again(&waits.answer(&challenge, &wrong(&code, 0)), 2, fault);
    let before = [WAITS, COMES].map(|user| daemon.show(user).sends_24h);
    let pid = daemon.pid();
    // So that the daemon has taken both connections.
    comes.call(&otp_proto::service::GetInfo {}).expect("information");

    let lift = strike(&place, &phone, &daemon);
    let begun = comes.call(&login(COMES, None)).expect("a step");
    let new = match begin {
        GoesOn => {
            assert!(begun.step.prompt.is_some(), "{fault}: {:?}", begun.step);
            Some((begun.challenge.expect("a challenge"), phone.next().code()))
        }
        Refused => {
            assert!(is_refused(&begun.step), "{fault}: {:?}", begun.step);
            assert!(begun.challenge.is_none() && phone.pending().is_none(), "{fault}");
            None
        }
    };
    let step = waits.answer(&challenge, &wrong(&code, 1));
    match answer {
        GoesOn => asks_again(&step, 1, fault),
        Refused => assert!(is_refused(&step), "{fault}: {step:?}"),
    }
    let right = waits.answer(&challenge, &code);
    assert_eq!(is_granted(&right), *answer == GoesOn, "{fault}: {right:?}");
    daemon.wait_for(cause);
    lift(&phone);

    let charged = 1 + u32::from(*answer == GoesOn);
    let shown = [WAITS, COMES].map(|user| daemon.show(user));
    assert_eq!(shown[0].failures_24h, charged, "{fault}: what was told is on record, and no more");
    let sent = [before[0], before[1] + u32::from(*begin == GoesOn)];
    assert_eq!(shown.map(|shown| shown.sends_24h), sent, "{fault}: messages");
    let again = daemon.connect().call(&typed(&challenge, &code)).expect("a step").step;
    assert_eq!(is_granted(&again), *answer == Refused, "{fault}: not used, not lost: {again:?}");
    assert!(is_denied(&daemon.connect().answer(&challenge, &code)), "{fault}: once");
    if let Some((challenge, code)) = new {
        assert!(is_granted(&daemon.connect().answer(&challenge, &code)), "{fault}");
    }
    logs_in(&daemon, &phone, COMES, fault);
    assert!(daemon.is_running() && daemon.pid() == pid, "{fault}: the same process");
}

#[test]
fn under_each_fault_nobody_is_granted_wrongly_and_everything_recovers() {
    std::thread::scope(|scope| {
        for row in &FAULTS {
            scope.spawn(|| keeps_its_promises(row));
        }
    });
    println!("{} kinds of fault injected", FAULTS.len());
}

/// Nobody is let in because a directory is silent: whoever is exempt by a group is asked for a code.
#[test]
fn who_is_exempt_by_a_group_that_cannot_be_looked_up_is_asked_for_a_code() {
    let phone = Phone::start();
    let place = Place::new(&phone);
    // Whoever Debian calls `man` is in this group, and in no other.
    place.configure(&(place.settings(&phone) + "\n[policy]\nexempt-groups = [\"man\"]\n"));
    let daemon = with_directory(&place);
    daemon.enroll(&phone, WAITS, PEOPLE[0].1);
    let ignored = || {
        let step = daemon.connect().begin(WAITS).step;
        assert_eq!(step.verdict, Some(Verdict::Ignored), "{step:?}");
    };
    ignored();
    place.keep("hangs", &format!("groups {WAITS}"));
    logs_in(&daemon, &phone, WAITS, "no groups");
    daemon.wait_for("NSS did not answer within 2 s");
    fs::remove_file(place.file("hangs")).expect("a file");
    ignored();
}

/// Nobody may administer because a directory is silent, and root need not ask it.
#[test]
fn an_administrator_whose_groups_cannot_be_looked_up_is_turned_away() {
    let phone = Phone::start();
    let place = Place::new(&phone);
    let daemon = with_directory(&place);
    let relay = relay(&place);
    let (uid, _) = ids(ADMIN_GROUP);
    // A process whose own group is another: that it may is in the groups of its account.
    let status = || daemon.connect_as(&relay, uid, 21_000).try_call(&Status {}).expect("a reply");
    status().expect("the group may");
    // By uid, and by the groups of whoever that is.
    for asked in [format!("uid {uid}"), format!("groups {ADMIN_GROUP}")] {
        place.keep("hangs", &asked);
        let refusal = status().expect_err("nobody says that they may");
        assert_eq!(refusal.error, "org.varlink.service.PermissionDenied", "{asked}");
        daemon.connect().call(&Status {}).expect("root may, whoever is silent");
        fs::remove_file(place.file("hangs")).expect("a file");
        status().expect("and again");
    }
}

/// How long a program may hold the database without anybody being let in or charged.
fn held_for(seconds: u64) {
    let phone = Phone::start();
    let place = Place::new(&phone);
    let daemon = place.start();
    daemon.enroll(&phone, WAITS, PEOPLE[0].1);
    let mut wire = daemon.connect();
    let challenge = wire.prompt(&login(WAITS, None)).challenge;
    let code = phone.next().code();
    let mut child = holder(&place);
    // Each answer waits for the lock in vain: they are the clock.
    let mut refused = 0;
    while refused < seconds / 2 {
        let reply = wire.try_call::<Answer>(&typed(&challenge, &code));
        let step = reply.expect("the daemon stays").expect("a step").step;
        assert!(is_refused(&step), "{step:?}");
        refused += 1;
    }
    drop(child.stdin.take());
    assert!(child.wait().expect("an end").success());
    assert!(is_granted(&wire.answer(&challenge, &code)));
    assert!(is_denied(&wire.answer(&challenge, &code)));
    assert_eq!(daemon.show(WAITS).failures_24h, 0);
}

#[test]
#[ignore = "long"]
fn a_database_that_is_held_for_30_seconds() {
    held_for(30);
}
