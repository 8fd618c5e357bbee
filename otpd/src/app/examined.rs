//! What `otpd --check` looks at beside the configuration: without the key, or with a database that this
//! otpd cannot work with, the next start would refuse every login. A daemon that runs has both, and does
//! not notice that a file went.

use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use crate::{
    app::StartError,
    keys::{KeyError, Keys, MasterKey},
    store::{self, OpenError},
};

/// The key, as the next start would find it.
enum Key {
    /// With the one that is to come after it, if there is such a one.
    Found(Vec<Keys>),
    Missing,
    /// The service gets it from a place that cannot be looked at from here.
    Hidden,
}

/// Looks at the key in `key_file` and at the database of this machine, for a service that gets these
/// `credentials`. Nothing is made or changed.
///
/// # Errors
/// What the next start would say of them.
pub(super) fn key_and_database(
    key_file: &Path,
    database: &Path,
    credentials: Option<&Path>,
) -> Result<(), StartError> {
    let judged = match key(key_file, credentials)? {
        Key::Found(keys) => store::examine(database, &keys).map_err(StartError::from),
        Key::Hidden => store::examine(database, &[]).map_err(StartError::from),
        Key::Missing => match store::key_check(database) {
            Ok(None) => Ok(()),
            Ok(Some(_)) => Err(StartError::KeyMissing {
                key: key_file.into(),
                database: database.display().to_string(),
            }),
            Err(error) => Err(error.into()),
        },
    };
    match judged {
        // Whoever checks a file of their own need not be the one that it is for.
        Err(StartError::Store(OpenError::File { source, .. }))
            if source.kind() == ErrorKind::PermissionDenied =>
        {
            Ok(())
        }
        judged => judged,
    }
}

fn key(key_file: &Path, credentials: Option<&Path>) -> Result<Key, StartError> {
    // The one that is to come may be used already: which of them a database needs, it says itself.
    let next = |name: PathBuf| MasterKey::read(&name).ok().flatten();
    let found = |master: MasterKey, next: Option<MasterKey>| {
        Key::Found(std::iter::once(master).chain(next).map(|master| master.derive()).collect())
    };
    // A copy of what the service was started with, which may be gone.
    let copy = || -> Result<Key, StartError> {
        let Some(folder) = credentials else { return Ok(Key::Hidden) };
        let copy = MasterKey::read(&folder.join("otpd.key"))?;
        Ok(copy.map_or(Key::Hidden, |key| found(key, next(folder.join("otpd.key.next")))))
    };
    if is_brought_otherwise() {
        return copy();
    }
    match MasterKey::read(key_file) {
        Ok(Some(master)) => Ok(found(master, next(MasterKey::next_to(key_file)))),
        Ok(None) => Ok(Key::Missing),
        // systemd reads it as root. That everybody may is a warning of the start.
        Err(KeyError::Io { source, .. }) if source.kind() == ErrorKind::PermissionDenied => copy(),
        Err(KeyError::Readable { .. }) if credentials.is_some() => copy(),
        Err(error) => Err(error.into()),
    }
}

/// Whether the administrator has the service get its key from somewhere else than `server.key-file`:
/// what the package ships is not below these.
fn is_brought_otherwise() -> bool {
    let units = ["/etc", "/run"].map(|root| format!("{root}/systemd/system/otpd.service"));
    let changes = units.iter().flat_map(|unit| {
        let folder = fs::read_dir(format!("{unit}.d")).into_iter().flatten();
        folder.flatten().map(|file| file.path()).chain([PathBuf::from(unit)])
    });
    let mut texts = changes.filter_map(|file| fs::read_to_string(file).ok());
    texts.any(|text| text.lines().any(|line| !line.starts_with('#') && line.contains("otpd.key")))
}
