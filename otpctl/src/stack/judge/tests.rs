use super::{Fault, Judgement, Side, judge};
use crate::stack::{
    read,
    testing::{COMMON_AUTH, Files},
};

fn judged(files: &[(&str, &str)]) -> Judgement {
    judge(&read(&Files::new(files), "sshd"), &|_| false)
}

/// The same text as the stack of a program that runs as who has called it.
fn judged_as_su(text: &str) -> Judgement {
    let files =
        [("su", text), ("common-auth", COMMON_AUTH), ("inner", "auth sufficient pam_rootok.so\n")];
    judge(&read(&Files::new(&files), "su"), &|_| false)
}

/// A fault by its kind and the line of the service's own file, or of the named file.
fn short(fault: &Fault) -> String {
    let at = |place: &super::Place| {
        let file = place.file.trim_start_matches("/etc/pam.d/");
        if file == "sshd" { place.line.to_string() } else { format!("{file}:{}", place.line) }
    };
    match fault {
        Fault::Broken(_) => "broken".to_owned(),
        Fault::NoModule(place, _) => format!("missing {}", at(place)),
        Fault::PassedBy(by) => format!("passed {}", at(&by.place)),
        Fault::NotFinal(by, answer) => format!("not final {} {answer}", at(&by.place)),
        Fault::Unproved(by) => format!("unproved {}", at(&by.place)),
        Fault::StepsAside(by, word) => format!("aside {} {word}", at(&by.place)),
        Fault::Unchecked(by) => format!("unchecked {}", at(&by.place)),
        Fault::Unseen(by, sure) => format!("unseen {} {sure}", at(&by.place)),
        Fault::Closed => "closed".to_owned(),
        Fault::ExemptKeptOut(place) => format!("exempt {}", at(place)),
        Fault::Twice(place) => format!("twice {}", at(place)),
        Fault::Quiet(place) => format!("quiet {}", at(place)),
        Fault::Argument(_, error) => {
            format!("argument {}", error.split([',', ';']).next().unwrap_or_default())
        }
        Fault::Hasty(place, timeout) => format!("hasty {} {}", at(place), timeout.as_secs()),
    }
}

const OTP: &str = "auth requisite pam_otp.so\n";

#[test]
fn the_supported_stacks_are_good() {
    let after = |above: &str| format!("{above}{OTP}");
    let cases = [
        ("a password", after("auth requisite pam_unix.so\n"), false),
        ("a key", format!("{OTP}auth required pam_permit.so\n"), true),
        ("Debian's", after("@include common-auth\n"), false),
        (
            "Debian's by include, and what stands in login",
            "auth optional pam_faildelay.so delay=3000000\nauth requisite pam_nologin.so\n\
             auth include common-auth\nauth requisite pam_otp.so\nauth optional pam_group.so\n"
                .to_owned(),
            false,
        ),
        (
            "two kinds of passwords",
            after(
                "auth [success=2 default=ignore] pam_unix.so\n\
                 auth [success=1 default=ignore] pam_sss.so use_first_pass\n\
                 auth requisite pam_deny.so\nauth required pam_permit.so\n",
            ),
            false,
        ),
        (
            "the same, by jumps to the code",
            "auth [success=2 default=ignore] pam_unix.so\n\
             auth [success=1 default=ignore] pam_sss.so use_first_pass\n\
             auth requisite pam_deny.so\n\
             auth requisite pam_otp.so\nauth required pam_permit.so\n"
                .to_owned(),
            false,
        ),
        (
            "a substack that is left by nobody who failed",
            after("auth requisite pam_unix.so\n-auth substack later\n"),
            false,
        ),
        (
            "a password before a key that some have",
            after("auth requisite pam_unix.so\nauth requisite pam_u2f.so nouserok\n"),
            false,
        ),
        (
            "a directory for some, the machine for the others",
            after(
                "auth [success=2 default=ignore] pam_krb5.so minimum_uid=1000\n\
                 auth [success=1 default=ignore] pam_unix.so try_first_pass\n\
                 auth requisite pam_deny.so\nauth required pam_permit.so\n",
            ),
            false,
        ),
        (
            "a key that leaves no password, and the module is told so",
            "auth requisite pam_u2f.so\nauth requisite pam_otp.so first_factor_checked\n"
                .to_owned(),
            false,
        ),
        (
            "a directory that passes the password on",
            after("auth requisite pam_sss.so forward_pass\n"),
            false,
        ),
        (
            "every argument",
            "auth requisite pam_unix.so\nauth requisite pam_otp.so timeout=10 socket=/run/x \
             failmode=secure exempt_user=root,backup first_factor_checked debug\n"
                .to_owned(),
            false,
        ),
    ];
    for (name, text, alone) in cases {
        let later = "auth optional pam_gnome_keyring.so\n";
        let found = judged(&[("sshd", &text), ("common-auth", COMMON_AUTH), ("later", later)]);
        assert_eq!((found.faults, found.sides), (Vec::new(), Vec::new()), "{name}");
        assert_eq!(found.alone, alone, "{name}");
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn what_is_wrong_is_found_where_it_is() {
    let unix = "auth requisite pam_unix.so\n";
    let cases: [(&str, String, &[&str]); 49] = [
        (
            "root's program, to which everybody is root",
            format!("auth sufficient pam_rootok.so\n@include common-auth\n{OTP}"),
            &["passed 1"],
        ),
        (
            "the same by a jump",
            format!(
                "auth [success=1 default=ignore] pam_rootok.so\n{unix}{OTP}auth required pam_permit.so\n"
            ),
            &["unchecked 1"],
        ),
        (
            "a rule that libpam 1.5 takes for arguments",
            format!("auth requisite pam_unix.so \\\n\n{OTP}"),
            &["broken"],
        ),
        ("a last line that goes on", format!("{unix}auth requisite pam_otp.so \\\n"), &["broken"]),
        (
            "a jump over nothing",
            format!("{unix}auth [success=0 default=die] pam_otp.so\n"),
            &["broken"],
        ),
        ("a sufficient password", format!("auth sufficient pam_unix.so\n{OTP}"), &["passed 1"]),
        (
            "the Primary trap",
            "auth [success=2 default=ignore] pam_unix.so\n\
             auth [success=1 default=ignore] pam_otp.so\n\
             auth requisite pam_deny.so\nauth required pam_permit.so\n"
                .to_owned(),
            &["passed 1"],
        ),
        (
            "a jump over it",
            format!(
                "{unix}auth [success=1 default=ignore] pam_succeed_if.so user ingroup wheel\n{OTP}\
                 auth required pam_permit.so\n"
            ),
            &["passed 2"],
        ),
        (
            "a sufficient gate",
            format!("auth sufficient pam_listfile.so item=user\n{unix}{OTP}"),
            &["passed 1"],
        ),
        ("a required password", format!("auth required pam_unix.so\n{OTP}"), &["unproved 1"]),
        ("an optional password", format!("auth optional pam_unix.so\n{OTP}"), &["unproved 1"]),
        (
            "a password below",
            format!("{OTP}auth required pam_unix.so\n"),
            // Judged with what sshd says: nothing has checked anything before the code.
            &[],
        ),
        (
            "a required password in an include",
            format!("@include legacy\n{OTP}"),
            &["unproved legacy:1"],
        ),
        (
            "a substack that ends in a denial",
            format!("auth substack common-auth\n{OTP}"),
            &["unproved common-auth:2"],
        ),
        ("a required gate", format!("auth required pam_access.so\n{unix}{OTP}"), &["unproved 1"]),
        (
            "an optional code",
            format!("{unix}auth optional pam_otp.so\n"),
            &["not final 2 auth_err"],
        ),
        (
            "a sufficient code",
            format!("{unix}auth sufficient pam_otp.so\n"),
            &["not final 2 auth_err"],
        ),
        (
            "a sufficient code above the password",
            "auth sufficient pam_otp.so\nauth required pam_unix.so\n".to_owned(),
            &["not final 1 auth_err"],
        ),
        (
            "a code that is passed over while otpd is down",
            format!("{unix}auth [success=ok authinfo_unavail=ignore default=die] pam_otp.so\n"),
            &["not final 2 authinfo_unavail", "exempt 2"],
        ),
        (
            "an interrupted code",
            format!("{unix}auth [success=ok conv_err=ignore default=die] pam_otp.so\n"),
            &["not final 2 conv_err", "exempt 2"],
        ),
        ("alone, without permit", OTP.to_owned(), &["exempt 1"]),
        ("below a denial", format!("auth requisite pam_deny.so\n{OTP}"), &["closed"]),
        ("above a denial", format!("{unix}{OTP}auth required pam_deny.so\n"), &["closed"]),
        (
            "a jump into nothing",
            format!("auth [success=9 default=die] pam_unix.so\n{OTP}"),
            &["closed"],
        ),
        ("twice", format!("{unix}{OTP}{OTP}"), &["twice 3"]),
        ("quiet", format!("{unix}-auth requisite pam_otp.so\n"), &["quiet 2"]),
        (
            "a misspelt argument",
            format!("{unix}auth requisite pam_otp.so exempt_users=root\n"),
            &["argument unknown argument `exempt_users=root`"],
        ),
        (
            "arguments out of range",
            format!("{unix}auth requisite pam_otp.so timeout=0 socket=x failmode=open\n"),
            &[
                "argument `timeout` is `0`",
                "argument `socket` is `x`",
                "argument `failmode` is `open`",
            ],
        ),
        (
            "a list that ends in a comma",
            format!("{unix}auth requisite pam_otp.so exempt_user=root,\n"),
            &["argument `exempt_user`: the name `` is empty"],
        ),
        (
            "a list with nothing in the middle",
            format!("{unix}auth requisite pam_otp.so exempt_user=a,,b\n"),
            &["argument `exempt_user`: the name `` is empty"],
        ),
        (
            "a path for a name",
            format!("{unix}auth requisite pam_otp.so exempt_user=/root\n"),
            &["argument `exempt_user`: the name `/root` contains '/'"],
        ),
        (
            "a word twice",
            format!("{unix}auth requisite pam_otp.so exempt_user=root debug debug\n"),
            &["argument `debug` is given twice"],
        ),
        (
            "a value twice",
            format!("{unix}auth requisite pam_otp.so timeout=15 timeout=16\n"),
            &["argument `timeout` is given twice"],
        ),
        (
            "a socket that no address holds",
            format!("{unix}auth requisite pam_otp.so socket=/{}\n", "x".repeat(107)),
            &["argument `socket` is longer than 107 bytes"],
        ),
        (
            "less time than the daemon may need",
            format!("{unix}auth requisite pam_otp.so timeout=9\n"),
            &["hasty 2 9"],
        ),
        (
            "a directory that does not know somebody",
            format!("auth requisite pam_sss.so ignore_unknown_user\n{OTP}"),
            &["unseen 1 false", "aside 1 ignore_unknown_user"],
        ),
        (
            "a key that nobody registered",
            format!("auth requisite pam_u2f.so cue nouserok\n{OTP}auth required pam_permit.so\n"),
            &["unseen 1 false", "aside 1 nouserok"],
        ),
        (
            "another code that nobody set up",
            format!("auth requisite pam_google_authenticator.so nullok\n{OTP}"),
            &["unseen 1 false", "aside 1 nullok"],
        ),
        (
            "a server that is down",
            format!("auth requisite pam_radius_auth.so localifdown=1\n{OTP}"),
            &["aside 1 localifdown=1"],
        ),
        (
            "a jump over the password",
            format!(
                "auth [success=1 default=ignore] pam_succeed_if.so user ingroup ops\n{unix}{OTP}\
                 auth required pam_permit.so\n"
            ),
            &["unchecked 1"],
        ),
        (
            "a key that leaves no password",
            format!("auth requisite pam_u2f.so\n{OTP}"),
            &["unseen 1 true"],
        ),
        (
            "a finger or a password",
            format!(
                "auth [success=2 default=ignore] pam_fprintd.so\n\
                 auth [success=1 default=ignore] pam_unix.so try_first_pass\n\
                 auth requisite pam_deny.so\nauth required pam_permit.so\n{OTP}"
            ),
            &["unseen 1 true"],
        ),
        (
            "a directory that keeps the password to itself",
            format!("auth requisite pam_sss.so\n{OTP}"),
            &["unseen 1 true"],
        ),
        (
            "a key that a list spares",
            format!(
                "auth [success=1 default=ignore] pam_succeed_if.so user ingroup ops\n\
                 auth requisite pam_u2f.so\n{OTP}auth required pam_permit.so\n"
            ),
            &["unseen 2 false", "unchecked 1"],
        ),
        (
            "a list that spares a first factor which is believed in",
            "auth [success=1 default=ignore] pam_succeed_if.so user ingroup ops\n\
             auth requisite pam_u2f.so\nauth requisite pam_otp.so first_factor_checked\n"
                .to_owned(),
            &["unchecked 1"],
        ),
        ("a missing include", format!("@include nowhere\n{OTP}"), &["broken"]),
        ("an endless include", format!("auth include sshd\n{OTP}"), &["broken"]),
        ("a misspelt control", format!("auth requisit pam_unix.so\n{OTP}"), &["broken"]),
        ("half a line", format!("{unix}{OTP}auth\n"), &["broken"]),
    ];
    for (name, text, expected) in cases {
        let files = [
            ("sshd", text.as_str()),
            ("common-auth", COMMON_AUTH),
            ("legacy", "auth required pam_unix.so\n"),
        ];
        let found = judged(&files);
        let faults = found.faults.iter().map(short).collect::<Vec<_>>();
        assert_eq!(faults, expected, "{name}");
        for fault in &found.faults {
            assert!(!fault.what().is_empty() && !fault.remedy().is_empty(), "{name}");
        }
    }
}

#[test]
fn who_lets_root_in_before_the_code_and_who_keeps_root_out_is_known() {
    let password = "auth sufficient pam_rootok.so\n@include common-auth\n";
    let su = judged_as_su(&format!("{password}{OTP}"));
    assert_eq!((su.faults, su.sides, su.alone), (Vec::new(), Vec::new(), false));
    let cases = [
        ("su", "auth sufficient pam_rootok.so\nauth requisite pam_unix.so\n", Some(1), false),
        ("chsh", "auth required pam_shells.so\nauth sufficient pam_rootok.so\n", Some(2), false),
        ("an inner one", "auth substack inner\nauth requisite pam_unix.so\n", None, false),
        ("one of two", "auth required pam_rootok.so\nauth requisite pam_unix.so\n", None, false),
        (
            "gdm",
            "auth required pam_succeed_if.so user != root quiet_success\n\
             auth requisite pam_unix.so\n",
            None,
            true,
        ),
        (
            "a hint",
            "auth optional pam_succeed_if.so user != root\nauth requisite pam_unix.so\n",
            None,
            false,
        ),
    ];
    for (name, above, root_in, root_out) in cases {
        for code in [OTP, ""] {
            let found = judged_as_su(&format!("{above}{code}"));
            let place = found.root_in.map(|place| place.line);
            assert_eq!((place, found.root_out), (root_in, root_out), "{name}");
        }
    }
    let below = judged_as_su(&format!("{OTP}auth sufficient pam_rootok.so\n"));
    assert_eq!(below.root_in, None);
}

#[test]
fn red_hats_stack_sends_codes_after_wrong_passwords() {
    let auth = "auth required pam_env.so\n\
                auth required pam_faildelay.so delay=2000000\n\
                auth sufficient pam_fprintd.so\n\
                auth [default=1 ignore=ignore success=ok] pam_usertype.so isregular\n\
                auth [default=1 ignore=ignore success=ok] pam_localuser.so\n\
                auth sufficient pam_unix.so nullok\n\
                auth [default=1 ignore=ignore success=ok] pam_usertype.so isregular\n\
                auth sufficient pam_sss.so forward_pass\n\
                auth required pam_deny.so\n";
    let sshd = format!("auth substack password-auth\n{OTP}auth include postlogin\n");
    let files = [("sshd", &*sshd), ("password-auth", auth), ("postlogin", "")];
    let found = judged(&files).faults;
    assert!(!found.is_empty() && found.iter().all(|fault| matches!(fault, Fault::Unproved(_))));
    for fault in found {
        assert!(
            fault.remedy().ends_with("/usr/share/doc/otpd/authselect.md"),
            "{}",
            fault.remedy()
        );
    }
}

#[test]
fn what_is_worth_knowing_is_no_fault() {
    let text = "auth requisite pam_mystery.so # socket=no\n\
                auth required pam_otp.so failmode=safe # me, exempt_user=root\n";
    let found = judged(&[("sshd", text)]);
    assert_eq!(found.faults, []);
    let kinds = found.sides.iter().map(|side| match side {
        Side::Unknown(place, module) => format!("{module} {}", place.line),
        Side::FailSafe(place) => format!("safe {}", place.line),
        Side::GoesOn(place) => format!("goes on {}", place.line),
        Side::Behind(place, word) => format!("{word} {}", place.line),
    });
    let expected = ["pam_mystery.so 1", "exempt_user=root 2", "safe 2", "goes on 2"];
    assert_eq!(kinds.collect::<Vec<_>>(), expected);
}

#[test]
fn a_missing_module_is_named_where_something_hangs_on_it() {
    let unix = "auth requisite pam_unix.so\n";
    let after = |above: &str| format!("{above}{unix}{OTP}");
    let cases: [(&str, String, &[&str]); 8] = [
        ("one", after("auth requisite pam_absent.so\n"), &["missing 1"]),
        ("one that may be", after("-auth optional pam_absent.so\n"), &[]),
        ("one that would be enough", after("-auth sufficient pam_fprintd.so\n"), &[]),
        // libpam answers the same with a minus: it logs nothing, and nobody gets in.
        ("one that may not be", after("-auth requisite pam_absent.so\n"), &["missing 1", "closed"]),
        ("one that is required", after("-auth required pam_absent.so\n"), &["missing 1", "closed"]),
        (
            "one that says what it does then",
            after("-auth [success=ok module_unknown=ignore default=die] pam_absent.so\n"),
            &[],
        ),
        (
            "the module",
            format!("{unix}-auth requisite pam_otp.so\n"),
            &["missing 2", "quiet 2", "closed"],
        ),
        (
            "the module, which is optional",
            format!("{unix}-auth optional pam_otp.so\n"),
            &["missing 2", "quiet 2", "not final 2 module_unknown", "closed"],
        ),
    ];
    for (name, text, expected) in cases {
        let stack = read(&Files::new(&[("sshd", &text)]), "sshd");
        let gone = |entry: &super::Entry| match entry.name() {
            "pam_unix.so" => false,
            "pam_otp.so" => entry.quiet,
            _ => true,
        };
        let faults = judge(&stack, &gone).faults.iter().map(short).collect::<Vec<_>>();
        assert_eq!(faults, expected, "{name}");
    }
    let quiet = judged(&[("sshd", &format!("{unix}-auth requisite pam_otp.so\n"))]);
    let said = quiet.faults.iter().map(Fault::what).collect::<String>();
    assert!(said.ends_with("a missing pam_otp.so keeps out without a word in the log"), "{said}");
}

#[test]
fn another_service_than_the_one_named_takes_others_stack() {
    let files = Files::new(&[("other", "auth requisite pam_unix.so\nauth requisite pam_otp.so\n")]);
    assert!(read(&files, "nothing").asks());
    let none = read(&Files::new(&[]), "nothing");
    assert!(!none.asks());
    assert_eq!(judge(&none, &|_| false).faults.iter().map(short).collect::<Vec<_>>(), ["broken"]);
}
