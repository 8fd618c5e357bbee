//! The arguments of `pam_otp`, as they stand behind it in a PAM service file. The module reads them here,
//! and so does `otpctl doctor`, which is to find wrong what the module does.

use std::{path::PathBuf, time::Duration};

/// Longest user name, bytes; `LOGIN_NAME_MAX` of Linux.
const LONGEST_NAME: usize = 256;

/// What `timeout` is unless it is given, and the least that is enough: otpd itself may take 8 s to answer,
/// while a vendor does not, and the database and NSS may hold it up besides.
pub const TIMEOUT: Duration = Duration::from_secs(10);

/// Longest path that fits `sockaddr_un`, bytes, its NUL not counted.
const LONGEST_SOCKET_PATH: usize = 107;

/// What a daemon that is not there means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailMode {
    /// The login fails.
    Secure,
    /// The module steps aside, loudly. For machines where being shut out is worse.
    Safe,
}

/// The arguments, checked.
#[derive(Debug, PartialEq, Eq)]
pub struct Args {
    /// Bounds each exchange with the daemon, connect included; 1 to 60 s.
    pub timeout: Duration,
    /// Where the daemon listens; absolute.
    pub socket: PathBuf,
    /// What a daemon that is not there means.
    pub failmode: FailMode,
    /// Who is never asked for a code; exact names.
    pub exempt_users: Vec<String>,
    /// The stack guarantees a first factor that the module cannot see.
    pub first_factor_checked: bool,
    /// Log every step.
    pub debug: bool,
}

impl Default for Args {
    fn default() -> Self {
        Self {
            timeout: TIMEOUT,
            socket: PathBuf::from(crate::DEFAULT_SOCKET),
            failmode: FailMode::Secure,
            exempt_users: Vec::new(),
            first_factor_checked: false,
            debug: false,
        }
    }
}

/// Reads the arguments as PAM splits them: what is right among them, and everything that is wrong, a line
/// each, with the remedy. Where anything is wrong, only `exempt_users` may be used.
#[must_use]
pub fn parse<'a>(words: impl IntoIterator<Item = &'a [u8]>) -> (Args, Vec<String>) {
    let mut args = Args::default();
    let mut seen = Vec::new();
    let mut errors = Vec::new();
    for word in words {
        let text = str::from_utf8(word).map_err(|_| {
            format!("argument `{}` is not UTF-8; write it in plain ASCII", word.escape_ascii())
        });
        let taken = text.and_then(|word| args.take(word).and_then(|()| once(&mut seen, word)));
        errors.extend(taken.err());
    }
    (args, errors)
}

/// A repeated argument is a mistake, and guessing which of the two was meant is another.
fn once<'a>(seen: &mut Vec<&'a str>, word: &'a str) -> Result<(), String> {
    let name = word.split('=').next().unwrap_or(word);
    if seen.contains(&name) {
        return Err(format!("`{name}` is given twice; keep one"));
    }
    // Lists add up; a line too long to read may be split.
    if name != "exempt_user" {
        seen.push(name);
    }
    Ok(())
}

impl Args {
    fn take(&mut self, word: &str) -> Result<(), String> {
        match word.split_once('=') {
            Some(("timeout", value)) => self.timeout = timeout(value)?,
            Some(("socket", value)) => self.socket = socket(value)?,
            Some(("failmode", value)) => self.failmode = failmode(value)?,
            Some(("exempt_user", value)) => self.exempt_users.extend(names(value)?),
            None if word == "first_factor_checked" => self.first_factor_checked = true,
            None if word == "debug" => self.debug = true,
            Some(_) | None => {
                return Err(format!(
                    "unknown argument `{word}`; known are timeout=SECONDS, socket=PATH, \
                     failmode=secure|safe, exempt_user=NAME[,NAME], first_factor_checked, debug"
                ));
            }
        }
        Ok(())
    }
}

fn timeout(value: &str) -> Result<Duration, String> {
    // `parse` alone would take "+5".
    let digits = value.bytes().all(|byte| byte.is_ascii_digit());
    match value.parse() {
        Ok(seconds @ 1..=60) if digits => Ok(Duration::from_secs(seconds)),
        _ => Err(format!(
            "`timeout` is `{value}`, expected 1 to 60 seconds; remove it for the default (10)"
        )),
    }
}

fn socket(value: &str) -> Result<PathBuf, String> {
    if !value.starts_with('/') {
        Err(format!("`socket` is `{value}`, expected an absolute path such as /run/otpd/otpd.sock"))
    } else if value.len() > LONGEST_SOCKET_PATH {
        Err(format!("`socket` is longer than {LONGEST_SOCKET_PATH} bytes; use a shorter path"))
    } else {
        Ok(PathBuf::from(value))
    }
}

fn failmode(value: &str) -> Result<FailMode, String> {
    match value {
        "secure" => Ok(FailMode::Secure),
        "safe" => Ok(FailMode::Safe),
        _ => Err(format!("`failmode` is `{value}`, expected secure or safe")),
    }
}

fn names(value: &str) -> Result<Vec<String>, String> {
    let name = |name: &str| match fault_of_name(name) {
        None => Ok(name.to_owned()),
        Some(fault) => Err(format!(
            "`exempt_user`: the name `{name}` {fault}; write names parted by commas, no spaces"
        )),
    };
    value.split(',').map(name).collect()
}

/// Why `name` can be no account's, if it cannot. Such names are neither sent nor looked up.
#[must_use]
pub fn fault_of_name(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        Some("is empty")
    } else if name.len() > LONGEST_NAME {
        Some("is longer than 256 bytes")
    } else if name.contains('/') {
        Some("contains '/'")
    } else if name.chars().any(char::is_control) {
        Some("contains a control character")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use std::{path::PathBuf, time::Duration};

    use super::{Args, FailMode, fault_of_name, parse};

    /// What is wrong with a line.
    fn errors(words: &[&str]) -> Vec<String> {
        parse(words.iter().map(|word| word.as_bytes())).1
    }

    #[test]
    fn the_manual_page_has_every_argument() {
        let page = include_str!("../../packaging/man/pam_otp.8");
        let errors = errors(&["unknown"]);
        let error = errors.first().expect("an error");
        let (_, known) = error.split_once("known are ").expect("those that there are");
        for argument in known.split(", ") {
            let name = argument.split('=').next().unwrap_or_default();
            assert!(page.contains(name), "{name}");
        }
    }

    #[test]
    fn nothing_given_is_the_default() {
        let (args, errors) = parse([]);
        assert_eq!((&args, errors), (&Args::default(), vec![]));
        assert_eq!(args.timeout, Duration::from_secs(10));
        assert_eq!(args.socket, PathBuf::from("/run/otpd/otpd.sock"));
        assert_eq!(args.failmode, FailMode::Secure);
    }

    #[test]
    #[expect(clippy::duration_suboptimal_units, reason = "the argument is in seconds")]
    fn everything_given_is_taken() {
        let words = [
            "timeout=60",
            "socket=/run/x=y.sock",
            "failmode=safe",
            "exempt_user=root,ansible",
            "exempt_user=rescue",
            "first_factor_checked",
            "debug",
        ];
        let expected = Args {
            timeout: Duration::from_secs(60),
            socket: PathBuf::from("/run/x=y.sock"),
            failmode: FailMode::Safe,
            exempt_users: ["root", "ansible", "rescue"].map(str::to_owned).into(),
            first_factor_checked: true,
            debug: true,
        };
        assert_eq!(parse(words.map(str::as_bytes)), (expected, vec![]));
    }

    #[test]
    fn every_wrong_argument_is_an_error_that_names_it() {
        let long = format!("socket=/{}", "x".repeat(107));
        let cases: [(&str, &[u8], &str); 21] = [
            ("zero seconds", b"timeout=0", "`timeout` is `0`"),
            ("over a minute", b"timeout=61", "`timeout` is `61`"),
            ("negative", b"timeout=-1", "`timeout`"),
            ("signed", b"timeout=+5", "`timeout`"),
            ("not a number", b"timeout=ten", "`timeout`"),
            ("with a unit", b"timeout=10s", "`timeout`"),
            ("no value", b"timeout=", "`timeout`"),
            ("no equals sign", b"timeout", "unknown argument `timeout`"),
            ("relative path", b"socket=otpd.sock", "absolute path"),
            ("empty path", b"socket=", "absolute path"),
            ("path too long", long.as_bytes(), "107 bytes"),
            ("unknown mode", b"failmode=open", "secure or safe"),
            ("mode in capitals", b"failmode=Safe", "secure or safe"),
            ("no name", b"exempt_user=", "is empty"),
            ("an empty name among names", b"exempt_user=a,,b", "is empty"),
            ("a path as name", b"exempt_user=/root", "contains '/'"),
            ("a switch with a value", b"debug=yes", "unknown argument `debug=yes`"),
            ("a switch set off", b"first_factor_checked=no", "unknown argument"),
            ("of another module", b"nullok", "unknown argument `nullok`"),
            ("empty word", b"", "unknown argument ``"),
            ("not UTF-8", b"exempt_user=\xff", "not UTF-8"),
        ];
        for (name, word, expected) in cases {
            let (_, errors) = parse([word]);
            assert_eq!(errors.len(), 1, "{name}");
            assert!(errors.concat().contains(expected), "{name}: {errors:?}");
        }
    }

    #[test]
    fn all_errors_are_said_at_once() {
        assert_eq!(errors(&["timeout=0", "debug", "debug", "quiet"]).len(), 3);
        let twice = errors(&["timeout=5", "timeout=6"]);
        assert!(twice.concat().contains("`timeout` is given twice"), "{twice:?}");
    }

    /// Who is named is not to be shut out by another word that is wrong.
    #[test]
    fn exempt_users_are_those_of_words_that_are_right() {
        let cases: [(&str, &[&str], &[&str]); 5] = [
            ("another argument", &["exempt_user=alice", "timout=5"], &["alice"]),
            ("a name that is none", &["exempt_user=root,", "exempt_user=bob"], &["bob"]),
            ("spaces", &["exempt_user", "=", "root"], &[]),
            ("a list that ends in a space", &["exempt_user=root,", "bob"], &[]),
            ("another spelling", &["exempt_users=root"], &[]),
        ];
        for (name, words, exempt) in cases {
            let (args, errors) = parse(words.iter().map(|word| word.as_bytes()));
            assert_eq!(args.exempt_users, exempt, "{name}");
            assert!(!errors.is_empty(), "{name}");
        }
    }

    #[test]
    fn names_that_no_account_has() {
        let long = "x".repeat(257);
        let cases = [
            ("ordinary", "alice", true),
            ("with domain", "CORP\\alice@example.org", true),
            ("256 bytes", &long[1..], true),
            ("257 bytes", &long, false),
            ("empty", "", false),
            ("path", "../etc", false),
            ("line feed", "alice\n", false),
            ("NUL", "ali\0ce", false),
            ("delete", "alice\u{7f}", false),
        ];
        for (name, input, fine) in cases {
            assert_eq!(fault_of_name(input).is_none(), fine, "{name}");
        }
    }
}
