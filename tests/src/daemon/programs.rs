//! The programs under test, as cargo builds them for the test that asks.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

/// `otpd` as cargo builds it in the profile of the test. Asked once a process; it is quick when
/// nothing changed.
#[must_use]
pub fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| built(&["otpd"], "otpd"))
}

/// `otpd` that is killed where a test asks for it; it is never shipped.
#[must_use]
pub fn failpoints() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    let what = ["otpd", "--bin", "otpd-failpoints", "--features", "failpoints"];
    PROGRAM.get_or_init(|| built(&what, "otpd-failpoints"))
}

/// `otpctl`, as [`program`].
#[must_use]
pub fn otpctl() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| built(&["otpctl"], "otpctl"))
}

/// Builds `package`, which may be followed by further arguments; where its program `name` is.
fn built(package: &[&str], name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("the test's own file");
    // target/PROFILE/deps/TEST
    let folder = test.ancestors().nth(2).expect("a target directory");
    let profile = match folder.file_name().and_then(|name| name.to_str()) {
        Some("release") => "release",
        _ => "dev",
    };
    let mut cargo = Command::new(env!("CARGO"));
    // What cargo tells this test about its own package would have build scripts run again.
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if ["CARGO_PKG_", "CARGO_MANIFEST_"].iter().any(|own| name.starts_with(own)) {
            cargo.env_remove(&*name);
        }
    }
    let built = cargo
        .args(["build", "--quiet", "--locked", "--profile", profile, "--package"])
        .args(package)
        .arg("--target-dir")
        .arg(folder.parent().expect("a target directory"))
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .status()
        .expect("cargo runs");
    let program = folder.join(name);
    assert!(built.success() && program.is_file(), "{} is not there", program.display());
    program
}
