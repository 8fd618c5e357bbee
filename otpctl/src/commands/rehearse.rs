//! `otpctl rehearse`: what a user would see, and what PAM would answer, without a login.

use std::process::Command;

use otp_proto::{admin, event::Event};

use super::Outcome;
use crate::{
    Exit, cli,
    doctor::Host,
    failure::Failure,
    pam,
    rehearsal::{self, Performed},
    render::{error::Asked, io_reason, json, visible},
    session::Session,
    stack::{judge, read},
    terminal,
};

/// Events that are looked through for those of a rehearsal, the newest.
const LOOKED_AT: u32 = 1000;

/// Runs the stack as root: only root may ask otpd for a login.
pub(crate) fn run(session: &Session, arguments: cli::Rehearse) -> Result<Outcome, Failure> {
    let cli::Rehearse { user, service } = arguments;
    let user = user.user;
    pam::path(&service)?;
    if !rustix::process::geteuid().is_root() {
        return Err(Failure::Host("a rehearsal asks otpd for a login; run it as root".into()));
    }
    if rehearsal::leads_session() {
        return again();
    }
    let host = Host::new();
    let stack = read(&host, &service);
    if !stack.troubles.is_empty() {
        let text = format!("{service} has no sound stack; see: otpctl doctor --service {service}");
        return Err(Failure::Host(text));
    }
    let judgement = judge(&stack, &|entry| host.lacks(entry));
    if let Some(place) = &judgement.root_in {
        let text = format!(
            "{place}: this stack lets root in there before the code; it cannot be rehearsed as root"
        );
        return Err(Failure::Host(text));
    }
    let key = stack.asks() && judgement.alone && !judgement.believes && service == "sshd";
    let begin = if key { ", after a key that sshd has checked" } else { "" };
    let announcement = format!(
        "What follows is what {} sees at {}{begin}. A code is sent and used for it.\n\n",
        visible(&user),
        visible(&service)
    );
    terminal::say(&announcement)?;
    let before = newest(session);
    let performed = rehearsal::perform(&service, &user, key);
    // However it ended: a code that was right was a login for otpd, whatever another module said after it.
    let told = note(session, &service, before);
    // Where otpd was away all the time, it let nobody in.
    let granted = performed.as_ref().is_ok_and(|performed| performed.authentication.is_ok());
    let away = before.is_none() && !granted;
    let told = told.or_else(|failure| match failure {
        Failure::Connect(_) if away => Ok(()),
        other => Err(other),
    });
    ended(session, (&user, &service), performed, told)
}

/// What came of the rehearsal of a service for a user, and of writing down that it was one.
fn ended(
    session: &Session,
    (user, service): (&str, &str),
    performed: Result<Performed, Failure>,
    told: Result<(), Failure>,
) -> Result<Outcome, Failure> {
    let unnoted = told.err().map(|failure| unnoted(session, service, &failure));
    let performed = match (performed, &unnoted) {
        (Ok(performed), _) => performed,
        (Err(failure), None) => return Err(failure),
        (Err(failure), Some(unnoted)) => {
            let stderr = format!("{}; {unnoted}", asked(session).text(&failure));
            return Ok(Outcome { stdout: String::new(), stderr, exit: failure.exit() });
        }
    };
    let Performed { authentication, account } = performed;
    let granted = authentication.is_ok() && account.is_some_and(|account| account.is_ok());
    let value = json::Rehearsed {
        user,
        service,
        granted,
        authentication: rehearsal::name(authentication),
        account: account.map(rehearsal::name),
    };
    let stdout = if session.json { json::text(&value) } else { words(performed) };
    let exit = if granted && unnoted.is_none() { Exit::Done } else { Exit::Refused };
    Ok(Outcome { stdout, stderr: unnoted.unwrap_or_default(), exit })
}

/// The id of the newest event; `None` where the daemon does not say.
fn newest(session: &Session) -> Option<i64> {
    let log = admin::Log { limit: Some(1), ..admin::Log::default() };
    let mut newest = None;
    let each = |reply: admin::Logged| newest = reply.record.map(|record| record.id).or(newest);
    session.call_more(&log, each).ok().and(newest)
}

/// Writes down which events after `before` are this rehearsal's: to the daemon it was a login. Somebody
/// else's by the same service in the same moment is taken for one as well, which proves too little. One
/// that is killed after its code was right, before this, is taken for a login.
fn note(session: &Session, service: &str, before: Option<i64>) -> Result<(), Failure> {
    let log = admin::Log { limit: Some(LOOKED_AT), ..admin::Log::default() };
    let mut events = Vec::new();
    let each = |reply: admin::Logged| {
        events
            .extend(reply.record.filter(|record| is_by(record, service, before)).map(|one| one.id));
    };
    session.call_more(&log, each)?;
    if events.is_empty() {
        // No code was asked for, or none was right.
        return Ok(());
    }
    pam::was_rehearsed(&events)
}

/// It could not be written down.
fn unnoted(session: &Session, service: &str, failure: &Failure) -> String {
    format!(
        "it is not written down that this was no login, and otpctl pam confirm may take it for one: {why}; \
         confirm no trial of {service} before a new login by it was asked for a code",
        why = asked(session).text(failure),
        service = visible(service)
    )
}

fn asked(session: &Session) -> Asked<'_> {
    Asked { socket: &session.socket, user: None, changes: false, zone: &session.zone }
}

fn is_by(record: &admin::Record, service: &str, before: Option<i64>) -> bool {
    let by = |by: &str| by == service;
    let granted = matches!(
        Event::of(record), Some(Event::LoginGranted { service, source: None }) if by(&service)
    );
    granted && before.is_none_or(|before| record.id > before)
}

/// Runs this program once more, as a process that leads no session: sshd asks for a code from such a
/// one, and `pam_otp` knows its method `password` by the other.
fn again() -> Result<Outcome, Failure> {
    let failed = |error: std::io::Error| Failure::Host(format!("otpctl: {}", io_reason(&error)));
    let program = std::env::current_exe().map_err(failed)?;
    let arguments = std::env::args_os().skip(1);
    let status = Command::new(program).args(arguments).status().map_err(failed)?;
    let exit = match status.code() {
        Some(0) => Exit::Done,
        Some(2) => Exit::Usage,
        Some(3) => Exit::Unreachable,
        Some(_) | None => Exit::Refused,
    };
    Ok(Outcome { stdout: String::new(), stderr: String::new(), exit })
}

fn words(performed: Performed) -> String {
    let Performed { authentication, account } = performed;
    let said = |question: &str, answer| {
        format!("{question}: {} ({})\n", rehearsal::name(answer), rehearsal::meaning(answer))
    };
    let mut text = format!("\n{}", said("Is it them?", authentication));
    if let Some(account) = account {
        text += &said("May they log in?", account);
    }
    text
}

#[cfg(test)]
mod tests {
    use std::io;

    use jiff::tz::TimeZone;
    use serde_json::json;

    use super::{Exit, Failure, Performed, Session, admin::Record, ended, is_by, unnoted};

    fn session() -> Session {
        let socket = "/run/otpd/otpd.sock".into();
        Session { socket, json: false, zone: TimeZone::UTC, width: None }
    }

    #[test]
    fn what_was_not_written_down_is_said_however_the_rehearsal_ended() {
        let damaged = || Err(Failure::Host("rehearsed: it is damaged".to_owned()));
        let terminal = || Err(Failure::Input(io::Error::from(io::ErrorKind::PermissionDenied)));
        let granted = || Ok(Performed { authentication: Ok(()), account: Some(Ok(())) });
        let cases = [
            ("both", terminal(), damaged(), Exit::Usage, &["cannot ask", "it is not written"][..]),
            ("a login", granted(), damaged(), Exit::Refused, &["it is not written"]),
            ("all is well", granted(), Ok(()), Exit::Done, &[]),
        ];
        for (name, performed, told, exit, said) in cases {
            let outcome =
                ended(&session(), ("alice", "sudo"), performed, told).expect("an outcome");
            assert_eq!(outcome.exit, exit, "{name}");
            assert_eq!(outcome.stderr.is_empty(), said.is_empty(), "{name}");
            for words in said {
                assert!(outcome.stderr.contains(words), "{name}: {}", outcome.stderr);
            }
        }
        let terminal = ended(&session(), ("alice", "sudo"), terminal(), Ok(()));
        assert!(matches!(terminal, Err(Failure::Input(_))));
    }

    #[test]
    fn what_was_not_written_down_is_said_in_words() {
        let session = session();
        let gone = || Failure::Connect(io::Error::from(io::ErrorKind::ConnectionRefused));
        for (failure, reason) in [
            (gone(), "/run/otpd/otpd.sock"),
            (Failure::Host("rehearsed: it is damaged".to_owned()), "rehearsed: it is damaged"),
        ] {
            let told = unnoted(&session, "sudo", &failure);
            assert!(told.contains(reason) && told.contains("confirm no trial of sudo"), "{told}");
            assert!(!told.contains("Connect(") && !told.contains("Host("), "{told}");
        }
    }

    #[test]
    fn events_of_a_rehearsal_are_those_of_its_service_after_it_began() {
        let record = |id, details: serde_json::Value| Record {
            id,
            at: 1,
            request: None,
            user: "alice".to_owned(),
            actor: "claimant".to_owned(),
            event: "login-granted".to_owned(),
            details: details.as_object().expect("details").clone(),
        };
        let su = json!({"service": "su", "source": null});
        let cases = [
            ("its own", record(8, su.clone()), Some(7), true),
            ("from before", record(7, su.clone()), Some(7), false),
            ("nobody knows since when", record(7, su.clone()), None, true),
            (
                "another service",
                record(8, json!({"service": "login", "source": null})),
                Some(7),
                false,
            ),
            (
                "from somewhere",
                record(8, json!({"service": "su", "source": "10.0.0.1"})),
                Some(7),
                false,
            ),
            (
                "a denial",
                Record { event: "login-denied".to_owned(), ..record(8, su) },
                Some(7),
                false,
            ),
        ];
        for (name, record, before, expected) in cases {
            assert_eq!(is_by(&record, "su", before), expected, "{name}");
        }
    }
}
