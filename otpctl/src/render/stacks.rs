//! What became of a service's stack, for people.

use jiff::tz::TimeZone;
use otp_proto::admin::StatusReply;

use super::time::local;
use crate::{
    doctor::{Beside, listed},
    pam::{Changed, Stranded, Wanted, Warning},
};

/// Result of `pam enable` and `pam disable`.
pub(crate) fn changed(
    wanted: &Wanted<'_>,
    changed: &Changed,
    beside: Option<&Beside>,
    zone: &TimeZone,
) -> String {
    let Wanted { service, change, sshd_file, .. } = wanted;
    let asks = change.asks();
    let was = |backup: &Option<String>| {
        backup.as_ref().map_or_else(String::new, |backup| format!(" As it was: {backup}"))
    };
    let does = if asks { "asks for a code" } else { "asks for no code" };
    let done = format!("{service} {does} from now on.{}\n", was(&changed.backup));
    let with = changed.with.as_ref().map(|(name, backup)| {
        format!("So does {name}, whose stack is one of its own.{}\n", was(backup))
    });
    let done = done + &with.unwrap_or_default();
    let code = if asks { " with a code" } else { "" };
    let trial = changed.until.map(|until| {
        let until = local(until.as_millisecond(), zone);
        // What is said below is the rest of the truth.
        let all = if beside.is_some() { "the stack" } else { "all" };
        format!(
            "It is a trial: at {until} {all} is as before, by itself. Keep this shell open, log in\n\
             anew by {service}{code}, and there run: otpctl pam confirm {service}\n"
        )
    });
    let file =
        sshd_file.map(|file| format!("Then {file} goes too, and sshd reads its files anew.\n"));
    let lost = "There is no systemd here: a restart of the host would not end the trial.\n";
    let lost = if changed.survives { "" } else { lost };
    let next = format!("See whether all else is right: otpctl doctor --service {service}\n");
    let next = if asks { next } else { String::new() };
    done + &trial.unwrap_or_default()
        + &file.unwrap_or_default()
        + lost
        + &settings(asks, beside)
        + &next
}

/// What of sshd stays as it is, whatever becomes of the stack.
fn settings(asks: bool, beside: Option<&Beside>) -> String {
    let Some(Beside { place, undo }) = beside else { return String::new() };
    let place = place.as_ref().map(|place| format!(" ({place})")).unwrap_or_default();
    let stay = format!("sshd's own settings are not part of it: AuthenticationMethods{place} asks");
    if asks {
        format!(
            "{stay}\nby keyboard-interactive also when the code is taken out again; then run:\n{undo}\n"
        )
    } else {
        format!(
            "{stay}\nby keyboard-interactive, for which there is no code any more; to be as before:\n{undo}\n"
        )
    }
}

/// What is about to be other than it may seem.
pub(crate) fn warning(warning: &Warning) -> String {
    match warning {
        Warning::Stranded(one) => stranded(one),
        Warning::NotKept(why) => format!("warning: the file as it was is not kept: {why}"),
        Warning::NotAlone(why) => {
            format!("warning: another run may change the same file now: {why}")
        }
        Warning::NoKey(why) => format!("warning: {why}"),
        Warning::RootShut(value) => format!(
            "warning: with PermitRootLogin {value} sshd lets nobody type a code for root, and \
             AuthenticationMethods demands one: root's key opens nothing; write `PermitRootLogin yes` \
             and enroll root, or keep another way in"
        ),
    }
}

/// Who is about to be kept out.
fn stranded(stranded: &Stranded) -> String {
    let Stranded { names, leaves, at_end, undo } = stranded;
    let when = if *at_end { "if nobody confirms, at the end of the trial" } else { "from now on" };
    let remedy = if *leaves { undo } else { "after a key: --after key" };
    format!(
        "warning: {when} sshd asks for a password wherever it lets in, and who has none does not get \
         in: {}; against that: {remedy}",
        listed(names)
    )
}

/// What a stack that asks for codes lacks for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lack {
    /// The daemon does not answer.
    Answer,
    /// Nobody has a number that is proved.
    People,
    /// Nothing sends a code.
    Gateway,
}

impl Lack {
    /// By what the daemon says of itself.
    pub(crate) fn of(status: &StatusReply) -> Option<Self> {
        if status.active == 0 {
            Some(Self::People)
        } else if status.gateways.is_empty() {
            Some(Self::Gateway)
        } else {
            None
        }
    }
}

/// What to know about a stack that asks for codes which nobody gets.
pub(crate) fn lacking(service: &str, lack: Lack) -> String {
    let what = match lack {
        Lack::Answer => "otpd does not answer: until it does",
        Lack::People => "otpd knows nobody with a proved number: until it does (otpctl enroll)",
        Lack::Gateway => {
            "otpd has no gateway to send codes by: until it has, and without a recovery code"
        }
    };
    format!("{what}, who is not exempt does not get in by {service}")
}

/// Result of `pam confirm`; `asks`: sshd's stack asks for a code now.
pub(crate) fn confirmed(services: &[String], asks: bool, beside: Option<&Beside>) -> String {
    format!("{}: the change stays\n{}", services.join(", "), settings(asks, beside))
}

/// Result of `pam revert`; `asks`: sshd's stack asks for a code now.
pub(crate) fn reverted(services: &[String], asks: bool, beside: Option<&Beside>) -> String {
    if services.is_empty() {
        return "there is nothing to put back\n".to_owned();
    }
    let all = if beside.is_some() { "the stack" } else { "all" };
    let services = services.join(", ");
    format!("{services}: {all} is as before the trial\n{}", settings(asks, beside))
}

#[cfg(test)]
mod tests {
    use jiff::{Timestamp, tz::TimeZone};

    use otp_proto::admin::{Gateway, GatewayState, StatusReply};

    use super::{
        Beside, Changed, Lack, Stranded, Wanted, changed, confirmed, lacking, reverted, stranded,
    };
    use crate::{pam::Change, stack::edit::First};

    const UNDO: &str = "rm /etc/ssh/sshd_config.d/10-otpd.conf; systemctl reload ssh";

    fn beside() -> Beside {
        let place = Some("/etc/ssh/sshd_config.d/10-otpd.conf:4".to_owned());
        Beside { place, undo: UNDO.to_owned() }
    }

    #[test]
    fn a_trial_does_not_promise_what_it_does_not_do() {
        let until = Some(Timestamp::from_second(1_700_000_000).expect("a time"));
        let backup = Some("/b".to_owned());
        let change = Changed { backup, with: None, until, survives: true };
        let enable = Change::Enable(First::Stack);
        let wanted = Wanted { service: "sshd", change: enable, trial: None, sshd_file: None };
        let alone = changed(&wanted, &change, None, &TimeZone::UTC);
        assert!(alone.starts_with("sshd asks for a code from now on. As it was: /b\n"), "{alone}");
        let file = Wanted { sshd_file: Some("/x"), ..wanted };
        let file = changed(&file, &change, None, &TimeZone::UTC);
        assert!(file.contains("Then /x goes too, and sshd reads its files anew.\n"), "{file}");
        assert!(alone.contains(" all is as before, by itself."), "{alone}");
        assert!(!alone.contains("sshd's own settings"), "{alone}");
        let both = changed(&wanted, &change, Some(&beside()), &TimeZone::UTC);
        assert!(both.contains(" the stack is as before, by itself."), "{both}");
        let place = "AuthenticationMethods (/etc/ssh/sshd_config.d/10-otpd.conf:4) asks\n\
                     by keyboard-interactive also when the code is taken out again; then run:\n";
        assert!(both.contains(&format!("{place}{UNDO}\n")), "{both}");
        let (out, full) =
            (Wanted { change: Change::Disable, ..wanted }, Changed { backup: None, ..change });
        let out = changed(&out, &full, Some(&beside()), &TimeZone::UTC);
        assert!(out.starts_with("sshd asks for no code from now on.\n"), "{out}");
        let expected = "for which there is no code any more; to be as before:\nrm /etc/ssh";
        assert!(out.contains(expected), "{out}");
    }

    #[test]
    fn a_code_that_nobody_gets_is_said_to_keep_everybody_out() {
        let gateway = Gateway {
            name: "main".into(),
            kind: "http".into(),
            state: GatewayState::Ready,
            reason: None,
        };
        let status = |active, gateways| StatusReply {
            version: String::new(),
            host: String::new(),
            store: String::new(),
            pending: 1,
            active,
            disabled: 1,
            live_challenges: 0,
            gateways,
            problems: Vec::new(),
        };
        let cases = [
            ("all is well", status(1, vec![gateway.clone()]), None),
            ("nobody", status(0, vec![gateway]), Some(Lack::People)),
            ("no gateway", status(1, Vec::new()), Some(Lack::Gateway)),
            ("neither", status(0, Vec::new()), Some(Lack::People)),
        ];
        for (name, status, expected) in cases {
            assert_eq!(Lack::of(&status), expected, "{name}");
        }
        for lack in [Lack::Answer, Lack::People, Lack::Gateway] {
            let said = lacking("sshd", lack);
            assert!(said.ends_with(", who is not exempt does not get in by sshd"), "{said}");
        }
    }

    #[test]
    fn the_end_of_a_trial_says_what_stays() {
        let sshd = ["sshd".to_owned()];
        assert_eq!(reverted(&sshd, false, None), "sshd: all is as before the trial\n");
        assert_eq!(reverted(&[], false, None), "there is nothing to put back\n");
        let said = reverted(&sshd, false, Some(&beside()));
        let begin =
            "sshd: the stack is as before the trial\nsshd's own settings are not part of it";
        assert!(
            said.starts_with(begin) && said.ends_with(&format!("as before:\n{UNDO}\n")),
            "{said}"
        );
        assert_eq!(confirmed(&sshd, true, None), "sshd: the change stays\n");
        let said = confirmed(&sshd, true, Some(&beside()));
        assert!(said.contains("when the code is taken out again"), "{said}");
    }

    #[test]
    fn who_is_about_to_be_kept_out_is_named_with_what_helps() {
        let one = |leaves, at_end| {
            let names = vec!["ann".to_owned(), "eve".to_owned()];
            stranded(&Stranded { names, leaves, at_end, undo: UNDO.to_owned() })
        };
        let cases = [
            (true, false, "warning: from now on sshd asks for a password", UNDO),
            (true, true, "warning: if nobody confirms, at the end of the trial sshd asks", UNDO),
            (false, false, "warning: from now on sshd asks", "--after key"),
        ];
        for (leaves, at_end, begin, end) in cases {
            let said = one(leaves, at_end);
            assert!(said.starts_with(begin) && said.ends_with(end), "{said}");
            assert!(said.contains("does not get in: ann, eve;"), "{said}");
        }
    }
}
