//! The host that is looked at: its files, and what its programs say. Nothing is changed, but for a
//! directory that sshd's own unit would make.

use std::{
    fs, io,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::PathBuf,
    process::{Command, Stdio},
    time::SystemTime,
};

use crate::stack::{Entry, Shelf};

/// Longest text that is read of a file, bytes: configuration is shorter.
const LONGEST: u64 = 4 * 1024 * 1024;

/// What a program said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Said {
    /// It ended with 0.
    pub(crate) success: bool,
    /// Its standard output.
    pub(crate) output: String,
    /// Its standard error.
    pub(crate) complaint: String,
}

/// Mode and owners of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Owned {
    /// Permission bits.
    pub(crate) mode: u32,
    /// Owner.
    pub(crate) uid: u32,
    /// Group.
    pub(crate) gid: u32,
    /// It is a directory.
    pub(crate) directory: bool,
}

/// Runs a program, the first word, with the other words as arguments.
type Run = Box<dyn Fn(&[&str]) -> Option<Said>>;

/// A host.
pub(crate) struct Host {
    root: PathBuf,
    run: Run,
}

impl Host {
    /// This host.
    pub(crate) fn new() -> Self {
        Self { root: PathBuf::from("/"), run: Box::new(run) }
    }

    /// Files below `root`, and programs that answer as `run` says.
    #[cfg(test)]
    pub(crate) fn at(
        root: &std::path::Path,
        run: impl Fn(&[&str]) -> Option<Said> + 'static,
    ) -> Self {
        Self { root: root.to_owned(), run: Box::new(run) }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// A file's text.
    ///
    /// # Errors
    /// What the system says; a file that is longer than configuration is, is an error too.
    pub(crate) fn read(&self, path: &str) -> io::Result<String> {
        let path = self.path(path);
        if fs::metadata(&path)?.len() > LONGEST {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "too long"));
        }
        fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The names in a directory, sorted; none where there is no such directory.
    pub(crate) fn names(&self, path: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(path)).into_iter().flatten().flatten();
        let mut names =
            entries.filter_map(|entry| entry.file_name().into_string().ok()).collect::<Vec<_>>();
        names.sort_unstable();
        names
    }

    /// Mode and owner.
    pub(crate) fn owned(&self, path: &str) -> io::Result<Owned> {
        let metadata = fs::metadata(self.path(path))?;
        Ok(Owned {
            mode: metadata.mode() & 0o7777,
            uid: metadata.uid(),
            gid: metadata.gid(),
            directory: metadata.is_dir(),
        })
    }

    /// When it was last written.
    pub(crate) fn written(&self, path: &str) -> Option<SystemTime> {
        fs::metadata(self.path(path)).ok()?.modified().ok()
    }

    /// Whether there is something of this name.
    pub(crate) fn has(&self, path: &str) -> bool {
        self.path(path).exists()
    }

    /// Makes a directory for all to read and its owner to write.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn make(&self, path: &str) -> io::Result<()> {
        let path = self.path(path);
        fs::create_dir(&path)?;
        // Whatever the mask of this process is.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))
    }

    /// What a program says; `None` where it cannot be run.
    pub(crate) fn run(&self, words: &[&str]) -> Option<Said> {
        (self.run)(words)
    }

    /// Whether the file of a PAM module is missing from where `libpam` looks.
    pub(crate) fn lacks(&self, entry: &Entry) -> bool {
        if entry.module.starts_with('/') {
            return !self.has(&entry.module);
        }
        !self.security().iter().any(|place| self.has(&format!("{place}/{}", entry.module)))
    }

    /// The directories that PAM modules may lie in.
    pub(crate) fn security(&self) -> Vec<String> {
        let mut places = ["/lib", "/usr/lib", "/lib64", "/usr/lib64"]
            .map(|lib| format!("{lib}/security"))
            .to_vec();
        for lib in ["/lib", "/usr/lib"] {
            let names = self.names(lib).into_iter();
            places.extend(names.map(|name| format!("{lib}/{name}/security")));
        }
        places
    }
}

impl Shelf for Host {
    fn service(&self, name: &str) -> Option<(String, String)> {
        let places = if name.starts_with('/') {
            vec![name.to_owned()]
        } else {
            ["/etc/pam.d", "/usr/lib/pam.d"].map(|place| format!("{place}/{name}")).to_vec()
        };
        places.into_iter().find_map(|path| self.read(&path).ok().map(|text| (path, text)))
    }
}

/// Runs a program in plain English and with the administrator's search path of Debian and Red Hat.
fn run(words: &[&str]) -> Option<Said> {
    let (program, arguments) = words.split_first()?;
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).env_clear();
    command.env("LC_ALL", "C.UTF-8").env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    let output = command.output().ok()?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Some(Said {
        success: output.status.success(),
        output: text(&output.stdout),
        complaint: text(&output.stderr),
    })
}
