use std::{
    io::Read,
    process::{Command, Stdio},
};

use nix::sys::resource::getrlimit;

use super::*;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o7777
}

#[test]
fn binding_makes_the_directory_and_lets_everybody_connect() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("run/otpd/otpd.sock");
    let listener = bind(&path).unwrap();
    assert_eq!((mode(path.parent().unwrap()), mode(&path)), (0o755, 0o666));
    assert_eq!(listener.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock);
    UnixStream::connect(&path).unwrap();
    listener.accept().unwrap();
}

#[test]
fn a_stale_socket_is_replaced() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("otpd.sock");
    drop(bind(&path).unwrap());
    assert!(path.exists());
    bind(&path).unwrap();
    UnixStream::connect(&path).unwrap_err();
}

#[test]
fn a_served_socket_is_left_alone() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("otpd.sock");
    let listener = bind(&path).unwrap();
    let error = bind(&path).unwrap_err();
    assert!(matches!(error, ListenError::InUse(_)), "{error}");
    assert_eq!(listener.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock, "not even probed");
    UnixStream::connect(&path).unwrap();
}

#[test]
fn what_is_no_socket_is_left_alone() {
    let root = tempfile::tempdir().unwrap();
    let target = root.path().join("target");
    drop(UnixListener::bind(&target).unwrap());
    let file = root.path().join("file");
    fs::write(&file, "precious").unwrap();
    let link = root.path().join("link");
    std::os::unix::fs::symlink(&target, &link).unwrap();
    for path in [&file, &link, root.path().join("folder").as_path()] {
        if !path.exists() {
            fs::create_dir(path).unwrap();
        }
        let error = bind(path).unwrap_err();
        assert!(error.to_string().contains("something that is no socket"), "{error}");
    }
    assert_eq!(fs::read_to_string(&file).unwrap(), "precious");
    assert!(target.exists());
}

#[test]
fn a_directory_that_others_can_write_to_is_refused() {
    let root = tempfile::tempdir().unwrap();
    for bits in [0o777, 0o1777, 0o775] {
        fs::set_permissions(root.path(), fs::Permissions::from_mode(bits)).unwrap();
        let error = bind(&root.path().join("otpd.sock")).unwrap_err();
        assert!(matches!(error, ListenError::OpenDirectory(_)), "{bits:o}: {error}");
    }
}

#[test]
fn a_status_cannot_tell_systemd_anything_else() {
    assert_eq!(one_line("ready\nMAINPID=1"), "ready MAINPID=1");
}

/// Run by the tests below in a process of its own, which got sockets as systemd passes them.
#[test]
#[ignore = "a helper, run by `sockets_passed_by_systemd`"]
fn child() {
    forbid_core_dumps().unwrap();
    assert_eq!(getrlimit(Resource::RLIMIT_CORE).unwrap(), (0, 0));
    assert!(!prctl::get_dumpable().unwrap());
    match activated() {
        Ok(Some(listener)) => {
            let error = listener.accept().unwrap_err();
            println!("listener {:?}", error.kind());
        }
        Ok(None) => println!("none"),
        Err(error) => println!("error {error}"),
    }
}

/// Runs [`child`] with `socket` as descriptor 3; the shell knows the pid before it becomes it.
fn pass(socket: impl Into<OwnedFd>, number: &str, pid: &str) -> String {
    let script = format!(
        "exec 3<&0 4<&0; LISTEN_FDS={number} LISTEN_PID={pid} exec \"$0\" --exact \
         systemd::tests::child --ignored --nocapture"
    );
    let mut child = Command::new("sh")
        .args(["-c", &script])
        .arg(env::current_exe().unwrap())
        .stdin(Stdio::from(socket.into()))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = String::new();
    child.stdout.take().unwrap().read_to_string(&mut output).unwrap();
    child.wait().unwrap();
    output
}

#[test]
fn sockets_passed_by_systemd() {
    let root = tempfile::tempdir().unwrap();
    let listener = || {
        let path = root.path().join("passed.sock");
        let _absent = fs::remove_file(&path);
        UnixListener::bind(path).unwrap()
    };
    let connection = UnixStream::pair().unwrap().0;
    let tcp = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let file = fs::File::open("/dev/null").unwrap();
    let cases = [
        ("one", pass(listener(), "1", "$$"), "listener WouldBlock"),
        ("none", pass(listener(), "0", "$$"), "none"),
        ("for another process", pass(listener(), "1", "1"), "none"),
        ("for nobody", pass(listener(), "1", ""), "none"),
        ("two", pass(listener(), "2", "$$"), "passed 2 sockets"),
        ("a connection", pass(connection, "1", "$$"), "passed a connection"),
        ("TCP", pass(tcp, "1", "$$"), "not a valid unix stream socket"),
        ("a file", pass(file, "1", "$$"), "not a socket"),
    ];
    for (name, output, expected) in cases {
        assert!(output.contains(expected), "{name}: {output}");
    }
}
