//! Changes to a service's file: the module put in, and taken out again so that nothing is left of it.

use super::{
    Entry, Fault, MODULE, Shelf, Side,
    door::{Door, door},
    judge::judge,
    line::{Line, lines},
    read::read,
    role::Role,
};

/// What stands at the begin of a line that was put aside, and of one above what was put in: behind an
/// own line it would turn what is written there later, such as `exempt_user=root`, into a comment.
const MARK: &str = "#otpctl#";

/// Where Debian's pam-auth-update writes its profiles.
const COMMON: &str = "/etc/pam.d/common-auth:";

/// What is put in.
const CODE: &str = "auth requisite pam_otp.so\n";

/// The same below what leaves nothing that the module could see.
const BELIEVING: &str = "auth requisite pam_otp.so first_factor_checked\n";

/// Stands above the line that lets in who is exempt from codes.
const PERMITTED: &str = "#otpctl# and those who are exempt from it come in\n";

/// What checks who somebody is before the code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum First {
    /// What the stack has: a password, as a rule.
    Stack,
    /// A key, which sshd checks itself; what the stack has is put aside.
    Key,
}

/// Why a file is left as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The stack asks for a code already: in this file, or in another one.
    Already(String),
    /// The stack does not ask for a code.
    Not,
    /// The module comes by another file.
    Elsewhere(String),
    /// With the module the stack would be wrong in these ways.
    Wrong(Vec<Fault>),
    /// There is no place for the module; nothing in the stack checks who somebody is.
    Nothing,
    /// A module that this program does not know: what it does to the stack cannot be told.
    Unknown(String),
    /// A file that would have to be put aside says more than what is about `auth`.
    Mixed(String),
    /// Without the module everybody would get in.
    Open,
    /// Without the module nobody would get in.
    Shut,
}

impl Refusal {
    /// Why, and what to do, in words.
    pub(crate) fn text(&self, service: &str) -> String {
        match self {
            Self::Already(place) => format!("{place}: {service} asks for a code already"),
            Self::Not => format!("{service} asks for no code"),
            Self::Elsewhere(place) if place.starts_with(COMMON) => format!(
                "{place}: {MODULE} comes by that file, which pam-auth-update writes for all services; \
                 run: pam-auth-update --disable otpd (where the line was put in by hand: take it out \
                 by hand)"
            ),
            Self::Elsewhere(place) => format!(
                "{place}: {MODULE} comes by that file, which other services may use too; take the \
                 line out there (authselect, or by hand)"
            ),
            Self::Wrong(faults) => {
                let faults =
                    faults.iter().map(|fault| format!("{} ({})", fault.what(), fault.remedy()));
                format!("the stack would be wrong: {}", faults.collect::<Vec<_>>().join("; "))
            }
            Self::Nothing => format!(
                "nothing in the stack of {service} checks who somebody is before the code; for \
                 keys that sshd checks add --after key"
            ),
            Self::Unknown(place) => {
                format!(
                    "{place}: this module is not known here; put the line in by hand and see \
                         what `otpctl doctor --service {service}` says"
                )
            }
            Self::Mixed(place) => format!(
                "{place} brings more than what is about auth, and cannot be put aside; put the \
                 lines in by hand (see pam_otp(8))"
            ),
            Self::Open => format!(
                "without {MODULE} everybody would get in by {service}; write the stack anew by hand"
            ),
            Self::Shut => format!(
                "without {MODULE} nobody would get in by {service}; write the stack anew by hand"
            ),
        }
    }
}

/// `text`, the file of `service`, with the module in it.
///
/// # Errors
/// [`Refusal`] where the stack would not be one of those that are supported.
pub(crate) fn enable(
    shelf: &dyn Shelf,
    missing: &dyn Fn(&Entry) -> bool,
    (service, file, text): (&str, &str, &str),
    first: First,
) -> Result<String, Refusal> {
    let stack = read(shelf, service);
    if let Some(entry) = stack.entries.iter().find(|entry| entry.role == Role::Code) {
        return Err(Refusal::Already(entry.place.to_string()));
    }
    if !stack.troubles.is_empty() {
        let faults = stack.troubles.into_iter().map(Fault::Broken).collect();
        return Err(Refusal::Wrong(faults));
    }
    let candidates = match first {
        First::Stack => after_each(text, service, CODE),
        First::Key => vec![instead(shelf, file, text, service)?],
    };
    let judged = |candidate: &str| {
        let stack = read(&Instead { shelf, service, file, text: candidate }, service);
        judge(&stack, missing)
    };
    let mut refusal = Refusal::Nothing;
    for (index, candidate) in candidates.into_iter().enumerate() {
        let mut judgement = judged(&candidate);
        let mut candidate = candidate;
        // What checked somebody must have said yes: the module may be told so, since it cannot see it.
        if let [Fault::Unseen(_, true)] = judgement.faults[..]
            && let Some(believing) = after_each(text, service, BELIEVING).into_iter().nth(index)
        {
            judgement = judged(&believing);
            candidate = believing;
        }
        let unknown = judgement.sides.iter().find_map(|side| match side {
            Side::Unknown(place, module) => Some(format!("{place}: {module}")),
            Side::FailSafe(_) | Side::GoesOn(_) | Side::Behind(..) => None,
        });
        match (judgement.alone == (first == First::Key), unknown) {
            (_, Some(unknown)) => return Err(Refusal::Unknown(unknown)),
            (true, None) if judgement.faults.is_empty() => return Ok(candidate),
            (true, None) => refusal = Refusal::Wrong(judgement.faults),
            (false, None) => {}
        }
    }
    Err(refusal)
}

/// `text`, the file of `service`, without the module: byte for byte what it was before [`enable`].
///
/// # Errors
/// [`Refusal`] where the module is not in this file, or too much would hang on what is left.
pub(crate) fn disable(
    shelf: &dyn Shelf,
    missing: &dyn Fn(&Entry) -> bool,
    (service, file, text): (&str, &str, &str),
) -> Result<String, Refusal> {
    if !read(shelf, service).asks() {
        return Err(Refusal::Not);
    }
    let mut kept = String::with_capacity(text.len());
    let mut drop_until = 0;
    let mut unended = false;
    let marked = |first: usize| {
        let above = first.checked_sub(2).and_then(|above| text.split_inclusive('\n').nth(above));
        above == Some(PERMITTED)
    };
    let is_ours = |(first, _, line): &(usize, usize, Line)| {
        is_code(line) || is_permit(line) && marked(*first)
    };
    let ours = lines(text).into_iter().filter(is_ours);
    let ours = ours.map(|(first, count, _)| (first, first + count)).collect::<Vec<_>>();
    for (index, line) in text.split_inclusive('\n').enumerate() {
        let number = index + 1;
        if let Some((_, end)) = ours.iter().find(|(first, _)| *first == number) {
            drop_until = *end;
        }
        let aside = line.strip_prefix(MARK).and_then(|rest| rest.strip_prefix(": "));
        if let Some(aside) = aside {
            kept.push_str(aside);
        } else if line.starts_with(MARK) {
            unended |= line.ends_with(UNENDED);
        } else if number >= drop_until {
            kept.push_str(line);
            // Where something was written below, the line above needs its end.
            unended = false;
        }
    }
    if unended && kept.ends_with('\n') {
        kept.pop();
    }
    let stack = read(&Instead { shelf, service, file, text: &kept }, service);
    if let Some(entry) = stack.entries.iter().find(|entry| entry.role == Role::Code) {
        return Err(Refusal::Elsewhere(entry.place.to_string()));
    }
    match door(&stack, missing) {
        Door::Guarded => Ok(kept),
        Door::Open => Err(Refusal::Open),
        Door::Shut => Err(Refusal::Shut),
    }
}

fn is_code(line: &Line) -> bool {
    match line {
        Line::Rule(rule) => {
            rule.facility == "auth" && rule.module.rsplit('/').next() == Some(MODULE)
        }
        Line::Include(_) | Line::Unreadable(_) | Line::Torn | Line::Long => false,
    }
}

fn is_permit(line: &Line) -> bool {
    match line {
        Line::Rule(rule) => rule.facility == "auth" && Role::of(&rule.module) == Role::Permit,
        Line::Include(_) | Line::Unreadable(_) | Line::Torn | Line::Long => false,
    }
}

/// True for a line that brings something to the `auth` stack.
fn is_auth(line: &Line) -> bool {
    match line {
        Line::Include(_) => true,
        Line::Rule(rule) => rule.facility == "auth",
        Line::Unreadable(_) | Line::Torn | Line::Long => false,
    }
}

/// Says above what was put in that the line before it had no end: it is to be as it was.
const UNENDED: &str = ", with the end of the line above\n";

fn announced(service: &str) -> String {
    format!("{MARK} a code after the first factor; `otpctl pam disable {service}` takes this out\n")
}

/// The module, as `line` has it, after the first line about `auth`, after the second one, and so on.
fn after_each(text: &str, service: &str, line: &str) -> Vec<String> {
    let code = announced(service) + line;
    let about = lines(text).into_iter().filter(|(_, _, line)| is_auth(line));
    let ends = about.map(|(first, count, _)| first + count - 1);
    ends.map(|end| {
        let mut edited = String::with_capacity(text.len() + code.len());
        for (index, line) in text.split_inclusive('\n').enumerate() {
            edited.push_str(line);
            if index + 1 != end {
                continue;
            }
            if line.ends_with('\n') {
                edited.push_str(&code);
            } else {
                edited.push('\n');
                edited.push_str(&code.replacen('\n', UNENDED, 1));
            }
        }
        edited
    })
    .collect()
}

/// The module in the place of what checks passwords, and `pam_permit.so` below it for those who are
/// exempt.
fn instead(shelf: &dyn Shelf, file: &str, text: &str, service: &str) -> Result<String, Refusal> {
    let mut aside = Vec::new();
    for (first, count, line) in lines(text) {
        let replaced = match &line {
            Line::Include(name) => {
                let brought = shelf.service(name).map(|(_, text)| lines(&text)).unwrap_or_default();
                let is_ours = |line: &Line| is_auth(line);
                let mixed = brought.iter().any(|(_, _, line)| !is_ours(line));
                if mixed && brought.iter().any(|(_, _, line)| is_ours(line)) {
                    return Err(Refusal::Mixed(format!("{file}:{first}: {name}")));
                }
                !mixed && !brought.is_empty()
            }
            Line::Rule(rule) if rule.facility == "auth" => match Role::of(&rule.module) {
                Role::Gate | Role::Helper => false,
                Role::Unknown if matches!(&*rule.control, "include" | "substack") => true,
                Role::Unknown => {
                    return Err(Refusal::Unknown(format!("{file}:{first}: {}", rule.module)));
                }
                Role::Code | Role::Checker | Role::Permit | Role::Deny | Role::Substack => true,
            },
            Line::Rule(_) | Line::Unreadable(_) | Line::Torn | Line::Long => false,
        };
        if replaced {
            aside.push((first, first + count));
        }
    }
    let Some(start) = aside.first().map(|(first, _)| *first) else { return Err(Refusal::Nothing) };
    let mut edited = String::with_capacity(text.len() * 2);
    for (index, line) in text.split_inclusive('\n').enumerate() {
        let number = index + 1;
        if number == start {
            edited += &announced(service);
            edited += CODE;
            edited += PERMITTED;
            edited += "auth required pam_permit.so\n";
        }
        if aside.iter().any(|(first, end)| (*first..*end).contains(&number)) {
            edited += MARK;
            edited += ": ";
        }
        edited.push_str(line);
    }
    Ok(edited)
}

/// The shelf with another text in the place of one file.
pub(crate) struct Instead<'a> {
    /// Where the others come from.
    pub(crate) shelf: &'a dyn Shelf,
    /// Whose file it is.
    pub(crate) service: &'a str,
    /// Its path.
    pub(crate) file: &'a str,
    /// What it says.
    pub(crate) text: &'a str,
}

impl Shelf for Instead<'_> {
    fn service(&self, name: &str) -> Option<(String, String)> {
        if name == self.service || name == self.file {
            return Some((self.file.to_owned(), self.text.to_owned()));
        }
        self.shelf.service(name)
    }
}

#[cfg(test)]
mod tests;
