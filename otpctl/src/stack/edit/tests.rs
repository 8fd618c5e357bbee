use proptest::prelude::*;

use super::{First, Refusal, disable, enable};
use crate::stack::{
    judge, read,
    testing::{COMMON_AUTH, Files},
};

const SSHD: &str = "# PAM configuration for the Secure Shell service\n\n\
                    @include common-auth\n\n\
                    account    required     pam_nologin.so\n\
                    @include common-account\n";
const ACCOUNT: &str = "account required pam_unix.so\n";

fn files(service: &str, text: &str) -> Files {
    Files::new(&[
        (service, text),
        ("common-auth", COMMON_AUTH),
        ("common-account", ACCOUNT),
        ("with-code", "auth requisite pam_unix.so\nauth requisite pam_otp.so\n"),
        ("mixed", "auth requisite pam_unix.so\naccount required pam_unix.so\n"),
    ])
}

fn put_in(service: &str, text: &str, first: First) -> Result<String, Refusal> {
    let file = format!("/etc/pam.d/{service}");
    enable(&files(service, text), &|_| false, (service, &file, text), first)
}

fn take_out(service: &str, text: &str) -> Result<String, Refusal> {
    let file = format!("/etc/pam.d/{service}");
    disable(&files(service, text), &|_| false, (service, &file, text))
}

#[test]
fn the_module_comes_below_what_checks_the_password() {
    let edited = put_in("sshd", SSHD, First::Stack).expect("supported");
    assert_eq!(
        edited,
        "# PAM configuration for the Secure Shell service\n\n\
         @include common-auth\n\
         #otpctl# a code after the first factor; `otpctl pam disable sshd` takes this out\n\
         auth requisite pam_otp.so\n\n\
         account    required     pam_nologin.so\n\
         @include common-account\n"
    );
}

#[test]
fn for_keys_the_password_is_put_aside() {
    let edited = put_in("sshd", SSHD, First::Key).expect("supported");
    assert_eq!(
        edited,
        "# PAM configuration for the Secure Shell service\n\n\
         #otpctl# a code after the first factor; `otpctl pam disable sshd` takes this out\n\
         auth requisite pam_otp.so\n\
         #otpctl# and those who are exempt from it come in\n\
         auth required pam_permit.so\n\
         #otpctl#: @include common-auth\n\n\
         account    required     pam_nologin.so\n\
         @include common-account\n"
    );
}

#[test]
fn what_was_put_in_leaves_no_trace_and_is_good_meanwhile() {
    let login = "auth       optional   pam_faildelay.so  delay=3000000\n\
                 auth       requisite  pam_nologin.so\n\
                 session    required   pam_loginuid.so\n\
                 @include common-auth\n\
                 auth       optional   pam_group.so\n\
                 @include common-account";
    let cases = [
        ("Debian's sshd", "sshd", SSHD.to_owned()),
        ("Debian's login, without a last line end", "login", login.to_owned()),
        ("su", "su", "auth sufficient pam_rootok.so\n@include common-auth\n".to_owned()),
        ("by include", "sshd", "auth include common-auth\n".to_owned()),
        ("without a line end", "sshd", "auth requisite pam_unix.so".to_owned()),
        (
            "over two lines",
            "sshd",
            "auth requisite \\\n  pam_unix.so\naccount required pam_unix.so".to_owned(),
        ),
    ];
    for (name, service, text) in cases {
        for first in [First::Stack, First::Key] {
            let edited = match put_in(service, &text, first) {
                Ok(edited) => edited,
                Err(refusal) => panic!("{name} {first:?}: {refusal:?}"),
            };
            assert_ne!(edited, text, "{name}");
            let stack = read(&files(service, &edited), service);
            let judgement = judge(&stack, &|_| false);
            assert_eq!(judgement.faults, [], "{name} {first:?}");
            assert_eq!(judgement.alone, first == First::Key, "{name}");
            let back = take_out(service, &edited).expect(name);
            assert_eq!(back, text, "{name} {first:?}");
            assert!(matches!(put_in(service, &edited, first), Err(Refusal::Already(_))), "{name}");
        }
    }
}

#[test]
fn below_what_leaves_no_password_the_module_is_told_that_something_checked() {
    let finger = "auth [success=2 default=ignore] pam_fprintd.so max-tries=1\n\
                  auth [success=1 default=ignore] pam_unix.so nullok try_first_pass\n\
                  auth requisite pam_deny.so\nauth required pam_permit.so\n";
    for (text, below) in
        [("auth requisite pam_u2f.so\n", ""), (finger, "auth required pam_permit.so\n")]
    {
        let edited = put_in("sudo", text, First::Stack).expect("supported");
        let expected = format!(
            "{}#otpctl# a code after the first factor; `otpctl pam disable sudo` takes this out\n\
             auth requisite pam_otp.so first_factor_checked\n{below}",
            text.strip_suffix(below).expect(text)
        );
        assert_eq!(edited, expected);
        assert_eq!(judge(&read(&files("sudo", &edited), "sudo"), &|_| false).faults, []);
        assert_eq!(take_out("sudo", &edited).as_deref(), Ok(text));
    }
    let spared = "auth [success=1 default=ignore] pam_succeed_if.so user ingroup ops\n\
                  auth requisite pam_u2f.so\n";
    let refusal = put_in("sudo", spared, First::Stack).expect_err("not for all");
    assert!(refusal.text("sudo").contains("pam_u2f.so leaves no password"), "{refusal:?}");
}

#[test]
fn what_was_written_below_since_stays_on_a_line_of_its_own() {
    let text = "auth requisite pam_unix.so";
    let edited = put_in("sshd", text, First::Stack).expect("supported");
    assert!(edited.contains(", with the end of the line above\n") && edited.ends_with('\n'));
    let more = format!("{edited}account required pam_unix.so\n");
    let expected = "auth requisite pam_unix.so\naccount required pam_unix.so\n";
    assert_eq!(take_out("sshd", &more).as_deref(), Ok(expected));
    // Whose end was there keeps it, as does what was put in by hand.
    let ended = format!("{text}\n");
    let edited = put_in("sshd", &ended, First::Stack).expect("supported");
    assert_eq!(take_out("sshd", &edited).as_deref(), Ok(&*ended));
    assert_eq!(take_out("sshd", &format!("{text}\nauth requisite pam_otp.so")), Ok(ended));
}

#[test]
fn what_a_tool_has_put_in_is_taken_out_by_it() {
    let debian = Files::new(&[
        ("sshd", "@include common-auth\n"),
        ("common-auth", "auth requisite pam_unix.so\nauth requisite pam_otp.so\n"),
    ]);
    let what = ("sshd", "/etc/pam.d/sshd", "@include common-auth\n");
    let refusal = disable(&debian, &|_| false, what).expect_err("elsewhere");
    let said = refusal.text("sshd");
    assert!(said.starts_with("/etc/pam.d/common-auth:2: "), "{said}");
    assert!(said.contains("run: pam-auth-update --disable otpd"), "{said}");
    let refusal = take_out("sshd", "@include with-code\n").expect_err("elsewhere");
    assert!(refusal.text("sshd").contains("(authselect, or by hand)"), "{refusal:?}");
}

#[test]
fn what_was_put_in_by_hand_is_taken_out() {
    let text = "auth requisite pam_unix.so\nauth requisite pam_otp.so \\\n  debug\nauth optional pam_group.so\n";
    let expected = "auth requisite pam_unix.so\nauth optional pam_group.so\n";
    assert_eq!(take_out("sshd", text).as_deref(), Ok(expected));
}

#[test]
fn an_argument_at_the_end_of_the_line_counts_and_goes_with_it() {
    for first in [First::Stack, First::Key] {
        let edited = put_in("sshd", SSHD, first).expect("supported");
        let written = edited.replace("pam_otp.so\n", "pam_otp.so exempt_user=root\n");
        let judgement = judge(&read(&files("sshd", &written), "sshd"), &|_| false);
        assert_eq!((judgement.exempt, judgement.sides), (vec!["root".to_owned()], vec![]));
        assert_eq!(take_out("sshd", &written).as_deref(), Ok(SSHD), "{first:?}");
    }
}

#[test]
fn a_stack_that_is_not_understood_stays_as_it_is() {
    let cases = [
        (
            "sufficient",
            "auth sufficient pam_unix.so\nauth required pam_deny.so\n",
            "the stack would be wrong",
        ),
        ("required", "auth required pam_unix.so\n", "the stack would be wrong"),
        ("substack", "auth substack common-auth\n", "the stack would be wrong"),
        ("an unknown module", "auth requisite pam_mystery.so\n", "not known here"),
        ("no password", "auth required pam_permit.so\n", "nothing in the stack"),
        (
            "a jump over what comes",
            "auth [success=1 default=die] pam_unix.so\n",
            "the stack would be wrong",
        ),
        ("no rule at all", "account required pam_unix.so\n", "no /etc/pam.d/"),
        ("a missing include", "@include nowhere\n", "includes nowhere"),
        ("half a line", "auth requisite pam_unix.so\nauth\n", "`auth`"),
        (
            "a line that goes on in nothing",
            "auth requisite pam_unix.so \\\n\n",
            "goes on in a blank line",
        ),
        (
            "a password that is not asked for",
            "auth sufficient pam_rootok.so\n@include common-auth\n",
            "pam_rootok.so is enough",
        ),
        ("a code already", "@include with-code\n", "asks for a code already"),
    ];
    for (name, text, expected) in cases {
        let refusal = put_in("sshd", text, First::Stack).expect_err(name);
        let said = refusal.text("sshd");
        assert!(said.contains(expected), "{name}: {said}");
    }
    let mixed = put_in("sshd", "@include mixed\n", First::Key).expect_err("mixed");
    assert!(mixed.text("sshd").contains("more than what is about auth"));
}

#[test]
fn what_hangs_on_the_module_is_not_taken_out() {
    let cases = [
        ("not there", "auth requisite pam_unix.so\n", Refusal::Not),
        (
            "in another file",
            "@include with-code\n",
            Refusal::Elsewhere("/etc/pam.d/with-code:2".into()),
        ),
        (
            "all that there is",
            "auth requisite pam_otp.so\nauth required pam_permit.so\n",
            Refusal::Open,
        ),
        (
            "without permit",
            "auth requisite pam_otp.so\nauth optional pam_env.so\nauth required pam_deny.so\n",
            Refusal::Shut,
        ),
    ];
    for (name, text, expected) in cases {
        assert_eq!(take_out("sshd", text), Err(expected), "{name}");
    }
}

/// A line of a service file, sound or not.
fn any_line() -> impl Strategy<Value = String> {
    let facility = prop::sample::select(vec!["auth", "auth", "auth", "-auth", "account", "x"]);
    let control = prop::sample::select(vec![
        "required",
        "requisite",
        "sufficient",
        "optional",
        "include",
        "substack",
        "[success=1 default=ignore]",
        "[success=2 default=die]",
        "[success=ok ignore=reset default=bad]",
        "[success=done",
    ]);
    let module = prop::sample::select(vec![
        "pam_unix.so",
        "pam_deny.so",
        "pam_permit.so",
        "pam_nologin.so",
        "pam_env.so",
        "pam_otp.so",
        "common-auth",
        "sshd",
    ]);
    let rule = (facility, control, module)
        .prop_map(|(facility, control, module)| format!("{facility} {control} {module}"));
    prop_oneof![
        8 => rule,
        1 => Just("@include common-auth".to_owned()),
        1 => Just("# a comment".to_owned()),
        1 => Just("auth requisite \\".to_owned()),
        1 => "[ -~]{0,30}",
    ]
}

proptest! {
    #[test]
    fn whatever_is_put_in_is_good_and_leaves_no_trace(
        lines in prop::collection::vec(any_line(), 0..8),
        key in any::<bool>(),
        ended in any::<bool>(),
    ) {
        let text = lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect::<String>();
        let text = if ended { text } else { text.trim_end_matches('\n').to_owned() };
        let first = if key { First::Key } else { First::Stack };
        // Also whatever is refused, or stands there already, is judged without an accident.
        let _ = take_out("sshd", &text);
        if let Ok(edited) = put_in("sshd", &text, first) {
            let stack = read(&files("sshd", &edited), "sshd");
            let judgement = judge(&stack, &|_| false);
            prop_assert_eq!(&judgement.faults, &[]);
            prop_assert_eq!(judgement.alone, key);
            // What would let nobody in, or everybody, without a code is not taken out.
            match take_out("sshd", &edited) {
                Ok(back) => prop_assert_eq!(back, text),
                Err(refusal) => {
                    prop_assert!(matches!(refusal, Refusal::Open | Refusal::Shut), "{:?}", refusal);
                }
            }
        }
    }
}
