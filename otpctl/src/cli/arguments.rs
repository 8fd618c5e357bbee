//! What each verb takes.

use std::{path::PathBuf, time::Duration};

use clap::{
    ArgGroup, Args, Subcommand, ValueEnum, builder::NonEmptyStringValueParser, value_parser,
};
use jiff::{Span, SpanRelativeTo};
use otp_proto::{Secret, admin};

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

/// Arguments of `doctor`.
#[derive(Args)]
pub struct Doctor {
    /// Only what concerns this PAM service; that it asks for no code is a problem then
    #[arg(long, value_name = "SERVICE", value_parser = NonEmptyStringValueParser::new())]
    pub service: Option<String>,
}

/// Arguments of `pam`.
#[derive(Args)]
pub struct Pam {
    /// What is done.
    #[command(subcommand)]
    pub action: PamAction,
}

/// Arguments of `key`.
#[derive(Args)]
pub struct Key {
    /// What is done.
    #[command(subcommand)]
    pub action: KeyAction,
}

/// What is done with the key.
#[derive(Subcommand)]
pub enum KeyAction {
    /// Put all that is stored under the next key; every daemon goes on with it
    #[command(after_help = "Example:\n  otpctl key rotate")]
    Rotate {
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Say whether the database is under the next key of this host, which has to take the other one's
    /// place then; it ends with 1 where it is not
    #[command(after_help = "Example:\n  otpctl key is-rotated")]
    IsRotated,
}

/// What is done with a stack.
#[derive(Subcommand)]
pub enum PamAction {
    /// Have SERVICE ask for a code
    #[command(after_help = "Example:\n  otpctl pam enable sshd --trial 10m")]
    Enable(Enabling),
    /// Have SERVICE ask for no code any more
    #[command(after_help = "Example:\n  otpctl pam disable sshd")]
    Disable(Disabling),
    /// Keep what is on trial; from a login that came after the change
    #[command(after_help = "Example:\n  otpctl pam confirm sshd")]
    Confirm(Trials),
    /// End a trial now: the stack is as before
    #[command(after_help = "Example:\n  otpctl pam revert sshd")]
    Revert(Reverting),
}

/// Arguments of `pam enable`.
#[derive(Args)]
pub struct Enabling {
    /// A file in /etc/pam.d
    #[arg(value_name = "SERVICE")]
    pub service: String,
    /// What is checked before the code: a password, by what the stack has; or a key, by sshd, and
    /// what the stack has is put aside
    #[arg(
        long,
        value_enum,
        value_name = "password|key",
        hide_possible_values = true,
        default_value = "password"
    )]
    pub after: After,
    /// For so long only (10 s to 1 day: 10m, 1h), unless it is confirmed
    #[arg(long, value_name = "TIME", value_parser = trial)]
    pub trial: Option<Duration>,
    /// With --trial of sshd: a file of its settings that goes too when the trial ends unconfirmed,
    /// and sshd reads its files anew
    #[arg(long, value_name = "FILE", requires = "trial")]
    pub sshd_file: Option<String>,
}

/// Arguments of `pam disable`.
#[derive(Args)]
pub struct Disabling {
    /// A file in /etc/pam.d
    #[arg(value_name = "SERVICE")]
    pub service: String,
    /// For so long only (10 s to 1 day: 10m, 1h), unless it is confirmed
    #[arg(long, value_name = "TIME", value_parser = trial)]
    pub trial: Option<Duration>,
}

/// Arguments of `pam confirm`.
#[derive(Args)]
pub struct Trials {
    /// The service on trial [default: all of them]
    #[arg(value_name = "SERVICE")]
    pub service: Option<String>,
}

/// Arguments of `pam revert`.
#[derive(Args)]
pub struct Reverting {
    /// The service on trial [default: all of them]
    #[arg(value_name = "SERVICE")]
    pub service: Option<String>,
    /// Wait so long before, and do it only if it is still the same trial
    #[arg(long = "in", value_name = "TIME", value_parser = trial)]
    pub wait: Option<Duration>,
}

/// What is checked before the code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum After {
    /// A password
    Password,
    /// A key
    Key,
}

/// Reads `30s`, `10m`, `1h`: 10 seconds to a day.
pub(super) fn trial(text: &str) -> Result<Duration, String> {
    let wrong = || "write 10 seconds to 1 day as in 30s, 10m or 1h".to_owned();
    let span = text.parse::<Span>().map_err(|_| wrong())?;
    let span = span.to_duration(SpanRelativeTo::days_are_24_hours()).map_err(|_| wrong())?;
    let span = Duration::try_from(span).map_err(|_| wrong())?;
    if (10..=86_400).contains(&span.as_secs()) { Ok(span) } else { Err(wrong()) }
}

/// Arguments of `rehearse`.
#[derive(Args)]
pub struct Rehearse {
    /// Who would log in.
    #[command(flatten)]
    pub user: User,
    /// By which service
    #[arg(
        long,
        value_name = "SERVICE",
        value_parser = NonEmptyStringValueParser::new(),
        default_value = "sshd"
    )]
    pub service: String,
}

/// Arguments of `backup`.
#[derive(Args)]
pub struct Backup {
    /// Where to, mode 0600; it gets its name once it is whole (-: standard output)
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Put it in the place of a file that is there
    #[arg(long)]
    pub force: bool,
    /// Leave the log out, which may be most of it
    #[arg(long)]
    pub no_log: bool,
}

/// Arguments of `restore`.
#[derive(Args)]
pub struct Restore {
    /// What otpctl backup has written
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Check the file and say what would be changed; change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
}

/// Arguments of `store`.
#[derive(Args)]
pub struct Store {
    /// What is done.
    #[command(subcommand)]
    pub action: StoreAction,
}

impl Store {
    /// True for what leaves something changed.
    pub(super) fn changes(&self) -> bool {
        match &self.action {
            StoreAction::Export(export) => export.r#final,
            StoreAction::Import(_) => true,
        }
    }
}

/// What is done with a store.
#[derive(Subcommand)]
pub enum StoreAction {
    /// Write all that is stored to FILE, to be imported elsewhere
    #[command(after_help = "\
Examples:
  otpctl store export /root/otpd.export            to see how long it takes
  otpctl store export /root/otpd.export --final    when it is moved")]
    Export(Export),
    /// Take an export into this store, which is empty, and read it back
    #[command(after_help = "Example:\n  otpctl store import /root/otpd.export")]
    Import(Import),
}

/// Arguments of `store export`.
#[derive(Args)]
pub struct Export {
    /// Where to, mode 0600; it gets its name once it is whole
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Let nobody in but who is exempt, and nothing be changed from then on, until otpd is started
    /// again: what is decided after an export is not in it
    #[arg(long)]
    pub r#final: bool,
    /// Put it in the place of a file that is there
    #[arg(long)]
    pub force: bool,
    /// Do not ask before --final
    #[arg(long)]
    pub yes: bool,
}

/// Arguments of `store import`.
#[derive(Args)]
pub struct Import {
    /// What otpctl store export has written
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
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
pub(super) fn lasting(text: &str) -> Result<Lasting, String> {
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
