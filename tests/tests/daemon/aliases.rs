//! One account by several names, and several accounts of one uid.

use std::{fs, process::Command};

use otp_proto::{
    Secret,
    admin::{Enroll, Show},
    login::Verdict,
};
use otpd_tests::{
    daemon::{Daemon, Place},
    phone::Phone,
    wire::{is_denied, is_granted, login},
};

use super::people::{ids, relay};

const NUMBER: &str = "+13125550142";

/// Two names of one uid, and a second name of root's.
const PASSWD: &str = "root:x:0:0::/root:/bin/sh
toor:x:0:0::/root:/bin/sh
alice:x:1500:1500::/home/alice:/bin/sh
alice2:x:1500:1500::/home/alice:/bin/sh
games:x:5:60::/usr/games:/bin/sh
";

/// A daemon on a host with these accounts, whose name service folds names as a directory does.
fn start(place: &Place) -> Daemon {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/daemon/nss_fold.c");
    let library = place.file("libnss_fold.so.2");
    let mut cc = Command::new("cc");
    cc.args(["-shared", "-fPIC", "-Wall", "-Werror", "-o"]).arg(&library).arg(source);
    assert!(cc.status().expect("a compiler").success(), "{source}");
    let (passwd, switch) = (place.file("passwd"), place.file("nsswitch.conf"));
    fs::write(&passwd, PASSWD).expect("a file");
    fs::write(&switch, "passwd: files fold\ngroup: files\n").expect("a file");
    let otpd = place.command();
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-c"]);
    command.arg(
        "mount --bind \"$0\" /etc/passwd && mount --bind \"$1\" /etc/nsswitch.conf && shift &&
         exec \"$@\"",
    );
    command.arg(passwd).arg(switch).arg(otpd.get_program()).args(otpd.get_args());
    let folder = place.config();
    command.env("LD_LIBRARY_PATH", folder.parent().expect("a directory"));
    place.run(command)
}

#[test]
fn an_account_by_another_name_is_the_same_account() {
    let phone = Phone::start();
    let place = Place::new(&phone);
    // Five messages in an hour, however they are asked for.
    place.configure(&place.settings(&phone).replace("unanswered-per-hour = 60\n", ""));
    let daemon = start(&place);
    daemon.enroll(&phone, "Alice@CORP", NUMBER);
    assert_eq!(daemon.show("alice").subscriber.user, "alice", "the name that NSS gives");

    let mut sent = 0;
    for name in ["alice", "ALICE", "alice@corp", "Alice@example.org", "aLiCe", "alicE", "ALICE@X"] {
        let begun = daemon.connect().begin(name);
        match begun.challenge {
            Some(_) => {
                let text = phone.next();
                assert_eq!(text.to, NUMBER, "{name}");
                sent += 1;
            }
            None => assert_eq!(begun.step.verdict, Some(Verdict::Denied), "{name}"),
        }
    }
    assert_eq!(sent, 5, "all names share one budget");
    assert!(phone.pending().is_none());
    assert_eq!(daemon.show("ALICE@corp").sends_24h, 5);
    // A name that is nobody's stays nobody's.
    assert!(is_denied(&daemon.connect().begin("ALICE3").step));
}

#[test]
fn a_second_name_of_a_uid_is_an_account_of_its_own() {
    let phone = Phone::start();
    let place = Place::new(&phone);
    let daemon = start(&place);
    daemon.enroll(&phone, "alice", NUMBER);
    // Its number is not the other's: that one has none.
    assert!(is_denied(&daemon.connect().begin("alice2").step));
    assert!(phone.pending().is_none());
    // With the same number it has codes of its own.
    daemon.enroll(&phone, "alice2", NUMBER);
    let mut one = daemon.connect();
    let first = one.prompt(&login("alice", None)).challenge;
    let code = phone.next().code();
    let mut two = daemon.connect();
    let second = two.prompt(&login("alice2", None)).challenge;
    let other = phone.next().code();
    assert!(!is_granted(&two.answer(&second, &code)), "the code of alice");
    assert!(!is_granted(&one.answer(&first, &other)), "the code of alice2");
    assert!(is_granted(&two.answer(&second, &other)));
    assert!(is_granted(&one.answer(&first, &code)));
    // Whoever has the uid sees the account that NSS gives for it, and no other.
    let relay = relay(&place);
    let show = |name: &str| {
        let show = Show { user: name.to_owned() };
        daemon.connect_as(&relay, 1500, 1500).try_call(&show).expect("a reply")
    };
    assert!(show("alice").is_ok());
    assert!(show("alice2").is_err());
}

#[test]
fn roots_other_name_is_roots() {
    let phone = Phone::start();
    let place = Place::new(&phone);
    let daemon = start(&place);
    let relay = relay(&place);
    let (uid, gid) = ids("games");
    let mut administrator = daemon.connect_as(&relay, uid, gid);
    for name in ["root", "toor", "TOOR", "root@corp"] {
        let enroll = Enroll {
            user: name.to_owned(),
            phone: Secret::new(NUMBER.to_owned()),
            channel: None,
            replace: true,
        };
        let refused = administrator.try_call(&enroll).expect("a reply").expect_err(name);
        assert!(refused.error.ends_with("PermissionDenied"), "{name}: {refused:?}");
    }
    assert!(phone.pending().is_none());
}
