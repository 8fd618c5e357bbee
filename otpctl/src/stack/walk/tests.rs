//! The same stacks by libpam itself, whose `pam_debug.so` answers as it is told.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use proptest::{
    prelude::*,
    test_runner::{RngAlgorithm, TestRng, TestRunner},
};
use tempfile::TempDir;

use super::{Way, ways};
use crate::stack::{
    Shelf,
    read::{self, Stack},
};

/// `libpam` with a folder of service files.
struct Libpam {
    folder: TempDir,
    driver: PathBuf,
}

impl Libpam {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("directory");
        let driver = folder.path().join("driver");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/pamdriver/pamdriver.c");
        let built = Command::new("cc").arg("-o").arg(&driver).args([source, "-lpam"]).status();
        assert!(built.expect("a compiler").success(), "{source}");
        fs::create_dir(folder.path().join("pam.d")).expect("made");
        Self { folder, driver }
    }

    fn place(&self, name: &str) -> PathBuf {
        self.folder.path().join("pam.d").join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.place(name), text).expect("written");
    }

    /// Whether the stack of `tried` lets in.
    fn lets_in(&self) -> bool {
        let mut driver = Command::new(&self.driver);
        driver.arg("--confdir").arg(self.place("")).args(["--service", "tried", "--user", "root"]);
        let told = driver.stdin(Stdio::null()).output().expect("run");
        let text = String::from_utf8_lossy(&told.stdout);
        let answers =
            |what: &str| text.contains(&format!("\"call\":\"authenticate\",\"name\":{what}"));
        // Where it cannot read the file it does not even start.
        let refused = text.contains("[Critical error - immediate abort]");
        assert!(answers("\"PAM_") || refused, "{text}");
        answers("\"PAM_SUCCESS\"")
    }

    fn read(&self) -> Stack {
        read::read(self, "tried")
    }
}

impl Shelf for Libpam {
    fn service(&self, name: &str) -> Option<(String, String)> {
        let place = self.place(name);
        Some((place.display().to_string(), fs::read_to_string(place).ok()?))
    }
}

/// The stack with the answers of one way through it.
fn answering(libpam: &Libpam, stack: &Stack, way: &Way, file: &Path, text: &str) -> String {
    let answer = |line: usize| {
        let at = |index: usize| {
            let place = stack.entries.get(index).map(|entry| &entry.place);
            place.is_some_and(|place| Path::new(&place.file) == file && place.line == line)
        };
        way.trail.iter().find(|(index, _)| at(*index)).map(|(_, answer)| answer)
    };
    let own = text.lines().enumerate().map(|(index, line)| {
        let line = line.replace("part-", &libpam.place("part-").display().to_string());
        answer(index + 1)
            .map_or_else(|| format!("{line}\n"), |answer| format!("{line} auth={answer}\n"))
    });
    own.collect()
}

fn any_control() -> impl Strategy<Value = String> {
    let action =
        prop::sample::select(vec!["ignore", "ok", "done", "bad", "die", "reset", "1", "2", "9"]);
    let answer =
        prop::sample::select(vec!["success", "ignore", "auth_err", "perm_denied", "default"]);
    let rule = (answer, action).prop_map(|(answer, action)| format!("{answer}={action}"));
    let rules =
        prop::collection::vec(rule, 0..5).prop_map(|rules| format!("[{}]", rules.join(" ")));
    let word = prop::sample::select(vec!["required", "requisite", "sufficient", "optional"]);
    prop_oneof![word.prop_map(str::to_owned), rules]
}

fn any_modules() -> impl Strategy<Value = String> {
    let line = any_control().prop_map(|control| format!("auth {control} pam_debug.so\n"));
    prop::collection::vec(line, 1..4).prop_map(|lines| lines.concat())
}

/// What is brought by another file, and how, or else by a line.
fn any_lines() -> impl Strategy<Value = Vec<(&'static str, String)>> {
    let how = prop::sample::select(vec!["", "", "", "include", "substack"]);
    prop::collection::vec((how, any_modules()), 1..4)
}

/// Whether libpam ends each way through a stack of these lines as it is said to end.
fn as_libpam(libpam: &Libpam, lines: &[(&str, String)]) -> Result<(), TestCaseError> {
    let mut files = vec![("tried".to_owned(), String::new())];
    for (index, (how, text)) in lines.iter().enumerate() {
        if how.is_empty() {
            files[0].1 += text;
        } else {
            let name = format!("part-{index}");
            files[0].1 += &["auth ", how, " ", &name, "\n"].concat();
            files.push((name, text.clone()));
        }
    }
    for (name, text) in &files {
        libpam.write(name, text);
    }
    let stack = libpam.read();
    prop_assert_eq!(&stack.troubles, &[]);
    for way in ways(&stack, &|_| false) {
        for (name, text) in &files {
            let told = answering(libpam, &stack, &way, &libpam.place(name), text);
            libpam.write(name, &told);
        }
        let texts = files.iter().map(|(name, _)| fs::read_to_string(libpam.place(name)));
        let texts = texts.collect::<Result<Vec<_>, _>>();
        prop_assert_eq!(way.success, libpam.lets_in(), "{:?} {:?}", way.trail, texts);
    }
    Ok(())
}

#[test]
fn every_way_ends_as_libpam_ends_it() {
    let libpam = Libpam::new();
    // One that was taken otherwise once.
    let lines = ["[]", "[default=reset]", "required"];
    let lines = lines.map(|control| format!("auth {control} pam_debug.so\n")).concat();
    as_libpam(&libpam, &[("", lines)]).expect("the same as libpam's");
    // The same stacks each time: one that libpam takes otherwise is found here, and not by a later change.
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) };
    let mut runner = TestRunner::new_with_rng(config, rng);
    let tried = runner.run(&any_lines(), |lines| as_libpam(&libpam, &lines));
    tried.expect("the same as libpam's");
}

#[test]
fn lines_are_sound_where_libpam_takes_them() {
    let libpam = Libpam::new();
    let yes = "auth requisite pam_debug.so auth=success\n";
    let cases = [
        ("a line", yes.to_owned(), true),
        (
            "large letters",
            yes.to_uppercase().replace("PAM_DEBUG.SO AUTH=SUCCESS", "pam_debug.so"),
            true,
        ),
        ("a continued line", yes.replace("pam_debug", "\\\n \\\n pam_debug"), true),
        ("a comment that goes on", format!("# x \\\n{yes}"), true),
        (
            "a jump over nothing",
            format!("auth [success=0 default=ignore] pam_debug.so\n{yes}"),
            false,
        ),
        ("large letters in brackets", format!("auth [SUCCESS=ok] pam_debug.so\n{yes}"), false),
        ("two signs", format!("--auth requisite pam_debug.so\n{yes}"), false),
        ("a carriage return", format!("{yes}\r\n"), false),
        ("the end of a long comment", format!("# {}\n{yes}", "x".repeat(1100)), false),
        ("a last line that goes on", format!("{yes}auth requisite pam_debug.so \\\n"), false),
        ("half a line", format!("{yes}auth requisite\n"), false),
        ("another facility", format!("{yes}auht requisite pam_debug.so\n"), false),
    ];
    for (name, text, sound) in cases {
        libpam.write("tried", &text);
        let stack = libpam.read();
        assert_eq!(stack.troubles.is_empty(), sound, "{name}: {:?}", stack.troubles);
        assert_eq!(libpam.lets_in(), sound, "{name}");
    }
}
