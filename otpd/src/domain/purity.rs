//! Keeps this folder pure: it reads its own sources.

use std::{fs, path::Path};

/// Words that would bring a socket, a file, a clock, a thread or randomness in.
const FORBIDDEN: &[&str] = &[
    "tokio",
    "rusqlite",
    "refinery",
    "reqwest",
    "hyper",
    "std::net",
    "std::fs",
    "std::io",
    "std::env",
    "std::thread",
    "std::process",
    "std::sync::Mutex",
    "::now()",
    "SysRng",
    "rand::rng",
    "otp_proto",
    "crate::store",
    "crate::gateway",
    "crate::ipc",
    "crate::config",
    "tracing",
];

fn impurity(source: &str) -> Option<&'static str> {
    FORBIDDEN.iter().find(|word| source.contains(**word)).copied()
}

fn check(folder: &Path, found: &mut Vec<String>, files: &mut usize) {
    for entry in fs::read_dir(folder).expect("the folder of the sources") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            check(&path, found, files);
        } else if path.file_name().is_some_and(|name| name != "purity.rs") {
            *files += 1;
            let source = fs::read_to_string(&path).expect("a source file");
            found.extend(impurity(&source).map(|word| format!("{}: {word}", path.display())));
        }
    }
}

#[test]
fn the_domain_names_no_runtime_store_network_file_or_clock() {
    let (mut found, mut files) = (Vec::new(), 0);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/domain");
    check(&folder, &mut found, &mut files);
    assert!(files >= 12, "only {files} files were read");
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn reading_a_clock_is_caught() {
    assert_eq!(impurity("let t = SystemTime::now();"), Some("::now()"));
    assert_eq!(impurity("fn f(now: Timestamp) {}"), None);
}
