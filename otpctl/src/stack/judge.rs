//! Whether a stack asks for a code as it must: after a first factor, of everybody, with a denial that
//! is the end.

mod words;

use std::{path::PathBuf, time::Duration};

use otp_proto::args::{self, FailMode};

use super::{
    control::Action,
    read::{Entry, Place, Stack, Trouble},
    role::Role,
    walk::{Code, MISSING, Way, ways},
};

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// `libpam` cannot run the stack as it is written.
    Broken(Trouble),
    /// A module's file is not there.
    NoModule(Place, String),
    /// Somebody gets in although no code was asked for.
    PassedBy(Culprit),
    /// Somebody gets in although the code was wrong, or could not be asked for.
    NotFinal(Culprit, String),
    /// A code is sent to somebody whose first factor was wrong.
    Unproved(Culprit),
    /// A module that checks who somebody is steps aside, and who it spares gets in all the same.
    StepsAside(Culprit, String),
    /// A jump leads past what checks who somebody is, and who is exempt gets in by it.
    Unchecked(Culprit),
    /// A module that checks who somebody is leaves nothing by which the code's module sees it, and every
    /// code is refused. It must have said yes by then, or another has: the argument may be given.
    Unseen(Culprit, bool),
    /// Nobody gets in, with whatever code.
    Closed,
    /// Who is exempt from codes does not get in.
    ExemptKeptOut(Place),
    /// The module stands in it twice.
    Twice(Place),
    /// If the module were missing, nobody would get in, and no log would say why.
    Quiet(Place),
    /// An argument is wrong; in the module's words.
    Argument(Place, String),
    /// The module waits for less time than the daemon may need.
    Hasty(Place, Duration),
}

impl Fault {
    /// Whether the argument may be given, for what the module does not see.
    pub(crate) fn unseen(&self) -> Option<bool> {
        if let Self::Unseen(_, sure) = self { Some(*sure) } else { None }
    }
}

/// The module by which it happens.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "facts of one line that do not exclude each other"
)]
pub(crate) struct Culprit {
    /// Where it stands.
    pub(crate) place: Place,
    /// Its file name.
    pub(crate) module: String,
    /// Its control as written.
    pub(crate) control: String,
    /// It checks who somebody is.
    pub(crate) checks: bool,
    /// It may refuse, and its success proves nothing.
    pub(crate) gate: bool,
    /// It passes over what follows, by a number.
    pub(crate) jumps: bool,
    /// It stands in a substack, where a denial is not the end.
    pub(crate) inside: bool,
}

/// Something worth knowing that is not wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Side {
    /// While nothing listens at otpd's socket, nobody is asked for a code.
    FailSafe(Place),
    /// Modules below run also after a denial.
    GoesOn(Place),
    /// An argument of the module's stands in a comment, where it does nothing.
    Behind(Place, String),
    /// A module that this program does not know; it was taken for one that checks a first factor.
    Unknown(Place, String),
}

/// What is to be said about a stack that has the module.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Judgement {
    /// What is wrong.
    pub(crate) faults: Vec<Fault>,
    /// What is worth knowing.
    pub(crate) sides: Vec<Side>,
    /// Nothing in the stack checks a first factor: sshd must have done it.
    pub(crate) alone: bool,
    /// The module is told to believe that something did.
    pub(crate) believes: bool,
    /// Who is never asked.
    pub(crate) exempt: Vec<String>,
    /// Where a program that root runs is let in before the code: `pam_rootok.so`.
    pub(crate) root_in: Option<Place>,
    /// root is turned away before the code: `pam_succeed_if.so user != root`.
    pub(crate) root_out: bool,
    /// Where the daemon is looked for.
    pub(crate) socket: Option<PathBuf>,
}

impl Culprit {
    fn of(entry: &Entry) -> Self {
        Self {
            place: entry.place.clone(),
            module: entry.name().to_owned(),
            control: entry.control.text.clone(),
            checks: entry.role == Role::Checker,
            gate: entry.role == Role::Gate,
            jumps: matches!(entry.control.action("success"), Action::Jump(_)),
            inside: entry.level > 0,
        }
    }
}

/// Judges `stack`; `missing` says whose file is not there.
pub(crate) fn judge(stack: &Stack, missing: &dyn Fn(&Entry) -> bool) -> Judgement {
    let mut judgement = Judgement::default();
    judgement.faults.extend(stack.troubles.iter().cloned().map(Fault::Broken));
    // What does not run as it is written has nothing more to be judged.
    if !judgement.faults.is_empty() {
        return judgement;
    }
    for entry in &stack.entries {
        // Behind a minus it may be missing where nothing hangs on it, and never the module itself.
        let needed = !entry.quiet
            || entry.role == Role::Code
            || entry.control.action(MISSING) != Action::Ignore;
        if entry.role != Role::Substack && needed && missing(entry) {
            let module = entry.module.clone();
            judgement.faults.push(Fault::NoModule(entry.place.clone(), module));
        }
        if entry.role == Role::Unknown && !(entry.quiet && missing(entry)) {
            let name = entry.name().to_owned();
            judgement.sides.push(Side::Unknown(entry.place.clone(), name));
        }
    }
    let codes = stack.entries.iter().enumerate().filter(|(_, entry)| entry.role == Role::Code);
    let codes = codes.collect::<Vec<_>>();
    let above = codes.first().map_or(stack.entries.len(), |(first, _)| *first);
    let above = || stack.entries.iter().take(above);
    judgement.root_in = above().find(|entry| lets_root_in(entry)).map(|entry| entry.place.clone());
    judgement.root_out = above().any(keeps_root_out);
    let Some((first, code)) = codes.first().copied() else { return judgement };
    for (_, again) in codes.iter().skip(1) {
        judgement.faults.push(Fault::Twice(again.place.clone()));
    }
    for (_, entry) in &codes {
        judgement.line(entry);
    }
    judgement.alone = !stack.entries.iter().take(first).any(proves);
    judgement.ways(stack, first, code, &ways(stack, missing));
    judgement
}

impl Judgement {
    fn ways(&mut self, stack: &Stack, first: usize, code: &Entry, ways: &[Way]) {
        let entry = |index: usize| stack.entries.get(index);
        let mut blamed = Vec::new();
        for way in ways.iter().filter(|way| way.success && way.code == Code::Unasked) {
            let last = way.trail.iter().rev().find(|(index, _)| *index < first);
            let Some(culprit) = last.and_then(|(index, _)| entry(*index)).map(Culprit::of) else {
                continue;
            };
            if !blamed.contains(&culprit.place) {
                blamed.push(culprit.place.clone());
                self.faults.push(Fault::PassedBy(culprit));
            }
        }
        let passed = |way: &&Way| way.success && way.code == Code::Denied;
        if let Some(way) = ways.iter().find(passed) {
            let answer = way.trail.iter().find(|(index, _)| *index == first);
            let answer = answer.map(|(_, answer)| answer.clone()).unwrap_or_default();
            self.faults.push(Fault::NotFinal(Culprit::of(code), answer));
        }
        for way in ways.iter().filter(|way| way.unproved) {
            let above = way.trail.iter().filter(|(index, _)| *index < first);
            let mut refusals = above.filter(|(index, answer)| {
                // That one is missing is said by itself.
                let refuses = !matches!(answer.as_str(), "success" | "ignore" | MISSING);
                // pam_rootok.so that is `sufficient` says no to everybody else, and it bears on nothing.
                let bears = entry(*index).is_some_and(|entry| {
                    proves(entry) || entry.control.action(answer) != Action::Ignore
                });
                refuses && bears
            });
            let Some(culprit) = refusals.next_back().and_then(|(index, _)| entry(*index)) else {
                continue;
            };
            let culprit = Culprit::of(culprit);
            if !blamed.contains(&culprit.place) {
                blamed.push(culprit.place.clone());
                self.faults.push(Fault::Unproved(culprit));
            }
        }
        // Of what lets in before the code, or sends it to anybody, something worse is said.
        let worse = |fault: &Fault| matches!(fault, Fault::PassedBy(_) | Fault::Unproved(_));
        if !self.alone && !self.believes && !self.faults.iter().any(worse) {
            self.unseen(stack, first, ways);
        }
        if !self.alone {
            self.unchecked(stack, first, ways, &mut blamed);
        }
        let opens = |code: Code| ways.iter().any(|way| way.success && way.code == code);
        // Who gets in past the code gets in with whatever code, exempt or not.
        let passed = self.faults.iter().any(|fault| matches!(fault, Fault::PassedBy(_)));
        if !passed && !opens(Code::Granted) {
            self.faults.push(Fault::Closed);
        } else if !passed && !opens(Code::Exempt) {
            self.faults.push(Fault::ExemptKeptOut(code.place.clone()));
        }
        if entry_goes_on(code) {
            self.sides.push(Side::GoesOn(code.place.clone()));
        }
    }

    /// The ways on which something has checked who somebody is, and the module cannot see it.
    fn unseen(&mut self, stack: &Stack, first: usize, ways: &[Way]) {
        let granted = || ways.iter().filter(|way| way.success && way.code == Code::Granted);
        let sure = granted().all(|way| way.checked && !way.unproved);
        let last = |way: &Way| {
            let above = way.trail.iter().rev().filter(|(index, _)| *index < first);
            let said_yes = above.filter(|(_, answer)| answer == "success");
            said_yes.filter_map(|(index, _)| stack.entries.get(*index)).find(|entry| proves(entry))
        };
        let mut blind = granted().filter(|way| way.unseen && way.checked);
        // One line is told, however many ways lead by it.
        if let Some(entry) = blind.find_map(last) {
            self.faults.push(Fault::Unseen(Culprit::of(entry), sure));
        }
    }

    /// The ways in for those who were checked by nothing, although something is there to do it. Where
    /// nothing is, sshd's settings decide.
    fn unchecked(&mut self, stack: &Stack, first: usize, ways: &[Way], blamed: &mut Vec<Place>) {
        for way in ways.iter().filter(|way| way.success && !way.checked && !way.unproved) {
            let exempt = match way.code {
                Code::Exempt => true,
                Code::Granted => false,
                // Of these something worse is said.
                Code::Unasked | Code::Denied => continue,
            };
            let above = way.trail.iter().rev().filter(|(index, _)| *index < first);
            let above =
                above.filter_map(|(index, answer)| Some((stack.entries.get(*index)?, answer)));
            let aside = above.clone().find_map(|(entry, answer)| {
                let word = entry.steps_aside().filter(|_| answer == "ignore")?;
                Some((Culprit::of(entry), word.to_owned()))
            });
            let mut jumps = above.filter(|(entry, answer)| {
                // Who is believed to be checked needs the phone alone.
                matches!(entry.control.action(answer), Action::Jump(_)) && (exempt || self.believes)
            });
            let fault = match aside {
                Some((culprit, word)) => Fault::StepsAside(culprit, word),
                None => match jumps.next() {
                    Some((entry, _)) => Fault::Unchecked(Culprit::of(entry)),
                    None => continue,
                },
            };
            if let Fault::StepsAside(by, _) | Fault::Unchecked(by) = &fault
                && !blamed.contains(&by.place)
            {
                blamed.push(by.place.clone());
                self.faults.push(fault);
            }
        }
    }

    /// What the module's own line says.
    fn line(&mut self, entry: &Entry) {
        if entry.quiet {
            self.faults.push(Fault::Quiet(entry.place.clone()));
        }
        for word in entry.comment.iter().filter(|word| is_argument(word)) {
            self.sides.push(Side::Behind(entry.place.clone(), word.clone()));
        }
        let (args, errors) = args::parse(entry.arguments.iter().map(String::as_bytes));
        let argument = |error| Fault::Argument(entry.place.clone(), error);
        self.faults.extend(errors.into_iter().map(argument));
        if args.timeout < args::TIMEOUT {
            self.faults.push(Fault::Hasty(entry.place.clone(), args.timeout));
        }
        if args.failmode == FailMode::Safe {
            self.sides.push(Side::FailSafe(entry.place.clone()));
        }
        self.exempt.extend(args.exempt_users);
        self.believes |= args.first_factor_checked;
        self.socket = Some(args.socket);
    }
}

/// True for what checks who somebody is, or may do so.
fn proves(entry: &Entry) -> bool {
    matches!(entry.role, Role::Checker | Role::Unknown)
}

/// True for what lets in a program that root runs, without a further question. In a substack it ends
/// the substack alone.
fn lets_root_in(entry: &Entry) -> bool {
    let opens = match entry.control.action("success") {
        Action::Done => entry.level == 0,
        Action::Jump(_) => true,
        Action::Ok | Action::Ignore | Action::Bad | Action::Die | Action::Reset => false,
    };
    opens && entry.name() == "pam_rootok.so"
}

/// True for the line by which display managers turn root away.
fn keeps_root_out(entry: &Entry) -> bool {
    let refuses = matches!(entry.control.action("auth_err"), Action::Bad | Action::Die);
    let asked = entry.arguments.iter().map(String::as_str).collect::<Vec<_>>();
    let root = asked.windows(3).any(|words| matches!(words, ["user", "!=", "root"]));
    refuses && root && entry.name() == "pam_succeed_if.so"
}

/// True for a word that looks like one of the module's arguments.
fn is_argument(word: &str) -> bool {
    let names = ["exempt_user=", "failmode=", "timeout=", "socket="];
    word == "first_factor_checked" || names.iter().any(|name| word.starts_with(name))
}

/// True where a denial is kept and the modules below run all the same.
fn entry_goes_on(code: &Entry) -> bool {
    code.control.action("auth_err") == Action::Bad
}

#[cfg(test)]
mod tests;
