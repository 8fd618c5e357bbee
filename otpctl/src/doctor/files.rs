//! Whether files that decide who gets in can be written by root alone, and secrets read by otpd alone.

use super::{
    finding::Finding,
    host::{Host, Owned},
};

const SUBJECT: &str = "files";

/// What may be done with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Care {
    /// Written by root alone.
    Kept,
    /// Written by root or otpd's user alone.
    Own,
    /// Written by root or otpd's user, and read by them (and its group) alone; otpd reads it itself.
    Secret,
    /// The same, but for otpd: systemd reads it, as root, and hands it over.
    Credential,
    /// The same as a secret, and written by otpd.
    State,
}

/// otpd's user, as the database of users has it. Whose its state is proves nothing: it may be wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
struct User {
    uid: u32,
    groups: Vec<u32>,
}

impl User {
    fn of(host: &Host) -> Option<Self> {
        let told = host.run(&["getent", "passwd", "otpd"]).filter(|said| said.success)?;
        let mut fields = told.output.lines().next()?.split(':').skip(2);
        let uid = fields.next()?.parse().ok()?;
        let own = fields.next()?.parse().ok()?;
        let more = host.run(&["id", "-G", "--", "otpd"]).map(|said| said.output);
        let more = more.unwrap_or_default();
        let more = more.split_whitespace().filter_map(|gid| gid.parse().ok());
        Some(Self { uid, groups: [own].into_iter().chain(more).collect() })
    }

    fn reads(&self, owned: Owned) -> bool {
        let bit = match (owned.uid == self.uid, self.groups.contains(&owned.gid)) {
            (true, _) => 0o400,
            (false, true) => 0o040,
            (false, false) => 0o004,
        };
        owned.mode & bit != 0
    }
}

/// Looks at everything there is.
pub(super) fn examine(host: &Host) -> Vec<Finding> {
    let mut looked = vec![
        ("/etc/otpd".to_owned(), Care::Own),
        ("/etc/otpd/otpd.toml".to_owned(), Care::Own),
        ("/var/lib/otpd".to_owned(), Care::State),
        ("/var/lib/otpd/otpd.db".to_owned(), Care::State),
        ("/run/otpd".to_owned(), Care::Kept),
        ("/usr/sbin/otpd".to_owned(), Care::Kept),
        ("/etc/pam.d".to_owned(), Care::Kept),
        ("/etc/ssh/sshd_config".to_owned(), Care::Kept),
    ];
    looked.extend(secrets(host));
    let services = host.names("/etc/pam.d").into_iter();
    looked.extend(services.map(|name| (format!("/etc/pam.d/{name}"), Care::Kept)));
    for folder in host.security() {
        looked.push((format!("{folder}/{}", crate::stack::MODULE), Care::Kept));
    }
    let user = User::of(host);
    let mut seen = 0;
    let mut findings = Vec::new();
    for (path, care) in &looked {
        let Ok(owned) = host.owned(path) else { continue };
        seen += 1;
        findings.extend(judge(path, owned, *care, user.as_ref()));
    }
    if findings.is_empty() && seen > 0 {
        findings.push(Finding::ok(SUBJECT, format!("{seen} files have sound owners and modes")));
    }
    findings.extend(leftovers(host));
    findings
}

/// What a run that was killed left of a key that it made: nobody uses it, and it is secret all the same.
fn leftovers(host: &Host) -> impl Iterator<Item = Finding> {
    let begun = |name: &String| name.contains(".key.new-") || name.contains(".key.next.new-");
    host.names("/etc/otpd").into_iter().filter(begun).map(|name| {
        let path = format!("/etc/otpd/{name}");
        let text = format!("{path} is no key of anything: whoever was to make one was stopped");
        Finding::note(SUBJECT, text).advising(format!("rm {path}"))
    })
}

/// The key, and the files that otpd.toml names for secrets. A name without a directory is a credential of
/// otpd's unit, else a file beside otpd.toml.
fn secrets(host: &Host) -> Vec<(String, Care)> {
    let text = host.read("/etc/otpd/otpd.toml").unwrap_or_default();
    let named = text.lines().filter_map(|line| {
        let (key, value) = line.trim().split_once('=')?;
        // A certificate is no secret.
        let secret = key.trim().ends_with("-file") && key.trim() != "ca-file";
        let value = value.trim().strip_prefix('"')?.split_once('"')?.0;
        (secret && !line.trim().starts_with('#')).then(|| value.to_owned())
    });
    let loaded = credentials(host);
    let mut found: Vec<(String, Care)> = Vec::new();
    for name in ["otpd.key".to_owned()].into_iter().chain(named) {
        let credential = loaded.iter().find(|(id, path)| *id == name || *path == name);
        let secret = match credential {
            Some((_, path)) => (path.clone(), Care::Credential),
            None if name.starts_with('/') => (name, Care::Secret),
            None => (format!("/etc/otpd/{name}"), Care::Secret),
        };
        if !found.contains(&secret) {
            found.push(secret);
        }
    }
    found
}

/// What systemd reads for otpd, as root: names and files.
fn credentials(host: &Host) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for folder in ["/etc", "/run", "/usr/lib", "/lib"] {
        let unit = format!("{folder}/systemd/system/otpd.service");
        let more = host.names(&format!("{unit}.d")).into_iter();
        let more = more.filter_map(|name| {
            let stem = name.strip_suffix(".conf")?;
            Some(format!("{unit}.d/{stem}.conf"))
        });
        let more = more.collect::<Vec<_>>();
        for file in [unit].iter().chain(&more) {
            let text = host.read(file).unwrap_or_default();
            found.extend(text.lines().filter_map(|line| {
                let value = ["LoadCredential=", "LoadCredentialEncrypted="]
                    .iter()
                    .find_map(|name| line.trim().strip_prefix(name))?;
                let (id, path) = value.split_once(':')?;
                Some((id.to_owned(), path.to_owned()))
            }));
        }
    }
    found
}

fn judge(path: &str, owned: Owned, care: Care, user: Option<&User>) -> Option<Finding> {
    let Owned { mode, uid, directory, .. } = owned;
    let others = if directory { "o-rwx" } else { "g-w,o-rwx" };
    let foreign = uid != 0 && user.is_none_or(|user| user.uid != uid);
    let unread = user.is_some_and(|user| !user.reads(owned));
    match care {
        Care::Kept | Care::Own if mode & 0o022 != 0 => Some(Finding::problem(
            SUBJECT,
            format!("{path} has mode {mode:04o}: others than root can change it"),
            format!("chmod go-w {path}"),
        )),
        Care::Kept if uid != 0 => Some(foreigner(path, uid, "root")),
        Care::Own | Care::Secret | Care::Credential if foreign => {
            Some(foreigner(path, uid, "root"))
        }
        Care::State if foreign => Some(foreigner(path, uid, "otpd:")),
        Care::Secret | Care::Credential | Care::State if mode & 0o027 != 0 => {
            Some(Finding::problem(
                SUBJECT,
                format!("{path} has mode {mode:04o}: others can read it, or its group write it"),
                format!("chmod {others} {path}"),
            ))
        }
        Care::Secret if unread => Some(Finding::problem(
            SUBJECT,
            format!("{path} has mode {mode:04o} and uid {uid}: otpd cannot read it"),
            format!("chgrp otpd {path}; chmod 0640 {path}"),
        )),
        Care::State if unread => Some(Finding::problem(
            SUBJECT,
            format!("{path} has mode {mode:04o} and uid {uid}: otpd cannot read it"),
            format!("chown otpd: {path}; chmod u+rwX {path}"),
        )),
        Care::Kept | Care::Own | Care::Secret | Care::Credential | Care::State => None,
    }
}

fn foreigner(path: &str, uid: u32, owner: &str) -> Finding {
    Finding::problem(
        SUBJECT,
        format!("{path} belongs to uid {uid}, who can change it"),
        format!("chown {owner} {path}"),
    )
}

#[cfg(test)]
mod tests {
    use super::{Care, Owned, User, judge, leftovers, secrets};
    use crate::doctor::host::{Host, Said};

    #[test]
    fn what_is_left_of_a_key_is_named() {
        let root = tempfile::tempdir().expect("a directory");
        let folder = root.path().join("etc/otpd");
        std::fs::create_dir_all(&folder).expect("a directory");
        for name in ["otpd.key", "otpd.key.new-0123456789abcdef", "otpd.key.next.new-0", "own.new"]
        {
            std::fs::write(folder.join(name), "").expect("a file");
        }
        let host = Host::at(root.path(), |_| None);
        let mut found = leftovers(&host).filter_map(|found| found.remedy).collect::<Vec<_>>();
        found.sort_unstable();
        let expected =
            ["rm /etc/otpd/otpd.key.new-0123456789abcdef", "rm /etc/otpd/otpd.key.next.new-0"];
        assert_eq!(found, expected);
    }

    #[test]
    fn modes_and_owners_are_judged() {
        let file = |mode, uid, gid| Owned { mode, uid, gid, directory: false };
        let folder = |mode, uid| Owned { mode, uid, gid: uid, directory: true };
        let cases = [
            ("a service file", Care::Kept, file(0o644, 0, 0), None),
            ("writable by a group", Care::Kept, file(0o664, 0, 0), Some("chmod go-w /x")),
            ("writable by all", Care::Kept, file(0o646, 0, 0), Some("chmod go-w /x")),
            ("somebody's", Care::Kept, file(0o644, 1000, 0), Some("chown root /x")),
            ("otpd's, and not to be", Care::Kept, file(0o644, 997, 0), Some("chown root /x")),
            ("otpd's own", Care::Own, file(0o640, 997, 0), None),
            ("root's for otpd", Care::Own, file(0o640, 0, 0), None),
            ("another's", Care::Own, file(0o640, 1000, 0), Some("chown root /x")),
            ("its group's too", Care::Own, file(0o660, 0, 0), Some("chmod go-w /x")),
            ("a key", Care::Secret, file(0o600, 997, 0), None),
            ("a key for its group", Care::Secret, file(0o640, 0, 996), None),
            ("a key for another group of otpd's", Care::Secret, file(0o640, 0, 50), None),
            ("a key of somebody", Care::Secret, file(0o600, 1000, 0), Some("chown root /x")),
            (
                "a key of somebody for otpd",
                Care::Secret,
                file(0o640, 1000, 996),
                Some("chown root /x"),
            ),
            ("a key for all", Care::Secret, file(0o644, 0, 0), Some("chmod g-w,o-rwx /x")),
            (
                "a key that its group writes",
                Care::Secret,
                file(0o660, 0, 0),
                Some("chmod g-w,o-rwx /x"),
            ),
            (
                "a key for root alone",
                Care::Secret,
                file(0o600, 0, 0),
                Some("chgrp otpd /x; chmod 0640 /x"),
            ),
            (
                "a key for another group",
                Care::Secret,
                file(0o640, 0, 4),
                Some("chgrp otpd /x; chmod 0640 /x"),
            ),
            ("a key for root, who hands it over", Care::Credential, file(0o600, 0, 0), None),
            (
                "a credential of somebody",
                Care::Credential,
                file(0o600, 1000, 0),
                Some("chown root /x"),
            ),
            (
                "a credential for all",
                Care::Credential,
                file(0o604, 0, 0),
                Some("chmod g-w,o-rwx /x"),
            ),
            ("the state", Care::State, folder(0o700, 997), None),
            ("the state for all", Care::State, folder(0o755, 997), Some("chmod o-rwx /x")),
            ("the state of somebody", Care::State, folder(0o700, 1000), Some("chown otpd: /x")),
            (
                "the state of root",
                Care::State,
                folder(0o700, 0),
                Some("chown otpd: /x; chmod u+rwX /x"),
            ),
        ];
        let user = User { uid: 997, groups: vec![996, 50] };
        for (name, care, owned, expected) in cases {
            let found = judge("/x", owned, care, Some(&user));
            assert_eq!(found.and_then(|found| found.remedy).as_deref(), expected, "{name}");
        }
        // Where there is no such user only root's word counts, and nobody is known who has to read.
        let found = judge("/x", file(0o600, 997, 0), Care::Secret, None);
        assert!(found.is_some_and(|found| found.text.contains("belongs to uid 997")));
        assert_eq!(judge("/x", file(0o600, 0, 0), Care::Secret, None), None);
    }

    #[test]
    fn otpds_user_is_whom_the_database_names() {
        let host = |entry: &'static str| {
            Host::at(std::path::Path::new("/nowhere"), move |words| {
                let (success, output) = match words {
                    ["getent", "passwd", "otpd"] => (!entry.is_empty(), entry),
                    ["id", "-G", "--", "otpd"] => (true, "996 50\n"),
                    _ => return None,
                };
                Some(Said { success, output: output.to_owned(), complaint: String::new() })
            })
        };
        let entry = "otpd:x:997:996:One-time codes:/:/usr/sbin/nologin\n";
        let expected = User { uid: 997, groups: vec![996, 996, 50] };
        assert_eq!(User::of(&host(entry)), Some(expected));
        assert_eq!(User::of(&host("")), None);
    }

    #[test]
    fn secrets_are_what_the_configuration_names() {
        let root = tempfile::tempdir().expect("directory");
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("folders");
            std::fs::write(path, text).expect("written");
        };
        let host = Host::at(root.path(), |_| None);
        assert_eq!(secrets(&host), [("/etc/otpd/otpd.key".to_owned(), Care::Secret)]);
        write(
            "etc/otpd/otpd.toml",
            "[server]\nkey-file = \"/etc/otpd/otpd.key\"\n[gateway.a]\napi-key-file = \"a.key\" # x\n\
             ca-file = \"/etc/ca.pem\"\n#auth-token-file = \"no\"\n[gateway.b]\n\
             signing-key-file=\"/srv/b\"\nauth-token-file = \"site\"\n",
        );
        write(
            "lib/systemd/system/otpd.service",
            "[Service]\nLoadCredential=otpd.key:/etc/otpd/otpd.key\nSetCredential=otpd.key:none\n",
        );
        write(
            "etc/systemd/system/otpd.service.d/override.conf",
            "[Service]\nLoadCredential=site:/etc/otpd/site.key\n",
        );
        let expected = [
            ("/etc/otpd/otpd.key", Care::Credential),
            ("/etc/otpd/a.key", Care::Secret),
            ("/srv/b", Care::Secret),
            ("/etc/otpd/site.key", Care::Credential),
        ]
        .map(|(path, care)| (path.to_owned(), care));
        assert_eq!(secrets(&host), expected);
    }
}
