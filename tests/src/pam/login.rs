//! A login by the C program, and what it tells.

use std::{
    fs,
    io::Write,
    path::PathBuf,
    process::{Command, ExitStatus, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

use super::build::{Built, built};

/// A private PAM configuration, a place for a socket, and who logs in how.
pub struct Login {
    directory: TempDir,
    arguments: Vec<String>,
    wrapper: Vec<String>,
    built: &'static Built,
    variables: Vec<(&'static str, String)>,
}

impl Login {
    /// alice at `tty1`, whose key was accepted. The module stands alone, so that what it returns is
    /// what PAM returns, with one exception: `PAM_IGNORE` from everybody is `PAM_PERM_DENIED`.
    #[must_use]
    pub fn new(module_arguments: &str) -> Self {
        Self::by(built(), module_arguments)
    }

    /// The same with another build of the module and the program.
    #[must_use]
    pub fn by(built: &'static Built, module_arguments: &str) -> Self {
        let login = Self::nobody_known(built, module_arguments);
        login.env("SSH_AUTH_INFO_0=publickey ssh-ed25519 AAAA").option("--tty", "tty1")
    }

    /// alice, of whom nothing is known.
    #[must_use]
    pub fn without_first_factor(module_arguments: &str) -> Self {
        Self::nobody_known(built(), module_arguments)
    }

    fn nobody_known(built: &'static Built, module_arguments: &str) -> Self {
        let directory = tempfile::tempdir().expect("directory");
        let (arguments, wrapper, variables) = (Vec::new(), Vec::new(), Vec::new());
        let login = Self { directory, arguments, wrapper, built, variables };
        let line = login.line(module_arguments);
        login.stack(&format!("auth requisite {line}")).option("--user", "alice")
    }

    /// The module's path and arguments, for [`Self::stack`].
    #[must_use]
    pub fn line(&self, module_arguments: &str) -> String {
        let module = self.built.module.display();
        let socket = self.socket();
        let socket = if module_arguments.contains("socket=") {
            String::new()
        } else {
            format!("socket={}", socket.display())
        };
        format!("{module} {socket} {module_arguments}")
    }

    /// Replaces the `auth` lines.
    #[must_use]
    pub fn stack(self, auth: &str) -> Self {
        let module = self.built.module.display();
        let hooks = ["account", "session", "password"];
        let hooks = hooks.map(|hook| format!("{hook} required {module}\n")).concat();
        fs::write(self.file("test"), format!("{auth}\n{hooks}")).expect("service file");
        // libpam logs a complaint where this one is missing.
        fs::write(self.file("other"), "auth required pam_deny.so\n").expect("service file");
        self
    }

    /// Where the daemon should listen.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.directory.path().join("s")
    }

    /// A path in the private directory.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Passes an option to the C program; the last one of a kind counts.
    #[must_use]
    pub fn option(mut self, name: &str, value: &str) -> Self {
        self.arguments.extend([name.to_owned(), value.to_owned()]);
        self
    }

    /// Passes a switch to the C program.
    #[must_use]
    pub fn switch(mut self, name: &str) -> Self {
        self.arguments.push(name.to_owned());
        self
    }

    /// Sets a variable in PAM's environment.
    #[must_use]
    pub fn env(self, variable: &str) -> Self {
        self.option("--env", variable)
    }

    /// Makes calls of the module's fail, as `calls.c` says.
    #[must_use]
    pub fn fault(mut self, fault: &str) -> Self {
        let told = self.file("faults").display().to_string();
        let preload = self.built.faults.display().to_string();
        self.variables.extend([
            ("LD_PRELOAD", preload),
            ("FAULT", fault.to_owned()),
            ("FAULT_TOLD", told),
        ]);
        self
    }

    /// How many calls failed; to be asked of a login that has ended.
    #[must_use]
    pub fn faults(&self) -> u32 {
        let told = fs::read_to_string(self.file("faults")).expect("the program ended by itself");
        told.parse().expect("a number")
    }

    /// Runs the C program by another one, such as `valgrind`.
    #[must_use]
    pub fn under(mut self, wrapper: &[&str]) -> Self {
        self.wrapper = wrapper.iter().map(|&word| word.to_owned()).collect();
        self
    }

    /// Logs in; `lines` are what the C program does at each prompt.
    #[must_use]
    pub fn run(&self, lines: &[&str]) -> Told {
        self.run_after(|| {}, lines)
    }

    /// Logs in, but types nothing before `event` has happened.
    #[must_use]
    pub fn run_after(&self, event: impl FnOnce(), lines: &[&str]) -> Told {
        self.attempt(event, lines).unwrap_or_else(|how| panic!("{how:?}"))
    }

    /// Logs in.
    ///
    /// # Errors
    /// How the program ended, when it did not end well.
    pub fn attempt(&self, event: impl FnOnce(), lines: &[&str]) -> Result<Told, Crash> {
        let driver = self.built.driver.display().to_string();
        let mut words = self.wrapper.iter().chain([&driver]);
        let mut child = Command::new(words.next().expect("a program"))
            .args(words)
            .arg("--confdir")
            .arg(self.directory.path())
            .args(["--service", "test"])
            .args(&self.arguments)
            .env_clear()
            .envs(self.built.environment.iter().copied())
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{:?} does not start: {error}", self.wrapper));
        let mut input = child.stdin.take().expect("piped");
        event();
        let lines = [lines, &[""]].concat().join("\n");
        // A program that ends without reading is judged by what it told.
        let _written = input.write_all(lines.as_bytes());
        drop(input);
        let output = child.wait_with_output().expect("the program ends");
        let told = String::from_utf8(output.stdout).expect("UTF-8");
        if !output.status.success() {
            let errors = String::from_utf8_lossy(&output.stderr).into_owned();
            return Err(Crash { status: output.status, told, errors });
        }
        let line = |line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{line}: {e}"));
        let told = Told { events: told.lines().map(line).collect() };
        told.nothing_is_left_behind();
        Ok(told)
    }
}

/// How a program ended that did not end well.
#[derive(Debug)]
pub struct Crash {
    /// The exit status, or the signal.
    pub status: ExitStatus,
    /// What it had told so far.
    pub told: String,
    /// What it printed besides.
    pub errors: String,
}

/// What the C program told.
#[derive(Debug)]
pub struct Told {
    events: Vec<Value>,
}

impl Told {
    fn of(&self, event: &str) -> impl Iterator<Item = &Value> {
        self.events.iter().filter(move |line| line.get("event") == Some(&event.into()))
    }

    /// What a call of libpam returned, for example of `authenticate`.
    #[must_use]
    pub fn result(&self, call: &str) -> &str {
        let result = self.of("result").find(|line| line.get("call") == Some(&call.into()));
        let result = result.unwrap_or_else(|| panic!("no {call} in {self:?}"));
        result.get("name").and_then(Value::as_str).expect("a name")
    }

    /// The texts of all `prompt`, `info` or `error` messages, or of all `log` lines.
    #[must_use]
    pub fn texts(&self, event: &str) -> Vec<&str> {
        self.of(event).filter_map(|line| line.get("text")?.as_str()).collect()
    }

    /// The number in every event of a kind.
    #[must_use]
    pub fn numbers(&self, event: &str, field: &str) -> Vec<i64> {
        self.of(event).filter_map(|line| line.get(field)?.as_i64()).collect()
    }

    /// True of every login there is.
    fn nothing_is_left_behind(&self) {
        for field in ["fds", "threads", "signals", "umask", "mapped"] {
            let (before, after) = (self.numbers("before", field), self.numbers("after", field));
            assert_eq!(before, after, "{field} changed: {self:?}");
            assert_eq!(before.len(), 1, "{field} is told");
        }
        assert_eq!(self.numbers("after", "mapped"), [0], "the module stays loaded");
        assert_eq!(self.numbers("after", "printed"), [0], "the module printed something");
        for event in ["prompt", "info", "error"] {
            assert!(self.numbers(event, "inheritable").iter().all(|&count| count == 0), "{self:?}");
            assert!(self.numbers(event, "standard").iter().all(|&count| count == 0), "{self:?}");
            assert!(self.numbers(event, "messages").iter().all(|&count| count == 1), "{self:?}");
        }
        assert!(
            self.numbers("log", "facility").iter().all(|&it| it == 10 << 3),
            "not LOG_AUTHPRIV"
        );
    }
}
