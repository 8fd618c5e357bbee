//! What is asked of the person at the keyboard. Questions go to standard error, so that they never
//! mix with data.

use std::{
    fs::File,
    io::{self, IsTerminal, Read, Write},
    os::fd::AsFd,
};

use otp_proto::Secret;
use zeroize::{Zeroize, Zeroizing};

use crate::failure::Failure;

/// Longest answer, bytes. A code has 8 digits, perhaps with spaces and dashes.
const MAX_ANSWER: usize = 256;

/// Columns of the terminal that standard output goes to, at least 80; none when it is no terminal.
pub(crate) fn width() -> Option<u16> {
    comfy_table::Table::new().width().map(|columns| columns.max(80))
}

/// Whether what is printed may have colours: on a terminal, unless `NO_COLOR` says otherwise
/// (<https://no-color.org>).
#[expect(clippy::disallowed_methods, reason = "NO_COLOR is a convention of all programs")]
pub(crate) fn colours() -> bool {
    let unwanted = std::env::var("NO_COLOR").is_ok_and(|value| !value.is_empty());
    io::stdout().is_terminal() && !unwanted
}

/// Asks `question`, to be answered with yes or no, unless `yes` has answered it already.
///
/// # Errors
/// [`Failure::Declined`] after anything but yes; [`Failure::Usage`] when there is nobody to ask.
/// `command` is what to run instead then.
pub(crate) fn confirm(yes: bool, question: &str, command: &str) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    let (stdin, mut stderr) = (io::stdin(), io::stderr());
    if !(stdin.is_terminal() && stderr.is_terminal()) {
        return Err(Failure::Usage(format!(
            "this needs a yes, and there is no terminal to ask on; to go ahead run: {command} --yes"
        )));
    }
    ask_yes_no(&mut unbuffered(&stdin)?, &mut stderr, question)
}

/// Reads a code: asked for on a terminal, taken from the first line of standard input otherwise.
///
/// # Errors
/// [`Failure::Usage`] when there is none.
pub(crate) fn code(user: &str) -> Result<Secret, Failure> {
    let stdin = io::stdin();
    if stdin.is_terminal() {
        ask(&mut io::stderr(), &format!("Code that {user} received: "))?;
    }
    let line = read_line(&mut unbuffered(&stdin)?)?;
    if line.is_none() && stdin.is_terminal() {
        end_line(&mut io::stderr());
    }
    match line {
        Some(code) if !code.trim().is_empty() => Ok(Secret::new(code.trim().to_owned())),
        _ => Err(Failure::Usage(format!(
            "no code was given; type it when asked, or pipe it in: otpctl verify {} < FILE",
            crate::render::word(user)
        ))),
    }
}

/// Shows `text` on standard error.
///
/// # Errors
/// [`Failure::Input`] when there is none.
pub(crate) fn say(text: &str) -> Result<(), Failure> {
    let mut stderr = io::stderr();
    stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush()).map_err(Failure::Input)
}

/// Asks as a module of PAM has a program ask: `text` as it is, and the answer as it is typed, shown or
/// not; none at the end of the input.
///
/// # Errors
/// [`Failure::Input`] and [`Failure::Usage`].
pub(crate) fn prompt(text: &str, echo: bool) -> Result<Option<Zeroizing<String>>, Failure> {
    let stdin = io::stdin();
    // Before the question: what is typed as soon as it shows must be neither shown nor thrown away.
    let hidden = if echo { None } else { Hidden::begin(&stdin)? };
    say(text)?;
    let line = read_line(&mut unbuffered(&stdin)?)?;
    if hidden.is_some() || line.is_none() {
        end_line(&mut io::stderr());
    }
    Ok(line.map(|line| Zeroizing::new(line.trim_end_matches('\r').to_owned())))
}

/// A terminal that does not show what is typed, until this is dropped.
struct Hidden {
    terminal: File,
    before: rustix::termios::Termios,
}

impl Hidden {
    /// None where standard input is no terminal.
    fn begin(stdin: &io::Stdin) -> Result<Option<Self>, Failure> {
        if !stdin.is_terminal() {
            return Ok(None);
        }
        let terminal = unbuffered(stdin)?;
        let failed = |error: rustix::io::Errno| Failure::Input(error.into());
        let before = rustix::termios::tcgetattr(&terminal).map_err(failed)?;
        let mut silent = before.clone();
        silent.local_modes.remove(rustix::termios::LocalModes::ECHO);
        let when = rustix::termios::OptionalActions::Flush;
        rustix::termios::tcsetattr(&terminal, when, &silent).map_err(failed)?;
        Ok(Some(Self { terminal, before }))
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        let when = rustix::termios::OptionalActions::Drain;
        let _ = rustix::termios::tcsetattr(&self.terminal, when, &self.before);
    }
}

fn ask_yes_no(
    input: &mut impl Read,
    output: &mut impl Write,
    question: &str,
) -> Result<(), Failure> {
    ask(output, &format!("{question} [y/N] "))?;
    match read_line(input)? {
        Some(answer) if matches!(&*answer.trim().to_ascii_lowercase(), "y" | "yes") => Ok(()),
        Some(_) => Err(Failure::Declined),
        None => {
            end_line(output);
            Err(Failure::Declined)
        }
    }
}

fn ask(output: &mut impl Write, question: &str) -> Result<(), Failure> {
    let question = crate::render::visible(question);
    output.write_all(question.as_bytes()).and_then(|()| output.flush()).map_err(Failure::Input)
}

/// Ends the line of a question that was answered by the end of the input: the terminal did not.
fn end_line(output: &mut impl Write) {
    let _ = output.write_all(b"\n");
}

/// Standard input without the standard library's buffer, which is never wiped and would take
/// more than the one line away from whoever reads next.
fn unbuffered(stdin: &io::Stdin) -> Result<File, Failure> {
    stdin.as_fd().try_clone_to_owned().map(File::from).map_err(Failure::Input)
}

/// Reads to the end of the line; none at the end of the input.
fn read_line(input: &mut impl Read) -> Result<Option<Zeroizing<String>>, Failure> {
    let too_long = || {
        Failure::Usage(format!("the answer on standard input is longer than {MAX_ANSWER} bytes"))
    };
    // Room for all of it at once: a growing vector would leave copies behind.
    let mut line = Zeroizing::new(Vec::with_capacity(MAX_ANSWER));
    let mut byte = [0];
    loop {
        match input.read(&mut byte) {
            Ok(0) if line.is_empty() => return Ok(None),
            Ok(0) => break,
            Ok(_) if byte == *b"\n" => break,
            Ok(_) if line.len() == MAX_ANSWER => return Err(too_long()),
            Ok(_) => line.extend_from_slice(&byte),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Failure::Input(error)),
        }
    }
    byte.zeroize();
    let text = str::from_utf8(&line)
        .map_err(|_| Failure::Usage("the answer on standard input is not UTF-8".into()))?;
    Ok(Some(Zeroizing::new(text.to_owned())))
}

#[cfg(test)]
mod tests {
    use super::{MAX_ANSWER, ask_yes_no, read_line};
    use crate::failure::Failure;

    #[test]
    fn only_yes_is_yes() {
        let cases = [
            ("y", "y\n", true),
            ("yes", "yes\n", true),
            ("capitals and spaces", " YES \r\n", true),
            ("without a line end", "y", true),
            ("the default", "\n", false),
            ("no", "n\n", false),
            ("end of input", "", false),
            ("something else", "yesterday\n", false),
        ];
        for (name, input, expected) in cases {
            let mut output = Vec::new();
            let result = ask_yes_no(&mut input.as_bytes(), &mut output, "Remove alice?");
            assert_eq!(result.is_ok(), expected, "{name}");
            let end = if input.is_empty() { "\n" } else { "" };
            assert_eq!(output, format!("Remove alice? [y/N] {end}").as_bytes(), "{name}");
        }
    }

    #[test]
    fn questions_show_control_characters() {
        let mut output = Vec::new();
        let _ = ask_yes_no(&mut "n".as_bytes(), &mut output, "Remove \u{1b}[2K?");
        assert_eq!(output, b"Remove \\u{1b}[2K? [y/N] ");
    }

    #[test]
    fn a_line_is_taken_and_no_more() {
        let mut input = "482 913\nnext".as_bytes();
        let line = read_line(&mut input).expect("read").expect("a line");
        assert_eq!(*line, "482 913");
        assert_eq!(input, b"next");
    }

    #[test]
    fn bad_lines_are_usage_errors() {
        let long = vec![b'1'; MAX_ANSWER + 1];
        for (name, input) in [("too long", &*long), ("not UTF-8", b"\xff\n")] {
            let mut input = input;
            assert!(matches!(read_line(&mut input), Err(Failure::Usage(_))), "{name}");
        }
    }
}
