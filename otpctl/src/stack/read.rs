//! A service's stack of `auth` modules, its includes in their place.

use std::fmt;

use super::{
    MODULE,
    control::Control,
    line::{Line, Rule, lines},
    role::{Role, leaves_token, steps_aside},
};

/// Includes may include; `libpam` ends somewhere, and so does this.
const DEEPEST: u32 = 32;

/// Files that a stack is made of at most: each may include others twice, which doubles them with each
/// level.
const MOST: u32 = 1000;

/// Where a line is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// The file, absolute.
    pub(crate) file: String,
    /// The line, from 1.
    pub(crate) line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// One module of a stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Where it stands.
    pub(crate) place: Place,
    /// What is done with its answer.
    pub(crate) control: Control,
    /// The module as written.
    pub(crate) module: String,
    /// Its arguments.
    pub(crate) arguments: Vec<String>,
    /// The words of a comment behind it.
    pub(crate) comment: Vec<String>,
    /// How many substacks it stands in.
    pub(crate) level: usize,
    /// That the module is missing is not logged.
    pub(crate) quiet: bool,
    /// What it is good for.
    pub(crate) role: Role,
}

impl Entry {
    /// The module's file name.
    pub(crate) fn name(&self) -> &str {
        self.module.rsplit('/').next().unwrap_or(&self.module)
    }

    /// The argument by which it steps aside for some people; `None`: it answers yes or no.
    pub(super) fn steps_aside(&self) -> Option<&str> {
        steps_aside(&self.module, &self.arguments)
    }

    /// It leaves what was typed to the modules below, right or wrong.
    pub(super) fn leaves_token(&self) -> bool {
        matches!(self.role, Role::Checker | Role::Unknown)
            && leaves_token(&self.module, &self.arguments)
    }
}

/// What keeps `libpam` from running the stack as it is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// There is no such service, and no `other`.
    NoService(String),
    /// A file that is included is not there.
    NoInclude(Place, String),
    /// Files include each other without an end.
    Endless(Place),
    /// A line makes no sense.
    Unreadable(Place, String),
    /// A line goes on where nothing does.
    Torn(Place),
    /// A line is longer than what `libpam` takes for one.
    Long(Place),
}

/// The `auth` stack of a service.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Stack {
    /// Its modules in order.
    pub(crate) entries: Vec<Entry>,
    /// What is wrong with its files.
    pub(crate) troubles: Vec<Trouble>,
    /// Whose it is.
    service: String,
    /// How many files were included so far.
    includes: u32,
}

impl Stack {
    /// Whether the module stands in it.
    pub(crate) fn asks(&self) -> bool {
        self.entries.iter().any(|entry| entry.name() == MODULE)
    }
}

/// Where service files come from.
pub(crate) trait Shelf {
    /// The path and the text of a service's file, or of a file that is named by its path.
    fn service(&self, name: &str) -> Option<(String, String)>;
}

/// Reads the `auth` stack of `service`.
pub(crate) fn read(source: &dyn Shelf, service: &str) -> Stack {
    let mut stack = Stack { service: service.to_owned(), ..Stack::default() };
    for name in [service, "other"] {
        if let Some((file, text)) = source.service(name) {
            stack.add(source, &file, &text, 0, 0);
        }
        if !stack.entries.is_empty() || !stack.troubles.is_empty() {
            return stack;
        }
    }
    stack.troubles.push(Trouble::NoService(service.to_owned()));
    stack
}

impl Stack {
    fn add(&mut self, source: &dyn Shelf, file: &str, text: &str, level: usize, depth: u32) {
        for (line, _, content) in lines(text) {
            let place = Place { file: file.to_owned(), line };
            match content {
                Line::Include(name) => self.include(source, place, &name, level, depth),
                Line::Rule(rule) if rule.facility == "auth" => {
                    self.rule(source, place, rule, level, depth);
                }
                Line::Rule(_) => {}
                Line::Unreadable(text) => {
                    self.troubles.push(Trouble::Unreadable(place, format!("`{text}`")));
                }
                Line::Torn => self.troubles.push(Trouble::Torn(place)),
                Line::Long => self.troubles.push(Trouble::Long(place)),
            }
        }
    }

    fn include(&mut self, source: &dyn Shelf, place: Place, name: &str, level: usize, depth: u32) {
        self.includes += 1;
        if depth == DEEPEST || self.includes > MOST {
            // Said once: files that include each other twice would have it said without an end.
            if !self.troubles.iter().any(|trouble| matches!(trouble, Trouble::Endless(_))) {
                self.troubles.push(Trouble::Endless(place));
            }
            self.includes = MOST;
        } else if let Some((file, text)) = source.service(name) {
            self.add(source, &file, &text, level, depth + 1);
        } else {
            self.troubles.push(Trouble::NoInclude(place, name.to_owned()));
        }
    }

    fn rule(&mut self, source: &dyn Shelf, place: Place, rule: Rule, level: usize, depth: u32) {
        let Rule { quiet, control, module, arguments, comment, .. } = rule;
        let word = control.to_ascii_lowercase();
        if word == "include" {
            return self.include(source, place, &module, level, depth);
        }
        // The line itself stands in the parent's stack: a jump counts it and what it brings as one.
        let substack = word == "substack";
        let parsed = Control::parse(if substack { "[default=ignore]" } else { &control });
        let includes = substack.then(|| (place.clone(), module.clone()));
        match parsed {
            Ok(control) => self.entries.push(Entry {
                role: if substack { Role::Substack } else { Role::at(&self.service, &module) },
                place,
                control,
                module,
                arguments,
                comment,
                level,
                quiet,
            }),
            Err(why) => self.troubles.push(Trouble::Unreadable(place, why)),
        }
        if let Some((place, name)) = includes {
            self.include(source, place, &name, level + 1, depth);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{MOST, Trouble, read};
    use crate::stack::testing::Files;

    /// A line of these would be doubled 32 times over.
    #[test]
    fn files_that_include_files_twice_are_read_to_an_end() {
        let names = (0..31).map(|n| format!("part-{n}")).collect::<Vec<_>>();
        let twice = |name: &str| format!("auth include {name}\nauth substack {name}\n");
        let chain = names.iter().skip(1).map(|next| twice(next)).collect::<Vec<_>>();
        let mut files = names.iter().zip(&chain).map(|(name, text)| (name.as_str(), text.as_str()));
        let (own, first) = (twice("sshd"), twice("part-0"));
        let cases = [
            ("itself", vec![("sshd", own.as_str())]),
            (
                "a chain",
                files.by_ref().chain([("part-30", ""), ("sshd", first.as_str())]).collect(),
            ),
        ];
        for (name, files) in cases {
            let stack = read(&Files::new(&files), "sshd");
            assert!(matches!(stack.troubles[..], [Trouble::Endless(_)]), "{name}: {stack:?}");
            assert!(stack.entries.len() <= MOST as usize, "{name}");
        }
    }
}
