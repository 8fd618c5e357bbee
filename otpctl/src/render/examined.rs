//! What the doctor found, for people.

use super::visible;
use crate::doctor::{Finding, State};

/// A finding a line, its remedy below it, and at the end how many problems there are.
pub(crate) fn examined(findings: &[Finding]) -> String {
    let line = |finding: &Finding| {
        let Finding { subject, state, text, remedy } = finding;
        let mark = match state {
            State::Ok => "ok      ",
            State::Note => "note    ",
            State::Problem => "PROBLEM ",
        };
        let remedy = remedy.as_deref().map(|remedy| format!("         do: {}\n", visible(remedy)));
        format!("{mark} {subject}: {}\n{}", visible(text), remedy.unwrap_or_default())
    };
    let lines = findings.iter().map(line).collect::<String>();
    let problems = findings.iter().filter(|finding| finding.state == State::Problem).count();
    let sum = match problems {
        0 => "nothing is wrong".to_owned(),
        1 => "1 problem".to_owned(),
        many => format!("{many} problems"),
    };
    format!("{lines}\n{sum}\n")
}

#[cfg(test)]
mod tests {
    use super::{Finding, examined};

    #[test]
    fn each_finding_has_its_line_and_each_remedy_too() {
        let findings = [
            Finding::ok("daemon", "otpd answers"),
            Finding::note("mac", "SELinux is permissive"),
            Finding::problem("sshd", "no \u{1b}PAM", "write `UsePAM yes`"),
        ];
        assert_eq!(
            examined(&findings),
            "ok       daemon: otpd answers\n\
             note     mac: SELinux is permissive\n\
             PROBLEM  sshd: no \\u{1b}PAM\n         do: write `UsePAM yes`\n\
             \n1 problem\n"
        );
        assert!(examined(&findings[..2]).ends_with("\n\nnothing is wrong\n"));
    }
}
