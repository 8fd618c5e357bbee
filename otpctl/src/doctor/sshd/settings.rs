//! What `sshd -T` prints: a keyword in small letters and its value, a line each.

use std::collections::BTreeMap;

/// The method by which sshd asks what PAM asks.
pub(super) const QUESTION: &str = "keyboard-interactive";

/// The settings in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::doctor) struct Settings(BTreeMap<String, String>);

/// Which methods let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Methods {
    /// Each that is on, by itself.
    Any,
    /// Each of these lists, all of its methods in order.
    Lists(Vec<Vec<String>>),
}

impl Settings {
    /// Reads the output. A keyword that may be given more than once keeps its first value.
    pub(super) fn parse(output: &str) -> Self {
        let mut settings = BTreeMap::new();
        for line in output.lines() {
            let (keyword, value) = line.trim().split_once(' ').unwrap_or((line.trim(), ""));
            let value = value.trim().to_owned();
            settings.entry(keyword.to_ascii_lowercase()).or_insert(value);
        }
        Self(settings)
    }

    /// A value as it is printed.
    pub(in crate::doctor) fn get(&self, keyword: &str) -> Option<&str> {
        self.0.get(keyword).map(String::as_str)
    }

    /// Whether a keyword has this value.
    pub(in crate::doctor) fn is(&self, keyword: &str, value: &str) -> bool {
        self.get(keyword) == Some(value)
    }

    /// A value that is a number.
    pub(super) fn number(&self, keyword: &str) -> Option<u64> {
        self.get(keyword)?.parse().ok()
    }

    /// Which methods let in.
    pub(super) fn methods(&self) -> Methods {
        match self.get("authenticationmethods") {
            None | Some("any" | "") => Methods::Any,
            Some(lists) => {
                // A device may stand behind a colon: keyboard-interactive:pam.
                let method = |word: &str| word.split(':').next().unwrap_or_default().to_owned();
                let list = |list: &str| list.split(',').map(method).collect();
                Methods::Lists(lists.split_whitespace().map(list).collect())
            }
        }
    }

    /// Whether a list names the method that asks what PAM asks.
    pub(super) fn names_question(&self) -> bool {
        match self.methods() {
            Methods::Any => false,
            Methods::Lists(lists) => lists.iter().flatten().any(|method| method == QUESTION),
        }
    }

    /// Whether nobody gets in without an answer to what PAM asks.
    pub(super) fn always_asks(&self) -> bool {
        let asks = |method: &String| method == QUESTION || method == "password";
        let off = |method: &String| {
            let keyword = match method.as_str() {
                "publickey" => "pubkeyauthentication",
                "hostbased" => "hostbasedauthentication",
                "gssapi-with-mic" => "gssapiauthentication",
                _ => return false,
            };
            self.is(keyword, "no")
        };
        let asked = match self.methods() {
            Methods::Any => self.others().is_empty(),
            // sshd passes over a list with a method that is off.
            Methods::Lists(lists) => {
                lists.iter().filter(|list| !list.iter().any(off)).all(|list| list.iter().any(asks))
            }
        };
        asked && self.is("usepam", "yes")
    }

    /// Whether every list has something behind which PAM asks: a key, a host, a ticket. One with `password` is
    /// none, since that method asks PAM too, and cannot show a question.
    pub(super) fn asks_behind(&self) -> bool {
        let behind = |list: &Vec<String>| {
            list.iter().position(|method| method == QUESTION).is_some_and(|at| at > 0)
                && !list.iter().any(|method| method == "password")
        };
        let asked = match self.methods() {
            Methods::Any => false,
            Methods::Lists(lists) => lists.iter().all(behind),
        };
        asked && self.is("usepam", "yes")
    }

    /// Whether the method `password` by itself may let in.
    pub(super) fn takes_password(&self) -> bool {
        match self.methods() {
            Methods::Any => true,
            Methods::Lists(lists) => lists.iter().any(|list| *list == ["password"]),
        }
    }

    /// The methods that are on and ask PAM for nothing.
    pub(super) fn others(&self) -> Vec<&'static str> {
        let others = [
            ("pubkeyauthentication", "a key"),
            ("hostbasedauthentication", "a trusted host"),
            ("gssapiauthentication", "a Kerberos ticket"),
        ];
        let on = others.iter().filter(|(keyword, _)| self.is(keyword, "yes"));
        on.map(|(_, name)| *name).collect()
    }
}

/// A keyword as people write it.
pub(super) fn spelled(keyword: &str) -> &str {
    match keyword {
        "usepam" => "UsePAM",
        "kbdinteractiveauthentication" => "KbdInteractiveAuthentication",
        "passwordauthentication" => "PasswordAuthentication",
        "authenticationmethods" => "AuthenticationMethods",
        "pamservicename" => "PAMServiceName",
        "permitrootlogin" => "PermitRootLogin",
        "logingracetime" => "LoginGraceTime",
        "maxstartups" => "MaxStartups",
        "maxauthtries" => "MaxAuthTries",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::Settings;

    #[test]
    fn who_is_always_asked_is_known() {
        let cases = [
            ("any", "yes", false, false),
            ("any", "no", false, true),
            ("publickey,keyboard-interactive", "yes", true, true),
            ("publickey,keyboard-interactive:pam", "yes", true, true),
            ("publickey keyboard-interactive", "yes", true, false),
            ("publickey keyboard-interactive", "no", true, true),
            ("publickey,password", "yes", false, true),
            ("publickey", "yes", false, false),
        ];
        for (methods, keys, names, always) in cases {
            let text = format!(
                "usepam yes\npubkeyauthentication {keys}\nauthenticationmethods {methods}\n"
            );
            let settings = Settings::parse(&text);
            let found = (settings.names_question(), settings.always_asks());
            assert_eq!(found, (names, always), "{methods} {keys}");
        }
        let without = Settings::parse("usepam no\nauthenticationmethods keyboard-interactive\n");
        assert!(!without.always_asks(), "PAM is not asked");
    }
}
