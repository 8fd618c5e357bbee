//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum, builder::NonEmptyStringValueParser};
use otp_proto::{Secret, admin};

/// Enrolls users of otpd and verifies their phone numbers.
#[derive(Parser)]
#[command(
    name = "otpctl",
    version,
    max_term_width = 80,
    arg_required_else_help = true,
    after_help = "\
Examples:
  otpctl enroll alice +13125550123    register a number and send it a code
  otpctl verify alice                 prove the number by that code
  otpctl list                         see who is enrolled
  otpctl COMMAND --help               read about one command

Exit status: 0 done, 1 refused or not found, 2 usage or configuration,
3 otpd cannot be reached."
)]
pub struct Cli {
    /// Socket of the daemon
    #[arg(long, global = true, value_name = "PATH", default_value = otp_proto::DEFAULT_SOCKET)]
    pub socket: PathBuf,
    /// Print the result as JSON, times in UTC
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// What to do.
#[derive(Subcommand)]
pub enum Verb {
    /// Register a phone number for USER and send the code that proves it
    ///
    /// With --from a whole list is registered: a user a line, as user,phone or user,phone,channel.
    /// Nothing is sent then before --send says so. Lines that cannot be done are named on standard
    /// error, each with its reason, and all others are done. The same list may be given again: who
    /// is registered stays so, and --send sends to those only that nothing was sent to yet.
    #[command(after_help = "\
Examples:
  otpctl enroll alice +13125550123
  otpctl enroll alice +13125550123 --channel voice
  otpctl enroll alice +13125550199 --replace
  otpctl enroll --from staff.csv           registers a list, sends nothing
  otpctl enroll --from staff.csv --send    sends everybody a code, once
  getusers | otpctl enroll --from -        reads standard input")]
    Enroll(Enroll),
    /// Prove the number of USER by the code that was sent to it
    #[command(after_help = "\
Examples:
  otpctl verify alice              asks for the code
  otpctl verify alice < FILE       reads it from standard input")]
    Verify(Verify),
    /// Send another code to the number of USER that is to be verified
    #[command(after_help = "\
Examples:
  otpctl resend alice
  otpctl resend alice --voice      read the code out in a phone call")]
    Resend(Resend),
    /// List who is enrolled
    #[command(after_help = "\
Examples:
  otpctl list
  otpctl list --json | jq -r '.[] | select(.state == \"pending\").user'")]
    List,
    /// Show what is known about USER and what holds them back now
    #[command(after_help = "\
Examples:
  otpctl show alice
  otpctl show alice --json
  otpctl show alice --reveal       the number in full, for root; it is audited")]
    Show(Show),
    /// Deny the logins of USER until they are enabled again
    #[command(after_help = "Example:\n  otpctl disable alice")]
    Disable(User),
    /// End what disable began
    #[command(after_help = "Example:\n  otpctl enable alice")]
    Enable(User),
    /// Forget the number of USER
    #[command(after_help = "\
Examples:
  otpctl remove alice              asks first
  otpctl remove alice --yes        does not ask (for scripts)")]
    Remove(Remove),
    /// End the limits that wrong codes brought upon USER
    #[command(after_help = "Example:\n  otpctl unlock alice")]
    Unlock(User),
    /// Send a message without a code to PHONE, to see whether a gateway delivers
    ///
    /// It counts as one of the three messages a day that a number gets before it is verified, unless
    /// no gateway takes it.
    #[command(after_help = "\
Examples:
  otpctl test-message +13125550123
  otpctl test-message +13125550123 --gateway telnyx
  otpctl test-message +13125550123 --voice")]
    TestMessage(TestMessage),
    /// Show how the daemon and its gateways are
    #[command(after_help = "\
Examples:
  otpctl status
  otpctl status --json | jq -r '.problems[]'")]
    Status,
    /// Say that the clock, which otpd doubts, is right
    ///
    /// otpd doubts the clock when it goes away from the time since boot by more than an hour;
    /// otpctl status says how far. Until it is confirmed or set right, nothing old is deleted, and
    /// codes and limits do not go by a clock that is ahead. Look at it before you confirm it: a
    /// clock that is ahead refills limits and lets codes expire.
    #[command(after_help = "\
Examples:
  otpctl status                    how far the clock is off
  date                             is it right?
  otpctl confirm-clock")]
    ConfirmClock,
    /// Print what makes the shell complete commands and options
    #[command(after_help = "\
Examples:
  otpctl completions bash > /usr/share/bash-completion/completions/otpctl
  otpctl completions zsh > /usr/share/zsh/site-functions/_otpctl
  otpctl completions fish > /usr/share/fish/vendor_completions.d/otpctl.fish")]
    Completions {
        /// bash, zsh or fish
        #[arg(value_enum, value_name = "SHELL", hide_possible_values = true)]
        shell: Shell,
    },
}

impl Verb {
    /// The account it is about, if it is about one.
    #[must_use]
    pub fn user(&self) -> Option<&str> {
        match self {
            Self::Enroll(Enroll { user, .. }) => user.as_deref(),
            Self::Show(Show { user, .. })
            | Self::Verify(Verify { user, .. })
            | Self::Resend(Resend { user, .. })
            | Self::Remove(Remove { user, .. })
            | Self::Disable(user)
            | Self::Enable(user)
            | Self::Unlock(user) => Some(&user.user),
            Self::List
            | Self::TestMessage(_)
            | Self::Status
            | Self::ConfirmClock
            | Self::Completions { .. } => None,
        }
    }

    /// True for what leaves something changed, be it only a message sent.
    #[must_use]
    pub fn changes(&self) -> bool {
        match self {
            Self::Enroll(_)
            | Self::Verify(_)
            | Self::Resend(_)
            | Self::Disable(_)
            | Self::Enable(_)
            | Self::Remove(_)
            | Self::Unlock(_)
            | Self::TestMessage(_)
            | Self::ConfirmClock => true,
            Self::List | Self::Show(_) | Self::Status | Self::Completions { .. } => false,
        }
    }
}

/// The account that a verb is about.
#[derive(Args)]
pub struct User {
    /// Name of the account
    #[arg(value_name = "USER", value_parser = NonEmptyStringValueParser::new())]
    pub user: String,
}

/// Arguments of `enroll`.
#[derive(Args)]
pub struct Enroll {
    /// Name of the account
    #[arg(
        value_name = "USER",
        value_parser = NonEmptyStringValueParser::new(),
        required_unless_present = "from"
    )]
    pub user: Option<String>,
    /// The number: + and the country code, or as it is dialled at home where
    /// delivery.default-country is set
    #[arg(
        value_name = "PHONE",
        value_parser = NonEmptyStringValueParser::new(),
        required_unless_present = "from"
    )]
    pub phone: Option<String>,
    /// Register the users of this list (CSV, UTF-8; -: standard input), without sending anything
    #[arg(long, value_name = "FILE", conflicts_with_all = ["user", "phone"])]
    pub from: Option<PathBuf>,
    /// With --from: send a code to those whose number is not verified and who got none yet
    #[arg(long, requires = "from", conflicts_with_all = ["user", "phone"])]
    pub send: bool,
    /// How codes are sent unless a login asks otherwise: by text message or in a phone call
    /// [default: sms]
    #[arg(long, value_enum, value_name = "sms|voice", hide_possible_values = true)]
    pub channel: Option<Channel>,
    /// Put the number in the place of the one that is registered
    #[arg(long)]
    pub replace: bool,
    /// Do not ask before a number is replaced
    #[arg(long)]
    pub yes: bool,
}

/// Arguments of `verify`.
#[derive(Args)]
pub struct Verify {
    /// Whose number is verified.
    #[command(flatten)]
    pub user: User,
    /// The code. Better left out: everyone on this host can read the command line with ps. It is
    /// asked for then, or read from standard input where that is no terminal
    // A closure that cannot fail: what a code looks like is for the daemon to judge.
    #[arg(value_name = "CODE", value_parser = |text: &str| {
        Ok::<_, std::convert::Infallible>(Secret::new(text.to_owned()))
    })]
    pub code: Option<Secret>,
}

/// Arguments of `resend`.
#[derive(Args)]
pub struct Resend {
    /// Whose number it is.
    #[command(flatten)]
    pub user: User,
    /// Read the code out in a phone call
    #[arg(long)]
    pub voice: bool,
}

/// Arguments of `show`.
#[derive(Args)]
pub struct Show {
    /// Who is shown.
    #[command(flatten)]
    pub user: User,
    /// Show the number in full; root only, and written down in the log of otpd
    #[arg(long)]
    pub reveal: bool,
}

/// Arguments of `test-message`.
#[derive(Args)]
pub struct TestMessage {
    /// The number: + and the country code, or as it is dialled at home where
    /// delivery.default-country is set
    #[arg(value_name = "PHONE", value_parser = NonEmptyStringValueParser::new())]
    pub phone: String,
    /// Send it through this gateway only, also while it rests after failures
    #[arg(long, value_name = "NAME")]
    pub gateway: Option<String>,
    /// Call instead of texting
    #[arg(long)]
    pub voice: bool,
}

/// A shell that completions are for.
#[derive(Clone, Copy, ValueEnum)]
pub enum Shell {
    /// bash, with the package bash-completion
    Bash,
    /// zsh
    Zsh,
    /// fish
    Fish,
}

impl From<Shell> for clap_complete::Shell {
    fn from(shell: Shell) -> Self {
        match shell {
            Shell::Bash => Self::Bash,
            Shell::Zsh => Self::Zsh,
            Shell::Fish => Self::Fish,
        }
    }
}

/// Arguments of `remove`.
#[derive(Args)]
pub struct Remove {
    /// Who is removed.
    #[command(flatten)]
    pub user: User,
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
}

/// How codes are sent.
#[derive(Clone, Copy, ValueEnum)]
pub enum Channel {
    /// By text message
    Sms,
    /// By phone call
    Voice,
}

impl From<Channel> for admin::Channel {
    fn from(channel: Channel) -> Self {
        match channel {
            Channel::Sms => Self::Sms,
            Channel::Voice => Self::Voice,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::{Cli, Verb};

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_verb_has_an_example_of_itself() {
        for verb in Cli::command().get_subcommands() {
            let help = verb.get_after_help().map(ToString::to_string).unwrap_or_default();
            let example = format!("\n  otpctl {}", verb.get_name());
            assert!(help.contains(&example), "{}", verb.get_name());
        }
    }

    #[test]
    fn examples_parse_and_lines_fit() {
        let command = Cli::command();
        let texts = command.get_subcommands().chain([&command]).filter_map(|c| c.get_after_help());
        for line in
            texts.flat_map(|text| text.to_string().lines().map(str::to_owned).collect::<Vec<_>>())
        {
            assert!(line.chars().count() <= 80, "{line}");
            let Some(example) = line.strip_prefix("  ") else { continue };
            // What follows two spaces, a redirection or a pipe is for the reader or the shell.
            let words = example.split("  ").next().unwrap_or_default();
            let words = words
                .split([' '])
                .skip_while(|word| *word != "otpctl")
                .take_while(|word| !matches!(*word, "<" | ">" | "|" | "COMMAND"));
            let words: Vec<_> = words.collect();
            if words.len() > 1 {
                assert!(Cli::try_parse_from(&words).is_ok(), "{line}");
            }
        }
    }

    #[test]
    fn global_options_go_anywhere() {
        for words in [
            ["otpctl", "--json", "--socket", "/s", "show", "alice"],
            ["otpctl", "show", "alice", "--json", "--socket", "/s"],
        ] {
            let Ok(cli) = Cli::try_parse_from(words) else { panic!("{words:?}") };
            assert!(cli.json && cli.socket.as_os_str() == "/s");
            assert!(matches!(cli.verb, Verb::Show(_)));
            assert_eq!(cli.verb.user(), Some("alice"));
        }
    }

    #[test]
    fn the_code_and_the_channel_may_be_left_out() {
        let Ok(cli) = Cli::try_parse_from(["otpctl", "verify", "alice"]) else { panic!() };
        assert!(matches!(cli.verb, Verb::Verify(verify) if verify.code.is_none()));
        let Ok(cli) = Cli::try_parse_from(["otpctl", "enroll", "alice", "+1"]) else { panic!() };
        assert!(matches!(cli.verb, Verb::Enroll(enroll) if enroll.channel.is_none()));
    }
}
