//! The key that the store belongs to, and the one that is to come after it.

use std::{
    path::{Path, PathBuf},
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    time::Duration,
};

use tracing::{info, warn};

use super::{StartError, opened};
use crate::{
    config::Config,
    keys::{KeyError, Keys, MasterKey},
    systemd, threads,
};

/// How long a start waits for the key that is to come.
const LOOK: Duration = Duration::from_secs(10);

/// The key that the store belongs to, made when there is none and nothing is stored that would need
/// another one.
pub(super) fn of_store(config: &Config) -> Result<Keys, StartError> {
    let path = &config.server.key_file;
    if let Some(keys) = at_hand(config, systemd::credentials_directory().as_deref())? {
        return Ok(keys);
    }
    if opened::key_check(&config.store)?.is_some() {
        let database = opened::name(&config.store);
        return Err(StartError::KeyMissing { key: path.clone(), database });
    }
    let master = MasterKey::make(path)?;
    info!(path = %path.display(), "made the master key; keep a copy where the database is not");
    Ok(master.derive())
}

/// The key that the store belongs to, among the files and these `credentials`; none is ever made.
pub(super) fn at_hand(
    config: &Config,
    credentials: Option<&Path>,
) -> Result<Option<Keys>, StartError> {
    let path = &config.server.key_file;
    let credential = |name: &str| credentials.map(|folder| folder.join(name));
    let key = read(path, credential("otpd.key").as_deref())?;
    // With the next key at hand it is the store that says which of them it belongs to.
    if let Some(next) = beside_in_time(path, credential("otpd.key.next")).map(|next| next.derive())
        && opened::key_check(&config.store)?.as_deref() == Some(next.check.as_slice())
    {
        return Ok(Some(next));
    }
    Ok(key.map(|master| master.derive()))
}

/// What hangs holds a thread for as long: there is one at most.
static LOOKING: AtomicBool = AtomicBool::new(false);

/// What is beside the key, for a start: the key that is to come, and who may read the files. Without it the
/// key in use may do, and the store says so where it does not. A file system that hangs must not keep the
/// daemon from logins.
fn beside_in_time(path: &Path, credential: Option<PathBuf>) -> Option<MasterKey> {
    let hangs = || {
        let path = MasterKey::next_to(path);
        warn!(path = %path.display(), "the next key is not read: its file system hangs");
    };
    if LOOKING.swap(true, Ordering::AcqRel) {
        hangs();
        return None;
    }
    let (tell, told) = mpsc::channel();
    let own = path.to_owned();
    let looks = threads::spawn("next-key", move || {
        let seen = (MasterKey::exposed(&own), next_of(&own, credential.as_deref()));
        LOOKING.store(false, Ordering::Release);
        // Whoever waited may be gone.
        let _ = tell.send(seen);
    });
    if let Err(error) = looks {
        LOOKING.store(false, Ordering::Release);
        warn!(%error, "the next key is not looked for");
        return None;
    }
    let Ok((exposed, next)) = told.recv_timeout(LOOK) else {
        hangs();
        return None;
    };
    if let Some(mode) = exposed {
        // A credential is a copy, and says nothing about who reads what it was copied from.
        let (path, mode) = (path.display(), format_args!("{mode:04o}"));
        warn!(%path, %mode, "everybody may read the master key: chmod 0600");
    }
    next.unwrap_or_else(|error| {
        warn!(%error, "the next key cannot be read");
        None
    })
}

/// A key in a file, or before that in its credential.
fn read(path: &Path, credential: Option<&Path>) -> Result<Option<MasterKey>, KeyError> {
    if let Some(credential) = credential
        && let Some(master) = MasterKey::read(credential)?
    {
        return Ok(Some(master));
    }
    MasterKey::read(path)
}

/// The key that is to come after the one in this file.
pub(super) fn next(path: &Path) -> Result<Option<MasterKey>, KeyError> {
    let credentials = systemd::credentials_directory();
    next_of(path, credentials.map(|folder| folder.join("otpd.key.next")).as_deref())
}

fn next_of(path: &Path, credential: Option<&Path>) -> Result<Option<MasterKey>, KeyError> {
    match read(&MasterKey::next_to(path), credential) {
        // What systemd reads as root it hands over at the start alone.
        Err(KeyError::Io { path, source }) if credential.is_some_and(Path::exists) => {
            Err(KeyError::NotHanded { path, source })
        }
        read => read,
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::{MasterKey, next_of};

    #[test]
    fn a_next_key_that_was_made_since_the_start_is_handed_over_by_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let (path, credential) = (folder.path().join("otpd.key"), folder.path().join("handed"));
        fs::write(&credential, "none").unwrap();
        fs::set_permissions(&credential, fs::Permissions::from_mode(0o600)).unwrap();
        let handed = Some(credential.as_path());
        assert!(next_of(&path, handed).unwrap().is_none(), "there is none");
        // For who may read everything a folder is as unreadable as root's file is for otpd.
        let next = MasterKey::next_to(&path);
        fs::create_dir(&next).unwrap();
        fs::set_permissions(&next, fs::Permissions::from_mode(0o700)).unwrap();
        let told = next_of(&path, handed).err().expect("it cannot be read").to_string();
        assert!(told.contains("systemctl restart otpd hands it over"), "{told}");
        assert!(!told.contains("LoadCredential"), "{told}");
        let told = next_of(&path, None).err().expect("it cannot be read").to_string();
        assert!(told.contains("LoadCredential=otpd.key.next:"), "{told}");
    }
}
