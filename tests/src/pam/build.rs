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
    /// What makes the module's calls fail when it is preloaded.
    pub faults: PathBuf,
    /// Variables that the application needs besides.
    pub environment: &'static [(&'static str, &'static str)],
}

/// Builds once a process; afterwards only looks whether anything changed.
#[must_use]
pub fn built() -> &'static Built {
    static BUILT: OnceLock<Built> = OnceLock::new();
    BUILT.get_or_init(|| programs(module(&["--release"], &[]), &[], &[], &[]))
}

/// The same with the address sanitizer in the module and in the application.
#[must_use]
pub fn sanitized() -> &'static Built {
    static BUILT: OnceLock<Built> = OnceLock::new();
    BUILT.get_or_init(|| {
        // With a target named, cargo leaves what it runs itself without the sanitizer.
        let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
        let folder = built().module.parent().expect("a file in a directory").join("sanitized");
        let folder = folder.to_str().expect("UTF-8");
        // A sanitizer is an unstable option; the compiler is the stable one.
        let variables = [("RUSTC_BOOTSTRAP", "1"), ("RUSTFLAGS", "-Zsanitizer=address")];
        let module = module(&["--target", &target, "--target-dir", folder], &variables);
        let named = Command::new("nm").arg("-D").arg(&module).output().expect("nm runs").stdout;
        let named = String::from_utf8_lossy(&named);
        assert!(named.contains("__asan_report_"), "the module is without the sanitizer: {named}");
        let environment = &[(
            "ASAN_OPTIONS",
            "detect_leaks=1:verify_asan_link_order=0:detect_stack_use_after_return=1:exitcode=9",
        )];
        programs(module, &["-fsanitize=address"], &["-DWITHOUT_MEMORY"], environment)
    })
}

fn programs(
    module: PathBuf,
    driver: &[&str],
    faults: &[&str],
    environment: &'static [(&'static str, &'static str)],
) -> Built {
    let beside = module.parent().expect("a file in a directory").to_owned();
    let library = |source: &str, name: &str, more: &[&str]| {
        compile(source, &beside, name, &[&["-shared", "-fPIC"], more].concat(), &[])
    };
    let options = [&["-rdynamic"], driver].concat();
    Built {
        driver: compile("pamdriver/pamdriver.c", &beside, "pamdriver", &options, &["-lpam"]),
        typed: library("pamdriver/pam_typed.c", "pam_typed.so", &[]),
        faults: library("faults/calls.c", "calls.so", faults),
        module,
        environment,
    }
}

/// Asks cargo for the release build, because that is what programs will load; cargo says itself
/// where it put it.
fn module(options: &[&str], variables: &[(&str, &str)]) -> PathBuf {
    let output = Command::new(env!("CARGO"))
        .args(["build", "--locked", "--package", "pam_otp"])
        .args(options)
        .envs(variables.iter().copied())
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

/// Compiles a C program or library of this package as `name` in `directory`; where it is.
#[must_use]
pub fn compile(
    source: &str,
    directory: &Path,
    name: &str,
    options: &[&str],
    libraries: &[&str],
) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(source);
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
