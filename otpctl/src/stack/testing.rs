//! Service files in memory.

use std::collections::BTreeMap;

use super::Shelf;

/// Files by the name of their service.
pub(crate) struct Files(BTreeMap<String, String>);

impl Files {
    pub(crate) fn new(files: &[(&str, &str)]) -> Self {
        Self(files.iter().map(|(name, text)| (name.to_string(), text.to_string())).collect())
    }
}

impl Shelf for Files {
    fn service(&self, name: &str) -> Option<(String, String)> {
        let name = name.trim_start_matches("/etc/pam.d/");
        self.0.get(name).map(|text| (format!("/etc/pam.d/{name}"), text.clone()))
    }
}

/// Debian's, after a password.
pub(crate) const COMMON_AUTH: &str = "\
auth\t[success=1 default=ignore]\tpam_unix.so nullok
auth\trequisite\t\t\tpam_deny.so
auth\trequired\t\t\tpam_permit.so
";
