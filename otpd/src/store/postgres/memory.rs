//! What a host must know of its database after a restart: the newest history that was seen of it.
//!
//! A daemon that starts while only a primary from before a failover can be reached would take it for
//! the right one, for it has seen no other.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use tracing::warn;

/// Where that is kept.
#[derive(Clone, Debug, Default)]
pub(super) struct Memory(Option<PathBuf>);

impl Memory {
    /// In this folder; nowhere without one.
    pub(super) fn new(folder: Option<&Path>) -> Self {
        Self(folder.map(|folder| folder.join("timeline")))
    }

    /// The newest timeline of this database that was seen; 0 where none is known.
    pub(super) fn recall(&self, database: &str) -> u32 {
        let Some(path) = &self.0 else { return 0 };
        match fs::read_to_string(path) {
            Ok(text) => known(&text, database).unwrap_or(0),
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => {
                let path = path.display();
                warn!(%path, %error, "the newest timeline that was seen is not known");
                0
            }
        }
    }

    /// Keeps a newer one.
    pub(super) fn keep(&self, database: &str, timeline: u32) {
        let Some(path) = &self.0 else { return };
        // Of two that learn of a failover each, the later one stays.
        if self.recall(database) >= timeline {
            return;
        }
        if let Err(error) = write(path, &format!("{database} {timeline}\n")) {
            let path = path.display();
            warn!(%path, %error, "the newest timeline cannot be kept for the next start");
        }
    }

    /// What an administrator removes who knows better.
    pub(super) fn place(&self) -> String {
        self.0.as_ref().map(|path| path.display().to_string()).unwrap_or_default()
    }
}

fn known(text: &str, database: &str) -> Option<u32> {
    let (name, timeline) = text.trim_end().split_once(' ')?;
    (name == database).then(|| timeline.parse().ok()).flatten()
}

/// Whole or not at all.
fn write(path: &Path, text: &str) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut file = fs::File::create(&new)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(new, path)
}

#[cfg(test)]
mod tests {
    use super::{Memory, known};

    #[test]
    fn a_timeline_is_known_of_its_database_alone() {
        assert_eq!(known("ab12 7\n", "ab12"), Some(7));
        for text in ["ab12 7\n", "", "ab13", "ab13 x", "ab13 -1"] {
            assert_eq!(known(text, "ab13"), None, "{text:?}");
        }
        let folder = tempfile::tempdir().unwrap();
        let memory = Memory::new(Some(folder.path()));
        assert_eq!(memory.recall("ab12"), 0);
        memory.keep("ab12", 3);
        memory.keep("ab12", 2);
        assert_eq!((memory.recall("ab12"), memory.recall("ab13")), (3, 0));
        assert_eq!(Memory::new(None).recall("ab12"), 0);
        assert_eq!(memory.place(), folder.path().join("timeline").display().to_string());
    }
}
