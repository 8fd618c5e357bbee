//! What is left of a code in the daemon's memory, and who can look at it.

use std::{
    fs,
    io::{Read, Seek, SeekFrom},
    os::unix::{
        fs::{PermissionsExt, chown},
        process::{CommandExt, ExitStatusExt},
    },
    path::Path,
    process::{Command, Stdio},
};

use otpd_tests::{
    daemon::{Daemon, LONG_CODES, Place},
    phone::Phone,
    wire::{is_granted, login, wrong},
};

use super::people::{PEOPLE, ids};

/// How often the bytes are in the memory of a process, by the name of the mapping.
fn hits(pid: u32, wanted: &[&str]) -> Vec<(String, String)> {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).expect("root reads the mappings");
    let mut memory = fs::File::open(format!("/proc/{pid}/mem")).expect("root reads the memory");
    let mut hits = Vec::new();
    for line in maps.lines() {
        let mut fields = line.split_ascii_whitespace();
        let (range, rights) = (fields.next().expect("a range"), fields.next().expect("rights"));
        let name = fields.nth(3).unwrap_or("anonymous").to_owned();
        // What cannot be written holds the program, and the kernel's pages cannot be read.
        if !rights.starts_with("rw") {
            continue;
        }
        let (from, to) = range.split_once('-').expect("two ends");
        let end = |text| u64::from_str_radix(text, 16).expect("an address");
        let (from, to) = (end(from), end(to));
        let mut bytes = vec![0; usize::try_from(to - from).expect("a size")];
        let read = memory.seek(SeekFrom::Start(from)).and_then(|_| memory.read_exact(&mut bytes));
        assert!(read.is_ok(), "{line}: {read:?}");
        for wanted in wanted {
            let found = bytes.windows(wanted.len()).filter(|part| *part == wanted.as_bytes());
            hits.extend(found.map(|_| ((*wanted).to_owned(), name.clone())));
        }
    }
    hits
}

/// One login after another; how often each code is still there when all are over.
#[test]
fn no_code_is_left_in_memory_once_its_login_is_over() {
    let phone = Phone::start();
    let place = Place::empty();
    place.configure(&(place.settings(&phone) + LONG_CODES));
    let daemon = place.start();
    let [(user, number), ..] = PEOPLE;
    let mut codes = Vec::new();
    daemon.prove(user, number, otp_proto::admin::Channel::Sms, || {
        let code = phone.next().code();
        codes.push(code.clone());
        code
    });
    for _ in 0..5 {
        let mut wire = daemon.connect();
        let challenge = wire.prompt(&login(user, None)).challenge;
        let code = phone.next().code();
        let guess = wrong(&code, 0);
        assert!(!is_granted(&wire.answer(&challenge, &guess)));
        assert!(is_granted(&wire.answer(&challenge, &code)));
        codes.extend([code, guess]);
    }
    // A code that waits is not looked for: its hash is all that is kept, but its message may be on
    // its way.
    let wanted: Vec<_> = codes.iter().map(String::as_str).collect();
    // So may that of the last login: the answer can overtake what the vendor says of it. What is left for
    // good is still there after all these looks, of which each takes about a second.
    daemon.wait_for_count("message-sent", 6);
    let mut left = hits(daemon.pid(), &wanted);
    for _ in 0..30 {
        if left.is_empty() {
            break;
        }
        left = hits(daemon.pid(), &wanted);
    }
    println!("{} copies of {} codes are left: {left:?}", left.len(), codes.len());
    let control = hits(daemon.pid(), &[user]);
    assert!(!control.is_empty(), "the search finds what is there");
    assert_eq!(left, Vec::new());
}

/// A daemon that runs as somebody, as it does under systemd.
fn start_as(place: &Place, user: &str) -> Daemon {
    let (uid, gid) = ids(user);
    let folder = place.config();
    let folder = folder.parent().expect("a directory");
    let made = place.command().arg("--make-key").output().expect("otpd runs");
    assert!(made.status.success(), "{made:?}");
    chown(folder, Some(uid), Some(gid)).expect("root gives it away");
    for file in fs::read_dir(folder).expect("a directory") {
        chown(file.expect("a file").path(), Some(uid), Some(gid)).expect("root gives it away");
    }
    let copy = place.file("otpd");
    fs::copy(otpd_tests::daemon::program(), &copy).expect("a copy");
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)).expect("a mode");
    let mut command = Command::new("prlimit");
    command.args(["--core=unlimited:unlimited", "--"]).arg(copy);
    command.arg("--config").arg(place.config()).stdin(Stdio::null());
    command.uid(uid).gid(gid).current_dir(folder);
    place.run(command)
}

fn cores(folder: &Path) -> Vec<String> {
    let files = fs::read_dir(folder).expect("a directory");
    let names = files.map(|file| file.expect("a file").file_name().to_string_lossy().into_owned());
    names.filter(|name| name.contains("core")).collect()
}

/// Whether somebody can open a file of `/proc`.
fn opens(user: &str, path: &str) -> bool {
    let (uid, gid) = ids(user);
    let mut command = Command::new("head");
    command.args(["-c", "0", path]).stderr(Stdio::null()).uid(uid).gid(gid);
    command.status().expect("head runs").success()
}

#[test]
fn neither_its_own_user_nor_a_core_file_gets_at_its_memory() {
    let phone = Phone::start();
    let place = Place::new(&phone);
    let (user, ..) = PEOPLE[0];
    let (uid, gid) = ids(user);
    let daemon = start_as(&place, user);
    let folder = place.config().parent().expect("a directory").to_owned();

    let mut other = Command::new("sleep");
    other.arg("1000").stdin(Stdio::null()).uid(uid).gid(gid).current_dir(&folder);
    let mut other = other.spawn().expect("sleep runs");
    for (name, file) in [("memory", "mem"), ("environment", "environ"), ("mappings", "maps")] {
        let of = |pid: u32| format!("/proc/{pid}/{file}");
        assert!(opens(user, &of(other.id())), "{name} of an ordinary process: the test works");
        assert!(!opens(user, &of(daemon.pid())), "{name} of the daemon");
    }
    let traced = |pid: u32| {
        let mut strace = Command::new("strace");
        strace.args(["-o", "/dev/null", "-p", &pid.to_string()]).uid(uid).gid(gid);
        strace.stderr(Stdio::piped()).stdin(Stdio::null()).env("LC_ALL", "C");
        let output = strace.output().expect("strace runs");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let refused = traced(daemon.pid());
    assert!(refused.contains("not permitted"), "{refused}");
    other.kill().expect("a signal");
    other.wait().expect("an end");

    // Not SEGV: a first one that the kernel did not raise is taken by the Rust runtime.
    daemon.signal("ABRT");
    let ended = daemon.wait();
    assert_eq!(ended.signal(), Some(6), "{ended}");
    assert!(!ended.core_dumped(), "{ended}");
    assert_eq!(cores(&folder), Vec::<String>::new());
}
