//! Who can be told apart by the `Match` lines there are: sshd is asked once for each sort of people, and
//! not once for each of thousands.

use std::collections::{BTreeMap, BTreeSet};

use super::files::{Match, fits};
use crate::doctor::host::Host;

/// How many people one run of `id` is asked about, far below what a command line holds.
const AT_ONCE: usize = 500;

/// What the lines ask about people: the words of their lists, without what turns them round.
#[derive(Debug, Default)]
struct Questions {
    users: BTreeSet<String>,
    groups: BTreeSet<String>,
    /// A line asks for something else, whose answer only sshd knows.
    others: bool,
}

/// `users` in classes for which every line of `matches` holds alike.
pub(super) fn classes(
    host: &Host,
    matches: &[Match],
    users: &BTreeSet<String>,
) -> Vec<Vec<String>> {
    let questions = Questions::of(matches);
    if questions.others {
        return users.iter().map(|user| vec![user.clone()]).collect();
    }
    let groups = if questions.groups.is_empty() { None } else { Some(memberships(host, users)) };
    let mut alone = Vec::new();
    let mut classes: BTreeMap<Vec<bool>, Vec<String>> = BTreeMap::new();
    for user in users {
        let own = groups.as_ref().map(|groups| groups.get(user));
        // What sshd makes of whose groups are not told only sshd knows.
        if own == Some(None) {
            alone.push(vec![user.clone()]);
            continue;
        }
        let own = own.flatten().map(Vec::as_slice).unwrap_or_default();
        let by_name = questions.users.iter().map(|word| fits(word.as_bytes(), user.as_bytes()));
        let by_group = questions
            .groups
            .iter()
            .map(|word| own.iter().any(|group| fits(word.as_bytes(), group.as_bytes())));
        classes.entry(by_name.chain(by_group).collect()).or_default().push(user.clone());
    }
    classes.into_values().chain(alone).collect()
}

impl Questions {
    fn of(matches: &[Match]) -> Self {
        let mut questions = Self::default();
        for (keyword, value) in matches.iter().flat_map(Match::criteria) {
            // Which words of a list somebody fits settles whether the list holds for them.
            let words = value.split(',').map(|word| word.trim_start_matches('!').to_owned());
            match keyword.as_str() {
                // A host may stand behind an @: everybody is judged as from the same one.
                "user" => questions.users.extend(
                    words.map(|word| word.split('@').next().unwrap_or_default().to_owned()),
                ),
                "group" => questions.groups.extend(words),
                "address" | "localaddress" | "localport" | "host" | "rdomain" | "all"
                | "invalid-user" => {}
                _ => questions.others = true,
            }
        }
        questions
    }
}

/// The groups of each of `users`, as a login has them; without those of whom `id` does not tell.
fn memberships(host: &Host, users: &BTreeSet<String>) -> BTreeMap<String, Vec<String>> {
    let names = users.iter().map(String::as_str).collect::<Vec<_>>();
    let mut groups = BTreeMap::new();
    for some in names.chunks(AT_ONCE) {
        // One whom the system knows no more, but otpd does, spoils the answer about all.
        let lists = lists(host, some).map_or_else(
            || {
                some.iter()
                    .map(|user| lists(host, &[user]).and_then(|mut list| list.pop()))
                    .collect()
            },
            |lists| lists.into_iter().map(Some).collect::<Vec<_>>(),
        );
        let told =
            some.iter().zip(lists).filter_map(|(user, list)| Some(((*user).to_owned(), list?)));
        groups.extend(told);
    }
    groups
}

/// What `id` says of these, in their order; `None` where it does not tell of all.
fn lists(host: &Host, users: &[&str]) -> Option<Vec<Vec<String>>> {
    let mut words = vec!["id", "-Gnz", "--"];
    words.extend(users);
    // A group that has no name is told by its number, with a complaint: no line can name it.
    let nameless = |line: &str| line.contains("cannot find name for group ID");
    let said = host.run(&words);
    let said = said.filter(|said| said.success || said.complaint.lines().all(nameless))?;
    // NUL ends a name, since one may hold a space; one more ends a list where several are asked for.
    let lists = said.output.trim_end_matches('\0').split("\0\0");
    let lists = lists.map(|list| list.split('\0').map(str::to_owned).collect::<Vec<_>>());
    let lists = lists.collect::<Vec<_>>();
    (lists.len() == users.len()).then_some(lists)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{Match, classes};
    use crate::doctor::host::{Host, Said};

    const NAMELESS: &str = "id: cannot find name for group ID 2000\n";
    /// He is enrolled, and his account is gone.
    const DAN: &str = "id: \u{2018}dan\u{2019}: no such user\n";

    fn block(criteria: &str) -> Match {
        Match { place: "f:1".into(), criteria: criteria.into(), by_place: false }
    }

    /// Four people, of whom bob and eve are in groups, where there is a program that says so.
    fn host(complaint: Option<&'static str>) -> Host {
        Host::at(std::path::Path::new("/nowhere"), move |words| {
            let lists = words.iter().skip(3).map(|user| match *user {
                "bob" => "bob\0ops\0\0",
                "eve" => "eve\0domain users\0no-code\0\0",
                _ => "users\0\0",
            });
            let output = lists.collect::<String>();
            let complaint = complaint.filter(|_| words.first() == Some(&"id"))?;
            let complaint =
                if complaint == DAN && !words.contains(&"dan") { "" } else { complaint };
            let complaint = complaint.to_owned();
            Some(Said { success: complaint.is_empty(), output, complaint })
        })
    }

    #[test]
    fn those_whom_no_line_tells_apart_are_one_class() {
        let alone = "ann|bob|dan|eve";
        let well = Some("");
        let cases = [
            ("a name", &["User bob"][..], well, "ann dan eve|bob"),
            ("a name among others", &["User root,!bob,*"], well, "ann dan eve|bob"),
            ("wildcards", &["User *n", "User d?n"], well, "bob eve|ann|dan"),
            ("a name from somewhere", &["User eve@10.0.0.0/8"], well, "ann bob dan|eve"),
            ("a place", &["Address 10.0.0.0/8 LocalPort=22"], well, "ann bob dan eve"),
            ("a group", &["Group ops"], well, "ann dan eve|bob"),
            (
                "a group whose name has a space",
                &["group=\"domain users\""],
                well,
                "ann bob dan|eve",
            ),
            ("a group among others", &["Group !no-*,ops,users"], well, "ann dan|bob|eve"),
            ("both", &["User ann Group ops"], well, "dan eve|bob|ann"),
            ("groups that cannot be had", &["Group ops"], None, alone),
            ("a group without a name", &["Group ops"], Some(NAMELESS), "ann dan eve|bob"),
            ("somebody who is gone", &["Group ops"], Some(DAN), "ann eve|bob|dan"),
            ("groups that are not complete", &["Group ops"], Some("id: failed\n"), alone),
            ("names need no groups", &["User bob"], None, "ann dan eve|bob"),
            ("a program's answer", &["User bob", "Exec \"test -e /x\""], well, alone),
            ("what is not known here", &["Final"], well, alone),
        ];
        let users = ["ann", "bob", "dan", "eve"].map(str::to_owned).into_iter().collect();
        for (name, lines, complaint, expected) in cases {
            let matches = lines.iter().map(|line| block(line)).collect::<Vec<_>>();
            let found = classes(&host(complaint), &matches, &users);
            let found = found.iter().map(|class| class.join(" ")).collect::<BTreeSet<_>>();
            let expected = expected.split('|').map(str::to_owned).collect();
            assert_eq!(found, expected, "{name}");
        }
    }
}
