//! What sshd demands besides the stack: no change of the stack changes it, and with a stack that asks for
//! a password again it keeps out who has none.

use serde::Serialize;

use super::{QUESTIONS, SUBJECT, ask, classes::classes, files, settings::QUESTION};
use crate::{
    doctor::{
        finding::Finding,
        host::Host,
        people::{listed, passwordless},
    },
    stack::{needs_password, read},
};

/// The file that the guide has people write.
const OURS: &str = "/etc/ssh/sshd_config.d/10-otpd.conf";

/// sshd's own settings, where they demand what PAM asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Beside {
    /// The line that says so, where one of sshd's files does.
    pub(crate) place: Option<String>,
    /// What takes that back.
    pub(crate) undo: String,
}

impl Beside {
    /// The file that says so.
    pub(crate) fn file(&self) -> Option<&str> {
        self.place.as_ref().and_then(|place| place.rsplit_once(':')).map(|(file, _)| file)
    }

    /// Whether it is this file that says so.
    pub(crate) fn is_in(&self, file: Option<&str>) -> bool {
        file.is_some() && self.file() == file
    }
}

/// Whether `AuthenticationMethods` names keyboard-interactive, for all or by a `Match`.
pub(crate) fn beside(host: &Host) -> Option<Beside> {
    let settings = ask(host, None).ok()?;
    let place = if settings.names_question() {
        files::origin(host, "authenticationmethods")
    } else {
        Some(files::question(host)?)
    };
    // Debian's name of it; Red Hat's is sshd's own.
    let debian = ["/lib", "/usr/lib"].map(|lib| format!("{lib}/systemd/system/ssh.service"));
    let unit = if debian.iter().any(|unit| host.has(unit)) { "ssh" } else { "sshd" };
    let take = match &place {
        Some(place) if place.rsplit_once(':').is_some_and(|(file, _)| file == OURS) => {
            format!("rm {OURS}; systemctl reload {unit}")
        }
        Some(place) => format!(
            "take {QUESTION} out of AuthenticationMethods at {place}; systemctl reload {unit}"
        ),
        None => {
            format!("take {QUESTION} out of AuthenticationMethods of sshd; systemctl reload {unit}")
        }
    };
    Some(Beside { place, undo: take })
}

/// Who has a shell and no password, and is let in by sshd only after a question of PAM's: a stack that
/// asks for a password keeps them out. Empty where that cannot be told, as to whom root's files are shut.
pub(crate) fn stranded(host: &Host) -> Vec<String> {
    let people = passwordless(host);
    if people.is_empty() {
        return Vec::new();
    }
    let matches = files::matches(host);
    let classes = if matches.is_empty() {
        vec![people.into_iter().collect()]
    } else {
        classes(host, &matches, &people)
    };
    let mut names = Vec::new();
    for class in classes.iter().take(QUESTIONS) {
        let user = class.first().filter(|_| !matches.is_empty());
        let Ok(settings) = ask(host, user.map(String::as_str)) else { continue };
        if settings.always_asks() {
            // Whom sshd keeps out whatever the stack says loses nothing by it.
            let root = settings.is("permitrootlogin", "yes");
            names.extend(class.iter().filter(|name| root || *name != "root").cloned());
        }
    }
    names.sort_unstable();
    names
}

/// The problem that it is now. With a code in the stack only `enrolled` people are meant to get in.
pub(in crate::doctor) fn judge(host: &Host, enrolled: Option<&[&str]>) -> Option<Finding> {
    if !needs_password(&read(host, "sshd"), &|entry| host.lacks(entry)) {
        return None;
    }
    let Beside { place, undo } = beside(host)?;
    let mut names = stranded(host);
    names.retain(|name| enrolled.is_none_or(|enrolled| enrolled.contains(&name.as_str())));
    if names.is_empty() {
        return None;
    }
    let place = place.map(|place| format!(" ({place})")).unwrap_or_default();
    let text = format!(
        "by AuthenticationMethods{place} sshd asks for a password, and who has none does not get in: {}",
        listed(&names)
    );
    let remedy = if enrolled.is_some() {
        "for a key in its place: otpctl pam disable sshd, then otpctl pam enable sshd --after key; or \
         give them passwords"
            .to_owned()
    } else {
        format!("{undo}; or otpctl pam enable sshd --after key --trial 10m")
    };
    Some(Finding::problem(SUBJECT, text, remedy))
}

#[cfg(test)]
mod tests {
    use super::{Beside, beside, stranded};
    use crate::doctor::host::{Host, Said};

    const PASSWD: &str = "root:x:0:0::/root:/bin/bash\nann:x:1000:1000::/:/bin/bash\n\
                          bob:x:1001:1001::/:/bin/bash\neve:x:1002:1002::/:/bin/bash\n\
                          robot:x:1003:1003::/:/usr/sbin/nologin\n";
    const SHADOW: &str = "root:*:1::::::\nann:!:1::::::\nbob:$y$x:1::::::\neve:!$6$x:1::::::\n\
                          robot:!:1::::::\n";

    /// A host whose sshd has these `methods` in `file`, and those of `eve` by a Match.
    fn host(root: &std::path::Path, file: &str, methods: &str, eve: Option<&str>) -> Host {
        let write = |path: &str, text: &str| {
            let path = root.join(path);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("folders");
            std::fs::write(path, text).expect("written");
        };
        write("etc/passwd", PASSWD);
        write("etc/shadow", SHADOW);
        let own = eve.map(|own| format!("Match User eve\n  AuthenticationMethods {own}\n"));
        let own = own.unwrap_or_default();
        write("etc/ssh/sshd_config", &format!("Include /etc/ssh/sshd_config.d/*.conf\n{own}"));
        if !methods.is_empty() {
            write(file, &format!("\nAuthenticationMethods {methods}\n"));
        }
        let (methods, eve) = (methods.to_owned(), eve.map(str::to_owned));
        Host::at(root, move |words| {
            let own = words.last().is_some_and(|who| who.starts_with("user=eve"));
            let methods = eve.as_ref().filter(|_| own).unwrap_or(&methods);
            let methods = if methods.is_empty() { "any" } else { methods };
            let output = format!(
                "usepam yes\npubkeyauthentication yes\npermitrootlogin without-password\n\
                 authenticationmethods {methods}\n"
            );
            (words.first() == Some(&"sshd")).then_some(Said {
                success: true,
                output,
                complaint: String::new(),
            })
        })
    }

    const OURS: &str = "etc/ssh/sshd_config.d/10-otpd.conf";
    const BOTH: &str = "publickey,keyboard-interactive";

    #[test]
    fn what_takes_it_back_is_named() {
        let ours = "rm /etc/ssh/sshd_config.d/10-otpd.conf; systemctl reload sshd";
        let line = |place: &str| {
            format!(
                "take keyboard-interactive out of AuthenticationMethods at {place}; systemctl reload \
                 sshd"
            )
        };
        let cases = [
            ("none", OURS, "", None, None),
            ("keys", OURS, "publickey", None, None),
            ("ours", OURS, BOTH, None, Some(("10-otpd.conf:2", ours.to_owned()))),
            (
                "another's",
                "etc/ssh/sshd_config.d/5-site.conf",
                BOTH,
                None,
                Some(("5-site.conf:2", line("/etc/ssh/sshd_config.d/5-site.conf:2"))),
            ),
            (
                "one user's",
                OURS,
                "",
                Some(BOTH),
                Some(("sshd_config:3", line("/etc/ssh/sshd_config:3"))),
            ),
        ];
        for (name, file, methods, eve, expected) in cases {
            let root = tempfile::tempdir().expect("directory");
            let found = beside(&host(root.path(), file, methods, eve));
            let (place, undo) = match &found {
                None => (None, None),
                Some(Beside { place, undo }) => (place.as_deref(), Some(undo)),
            };
            assert_eq!(undo, expected.as_ref().map(|(_, undo)| undo), "{name}");
            let ends = expected.is_none_or(|(end, _)| place.is_some_and(|at| at.ends_with(end)));
            assert!(ends, "{name}: {place:?}");
        }
        let root = tempfile::tempdir().expect("directory");
        let debian = host(root.path(), OURS, BOTH, None);
        let units = root.path().join("lib/systemd/system");
        std::fs::create_dir_all(&units).expect("folders");
        std::fs::write(units.join("ssh.service"), "").expect("written");
        assert!(beside(&debian).is_some_and(|found| found.undo.ends_with("reload ssh")));
    }

    #[test]
    fn who_has_no_password_and_is_always_asked_is_stranded() {
        let cases: [(&str, &str, Option<&str>, &[&str]); 6] = [
            ("any method", "", None, &[]),
            ("keys", "publickey", None, &[]),
            ("both", BOTH, None, &["ann", "eve"]),
            ("either", "publickey keyboard-interactive", None, &[]),
            ("not one", BOTH, Some("publickey"), &["ann"]),
            ("one", "publickey", Some(BOTH), &["eve"]),
        ];
        for (name, methods, eve, expected) in cases {
            let root = tempfile::tempdir().expect("directory");
            assert_eq!(stranded(&host(root.path(), OURS, methods, eve)), expected, "{name}");
        }
        let root = tempfile::tempdir().expect("directory");
        let host = host(root.path(), OURS, BOTH, None);
        std::fs::remove_file(root.path().join("etc/shadow")).expect("removed");
        assert_eq!(stranded(&host), Vec::<String>::new(), "nobody is suspected");
    }
}
