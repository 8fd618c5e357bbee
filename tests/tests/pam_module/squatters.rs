//! Somebody else at the place of the socket: the module tells them nothing, whatever they would answer.

use std::{
    fs,
    io::Read,
    os::unix::{
        fs::{PermissionsExt, chown, symlink},
        net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use otpd_tests::pam::{build::built, login::Login};
use serde_json::{Value, json};

use crate::verdict;

const SQUATTER: u32 = 1000;
const OTHER: u32 = 1001;
/// Whom the kernel names for users that it has no number for.
const OVERFLOW: u32 = 65534;

/// What is done to the directory of the socket and to the socket; where that is afterwards.
type Arrange = fn(&Path, &Path) -> PathBuf;

fn nothing(_: &Path, socket: &Path) -> PathBuf {
    socket.to_owned()
}

fn mode<const MODE: u32>(directory: &Path, socket: &Path) -> PathBuf {
    fs::set_permissions(directory, fs::Permissions::from_mode(MODE)).expect("a mode");
    socket.to_owned()
}

fn directory_of_somebody(directory: &Path, socket: &Path) -> PathBuf {
    chown(directory, Some(SQUATTER), None).expect("an owner");
    socket.to_owned()
}

fn away(_: &Path, socket: &Path) -> PathBuf {
    let away = socket.with_extension("away");
    fs::rename(socket, &away).expect("a socket");
    away
}

fn link(directory: &Path, socket: &Path) -> PathBuf {
    let away = away(directory, socket);
    symlink(&away, socket).expect("a link");
    away
}

fn file(directory: &Path, socket: &Path) -> PathBuf {
    let away = away(directory, socket);
    fs::write(socket, "").expect("a file");
    away
}

fn fifo(directory: &Path, socket: &Path) -> PathBuf {
    let away = away(directory, socket);
    assert!(Command::new("mkfifo").arg(socket).status().expect("mkfifo").success());
    away
}

/// Who serves, whose the socket is, what else is so, and what the log says of it; nothing where it
/// is the daemon.
const SERVERS: [(&str, u32, u32, Arrange, Option<&str>); 16] = [
    ("root, root's socket", 0, 0, nothing, None),
    ("root, the daemon's socket", 0, SQUATTER, nothing, None),
    ("the daemon, its own socket", SQUATTER, SQUATTER, nothing, None),
    ("somebody, root's socket", SQUATTER, 0, nothing, Some("is served by uid 1000")),
    ("somebody, the daemon's socket", SQUATTER, OTHER, nothing, Some("is served by uid 1000")),
    ("nobody in particular, root's socket", OVERFLOW, 0, nothing, Some("is served by uid 65534")),
    ("nobody in particular, its own", OVERFLOW, OVERFLOW, nothing, Some("is served by uid 65534")),
    ("the group writes there", 0, 0, mode::<0o770>, Some("must be root's")),
    ("others write there", 0, 0, mode::<0o707>, Some("must be root's")),
    ("everybody writes there", 0, 0, mode::<0o777>, Some("must be root's")),
    ("everybody writes there, sticky", 0, 0, mode::<0o1777>, Some("must be root's")),
    ("somebody's directory", 0, 0, directory_of_somebody, Some("must be root's")),
    ("somebody's directory and socket", SQUATTER, SQUATTER, directory_of_somebody, Some("must be")),
    ("a link to a socket", 0, 0, link, Some("is not a socket")),
    ("a file", 0, 0, file, Some("is not a socket")),
    ("a pipe", 0, 0, fifo, Some("is not a socket")),
];

#[test]
fn only_the_daemon_is_told_anything() {
    let reply = json!({ "parameters": { "challenge": null, "step": verdict("granted") } });
    for (name, server, owner, arrange, refusal) in SERVERS {
        for failmode in ["failmode=secure", "failmode=safe"] {
            let login = Login::new(failmode);
            let socket = login.socket();
            let mut process = Command::new(&built().driver)
                .arg("--serve")
                .arg(&socket)
                .args([server.to_string(), reply.to_string()])
                .stdout(Stdio::piped())
                .spawn()
                .expect("a server");
            let mut output = process.stdout.take().expect("piped");
            let mut ready = [0; 18];
            output.read_exact(&mut ready).expect("a line");
            assert_eq!(&ready, b"{\"event\":\"ready\"}\n");
            chown(&socket, Some(owner), None).expect("an owner");
            let server_at = arrange(socket.parent().expect("a directory"), &socket);

            let told = login.run(&[]);
            let expected = refusal.map_or("PAM_SUCCESS", |_| "PAM_AUTHINFO_UNAVAIL");
            assert_eq!(told.result("authenticate"), expected, "{name}, {failmode}: {told:?}");
            if let Some(refusal) = refusal {
                let logged = told.texts("log").concat();
                assert!(logged.contains(refusal), "{name}, {failmode}: {logged}");
            }

            // The server takes one connection and ends: this one, where the module made none.
            drop(UnixStream::connect(server_at));
            let mut line = String::new();
            output.read_to_string(&mut line).expect("UTF-8");
            process.wait().expect("an end");
            let line: Value = serde_json::from_str(&line).expect("what was received");
            assert_eq!(line["bytes"] == 0, refusal.is_some(), "{name}, {failmode}: {line}");
        }
    }
}

/// A directory that is itself a link may lead anywhere tomorrow.
#[test]
fn a_directory_that_is_a_link_is_not_used() {
    let login = Login::new("");
    let real = login.file("real");
    fs::create_dir(&real).expect("a directory");
    let _listener = UnixListener::bind(real.join("s")).expect("bind");
    symlink(&real, login.file("link")).expect("a link");
    for (directory, expected) in [("link", true), ("real", false)] {
        let line =
            login.line(&format!("timeout=1 socket={}", login.file(directory).join("s").display()));
        let login = Login::new("").stack(&format!("auth requisite {line}"));
        let told = login.run(&[]);
        assert_eq!(told.result("authenticate"), "PAM_AUTHINFO_UNAVAIL");
        let refused = told.texts("log").concat().contains("not a link");
        assert_eq!(refused, expected, "{directory}: {told:?}");
    }
}
