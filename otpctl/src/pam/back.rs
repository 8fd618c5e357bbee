//! The end of a trial: the file as it was before, by what the trial says or by what was set aside.

use std::{fs, io, path::Path};

use super::{
    Trial,
    file::{self, Original},
};

/// Puts back what a trial knows of the file. `keep` keeps a copy of what somebody else has written.
///
/// # Errors
/// In words.
pub(super) fn restore(
    path: &Path,
    trial: &Trial,
    keep: impl Fn(&Original, &str) -> Result<String, String>,
) -> Result<(), String> {
    let found = match found(path) {
        Ok(found) => found,
        // To get in is worth more than to know what is there.
        Err(why) => return over(path, &trial.before, why),
    };
    match found {
        Some(found) if found.text == trial.before => Ok(()),
        Some(found) => {
            // Somebody may have changed it besides; what they wrote is not lost. Where there is no room
            // for it, to get in is worth more.
            let changed = found.text != trial.after;
            let kept = if changed { keep(&found, &trial.service).map(drop) } else { Ok(()) };
            if !file::back(path, &trial.before)? {
                found.replace(&trial.before)?;
            }
            kept
        }
        None if file::back(path, &trial.before)? => Ok(()),
        None => {
            let path = path.display();
            Err(format!("{path} is gone, and so is what was set aside; write it anew"))
        }
    }
}

/// Puts back what was set aside, where the trial itself tells nothing: it lies there from before the
/// change until the end.
///
/// # Errors
/// In words.
pub(super) fn rescue(
    path: &Path,
    service: &str,
    keep: impl Fn(&Original, &str) -> Result<String, String>,
) -> Result<(), String> {
    let Some(before) = file::set_aside(path)? else {
        let path = path.display();
        return Err(format!(
            "nothing is set aside for {path}: see whether it is as it should be, then remove the \
             damaged file"
        ));
    };
    let found = match found(path) {
        Ok(found) => found,
        Err(why) => return over(path, &before, why),
    };
    // Whether it was changed besides is not known.
    let kept = found.filter(|found| found.text != before);
    let kept = kept.map_or(Ok(String::new()), |found| keep(&found, service));
    file::back(path, &before)?;
    kept.map(drop)
}

/// Puts back what was set aside over what cannot be read, for which there is a reason.
fn over(path: &Path, before: &str, why: String) -> Result<(), String> {
    match file::back_over(path, before) {
        Ok(true) => Ok(()),
        Ok(false) => Err(why),
        Err(also) => Err(format!("{why}; {also}")),
    }
}

fn found(path: &Path) -> Result<Option<Original>, String> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        _ => Original::read(path).map(Some),
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, fs, path::Path, time::Duration};

    use super::{Original, Trial, rescue, restore};

    /// How a file is found at the end, what lies aside, and what is there afterwards, with what was
    /// kept of somebody else's.
    type Case<'a> =
        (&'a str, Option<&'a str>, Option<&'a str>, Result<&'a str, &'a str>, &'a [&'a str]);

    fn ended(
        (name, file, aside, expected, copies): Case<'_>,
        end: impl Fn(
            &std::path::Path,
            &dyn Fn(&Original, &str) -> Result<String, String>,
        ) -> Result<(), String>,
    ) {
        let folder = tempfile::tempdir().expect("directory");
        let path = folder.path().join("sshd");
        for (name, text) in [("sshd", file), (".sshd.otpctl-before", aside)] {
            if let Some(text) = text {
                fs::write(folder.path().join(name), text).expect("written");
            }
        }
        let kept = RefCell::new(Vec::new());
        let keep = |found: &Original, service: &str| {
            kept.borrow_mut().push(found.text.clone());
            Ok(service.to_owned())
        };
        match (end(&path, &keep), expected) {
            (Ok(()), Ok(text)) => {
                assert_eq!(fs::read_to_string(&path).expect(name), text, "{name}");
            }
            (Err(why), Err(expected)) => assert!(why.contains(expected), "{name}: {why}"),
            (done, expected) => panic!("{name}: {done:?}, not {expected:?}"),
        }
        assert_eq!(*kept.borrow(), copies, "{name}");
    }

    /// How a trial is ended.
    type End<'a> = &'a dyn Fn(&Path) -> Result<(), String>;

    #[test]
    fn what_cannot_be_read_does_not_keep_the_old_stack_from_coming_back() {
        let trial = Trial::begin("sshd", None, true, Duration::from_mins(1), "before", "after");
        let trial = trial.expect("begun");
        let keep = |_: &Original, _: &str| panic!("there is nothing to copy");
        let ends: [(&str, End); 2] = [
            ("by what it says", &|path| restore(path, &trial, keep)),
            ("by what lies aside", &|path| rescue(path, "sshd", keep)),
        ];
        for (name, end) in ends {
            for kind in ["Latin-1", "a link", "a folder"] {
                let folder = tempfile::tempdir().expect("directory");
                let path = folder.path().join("sshd");
                let aside = folder.path().join(".sshd.otpctl-before");
                let kept = folder.path().join(".sshd.otpctl-found");
                fs::write(&aside, "before").expect("written");
                // Of an earlier trial.
                fs::write(&kept, "old").expect("written");
                match kind {
                    "Latin-1" => fs::write(&path, b"after # Andr\xe9\n").expect("written"),
                    "a link" => std::os::unix::fs::symlink("/nowhere", &path).expect("linked"),
                    _ => fs::create_dir(&path).expect("made"),
                }
                let done = end(&path);
                if kind == "a folder" {
                    assert!(done.is_err() && path.is_dir() && aside.exists(), "{name}: {done:?}");
                    continue;
                }
                assert_eq!(done, Ok(()), "{name}: {kind}");
                let back = fs::symlink_metadata(&path).expect("metadata");
                assert!(back.is_file(), "{name}: {kind}");
                assert_eq!(fs::read_to_string(&path).expect("read"), "before", "{name}: {kind}");
                assert!(!aside.exists(), "{name}: {kind}");
                if kind == "a link" {
                    assert_eq!(fs::read_link(&kept).expect("a link"), Path::new("/nowhere"));
                } else {
                    assert_eq!(fs::read(&kept).expect("kept"), b"after # Andr\xe9\n", "{name}");
                }
            }
        }
        // What lies aside is not what was there before: nothing is done.
        let folder = tempfile::tempdir().expect("directory");
        let path = folder.path().join("sshd");
        fs::write(&path, b"\xe9").expect("written");
        fs::write(folder.path().join(".sshd.otpctl-before"), "another").expect("written");
        let why = restore(&path, &trial, keep).expect_err("not what was before");
        assert!(why.contains("is not UTF-8"), "{why}");
        assert_eq!(fs::read(&path).expect("read"), b"\xe9");
    }

    #[test]
    fn a_trial_that_says_nothing_is_ended_by_what_was_set_aside() {
        let cases: [Case; 5] = [
            ("as it was changed", Some("after"), Some("before"), Ok("before"), &["after"]),
            ("as it was", Some("before"), Some("before"), Ok("before"), &[]),
            ("gone", None, Some("before"), Ok("before"), &[]),
            ("with nothing aside", Some("after"), None, Err("nothing is set aside"), &[]),
            ("with nothing at all", None, None, Err("nothing is set aside"), &[]),
        ];
        for case in cases {
            ended(case, |path, keep| rescue(path, "sshd", keep));
        }
    }

    #[test]
    fn a_trial_puts_back_what_it_says() {
        let trial = Trial::begin("sshd", None, true, Duration::from_mins(1), "before", "after");
        let trial = trial.expect("begun");
        let cases: [Case; 6] = [
            ("as it was changed", Some("after"), Some("before"), Ok("before"), &[]),
            ("with nothing aside", Some("after"), None, Ok("before"), &[]),
            ("with something else aside", Some("after"), Some("x"), Ok("before"), &[]),
            ("changed besides", Some("more"), Some("before"), Ok("before"), &["more"]),
            ("gone", None, Some("before"), Ok("before"), &[]),
            ("gone with what was aside", None, None, Err("is gone"), &[]),
        ];
        for case in cases {
            ended(case, |path, keep| restore(path, &trial, keep));
        }
    }
}
