//! Files that the configuration is in or names, opened with suspicion.

use std::{
    fs::{File, Metadata, OpenOptions},
    io::{self, Read},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use nix::fcntl::OFlag;
use zeroize::Zeroizing;

/// What is wrong with a file, in the parts of an error.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Trouble {
    pub(super) found: String,
    pub(super) expected: String,
    pub(super) remedy: String,
    /// There is no such file.
    pub(super) missing: bool,
}

impl Trouble {
    fn new(found: impl Into<String>, expected: &str, remedy: impl Into<String>) -> Self {
        Self {
            found: found.into(),
            expected: expected.to_owned(),
            remedy: remedy.into(),
            missing: false,
        }
    }

    /// The same about a file that a key names.
    fn named(self, path: &Path) -> Self {
        Self { found: format!("names {}, which {}", shown(path), self.found), ..self }
    }
}

/// Where files that are named without a directory lie.
#[derive(Clone, Copy, Debug)]
pub(super) struct Folders<'a> {
    /// systemd's directory of credentials.
    pub(super) credentials: Option<&'a Path>,
    /// The directory of the configuration file.
    pub(super) config: &'a Path,
}

impl Folders<'_> {
    /// The file of a name: absolute as it is, else among the credentials, else beside the
    /// configuration.
    pub(super) fn find(self, name: &str) -> Result<PathBuf, Trouble> {
        let path = Path::new(name);
        if path.is_absolute() {
            return Ok(path.to_owned());
        }
        if name.is_empty() || path.components().any(|part| part == std::path::Component::ParentDir)
        {
            let found = if name.is_empty() { "is empty" } else { "goes through `..`" };
            return Err(Trouble::new(
                found,
                "an absolute path or the name of a file",
                "write the file's whole path",
            ));
        }
        let credential = self.credentials.map(|folder| folder.join(path));
        let existing = credential.filter(|path| path.symlink_metadata().is_ok());
        Ok(existing.unwrap_or_else(|| self.config.join(path)))
    }

    /// The text in a file that others must not know; a line feed at its end is dropped.
    pub(super) fn secret(self, name: &str) -> Result<Zeroizing<String>, Trouble> {
        let path = self.find(name)?;
        let text = read(&path, LARGEST_SECRET, |metadata| exposed(&path, metadata))
            .map_err(|trouble| trouble.named(&path))?;
        let secret = text.strip_suffix('\n').unwrap_or(&text);
        let secret = secret.strip_suffix('\r').unwrap_or(secret);
        if secret.trim().is_empty() {
            let remedy = format!("write the secret to {}", shown(&path));
            return Err(Trouble::new("is empty", "a secret", remedy).named(&path));
        }
        Ok(Zeroizing::new(secret.to_owned()))
    }

    /// A certificate authority's file, checked to hold a certificate.
    pub(super) fn certificates(self, name: &str) -> Result<PathBuf, Trouble> {
        use rustls::pki_types::{CertificateDer, pem::PemObject};

        let path = self.find(name)?;
        let text = read(&path, LARGEST_CERTIFICATES, |metadata| changeable(&path, metadata))
            .map_err(|trouble| trouble.named(&path))?;
        let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
        if all.is_ok_and(|all| !all.is_empty()) {
            return Ok(path);
        }
        let remedy = "name the file of the certificate authority, with -----BEGIN CERTIFICATE-----";
        Err(Trouble::new("holds no certificate", "certificates in PEM form", remedy).named(&path))
    }
}

/// The configuration file's text.
pub(super) fn config(path: &Path) -> Result<Zeroizing<String>, Trouble> {
    read(path, LARGEST_CONFIG, |metadata| changeable(path, metadata))
}

/// Against a file that others can write: they would decide who gets in.
fn changeable(path: &Path, metadata: &Metadata) -> Option<Trouble> {
    let mode = metadata.mode() & 0o7777;
    (mode & 0o022 != 0).then(|| {
        Trouble::new(
            format!("has the mode {mode:04o}, so that others can change it"),
            "a file that its owner alone can write",
            format!("run: chmod go-w {}", shown(path)),
        )
    })
}

/// Against a file that others can read or write. A group that may read it is the daemon's.
fn exposed(path: &Path, metadata: &Metadata) -> Option<Trouble> {
    let mode = metadata.mode() & 0o7777;
    (mode & 0o027 != 0).then(|| {
        Trouble::new(
            format!("has the mode {mode:04o}"),
            "a file that its owner alone can write and others cannot read",
            // The group first: the mode alone would shut the daemon out of a file of root's.
            format!(
                "run: chgrp otpd {0} && chmod 0640 {0}; change the secret if others had it",
                shown(path)
            ),
        )
    })
}

/// Reads a regular file of at most `largest` bytes, once `refuse` has seen the opened file's mode
/// and found nothing against it.
fn read(
    path: &Path,
    largest: u64,
    refuse: impl FnOnce(&Metadata) -> Option<Trouble>,
) -> Result<Zeroizing<String>, Trouble> {
    let unreadable = |error: &io::Error| unreadable(path, error);
    // A pipe in its place must not hang the start, so it is opened without waiting for a writer.
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(OFlag::O_NONBLOCK.bits())
        .open(path)
        .map_err(|error| unreadable(&error))?;
    let metadata = file.metadata().map_err(|error| unreadable(&error))?;
    if !metadata.is_file() {
        return Err(Trouble::new("is no regular file", "a file", "name the file itself"));
    }
    if let Some(trouble) = refuse(&metadata) {
        return Err(trouble);
    }
    read_text(&file, &metadata, largest).map_err(|error| match error.kind() {
        io::ErrorKind::FileTooLarge => Trouble::new(
            format!("is larger than {largest} bytes"),
            "a smaller file",
            "check that it is the right one",
        ),
        io::ErrorKind::InvalidData => {
            Trouble::new("is not UTF-8", "text in UTF-8", "convert it, for example with iconv")
        }
        _ => unreadable(&error),
    })
}

fn read_text(file: &File, metadata: &Metadata, largest: u64) -> io::Result<Zeroizing<String>> {
    // It may hold secrets. Growing would leave copies of them behind in memory that nobody wipes.
    let size = metadata.len().min(largest) + 2;
    let mut text = Zeroizing::new(String::with_capacity(usize::try_from(size).unwrap_or_default()));
    file.take(largest + 1).read_to_string(&mut text)?;
    if text.len() as u64 > largest { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(text) }
}

/// A path on one line, whatever is in it.
fn shown(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.into() };
    text.chars().map(plain).collect()
}

fn unreadable(path: &Path, error: &io::Error) -> Trouble {
    let path = shown(path);
    let reason = match error.kind() {
        io::ErrorKind::NotFound => "there is no such file".to_owned(),
        io::ErrorKind::PermissionDenied => {
            format!("permission denied to the user with uid {}", nix::unistd::geteuid())
        }
        _ => error.to_string(),
    };
    let remedy = match error.kind() {
        io::ErrorKind::NotFound => "create it or name the right one".to_owned(),
        io::ErrorKind::PermissionDenied => {
            format!("run: chgrp otpd {path} && chmod 0640 {path}")
        }
        _ => "see to the file and its directory".to_owned(),
    };
    let missing = error.kind() == io::ErrorKind::NotFound;
    let found = format!("cannot be read: {reason}");
    Trouble { missing, ..Trouble::new(found, "a readable file", remedy) }
}

const LARGEST_CONFIG: u64 = 1 << 20;
const LARGEST_SECRET: u64 = 16 << 10;
const LARGEST_CERTIFICATES: u64 = 1 << 20;
