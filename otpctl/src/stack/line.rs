//! One line of a service file, comments and continued lines included.

/// What a line says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Line {
    /// `@include FILE`: Debian's way to put another file in its place.
    Include(String),
    /// A rule of one of the four facilities.
    Rule(Rule),
    /// Something else.
    Unreadable(String),
}

/// A rule as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rule {
    /// `auth`, `account`, `session` or `password`, in small letters.
    pub(crate) facility: String,
    /// That a module is missing is not logged (`-auth`); it fails all the same.
    pub(crate) quiet: bool,
    /// A word, or rules in brackets.
    pub(crate) control: String,
    /// The module, or the file of an `include` or `substack`.
    pub(crate) module: String,
    /// What follows the module.
    pub(crate) arguments: Vec<String>,
    /// The words of a comment behind it, which libpam does not see.
    pub(crate) comment: Vec<String>,
}

/// The lines that say something, each with its number (from 1) and how many lines it goes over.
pub(crate) fn lines(text: &str) -> Vec<(usize, usize, Line)> {
    let mut found = Vec::new();
    let mut whole = String::new();
    let mut first = 1;
    let mut physical = text.lines().enumerate().peekable();
    while let Some((index, line)) = physical.next() {
        if whole.is_empty() {
            first = index + 1;
        }
        // A comment ends with its line also where that ends in a backslash.
        let behind = line.split_once('#');
        whole.push_str(behind.map_or(line, |(content, _)| content));
        if behind.is_none()
            && physical.peek().is_some()
            && let Some(continued) = whole.trim_end().strip_suffix('\\')
        {
            whole = format!("{continued} ");
            continue;
        }
        if let Some(mut line) = parse(&whole) {
            if let (Line::Rule(rule), Some((_, comment))) = (&mut line, behind) {
                rule.comment = comment.split_whitespace().map(str::to_owned).collect();
            }
            found.push((first, index + 2 - first, line));
        }
        whole.clear();
    }
    found
}

fn parse(text: &str) -> Option<Line> {
    let mut words = words(text);
    if words.is_empty() {
        return None;
    }
    let unreadable = || Some(Line::Unreadable(text.trim().to_owned()));
    let mut rest = words.split_off(1).into_iter();
    let facility = words.pop()?.to_ascii_lowercase();
    if facility == "@include" {
        return rest.next().map(Line::Include).or_else(unreadable);
    }
    let quiet = facility.starts_with('-');
    let facility = facility.trim_start_matches('-').to_owned();
    if !matches!(&*facility, "auth" | "account" | "session" | "password") {
        return unreadable();
    }
    let (Some(control), Some(module)) = (rest.next(), rest.next()) else { return unreadable() };
    let (arguments, comment) = (rest.collect(), Vec::new());
    Some(Line::Rule(Rule { facility, quiet, control, module, arguments, comment }))
}

/// Words; what stands in brackets is one, a control with its brackets and an argument without.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let (word, after) = match rest.strip_prefix('[').and_then(|inside| inside.split_once(']')) {
            Some((inside, after)) if words.len() < 2 => (format!("[{inside}]"), after),
            Some((inside, after)) => (inside.to_owned(), after),
            None => {
                let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
                let (word, after) = rest.split_at_checked(end).unwrap_or((rest, ""));
                (word.to_owned(), after)
            }
        };
        words.push(word);
        rest = after.trim_start();
    }
    words
}

#[cfg(test)]
mod tests {
    use super::{Line, Rule, lines};

    fn rule(facility: &str, control: &str, module: &str, arguments: &[&str]) -> Line {
        Line::Rule(Rule {
            facility: facility.trim_start_matches('-').to_owned(),
            quiet: facility.starts_with('-'),
            control: control.to_owned(),
            module: module.to_owned(),
            arguments: arguments.iter().map(ToString::to_string).collect(),
            comment: Vec::new(),
        })
    }

    #[test]
    fn lines_are_read_as_libpam_reads_them() {
        let text = "# a comment\n\
                    auth\trequired   pam_unix.so nullok #\n\
                    \n\
                    @include common-auth\n\
                    -AUTH [success=1 default=ignore] pam_sss.so a=[b c] [d e]\n\
                    auth requisite \\\n  pam_otp.so \\\n  debug\n\
                    auth required\n\
                    hello world and more\n";
        let expected = [
            (2, 1, rule("auth", "required", "pam_unix.so", &["nullok"])),
            (4, 1, Line::Include("common-auth".into())),
            (
                5,
                1,
                rule("-auth", "[success=1 default=ignore]", "pam_sss.so", &["a=[b", "c]", "d e"]),
            ),
            (6, 3, rule("auth", "requisite", "pam_otp.so", &["debug"])),
            (9, 1, Line::Unreadable("auth required".into())),
            (10, 1, Line::Unreadable("hello world and more".into())),
        ];
        assert_eq!(lines(text), expected);
    }

    #[test]
    fn a_comment_behind_a_rule_is_no_argument() {
        let found = lines("auth requisite pam_otp.so debug #why exempt_user=root # more\\\n");
        let [(1, 1, Line::Rule(rule))] = &*found else { panic!("{found:?}") };
        assert_eq!(rule.arguments, ["debug"]);
        assert_eq!(rule.comment, ["why", "exempt_user=root", "#", "more\\"]);
    }
}
