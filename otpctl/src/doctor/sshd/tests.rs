use std::{cell::RefCell, collections::BTreeSet, rc::Rc};

use super::{Around, Settings, Silent, ask, demands, examine, from, judge, stale};
use crate::doctor::{
    finding::State,
    host::{Host, Said},
};

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
    let found = judge(&Settings::parse(&output), around, &|_| from(Some("f:1".to_owned())));
    assert!(found.iter().all(|finding| finding.remedy.is_some()));
    found.into_iter().map(|finding| finding.text).collect()
}

const PASSWORD: Around<'_> =
    Around { alone: false, believes: false, unseen: None, exempt: &[], spared: false };
const KEY: Around<'_> = Around { alone: true, ..PASSWORD };
const BELIEVING: Around<'_> = Around { believes: true, ..KEY };
const UNSEEN: Around<'_> = Around { unseen: Some(true), ..PASSWORD };

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
        ("sshd's own stack", &[("maxauthtries", "6\npamservicename sshd")], PASSWORD),
    ];
    for (name, changes, around) in cases {
        assert_eq!(texts(changes, around), Vec::<String>::new(), "{name}");
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn what_is_wrong_is_said_with_its_place() {
    let backup = ["backup".to_owned()];
    let exempting = Around { exempt: &backup, ..KEY };
    let cases: [(&str, Changes, Around, &str); 22] = [
        (
            "another stack",
            &[("maxauthtries", "6\npamservicename corp-ssh")],
            PASSWORD,
            "PAMServiceName is `corp-ssh` (in f:1, and the first line that sets it holds): sshd asks \
             /etc/pam.d/corp-ssh",
        ),
        (
            "no key before a lone code that some need not",
            &[("authenticationmethods", "keyboard-interactive")],
            exempting,
            "every code is refused; but who is named by exempt_user gets in with nothing: backup",
        ),
        (
            "no key need be before it",
            &[("authenticationmethods", "any"), ("pubkeyauthentication", "no")],
            exempting,
            "every code is refused; but who is named by exempt_user gets in with nothing: backup",
        ),
        (
            "the method password before it",
            &[
                ("authenticationmethods", "publickey,keyboard-interactive"),
                ("passwordauthentication", "yes"),
            ],
            exempting,
            "clients that try it are refused",
        ),
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

#[test]
fn who_is_exempt_gets_in_by_any_password_where_nothing_demands_a_key() {
    let backup = ["backup".to_owned()];
    let around = Around { exempt: &backup, ..KEY };
    let any = ("authenticationmethods", "any");
    let found = texts(&[any, ("passwordauthentication", "yes")], around);
    let expected = "clients that try it are refused; but who is named by exempt_user gets in with any \
                    password: backup";
    assert!(found.iter().any(|text| text.ends_with(expected)), "{found:?}");
}

#[test]
fn who_needs_no_code_may_come_in_without_one() {
    let backup = ["backup".to_owned()];
    let around = Around { exempt: &backup, ..KEY };
    let told = |methods: &str| {
        let text = GOOD.replace("methods keyboard-interactive", &format!("methods {methods}"));
        Settings::parse(&text)
    };
    let states = |methods: &str, around| {
        let found = judge(&told(methods), around, &|_| from(None));
        found.into_iter().map(|one| (one.state, one.remedy.is_some())).collect::<Vec<_>>()
    };
    let spared = Around { spared: true, ..around };
    assert_eq!(states("publickey", around), [(State::Problem, true)]);
    assert_eq!(states("publickey", spared), [(State::Note, false)]);
    // They would get in with nothing.
    assert_eq!(states("keyboard-interactive", spared), [(State::Problem, true)]);
}

#[test]
fn what_sshd_does_with_root_is_known() {
    const BOTH: &str = "publickey,keyboard-interactive";
    let opens = Some("root's key opens nothing");
    let vain = Some("root is enrolled, and sshd lets nobody type a code for root");
    let cases = [
        ("a key and a code", "without-password", BOTH, false, opens),
        ("as 9.6 may say it", "prohibit-password", BOTH, false, opens),
        ("a code", "without-password", "keyboard-interactive", true, opens),
        ("a key is enough", "without-password", "publickey", false, None),
        ("any", "without-password", "any", false, None),
        ("any, in vain", "without-password", "any", true, vain),
        // What the key forces is let through.
        ("commands", "forced-commands-only", BOTH, false, None),
        ("commands, in vain", "forced-commands-only", BOTH, true, vain),
        ("no", "no", BOTH, true, None),
        ("yes", "yes", BOTH, true, None),
    ];
    for (name, value, methods, enrolled, expected) in cases {
        for by_match in [false, true] {
            let root = tempfile::tempdir().expect("directory");
            std::fs::create_dir_all(root.path().join("etc/ssh")).expect("folders");
            let file = if by_match { "Match User root\n PermitTTY no\n" } else { "" };
            std::fs::write(root.path().join("etc/ssh/sshd_config"), file).expect("written");
            let told = GOOD
                .replace("methods keyboard-interactive", &format!("methods {methods}"))
                .replace("permitrootlogin no", &format!("permitrootlogin {value}"));
            let host = Host::at(root.path(), move |words| {
                let own = words.iter().any(|word| word.starts_with("user=root,"));
                let output = if own == by_match { told.clone() } else { GOOD.to_owned() };
                Some(Said { success: true, output, complaint: String::new() })
            });
            let found = demands::root(&host, enrolled).map(|finding| finding.text);
            assert_eq!(found.is_some(), expected.is_some(), "{name}: {found:?}");
            let found = found.unwrap_or_default();
            assert!(found.ends_with(expected.unwrap_or_default()), "{name}: {found}");
        }
    }
}

#[test]
fn settings_that_the_running_sshd_has_not_read_are_said() {
    use std::time::{Duration, SystemTime};
    let root = tempfile::tempdir().expect("directory");
    let folder = root.path().join("etc/ssh/sshd_config.d");
    std::fs::create_dir_all(&folder).expect("folders");
    std::fs::create_dir(root.path().join("run")).expect("folders");
    let files = ["etc/ssh/sshd_config", "etc/ssh/sshd_config.d/10-otpd.conf", "run/sshd.pid"];
    let text = "Include sshd_config.d/*.conf\n";
    for (file, text) in files.iter().zip([text, "", "42\n"]) {
        std::fs::write(root.path().join(file), text).expect("written");
    }
    let host = Host::at(root.path(), |_| None);
    let written = |path: &str, seconds: u64| {
        let file = std::fs::File::open(root.path().join(path)).expect("there");
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        file.set_modified(time).expect("set");
    };
    let all =
        ["etc/ssh/sshd_config", "etc/ssh/sshd_config.d/10-otpd.conf", "etc/ssh/sshd_config.d"];
    let settings = |more: &str| Settings::parse(&format!("{GOOD}{more}"));
    for changed in all {
        written("run/sshd.pid", 2000);
        for path in all {
            written(path, 1000);
        }
        assert_eq!(stale(&host, &settings("")), None);
        written(changed, 3000);
        let found = stale(&host, &settings("pidfile /run/sshd.pid\n")).expect(changed);
        assert!(found.text.starts_with(&format!("/{changed} was changed after sshd")), "{found:?}");
        assert_eq!(found.state, State::Note);
        // It is not known when sshd has read them.
        assert_eq!(stale(&host, &settings("pidfile none\n")), None);
        assert_eq!(stale(&host, &settings("pidfile /run/other.pid\n")), None);
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
        let found = examine(&host, PASSWORD, &BTreeSet::new(), &BTreeSet::new());
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
