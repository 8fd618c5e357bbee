//! A disk that fails at any operation a test names, or that keeps every change for a later look.
//!
//! A library that is preloaded into the daemon stands before what it does with its files.

use std::{
    fs::{self, File},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use crate::{daemon::Place, pam::build::compile};

/// Operations on files, to be added up.
pub mod kinds {
    /// Reading.
    pub const READ: u32 = 1;
    /// Writing.
    pub const WRITE: u32 = 2;
    /// Waiting until what was written is on the disk.
    pub const SYNC: u32 = 4;
    /// Setting a file's length.
    pub const LENGTH: u32 = 8;
    /// Opening.
    pub const OPEN: u32 = 16;
    /// Giving and taking names.
    pub const NAME: u32 = 32;
    /// Everything that changes files.
    pub const CHANGES: u32 = WRITE | SYNC | LENGTH | NAME;
    /// Everything.
    pub const ALL: u32 = READ | CHANGES | OPEN;
}

/// Input and output error.
pub const EIO: u32 = 5;
/// No space left.
pub const ENOSPC: u32 = 28;
/// The file system is read-only.
pub const EROFS: u32 = 30;

/// What the disk does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// It works.
    Works,
    /// The nth operation, from 1, fails with this error.
    FailOnce(u32, u32),
    /// That one and all that follow.
    FailFrom(u32, u32),
    /// The daemon is killed before the nth operation.
    Kill(u32),
}

/// Control over the disk of one daemon at a time.
pub struct Disk {
    control: File,
    path: PathBuf,
    under: PathBuf,
    trace: Option<PathBuf>,
}

impl Disk {
    /// A disk that works, for the files of `place` whose names begin with `under`.
    #[must_use]
    pub fn new(place: &Place, under: &str) -> Self {
        let path = place.file("control");
        fs::write(&path, [0; 24]).expect("a file");
        let control = File::options().read(true).write(true).open(&path).expect("a file");
        Self { control, path, under: place.file(under), trace: None }
    }

    /// The same, and every change is kept.
    #[must_use]
    pub fn traced(place: &Place, under: &str) -> Self {
        Self { trace: Some(place.file("trace")), ..Self::new(place, under) }
    }

    /// Has `command` run on this disk.
    #[must_use]
    pub fn under(&self, mut command: Command) -> Command {
        command.env("LD_PRELOAD", library()).env("DISK_CONTROL", &self.path);
        command.env("DISK_UNDER", &self.under);
        if let Some(trace) = &self.trace {
            command.env("DISK_TRACE", trace);
        }
        command
    }

    /// From now on the disk does this with operations of these kinds, and counts them from 1.
    pub fn set(&self, what: What, of: u32) {
        let (what, nth, error) = match what {
            What::Works => (0, 0, 0),
            What::FailOnce(nth, error) => (1, nth, error),
            What::FailFrom(nth, error) => (2, nth, error),
            What::Kill(nth) => (3, nth, 0),
        };
        // Off while it changes, and on again with the last word.
        self.write(0, &[0]);
        self.write(4, &[of, nth, error, 0, 0]);
        self.write(0, &[what]);
    }

    /// Operations that it failed since it was set.
    #[must_use]
    pub fn met(&self) -> u32 {
        let mut word = [0; 4];
        self.control.read_exact_at(&mut word, 20).expect("the control file");
        u32::from_ne_bytes(word)
    }

    /// What was changed so far, in order.
    #[must_use]
    pub fn changes(&self) -> Vec<Change> {
        let path = self.trace.as_ref().expect("a disk that is traced");
        parse(&fs::read(path).expect("a trace"))
    }

    fn write(&self, at: u64, words: &[u32]) {
        let bytes = words.iter().flat_map(|word| word.to_ne_bytes()).collect::<Vec<_>>();
        self.control.write_all_at(&bytes, at).expect("the control file");
    }
}

/// One change of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Which.
    pub path: PathBuf,
    /// How.
    pub how: How,
}

/// How a file was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum How {
    /// These bytes were written there.
    Write(u64, Vec<u8>),
    /// All that was written to it is on the disk.
    Sync,
    /// It has this length.
    Length(u64),
    /// Its name was taken away.
    Gone,
}

fn parse(mut rest: &[u8]) -> Vec<Change> {
    let mut changes = Vec::new();
    while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
        let (line, behind) = rest.split_at(end);
        let line = std::str::from_utf8(line).expect("text");
        let mut words = line.splitn(4, ' ');
        let mut word = || words.next().expect("four words");
        let (name, offset, length, path) = (word(), word(), word(), word());
        let offset = offset.parse().expect("an offset");
        let length = length.parse::<usize>().expect("a length");
        let bytes = behind.get(1..).expect("the end of the line");
        let has_bytes = if name == "write" { length } else { 0 };
        let (bytes, behind) = bytes.split_at(has_bytes);
        let how = match name {
            "write" => How::Write(offset, bytes.to_vec()),
            "sync" => How::Sync,
            "length" => How::Length(offset),
            "gone" => How::Gone,
            _ => panic!("what is this: {line:?}"),
        };
        changes.push(Change { path: path.into(), how });
        rest = behind;
    }
    changes
}

/// The library, compiled once a process.
fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let test = std::env::current_exe().expect("the test's own file");
        let beside = test.parent().expect("a file in a directory");
        compile("faults/disk.c", beside, "faults_disk.so", &["-shared", "-fPIC"], &["-ldl"])
    })
}
