//! A host in a directory, in order until a test breaks something.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use otp_proto::admin::{
    Channel, Credentials, Gateway, GatewayChecked, GatewayState, PolicyReply, State as Enrolled,
    StatusReply, Subscriber, Unenrolled,
};

use crate::doctor::{Asked, Finding, Host, examine, host::Said};
use crate::failure::Failure;

pub(super) const SSHD_T: &str = "usepam yes\nkbdinteractiveauthentication yes\npasswordauthentication no\n\
                      pubkeyauthentication yes\npermitrootlogin no\nlogingracetime 120\n\
                      maxstartups 10:30:100\nmaxauthtries 6\n\
                      authenticationmethods keyboard-interactive\n";
pub(super) const TIME: &str = "timedatectl show --property=NTPSynchronized --value";
pub(super) const PASSWD: &str = "root:x:0:0:root:/root:/bin/bash\n\
                      daemon:x:1:1::/usr/sbin:/usr/sbin/nologin\n\
                      sync:x:4:65534::/bin:/bin/sync\n\
                      alice:x:1000:1000::/home/alice:/bin/bash\n\
                      bob:x:1001:1001::/home/bob:/bin/sh\n\
                      robot:x:1002:1002::/home/robot:/usr/sbin/nologin\n\
                      nobody:x:65534:65534::/:/bin/sh\n";

/// A host in a temporary directory, and what its programs and its daemon say.
pub(super) struct Scene {
    pub(super) root: tempfile::TempDir,
    pub(super) programs: BTreeMap<String, Said>,
    pub(super) status: Result<StatusReply, Failure>,
    pub(super) policy: PolicyReply,
    pub(super) checked: Vec<GatewayChecked>,
    pub(super) enrolled: Vec<Subscriber>,
    pub(super) damaged: Vec<String>,
    pub(super) only: Option<&'static str>,
}

pub(super) fn said(output: &str) -> Said {
    Said { success: true, output: output.into(), complaint: String::new() }
}

/// How sshd is asked what holds for `user`.
pub(super) fn connection(user: &str) -> String {
    format!(
        "sshd -T -C user={user},host=localhost,addr=127.0.0.1,laddr=127.0.0.1,lport=22,rdomain="
    )
}

pub(super) fn subscriber(user: &str, state: Enrolled) -> Subscriber {
    Subscriber {
        user: user.into(),
        phone: "+1 ••• ••• ••42".into(),
        country: "US".into(),
        channel: Channel::Sms,
        state,
        created_at: 1,
        verified_at: None,
    }
}

impl Scene {
    pub(super) fn good() -> Self {
        let status = StatusReply {
            version: env!("CARGO_PKG_VERSION").into(),
            host: "web01".into(),
            store: "sqlite".into(),
            pending: 0,
            active: 2,
            disabled: 0,
            live_challenges: 0,
            gateways: vec![Gateway {
                name: "main".into(),
                kind: "http".into(),
                state: GatewayState::Ready,
                reason: None,
            }],
            problems: Vec::new(),
        };
        let scene = Self {
            root: tempfile::tempdir().expect("directory"),
            programs: BTreeMap::from([
                ("sshd -T".to_owned(), said(SSHD_T)),
                ("otpd --check".to_owned(), said("/etc/otpd/otpd.toml: nothing is wrong\n")),
                (TIME.to_owned(), said("yes\n")),
                ("getent passwd".to_owned(), said(PASSWD)),
            ]),
            status: Ok(status),
            policy: PolicyReply {
                unenrolled: Unenrolled::Deny,
                exempt_users: Vec::new(),
                exempt_groups: Vec::new(),
                sms: vec!["main".into(), "second".into()],
                voice: vec!["main".into()],
                truncated: false,
            },
            checked: vec![GatewayChecked {
                name: "main".into(),
                credentials: Credentials::Valid,
                balance: Some("12.50 USD".into()),
                reason: None,
            }],
            enrolled: vec![
                subscriber("alice", Enrolled::Active),
                subscriber("bob", Enrolled::Active),
            ],
            damaged: Vec::new(),
            only: None,
        };
        for module in
            ["unix", "deny", "permit", "faildelay", "nologin", "group", "rootok", "otp", "access"]
        {
            scene.write(&format!("lib/x86_64-linux-gnu/security/pam_{module}.so"), "");
        }
        scene.write("etc/pam.d/common-auth", crate::stack::testing::COMMON_AUTH);
        scene.write("etc/pam.d/common-account", "account required pam_unix.so\n");
        scene.write(
            "etc/pam.d/sshd",
            "@include common-auth\nauth requisite pam_otp.so\n@include common-account\n",
        );
        scene.write(
            "etc/pam.d/login",
            "auth optional pam_faildelay.so\nauth requisite pam_nologin.so\n@include common-auth\n\
             auth requisite pam_otp.so exempt_user=root\nauth optional pam_group.so\n",
        );
        scene.write("etc/pam.d/su", "auth sufficient pam_rootok.so\n@include common-auth\n");
        scene.write("etc/pam.d/su.dpkg-old", "auth optional pam_otp.so\n");
        scene.write("etc/pam.d/other", "auth required pam_deny.so\n");
        scene.write("etc/ssh/sshd_config", "UsePAM yes\n");
        scene.write("etc/login.defs", "LOGIN_TIMEOUT\t\t180\nUID_MIN 1000\n");
        scene.write("etc/shells", "# shells\n/bin/sh\n/bin/bash\n");
        scene.write("etc/otpd/otpd.toml", "");
        scene.write("etc/otpd/otpd.key", "");
        scene.mode("etc/otpd/otpd.key", 0o600);
        scene
    }

    pub(super) fn path(&self, path: &str) -> PathBuf {
        self.root.path().join(path)
    }

    pub(super) fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().expect("a directory")).expect("directories");
        fs::write(path, text).expect("written");
    }

    pub(super) fn mode(&self, path: &str, mode: u32) {
        fs::set_permissions(self.path(path), fs::Permissions::from_mode(mode)).expect("mode");
    }

    pub(super) fn program(&mut self, words: &str, output: &str) {
        self.programs.insert(words.to_owned(), said(output));
    }

    pub(super) fn fails(&mut self, words: &str, complaint: &str) {
        let said = Said { success: false, output: String::new(), complaint: complaint.into() };
        self.programs.insert(words.to_owned(), said);
    }

    /// `SSHD_T` with another value.
    pub(super) fn sshd(&mut self, keyword: &str, value: &str) {
        let old = SSHD_T.lines().find(|line| line.starts_with(keyword)).expect(keyword);
        self.program("sshd -T", &SSHD_T.replace(old, &format!("{keyword} {value}")));
    }

    pub(super) fn status(&mut self) -> &mut StatusReply {
        self.status.as_mut().expect("a status")
    }

    pub(super) fn findings(self) -> Vec<Finding> {
        let programs = self.programs;
        let host = Host::at(self.root.path(), move |words| programs.get(&words.join(" ")).cloned());
        let known = self.status.is_ok();
        let asked = Asked {
            socket: Path::new("/run/otpd/otpd.sock"),
            status: self.status,
            policy: known.then_some(self.policy),
            checked: self.checked,
            enrolled: known.then_some(self.enrolled),
            damaged: self.damaged,
        };
        let mut found = examine(&host, &asked, self.only);
        // Files of a test belong to whoever runs it.
        found.retain(|finding| !finding.text.contains("belongs to uid"));
        found
    }
}
