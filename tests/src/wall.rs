//! A wall clock that a test moves: libfaketime, preloaded into the daemon. The machine's is left
//! alone, and so is the time since boot.

use std::{fs, path::PathBuf, process::Command};

use crate::daemon::Place;

/// The wall clock of the daemons of one place.
pub struct Wall {
    file: PathBuf,
}

impl Wall {
    /// A clock that is right.
    #[must_use]
    pub fn new(place: &Place) -> Self {
        let wall = Self { file: place.file("wall") };
        wall.set(0);
        wall
    }

    /// Has `command` go by this clock.
    #[must_use]
    pub fn under(&self, mut command: Command) -> Command {
        command.envs(self.variables());
        command
    }

    /// A command that becomes the one behind it, and has it go by this clock.
    #[must_use]
    pub fn words(&self) -> Vec<String> {
        let set = |(name, value): (&str, String)| format!("{name}={value}");
        ["env".to_owned()].into_iter().chain(self.variables().map(set)).collect()
    }

    fn variables(&self) -> [(&'static str, String); 4] {
        [
            ("LD_PRELOAD", library().display().to_string()),
            ("FAKETIME_TIMESTAMP_FILE", self.file.display().to_string()),
            ("FAKETIME_NO_CACHE", "1".to_owned()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ]
    }

    /// Sets it so many seconds off the right time, at once.
    pub fn set(&self, seconds: i64) {
        let fresh = self.file.with_extension("new");
        fs::write(&fresh, format!("{seconds:+}s\n")).expect("a file");
        // Never seen half written.
        fs::rename(fresh, &self.file).expect("a file");
    }
}

fn library() -> PathBuf {
    let folders = fs::read_dir("/usr/lib").expect("libraries").map_while(Result::ok);
    let mut found = folders.map(|folder| folder.path().join("faketime/libfaketime.so.1"));
    found.find(|path| path.is_file()).expect("libfaketime (apt install faketime)")
}
