//! The manual pages `otpctl(1)` and `otpctl-VERB(1)`: made from what parses the command line, kept in
//! `packaging/man`, and compared here.

use std::{collections::BTreeMap, fs, path::PathBuf};

use clap::{Command, CommandFactory};
use clap_mangen::Man;

use super::Cli;

/// The page of one command, with its examples as they are printed.
fn page(command: &Command) -> String {
    let name = command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned();
    let man = Man::new(command.clone().disable_version_flag(true))
        .title(name)
        .section("1")
        .source("otpd")
        .manual("User Commands");
    let mut page = Vec::new();
    let parts = [Man::render_title, Man::render_name_section, Man::render_synopsis_section];
    for render in parts {
        render(&man, &mut page).expect("written");
    }
    man.render_description_section(&mut page).expect("written");
    man.render_options_section(&mut page).expect("written");
    if command.has_subcommands() {
        man.render_subcommands_section(&mut page).expect("written");
    }
    let mut page = String::from_utf8(page).expect("UTF-8");
    if let Some(examples) = command.get_after_help() {
        page += &literal(&examples.to_string());
    }
    page + SEE_ALSO
}

/// Examples line by line, and the exit status as a section of its own.
fn literal(examples: &str) -> String {
    let (examples, status) = examples.split_once("Exit status: ").unwrap_or((examples, ""));
    let mut text = ".SH EXAMPLES\n.nf\n".to_owned();
    let lines = examples.lines().filter(|line| !line.trim_end().ends_with("xamples:"));
    for line in lines.map(str::trim_end).filter(|line| !line.is_empty() && *line != "Example:") {
        text += &escaped(line);
        text += "\n";
    }
    text += ".fi\n";
    if !status.is_empty() {
        text += ".SH EXIT STATUS\n";
        text += &escaped(&status.replace('\n', " "));
        text += "\n";
    }
    text
}

fn escaped(line: &str) -> String {
    let line = line.replace('\\', "\\e").replace('-', "\\-").replace('\'', "\\(aq");
    // What begins with a dot would be a request.
    if line.starts_with('.') { format!("\\&{line}") } else { line }
}

const SEE_ALSO: &str = ".SH SEE ALSO\n.BR otpctl (1),\n.BR otpd.toml (5),\n.BR otpd (8),\n\
                        .BR pam_otp (8)\n";

fn pages() -> BTreeMap<String, String> {
    let helpless = |command: Command| command.disable_help_subcommand(true);
    let mut command = helpless(Cli::command());
    for verb in ["key", "pam", "store"] {
        command = command.mut_subcommand(verb, helpless);
    }
    command.build();
    let commands = command.get_subcommands().flat_map(Command::get_subcommands);
    let commands = commands.chain(command.get_subcommands()).chain([&command]);
    let named = |command: &Command| {
        let name = command.get_display_name().unwrap_or_else(|| command.get_name());
        (format!("{name}.1"), page(command))
    };
    commands.map(named).collect()
}

#[test]
fn the_pages_in_the_package_are_those_of_this_command_line() {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../packaging/man"));
    let mut stale = Vec::new();
    let pages = pages();
    for (name, page) in &pages {
        let path = folder.join(name);
        if fs::read_to_string(&path).is_ok_and(|kept| kept == *page) {
            continue;
        }
        // Written anew, so that all that is left to do is to look at it and commit it.
        fs::write(&path, page).expect("a page is written");
        stale.push(name.clone());
    }
    let kept = fs::read_dir(&folder).expect("a folder of pages");
    let kept = kept.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let left = kept.filter(|name| name.starts_with("otpctl") && !pages.contains_key(name));
    assert_eq!(left.collect::<Vec<_>>(), Vec::<String>::new(), "pages of verbs that are gone");
    assert!(stale.is_empty(), "were stale and are written anew; commit them: {stale:?}");
}
