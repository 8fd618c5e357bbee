//! What is done with a module's answer: pam.conf(5), "control".

use std::collections::BTreeMap;

/// What `libpam` does after an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// Nothing.
    Ignore,
    /// The answer counts, unless one before it was bad.
    Ok,
    /// The same, and the stack (or the substack) ends unless one before it was bad.
    Done,
    /// The stack fails, and goes on.
    Bad,
    /// The stack fails and ends (or the substack does).
    Die,
    /// As if nothing of the stack (or the substack) had been run yet.
    Reset,
    /// So many modules are passed over.
    Jump(u32),
}

/// What is done with each answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Control {
    /// As it is written.
    pub(crate) text: String,
    named: BTreeMap<String, Action>,
    rest: Action,
}

impl Control {
    /// Reads a control: a word, or rules in brackets.
    ///
    /// # Errors
    /// What `libpam` does not understand either; the stack fails there.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let rules = match text.to_ascii_lowercase().as_str() {
            "required" => "success=ok new_authtok_reqd=ok ignore=ignore default=bad",
            "requisite" => "success=ok new_authtok_reqd=ok ignore=ignore default=die",
            "sufficient" => "success=done new_authtok_reqd=done default=ignore",
            "optional" => "success=ok new_authtok_reqd=ok default=ignore",
            _ => text
                .strip_prefix('[')
                .and_then(|text| text.strip_suffix(']'))
                .ok_or_else(|| format!("`{text}` is no control"))?,
        };
        let mut control = Self { text: text.to_owned(), named: BTreeMap::new(), rest: Action::Bad };
        let mut rest = None;
        for rule in rules.split_whitespace() {
            let (answer, action) =
                rule.split_once('=').ok_or_else(|| format!("`{rule}` is no rule"))?;
            // Only a control that is one word may be written in capital letters.
            let action = match action {
                "ignore" => Action::Ignore,
                "ok" => Action::Ok,
                "done" => Action::Done,
                "bad" => Action::Bad,
                "die" => Action::Die,
                "reset" => Action::Reset,
                number => match number.parse() {
                    Ok(number @ 1..) if action.bytes().all(|byte| byte.is_ascii_digit()) => {
                        Action::Jump(number)
                    }
                    Ok(_) | Err(_) => return Err(format!("`{rule}` is no rule")),
                },
            };
            match answer {
                // Of two, libpam takes the first.
                "default" => rest = rest.or(Some(action)),
                answer if ANSWERS.contains(&answer) => {
                    control.named.insert(answer.to_owned(), action);
                }
                answer => return Err(format!("no module answers `{answer}`")),
            }
        }
        control.rest = rest.unwrap_or(Action::Bad);
        Ok(control)
    }

    /// What is done after this answer.
    pub(super) fn action(&self, answer: &str) -> Action {
        self.named.get(answer).copied().unwrap_or(self.rest)
    }

    /// The answers that it tells from the rest, besides success and ignore.
    pub(super) fn failures(&self) -> impl Iterator<Item = &str> {
        let names = self.named.keys().map(String::as_str);
        names.filter(|name| !matches!(*name, "success" | "ignore" | "new_authtok_reqd"))
    }
}

/// Every answer a rule may name: `_pam_aconf.h` of Linux-PAM.
const ANSWERS: [&str; 32] = [
    "success",
    "open_err",
    "symbol_err",
    "service_err",
    "system_err",
    "buf_err",
    "perm_denied",
    "auth_err",
    "cred_insufficient",
    "authinfo_unavail",
    "user_unknown",
    "maxtries",
    "new_authtok_reqd",
    "acct_expired",
    "session_err",
    "cred_unavail",
    "cred_expired",
    "cred_err",
    "no_module_data",
    "conv_err",
    "authtok_err",
    "authtok_recover_err",
    "authtok_lock_busy",
    "authtok_disable_aging",
    "try_again",
    "ignore",
    "abort",
    "authtok_expired",
    "module_unknown",
    "bad_item",
    "conv_again",
    "incomplete",
];

#[cfg(test)]
mod tests {
    use super::{Action, Control};

    #[test]
    fn controls_mean_what_pam_conf_says() {
        let cases = [
            ("required", "success", Action::Ok),
            ("required", "auth_err", Action::Bad),
            ("requisite", "auth_err", Action::Die),
            ("requisite", "ignore", Action::Ignore),
            ("sufficient", "success", Action::Done),
            ("sufficient", "auth_err", Action::Ignore),
            ("optional", "conv_err", Action::Ignore),
            ("REQUIRED", "success", Action::Ok),
            ("[success=1 default=ignore]", "success", Action::Jump(1)),
            ("[success=1 default=ignore]", "abort", Action::Ignore),
            ("[success=ok]", "abort", Action::Bad),
            ("[success=2 default=reset]", "auth_err", Action::Reset),
            ("[default=ok success=ok default=die]", "auth_err", Action::Ok),
            ("[success=die success=ok]", "success", Action::Ok),
        ];
        for (text, answer, expected) in cases {
            let control = Control::parse(text).expect(text);
            assert_eq!(control.action(answer), expected, "{text} {answer}");
        }
    }

    #[test]
    fn what_libpam_does_not_understand_is_an_error() {
        let cases = [
            "requird",
            "[success=1",
            "[success]",
            "[success=maybe]",
            "[succes=ok]",
            "",
            // As tried with libpam 1.5.2: with these every answer is a bad one.
            "[success=0 default=ignore]",
            "[success=ok default=0]",
            "[SUCCESS=ok]",
            "[success=OK]",
            "[success=+1]",
        ];
        for text in cases {
            assert!(Control::parse(text).is_err(), "{text}");
        }
    }
}
