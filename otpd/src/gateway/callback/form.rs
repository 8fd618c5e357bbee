//! Form fields, of a body or a query. They may hold what people wrote, so they are wiped.

use std::borrow::Cow;

use zeroize::Zeroizing;

/// What is read of a form at most; vendors send a few dozen. Anybody may send tens of thousands, which
/// would be sorted and hashed before it is known that nobody signed them. What a vendor signed is all
/// that it sent: without the rest no signature fits.
const MOST_FIELDS: usize = 256;

/// Names and values in the order in which they came.
pub(super) struct Fields(Vec<(String, Zeroizing<String>)>);

impl Fields {
    /// The fields of a form.
    pub(super) fn of(form: &[u8]) -> Self {
        let owned = |(name, value): (Cow<'_, str>, Cow<'_, str>)| {
            (name.into_owned(), Zeroizing::new(value.into_owned()))
        };
        Self(form_urlencoded::parse(form).take(MOST_FIELDS).map(owned).collect())
    }

    /// The fields of a URL's query.
    pub(super) fn of_query(url: &str) -> Self {
        Self::of(split(url).1.unwrap_or_default().as_bytes())
    }

    /// A field's value, without spaces around it; `None` when there is none or it is empty.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let value = self.0.iter().find(|(field, _)| field == name).map(|(_, value)| value.trim());
        value.filter(|value| !value.is_empty())
    }

    /// Whether there is such a field, be it empty.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(field, _)| field == name)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Names and values in the order in which they came.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Names and values, sorted by both.
    pub(super) fn sorted(&self) -> Vec<(&str, &str)> {
        let mut fields: Vec<_> = self.iter().collect();
        fields.sort_unstable();
        fields
    }
}

/// A URL without its query, and that.
pub(super) fn split(url: &str) -> (&str, Option<&str>) {
    match url.split_once('?') {
        Some((before, query)) => (before, Some(query)),
        None => (url, None),
    }
}

#[cfg(test)]
mod tests {
    use super::{Fields, MOST_FIELDS};

    #[test]
    fn no_more_is_read_than_a_vendor_sends() {
        assert_eq!(Fields::of("a=1&".repeat(30_000).as_bytes()).iter().count(), MOST_FIELDS);
        assert_eq!(Fields::of(b"a=1&b=2").iter().count(), 2);
    }
}
