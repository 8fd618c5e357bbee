//! The rows of a list: a line each, read as they are needed.
//!
//! A row is a line, so a failure can be found by its number with any editor; a name or a number has
//! no line end in it, whatever a spreadsheet may put into quotes.

use std::io::{self, BufRead};

use otp_proto::{Secret, admin::Channel};
use zeroize::Zeroizing;

/// Longest row, bytes, without its line end.
const LONGEST: usize = 4096;

/// One row.
pub(super) struct Row {
    /// Its line in the list, from 1.
    pub(super) number: u64,
    /// Bytes of the list up to its end.
    pub(super) read: u64,
    /// What it says.
    pub(super) content: Result<Entry, Faulty>,
}

/// What a row says.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) user: String,
    pub(super) phone: Secret,
    pub(super) channel: Option<Channel>,
}

/// A row that is none: whose, as far as that can be read, and what is wrong with it.
#[derive(Debug)]
pub(super) struct Faulty {
    pub(super) user: Option<String>,
    pub(super) why: String,
}

/// The rows that are left.
pub(super) struct Rows<R> {
    input: R,
    line: u64,
    read: u64,
    failed: Option<io::Error>,
    over: bool,
}

impl<R: BufRead> Rows<R> {
    pub(super) fn new(input: R) -> Self {
        Self { input, line: 0, read: 0, failed: None, over: false }
    }

    /// No row is handed out any more.
    pub(super) fn stop(&mut self) {
        self.over = true;
    }

    /// Why the list could not be read to its end, if it could not.
    pub(super) fn failed(self) -> Option<io::Error> {
        self.failed
    }

    /// Reads one line, its first [`LONGEST`] bytes and one more at most, and passes over the rest.
    /// `None` at the end.
    fn line(&mut self) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
        // Room for all of it at once: a growing vector would leave copies behind.
        let mut line = Zeroizing::new(Vec::with_capacity(LONGEST + 1));
        let mut any = false;
        loop {
            let available = match self.input.fill_buf() {
                Ok(available) => available,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if available.is_empty() {
                break;
            }
            any = true;
            let end = available.iter().position(|byte| *byte == b'\n');
            let taken = available.get(..end.unwrap_or(available.len())).unwrap_or_default();
            let room = (LONGEST + 1).saturating_sub(line.len()).min(taken.len());
            line.extend_from_slice(taken.get(..room).unwrap_or_default());
            let count = end.map_or(available.len(), |end| end + 1);
            self.input.consume(count);
            self.read = self.read.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
            if end.is_some() {
                break;
            }
        }
        if !any {
            return Ok(None);
        }
        self.line += 1;
        line.pop_if(|last| *last == b'\r');
        if self.line == 1 && line.starts_with(BOM) {
            line.drain(..BOM.len());
        }
        Ok(Some(line))
    }
}

/// Spreadsheets begin UTF-8 with it.
const BOM: &[u8] = b"\xef\xbb\xbf";

impl<R: BufRead> Iterator for Rows<R> {
    type Item = Row;

    /// The next row; blank lines and a header are none.
    fn next(&mut self) -> Option<Row> {
        while !self.over {
            match self.line() {
                Ok(Some(line)) => {
                    let content = match parse(&line) {
                        Parsed::Blank => continue,
                        Parsed::Header if self.line == 1 => continue,
                        Parsed::Header => Err(Faulty { user: None, why: AGAIN.into() }),
                        Parsed::Row(content) => content,
                    };
                    return Some(Row { number: self.line, read: self.read, content });
                }
                Ok(None) => self.over = true,
                Err(error) => {
                    self.failed = Some(error);
                    self.over = true;
                }
            }
        }
        None
    }
}

const AGAIN: &str = "is a header again; leave it out";

enum Parsed {
    Blank,
    Header,
    Row(Result<Entry, Faulty>),
}

fn parse(line: &[u8]) -> Parsed {
    let faulty = |user: Option<&str>, why: String| {
        Parsed::Row(Err(Faulty { user: user.map(str::to_owned), why }))
    };
    if line.len() > LONGEST {
        return faulty(
            None,
            format!("is longer than {LONGEST} bytes; a row is user,phone,channel"),
        );
    }
    if line.iter().all(u8::is_ascii_whitespace) {
        return Parsed::Blank;
    }
    if std::str::from_utf8(line).is_err() {
        return faulty(None, "is not UTF-8; save the list as \"CSV UTF-8\"".into());
    }
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .trim(csv::Trim::All)
        .buffer_capacity(LONGEST)
        .from_reader(line);
    let mut record = csv::StringRecord::new();
    if let Err(error) = reader.read_record(&mut record) {
        return faulty(None, format!("cannot be read ({error}); a row is user,phone,channel"));
    }
    let (user, phone, channel) = match record.iter().collect::<Vec<_>>().as_slice() {
        [user, phone] => (*user, *phone, ""),
        // Spreadsheets write columns that are empty.
        [user, phone, channel, rest @ ..] if rest.iter().all(|rest| rest.is_empty()) => {
            (*user, *phone, *channel)
        }
        columns => {
            let columns = match columns.len() {
                1 => "1 column".to_owned(),
                more => format!("{more} columns"),
            };
            let why =
                format!("has {columns}; a row is user,phone or user,phone,channel, with commas");
            return faulty(record.get(0).filter(|_| record.len() > 1), why);
        }
    };
    if user.eq_ignore_ascii_case("user") && phone.eq_ignore_ascii_case("phone") {
        return Parsed::Header;
    }
    if user.is_empty() {
        return faulty(None, "names no user; a row is user,phone or user,phone,channel".into());
    }
    if phone.is_empty() {
        return faulty(
            Some(user),
            "has no number; a row is user,phone or user,phone,channel".into(),
        );
    }
    let channel = match channel.to_ascii_lowercase().as_str() {
        "" => None,
        "sms" => Some(Channel::Sms),
        "voice" => Some(Channel::Voice),
        _ => return faulty(Some(user), "has a channel other than sms and voice".into()),
    };
    let (user, phone) = (user.to_owned(), Secret::new(phone.to_owned()));
    Parsed::Row(Ok(Entry { user, phone, channel }))
}

#[cfg(test)]
#[path = "../../../../tests/fuzz/lists.rs"]
mod fuzz;
#[cfg(test)]
mod tests;
