//! A service's file: read whole, and replaced by one rename that keeps mode, owner and SELinux label.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, Permissions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown},
    path::{Path, PathBuf},
};

use jiff::Timestamp;

use super::STATE;
use crate::render::io_reason;

/// Where SELinux keeps a file's label.
const LABEL: &str = "security.selinux";

/// A file as it was found.
#[derive(Debug)]
pub(super) struct Original {
    path: PathBuf,
    /// What it says.
    pub(super) text: String,
    mode: u32,
    uid: u32,
    gid: u32,
    label: Option<Vec<u8>>,
}

fn named(path: &Path, error: &io::Error) -> String {
    format!("{}: {}", path.display(), io_reason(error))
}

impl Original {
    /// Reads a file.
    ///
    /// # Errors
    /// In words; also for what is no plain file, since replacing a link would leave what it leads to.
    pub(super) fn read(path: &Path) -> Result<Self, String> {
        let metadata = fs::symlink_metadata(path).map_err(|error| named(path, &error))?;
        if metadata.is_symlink() {
            let path = path.display();
            return Err(format!("{path} is a link, kept by another tool (authselect?); use that"));
        }
        if !metadata.is_file() {
            return Err(format!("{} is no file", path.display()));
        }
        let bytes = fs::read(path).map_err(|error| named(path, &error))?;
        let text = String::from_utf8(bytes)
            .map_err(|_| format!("{} is not UTF-8; edit it by hand", path.display()))?;
        let mut label = vec![0; 512];
        let label = match rustix::fs::getxattr(path, LABEL, label.as_mut_slice()) {
            Ok(length) => {
                label.truncate(length);
                Some(label)
            }
            // No SELinux, or a file system without labels.
            Err(rustix::io::Errno::NODATA | rustix::io::Errno::NOTSUP) => None,
            // A label that would be lost is worth more than the change.
            Err(error) => return Err(named(path, &error.into())),
        };
        let (mode, uid, gid) = (metadata.mode() & 0o7777, metadata.uid(), metadata.gid());
        Ok(Self { path: path.to_owned(), text, mode, uid, gid, label })
    }

    /// Keeps a copy of it outside of `/etc/pam.d`, where each file is a service; its path.
    ///
    /// # Errors
    /// In words.
    pub(super) fn keep(&self, service: &str) -> Result<String, String> {
        let folder = Path::new(STATE).join("pam.d");
        directory(&folder)?;
        let time = Timestamp::now().strftime("%Y%m%dT%H%M%SZ");
        let copy = folder.join(format!("{service}.{time}"));
        write(&copy, &self.text, |_| Ok(())).map_err(|error| named(&copy, &error))?;
        Ok(copy.display().to_string())
    }

    /// Puts `text` in its place. Whoever reads it meanwhile reads the old one or the new one, whole.
    ///
    /// # Errors
    /// In words; the file is as it was then.
    pub(super) fn replace(&self, text: &str) -> Result<(), String> {
        self.write(&self.path, text)
    }

    /// Whether its text is there as it was found.
    pub(super) fn stands(&self) -> bool {
        fs::read(&self.path).is_ok_and(|found| found == self.text.as_bytes())
    }

    /// Lays it beside itself, ready for [`back`].
    ///
    /// # Errors
    /// In words.
    pub(super) fn set_aside(&self) -> Result<(), String> {
        self.write(&aside(&self.path), &self.text)
    }

    fn write(&self, path: &Path, text: &str) -> Result<(), String> {
        let attributes = |file: &File| {
            fchown(file, Some(self.uid), Some(self.gid))?;
            file.set_permissions(Permissions::from_mode(self.mode))?;
            match &self.label {
                Some(label) => {
                    let flags = rustix::fs::XattrFlags::empty();
                    rustix::fs::fsetxattr(file, LABEL, label, flags).map_err(io::Error::from)
                }
                None => Ok(()),
            }
        };
        write(path, text, attributes).map_err(|error| named(path, &error))
    }
}

/// Where a file lies as it was while its change is on trial; libpam reads no file with a leading dot.
fn aside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.otpctl-before"))
}

/// What was set aside for `path`; `None` where there is nothing.
///
/// # Errors
/// In words, also for what is no text.
pub(super) fn set_aside(path: &Path) -> Result<Option<String>, String> {
    let aside = aside(path);
    match fs::read_to_string(&aside) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        read => read.map(Some).map_err(|error| named(&aside, &error)),
    }
}

/// Puts back what was set aside, if it is still `text`, by a rename: a full disk does not keep it from
/// that. Whether it was.
///
/// # Errors
/// In words.
pub(super) fn back(path: &Path, text: &str) -> Result<bool, String> {
    let aside = aside(path);
    if fs::read(&aside).is_ok_and(|found| found == text.as_bytes()) {
        let renamed = fs::rename(&aside, path).and_then(|()| sync_folder(path));
        return renamed.map(|()| true).map_err(|error| named(path, &error));
    }
    Ok(false)
}

/// The same where what is in its place cannot be read: it is kept beside, under a name that libpam does not
/// read, and whoever logs in meanwhile finds the one or the other. Whether it was put back.
///
/// # Errors
/// In words; also where what is there could not be kept, after the other is back.
pub(super) fn back_over(path: &Path, text: &str) -> Result<bool, String> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let kept = path.with_file_name(format!(".{name}.otpctl-found"));
    if !fs::read(aside(path)).is_ok_and(|found| found == text.as_bytes()) {
        return Ok(false);
    }
    let _ = fs::remove_file(&kept);
    let linked = fs::hard_link(path, &kept).map_err(|error| named(&kept, &error));
    let done = back(path, text)?;
    linked.map(|()| done)
}

/// Removes what was set aside for `path`.
///
/// # Errors
/// In words.
pub(super) fn clear(path: &Path) -> Result<(), String> {
    remove(&aside(path))
}

/// Removes a file, if it is there, so that it is gone also after a loss of power.
///
/// # Errors
/// In words.
pub(super) fn remove(path: &Path) -> Result<(), String> {
    let removed = match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed.and_then(|()| sync_folder(path)),
    };
    removed.map_err(|error| named(path, &error))
}

pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()
}

/// Makes a directory for root alone, and what it lies in.
///
/// # Errors
/// In words; also where it is not root's alone to write.
pub(super) fn directory(path: &Path) -> Result<(), String> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|error| named(path, &error))?;
    let metadata = fs::symlink_metadata(path).map_err(|error| named(path, &error))?;
    if !metadata.is_dir() || metadata.uid() != 0 || metadata.mode() & 0o022 != 0 {
        let path = path.display();
        return Err(format!("{path} must be a directory that root alone can change"));
    }
    Ok(())
}

/// Writes a file under another name, gives it its attributes, and renames it into its place.
pub(super) fn write(
    path: &Path,
    text: &str,
    attributes: impl FnOnce(&File) -> io::Result<()>,
) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    // libpam reads no file with a leading dot; a run that was killed may have left one.
    let draft = folder.join(format!(".{name}.otpctl"));
    let _ = fs::remove_file(&draft);
    let written = (|| {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
        file.write_all(text.as_bytes())?;
        attributes(&file)?;
        file.sync_all()?;
        fs::rename(&draft, path)?;
        sync_folder(path)
    })();
    if written.is_err() {
        let _ = fs::remove_file(&draft);
    }
    written
}

#[cfg(test)]
mod tests {
    use std::{
        fs::{self, Permissions},
        io,
        os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    };

    use super::{Original, back, clear, write};

    #[test]
    fn a_file_is_replaced_whole_and_keeps_its_mode() {
        let folder = tempfile::tempdir().expect("directory");
        let path = folder.path().join("sshd");
        fs::write(&path, "before\n").expect("written");
        fs::set_permissions(&path, Permissions::from_mode(0o640)).expect("mode");
        let inode = fs::metadata(&path).expect("metadata").ino();
        // What a killed run left is in nobody's way.
        fs::write(folder.path().join(".sshd.otpctl"), "half").expect("written");
        let original = Original::read(&path).expect("read");
        original.replace("after\n").expect("replaced");
        assert_eq!(fs::read_to_string(&path).expect("read"), "after\n");
        let metadata = fs::metadata(&path).expect("metadata");
        assert_eq!(metadata.mode() & 0o7777, 0o640);
        assert_ne!(metadata.ino(), inode);
        assert_eq!(fs::read_dir(folder.path()).expect("folder").count(), 1);
    }

    #[test]
    fn a_failure_leaves_the_file_as_it_was() {
        let folder = tempfile::tempdir().expect("directory");
        let path = folder.path().join("sshd");
        fs::write(&path, "before\n").expect("written");
        let full = |_: &fs::File| Err(io::ErrorKind::StorageFull.into());
        assert!(write(&path, "after\n", full).is_err());
        assert_eq!(fs::read_to_string(&path).expect("read"), "before\n");
        assert_eq!(fs::read_dir(folder.path()).expect("folder").count(), 1);
    }

    #[test]
    fn what_was_set_aside_comes_back_by_a_rename() {
        let folder = tempfile::tempdir().expect("directory");
        let path = folder.path().join("sshd");
        fs::write(&path, "before\n").expect("written");
        fs::set_permissions(&path, Permissions::from_mode(0o640)).expect("mode");
        let original = Original::read(&path).expect("read");
        original.set_aside().expect("set aside");
        original.replace("after\n").expect("replaced");
        let aside = folder.path().join(".sshd.otpctl-before");
        let inode = fs::metadata(&aside).expect("metadata").ino();
        assert_eq!(back(&path, "another\n"), Ok(false), "not what was before");
        assert_eq!(fs::read_to_string(&path).expect("read"), "after\n");
        assert_eq!(back(&path, "before\n"), Ok(true));
        assert_eq!(fs::read_to_string(&path).expect("read"), "before\n");
        let metadata = fs::metadata(&path).expect("metadata");
        assert_eq!((metadata.ino(), metadata.mode() & 0o7777), (inode, 0o640), "the same file");
        assert_eq!(back(&path, "before\n"), Ok(false), "there is nothing more");
        original.set_aside().expect("set aside");
        assert_eq!((clear(&path), clear(&path)), (Ok(()), Ok(())), "also where there is nothing");
        assert_eq!(fs::read_dir(folder.path()).expect("folder").count(), 1);
    }

    #[test]
    fn a_link_is_left_to_what_made_it() {
        let folder = tempfile::tempdir().expect("directory");
        let (path, link) = (folder.path().join("real"), folder.path().join("link"));
        fs::write(&path, "x").expect("written");
        symlink(&path, &link).expect("linked");
        assert!(Original::read(&link).expect_err("a link").contains("is a link"));
    }
}
