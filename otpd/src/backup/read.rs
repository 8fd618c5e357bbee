//! Lines of a backup, as they are read: nothing that its own otpd did not write gets through.

use base64::{Engine, prelude::BASE64_STANDARD_NO_PAD as BASE64};
use minicbor::Decode;

use super::{Counts, FORMAT, Header, LONGEST_LINE, Page, WORD};
use crate::keys::Keys;

/// Why a text is no backup that can be restored. Nothing of the line that it is about was taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// It does not begin like one.
    #[error("this is not a backup of otpd; give a file that otpctl backup has written")]
    Foreign,
    /// A later version has written it.
    #[error(
        "otpd {otpd} has written this backup, in a format that is newer than this otpd ({ours}) \
         knows; install otpd {otpd} or newer and restore it again",
        ours = env!("CARGO_PKG_VERSION")
    )]
    Newer {
        /// Which.
        otpd: String,
    },
    /// Another master key than the one at hand belongs to it.
    #[error(
        "the backup was made with another master key ({theirs:08x}, the key at hand is {ours:08x}): \
         its numbers cannot be read; put the key file that belongs to it back and restart otpd, \
         with a new database if this one was made with the key at hand"
    )]
    OtherKey {
        /// The id of its key.
        theirs: u32,
        /// The id of the key at hand.
        ours: u32,
    },
    /// A line is not as it was written, or not where it was.
    #[error(
        "line {line} of the backup is damaged, missing or not of this otpd; restore another copy of \
         it, or an earlier backup"
    )]
    Damaged {
        /// Which, from 1.
        line: u64,
    },
    /// A row is as it was written, and is none that this otpd knows.
    #[error(
        "the backup holds a row that this otpd cannot read; the journal says what; restore it with \
         the otpd that wrote it"
    )]
    Unreadable,
    /// Something comes after its end.
    #[error("line {line} comes after the end of the backup; restore another copy of it")]
    AfterEnd {
        /// Which, from 1.
        line: u64,
    },
    /// What counts against accounts comes after them.
    #[error(
        "line {line} of the backup holds limits and comes after users, who could log in without \
         them; make the backup again with this otpd, or restore it with the otpd that wrote it"
    )]
    TooLate {
        /// Which, from 1.
        line: u64,
    },
}

/// A line that is as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// The first one.
    Header(Header),
    /// Any other.
    Page(Page),
}

/// Reads a backup, a line after the other.
pub struct Incoming {
    keys: Keys,
    buffer: String,
    line: u64,
    backup: Option<u64>,
    counts: Counts,
    ended: bool,
}

impl Incoming {
    /// Begins at the first line.
    #[must_use]
    pub fn new(keys: Keys) -> Self {
        let counts = Counts::default();
        Self { keys, buffer: String::new(), line: 0, backup: None, counts, ended: false }
    }

    /// Takes a piece of a line, which ends where the piece ends with a line feed; the line then.
    ///
    /// # Errors
    /// [`FormatError`]: there is no going on.
    pub fn feed(&mut self, piece: &str) -> Result<Option<Line>, FormatError> {
        let number = self.line + 1;
        if self.ended {
            return Err(FormatError::AfterEnd { line: number });
        }
        let damaged = FormatError::Damaged { line: number };
        let (text, whole) = piece.strip_suffix('\n').map_or((piece, false), |text| (text, true));
        if text.contains('\n') || self.buffer.len() + text.len() > LONGEST_LINE {
            return Err(if self.backup.is_none() { FormatError::Foreign } else { damaged });
        }
        self.buffer.push_str(text);
        if !whole {
            return Ok(None);
        }
        let text = std::mem::take(&mut self.buffer);
        let line = match self.backup {
            None => Line::Header(self.header(&text)?),
            Some(backup) => {
                let page = self.sealed::<Page>(backup, &text).ok_or(damaged.clone())?;
                match &page {
                    Page::Budgets(_) | Page::Traffic(_) if self.counts.accounts > 0 => {
                        return Err(FormatError::TooLate { line: number });
                    }
                    Page::End(counts) => {
                        self.ended = true;
                        if *counts != self.counts {
                            return Err(damaged);
                        }
                    }
                    Page::Accounts(_) | Page::Budgets(_) | Page::Traffic(_) | Page::Trail(_) => {}
                }
                self.counts.add(&page);
                Line::Page(page)
            }
        };
        self.line = number;
        Ok(Some(line))
    }

    /// Whether it was read to its end.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.ended
    }

    fn header(&mut self, text: &str) -> Result<Header, FormatError> {
        let rest = text.strip_prefix(WORD).and_then(|rest| rest.strip_prefix(' '));
        let mut words = rest.ok_or(FormatError::Foreign)?.splitn(3, ' ');
        let (format, otpd, content) = (words.next(), words.next(), words.next());
        let format = format.and_then(|format| format.parse::<u32>().ok());
        let (Some(format), Some(otpd)) = (format, otpd) else { return Err(FormatError::Foreign) };
        if format > FORMAT {
            let version = |c: &char| c.is_ascii_alphanumeric() || ".-+~".contains(*c);
            return Err(FormatError::Newer {
                otpd: otpd.chars().filter(version).take(32).collect(),
            });
        }
        let damaged = FormatError::Damaged { line: 1 };
        // It stands in front of the seal, and there was none before the first.
        if format != FORMAT {
            return Err(damaged);
        }
        let text = content.ok_or(damaged.clone())?;
        // Which key it needs is said before it is known to be true: nothing else comes of that.
        let header =
            opened(text).and_then(|(content, _)| minicbor::decode::<Header>(&content).ok());
        let header = header.ok_or(damaged.clone())?;
        if header.key_id != self.keys.id {
            return Err(FormatError::OtherKey { theirs: header.key_id, ours: self.keys.id });
        }
        let header = self.sealed::<Header>(header.backup, text).ok_or(damaged.clone())?;
        // The version stands in front of the seal for those who cannot read on.
        if header.version != otpd {
            return Err(damaged);
        }
        self.backup = Some(header.backup);
        Ok(header)
    }

    /// What a line says, if its seal is right.
    fn sealed<T: for<'b> Decode<'b, ()>>(&self, backup: u64, text: &str) -> Option<T> {
        let (content, seal) = opened(text)?;
        let good = self.keys.is_sealed(backup, self.line, &content, &seal);
        good.then(|| minicbor::decode(&content).ok()).flatten()
    }
}

/// Content and seal of a line, as it says.
fn opened(text: &str) -> Option<(Vec<u8>, Vec<u8>)> {
    let (content, seal) = text.split_once('.')?;
    Some((BASE64.decode(content).ok()?, BASE64.decode(seal).ok()?))
}
