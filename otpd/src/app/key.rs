//! The key that the store belongs to, and the one that is to come after it.

use std::path::Path;

use tracing::{info, warn};

use super::{StartError, opened};
use crate::{
    config::Config,
    keys::{KeyError, Keys, MasterKey},
    systemd,
};

/// The key that the store belongs to, made when there is none and nothing is stored that would need
/// another one.
pub(super) fn of_store(config: &Config) -> Result<Keys, StartError> {
    let path = &config.server.key_file;
    let key = read(path, "otpd.key")?;
    if let Some(mode) = MasterKey::exposed(path) {
        // A credential is a copy, and says nothing about who reads what it was copied from.
        let (path, mode) = (path.display(), format_args!("{mode:04o}"));
        warn!(%path, %mode, "everybody may read the master key: chmod 0600");
    }
    // With the next key at hand it is the store that says which of them it belongs to.
    let next = next(path).unwrap_or_else(|error| {
        warn!(%error, "the next key cannot be read");
        None
    });
    if let Some(next) = next.map(|next| next.derive())
        && opened::key_check(&config.store)?.as_deref() == Some(next.check.as_slice())
    {
        return Ok(next);
    }
    if let Some(master) = key {
        return Ok(master.derive());
    }
    if opened::key_check(&config.store)?.is_some() {
        let database = opened::name(&config.store);
        return Err(StartError::KeyMissing { key: path.clone(), database });
    }
    let master = MasterKey::make(path)?;
    info!(path = %path.display(), "made the master key; keep a copy where the database is not");
    Ok(master.derive())
}

/// A key by the name of its credential, or else in its file.
fn read(path: &Path, credential: &str) -> Result<Option<MasterKey>, KeyError> {
    let credential = systemd::credentials_directory().map(|folder| folder.join(credential));
    if let Some(credential) = credential
        && let Some(master) = MasterKey::read(&credential)?
    {
        return Ok(Some(master));
    }
    MasterKey::read(path)
}

/// The key that is to come after the one in this file.
pub(super) fn next(path: &Path) -> Result<Option<MasterKey>, KeyError> {
    read(&MasterKey::next_to(path), "otpd.key.next")
}
