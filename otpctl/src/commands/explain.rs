//! `otpctl explain`: one login by its request id.

use jiff::Timestamp;
use otp_proto::{admin, service::ServiceError};

use super::Outcome;
use crate::{
    Exit, cli,
    failure::Failure,
    render::{
        event::Style,
        explain::{Explained, stories, text},
        json,
    },
    session::{ANSWER_DEADLINE, Session},
    terminal,
};

/// Tells the stories that the request id stands for, the newest last.
pub(crate) fn run(session: &Session, arguments: &cli::Explain) -> Result<Outcome, Failure> {
    let mut records = Vec::new();
    let request = Some(arguments.request.clone());
    let log = admin::Log { request, ..admin::Log::default() };
    let read = session.stream(&log, ANSWER_DEADLINE, |reply: admin::Logged| {
        records.extend(reply.record);
        Ok(())
    });
    match read {
        Err(Failure::Service(ServiceError::InvalidParameter { parameter }))
            if parameter == "request" =>
        {
            let request = &arguments.request;
            return Err(Failure::Usage(format!(
                "{request:?} is no request id; one has six letters and digits, for example 7K3F-Q2"
            )));
        }
        other => other?,
    }
    let now = Timestamp::now();
    let stories = stories(&records);
    let explained: Vec<_> = stories
        .into_iter()
        .filter_map(|story| Explained::of(story, now.as_millisecond()))
        .collect();
    if explained.is_empty() {
        let stderr = format!(
            "nothing is written down about {}; it is kept for log.audit-days, see: otpctl log",
            crate::render::visible(&arguments.request)
        );
        let stdout = if session.json { json::text(&explained) } else { String::new() };
        return Ok(Outcome { stdout, stderr, exit: Exit::Refused });
    }
    let zone = &session.zone;
    let today = now.to_zoned(zone.clone()).date();
    let style = Style { zone, today, colours: terminal::colours() };
    let words = || {
        let texts: Vec<_> = explained.iter().map(|story| text(story, &style)).collect();
        texts.join("\n")
    };
    Ok(Outcome::either(session, &explained, words))
}
