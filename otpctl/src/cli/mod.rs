//! The command line.

mod arguments;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

pub use arguments::{
    After, Backup, Bypass, Channel, Disabling, Doctor, Enabling, Enroll, Explain, Export, Import,
    Key, KeyAction, Lasting, Log, Pam, PamAction, Rehearse, Remove, Resend, Restore, Reverting,
    Shell, Show, Store, StoreAction, TestMessage, Trials, User, Verify,
};

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
3 otpd cannot be reached, 4 done, but for users of whom what is stored
is damaged: backup, restore and list name them."
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
    /// Forget the number of USER, and the recovery codes and bypasses
    ///
    /// Where what is stored of USER is damaged, that is taken away without being read, and otpctl
    /// restore brings USER back from a backup, but for a number that was replaced since by the log;
    /// whom you remove otherwise stays removed. A damaged name is shown as / and what is left of it:
    /// give it as it is shown.
    #[command(after_help = "\
Examples:
  otpctl remove alice              asks first
  otpctl remove alice --yes        does not ask (for scripts)
  otpctl remove /al%2Fice          by a damaged name, as list shows it")]
    Remove(Remove),
    /// End the limits that wrong codes brought upon USER, and an end to messages (STOP)
    #[command(after_help = "Example:\n  otpctl unlock alice")]
    Unlock(User),
    /// Make eight recovery codes for USER and print them, this once
    ///
    /// A recovery code lets USER in once where no message arrives. Codes made earlier no longer work.
    /// None is asked for before the number of USER is verified, also where it took the place of
    /// another one: until then, otpctl bypass lets USER in
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
    /// takes. An event of another day than today has its date. --follow goes on over a restart of the
    /// daemon, without leaving anything out, and gives up when it stays away for a minute.
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
    /// Put another master key in the place of the one in use
    ///
    /// The next key is made by otpd --make-next-key and copied to every host that shares the database,
    /// as otpd.key.next beside the key; otpctl status says who holds it. Then rotate, at one host, puts
    /// all that is stored under it, in one step, and every daemon goes on with it. Root only.
    ///
    /// What ends it on every host, as root and only after rotate: cd /etc/otpd && systemctl restart otpd &&
    /// if [ -e otpd.key.next ]; then otpctl key is-rotated && ln --backup=numbered otpd.key otpd.key.old
    /// && mv -f otpd.key.next otpd.key && systemctl restart otpd; fi
    ///
    /// Run before, or again, it changes no key. Where server.key-file names another one, otpctl status and
    /// rotate say the same with its path.
    #[command(after_help = "\
Examples:
  otpd --make-next-key             once, then copy the file to every host
  otpctl status --json | jq -r '.hosts[] | [.name, .next_key] | @tsv'
  otpctl key rotate                at one host, once all of them hold it")]
    Key(Key),
    /// Look at everything that logins with a code depend on, and say what is wrong
    ///
    /// The daemon and its configuration, gateways, the clock, what sshd says of itself, the PAM
    /// stacks, files, SELinux and AppArmor, and who would be locked out. Nothing is changed, but that
    /// /run/sshd is made where sshd tells nothing without it. Run it as root before and after a
    /// change. It ends with 1 when something is wrong.
    #[command(after_help = "\
Examples:
  otpctl doctor
  otpctl doctor --service sshd     only what concerns this service
  otpctl doctor --json | jq -r '.findings[] | select(.state == \"problem\").text'")]
    Doctor(Doctor),
    /// Have a service ask for a code, or no longer; for good or on trial
    ///
    /// The file in /etc/pam.d is read, changed and judged before it is replaced in one step; a stack
    /// that is not understood stays as it is. With --trial the stack is as before after a while, by
    /// itself, unless the change is confirmed from a login that came after it. What sshd's own
    /// files say stays, but for what --sshd-file names; where that matters, it is said with what
    /// takes it back.
    #[command(after_help = "\
Examples:
  otpctl pam enable sshd --trial 10m   in a shell that stays open
  otpctl pam confirm                   from a new login
  otpctl pam enable sshd --after key   a key and a code, no password
  otpctl pam disable sshd              takes out what was put in")]
    Pam(Pam),
    /// Run a service's PAM stack for USER without logging anybody in
    ///
    /// Shows what USER would see and what PAM would answer, in words. For otpd it is a login: a code
    /// is sent and used, and the log has it. Root only.
    #[command(after_help = "\
Examples:
  otpctl rehearse alice                  as sshd would ask
  otpctl rehearse alice --service login")]
    Rehearse(Rehearse),
    /// Write a backup of all that otpd stores to FILE, while logins go on
    ///
    /// Users and their numbers, encrypted as in the database; what counts against guessing and too
    /// many messages; recovery codes, as hashes; the log. No code that waits to be typed is in it, and
    /// not the key /etc/otpd/otpd.key, without which it cannot be restored: keep that in another
    /// place. Root only.
    ///
    /// Of users of whom what is stored is damaged it has nothing: they are named, the exit status is
    /// 4, and all others are in it. Keep earlier backups then. otpctl remove USER takes away what is
    /// damaged, and otpctl restore brings USER back from an earlier backup.
    #[command(after_help = "\
Examples:
  otpctl backup /root/otpd-2026-11-20.backup
  otpctl backup /root/otpd.backup --force     in the place of the last one
  otpctl backup - --no-log | gzip > FILE      without the log")]
    Backup(Backup),
    /// Merge a backup that otpctl backup has written into what otpd stores
    ///
    /// Who is missing is enrolled again. Nothing is taken back: a number that was changed since stays,
    /// as far as the log reaches back nobody who was removed since comes back, no number that was replaced
    /// and no recovery code where some were used or made anew, and whatever the backup or otpd holds
    /// against somebody holds afterwards, wrong codes, limits, locks and an end to messages among it. Of
    /// whom otpd has damaged rows nothing is changed: they are named, and the exit status
    /// is 4. The whole file is checked first; then it asks. Restoring again, or after an
    /// interruption, does no harm. Root only.
    #[command(after_help = "\
Examples:
  otpctl restore /root/otpd-2026-11-20.backup --dry-run
  otpctl restore /root/otpd-2026-11-20.backup
  otpctl restore FILE --dry-run --json | jq -r '.enrolled[]'")]
    Restore(Restore),
    /// Move all that otpd stores to another store, from SQLite to PostgreSQL or back
    ///
    /// Everything goes: numbers, what counts against guessing and too many messages, sources that are
    /// known, locks, bypasses, recovery codes in the state they are in, the log. Codes that wait to be
    /// typed do not: whoever waits logs in again. The new store must be empty, and belong to the same
    /// key. Export and import say what there was of each, with checksums; they are the same if it is.
    /// Before the import nobody is enrolled there: where policy.unenrolled is "ignore", set it to "deny"
    /// until then, or everybody gets in without a code. Root only.
    #[command(after_help = "\
Examples:
  otpctl store export /root/otpd.export --final
  systemctl stop otpd.socket otpd.service
  editor /etc/otpd/otpd.toml       store.url names the new one
  systemctl start otpd.socket
  otpctl store import /root/otpd.export")]
    Store(Store),
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
            | Self::Rehearse(Rehearse { user, .. })
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
            | Self::Doctor(_)
            | Self::Pam(_)
            | Self::Key(_)
            | Self::Backup(_)
            | Self::Restore(_)
            | Self::Store(_)
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
            | Self::Pam(_)
            | Self::Key(_)
            | Self::Rehearse(_)
            | Self::ConfirmClock => true,
            Self::Bypass(bypass) => !bypass.list,
            Self::Restore(restore) => !restore.dry_run,
            Self::Store(store) => store.changes(),
            Self::List
            | Self::Show(_)
            | Self::Status
            | Self::Log(_)
            | Self::Explain(_)
            | Self::Doctor(_)
            | Self::Backup(_)
            | Self::Completions { .. } => false,
        }
    }
}

#[cfg(test)]
mod man;
#[cfg(test)]
mod tests;
