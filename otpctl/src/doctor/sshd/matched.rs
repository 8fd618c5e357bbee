//! What holds for some people only, or from some places: sshd is asked once for each sort of people, and
//! once more for each of these and each `Match` that asks for a place.

use std::collections::BTreeSet;

use super::{
    Around, QUESTIONS, ask_of, classes, files, files::Match, from, judge, place::Place,
    settings::Settings,
};
use crate::doctor::{finding::Finding, host::Host, people::listed};

/// What sshd is asked by.
pub(super) struct Matched<'a> {
    pub(super) host: &'a Host,
    /// What holds for everybody.
    pub(super) general: &'a Settings,
    /// People by how the lines treat them.
    pub(super) classes: &'a [Vec<String>],
    /// Who is exempt from codes.
    pub(super) spared: &'a BTreeSet<&'a str>,
}

/// What is found about some people.
struct Own {
    finding: Finding,
    names: Vec<String>,
    /// Where they must come from, if that bears on it.
    place: Option<String>,
}

impl Matched<'_> {
    /// What is found besides what is `known` of everybody; and each line that asks for a place with the one
    /// for which it was judged.
    pub(super) fn judge<'m>(
        &self,
        matches: &'m [Match],
        around: Around<'_>,
        known: &[Finding],
    ) -> (Vec<Finding>, Vec<(&'m Match, Option<Place>)>) {
        let mut own = Vec::new();
        let mut left = QUESTIONS;
        self.ask(None, &mut left, around, known, &mut own);
        let blocks = matches.iter().filter(|block| block.by_place);
        let blocks = blocks.map(|block| {
            // Half an answer about a place is none.
            let place = Place::of(block).filter(|_| self.classes.len() <= left);
            if let Some(place) = &place {
                self.ask(Some(place), &mut left, around, known, &mut own);
            }
            (block, place)
        });
        let blocks = blocks.collect();
        let said = own.into_iter().map(|Own { mut finding, mut names, place }| {
            names.sort_unstable();
            let place = place.map(|place| format!(" {place}")).unwrap_or_default();
            finding.text = format!("for {}{place} (by Match): {}", listed(&names), finding.text);
            finding
        });
        (said.collect(), blocks)
    }

    fn ask(
        &self,
        place: Option<&Place>,
        left: &mut usize,
        around: Around<'_>,
        known: &[Finding],
        own: &mut Vec<Own>,
    ) {
        let usual = Place::default();
        let asked = self.classes.iter().take(*left).collect::<Vec<_>>();
        *left -= asked.len();
        for class in asked {
            let Some(first) = class.first() else { continue };
            let around = Around { spared: self.spared.contains(first.as_str()), ..around };
            let words = place.unwrap_or(&usual).words(first);
            let judged = match ask_of(self.host, Some(&words)) {
                Ok(theirs) => judge(&theirs, around, &|keyword| self.origin(&theirs, keyword)),
                Err(silent) => vec![silent.finding()],
            };
            for finding in judged {
                // What is said wherever they come from is not said once more.
                let said = |own: &Own| {
                    own.finding == finding && own.place.is_none() && own.names.contains(first)
                };
                if own.iter().any(said) || known.iter().any(|known| known.text == finding.text) {
                    continue;
                }
                let place = place.map(Place::to_string);
                // The same for many people is one finding.
                match own.iter_mut().find(|own| own.finding == finding && own.place == place) {
                    Some(own) => own.names.extend_from_slice(class),
                    None => own.push(Own { finding, names: class.clone(), place }),
                }
            }
        }
    }

    /// Where a setting of theirs comes from, in words.
    fn origin(&self, theirs: &Settings, keyword: &str) -> String {
        if theirs.get(keyword) == self.general.get(keyword) {
            return from(files::origin(self.host, keyword));
        }
        let line = files::own(self.host, keyword);
        line.map_or_else(|| "by a Match".to_owned(), |place| format!("in {place}"))
    }
}

/// `users` by how the lines treat them, those who are exempt from codes apart from the others.
pub(super) fn sorts(
    host: &Host,
    matches: &[Match],
    users: &BTreeSet<String>,
    spared: &BTreeSet<&str>,
) -> Vec<Vec<String>> {
    if matches.is_empty() {
        return Vec::new();
    }
    let mut sorts = Vec::new();
    for class in classes::classes(host, matches, users) {
        let (exempt, others): (Vec<_>, Vec<_>) =
            class.into_iter().partition(|name| spared.contains(name.as_str()));
        sorts.extend([others, exempt].into_iter().filter(|sort| !sort.is_empty()));
    }
    sorts
}
