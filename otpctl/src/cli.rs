//! The command line.

use std::path::PathBuf;

use clap::{
    ArgGroup, Args, Parser, Subcommand, ValueEnum, builder::NonEmptyStringValueParser, value_parser,
};
use jiff::{Span, SpanRelativeTo};
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
    /// Make eight recovery codes for USER and print them, this once
    ///
    /// A recovery code lets USER in once where no message arrives. Codes made earlier no longer work
    #[command(after_help = "\
Examples:
  otpctl recovery-codes alice
  otpctl recovery-codes alice --json | jq -r '.codes[]'")]
    RecoveryCodes(User),
    /// Let USER log in without a code for a while, or end or list what lets users in so
    ///
    /// It is for who has lost the phone: each use is written to the log, with the reason
    #[command(after_help = "\
Examples:
  otpctl bypass alice --for 1h --reason ticket-4711
  otpctl bypass alice --for 2d --reason travel --uses 3 --from 192.0.2.0/24
  otpctl bypass --list
  otpctl bypass alice --revoke           all that alice has
  otpctl bypass alice --revoke 7K3F-Q2   one of them")]
    Bypass(Bypass),
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
    /// Show what was decided: logins, codes, messages, and what administrators did
    ///
    /// One line an event, the oldest first: when, who, what, and the request id that otpctl explain
    /// takes. An event of another day than today has its date.
    #[command(after_help = "\
Examples:
  otpctl log --since 1h
  otpctl log --user alice --limit 20
  otpctl log --follow              the last 10, then what comes
  otpctl log --since 2026-11-20 --json | grep login-denied")]
    Log(Log),
    /// Tell the story of one login by its request id, and what to do about it
    ///
    /// The request id stands in what the user reads after a denial, and in brackets in otpctl log.
    /// Small letters will do, and the dash may be left out.
    #[command(after_help = "\
Examples:
  otpctl explain 7K3F-Q2
  otpctl explain 7k3fq2 --json")]
    Explain(Explain),
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
            | Self::Unlock(user)
            | Self::RecoveryCodes(user) => Some(&user.user),
            Self::Bypass(Bypass { user, .. }) => user.as_deref(),
            Self::Log(log) => log.user.as_deref(),
            Self::List
            | Self::TestMessage(_)
            | Self::Status
            | Self::Explain(_)
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
            | Self::RecoveryCodes(_)
            | Self::TestMessage(_)
            | Self::ConfirmClock => true,
            Self::Bypass(bypass) => !bypass.list,
            Self::List
            | Self::Show(_)
            | Self::Status
            | Self::Log(_)
            | Self::Explain(_)
            | Self::Completions { .. } => false,
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

/// Arguments of `log`.
#[derive(Args)]
pub struct Log {
    /// Go on with what is decided from now on, until it is interrupted
    #[arg(long, short)]
    pub follow: bool,
    /// Only about this account; - for what is about the host
    #[arg(long, value_name = "USER", value_parser = NonEmptyStringValueParser::new())]
    #[arg(allow_hyphen_values = true)]
    pub user: Option<String>,
    /// Only from then on: so long ago (1h, 2d), a day (2026-11-20), or a time
    /// (2026-11-20T14:00:00+01:00; without its offset in the time zone of this host)
    #[arg(long, value_name = "WHEN")]
    pub since: Option<String>,
    /// Only the newest N
    #[arg(long, value_name = "N")]
    pub limit: Option<u32>,
}

/// Arguments of `explain`.
#[derive(Args)]
pub struct Explain {
    /// As people read it: 7K3F-Q2
    #[arg(value_name = "REQUEST-ID")]
    pub request: String,
}

/// Arguments of `bypass`.
#[derive(Args)]
#[command(group(ArgGroup::new("what").required(true).args(["span", "revoke", "list"])))]
pub struct Bypass {
    /// Name of the account
    #[arg(
        value_name = "USER",
        value_parser = NonEmptyStringValueParser::new(),
        required_unless_present = "list",
        conflicts_with = "list"
    )]
    pub user: Option<String>,
    /// How long it lasts, 1 minute to 7 days: 30m, 1h, 2d
    #[arg(long = "for", value_name = "TIME", value_parser = lasting, requires = "reason")]
    pub span: Option<Lasting>,
    /// Why, in one line of up to 200 characters: it stands in the log with each use
    #[arg(
        long,
        value_name = "TEXT",
        value_parser = NonEmptyStringValueParser::new(),
        requires = "span"
    )]
    pub reason: Option<String>,
    /// For how many logins, 1 to 100 [default: as many as there are in its time]
    #[arg(long, value_name = "N", value_parser = value_parser!(u8).range(1..=100), requires = "span")]
    pub uses: Option<u8>,
    /// For which addresses: one, or a range; IPv6 in /64 and wider [default: all of them, and the
    /// console]
    #[arg(long, value_name = "CIDR", requires = "span")]
    pub from: Option<String>,
    /// End the bypass of this name, or all that USER has
    #[arg(long, value_name = "ID", num_args = 0..=1)]
    pub revoke: Option<Option<String>>,
    /// List the bypasses of all users
    #[arg(long)]
    pub list: bool,
}

/// How long a bypass lasts, seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lasting(pub i64);

/// Reads `30m`, `1h`, `2d`: 1 minute to 7 days of 24 hours.
fn lasting(text: &str) -> Result<Lasting, String> {
    let wrong = || "write 1 minute to 7 days as in 30m, 1h or 2d".to_owned();
    let span = text.parse::<Span>().map_err(|_| wrong())?;
    let span = span.to_duration(SpanRelativeTo::days_are_24_hours()).map_err(|_| wrong())?;
    let seconds = span.as_secs();
    if (60..=7 * 86_400).contains(&seconds) { Ok(Lasting(seconds)) } else { Err(wrong()) }
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

    use super::{Cli, Lasting, Verb, lasting};

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
    fn a_bypass_lasts_a_minute_to_a_week() {
        let cases = [
            ("1m", Some(60)),
            ("59s", None),
            ("30m", Some(1800)),
            ("1h", Some(3600)),
            ("1h30m", Some(5400)),
            ("2d", Some(172_800)),
            ("7d", Some(604_800)),
            ("1w", Some(604_800)),
            ("7d1s", None),
            ("1mo", None),
            ("-1h", None),
            ("60", None),
            ("0m", None),
            ("", None),
            ("9223372036854775807h", None),
        ];
        for (text, seconds) in cases {
            assert_eq!(lasting(text).ok(), seconds.map(Lasting), "{text}");
        }
    }

    #[test]
    fn a_bypass_is_granted_or_revoked_or_listed() {
        let cases: [(&str, &[&str], bool); 17] = [
            ("granted", &["alice", "--for", "1h", "--reason", "x"], true),
            ("without a reason", &["alice", "--for", "1h"], false),
            ("without a time", &["alice", "--reason", "x"], false),
            ("without anything", &["alice"], false),
            ("nobody's", &["--for", "1h", "--reason", "x"], false),
            ("with uses", &["alice", "--for", "1h", "--reason", "x", "--uses", "100"], true),
            ("with none", &["alice", "--for", "1h", "--reason", "x", "--uses", "0"], false),
            ("with too many", &["alice", "--for", "1h", "--reason", "x", "--uses", "101"], false),
            ("revoked", &["alice", "--revoke"], true),
            ("by name", &["alice", "--revoke", "7K3F-Q2"], true),
            ("nobody's", &["--revoke"], false),
            ("with a time", &["alice", "--revoke", "--for", "1h", "--reason", "x"], false),
            ("with a limit", &["alice", "--revoke", "--uses", "1"], false),
            ("listed", &["--list"], true),
            ("of one user", &["alice", "--list"], false),
            ("with a range", &["--list", "--from", "::/0"], false),
            ("listed and revoked", &["--list", "--revoke"], false),
        ];
        for (name, words, good) in cases {
            let words = ["otpctl", "bypass"].iter().chain(words);
            assert_eq!(Cli::try_parse_from(words).is_ok(), good, "{name}");
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
