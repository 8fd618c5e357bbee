//! Whether the configuration is right: what `otpd --check` says.

use super::{finding::Finding, host::Host};

const SUBJECT: &str = "config";

/// Asks `otpd --check`.
pub(super) fn examine(host: &Host) -> Vec<Finding> {
    let Some(said) = host.run(&["otpd", "--check"]) else {
        let text = "there is no program otpd on this host";
        return vec![Finding::problem(SUBJECT, text, "install otpd")];
    };
    let mut findings = Vec::new();
    if said.success {
        findings.push(Finding::ok(SUBJECT, "/etc/otpd/otpd.toml has no errors"));
    }
    let warnings = said.output.lines().filter_map(|line| line.strip_prefix("warning: "));
    findings.extend(warnings.map(|warning| Finding::note(SUBJECT, warning)));
    if !said.success {
        let errors = said.complaint.lines().map(|line| line.trim_start_matches("otpd: "));
        let errors = errors.filter(|line| !line.trim().is_empty());
        let remedy = "mend it; then: otpd --check && systemctl reload otpd";
        findings.extend(errors.map(|error| Finding::problem(SUBJECT, error.trim(), remedy)));
    }
    findings
}
