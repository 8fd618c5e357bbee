//! SELinux and AppArmor: whether they are on, and whether they have refused something that a code
//! needs.

use super::{finding::Finding, host::Host};

const SUBJECT: &str = "mac";

/// How many lines of the end of a log are looked at.
const LINES: &str = "2000";

/// Looks at what is on, and at what it said since the start of the host.
pub(super) fn examine(host: &Host) -> Vec<Finding> {
    let selinux = host.read("/sys/fs/selinux/enforce").ok();
    let apparmor = host.read("/sys/module/apparmor/parameters/enabled").ok();
    let mut findings = Vec::new();
    match selinux.as_deref().map(str::trim) {
        Some("1") => findings.push(Finding::ok(SUBJECT, "SELinux is enforcing")),
        Some(_) => findings.push(Finding::note(
            SUBJECT,
            "SELinux is permissive: what it would refuse is let through, and logged",
        )),
        None => {}
    }
    if apparmor.as_deref().map(str::trim) == Some("Y") {
        findings.push(Finding::ok(SUBJECT, "AppArmor is on"));
    }
    if findings.is_empty() {
        return vec![Finding::ok(SUBJECT, "neither SELinux nor AppArmor is on")];
    }
    let journal = host.run(&[
        "journalctl",
        "--boot",
        "--quiet",
        "--no-pager",
        "--output=cat",
        "--lines",
        LINES,
        "--grep",
        "avc: *denied|apparmor=.DENIED",
    ]);
    let audit = host.run(&["tail", "--lines", LINES, "/var/log/audit/audit.log"]);
    let logs = [journal, audit].into_iter().flatten().map(|said| said.output).collect::<String>();
    findings.extend(denials(&logs, started(&host.read("/proc/stat").unwrap_or_default())));
    findings
}

/// When the host started, seconds since 1970; 0 where the kernel does not say.
fn started(stat: &str) -> u64 {
    let line = stat.lines().find_map(|line| line.strip_prefix("btime "));
    line.and_then(|seconds| seconds.trim().parse().ok()).unwrap_or(0)
}

/// When the audit system wrote a line, in the same seconds: `audit(1700000000.123:45)`.
fn written(line: &str) -> Option<u64> {
    let (_, rest) = line.split_once("audit(")?;
    rest.split_once(['.', ':', ')'])?.0.parse().ok()
}

/// One finding for each kind of refusal that concerns us, of this start of the host: a problem, or a
/// note for what a permissive domain or host let through. `audit.log` goes back further.
fn denials(log: &str, started: u64) -> Vec<Finding> {
    let mut found: Vec<((String, bool), usize)> = Vec::new();
    for line in log.lines() {
        let denied = line.contains("avc:") && line.contains("denied")
            || line.contains("apparmor=\"DENIED\"");
        let ours = line.contains("otpd") || line.contains("pam_otp");
        if !(denied && ours) || written(line).is_some_and(|written| written < started) {
            continue;
        }
        let kind = (kind(line), line.contains("permissive=1"));
        match found.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, count)) => *count += 1,
            None => found.push((kind, 1)),
        }
    }
    let remedy = "load otpd's policy or profile (see /usr/share/doc/otpd/mac.md); what was refused: \
                  ausearch -m avc -ts boot, or journalctl -k --grep DENIED";
    let finding = |((kind, permissive), count): ((String, bool), usize)| {
        if permissive {
            let text = format!("let through {count} times, for it is permissive: {kind}");
            Finding::note(SUBJECT, text).advising(remedy)
        } else {
            Finding::problem(SUBJECT, format!("refused {count} times: {kind}"), remedy)
        }
    };
    found.into_iter().map(finding).collect()
}

/// What was refused to whom, without what differs from one time to the next.
fn kind(line: &str) -> String {
    const KEPT: [&str; 9] = [
        "comm=",
        "scontext=",
        "tcontext=",
        "tclass=",
        "path=",
        "name=",
        "profile=",
        "operation=",
        "requested_mask=",
    ];
    let verb = line.split_once('{').and_then(|(_, rest)| rest.split_once('}'));
    let verb = verb.map(|(verb, _)| verb.trim().to_owned());
    let words = line.split_whitespace();
    let words = words.filter(|word| KEPT.iter().any(|kept| word.starts_with(kept)));
    verb.into_iter().chain(words.map(str::to_owned)).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::{denials, started};
    use crate::doctor::State;

    #[test]
    fn what_was_let_through_is_no_problem_and_what_was_before_the_start_is_nothing() {
        let avc = |at: u64, permissive: u8| {
            format!(
                "type=AVC msg=audit({at}.123:45): avc:  denied  {{ read }} for  pid=7 comm=\"otpd\" \
                 name=\"x\" tclass=file permissive={permissive}\n"
            )
        };
        let start = started("cpu  1 2 3\nbtime 1700000000\nprocesses 9\n");
        let cases = [
            ("refused", avc(1_700_000_000, 0), Some(State::Problem)),
            ("permissive", avc(1_700_000_001, 1), Some(State::Note)),
            ("refused before the start", avc(1_699_999_999, 0), None),
        ];
        for (name, log, expected) in cases {
            let found = denials(&log, start);
            let state = found.first().map(|finding| finding.state);
            assert_eq!((state, found.len()), (expected, usize::from(expected.is_some())), "{name}");
        }
        // A kernel that does not say when it started hides nothing.
        assert_eq!(denials(&avc(1, 0), started("")).len(), 1);
    }

    #[test]
    fn refusals_that_concern_us_are_named_once_with_their_number() {
        let log = "\
            audit: type=1400 audit(1.1:7): avc:  denied  { connectto } for  pid=812 comm=\"sshd\" \
            path=\"/run/otpd/otpd.sock\" scontext=system_u:system_r:sshd_t:s0 \
            tcontext=system_u:system_r:unconfined_service_t:s0 tclass=unix_stream_socket\n\
            audit: type=1400 audit(1.2:8): avc:  denied  { connectto } for  pid=999 comm=\"sshd\" \
            path=\"/run/otpd/otpd.sock\" scontext=system_u:system_r:sshd_t:s0 \
            tcontext=system_u:system_r:unconfined_service_t:s0 tclass=unix_stream_socket\n\
            audit: avc:  denied  { read } for pid=1 comm=\"nginx\" name=\"x\"\n\
            audit: apparmor=\"DENIED\" operation=\"open\" profile=\"/usr/sbin/otpd\" name=\"/srv/x\" \
            pid=3 comm=\"otpd\" requested_mask=\"r\"\n\
            otpd was denied a wish\n";
        let found = denials(log, 0).into_iter().map(|finding| finding.text).collect::<Vec<_>>();
        assert_eq!(found.len(), 2, "{found:?}");
        let remedy = denials(log, 0).into_iter().find_map(|finding| finding.remedy);
        assert!(remedy.is_some_and(|remedy| remedy.contains("/usr/share/doc/otpd/mac.md")));
        let expected = "refused 2 times: connectto comm=\"sshd\" path=\"/run/otpd/otpd.sock\"";
        assert!(found.iter().any(|text| text.starts_with(expected)), "{found:?}");
        assert!(found.iter().any(|text| text.contains("profile=\"/usr/sbin/otpd\"")), "{found:?}");
    }
}
