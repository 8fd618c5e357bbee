use std::{cell::RefCell, rc::Rc};

use super::{Around, Settings, Silent, ask, examine, judge};
use crate::doctor::host::{Host, Said};

/// What is good for a password and a code.
const GOOD: &str = "usepam yes\nkbdinteractiveauthentication yes\npasswordauthentication no\n\
                    pubkeyauthentication yes\ngssapiauthentication no\nhostbasedauthentication no\n\
                    authenticationmethods keyboard-interactive\npermitrootlogin no\n\
                    logingracetime 120\nmaxstartups 10:30:100\nmaxauthtries 6\n";

/// Keywords and what they are set to instead.
type Changes<'a> = &'a [(&'a str, &'a str)];

fn texts(changes: Changes<'_>, around: Around) -> Vec<String> {
    let mut output = GOOD.to_owned();
    for (keyword, value) in changes {
        let old = output.lines().find(|line| line.starts_with(keyword)).expect(keyword).to_owned();
        output = output.replace(&old, &format!("{keyword} {value}"));
    }
    let found = judge(&Settings::parse(&output), around, &|_| Some("f:1".to_owned()));
    assert!(found.iter().all(|finding| finding.remedy.is_some()));
    found.into_iter().map(|finding| finding.text).collect()
}

const PASSWORD: Around =
    Around { alone: false, believes: false, unseen: None, root_enrolled: false };
const KEY: Around = Around { alone: true, believes: false, unseen: None, root_enrolled: false };
const BELIEVING: Around =
    Around { alone: true, believes: true, unseen: None, root_enrolled: false };
const UNSEEN: Around = Around { unseen: Some(true), ..PASSWORD };
const ROOT: Around = Around { alone: false, believes: false, unseen: None, root_enrolled: true };

#[test]
fn good_settings_are_silent() {
    let both = ("authenticationmethods", "publickey,keyboard-interactive");
    let either =
        ("authenticationmethods", "publickey,keyboard-interactive keyboard-interactive:pam");
    let any = ("authenticationmethods", "any");
    let cases: [(&str, Changes, Around); 9] = [
        ("a password", &[], PASSWORD),
        ("a key and a password", &[both], PASSWORD),
        ("a key", &[both], KEY),
        ("a key, which is believed", &[both], BELIEVING),
        ("a key before what cannot be seen", &[both], UNSEEN),
        ("either", &[either], PASSWORD),
        ("no keys", &[any, ("pubkeyauthentication", "no")], PASSWORD),
        ("no limit of time", &[("logingracetime", "0")], PASSWORD),
        ("root by a code", &[("permitrootlogin", "yes")], ROOT),
    ];
    for (name, changes, around) in cases {
        assert_eq!(texts(changes, around), Vec::<String>::new(), "{name}");
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn what_is_wrong_is_said_with_its_place() {
    let cases: [(&str, Changes, Around, &str); 20] = [
        ("no PAM", &[("usepam", "no")], PASSWORD, "UsePAM is `no` (in f:1"),
        (
            "no keyboard-interactive",
            &[("kbdinteractiveauthentication", "no")],
            PASSWORD,
            "KbdInteractiveAuthentication is `no`",
        ),
        (
            "the method password",
            &[("passwordauthentication", "yes")],
            PASSWORD,
            "the method `password` cannot show",
        ),
        (
            "a key alone",
            &[("authenticationmethods", "any")],
            PASSWORD,
            "a key alone lets in, without a code",
        ),
        (
            "a ticket alone",
            &[
                ("authenticationmethods", "any"),
                ("pubkeyauthentication", "no"),
                ("gssapiauthentication", "yes"),
            ],
            PASSWORD,
            "a Kerberos ticket alone",
        ),
        (
            "a host alone",
            &[
                ("authenticationmethods", "any"),
                ("pubkeyauthentication", "no"),
                ("hostbasedauthentication", "yes"),
            ],
            PASSWORD,
            "a trusted host alone",
        ),
        (
            "a list without a code",
            &[("authenticationmethods", "publickey keyboard-interactive")],
            PASSWORD,
            "`publickey` lets in without a code",
        ),
        (
            "a list with a password",
            &[("authenticationmethods", "password,keyboard-interactive")],
            PASSWORD,
            "the method `password` cannot show",
        ),
        (
            "no key before a lone code",
            &[("authenticationmethods", "keyboard-interactive")],
            KEY,
            "nothing is checked before the code",
        ),
        (
            "no key need be before a lone code",
            &[("authenticationmethods", "any"), ("pubkeyauthentication", "no")],
            KEY,
            "every code is refused",
        ),
        (
            "no key before a code that believes in one",
            &[("authenticationmethods", "publickey,keyboard-interactive keyboard-interactive")],
            BELIEVING,
            "with `keyboard-interactive` nothing is checked before the code: by",
        ),
        (
            "no key need be before a code that believes in one",
            &[("authenticationmethods", "any"), ("pubkeyauthentication", "no")],
            BELIEVING,
            "the phone alone lets in",
        ),
        (
            "root is enrolled in vain",
            &[("permitrootlogin", "without-password")],
            ROOT,
            "lets nobody type a code for root",
        ),
        (
            "root is enrolled in vain, for commands",
            &[("permitrootlogin", "forced-commands-only")],
            ROOT,
            "lets nobody type a code for root",
        ),
        (
            "no key before what cannot be seen",
            &[],
            UNSEEN,
            "with `keyboard-interactive` pam_otp.so does not see what the stack checks",
        ),
        (
            "no key need be before what cannot be seen",
            &[("authenticationmethods", "any"), ("pubkeyauthentication", "no")],
            UNSEEN,
            "every code is refused",
        ),
        ("little time", &[("logingracetime", "30")], PASSWORD, "LoginGraceTime is `30`"),
        ("little room", &[("maxstartups", "2:30:10")], PASSWORD, "MaxStartups is `2:30:10`"),
        ("few tries", &[("maxauthtries", "2")], PASSWORD, "MaxAuthTries is `2`"),
        (
            "PAM is off by a default",
            &[("usepam", "no")],
            PASSWORD,
            "the first line that sets it holds",
        ),
    ];
    for (name, changes, around, expected) in cases {
        let found = texts(changes, around);
        assert!(found.len() == 1 && found[0].contains(expected), "{name}: {found:?}");
    }
}

/// Before OpenSSH 9.3: `-T` wants its directory, and there is no `-G`.
fn unstarted(root: &std::path::Path, run: &'static str) -> (Host, Rc<RefCell<Vec<String>>>) {
    let asked = Rc::new(RefCell::new(Vec::new()));
    let (log, made) = (Rc::clone(&asked), root.join("run/sshd"));
    let host = Host::at(root, move |words| {
        log.borrow_mut().push(words.join(" "));
        let (success, complaint) = match words.get(1) {
            Some(&"-T") if made.is_dir() => (true, String::new()),
            Some(&"-T") => {
                (false, format!("Missing privilege separation directory: {run}/sshd\r\n"))
            }
            _ => (false, "unknown option -- G\n".to_owned()),
        };
        Some(Said { success, output: GOOD.to_owned(), complaint })
    });
    (host, asked)
}

#[test]
fn the_directory_that_an_older_sshd_misses_is_made_as_its_unit_does() {
    use std::os::unix::fs::PermissionsExt;
    for run in ["/run", "/var/run"] {
        let root = tempfile::tempdir().expect("directory");
        std::fs::create_dir(root.path().join("run")).expect("directory");
        let (host, asked) = unstarted(root.path(), run);
        let found = examine(&host, PASSWORD, &std::collections::BTreeSet::new());
        let texts = found.iter().map(|finding| finding.text.as_str()).collect::<Vec<_>>();
        let expected = "made /run/sshd, as sshd's unit does: without it sshd tells nothing";
        assert!(texts.contains(&expected), "{texts:?}");
        assert_eq!(*asked.borrow(), ["sshd -T", "sshd -G", "sshd -T"], "once, the quiet way first");
        let made = std::fs::metadata(root.path().join("run/sshd")).expect("made");
        assert_eq!(made.permissions().mode() & 0o7777, 0o755);
    }
}

#[test]
fn only_the_directory_of_the_unit_is_made() {
    let root = tempfile::tempdir().expect("directory");
    // Where it cannot be made: there is no /run, as for somebody who is not root.
    let (host, _) = unstarted(root.path(), "/run");
    assert_eq!(ask(&host, None), Err(Silent::Unstarted));
    std::fs::create_dir(root.path().join("run")).expect("directory");
    let (host, asked) = unstarted(root.path(), "/srv");
    let expected = "sshd -T fails: Missing privilege separation directory: /srv/sshd";
    assert_eq!(ask(&host, None), Err(Silent::Failed(expected.to_owned())));
    assert_eq!(asked.borrow().len(), 1);
    assert!(!root.path().join("run/sshd").exists());
}
