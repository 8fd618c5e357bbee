//! Every way that a stack can go, as `libpam` goes it: `_pam_dispatch_aux` of Linux-PAM 1.5, which
//! is the rule here also where pam.conf(5) is vague.

use std::collections::BTreeSet;

use super::{
    control::Action,
    read::{Entry, Stack},
    role::Role,
};

/// What has been decided so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Impression {
    Undefined,
    Positive,
    Negative,
}

/// What became of the code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Code {
    /// It was not asked for.
    Unasked,
    /// It was right.
    Granted,
    /// The module stepped aside, for an exemption.
    Exempt,
    /// The module did not let in.
    Denied,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(clippy::struct_excessive_bools, reason = "facts that do not exclude each other")]
struct State {
    impression: Impression,
    /// The status is success.
    success: bool,
    /// Something that checks who somebody is has said yes.
    checked: bool,
    /// The same has said no, or a gate has refused.
    refused: bool,
    code: Code,
    /// The code was asked for although something above it had refused.
    unproved: bool,
    /// Something was typed that the module sees.
    token: bool,
    /// The module was asked and saw nothing of a first factor.
    unseen: bool,
}

/// One way through a stack.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "facts that do not exclude each other")]
pub(super) struct Way {
    /// The modules that were run, by their index, with their answers.
    pub(super) trail: Vec<(usize, String)>,
    /// Somebody gets in by it.
    pub(super) success: bool,
    /// Something that checks who somebody is has said yes.
    pub(super) checked: bool,
    /// What became of the code.
    pub(super) code: Code,
    /// The code was asked for although something above it had refused.
    pub(super) unproved: bool,
    /// The module was asked and saw nothing of a first factor.
    pub(super) unseen: bool,
}

#[derive(Debug, Clone)]
struct Walker {
    at: usize,
    /// The level of the module before.
    level: usize,
    state: State,
    /// Impression and status at the begin of the stack and of each substack.
    begins: Vec<(Impression, bool)>,
    trail: Vec<(usize, String)>,
}

/// The answer of a module that is not there.
pub(super) const MISSING: &str = "module_unknown";

/// Every way that differs in what it comes to. Modules that are `missing` are thought to be there, since
/// that is a fault of its own; but behind a minus, where it may be meant.
pub(super) fn ways(stack: &Stack, missing: &dyn Fn(&Entry) -> bool) -> Vec<Way> {
    let start = State {
        impression: Impression::Undefined,
        success: false,
        checked: false,
        refused: false,
        code: Code::Unasked,
        unproved: false,
        token: false,
        unseen: false,
    };
    let begins = vec![(Impression::Undefined, false)];
    let mut open = vec![Walker { at: 0, level: 0, state: start, begins, trail: Vec::new() }];
    let mut seen = BTreeSet::new();
    let mut ends = BTreeSet::new();
    let mut ways = Vec::new();
    while let Some(mut walker) = open.pop() {
        let Some(entry) = stack.entries.get(walker.at) else {
            let State { impression, success, checked, code, unproved, unseen, .. } = walker.state;
            let success = success && impression == Impression::Positive;
            // The last module run tells ways apart that come to the same.
            let last = walker.trail.iter().map(|(index, _)| *index).max();
            if ends.insert((success, checked, code, unproved, unseen, last)) {
                let trail = walker.trail;
                ways.push(Way { trail, success, checked, code, unproved, unseen });
            }
            continue;
        };
        if !seen.insert((walker.at, walker.level, walker.state, walker.begins.clone())) {
            continue;
        }
        if walker.level < entry.level {
            walker.begins.truncate(entry.level);
            walker.begins.push((walker.state.impression, walker.state.success));
        }
        walker.level = entry.level;
        if entry.role == Role::Substack {
            walker.at += 1;
            open.push(walker);
            continue;
        }
        if entry.quiet && missing(entry) {
            // What libpam answers in the module's place, whatever stands before the line.
            walker.trail.push((walker.at, MISSING.to_owned()));
            if entry.role == Role::Code {
                walker.state.code = Code::Denied;
            }
            walker.dispatch(&stack.entries, entry, entry.control.action(MISSING), false);
            open.push(walker);
            continue;
        }
        // The last one that is put in is the first one that is gone on with: ways that come to the same
        // are told by their plainest answer.
        for answer in answers(entry).into_iter().rev() {
            let mut next = walker.clone();
            next.trail.push((walker.at, answer.clone()));
            next.answer(&stack.entries, entry, &answer);
            open.push(next);
        }
    }
    ways
}

/// What the module may answer.
fn answers(entry: &Entry) -> Vec<String> {
    let mut answers: Vec<&str> = match entry.role {
        Role::Permit => return vec!["success".to_owned()],
        Role::Deny => return vec!["auth_err".to_owned()],
        Role::Helper => return vec!["success".to_owned(), "ignore".to_owned()],
        Role::Substack => Vec::new(),
        Role::Code => vec!["success", "ignore", "auth_err", "authinfo_unavail", "conv_err"],
        Role::Checker if entry.steps_aside().is_some() => vec!["success", "ignore", "auth_err"],
        Role::Checker => vec!["success", "auth_err"],
        Role::Gate | Role::Unknown => vec!["success", "ignore", "auth_err"],
    };
    answers.extend(entry.control.failures());
    let mut once = BTreeSet::new();
    answers.retain(|answer| once.insert(*answer));
    answers.into_iter().map(str::to_owned).collect()
}

impl Walker {
    fn answer(&mut self, entries: &[Entry], entry: &Entry, answer: &str) {
        let success = answer == "success";
        match entry.role {
            Role::Code => {
                let state = &mut self.state;
                state.unseen |= !state.token;
                state.unproved |=
                    state.impression == Impression::Negative || (state.refused && !state.checked);
                state.code = match answer {
                    "success" => Code::Granted,
                    "ignore" => Code::Exempt,
                    _ => Code::Denied,
                };
            }
            Role::Checker | Role::Unknown => {
                self.state.checked |= success;
                self.state.token |= entry.leaves_token();
                self.state.refused |= !success && answer != "ignore";
            }
            Role::Gate | Role::Helper | Role::Permit | Role::Deny | Role::Substack => {}
        }
        self.dispatch(entries, entry, entry.control.action(answer), success);
    }

    fn dispatch(&mut self, entries: &[Entry], entry: &Entry, action: Action, success: bool) {
        let state = &mut self.state;
        match action {
            Action::Ignore => {}
            Action::Ok | Action::Done => {
                let open = state.impression == Impression::Undefined
                    || (state.impression == Impression::Positive && state.success);
                if open {
                    state.impression = Impression::Positive;
                    state.success = success;
                }
                if action == Action::Done && state.impression == Impression::Positive {
                    return self.decided(entries, entry.level);
                }
            }
            Action::Bad | Action::Die => {
                if state.impression != Impression::Negative {
                    state.impression = Impression::Negative;
                    state.success = false;
                }
                if action == Action::Die {
                    return self.decided(entries, entry.level);
                }
            }
            Action::Reset => {
                if let Some((impression, success)) = self.begins.get(entry.level) {
                    (state.impression, state.success) = (*impression, *success);
                }
            }
            Action::Jump(count) => return self.jump(entries, entry.level, count),
        }
        self.at += 1;
    }

    /// The rest of the stack, or of the substack, is passed over.
    fn decided(&mut self, entries: &[Entry], level: usize) {
        self.at += 1;
        while entries.get(self.at).is_some_and(|entry| entry.level >= level) {
            self.at += 1;
        }
    }

    fn jump(&mut self, entries: &[Entry], level: usize, count: u32) {
        let mut left = count;
        self.at += 1;
        while left > 0 && entries.get(self.at).is_some_and(|entry| entry.level >= level) {
            self.at += 1;
            while entries.get(self.at).is_some_and(|entry| entry.level > level) {
                self.at += 1;
            }
            left -= 1;
        }
        if left > 0 {
            // libpam calls it a bad jump.
            self.state.impression = Impression::Negative;
            self.state.success = false;
        }
    }
}

#[cfg(test)]
mod tests;
