//! The file as written: TOML tables with positions, read key by key.
//!
//! serde would stop at the first error. This reader notes every one, remembers which keys were
//! asked for, and calls the rest unknown when a table is finished.

use std::{collections::BTreeSet, ops::RangeInclusive};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::errors::{Place, Report, nearest, quote};

/// Parses TOML; errors go to the report, each with its line.
pub(super) fn parse<'t>(text: &'t str, report: &Report<'_>) -> Option<DeTable<'t>> {
    let (table, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        return Some(table.into_inner());
    }
    let mut starts = BTreeSet::new();
    for error in errors {
        let offset = error.span().map(|span| span.start);
        // The parser goes on after an error and stumbles over the rest of the line again. Its
        // message is used without the line's text, which may hold a key.
        let line = offset.and_then(|offset| text.get(..offset)).map(|text| text.lines().count());
        if starts.insert(line) {
            let (found, expected) =
                error.message().split_once(", expected ").unwrap_or((error.message(), "TOML"));
            report.syntax(offset, format!("cannot be read: {found}"), expected);
        }
    }
    None
}

/// A string of the file and where it is.
#[derive(Clone, Debug)]
pub(super) struct Text<'t> {
    /// What is written.
    pub(super) value: &'t str,
    /// Where.
    pub(super) place: Place,
}

/// A table that is being read.
pub(super) struct Section<'t> {
    report: &'t Report<'t>,
    table: Option<&'t DeTable<'t>>,
    /// Where the table is; its key is empty for the file itself.
    pub(super) place: Place,
    known: Vec<&'static str>,
}

impl<'t> Section<'t> {
    /// The whole file.
    pub(super) fn root(table: &'t DeTable<'t>, report: &'t Report<'t>) -> Self {
        let place = Place { key: String::new(), offset: None };
        Self { report, table: Some(table), place, known: Vec::new() }
    }

    /// The place of a key of this table, whether it is there or not.
    pub(super) fn place_of(&self, key: &str) -> Place {
        let path = match self.place.key.as_str() {
            "" => key.to_owned(),
            table => format!("{table}.{key}"),
        };
        let entry = self.table.and_then(|table| table.get_key_value(key));
        Place { key: path, offset: entry.map(|(name, _)| name.span().start) }
    }

    fn take(&mut self, key: &'static str) -> Option<(Place, &'t DeValue<'t>)> {
        self.known.push(key);
        let value = self.table?.get(key)?;
        Some((self.place_of(key), value.get_ref()))
    }

    /// A table of this table; empty when it is not there.
    pub(super) fn section(&mut self, key: &'static str) -> Self {
        let found = self.take(key);
        let table = found.as_ref().and_then(|(place, value)| {
            let table = value.as_table();
            if table.is_none() {
                self.wrong_type(place, value, "a table", &format!("write a line [{}]", place.key));
            }
            table
        });
        let place = self.place_of(key);
        Self { report: self.report, table, place, known: Vec::new() }
    }

    /// The tables of this table, by names that the site chose.
    pub(super) fn sections(&self) -> Vec<(Text<'t>, Self)> {
        let entries = self.table.into_iter().flat_map(DeTable::iter);
        let mut found = Vec::new();
        for (name, value) in entries {
            let place = self.place_of(name.get_ref());
            if let Some(table) = value.get_ref().as_table() {
                let section = Self {
                    report: self.report,
                    table: Some(table),
                    place: place.clone(),
                    known: Vec::new(),
                };
                found.push((Text { value: name.get_ref(), place }, section));
            } else {
                let remedy = format!("write a line [{}.NAME]", self.place.key);
                self.wrong_type(&place, value.get_ref(), "a table", &remedy);
            }
        }
        found
    }

    /// A string; none when the key is missing or holds something else.
    pub(super) fn text(&mut self, key: &'static str) -> Option<Text<'t>> {
        let (place, value) = self.take(key)?;
        let text = value.as_str();
        if text.is_none() {
            self.wrong_type(&place, value, "text", "write it in quotes");
        }
        text.map(|value| Text { value, place })
    }

    /// One of a few words.
    pub(super) fn choice<T: Copy>(
        &mut self,
        key: &'static str,
        words: &[(&'static str, T)],
        default: T,
    ) -> T {
        let Some(text) = self.text(key) else { return default };
        if let Some((_, choice)) = words.iter().find(|(word, _)| *word == text.value) {
            return *choice;
        }
        let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let remedy = match nearest(text.value, &words) {
            Some(word) => format!("did you mean {word:?}?"),
            None => "choose one of these, or remove the line for the default".to_owned(),
        };
        self.error(&text.place, format!("is {}", quote(text.value)), one_of(&words), remedy);
        default
    }

    /// A whole number in a range.
    pub(super) fn number<T>(
        &mut self,
        key: &'static str,
        range: RangeInclusive<T>,
        default: T,
        unit: &str,
    ) -> T
    where
        T: TryFrom<u64> + PartialOrd + std::fmt::Display + Copy,
    {
        let remedy = format!(
            "choose a number in that range, or remove the line for the default ({default})"
        );
        self.whole(key, range, unit, remedy).unwrap_or(default)
    }

    /// A whole number in a range; none when the key is missing or holds something else.
    pub(super) fn optional_number<T>(
        &mut self,
        key: &'static str,
        range: RangeInclusive<T>,
    ) -> Option<T>
    where
        T: TryFrom<u64> + PartialOrd + std::fmt::Display + Copy,
    {
        let remedy = "choose a number in that range, or remove the line".to_owned();
        self.whole(key, range, "", remedy)
    }

    fn whole<T>(
        &mut self,
        key: &'static str,
        range: RangeInclusive<T>,
        unit: &str,
        out_of_range: String,
    ) -> Option<T>
    where
        T: TryFrom<u64> + PartialOrd + std::fmt::Display + Copy,
    {
        let (place, value) = self.take(key)?;
        let expected = format!("{} to {}{unit}", range.start(), range.end());
        let DeValue::Integer(integer) = value else {
            let remedy = "write the number without quotes and fraction";
            self.wrong_type(&place, value, &format!("a whole number, {expected}"), remedy);
            return None;
        };
        let number = u64::from_str_radix(integer.as_str(), integer.radix()).ok();
        if let Some(number) = number.and_then(|number| T::try_from(number).ok())
            && range.contains(&number)
        {
            return Some(number);
        }
        self.error(&place, format!("is {}", shorten(integer.as_str())), expected, out_of_range);
        None
    }

    /// `true` or `false`.
    pub(super) fn boolean(&mut self, key: &'static str, default: bool) -> bool {
        let Some((place, value)) = self.take(key) else { return default };
        value.as_bool().unwrap_or_else(|| {
            self.wrong_type(&place, value, "true or false", "write it without quotes");
            default
        })
    }

    /// A list of strings; none when the key is missing or holds something else. Elements that are
    /// no strings are errors and left out; so is what comes twice.
    pub(super) fn texts(&mut self, key: &'static str, example: &str) -> Option<Vec<Text<'t>>> {
        let mut texts: Vec<Text<'t>> = Vec::new();
        for (place, value) in self.list(key, "a list of texts", example)? {
            match value.as_str() {
                None => self.wrong_type(&place, value, "text", "write it in quotes"),
                Some(value) if texts.iter().any(|text| text.value == value) => {
                    let found = format!("has {} twice", quote(value));
                    self.error(&place, found, "every entry once", "remove one of them");
                }
                Some(value) => texts.push(Text { value, place }),
            }
        }
        Some(texts)
    }

    /// A list of strings as a program gets them: the same one may come twice.
    pub(super) fn words(&mut self, key: &'static str, example: &str) -> Option<Vec<Text<'t>>> {
        let mut words = Vec::new();
        for (place, value) in self.list(key, "a list of texts", example)? {
            match value.as_str() {
                None => self.wrong_type(&place, value, "text", "write it in quotes"),
                Some(value) => words.push(Text { value, place }),
            }
        }
        Some(words)
    }

    /// A list of whole numbers in a range; empty when the key is missing.
    pub(super) fn numbers(
        &mut self,
        key: &'static str,
        range: RangeInclusive<u16>,
        example: &str,
    ) -> Vec<u16> {
        let expected = format!("whole numbers, {} to {}", range.start(), range.end());
        let mut numbers = Vec::new();
        for (place, value) in self.list(key, "a list of whole numbers", example).unwrap_or_default()
        {
            let DeValue::Integer(integer) = value else {
                self.wrong_type(&place, value, &expected, "write numbers without quotes");
                continue;
            };
            match u16::from_str_radix(integer.as_str(), integer.radix()) {
                Ok(number) if range.contains(&number) => numbers.push(number),
                _ => {
                    let found = format!("has {}", shorten(integer.as_str()));
                    let remedy = "choose numbers in that range, or remove the line";
                    self.error(&place, found, &expected, remedy);
                }
            }
        }
        numbers
    }

    fn list(
        &mut self,
        key: &'static str,
        expected: &str,
        example: &str,
    ) -> Option<Vec<(Place, &'t DeValue<'t>)>> {
        let (place, value) = self.take(key)?;
        let Some(array) = value.as_array() else {
            self.wrong_type(&place, value, expected, &format!("write {key} = {example}"));
            return None;
        };
        let element = |value: &'t Spanned<DeValue<'t>>| {
            let place = Place { key: place.key.clone(), offset: Some(value.span().start) };
            (place, value.get_ref())
        };
        Some(array.iter().map(element).collect())
    }

    /// The entries of a table whose keys the site chooses and whose values this reader has no
    /// type for.
    pub(super) fn entries(&mut self, key: &'static str) -> Vec<(Text<'t>, &'t DeValue<'t>)> {
        let section = self.section(key);
        let entries = section.table.into_iter().flat_map(DeTable::iter);
        let entry = |(name, value): (&'t Spanned<_>, &'t Spanned<_>)| {
            let name: &'t str = std::convert::AsRef::<std::borrow::Cow<'t, str>>::as_ref(name);
            (Text { value: name, place: section.place_of(name) }, value.get_ref())
        };
        entries.map(entry).collect()
    }

    /// Says that a value has the wrong type. The value is not shown: it may be secret.
    pub(super) fn wrong_type(
        &self,
        place: &Place,
        value: &DeValue<'_>,
        expected: &str,
        remedy: &str,
    ) {
        let found = match value {
            DeValue::String(_) => "is text",
            DeValue::Integer(_) => "is a whole number",
            DeValue::Float(_) => "is a fraction",
            DeValue::Boolean(_) => "is true or false",
            DeValue::Datetime(_) => "is a date or time",
            DeValue::Array(_) => "is a list",
            DeValue::Table(_) => "is a table",
        };
        self.error(place, found, expected, remedy);
    }

    /// Says that something about a key of this table is wrong.
    pub(super) fn error(
        &self,
        place: &Place,
        found: impl Into<String>,
        expected: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.report.error(place, found, expected, remedy);
    }

    /// Says that something about a key of this table is odd.
    pub(super) fn warn(&self, place: &Place, text: &str) {
        self.report.warn(place, text);
    }

    /// Says which keys nobody asked for.
    pub(super) fn finish(self) {
        let mut known = self.known.clone();
        known.sort_unstable();
        let names = self.table.into_iter().flat_map(DeTable::iter).map(|(name, _)| name.get_ref());
        let strange = |name: &str| !known.contains(&name);
        for name in names.filter(|name| strange(name)) {
            let remedy = match nearest(name, &known) {
                Some(meant) => format!("did you mean `{meant}`? Rename or remove it"),
                None => "remove it".to_owned(),
            };
            let found = "is not known to this version";
            self.error(&self.place_of(name), found, one_of(&known), remedy);
        }
    }
}

/// `a, b or c`.
pub(super) fn one_of(words: &[&str]) -> String {
    match words {
        [] => "nothing".to_owned(),
        [word] => (*word).to_owned(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

/// Digits as an error shows them.
fn shorten(digits: &str) -> String {
    if digits.len() <= 20 { digits.to_owned() } else { "a very large number".to_owned() }
}
