//! A good host, and everything that can be wrong with it, one thing at a time.

mod faults;
mod scene;

use otp_proto::admin::Unenrolled;

use super::{Finding, State};
use faults::{Deed, FAULTS};
use scene::*;

fn problems(findings: &[Finding]) -> Vec<&str> {
    let problems = findings.iter().filter(|finding| finding.state == State::Problem);
    problems.map(|finding| finding.text.as_str()).collect()
}

#[test]
fn a_good_host_has_no_problem() {
    let findings = Scene::good().findings();
    assert_eq!(problems(&findings), Vec::<&str>::new());
    let subjects =
        ["daemon", "config", "gateways", "clock", "pam", "sshd", "console", "mac", "people"];
    for subject in subjects {
        assert!(findings.iter().any(|finding| finding.subject == subject), "{subject}");
    }
}

#[test]
fn everything_that_can_be_wrong_is_found_and_has_its_remedy() {
    for (name, break_it, expected) in FAULTS {
        let mut scene = Scene::good();
        break_it(&mut scene);
        let findings = scene.findings();
        let found = problems(&findings);
        assert!(found.iter().any(|text| text.contains(expected)), "{name}: {found:?}");
        // Two services may suffer by one fault; nothing else is called wrong by it.
        assert!(found.len() <= 2, "{name}: {found:?}");
        let bare = findings.iter().find(|one| one.state == State::Problem && one.remedy.is_none());
        assert_eq!(bare, None, "{name}");
    }
}

#[test]
fn nobody_is_locked_out_who_is_exempt_or_cannot_come_in_anyway() {
    let cases: [(&str, Deed); 4] = [
        ("by otpd", |s| s.policy.exempt_users = vec!["bob".into()]),
        ("by a group", |s| {
            s.policy.exempt_groups = vec!["ops".into()];
            s.program("getent group ops", "ops:x:50:eve,bob\n");
        }),
        ("by a primary group", |s| {
            s.policy.exempt_groups = vec!["ops".into()];
            s.program("getent group ops", "ops:x:1001:\n");
        }),
        ("by policy.unenrolled", |s| s.policy.unenrolled = Unenrolled::Ignore),
    ];
    for (name, exempt) in cases {
        let mut scene = Scene::good();
        scene.enrolled.pop();
        exempt(&mut scene);
        assert_eq!(problems(&scene.findings()), Vec::<&str>::new(), "{name}");
    }
}

#[test]
fn who_is_damaged_is_not_told_to_enroll() {
    let mut scene = Scene::good();
    scene.enrolled.pop();
    scene.damaged = vec!["bob".to_owned()];
    let damaged = "what is stored of 1 user (bob) is damaged";
    scene.status().problems = vec![damaged.to_owned()];
    assert_eq!(problems(&scene.findings()), [damaged]);
}

#[test]
fn a_rotation_is_to_be_finished_as_the_daemon_says() {
    let mut scene = Scene::good();
    let told =
        "the key was rotated, and more; what is left to do, on every host: cd /srv && mv a b";
    let early = "the key was rotated, by a daemon that names no file";
    scene.status().problems = vec![told.to_owned(), early.to_owned()];
    let findings = scene.findings();
    let found = problems(&findings);
    assert_eq!(found, ["the key was rotated, and more; what is left to do", early]);
    let remedies = findings.iter().filter_map(|finding| finding.remedy.as_deref());
    let remedies = remedies.filter(|remedy| remedy.contains("cd /")).collect::<Vec<_>>();
    assert_eq!(remedies.len(), 2, "{remedies:?}");
    assert_eq!(remedies[0], "on every host: cd /srv && mv a b");
    assert!(remedies[1].starts_with("cd /etc/otpd && "), "{remedies:?}");
}

#[test]
fn root_is_locked_out_where_root_may_come_in() {
    let mut scene = Scene::good();
    scene.sshd("permitrootlogin", "yes");
    let findings = scene.findings();
    let expected = "locked out at sshd, without a proved number: root";
    assert_eq!(problems(&findings), [expected]);
    let scene = Scene::good();
    scene.write("etc/pam.d/login", "@include common-auth\nauth requisite pam_otp.so\n");
    let findings = scene.findings();
    let expected = "locked out at login, without a proved number: root";
    assert_eq!(problems(&findings), [expected]);
    let note = "at the console nobody gets in while otpd cannot be reached";
    assert!(findings.iter().any(|finding| finding.text == note));
}

#[test]
fn what_debian_ships_is_no_problem() {
    let scene = Scene::good();
    for module in ["shells", "succeed_if"] {
        scene.write(&format!("lib/x86_64-linux-gnu/security/pam_{module}.so"), "");
    }
    let code = "@include common-auth\nauth requisite pam_otp.so\n";
    let gates = [
        ("chfn", "auth sufficient pam_rootok.so\n"),
        ("chsh", "auth required pam_shells.so\nauth sufficient pam_rootok.so\n"),
        ("cron", ""),
        ("gdm-password", "auth required pam_succeed_if.so user != root quiet_success\n"),
    ];
    for (name, gate) in gates {
        scene.write(&format!("etc/pam.d/{name}"), &format!("{gate}{code}"));
    }
    let findings = scene.findings();
    assert_eq!(problems(&findings), Vec::<&str>::new());
    for place in ["/etc/pam.d/chsh:1", "/etc/pam.d/gdm-password:1"] {
        let note = findings.iter().find(|finding| finding.text.starts_with(place));
        assert_eq!(note.map(|note| note.state), Some(State::Note), "{place}");
    }
    assert!(findings.iter().all(|finding| !finding.text.contains("cron")), "{findings:?}");
}

#[test]
fn a_match_by_address_is_said_to_be_judged_in_part() {
    let mut scene = Scene::good();
    let text = "UsePAM yes\nMatch User bob Address 10.0.0.0/8\n  PermitTTY no\n";
    scene.write("etc/ssh/sshd_config", text);
    for user in ["root", "alice", "bob"] {
        scene.program(&connection(user), SSHD_T);
        scene.program(&connection(user).replace(",addr=127.0.0.1,", ",addr=10.0.0.0,"), SSHD_T);
    }
    let findings = scene.findings();
    assert_eq!(problems(&findings), Vec::<&str>::new());
    let expected = "/etc/ssh/sshd_config:2: `Match User bob Address 10.0.0.0/8` depends on where a login \
                    comes from or arrives: it was judged from 10.0.0.0 alone";
    assert!(findings.iter().any(|one| one.text == expected), "{findings:?}");
    assert!(findings.iter().any(|one| one.text.starts_with(NOTHING_PAST)), "{findings:?}");
}

/// What is said where all is well with sshd.
const NOTHING_PAST: &str = "sshd asks by keyboard-interactive, and by nothing that goes past";

#[test]
fn what_a_match_by_address_lets_past_the_code_is_found() {
    let mut scene = Scene::good();
    let text = "UsePAM yes\nMatch Address 10.0.0.0/8\n  AuthenticationMethods publickey\n\
                Match LocalPort 2222\n  AuthenticationMethods publickey\n";
    scene.write("etc/ssh/sshd_config", text);
    // No line tells people apart: alice stands for all.
    let own = SSHD_T.replace("methods keyboard-interactive", "methods publickey");
    scene.program(&connection("alice"), SSHD_T);
    scene.program(&connection("alice").replace(",addr=127.0.0.1,", ",addr=10.0.0.0,"), &own);
    scene.program(&connection("alice").replace("lport=22,", "lport=2222,"), &own);
    let findings = scene.findings();
    let found = problems(&findings);
    assert!(
        matches!(found[..], [one, other]
            if one.starts_with("for alice, bob, root from 10.0.0.0 (by Match): AuthenticationMethods is \
                                `publickey` (by a Match)")
            && other.starts_with("for alice, bob, root to port 2222 (by Match): Auth")),
        "{found:?}"
    );
}

#[test]
fn where_a_match_asks_for_what_cannot_be_drawn_nothing_is_promised() {
    let mut scene = Scene::good();
    scene.write("etc/ssh/sshd_config", "UsePAM yes\nMatch Address !10.0.0.0/8,*\n  PermitTTY no\n");
    scene.program(&connection("alice"), SSHD_T);
    let findings = scene.findings();
    assert_eq!(problems(&findings), Vec::<&str>::new());
    assert!(findings.iter().all(|one| !one.text.starts_with(NOTHING_PAST)), "{findings:?}");
    let expected = "it was judged only as from 127.0.0.1 to port 22";
    assert!(findings.iter().any(|one| one.text.ends_with(expected)), "{findings:?}");
}

/// The guide's way for backups: its remedy would stop them.
#[test]
fn an_exempt_account_with_a_key_alone_is_no_problem() {
    for by_module in [true, false] {
        let mut scene = Scene::good();
        if by_module {
            let code = "auth requisite pam_otp.so exempt_user=bob\n";
            scene.write("etc/pam.d/sshd", &format!("@include common-auth\n{code}"));
        } else {
            scene.policy.exempt_users = vec!["bob".into()];
        }
        let file = "UsePAM yes\nMatch User bob\n  AuthenticationMethods publickey\n";
        scene.write("etc/ssh/sshd_config", file);
        let own = SSHD_T.replace("methods keyboard-interactive", "methods publickey");
        scene.program(&connection("alice"), SSHD_T);
        scene.program(&connection("root"), SSHD_T);
        scene.program(&connection("bob"), &own);
        let findings = scene.findings();
        assert_eq!(problems(&findings), Vec::<&str>::new());
        let note = findings.iter().find(|one| one.text.starts_with("for bob (by Match): Auth"));
        let note = note.map(|note| (note.state, note.remedy.as_deref()));
        assert_eq!(note, Some((State::Note, None)), "{findings:?}");
    }
}

#[test]
fn what_a_match_sets_is_found_at_its_own_line() {
    let mut scene = Scene::good();
    scene.write("etc/ssh/sshd_config", "Include /etc/ssh/sshd_config.d/*.conf\nUsePAM yes\n");
    scene.write("etc/ssh/sshd_config.d/10-otpd.conf", "\n\nPasswordAuthentication no\n");
    let file = "Match User bob\n  PasswordAuthentication yes\n";
    scene.write("etc/ssh/sshd_config.d/90-x.conf", file);
    let own = SSHD_T.replace("passwordauthentication no", "passwordauthentication yes");
    scene.program(&connection("alice"), SSHD_T);
    scene.program(&connection("root"), SSHD_T);
    scene.program(&connection("bob"), &own);
    let findings = scene.findings();
    let found = problems(&findings);
    let expected = "for bob (by Match): PasswordAuthentication is `yes` (in \
                    /etc/ssh/sshd_config.d/90-x.conf:2): ";
    assert!(matches!(found[..], [one] if one.starts_with(expected)), "{found:?}");
}

#[test]
fn a_replaced_number_that_is_not_proved_lets_nobody_in_unasked() {
    let mut scene = Scene::good();
    scene.policy.unenrolled = Unenrolled::Ignore;
    scene.enrolled.pop();
    scene.enrolled.push(subscriber("bob", otp_proto::admin::State::Pending));
    let findings = scene.findings();
    assert_eq!(problems(&findings), Vec::<&str>::new());
    let said = |one: &&Finding| one.text.starts_with("their numbers are not proved");
    let note = findings.iter().find(said);
    assert!(note.is_some_and(|note| note.text.ends_with(": bob")), "{findings:?}");
    assert_eq!(note.and_then(|note| note.remedy.as_deref()), Some("otpctl verify NAME"));
}

#[test]
fn what_lets_people_in_without_a_code_is_told() {
    let scene = Scene::good();
    for name in ["cockpit", "gdm-fingerprint"] {
        scene.write(&format!("etc/pam.d/{name}"), "@include common-auth\n");
    }
    let findings = scene.findings();
    for name in ["cockpit", "gdm-fingerprint"] {
        let text = format!("{name} asks for no code");
        assert!(findings.iter().any(|one| one.text == text && one.state == State::Note), "{name}");
    }
}

#[test]
fn the_clock_of_a_container_is_its_hosts() {
    let mut scene = Scene::good();
    scene.program(TIME, "no\n");
    scene.program("systemd-detect-virt --container", "lxc\n");
    let findings = scene.findings();
    assert_eq!(problems(&findings), Vec::<&str>::new());
    let clock = findings.iter().find(|finding| finding.subject == "clock");
    let remedy = clock.and_then(|clock| clock.remedy.as_deref());
    assert_eq!(remedy, Some("on the host: timedatectl set-ntp true"), "{findings:?}");
}

/// A program for each of thousands would take a minute.
#[test]
fn sshd_is_asked_once_for_people_whom_no_match_tells_apart() {
    let mut scene = Scene::good();
    let more = (2000..4000).map(|uid| format!("user{uid}:x:{uid}:{uid}::/:/bin/bash\n"));
    scene.program("getent passwd", &format!("{PASSWD}{}", more.collect::<String>()));
    scene.policy.unenrolled = Unenrolled::Ignore;
    scene.write("etc/ssh/sshd_config", "UsePAM yes\nMatch User bob\n  AuthenticationMethods any\n");
    // Whoever else is asked about has no answer here, which would be a problem.
    scene.program(&connection("alice"), SSHD_T);
    let own = SSHD_T.replace("methods keyboard-interactive", "methods any");
    scene.program(&connection("bob"), &own);
    let findings = scene.findings();
    let found = problems(&findings);
    assert!(matches!(found[..], [one] if one.starts_with("for bob (by Match): Auth")), "{found:?}");
    assert!(findings.iter().all(|one| !one.text.contains("not looked at")), "{findings:?}");
}

#[test]
fn where_a_match_may_tell_everybody_apart_some_are_left_out_and_counted() {
    let mut scene = Scene::good();
    let more = (2000..2200).map(|uid| format!("user{uid}:x:{uid}:{uid}::/:/bin/bash\n"));
    scene.program("getent passwd", &format!("{PASSWD}{}", more.collect::<String>()));
    scene.policy.unenrolled = Unenrolled::Ignore;
    scene.write("etc/ssh/sshd_config", "UsePAM yes\nMatch Exec /bin/true\n  PermitTTY no\n");
    // alice, bob, root, and the first 97 of the others.
    for user in ["alice", "bob", "root"]
        .map(str::to_owned)
        .into_iter()
        .chain((2000..2097).map(|uid| format!("user{uid}")))
    {
        scene.program(&connection(&user), SSHD_T);
    }
    let findings = scene.findings();
    assert_eq!(problems(&findings), Vec::<&str>::new());
    let expected = "by Match sshd may treat 103 more of 203 accounts differently";
    let note = findings.iter().find(|one| one.text.starts_with(expected));
    assert_eq!(note.map(|note| note.state), Some(State::Note), "{findings:?}");
}

#[test]
fn a_host_where_nothing_asks_is_told_so_once() {
    let scene = Scene::good();
    scene.write("etc/pam.d/sshd", "@include common-auth\n");
    scene.write("etc/pam.d/login", "@include common-auth\n");
    assert_eq!(problems(&scene.findings()), ["no service asks for a code"]);
}

/// What sshd says on a host whose ssh.socket nobody has used since the start.
const UNSTARTED: &str = "Missing privilege separation directory: /run/sshd\r\n";

#[test]
fn sshd_is_judged_though_it_was_not_started_since_the_host_was() {
    let mut scene = Scene::good();
    scene.fails("sshd -T", UNSTARTED);
    scene.program("sshd -G", &SSHD_T.replace("methods keyboard-interactive", "methods any"));
    let findings = scene.findings();
    let found = problems(&findings);
    assert!(matches!(found[..], [one] if one.contains("a key alone lets in")), "{found:?}");
}

#[test]
fn an_sshd_that_was_not_started_and_cannot_be_asked_is_no_problem() {
    let mut scene = Scene::good();
    scene.fails("sshd -T", "Missing privilege separation directory: /var/run/sshd\r\n");
    scene.fails("sshd -G", "unknown option -- G\n");
    let findings = scene.findings();
    assert_eq!(problems(&findings), Vec::<&str>::new());
    let note = findings.iter().find(|finding| finding.subject == "sshd").expect("a note");
    assert_eq!(note.state, State::Note, "{note:?}");
    assert_eq!(note.remedy.as_deref(), Some("as root: mkdir -m 0755 /run/sshd"));
}
