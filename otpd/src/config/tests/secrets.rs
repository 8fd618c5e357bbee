//! Secrets: where they are looked for, who may read them, and that nothing shows them.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use super::super::{SMALLEST, check};
use crate::gateway::settings::Settings;

/// [`SMALLEST`] with an Authorization header.
fn configuration(value: &str) -> String {
    SMALLEST.replace("headers = { ", &format!("headers = {{ Authorization = {value}, "))
}

fn write(path: &Path, text: &str, mode: u32) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_secret_is_found_among_the_credentials_then_beside_the_file_or_where_it_says() {
    let root = tempfile::tempdir().unwrap();
    let (config, credentials) = (root.path().join("etc"), root.path().join("credentials"));
    fs::create_dir(&config).unwrap();
    fs::create_dir(&credentials).unwrap();
    write(&config.join("both"), "beside\n", 0o640);
    write(&credentials.join("both"), "credential\r\n", 0o400);
    write(&config.join("one"), "  inner space \n\n", 0o600);
    let absolute = config.join("both").display().to_string();
    let cases = [
        ("a credential comes first", "both", Some(&credentials), "credential"),
        ("beside the file without credentials", "both", None, "beside"),
        (
            "beside the file when no credential has the name",
            "one",
            Some(&credentials),
            "  inner space \n",
        ),
        ("an absolute path", &absolute, Some(&credentials), "beside"),
    ];
    for (name, file, credentials, expected) in cases {
        let text = configuration(&format!("{{ file = '{file}' }}"));
        let checked = check(
            &config.join("otpd.toml"),
            &text,
            credentials.map(std::path::PathBuf::as_path),
            "web1",
        );
        if expected.contains('\n') {
            let error = checked.unwrap_err().to_string();
            assert!(error.contains("holds characters that no header can have"), "{name}: {error}");
            continue;
        }
        let config = checked.unwrap();
        let [(_, Settings::Http(http))] = config.gateways.as_slice() else { panic!("{name}") };
        let header = http.headers.iter().find(|(name, _)| name == "Authorization").unwrap();
        assert_eq!(header.1.as_str(), expected, "{name}");
    }
}

#[test]
fn a_secret_that_others_could_know_or_change_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("site.key");
    let shown = path.display();
    let complaint = || {
        let text = configuration("{ file = 'site.key' }");
        let checked = check(&root.path().join("otpd.toml"), &text, None, "web1");
        checked.err().map(|errors| errors.iter().next().unwrap().to_string())
    };
    for mode in [0o400, 0o440, 0o600, 0o640] {
        write(&path, "x", mode);
        assert_eq!(complaint(), None, "{mode:o}");
    }
    for mode in [0o644, 0o604, 0o660, 0o602, 0o666] {
        write(&path, "x", mode);
        let expected = format!(
            "{}:8: `gateway.site.headers.Authorization` names {shown}, which has the mode \
             {mode:04o}, expected a file that its owner alone can write and others cannot read; \
             run: chgrp otpd {shown} && chmod 0640 {shown}; change the secret if others had it",
            root.path().join("otpd.toml").display()
        );
        assert_eq!(complaint(), Some(expected), "{mode:o}");
    }
    for (name, text, expected) in [
        ("empty", "", "which is empty"),
        ("blank", " \n", "which is empty"),
        ("large", &"x".repeat(20_000), "which is larger than 16384 bytes"),
    ] {
        write(&path, text, 0o600);
        assert!(complaint().unwrap().contains(expected), "{name}");
    }
    fs::remove_file(&path).unwrap();
    assert!(complaint().unwrap().contains("which cannot be read: there is no such file"));
}

#[test]
fn nothing_shows_a_secret() {
    const SECRET: &str = "hunter2";
    let root = tempfile::tempdir().unwrap();
    write(&root.path().join("site.key"), SECRET, 0o600);
    write(&root.path().join("odd.key"), &format!("{SECRET}\u{7f}"), 0o600);
    let file = root.path().join("otpd.toml");
    let inline = configuration("'hunter2'");
    let texts = [
        configuration("{ file = 'site.key' }"),
        inline.clone(),
        configuration("{ file = 'odd.key' }"),
        configuration("\"hunter2\\n\""),
        configuration("['hunter2']"),
        configuration("{ fil = 'hunter2' }"),
        // An error elsewhere, in the same line, and one that the parser finds.
        inline.replace("\"application/json\"", "hunter2"),
        inline.replace("'hunter2'", "'hunter2"),
        SMALLEST.replace("https://", "https://user:hunter2@"),
        SMALLEST.replace("https://", "hunter2 "),
        SMALLEST.replace("https://", "http://hunter2/"),
        SMALLEST.replace("kind ", "api-key = 'hunter2'\nkind "),
        format!("[store]\nurl = 'postgres://otpd:hunter2@db/otpd'\n{SMALLEST}"),
        format!("[store]\nurl = 'mysql://otpd:hunter2@db/otpd'\n{SMALLEST}"),
    ];
    let mut loaded = 0;
    for text in texts {
        let shown = match check(&file, &text, None, "web1") {
            Ok(config) => {
                loaded += 1;
                format!("{config:?} {:?}", config.warnings)
            }
            Err(errors) => format!("{errors} {errors:?}"),
        };
        assert!(!shown.contains(SECRET), "{text}\n{shown}");
    }
    assert_eq!(loaded, 2);
}

#[test]
fn a_secret_in_the_configuration_itself_is_a_warning() {
    let config = super::check_text(&configuration("'x'")).unwrap();
    assert_eq!(
        config.warnings,
        ["/etc/otpd/otpd.toml:8: `gateway.site.headers.Authorization` is in the configuration \
          itself: keep it in a file of its own, as { file = \"NAME\" }"]
    );
}

#[test]
fn a_certificate_authority_is_read_ahead() {
    let root = tempfile::tempdir().unwrap();
    let text = SMALLEST.replace("[gateway.site]", "[gateway.site]\nca-file = 'ca.pem'");
    let complaint = || {
        let checked = check(&root.path().join("otpd.toml"), &text, None, "web1");
        checked.map_err(|errors| errors.to_string())
    };
    let path = root.path().join("ca.pem");
    assert!(complaint().unwrap_err().contains("there is no such file"));
    write(&path, "nothing", 0o644);
    assert!(complaint().unwrap_err().contains("which holds no certificate, expected certificates"));
    let certificate = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
    write(&path, certificate, 0o646);
    assert!(complaint().unwrap_err().contains("which has the mode 0646"));
    write(&path, certificate, 0o644);
    let config = complaint().unwrap();
    let [(_, Settings::Http(http))] = config.gateways.as_slice() else { panic!() };
    assert_eq!(http.ca_file.as_deref(), Some(path.as_path()));
}

#[test]
fn the_path_of_a_file_is_shown_on_one_line() {
    let root = tempfile::tempdir().unwrap();
    let text = format!("{SMALLEST}ca-file = \"a\\u0080\\nb.pem\"\n");
    let errors = check(&root.path().join("otpd.toml"), &text, None, "web1").unwrap_err();
    let text = errors.to_string();
    assert!(text.contains("a\\u{80}\\nb.pem") && !text.contains(char::is_control), "{text}");
}
