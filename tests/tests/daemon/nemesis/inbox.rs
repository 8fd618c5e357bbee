//! The codes that a host has sent, as its people find them.

use std::{
    collections::HashMap,
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::PathBuf,
};

use otpd_tests::phone::Text;

/// The messages that a host has sent.
pub(super) struct Inbox {
    path: PathBuf,
    read: u64,
    /// By number and reference; the newest.
    codes: HashMap<(String, String), String>,
}

impl Inbox {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, read: 0, codes: HashMap::new() }
    }

    /// The code that a prompt names, if it is there.
    pub(super) fn code(&mut self, number: &str, prompt: &str) -> Option<String> {
        self.open()?;
        // Once: a later login may have the same reference.
        self.codes.remove(&(number.to_owned(), reference(prompt, "(ref ")?))
    }

    /// A code that was sent to a number before any other.
    pub(super) fn first_code(&mut self, number: &str) -> Option<String> {
        self.open()?;
        self.codes.iter().find_map(|((to, _), code)| (to == number).then(|| code.clone()))
    }

    /// Reads what has come.
    fn open(&mut self) -> Option<()> {
        let mut written = String::new();
        // Nothing is sent before the first login.
        let mut file = File::open(&self.path).ok()?;
        file.seek(SeekFrom::Start(self.read)).ok()?;
        file.read_to_string(&mut written).ok()?;
        // The last line may be half written.
        let whole = written.get(..=written.rfind('\n')?)?;
        for line in whole.lines() {
            let text: Text = serde_json::from_str(line).expect("a message");
            if let Some(reference) = reference(&text.text, "ref ") {
                self.codes.insert((text.to.clone(), reference), text.code());
            }
        }
        self.read += u64::try_from(whole.len()).expect("a size");
        Some(())
    }
}

fn reference(text: &str, before: &str) -> Option<String> {
    text.split_once(before)?.1.get(..2).map(str::to_owned)
}
