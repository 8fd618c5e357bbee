//! Which line of sshd's files sets a keyword: the first one, in the order in which sshd reads them.

use std::collections::BTreeSet;

use super::settings::QUESTION;
use crate::doctor::host::Host;

const MAIN: &str = "/etc/ssh/sshd_config";

/// Includes may include; sshd ends at 16.
const DEEPEST: u32 = 16;

/// The place of the line that sets `keyword` for everybody.
pub(super) fn origin(host: &Host, keyword: &str) -> Option<String> {
    let mut found = None;
    walk(host, MAIN, 0, &mut false, &mut |place, line, within| {
        if found.is_none() && !within && line.keyword == keyword {
            found = Some(place);
        }
    });
    found
}

/// The place of the one line that sets `keyword` by a `Match`; `None` where several do.
pub(super) fn own(host: &Host, keyword: &str) -> Option<String> {
    let mut found = Vec::new();
    walk(host, MAIN, 0, &mut false, &mut |place, line, within| {
        if within && line.keyword == keyword {
            found.push(place);
        }
    });
    found.pop().filter(|_| found.is_empty())
}

/// Everything that sshd reads its settings of: files, and the directories of those that are included.
pub(super) fn sources(host: &Host) -> BTreeSet<String> {
    let mut found = BTreeSet::from([MAIN.to_owned()]);
    walk(host, MAIN, 0, &mut false, &mut |_, line, _| {
        if line.keyword == "include" {
            for pattern in line.value.split_whitespace() {
                let pattern = absolute(pattern.trim_matches('"'));
                found.extend(expand(host, &pattern));
                // What was removed is seen by its directory.
                let directory =
                    pattern.rsplit_once('/').filter(|(_, last)| last.contains(['*', '?']));
                found.extend(directory.map(|(directory, _)| directory.to_owned()));
            }
        }
    });
    found
}

/// The place of the first line that names `keyboard-interactive` among the methods of somebody.
pub(super) fn question(host: &Host) -> Option<String> {
    let mut found = None;
    walk(host, MAIN, 0, &mut false, &mut |place, line, _| {
        let names = line.keyword == "authenticationmethods" && line.value.contains(QUESTION);
        if found.is_none() && names {
            found = Some(place);
        }
    });
    found
}

/// A `Match`: settings that hold for some connections only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Match {
    /// The place of its line.
    pub(super) place: String,
    /// What it asks for, as written.
    pub(super) criteria: String,
    /// It asks where a connection comes from or arrives, and not only for whom it is.
    pub(super) by_place: bool,
}

/// Every `Match`, but for `Match all`.
pub(super) fn matches(host: &Host) -> Vec<Match> {
    let mut found = Vec::new();
    walk(host, MAIN, 0, &mut false, &mut |place, line, within| {
        if within && line.keyword == "match" {
            let criteria = line.value.to_owned();
            found.push(Match { place, by_place: by_place(&criteria), criteria });
        }
    });
    found
}

impl Match {
    /// What it asks for, keyword in small letters and value; none where the keyword stands alone.
    pub(super) fn criteria(&self) -> Vec<(String, String)> {
        criteria(&self.criteria)
    }
}

fn criteria(text: &str) -> Vec<(String, String)> {
    let mut words = words(text).into_iter();
    let mut found = Vec::new();
    while let Some(keyword) = words.next().map(|word| word.to_ascii_lowercase()) {
        let alone = keyword == "all" || keyword == "invalid-user";
        let value = if alone { None } else { words.next() };
        found.push((keyword, value.unwrap_or_default()));
    }
    found
}

/// Words between blanks and equal signs; those in quotes keep theirs.
fn words(text: &str) -> Vec<String> {
    let (mut words, mut word, mut quoted) = (Vec::new(), String::new(), false);
    for c in text.chars() {
        match c {
            '"' => quoted = !quoted,
            c if !quoted && (c.is_whitespace() || c == '=') => {
                words.push(std::mem::take(&mut word));
            }
            c => word.push(c),
        }
    }
    words.push(word);
    words.retain(|word| !word.is_empty());
    words
}

/// Whether criteria name something besides users and groups that a login has.
fn by_place(text: &str) -> bool {
    let places = ["address", "localaddress", "localport", "host", "rdomain"];
    criteria(text).iter().any(|(keyword, _)| places.contains(&keyword.as_str()))
}

/// One line of a file.
struct Line<'a> {
    /// In small letters.
    keyword: &'a str,
    /// What follows, as written.
    value: &'a str,
}

fn walk(
    host: &Host,
    file: &str,
    depth: u32,
    within: &mut bool,
    each: &mut dyn FnMut(String, Line<'_>, bool),
) {
    let Ok(text) = host.read(file) else { return };
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        let end = line.find(|c: char| c.is_whitespace() || c == '=').unwrap_or(line.len());
        let (keyword, value) = line.split_at_checked(end).unwrap_or((line, ""));
        let keyword = match keyword.to_ascii_lowercase() {
            word if word.is_empty() || word.starts_with('#') => continue,
            word if word == "challengeresponseauthentication" => {
                "kbdinteractiveauthentication".to_owned()
            }
            word => word,
        };
        let value = value.trim_start_matches([' ', '\t', '=']).trim();
        let told = Line { keyword: &keyword, value };
        match keyword.as_str() {
            "include" if depth < DEEPEST => {
                each(format!("{file}:{}", index + 1), told, *within);
                for pattern in value.split_whitespace() {
                    for name in expand(host, pattern.trim_matches('"')) {
                        // A Match in an included file ends with that file.
                        walk(host, &name, depth + 1, &mut within.clone(), each);
                    }
                }
            }
            "match" => {
                *within = !value.eq_ignore_ascii_case("all");
                each(format!("{file}:{}", index + 1), told, *within);
            }
            _ => each(format!("{file}:{}", index + 1), told, *within),
        }
    }
}

fn absolute(pattern: &str) -> String {
    if pattern.starts_with('/') { pattern.to_owned() } else { format!("/etc/ssh/{pattern}") }
}

/// The files that a pattern means, in the order of their names. Wildcards stand in the last part, as
/// distributions write them.
fn expand(host: &Host, pattern: &str) -> Vec<String> {
    let pattern = absolute(pattern);
    let Some((directory, last)) = pattern.rsplit_once('/') else { return Vec::new() };
    if !last.contains(['*', '?']) {
        return vec![pattern];
    }
    let names = host.names(directory).into_iter();
    let names = names.filter(|name| {
        // A leading dot has to be written.
        name.starts_with('.') == last.starts_with('.') && fits(last.as_bytes(), name.as_bytes())
    });
    names.map(|name| format!("{directory}/{name}")).collect()
}

/// Whether a name fits a pattern with `*` and `?`, as in a shell and in sshd.
pub(super) fn fits(pattern: &[u8], name: &[u8]) -> bool {
    match (pattern.split_first(), name.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), _) if fits(rest, name) => true,
        (Some((b'*', _)), Some((_, name))) => fits(pattern, name),
        (Some((b'?', rest)), Some((_, name))) => fits(rest, name),
        (Some((byte, rest)), Some((first, name))) => byte == first && fits(rest, name),
        (None, Some(_)) | (Some(_), None) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{by_place, fits, matches, origin};
    use crate::doctor::host::Host;

    #[test]
    fn the_first_line_that_sets_it_is_named() {
        let root = tempfile::tempdir().expect("directory");
        let ssh = root.path().join("etc/ssh/sshd_config.d");
        std::fs::create_dir_all(&ssh).expect("directories");
        let write =
            |path: &std::path::Path, text: &str| std::fs::write(path, text).expect("written");
        write(
            &root.path().join("etc/ssh/sshd_config"),
            "# UsePAM no\nInclude /etc/ssh/sshd_config.d/*.conf\nusepam=yes\n\
             ChallengeResponseAuthentication no\nMatch User eve\n  PermitRootLogin yes\n",
        );
        write(
            &ssh.join("50-cloud.conf"),
            "PasswordAuthentication yes\nMatch User bob\nUsePAM no\n",
        );
        write(&ssh.join("60-later.conf"), "PasswordAuthentication no\n");
        write(&ssh.join("70-no.txt"), "MaxAuthTries 1\n");
        let host = Host::at(root.path(), |_| None);
        let cases = [
            ("usepam", Some("/etc/ssh/sshd_config:3")),
            ("passwordauthentication", Some("/etc/ssh/sshd_config.d/50-cloud.conf:1")),
            ("kbdinteractiveauthentication", Some("/etc/ssh/sshd_config:4")),
            ("permitrootlogin", None),
            ("maxauthtries", None),
        ];
        for (keyword, expected) in cases {
            assert_eq!(origin(&host, keyword).as_deref(), expected, "{keyword}");
        }
        let found = matches(&host);
        let places = found.iter().map(|found| found.place.as_str()).collect::<Vec<_>>();
        let expected = ["/etc/ssh/sshd_config.d/50-cloud.conf:2", "/etc/ssh/sshd_config:5"];
        assert_eq!(places, expected);
    }

    #[test]
    fn what_depends_on_a_place_is_told_from_what_depends_on_somebody() {
        let cases = [
            ("User bob", false),
            ("User host", false),
            ("Group=ops User bob", false),
            ("invalid-user", false),
            ("Address 10.0.0.0/8", true),
            ("user bob address 10.0.0.0/8", true),
            ("LocalPort=2222", true),
            ("localaddress 10.1.1.1", true),
            ("Host *.example.org", true),
            ("invalid-user RDomain blue", true),
        ];
        for (criteria, expected) in cases {
            assert_eq!(by_place(criteria), expected, "{criteria}");
        }
    }

    #[test]
    fn wildcards_fit_as_in_a_shell() {
        let cases = [
            ("*.conf", "50-a.conf", true),
            ("*.conf", "50-a.conf.dpkg-old", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("*", "", true),
            ("a*b*c", "a1b2c", true),
        ];
        for (pattern, name, expected) in cases {
            assert_eq!(fits(pattern.as_bytes(), name.as_bytes()), expected, "{pattern} {name}");
        }
    }
}
