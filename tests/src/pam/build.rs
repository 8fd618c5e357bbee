//! What the tests run: the module as it is shipped, and the C programs around it.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
};

use serde_json::Value;

/// Paths of everything built.
pub struct Built {
    /// `libpam_otp.so`, release profile.
    pub module: PathBuf,
    /// The PAM application.
    pub driver: PathBuf,
    /// A module that says that a password was typed.
    pub typed: PathBuf,
}

/// Builds once a process; afterwards only looks whether anything changed.
#[must_use]
pub fn built() -> &'static Built {
    static BUILT: OnceLock<Built> = OnceLock::new();
    BUILT.get_or_init(|| {
        let module = module();
        let beside = module.parent().expect("a file in a directory").to_owned();
        let driver = compile("pamdriver.c", &beside, "pamdriver", &["-rdynamic"], &["-lpam"]);
        let typed = compile("pam_typed.c", &beside, "pam_typed.so", &["-shared", "-fPIC"], &[]);
        Built { module, driver, typed }
    })
}

/// Asks cargo for the release build, because that is what programs will load; cargo says itself
/// where it put it.
fn module() -> PathBuf {
    let output = Command::new(env!("CARGO"))
        .args(["build", "--release", "--locked", "--package", "pam_otp"])
        .arg("--message-format=json-render-diagnostics")
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .stderr(Stdio::inherit())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "pam_otp does not build");
    let messages = String::from_utf8(output.stdout).expect("JSON lines");
    let path = messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message.pointer("/target/name") == Some(&"pam_otp".into()))
        .filter_map(|message| Some(message.pointer("/filenames/0")?.as_str()?.to_owned()))
        .find(|path| path.ends_with("libpam_otp.so"));
    PathBuf::from(path.expect("cargo names the module"))
}

fn compile(
    source: &str,
    directory: &Path,
    name: &str,
    options: &[&str],
    libraries: &[&str],
) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("pamdriver").join(source);
    let target = directory.join(name);
    // Made under a name of its own and moved: tests of another process may be running the old one.
    let fresh = directory.join(format!("{name}.{}", std::process::id()));
    let status = Command::new("cc")
        .args(["-std=gnu11", "-O1", "-g", "-Wall", "-Wextra", "-Werror"])
        .args(options)
        .arg("-o")
        .args([&fresh, &source])
        .args(libraries)
        .status()
        .expect("cc runs (apt install gcc libpam0g-dev)");
    assert!(status.success(), "{} does not compile (apt install libpam0g-dev)", source.display());
    std::fs::rename(&fresh, &target).expect("rename");
    target
}
