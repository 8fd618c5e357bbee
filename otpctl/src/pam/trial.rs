//! A change on trial: what it was before, what it is now, and when that ends.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    STATE,
    file::{directory, remove, write},
    login,
};
use crate::render::{self, io_reason};

/// A trial as it is written down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Trial {
    /// Whose stack it is.
    pub(crate) service: String,
    /// The service that it was changed with, whose logins prove this change too.
    #[serde(default)]
    pub(super) with: Option<String>,
    /// The stack asks for a code meanwhile.
    #[serde(default)]
    pub(super) asks: bool,
    /// sshd's own file that goes with it at its end.
    #[serde(default)]
    pub(super) sshd_file: Option<String>,
    /// The file before.
    pub(super) before: String,
    /// The file meanwhile.
    pub(super) after: String,
    /// When it began, Unix milliseconds, as the daemon's log counts.
    #[serde(default)]
    pub(super) since: i64,
    /// When it ends, Unix seconds.
    pub(super) ends_at: i64,
    /// The host's start that it began in.
    pub(super) boot: String,
    /// When it began, in clock ticks since then, as the kernel counts the start of processes.
    pub(super) began: u64,
}

/// A trial whose file cannot be read, or does not say what a trial is. It goes on: what was set aside is
/// there to end it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lost {
    /// Whose stack it is, by the name of the file.
    pub(super) service: String,
    /// The file, and what is wrong with it.
    pub(super) text: String,
}

impl Lost {
    /// What is wrong, in words.
    pub(super) fn why(&self) -> String {
        format!("the trial of {} cannot be read: {}", self.service, self.text)
    }
}

/// A trial, or what is left of one.
pub(super) type Found = Result<Trial, Lost>;

fn folder() -> PathBuf {
    PathBuf::from(STATE).join("trials")
}

fn place(folder: &Path, service: &str) -> PathBuf {
    folder.join(format!("{service}.json"))
}

/// Only a file that is not there is no trial.
fn read(folder: &Path, service: &str) -> Option<Found> {
    let place = place(folder, service);
    let lost = |why: String| {
        let text = format!("{}: {why}", place.display());
        Some(Err(Lost { service: service.to_owned(), text }))
    };
    match fs::read(&place) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => lost(io_reason(&error)),
        Ok(bytes) => match serde_json::from_slice::<Trial>(&bytes) {
            Ok(trial) if trial.service == service => Some(Ok(trial)),
            Ok(trial) => lost(format!("it is of {}", render::word(&trial.service))),
            Err(error) => lost(format!("it is damaged: {error}")),
        },
    }
}

fn all(folder: &Path) -> Result<Vec<Found>, String> {
    let failed = |error: io::Error| format!("{}: {}", folder.display(), io_reason(&error));
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(failed)?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let name = entry.map_err(failed)?.file_name();
        // A name that is not UTF-8 is none that was given here.
        let service = name.to_str().and_then(|name| name.strip_suffix(".json"));
        found.extend(service.and_then(|service| read(folder, service)));
    }
    Ok(found)
}

impl Trial {
    /// A trial that begins now.
    ///
    /// # Errors
    /// In words, where the kernel does not say when this process was started.
    pub(super) fn begin(
        service: &str,
        with: Option<String>,
        asks: bool,
        lasts: Duration,
        before: &str,
        after: &str,
    ) -> Result<Self, String> {
        let now = Timestamp::now();
        let seconds = i64::try_from(lasts.as_secs()).unwrap_or(i64::MAX);
        Ok(Self {
            service: service.to_owned(),
            with,
            asks,
            sshd_file: None,
            before: before.to_owned(),
            after: after.to_owned(),
            since: now.as_millisecond(),
            ends_at: now.as_second().saturating_add(seconds),
            boot: login::boot()?,
            began: login::own_start()?,
        })
    }

    /// When it ends.
    pub(super) fn until(&self) -> Timestamp {
        Timestamp::from_second(self.ends_at).unwrap_or(Timestamp::MAX)
    }

    /// Writes it down.
    ///
    /// # Errors
    /// In words.
    pub(super) fn write(&self) -> Result<(), String> {
        directory(&folder())?;
        let place = place(&folder(), &self.service);
        let text = serde_json::to_string(self).map_err(|error| error.to_string())?;
        write(&place, &text, |_| Ok(()))
            .map_err(|error| format!("{}: {}", place.display(), io_reason(&error)))
    }

    /// The trial of a service, if there is one.
    ///
    /// # Errors
    /// In words, where it cannot be told: it may go on.
    pub(super) fn read(service: &str) -> Result<Option<Self>, String> {
        read(&folder(), service).map(|found| found.map_err(|lost| lost.why())).transpose()
    }

    /// All trials, also those whose file says nothing.
    ///
    /// # Errors
    /// In words, where it cannot be told which there are.
    pub(super) fn all() -> Result<Vec<Found>, String> {
        all(&folder())
    }

    /// That of `service` is over, also after a loss of power.
    ///
    /// # Errors
    /// In words; it may go on then.
    pub(super) fn forget(service: &str) -> Result<(), String> {
        remove(&place(&folder(), service))
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path, time::Duration};

    use super::{Trial, all, read};

    fn written(folder: &Path, service: &str) -> Trial {
        let lasts = Duration::from_mins(1);
        let trial = Trial::begin(service, None, true, lasts, "before", "after").expect("begun");
        let text = serde_json::to_string(&trial).expect("text");
        fs::write(folder.join(format!("{service}.json")), text).expect("written");
        trial
    }

    #[test]
    fn only_a_file_that_is_not_there_is_no_trial() {
        let root = tempfile::tempdir().expect("directory");
        let folder = root.path().join("trials");
        assert_eq!(all(&folder), Ok(Vec::new()), "no folder");
        fs::create_dir(&folder).expect("folder");
        assert_eq!((all(&folder), read(&folder, "sshd")), (Ok(Vec::new()), None), "no file");
        let trial = written(&folder, "sshd");
        let whole = fs::read_to_string(folder.join("sshd.json")).expect("text");
        assert_eq!(read(&folder, "sshd"), Some(Ok(trial)));
        let another = whole.replace("\"sshd\"", "\"sudo\"");
        let (half, _) = whole.split_at(whole.len() / 2);
        let cases: [(&str, &[u8], &str); 5] = [
            ("cut", half.as_bytes(), "sshd.json: it is damaged: EOF"),
            ("empty", b"", "sshd.json: it is damaged: EOF"),
            ("noise", b"\0\xff\xfe", "sshd.json: it is damaged: expected value"),
            ("something else", b"{}", "missing field"),
            ("another's", another.as_bytes(), "it is of sudo"),
        ];
        for (name, bytes, expected) in cases {
            fs::write(folder.join("sshd.json"), bytes).expect("written");
            let lost = read(&folder, "sshd").expect(name).expect_err(name);
            assert!(lost.service == "sshd" && lost.why().contains(expected), "{name}: {lost:?}");
            assert_eq!(all(&folder), Ok(vec![Err(lost)]), "{name}");
        }
    }

    /// A directory in the place of a file cannot be read by root either.
    #[test]
    fn what_cannot_be_read_goes_on() {
        let root = tempfile::tempdir().expect("directory");
        let folder = root.path().join("trials");
        fs::create_dir_all(folder.join("sshd.json")).expect("folder");
        let sudo = written(&folder, "sudo");
        let mut found = all(&folder).expect("two");
        found.sort_by_key(Result::is_err);
        let [Ok(trial), Err(lost)] = &found[..] else { panic!("{found:?}") };
        assert_eq!((trial, &*lost.service), (&sudo, "sshd"));
        assert!(lost.why().contains("sshd.json: "), "{lost:?}");
        fs::remove_dir_all(&folder).expect("removed");
        fs::write(&folder, "no folder").expect("written");
        let why = all(&folder).expect_err("no folder");
        assert!(why.contains("trials: "), "{why}");
    }
}
