//! `otpctl log`: the audit trail, a line an event, printed as it comes.

mod follow;

use std::io::Write;

use jiff::{Timestamp, Zoned, civil, tz::TimeZone};
use otp_proto::admin::{self, Record};

use super::Outcome;
use crate::{
    cli,
    failure::Failure,
    render::{event::Style, json},
    session::{ANSWER_DEADLINE, Session},
    terminal,
};

/// Prints what there is, and goes on with what comes if that is asked for.
pub(crate) fn run(session: &Session, arguments: cli::Log) -> Result<Outcome, Failure> {
    let cli::Log { follow, user, since, limit } = arguments;
    let now = Timestamp::now();
    let since = since.map(|text| begin(&text, now, &session.zone)).transpose()?;
    let mut printer = Printer { session, output: std::io::stdout().lock() };
    let done = if follow {
        printer.follow(user, since, limit)
    } else {
        printer.print(&admin::Log { user, since, request: None, limit }).map(drop)
    };
    match done {
        // Whoever reads has read enough.
        Err(Failure::Output(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => {
            Ok(Outcome::done(String::new()))
        }
        other => other.map(|()| Outcome::done(String::new())),
    }
}

struct Printer<'a, W> {
    session: &'a Session,
    output: W,
}

impl<W: Write> Printer<'_, W> {
    /// Prints what there is; the id of the last event.
    fn print(&mut self, log: &admin::Log) -> Result<Option<i64>, Failure> {
        let mut last = None;
        let session = self.session;
        session.stream(log, ANSWER_DEADLINE, |reply: admin::Logged| {
            let Some(record) = reply.record else { return Ok(()) };
            last = Some(record.id);
            self.line(&record)
        })?;
        self.output.flush().map_err(Failure::Output)?;
        Ok(last)
    }

    fn line(&mut self, record: &Record) -> Result<(), Failure> {
        let line = if self.session.json {
            json::line(&json::Record::new(record))
        } else {
            let zone = &self.session.zone;
            let today = Timestamp::now().to_zoned(zone.clone()).date();
            Style { zone, today, colours: terminal::colours() }.line(record)
        };
        self.output.write_all(line.as_bytes()).map_err(Failure::Output)
    }
}

/// The instant that `--since` means, Unix milliseconds: so long ago, a day, a time of day in `zone`,
/// or a time with its offset.
fn begin(text: &str, now: Timestamp, zone: &TimeZone) -> Result<i64, Failure> {
    let text = text.trim();
    let instant = text.parse::<Timestamp>().ok();
    let in_zone = |time: civil::DateTime| time.to_zoned(zone.clone()).ok();
    let local = || text.parse::<civil::DateTime>().ok().and_then(in_zone);
    let ago = || {
        let span = text.parse::<jiff::Span>().ok()?;
        // A sign of its own would lead into the future, or say "ago" twice.
        let plain = text.starts_with(|c: char| c.is_ascii_digit());
        now.to_zoned(zone.clone()).checked_sub(span).ok().filter(|_| plain)
    };
    let zoned = |zoned: Zoned| zoned.timestamp();
    instant
        .or_else(|| local().map(zoned))
        .or_else(|| ago().map(zoned))
        .map(Timestamp::as_millisecond)
        .ok_or_else(|| {
            Failure::Usage(format!(
                "--since does not understand {text:?}; write for example 1h, 2d, 2026-11-20 or \
                 2026-11-20T14:00:00+01:00"
            ))
        })
}

#[cfg(test)]
mod tests {
    use jiff::tz::{TimeZone, offset};

    use super::begin;

    #[test]
    fn since_is_understood_in_the_ways_people_write_it() {
        let now = "2026-11-21T14:00:00Z".parse().expect("a time");
        let zone = TimeZone::fixed(offset(1));
        let cases = [
            ("an hour", "1h", Some("2026-11-21T13:00:00Z")),
            ("minutes", "90m", Some("2026-11-21T12:30:00Z")),
            ("in words", "2 days", Some("2026-11-19T14:00:00Z")),
            ("several", "1d 2h", Some("2026-11-20T12:00:00Z")),
            ("a day of this place", "2026-11-20", Some("2026-11-19T23:00:00Z")),
            ("a time of this place", "2026-11-20T14:00", Some("2026-11-20T13:00:00Z")),
            ("a space between", "2026-11-20 14:00:30", Some("2026-11-20T13:00:30Z")),
            ("RFC 3339", "2026-11-20T14:00:00+05:00", Some("2026-11-20T09:00:00Z")),
            ("UTC", "2026-11-20T14:00:00Z", Some("2026-11-20T14:00:00Z")),
            ("the future", "-1h", None),
            ("nothing", "", None),
            ("a number", "5", None),
            ("a word", "yesterday", None),
            ("no such day", "2026-02-30", None),
        ];
        for (name, text, expected) in cases {
            let expected =
                expected.map(|at| at.parse::<jiff::Timestamp>().expect("a time").as_millisecond());
            assert_eq!(begin(text, now, &zone).ok(), expected, "{name}");
        }
    }
}
