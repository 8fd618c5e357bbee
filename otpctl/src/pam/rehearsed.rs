//! Which logins of the daemon's log were rehearsals: they prove nothing of a door.
//!
//! To the daemon the one is as the other, since the same stack runs; so whoever rehearses writes it down.

use std::{collections::BTreeSet, fmt::Write, fs, io, path::Path};

use super::file::write;
use crate::render::io_reason;

/// The file in the folder of what outlives a run: ids of events, a line each.
const FILE: &str = "rehearsed";
/// How many are kept, the newest: far more than there are in the time of a trial.
const KEPT: usize = 1000;

fn named(path: &Path, error: &io::Error) -> String {
    format!("{}: {}", path.display(), io_reason(error))
}

/// Those that were written down.
///
/// # Errors
/// In words, also for what is no such list: nobody knows then what a login was.
pub(super) fn all(folder: &Path) -> Result<BTreeSet<i64>, String> {
    let path = folder.join(FILE);
    let text = match fs::read_to_string(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
        read => read.map_err(|error| named(&path, &error))?,
    };
    let ids = text.lines().map(str::parse).collect::<Result<_, _>>();
    ids.map_err(|_| format!("{}: it is damaged; remove it, and log in once more", path.display()))
}

/// Adds these.
///
/// # Errors
/// In words.
pub(super) fn add(folder: &Path, ids: &[i64]) -> Result<(), String> {
    let mut kept = all(folder)?;
    kept.extend(ids);
    let surplus = kept.len().saturating_sub(KEPT);
    let mut text = String::new();
    for id in kept.iter().skip(surplus) {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{id}");
    }
    let path = folder.join(FILE);
    write(&path, &text, |_| Ok(())).map_err(|error| named(&path, &error))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{FILE, KEPT, add, all};

    #[test]
    fn rehearsals_are_kept_the_newest_of_them() {
        let folder = tempfile::tempdir().expect("a directory");
        let place = folder.path();
        assert!(all(place).expect("none yet").is_empty());
        add(place, &[7, 3]).expect("written");
        add(place, &[3, 9]).expect("written");
        assert_eq!(all(place), Ok([3, 7, 9].into()));
        let many = (0..2000).collect::<Vec<i64>>();
        add(place, &many).expect("written");
        let kept = all(place).expect("a list");
        assert_eq!((kept.len(), kept.first(), kept.last()), (KEPT, Some(&1000), Some(&1999)));
        fs::write(place.join(FILE), "7\nx\n").expect("a file");
        assert!(all(place).is_err() && add(place, &[1]).is_err());
    }
}
