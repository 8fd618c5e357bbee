//! What became of a service's stack, for people.

use jiff::tz::TimeZone;

use super::time::local;
use crate::{
    doctor::{Beside, listed},
    pam::{Changed, Stranded},
};

/// Result of `pam enable` and `pam disable`.
pub(crate) fn changed(
    service: &str,
    asks: bool,
    changed: &Changed,
    beside: Option<&Beside>,
    zone: &TimeZone,
) -> String {
    let does = if asks { "asks for a code" } else { "asks for no code" };
    let done = format!("{service} {does} from now on. As it was: {}\n", changed.backup);
    let with = changed.with.as_ref().map(|(name, backup)| {
        format!("So does {name}, whose stack is one of its own. As it was: {backup}\n")
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
    let lost = "There is no systemd here: a restart of the host would not end the trial.\n";
    let lost = if changed.survives { "" } else { lost };
    let next = format!("See whether all else is right: otpctl doctor --service {service}\n");
    let next = if asks { next } else { String::new() };
    done + &trial.unwrap_or_default() + lost + &settings(asks, beside) + &next
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

/// Who is about to be kept out.
pub(crate) fn stranded(stranded: &Stranded) -> String {
    let Stranded { names, leaves, at_end, undo } = stranded;
    let when = if *at_end { "if nobody confirms, at the end of the trial" } else { "from now on" };
    let remedy = if *leaves { undo } else { "after a key: --after key" };
    format!(
        "warning: {when} sshd asks for a password wherever it lets in, and who has none does not get \
         in: {}; against that: {remedy}",
        listed(names)
    )
}

/// What to know about a stack that asks for codes which nobody sends.
pub(crate) fn silent(service: &str) -> String {
    format!("otpd does not answer: until it does, who is not exempt does not get in by {service}")
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

    use super::{Beside, Changed, Stranded, changed, confirmed, reverted, stranded};

    const UNDO: &str = "rm /etc/ssh/sshd_config.d/10-otpd.conf; systemctl reload ssh";

    fn beside() -> Beside {
        let place = Some("/etc/ssh/sshd_config.d/10-otpd.conf:4".to_owned());
        Beside { place, undo: UNDO.to_owned() }
    }

    #[test]
    fn a_trial_does_not_promise_what_it_does_not_do() {
        let until = Some(Timestamp::from_second(1_700_000_000).expect("a time"));
        let change = Changed { backup: "/b".to_owned(), with: None, until, survives: true };
        let alone = changed("sshd", true, &change, None, &TimeZone::UTC);
        assert!(alone.contains(" all is as before, by itself."), "{alone}");
        assert!(!alone.contains("sshd's own settings"), "{alone}");
        let both = changed("sshd", true, &change, Some(&beside()), &TimeZone::UTC);
        assert!(both.contains(" the stack is as before, by itself."), "{both}");
        let place = "AuthenticationMethods (/etc/ssh/sshd_config.d/10-otpd.conf:4) asks\n\
                     by keyboard-interactive also when the code is taken out again; then run:\n";
        assert!(both.contains(&format!("{place}{UNDO}\n")), "{both}");
        let out = changed("sshd", false, &change, Some(&beside()), &TimeZone::UTC);
        let expected = "for which there is no code any more; to be as before:\nrm /etc/ssh";
        assert!(out.contains(expected), "{out}");
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
