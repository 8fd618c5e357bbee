//! Lines of a backup, as they are written.

use base64::{Engine, prelude::BASE64_STANDARD_NO_PAD as BASE64};
use minicbor::{Encode, encode};

use super::{
    AccountRow, BudgetRow, Counts, FORMAT, FULL, Header, NumberRow, Page, TrafficRow, WORD,
};
use crate::{
    domain::{enrollment::Enrollment, restore::Kept},
    keys::Keys,
    store::{Piece, TrailRow},
};

/// Why rows have no written form.
pub type Unwritten = encode::Error<std::convert::Infallible>;

/// Writes a backup, a line after the other.
pub struct Outgoing {
    keys: Keys,
    backup: u64,
    line: u64,
    counts: Counts,
}

impl Outgoing {
    /// Begins; the first line comes with it.
    ///
    /// # Errors
    /// [`Unwritten`].
    pub fn begin(keys: Keys, header: &Header) -> Result<(Self, String), Unwritten> {
        let backup = header.backup;
        let mut outgoing = Self { keys, backup, line: 0, counts: Counts::default() };
        let line = outgoing.line(header)?;
        Ok((outgoing, format!("{WORD} {FORMAT} {} {line}", header.version)))
    }

    /// Lines of these rows.
    ///
    /// # Errors
    /// [`Unwritten`].
    pub fn piece(&mut self, piece: Piece) -> Result<Vec<String>, Unwritten> {
        match piece {
            Piece::Accounts(accounts) => {
                let rows = accounts.into_iter().map(|kept| self.account(kept)).collect();
                self.pages(rows, Page::Accounts)
            }
            Piece::Budgets(budgets) => {
                let row = |(number, budget)| BudgetRow { number, budget };
                self.pages(budgets.into_iter().map(row).collect(), Page::Budgets)
            }
            Piece::Traffic(traffic) => {
                let row =
                    |(key, traffic)| TrafficRow { key: super::TogetherKey::from(key), traffic };
                self.pages(traffic.into_iter().map(row).collect(), Page::Traffic)
            }
            Piece::Unreadable(_) => Ok(Vec::new()),
        }
    }

    /// Lines of these events.
    ///
    /// # Errors
    /// [`Unwritten`].
    pub fn trail(&mut self, events: Vec<TrailRow>) -> Result<Vec<String>, Unwritten> {
        self.pages(events, Page::Trail)
    }

    /// The last line.
    ///
    /// # Errors
    /// [`Unwritten`].
    pub fn end(&mut self) -> Result<String, Unwritten> {
        self.line(&Page::End(self.counts))
    }

    /// Accounts that were written.
    #[must_use]
    pub fn accounts(&self) -> u64 {
        self.counts.accounts
    }

    fn account(&self, kept: Kept) -> AccountRow {
        let sealed = |number: &Enrollment| self.keys.seal(&kept.account, number.number());
        let number = kept.enrollment.as_ref();
        let number = number.map(|number| NumberRow::of(number, sealed(number)));
        let account = kept.account.as_str().to_owned();
        AccountRow { account, number, login: kept.login.at_rest() }
    }

    /// Rows on as many pages as they need. A row is never torn: a large one has a page of its own.
    fn pages<T: Encode<()>>(
        &mut self,
        rows: Vec<T>,
        page: impl Fn(Vec<T>) -> Page,
    ) -> Result<Vec<String>, Unwritten> {
        let (mut lines, mut full, mut size) = (Vec::new(), Vec::new(), 0);
        for row in rows {
            let more = minicbor::to_vec(&row)?.len();
            if size + more > FULL && !full.is_empty() {
                lines.push(self.line(&page(std::mem::take(&mut full)))?);
                size = 0;
            }
            size += more;
            full.push(row);
        }
        if !full.is_empty() {
            let page = page(full);
            lines.push(self.line(&page)?);
        }
        Ok(lines)
    }

    fn line<T: Encode<()> + Content>(&mut self, content: &T) -> Result<String, Unwritten> {
        content.count(&mut self.counts);
        let content = minicbor::to_vec(content)?;
        let seal = self.keys.seal_line(self.backup, self.line, &content);
        self.line += 1;
        Ok(format!("{}.{}\n", BASE64.encode(content), BASE64.encode(seal)))
    }
}

/// What a line says.
trait Content {
    fn count(&self, counts: &mut Counts);
}

impl Content for Header {
    fn count(&self, _: &mut Counts) {}
}

impl Content for Page {
    fn count(&self, counts: &mut Counts) {
        counts.add(self);
    }
}
