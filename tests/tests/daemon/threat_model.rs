//! The threat model names the test of each threat: each of them has to exist.

use std::{fs, path::Path};

/// The threats that may be said not to apply, each with its reason.
const MAY_NOT_APPLY: [&str; 4] = ["T15", "T18", "T20", "T31"];

const NUMBER_OF_THREATS: usize = 33;

/// The sections of the document that are threats: their number, and what is said.
fn threats(document: &str) -> Vec<(&str, &str)> {
    document.split("\n### ").skip(1).map(|section| section.split_at(3)).collect()
}

/// The tests that a section names, in one paragraph or more, as pairs of file and name.
fn named(section: &str) -> Vec<(&str, &str)> {
    let mut tests = Vec::new();
    for shown in section.split("\nShown by:").skip(1) {
        let shown = shown.split("\n\n").next().unwrap_or_default();
        let mut pieces = shown.split('`').skip(1);
        while let (Some(file), Some(names)) = (pieces.next(), pieces.next()) {
            let names = names.split([' ', '\n', ',', ';', '.']).filter(|name| !name.is_empty());
            tests.extend(names.map(|name| (file, name)));
        }
    }
    tests
}

/// When a test runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Runs {
    Always,
    /// With `--long` only.
    Long,
}

/// When the test or the scenario of that name in this file runs; `None` where there is none.
fn runs(root: &Path, file: &str, name: &str) -> Option<Runs> {
    let source = fs::read_to_string(root.join(file)).unwrap_or_default();
    let lines = source.lines().map(str::trim_start).collect::<Vec<_>>();
    let starts = [format!("fn {name}("), format!("async fn {name}("), format!("def {name}(")];
    lines.iter().enumerate().find_map(|(place, line)| {
        // A behaviour of all stores gets the name of its test in a table.
        if !line.starts_with("//") && line.ends_with(&format!(" as {name},")) {
            return Some(Runs::Always);
        }
        // Attributes and decorators stand before it, without an empty line between.
        let before = || lines[..place].iter().rev().take_while(|line| !line.is_empty()).take(8);
        let has = |what: &str| before().any(|line| line.starts_with(what));
        let tested = starts.iter().any(|start| line.starts_with(start))
            && ["#[test]", "#[tokio::test", "@scenario"].into_iter().any(has);
        tested.then(|| if has("#[ignore") { Runs::Long } else { Runs::Always })
    })
}

#[test]
fn every_threat_has_a_test_and_every_test_that_is_named_exists() {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let document =
        fs::read_to_string(root.join("packaging/doc/threat-model.md")).expect("the threat model");
    let threats = threats(&document);
    let numbers = threats.iter().map(|(number, _)| (*number).to_owned()).collect::<Vec<_>>();
    let all = (1..=NUMBER_OF_THREATS).map(|n| format!("T{n:02}")).collect::<Vec<_>>();
    assert_eq!(numbers, all);

    let mut wrong = Vec::new();
    let before = document.split("\n### ").next().unwrap_or_default();
    assert!(named(before).len() > 6, "the tests of what always holds are read");
    for (number, section) in threats.into_iter().chain([("what always holds", before)]) {
        let tests = named(section);
        if tests.is_empty() {
            let is_explained =
                MAY_NOT_APPLY.contains(&number) && section.contains("\nDoes not apply: ");
            if !is_explained {
                wrong.push(format!("{number}: no test"));
            }
        }
        let found = tests.iter().map(|(file, name)| runs(root, file, name)).collect::<Vec<_>>();
        for ((file, name), found) in tests.iter().zip(&found) {
            if found.is_none() {
                wrong.push(format!("{number}: no {name} in {file}"));
            }
        }
        if !tests.is_empty() && !found.contains(&Some(Runs::Always)) {
            wrong.push(format!("{number}: no test but with --long"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_name_that_is_wrong_would_be_seen() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let section = "T99 Nothing\n\nText.\n\nShown by: `tests/daemon.rs` one_test, another;\n`src/lib.rs`\nthird.\n\nMore `code` here.\n";
    assert_eq!(
        named(section),
        [("tests/daemon.rs", "one_test"), ("tests/daemon.rs", "another"), ("src/lib.rs", "third")]
    );
    assert_eq!(runs(root, "tests/daemon.rs", "one_test"), None);
    assert_eq!(runs(root, "tests/nowhere.rs", "one_test"), None);
    let own = "tests/daemon/threat_model.rs";
    assert_eq!(runs(root, own, "a_name_that_is_wrong_would_be_seen"), Some(Runs::Always));
    assert_eq!(runs(root, own, "runs"), None, "no test");
    let long = runs(root, "tests/daemon/kill_loop.rs", "killed_2500_times_under_load");
    assert_eq!(long, Some(Runs::Long));
    let doctor = |name| runs(root, "e2e/scenarios/doctor.py", name);
    assert_eq!(doctor("a_key_alone_confirms_nothing"), Some(Runs::Always));
    assert_eq!(doctor("good_machine"), None, "no scenario");
    let twice = format!("{section}\nShown by: `a.rs` fourth.\n");
    assert_eq!(named(&twice).last(), Some(&("a.rs", "fourth")));
}
