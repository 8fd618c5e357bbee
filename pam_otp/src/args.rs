//! The module's arguments, as they stand behind `pam_otp.so` in a PAM service file.

use std::{ffi::CStr, path::PathBuf, time::Duration};

use crate::text::fault_of_name;

/// Longest path that fits `sockaddr_un`, bytes, its NUL not counted.
const LONGEST_SOCKET_PATH: usize = 107;

/// What an absent daemon means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FailMode {
    /// The login fails.
    Secure,
    /// The module steps aside, loudly. For machines where being shut out is worse.
    Safe,
}

/// The arguments, checked.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Args {
    /// Bounds each exchange with the daemon, connect included; 1 to 60 s.
    pub(crate) timeout: Duration,
    /// Where the daemon listens; absolute.
    pub(crate) socket: PathBuf,
    /// What an absent daemon means.
    pub(crate) failmode: FailMode,
    /// Who is never asked for a code; exact names.
    pub(crate) exempt_users: Vec<String>,
    /// The stack guarantees a first factor that the module cannot see.
    pub(crate) first_factor_checked: bool,
    /// Log every step.
    pub(crate) debug: bool,
}

impl Default for Args {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(10),
            socket: PathBuf::from(otp_proto::DEFAULT_SOCKET),
            failmode: FailMode::Secure,
            exempt_users: Vec::new(),
            first_factor_checked: false,
            debug: false,
        }
    }
}

/// Reads the arguments as PAM splits them.
///
/// # Errors
/// Everything that is wrong, a line each, with the remedy.
pub(crate) fn parse(words: &[&CStr]) -> Result<Args, Vec<String>> {
    let mut args = Args::default();
    let mut seen = Vec::new();
    let mut errors = Vec::new();
    for word in words {
        let result = match word.to_str() {
            Ok(word) => args.take(word).and_then(|()| once(&mut seen, word)),
            Err(_) => Err(format!("argument {word:?} is not UTF-8; write it in plain ASCII")),
        };
        errors.extend(result.err());
    }
    if errors.is_empty() { Ok(args) } else { Err(errors) }
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

#[cfg(test)]
mod tests {
    use std::{ffi::CStr, path::PathBuf, time::Duration};

    use super::{Args, FailMode, parse};

    #[test]
    fn the_manual_page_has_every_argument() {
        let page = include_str!("../../packaging/man/pam_otp.8");
        let errors = parse(&[c"unknown"]).expect_err("there is no such argument");
        let error = errors.first().expect("an error");
        let (_, known) = error.split_once("known are ").expect("those that there are");
        for argument in known.split(", ") {
            let name = argument.split('=').next().unwrap_or_default();
            assert!(page.contains(name), "{name}");
        }
    }

    #[test]
    fn nothing_given_is_the_default() {
        let args = parse(&[]).expect("defaults");
        assert_eq!(args, Args::default());
        assert_eq!(args.timeout, Duration::from_secs(10));
        assert_eq!(args.socket, PathBuf::from("/run/otpd/otpd.sock"));
        assert_eq!(args.failmode, FailMode::Secure);
    }

    #[test]
    #[expect(clippy::duration_suboptimal_units, reason = "the argument is in seconds")]
    fn everything_given_is_taken() {
        let words = [
            c"timeout=60",
            c"socket=/run/x=y.sock",
            c"failmode=safe",
            c"exempt_user=root,ansible",
            c"exempt_user=rescue",
            c"first_factor_checked",
            c"debug",
        ];
        let expected = Args {
            timeout: Duration::from_secs(60),
            socket: PathBuf::from("/run/x=y.sock"),
            failmode: FailMode::Safe,
            exempt_users: ["root", "ansible", "rescue"].map(str::to_owned).into(),
            first_factor_checked: true,
            debug: true,
        };
        assert_eq!(parse(&words), Ok(expected));
    }

    #[test]
    fn every_wrong_argument_is_an_error_that_names_it() {
        let long = std::ffi::CString::new(format!("socket=/{}", "x".repeat(107))).expect("no NUL");
        let cases: [(&str, &CStr, &str); 21] = [
            ("zero seconds", c"timeout=0", "`timeout` is `0`"),
            ("over a minute", c"timeout=61", "`timeout` is `61`"),
            ("negative", c"timeout=-1", "`timeout`"),
            ("signed", c"timeout=+5", "`timeout`"),
            ("not a number", c"timeout=ten", "`timeout`"),
            ("with a unit", c"timeout=10s", "`timeout`"),
            ("no value", c"timeout=", "`timeout`"),
            ("no equals sign", c"timeout", "unknown argument `timeout`"),
            ("relative path", c"socket=otpd.sock", "absolute path"),
            ("empty path", c"socket=", "absolute path"),
            ("path too long", &long, "107 bytes"),
            ("unknown mode", c"failmode=open", "secure or safe"),
            ("mode in capitals", c"failmode=Safe", "secure or safe"),
            ("no name", c"exempt_user=", "is empty"),
            ("an empty name among names", c"exempt_user=a,,b", "is empty"),
            ("a path as name", c"exempt_user=/root", "contains '/'"),
            ("a switch with a value", c"debug=yes", "unknown argument `debug=yes`"),
            ("a switch set off", c"first_factor_checked=no", "unknown argument"),
            ("of another module", c"nullok", "unknown argument `nullok`"),
            ("empty word", c"", "unknown argument ``"),
            ("not UTF-8", c"exempt_user=\xff", "not UTF-8"),
        ];
        for (name, word, expected) in cases {
            let errors = parse(&[word]).expect_err(name);
            assert_eq!(errors.len(), 1, "{name}");
            assert!(errors.concat().contains(expected), "{name}: {errors:?}");
        }
    }

    #[test]
    fn all_errors_are_said_at_once() {
        let words = [c"timeout=0", c"debug", c"debug", c"quiet"];
        assert_eq!(parse(&words).expect_err("three mistakes").len(), 3);
    }
}
