use std::{cell::RefCell, fs, time::Duration};

use super::{Change, Plan, Stranded, Wanted, Warning, change, kept, of_sshd, replace, stranded};
use crate::{
    doctor::{Host, Said},
    failure::Failure,
    pam::file::Original,
    stack::{edit::First, testing::COMMON_AUTH},
};

#[test]
fn what_many_services_include_is_changed_by_the_tool_that_writes_it() {
    let (enable, disable) = (Change::Enable(First::Stack), Change::Disable);
    let cases = [
        ("common-auth", enable, "run: pam-auth-update --enable otpd (Fedora"),
        ("common-auth", disable, "run: pam-auth-update --disable otpd (Fedora"),
        ("common-account", enable, "is a part of other services' stacks"),
        ("common-session-noninteractive", enable, "or name one service"),
        ("password-auth", enable, "see authselect.md"),
        ("other", Change::Enable(First::Key), "other is a part"),
    ];
    for (service, wanted, expected) in cases {
        // Refused before anything is looked at or locked, on trial too.
        for trial in [None, Some(Duration::from_mins(1))] {
            let wanted = Wanted { service, change: wanted, trial, sshd_file: None };
            let refused = change(wanted, |_| ()).expect_err(service);
            let Failure::Host(why) = refused else { panic!("{service}: {refused:?}") };
            assert!(why.starts_with(service) && why.contains(expected), "{service}: {why}");
        }
    }
}

#[test]
fn who_would_be_asked_for_a_password_that_they_do_not_have_is_told_beforehand() {
    let root = tempfile::tempdir().expect("directory");
    let write = |path: &str, text: &str| {
        let path = root.path().join(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("folders");
        std::fs::write(path, text).expect("written");
    };
    write("etc/passwd", "ann:x:1000:1000::/:/bin/bash\nbob:x:1001:1001::/:/bin/bash\n");
    write("etc/shadow", "ann:!:1::::::\nbob:$y$x:1::::::\n");
    write("etc/pam.d/common-auth", COMMON_AUTH);
    let methods = "AuthenticationMethods publickey,keyboard-interactive\n";
    write("etc/ssh/sshd_config", methods);
    let told = format!("usepam yes\n{}", methods.to_ascii_lowercase());
    let sshd = move |words: &[&str]| {
        let said = Said { success: true, output: told.clone(), complaint: String::new() };
        (words.first() == Some(&"sshd")).then_some(said)
    };
    let machine = Host::at(root.path(), sshd);
    let password = "@include common-auth\n";
    let both = "@include common-auth\nauth requisite pam_otp.so\n";
    let key = "auth requisite pam_otp.so\nauth required pam_permit.so\n";
    // Before, after, on trial; whether the code goes, and whether at the end of the trial.
    let cases = [
        ("out", key, password, false, Some((true, false))),
        ("out on trial", key, password, true, Some((true, false))),
        ("in after a key", password, key, false, None),
        ("in after a key, on trial", password, key, true, Some((true, true))),
        ("in after a password", password, both, false, Some((false, false))),
        ("in where a key is enough", "auth required pam_permit.so\n", key, true, None),
    ];
    let file = root.path().join("etc/pam.d/sshd");
    for (name, before, after, trial, expected) in cases {
        write("etc/pam.d/sshd", before);
        let plan = Plan {
            service: "sshd".to_owned(),
            path: "/etc/pam.d/sshd".to_owned(),
            original: Original::read(&file).expect("read"),
            edited: after.to_owned(),
        };
        let expected = expected.map(|(leaves, at_end)| Stranded {
            names: vec!["ann".to_owned()],
            leaves,
            at_end,
            undo: "take keyboard-interactive out of AuthenticationMethods at \
                   /etc/ssh/sshd_config:1; systemctl reload sshd"
                .to_owned(),
        });
        let trial = trial.then_some(Duration::from_mins(1));
        let mut wanted =
            Wanted { service: "sshd", change: Change::Disable, trial, sshd_file: None };
        assert_eq!(stranded(&machine, &plan, &wanted), expected, "{name}");
        // A file that goes at the end of the trial keeps nobody out then.
        wanted.sshd_file = Some("/etc/ssh/sshd_config");
        let expected = expected.filter(|stranded| !stranded.at_end);
        assert_eq!(stranded(&machine, &plan, &wanted), expected, "{name}, with its file");
    }
}

#[test]
fn a_file_that_would_keep_out_at_the_end_of_a_trial_is_named_to_go_with_it() {
    let root = tempfile::tempdir().expect("directory");
    let both = "authenticationmethods publickey,keyboard-interactive\n";
    let machine = machine(root.path(), both, "Include sshd_config.d/*.conf\n");
    let files = [
        ("etc/passwd", "ann:x:1000:1000::/:/bin/bash\n"),
        ("etc/shadow", "ann:!:1::::::\n"),
        ("etc/pam.d/sshd", "auth requisite pam_unix.so\n"),
        ("etc/ssh/sshd_config.d/10-otpd.conf", both),
    ];
    for (path, text) in files {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("folders");
        fs::write(path, text).expect("written");
    }
    let plan = Plan {
        service: "sshd".to_owned(),
        path: "/etc/pam.d/sshd".to_owned(),
        original: Original::read(&root.path().join("etc/pam.d/sshd")).expect("read"),
        edited: "auth requisite pam_otp.so\nauth required pam_permit.so\n".to_owned(),
    };
    let (change, trial) = (Change::Enable(First::Key), Some(Duration::from_mins(1)));
    let wanted = Wanted { service: "sshd", change, trial, sshd_file: None };
    let found = stranded(&machine, &plan, &wanted).map(|stranded| stranded.undo);
    assert_eq!(found.as_deref(), Some("--sshd-file /etc/ssh/sshd_config.d/10-otpd.conf"));
}

/// A machine whose sshd says this, with these lines in its file.
fn machine(root: &std::path::Path, told: &str, file: &str) -> Host {
    fs::create_dir_all(root.join("etc/ssh")).expect("folders");
    fs::write(root.join("etc/ssh/sshd_config"), file).expect("written");
    let told = (told != "nothing").then(|| {
        let output = format!("{told}usepam yes\npubkeyauthentication yes\npermitrootlogin no\n");
        Said { success: true, output, complaint: String::new() }
    });
    Host::at(root, move |words| told.clone().filter(|_| words.first() == Some(&"sshd")))
}

/// What is warned of, or why it is refused.
type Told<'a> = Result<&'a [&'a str], &'a str>;

#[test]
fn a_code_after_a_key_wants_an_sshd_that_demands_one() {
    let both = "authenticationmethods publickey,keyboard-interactive\n";
    let by_match = "Match Group people\n AuthenticationMethods publickey,keyboard-interactive\n";
    let shut = "permitrootlogin without-password\n";
    let cases: [(&str, First, &str, &str, Told); 11] = [
        ("both", First::Key, both, "", Ok(&[])),
        (
            "Debian's",
            First::Key,
            "authenticationmethods any\n",
            "",
            Err("`any`: keys would let in"),
        ),
        ("an older sshd's", First::Key, "", "", Err("keys would let in without a code")),
        (
            "without PAM",
            First::Key,
            "usepam no\nauthenticationmethods publickey,keyboard-interactive\n",
            "",
            Err("UsePAM"),
        ),
        (
            "one list of two",
            First::Key,
            "authenticationmethods publickey,keyboard-interactive keyboard-interactive\n",
            "",
            Err("AuthenticationMethods is"),
        ),
        (
            "keys",
            First::Key,
            "authenticationmethods publickey\n",
            "",
            Err("AuthenticationMethods is"),
        ),
        ("by a Match", First::Key, "authenticationmethods any\n", by_match, Ok(&["no key"])),
        ("silent", First::Key, "nothing", "", Ok(&["no key"])),
        ("a password", First::Stack, "authenticationmethods any\n", "", Ok(&[])),
        (
            "another stack",
            First::Stack,
            "pamservicename corp-ssh\n",
            "",
            Err("sshd asks /etc/pam.d/corp-ssh (PAMServiceName)"),
        ),
        ("root", First::Key, &format!("{shut}{both}"), "", Ok(&["root"])),
    ];
    for (name, first, told, file, expected) in cases {
        let root = tempfile::tempdir().expect("directory");
        let machine = machine(root.path(), told, file);
        let path = root.path().join("sshd");
        fs::write(&path, "").expect("written");
        let plan = Plan {
            service: "sshd".to_owned(),
            path: "/etc/pam.d/sshd".to_owned(),
            original: Original::read(&path).expect("read"),
            edited: String::new(),
        };
        let change = Change::Enable(first);
        let wanted = Wanted { service: "sshd", change, trial: None, sshd_file: None };
        let found = of_sshd(&machine, &plan, &wanted).map(|warnings| {
            let kind = |warning: &Warning| match warning {
                Warning::NoKey(_) => "no key",
                Warning::RootShut(_) => "root",
                _ => "another",
            };
            warnings.iter().map(kind).collect::<Vec<_>>()
        });
        match (found, expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{name}"),
            (Err(why), Err(expected)) => assert!(why.contains(expected), "{name}: {why}"),
            (found, expected) => panic!("{name}: {found:?}, not {expected:?}"),
        }
        // To take the code out is always possible.
        let wanted = Wanted { change: Change::Disable, ..wanted };
        assert_eq!(of_sshd(&machine, &plan, &wanted), Ok(vec![]), "{name}");
    }
}

#[test]
fn no_room_for_a_copy_keeps_no_code_in_the_stack() {
    let said = RefCell::new(Vec::new());
    let warn = |warning: &Warning| said.borrow_mut().push(warning.clone());
    let full = || Err("no space".to_owned());
    assert_eq!(kept(full(), false, &warn), Err("no space".to_owned()));
    assert_eq!(*said.borrow(), []);
    assert_eq!(kept(full(), true, &warn), Ok(None));
    assert_eq!(*said.borrow(), [Warning::NotKept("no space".to_owned())]);
    assert_eq!(kept(Ok("/x".to_owned()), true, &warn), Ok(Some("/x".to_owned())));
}

/// The disk fails once what is new has its name already.
#[test]
fn what_fails_behind_the_rename_is_undone_as_well() {
    let folder = tempfile::tempdir().expect("directory");
    let plan = |name: &str| {
        let path = folder.path().join(name);
        fs::write(&path, "before").expect("written");
        Plan {
            service: name.to_owned(),
            path: path.display().to_string(),
            original: Original::read(&path).expect("read"),
            edited: "after".to_owned(),
        }
    };
    let plans = [plan("one"), plan("two"), plan("three")];
    let texts = || plans.each_ref().map(|plan| fs::read_to_string(&plan.path).expect("read"));
    for renamed in [true, false] {
        let failing = |plan: &Plan, text: &str| {
            let fails = plan.service == "two" && text == "after";
            if renamed || !fails {
                plan.original.replace(text)?;
            }
            if fails { Err("no more".to_owned()) } else { Ok(()) }
        };
        assert_eq!(replace(&plans, &failing), Err(("no more".to_owned(), Ok(()))));
        assert_eq!(texts(), ["before", "before", "before"], "{renamed}");
    }
    assert_eq!(replace(&plans, &|plan, text| plan.original.replace(text)), Ok(()));
    assert_eq!(texts(), ["after", "after", "after"]);
}
