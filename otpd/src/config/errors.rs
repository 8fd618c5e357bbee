//! What is wrong with a configuration: everything at once, a line each, with the remedy.

use std::{
    fmt,
    path::{Path, PathBuf},
};

/// One thing that is wrong: where, what was found, what is expected, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The configuration file, or the file that it names.
    pub file: PathBuf,
    /// Line in the file, from 1; none when the key is missing or the file as a whole is meant.
    pub line: Option<usize>,
    /// The key with its tables, for example `code.life-seconds`.
    pub key: Option<String>,
    /// What was found, as the rest of a sentence: `is 30`. Never a value that may be secret.
    pub found: String,
    /// What is expected.
    pub expected: String,
    /// What to do about it.
    pub remedy: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, "{line}:")?;
        }
        if let Some(key) = &self.key {
            write!(f, " `{}`", key.escape_debug())?;
        }
        write!(f, " {}, expected {}; {}", self.found, self.expected, self.remedy)
    }
}

/// Everything that is wrong, in the order of the file; never empty.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ConfigErrors(Vec<ConfigError>);

impl ConfigErrors {
    pub(super) fn new(mut errors: Vec<ConfigError>) -> Self {
        errors.sort_by_key(|error| error.line);
        Self(errors)
    }

    pub(super) fn one(error: ConfigError) -> Self {
        Self(vec![error])
    }

    /// The errors, each to be shown on its own line.
    pub fn iter(&self) -> std::slice::Iter<'_, ConfigError> {
        self.0.iter()
    }
}

impl<'a> IntoIterator for &'a ConfigErrors {
    type Item = &'a ConfigError;
    type IntoIter = std::slice::Iter<'a, ConfigError>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(f, "{separator}{error}")?;
        }
        Ok(())
    }
}

/// Where a problem is; [`Report::error`] turns it into an error of the file that is being read.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// The key with its tables.
    pub(super) key: String,
    /// Its first byte in the file; none when it is not there.
    pub(super) offset: Option<usize>,
}

/// Collects what is found wrong or odd while a file is read.
pub(super) struct Report<'t> {
    file: &'t Path,
    text: &'t str,
    errors: std::cell::RefCell<Vec<ConfigError>>,
    warnings: std::cell::RefCell<Vec<String>>,
}

impl<'t> Report<'t> {
    /// A report on `text`, which is what `file` holds.
    pub(super) fn new(file: &'t Path, text: &'t str) -> Self {
        Self { file, text, errors: Vec::new().into(), warnings: Vec::new().into() }
    }

    /// Adds an error about a key.
    pub(super) fn error(
        &self,
        place: &Place,
        found: impl Into<String>,
        expected: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.push(place.offset, Some(place.key.clone()), found, expected, remedy);
    }

    /// Adds an error about the file's form.
    pub(super) fn syntax(&self, offset: Option<usize>, found: String, expected: &str) {
        let remedy = "correct this line; the rest was not checked yet";
        self.push(offset, None, found, expected, remedy);
    }

    fn push(
        &self,
        offset: Option<usize>,
        key: Option<String>,
        found: impl Into<String>,
        expected: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.errors.borrow_mut().push(ConfigError {
            file: self.file.to_owned(),
            line: offset.map(|offset| self.line(offset)),
            key,
            found: found.into(),
            expected: expected.into(),
            remedy: remedy.into(),
        });
    }

    /// Adds a warning about a key; it keeps nothing from starting.
    pub(super) fn warn(&self, place: &Place, text: &str) {
        let file = self.file.display();
        let line = place.offset.map(|offset| format!("{}:", self.line(offset))).unwrap_or_default();
        self.warnings.borrow_mut().push(format!("{file}:{line} `{}` {text}", place.key));
    }

    /// What was found wrong and what odd.
    pub(super) fn finish(self) -> (Vec<ConfigError>, Vec<String>) {
        (self.errors.into_inner(), self.warnings.into_inner())
    }

    fn line(&self, offset: usize) -> usize {
        self.text.get(..offset).unwrap_or(self.text).matches('\n').count() + 1
    }
}

/// A value as an error shows it: quoted, on one line, and cut to a readable length.
pub(super) fn quote(text: &str) -> String {
    const LONGEST: usize = 60;
    let mut shown: String = text.chars().take(LONGEST).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    format!("{shown:?}")
}

/// The name among `known` that was probably meant, if one is near.
pub(super) fn nearest<'k>(written: &str, known: &[&'k str]) -> Option<&'k str> {
    let written = written.to_lowercase();
    let near = known
        .iter()
        .map(|name| (distance(&written, name), *name))
        .filter(|(distance, name)| *distance <= 1 + name.len() / 8)
        .min();
    // `life` for `life-seconds`: whole words are missing, which no edit distance calls near.
    let part = || known.iter().copied().find(|name| written.len() >= 3 && name.contains(&written));
    near.map(|(_, name)| name).or_else(part)
}

/// Levenshtein's distance: how many letters must be added, dropped or replaced.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    // A key may be as long as the file; what is that long is near nothing.
    for (index, letter) in from.chars().take(64).enumerate() {
        let mut diagonal = index;
        let mut left = index + 1;
        for (cell, other) in row.iter_mut().skip(1).zip(&to) {
            let above = *cell;
            left = (above + 1).min(left + 1).min(diagonal + usize::from(letter != *other));
            diagonal = above;
            *cell = left;
        }
        if let Some(first) = row.first_mut() {
            *first = index + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{distance, nearest, quote};

    #[test]
    fn the_name_that_was_meant_is_found() {
        let known = ["digits", "life-seconds", "tries", "resends"];
        let cases = [
            ("a letter is missing", "digit", Some("digits")),
            ("an underscore", "life_seconds", Some("life-seconds")),
            ("capitals", "lifeSeconds", Some("life-seconds")),
            ("a word is missing", "life", Some("life-seconds")),
            ("something else", "colour", None),
            ("too short to tell", "s", None),
            ("empty", "", None),
        ];
        for (name, written, expected) in cases {
            assert_eq!(nearest(written, &known), expected, "{name}");
        }
    }

    #[test]
    fn distances() {
        let cases = [("", "abc", 3), ("abc", "", 3), ("kitten", "sitting", 3), ("same", "same", 0)];
        for (from, to, expected) in cases {
            assert_eq!(distance(from, to), expected, "{from} {to}");
        }
    }

    #[test]
    fn quoted_values_stay_on_one_line_and_short() {
        assert_eq!(quote("a\n\"b\u{1b}"), r#""a\n\"b\u{1b}""#);
        assert_eq!(quote(&"x".repeat(100)), format!("\"{}…\"", "x".repeat(60)));
    }
}
