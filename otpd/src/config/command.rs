//! `[gateway.NAME]` with `kind = "command"`.

use std::time::Duration;

use super::{
    errors::quote,
    http::missing,
    raw::{Section, Text},
    server::is_plain_absolute,
};
use crate::gateway::settings::CommandSettings;

/// Reads the table; none when something that cannot be done without is wrong. `both` says that
/// the gateway is to carry text messages and calls.
pub(super) fn read(mut section: Section<'_>, both: bool) -> Option<CommandSettings> {
    let program = read_program(&mut section, both);
    let timeout = section.number("timeout-seconds", 1..=8, 8, " seconds");
    section.finish();
    Some(CommandSettings { program: program?, timeout: Duration::from_secs(timeout) })
}

/// The program and its arguments. The text never stands among them: every user of the machine can
/// read the arguments of every program.
fn read_program(section: &mut Section<'_>, both: bool) -> Option<Vec<String>> {
    let example = "[\"/usr/local/bin/send-sms\", \"{to}\"]";
    let expected = "a program's absolute path and its arguments";
    let words = section.words("program", example);
    let place = section.place_of("program");
    let Some(words) = words else {
        missing(section, "program", expected, &format!("program = {example}"));
        return None;
    };
    let Some(first) = words.first() else {
        section.error(&place, "is empty", expected, format!("write program = {example}"));
        return None;
    };
    if !is_plain_absolute(first.value) || first.value.contains(['{', '}']) {
        let found = format!("begins with {}", quote(first.value));
        section.error(&first.place, found, expected, "write the whole path first");
    }
    for word in &words {
        check_word(section, word);
    }
    if both && !words.iter().any(|word| word.value.contains("{channel}")) {
        let found = "has no {channel}, and the gateway is in delivery.sms and delivery.voice";
        let remedy = "add an argument {channel}, or configure a second gateway for calls";
        section.error(&place, found, "a program that is told calls from text messages", remedy);
    }
    Some(words.into_iter().map(|word| word.value.to_owned()).collect())
}

fn check_word(section: &Section<'_>, word: &Text<'_>) {
    if word.value.contains("{text}") {
        let expected = "arguments without the code, which every user of the machine could read";
        let remedy = "remove it: the text comes on the program's standard input";
        section.error(&word.place, "has a {text}", expected, remedy);
    }
    if word.value.contains('\0') {
        let expected = "arguments that a program can have";
        section.error(&word.place, "has a zero byte in it", expected, "remove it");
    }
}
