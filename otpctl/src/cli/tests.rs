use clap::{CommandFactory, Parser};

use super::{
    Cli, Lasting, Verb,
    arguments::{lasting, trial},
};

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
fn what_ends_a_rotation_is_in_its_help() {
    let command = Cli::command();
    let key = command.find_subcommand("key").expect("a verb");
    let about = key.get_long_about().map(ToString::to_string).unwrap_or_default();
    let finish = otp_proto::admin::finish_rotation(std::path::Path::new(crate::render::KEY_FILE));
    assert!(about.contains(&finish), "{about}");
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
fn a_trial_lasts_ten_seconds_to_a_day() {
    let cases = [
        ("10s", Some(10)),
        ("9s", None),
        ("10m", Some(600)),
        ("1d", Some(86_400)),
        ("1d1s", None),
        ("-1h", None),
        ("60", None),
        ("", None),
    ];
    for (text, seconds) in cases {
        let expected = seconds.map(std::time::Duration::from_secs);
        assert_eq!(trial(text).ok(), expected, "{text}");
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
