//! What an administrator has otpd do once, with no daemon.

use std::path::{Path, PathBuf};

use super::{StartError, examined, key, opened, routes};
use crate::{
    config,
    keys::MasterKey,
    store::{self, PostgresError},
    systemd,
};

/// Checks the configuration as the start does, gateways and all, and that the store can be worked with;
/// its warnings. The service's own is read as the service reads it, by root too, which is another user
/// from then on.
///
/// # Errors
/// All that is wrong with it.
pub fn check(path: &Path) -> Result<Vec<String>, StartError> {
    let as_service = path == Path::new(config::DEFAULT_PATH)
        && systemd::become_service_user().map_err(StartError::User)?;
    let credentials = systemd::credentials_directory().or_else(systemd::credentials_of_service);
    let config = config::load(path, credentials.as_deref(), &config::host_name())?;
    routes(&config, &config.delivery.voice)?;
    let mut warnings = config.warnings.clone();
    if matches!(config.store, config::Store::Postgres(_)) {
        opened::machine_id()?;
    }
    let key_file = &config.server.key_file;
    match examined::key_and_database(key_file, &config.store, credentials.as_deref(), as_service) {
        // It comes back, and nothing is wrong with the configuration until then.
        Err(StartError::Postgres(error)) if error.is_away() => {
            warnings.push(format!("{error}; nobody can log in with a code until then"));
        }
        judged => judged?,
    }
    Ok(warnings)
}

/// Makes the master key where the configuration wants it.
///
/// # Errors
/// When `[server]` is wrong, or the file exists or cannot be written.
pub fn make_key(path: &Path) -> Result<PathBuf, StartError> {
    let key_file = config::key_file_of(path)?;
    MasterKey::make(&key_file)?;
    Ok(key_file)
}

/// Makes the schema of a PostgreSQL database, or brings it up to date, as a role that owns it; which
/// database that is. It is run by hand, where systemd hands over no credential: a key that is not seen
/// may be there all the same, and none is made.
///
/// # Errors
/// [`StartError`]; nothing was changed then.
pub fn migrate(path: &Path, role: &str, password: Option<&Path>) -> Result<String, StartError> {
    let credentials = systemd::credentials_directory().or_else(systemd::credentials_of_service);
    let credentials = credentials.as_deref();
    let mut config = config::load(path, credentials, &config::host_name())?;
    let config::Store::Postgres(settings) = &mut config.store else {
        return Err(StartError::NotShared);
    };
    role.clone_into(&mut settings.user);
    settings.password = password.map(config::password).transpose()?;
    let settings = settings.clone();
    let keys = key::at_hand(&config, credentials)?;
    match store::migrate_postgres(&settings, keys.as_ref()) {
        Err(PostgresError::NoKey { place }) => {
            Err(StartError::NoKeyForNew { key: config.server.key_file, database: place })
        }
        done => Ok(done.map(|()| settings.to_string())?),
    }
}

/// Makes the key that is to come after the one in use.
///
/// # Errors
/// When `[server]` is wrong, or the file exists or cannot be written.
pub fn make_next_key(path: &Path) -> Result<PathBuf, StartError> {
    let next = MasterKey::next_to(&config::key_file_of(path)?);
    MasterKey::make(&next)?;
    Ok(next)
}
