//! `PerSourcePenalties` (OpenSSH 9.8): sshd refuses an address for a while after what went wrong there, and
//! many people may share one. With codes more goes wrong: they are mistyped, and waited for too long.

use super::{SUBJECT, settings::Settings};
use crate::doctor::finding::Finding;

/// What stands behind the keyword, where nothing does: `sshd_config(5)`.
const MIN: f64 = 15.0;

/// A problem where one failure is enough to shut an address out, else a note; nothing where they are off,
/// or where somebody has thought of addresses that are spared.
pub(super) fn judge(settings: &Settings) -> Option<Finding> {
    let penalties = settings.get("persourcepenalties").filter(|value| *value != "no")?;
    let spared = settings.get("persourcepenaltyexemptlist");
    if spared.is_some_and(|list| !matches!(list, "" | "none")) {
        return None;
    }
    let seconds = |name: &str| {
        let mut values = penalties.split_whitespace().filter_map(|word| word.split_once(':'));
        let (_, value) = values.find(|(word, _)| *word == name)?;
        value.trim_end_matches('s').parse::<f64>().ok()
    };
    // What is not told costs nothing.
    let (wrong, late) =
        (seconds("authfail").unwrap_or(0.0), seconds("grace-exceeded").unwrap_or(0.0));
    let remedy = "write `PerSourcePenaltyExemptList ADDRESS/BITS` for networks behind one address";
    let most = wrong.max(late);
    if most <= 0.0 {
        return None;
    }
    let at_once = most >= seconds("min").unwrap_or(MIN);
    let often = if at_once { "one login" } else { "a few logins" };
    let text = format!(
        "by PerSourcePenalties {often} with wrong codes (authfail:{wrong}) or without one in time \
         (grace-exceeded:{late}) shut out all who come from the same address for a while"
    );
    Some(if at_once {
        let remedy = format!("{remedy}, or lower both below min");
        Finding::problem(SUBJECT, text, remedy)
    } else {
        Finding::note(SUBJECT, text).advising(remedy)
    })
}

#[cfg(test)]
mod tests {
    use super::{Settings, judge};
    use crate::doctor::State;

    #[test]
    fn penalties_are_judged_by_what_one_failure_costs() {
        // As OpenSSH 9.8 tells its own defaults.
        let usual = "crash:90 authfail:5 noauth:1 grace-exceeded:10 refuseconnection:10 max:600 min:15 \
                     max-sources4:65536 max-sources6:65536 overflow:permissive overflow6:permissive";
        let (note, problem) = (Some(State::Note), Some(State::Problem));
        let cases = [
            ("before 9.8", None, None, None),
            ("off", Some("no"), None, None),
            ("as it comes", Some(usual), None, note),
            ("as it comes, with nobody spared", Some(usual), Some("none"), note),
            ("with an office spared", Some(usual), Some("10.0.0.0/8"), None),
            ("a wrong code is enough", Some("authfail:15 grace-exceeded:1 min:15"), None, problem),
            ("to be late is enough", Some("authfail:1 grace-exceeded:3600 min:15"), None, problem),
            ("no least one is told", Some("authfail:20"), None, problem),
            ("with units", Some("authfail:5s grace-exceeded:10s min:30s"), None, note),
            ("parts of a second", Some("authfail:0.5 grace-exceeded:0 min:15"), None, note),
            ("neither", Some("authfail:0 grace-exceeded:0 min:0"), None, None),
            ("other things", Some("crash:90 min:15"), None, None),
        ];
        for (name, penalties, spared, expected) in cases {
            let line = |keyword: &str, value: Option<&str>| {
                value.map(|value| format!("{keyword} {value}\n")).unwrap_or_default()
            };
            let text =
                line("persourcepenalties", penalties) + &line("persourcepenaltyexemptlist", spared);
            let found = judge(&Settings::parse(&text));
            assert_eq!(found.as_ref().map(|found| found.state), expected, "{name}");
            assert!(found.is_none_or(|found| found.remedy.is_some()), "{name}");
        }
        let found =
            judge(&Settings::parse(&format!("persourcepenalties {usual}"))).expect("a note");
        assert!(found.text.contains("(authfail:5)") && found.text.contains("(grace-exceeded:10)"));
    }
}
