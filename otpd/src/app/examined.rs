//! What `otpd --check` looks at beside the configuration: without the key, or with a database that this
//! otpd cannot work with, the next start would refuse every login. A daemon that runs has both, and does
//! not notice that a file went.

use std::{
    fs,
    io::ErrorKind,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use crate::{
    app::StartError,
    config,
    keys::{KeyError, Keys, MasterKey},
    store::{self, OpenError, PostgresError},
};

/// A key, as the next start would find it.
enum Key {
    Found(Box<Keys>),
    Missing,
    /// The service gets it from a place that cannot be looked at from here.
    Hidden,
}

/// Looks at the keys in and beside `key_file` and at the database, for a service that gets these
/// `credentials`; `as_service` is whether who looks is who the service runs as. Nothing is made or changed.
///
/// # Errors
/// What the next start would say of them.
pub(super) fn key_and_database(
    key_file: &Path,
    store: &config::Store,
    credentials: Option<&Path>,
    as_service: bool,
) -> Result<(), StartError> {
    // The one that is to come may be used already: which of them a database needs, it says itself.
    let keys = [key(key_file, credentials)?, next_key(key_file, credentials)];
    let check = match store {
        config::Store::Sqlite(path) => match store::examine(path) {
            Err(error) if !as_service && is_closed_to_us(&error) => return Ok(()),
            examined => examined?,
        },
        config::Store::Postgres(settings) => store::examine_postgres(settings)?,
    };
    check.map_or(Ok(()), |check| fits(&keys, &check, key_file, store))
}

/// Whether all that is known of a database is that who looks may not open it: whoever checks a file of
/// their own need not be the one that it is for.
fn is_closed_to_us(error: &OpenError) -> bool {
    matches!(error, OpenError::File { source, .. } if source.kind() == ErrorKind::PermissionDenied)
}

/// Refuses keys of which none is that of the database.
fn fits(
    keys: &[Key],
    check: &[u8],
    key_file: &Path,
    store: &config::Store,
) -> Result<(), StartError> {
    let may = |key: &Key| match key {
        Key::Found(keys) => keys.check == *check,
        Key::Missing => false,
        Key::Hidden => true,
    };
    if keys.iter().any(may) {
        return Ok(());
    }
    let found = keys.iter().find_map(|key| match key {
        Key::Found(keys) => Some(keys.id),
        Key::Missing | Key::Hidden => None,
    });
    let place = super::opened::name(store);
    Err(match (found, store) {
        (None, _) => StartError::KeyMissing { key: key_file.into(), database: place },
        (Some(found), config::Store::Sqlite(path)) => {
            OpenError::WrongKey { path: path.clone(), found }.into()
        }
        (Some(found), config::Store::Postgres(_)) => {
            PostgresError::WrongKey { place, found }.into()
        }
    })
}

fn key(key_file: &Path, credentials: Option<&Path>) -> Result<Key, KeyError> {
    seen(key_file, credentials.map(|folder| folder.join("otpd.key")).as_deref())
}

/// The same of the one to come, of which the start says no more than a warning.
fn next_key(key_file: &Path, credentials: Option<&Path>) -> Key {
    let copy = credentials.map(|folder| folder.join("otpd.key.next"));
    seen(&MasterKey::next_to(key_file), copy.as_deref()).unwrap_or(Key::Missing)
}

fn seen(file: &Path, copy: Option<&Path>) -> Result<Key, KeyError> {
    if is_brought_otherwise() {
        return copied(copy);
    }
    match MasterKey::read(file) {
        Ok(Some(master)) => Ok(Key::Found(Box::new(master.derive()))),
        Ok(None) => Ok(Key::Missing),
        // systemd reads it as root. That everybody may is a warning of the start.
        Err(KeyError::Io { source, .. }) if source.kind() == ErrorKind::PermissionDenied => {
            as_handed(file, copy)
        }
        Err(KeyError::Readable { .. }) if copy.is_some() => as_handed(file, copy),
        Err(error) => Err(error),
    }
}

/// What is in a file, by the copy that the service was handed of it; nobody can say where the file was
/// changed since.
fn as_handed(file: &Path, copy: Option<&Path>) -> Result<Key, KeyError> {
    let newer = |copy: &Path| -> Option<bool> {
        let (file, copy) = (file.metadata().ok()?, copy.metadata().ok()?);
        // Its own time says when it was written, which may be before it got this name.
        Some((file.ctime(), file.ctime_nsec()) > (copy.mtime(), copy.mtime_nsec()))
    };
    if copy.is_some_and(|copy| newer(copy) == Some(true)) { Ok(Key::Hidden) } else { copied(copy) }
}

/// A copy of what the service was started with, which may be gone.
fn copied(copy: Option<&Path>) -> Result<Key, KeyError> {
    let Some(copy) = copy else { return Ok(Key::Hidden) };
    Ok(MasterKey::read(copy)?.map_or(Key::Hidden, |key| Key::Found(Box::new(key.derive()))))
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

#[cfg(test)]
mod tests {
    use std::{
        fs::{File, Permissions, rename},
        os::unix::fs::PermissionsExt,
        path::Path,
        time::{Duration, SystemTime},
    };

    use super::*;

    /// A key, in a file that only systemd reads, as far as this goes: who tests may read everything, and
    /// otpd refuses one that everybody may read. It was written at the epoch.
    fn put(path: &Path, seed: u8) {
        fs::write(path, [seed; 32]).unwrap();
        let file = File::options().write(true).open(path).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        fs::set_permissions(path, Permissions::from_mode(0o604)).unwrap();
    }

    /// Hands keys over as systemd does, this long after the epoch.
    fn hand_over(folder: &Path, seeds: [u8; 2], at: Duration) {
        for (name, seed) in ["otpd.key", "otpd.key.next"].iter().zip(seeds) {
            let copy = folder.join(name);
            fs::write(&copy, [seed; 32]).unwrap();
            fs::set_permissions(&copy, Permissions::from_mode(0o600)).unwrap();
            let file = File::options().write(true).open(&copy).unwrap();
            file.set_modified(SystemTime::UNIX_EPOCH + at).unwrap();
        }
    }

    /// Its name, what is done to the files, when they were handed over, the database, and whether it is good.
    type Case = (&'static str, &'static [&'static str], Duration, [u8; 16], bool);

    #[test]
    fn what_the_service_was_handed_says_nothing_of_files_that_went_or_changed_since() {
        let check = |seed| MasterKey::from_bytes([seed; 32]).derive().check;
        let (old, new) = (check(1), check(2));
        // Both after the keys were written, and one before the last change of their names.
        let (before, after) = (Duration::from_secs(1), Duration::from_hours(24 * 365 * 200));
        // With both files, without the next one, with neither, and with the next one in its place.
        let cases: [Case; 7] = [
            ("before a rotation", &[], after, old, true),
            ("after one", &[], after, new, true),
            ("before one, the next is deleted", &["rm next"], after, old, true),
            ("after one, the next is deleted", &["rm next"], after, new, false),
            ("after one, it is in its place", &["mv"], before, new, true),
            ("all is gone", &["rm key", "rm next"], after, new, false),
            ("the next alone is there", &["rm key"], after, new, true),
        ];
        for (name, done, handed_at, check, good) in cases {
            let (files, credentials) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
            let key_file = files.path().join("otpd.key");
            let next = MasterKey::next_to(&key_file);
            put(&key_file, 1);
            put(&next, 2);
            hand_over(credentials.path(), [1, 2], handed_at);
            for step in done {
                match *step {
                    "rm key" => fs::remove_file(&key_file).unwrap(),
                    "rm next" => fs::remove_file(&next).unwrap(),
                    _ => rename(&next, &key_file).unwrap(),
                }
            }
            let handed = Some(credentials.path());
            let keys = [key(&key_file, handed).unwrap(), next_key(&key_file, handed)];
            let store = config::Store::Sqlite("otpd.db".into());
            let judged = fits(&keys, &check, &key_file, &store);
            assert_eq!(judged.is_ok(), good, "{name}: {judged:?}");
        }
    }
}
