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
    /// A line that ends in a backslash, and what comes next is blank, a comment, or the end of the file:
    /// libpam up to 1.5 reads on behind it, later ones end the line there, and none takes the end.
    Torn,
    /// More than [`LONGEST`] bytes, be it in a comment: libpam up to 1.5 takes the rest for a line of its own.
    Long,
}

/// Longest line with its end, continued ones together, bytes: what the buffer of libpam holds.
const LONGEST: usize = 1023;

/// What separates words; a carriage return is part of one.
const BLANK: [char; 2] = [' ', '\t'];

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
    let mut continued = false;
    let mut bytes = 0;
    for (index, line) in text.strip_suffix('\n').unwrap_or(text).split('\n').enumerate() {
        // A comment ends with its line also where that ends in a backslash.
        let behind = line.split_once('#');
        let content = behind.map_or(line, |(content, _)| content);
        if continued && content.trim_matches(BLANK).is_empty() {
            found.push((first, index + 2 - first, Line::Torn));
            whole.clear();
            continued = false;
            continue;
        }
        if !continued {
            first = index + 1;
            bytes = 0;
        }
        bytes += line.len() + 1;
        whole.push_str(content);
        let more = whole.trim_end_matches(BLANK).strip_suffix('\\').map(|more| format!("{more} "));
        if let (None, Some(more)) = (behind, more) {
            (whole, continued) = (more, true);
            continue;
        }
        let line = if bytes > LONGEST { Some(Line::Long) } else { parse(&whole) };
        if let Some(mut line) = line {
            if let (Line::Rule(rule), Some((_, comment))) = (&mut line, behind) {
                rule.comment = comment.split_whitespace().map(str::to_owned).collect();
            }
            found.push((first, index + 2 - first, line));
        }
        whole.clear();
        continued = false;
    }
    if continued {
        let count = text.lines().count() + 1 - first;
        found.push((first, count, Line::Torn));
    }
    found
}

fn parse(text: &str) -> Option<Line> {
    let mut words = words(text);
    if words.is_empty() {
        return None;
    }
    let unreadable = || Some(Line::Unreadable(text.trim().to_owned()));
    // By an editor of another system: no module has such a name.
    if text.contains('\r') {
        return unreadable();
    }
    let mut rest = words.split_off(1).into_iter();
    let facility = words.pop()?.to_ascii_lowercase();
    if facility == "@include" {
        return rest.next().map(Line::Include).or_else(unreadable);
    }
    let (quiet, facility) = match facility.strip_prefix('-') {
        Some(facility) => (true, facility.to_owned()),
        None => (false, facility),
    };
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
    let mut rest = text.trim_matches(BLANK);
    while !rest.is_empty() {
        let (word, after) = match rest.strip_prefix('[').and_then(|inside| inside.split_once(']')) {
            Some((inside, after)) if words.len() < 2 => (format!("[{inside}]"), after),
            Some((inside, after)) => (inside.to_owned(), after),
            None => {
                let end = rest.find(BLANK).unwrap_or(rest.len());
                let (word, after) = rest.split_at_checked(end).unwrap_or((rest, ""));
                (word.to_owned(), after)
            }
        };
        words.push(word);
        rest = after.trim_start_matches(BLANK);
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
                    hello world and more\n\
                    --auth requisite pam_otp.so\n";
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
            (11, 1, Line::Unreadable("--auth requisite pam_otp.so".into())),
        ];
        assert_eq!(lines(text), expected);
    }

    /// As tried with libpam 1.5.2: it runs `pam_unix.so` with the second line as arguments, and at the end
    /// of the file answers `PAM_ABORT`.
    #[test]
    fn a_backslash_before_nothing_is_no_sound_line() {
        let otp = rule("auth", "requisite", "pam_otp.so", &[]);
        let unix = || rule("auth", "requisite", "pam_unix.so", &[]);
        let begin = "auth requisite pam_unix.so \\\n";
        let code = "auth requisite pam_otp.so\n";
        let cases = [
            ("blank", format!("{begin}\n{code}"), vec![(1, 2, Line::Torn), (3, 1, otp.clone())]),
            (
                "spaces",
                format!("{begin} \t\n{code}"),
                vec![(1, 2, Line::Torn), (3, 1, otp.clone())],
            ),
            (
                "comment",
                format!("{begin} # x\n{code}"),
                vec![(1, 2, Line::Torn), (3, 1, otp.clone())],
            ),
            (
                "our comment",
                format!("{begin}#otpctl# x\n{code}"),
                vec![(1, 2, Line::Torn), (3, 1, otp)],
            ),
            (
                "the second",
                "auth requisite \\\npam_unix.so \\\n\n".to_owned(),
                vec![(1, 3, Line::Torn)],
            ),
            ("the end", begin.to_owned(), vec![(1, 1, Line::Torn)]),
            ("the end without an end", begin.trim_end().to_owned(), vec![(1, 1, Line::Torn)]),
            ("alone", "\\\n\n".to_owned(), vec![(1, 2, Line::Torn)]),
            (
                "in a comment",
                "# x \\\n\nauth requisite pam_unix.so\n".to_owned(),
                vec![(3, 1, unix())],
            ),
            (
                "blank above",
                "\n  \nauth \\\n requisite pam_unix.so".to_owned(),
                vec![(3, 2, unix())],
            ),
        ];
        for (name, text, expected) in cases {
            assert_eq!(lines(&text), expected, "{name}");
        }
    }

    /// As tried with libpam 1.5.2: a carriage return is part of the module's name, and what does not fit into
    /// its buffer is a line of its own.
    #[test]
    fn what_libpam_reads_otherwise_is_no_rule() {
        let dos = lines("auth requisite pam_otp.so\r\n");
        assert!(matches!(dos[..], [(1, 1, Line::Unreadable(_))]), "{dos:?}");
        let long = |begin: &str, length: usize| {
            lines(&format!("{begin}{}\n", "x".repeat(length - begin.len())))
        };
        let code = "auth requisite pam_otp.so ";
        assert!(matches!(long(code, 1022)[..], [(1, 1, Line::Rule(_))]));
        let continued = format!("auth requisite \\\n{code}");
        for begin in [code, "# ", "auth requisite pam_otp.so # "] {
            assert_eq!(long(begin, 1023), [(1, 1, Line::Long)], "{begin}");
        }
        assert_eq!(long(&continued, 1023), [(1, 2, Line::Long)]);
        let space = lines("auth requisite pam_otp.so\u{a0}debug\n");
        assert_eq!(space, [(1, 1, rule("auth", "requisite", "pam_otp.so\u{a0}debug", &[]))]);
    }

    #[test]
    fn a_comment_behind_a_rule_is_no_argument() {
        let found = lines("auth requisite pam_otp.so debug #why exempt_user=root # more\\\n");
        let [(1, 1, Line::Rule(rule))] = &*found else { panic!("{found:?}") };
        assert_eq!(rule.arguments, ["debug"]);
        assert_eq!(rule.comment, ["why", "exempt_user=root", "#", "more\\"]);
    }
}
