//! The file itself: what it exports, what it needs, what it does to the process that loads it.

use std::{collections::BTreeSet, fs, process::Command};

use otpd_tests::pam::{
    build::built,
    daemon::{Daemon, answer, begin, prompt},
    login::Login,
};

use crate::verdict;

/// What a tool prints about the module.
fn tool(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).arg(&built().module).output();
    let output = output.unwrap_or_else(|error| panic!("{program} (apt install binutils): {error}"));
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// A login with one wrong code and one right one, run by another program. Hands back what owns the
/// directory.
fn login_under(wrapper: &[&str], login: Login) -> Login {
    let code = prompt("Code: ");
    let script = vec![vec![begin(&code), answer(&code), answer(&verdict("granted"))]];
    let daemon = Daemon::start(&login.socket(), script);
    let login = login.under(wrapper);
    let told = login.run(&["reply 111111", "reply 482913"]);
    assert_eq!(told.result("authenticate"), "PAM_SUCCESS");
    assert_eq!(daemon.finish().len(), 3);
    login
}

#[test]
fn exports_the_six_functions_of_pam_and_nothing_else() {
    let symbols = tool("nm", &["--dynamic", "--defined-only"]);
    let names: Vec<&str> =
        symbols.lines().filter_map(|line| line.split_whitespace().last()).collect();
    let expected = [
        "pam_sm_acct_mgmt",
        "pam_sm_authenticate",
        "pam_sm_chauthtok",
        "pam_sm_close_session",
        "pam_sm_open_session",
        "pam_sm_setcred",
    ];
    assert_eq!(names, expected);
}

#[test]
fn needs_libc_and_libpam_and_the_unwinder() {
    let dynamic = tool("readelf", &["--dynamic", "--wide"]);
    let needed: BTreeSet<&str> = dynamic
        .lines()
        .filter(|line| line.contains("(NEEDED)"))
        .filter_map(|line| line.split_once('[')?.1.split(".so").next())
        .collect();
    // The loader is a part of libc; the unwinder turns a panic into an error code.
    let allowed = ["libc", "libpam", "libgcc_s", "ld-linux-x86-64", "ld-linux-aarch64"];
    assert!(needed.iter().all(|library| allowed.contains(library)), "{needed:?}");
    for flag in ["BIND_NOW", "NODELETE", "TEXTREL"] {
        assert_eq!(dynamic.contains(flag), flag == "BIND_NOW", "{flag}");
    }
}

#[test]
fn stays_small() {
    let size = fs::metadata(&built().module).expect("the module").len();
    assert!(size <= 420_000, "{size} bytes");
}

#[test]
fn asks_of_the_kernel_only_what_a_socket_needs() {
    let login = Login::new("");
    let trace = login.file("trace");
    let path = trace.display().to_string();
    let _login = login_under(&["/usr/bin/strace", "-f", "-s", "200", "-o", &path], login);
    let trace = fs::read_to_string(&trace).expect("strace wrote");
    let inside: Vec<&str> = trace
        .lines()
        .skip_while(|line| !line.contains(r#"{\"event\":\"begin\"}"#))
        .skip(1)
        // The module has returned when libpam writes its own audit record.
        .take_while(|line| !line.contains("NETLINK_AUDIT"))
        .take_while(|line| !line.contains(r#"\"call\":\"authenticate\""#))
        .filter_map(|line| line.split_once(' ').map(|(_process, call)| call.trim_start()))
        .collect();
    let (mut driver, mut module) = (0, Vec::new());
    for call in &inside {
        let name = call.split('(').next().unwrap_or_default();
        match name {
            // The program that asks: its own lines, its input, its look at descriptors.
            "write" | "read" | "fcntl" => driver += 1,
            // Memory is the allocator's, and the clock is a call where the kernel cannot map it; the rest
            // is what the module is for.
            "brk" | "mmap" | "munmap" | "mremap" | "clock_gettime" => {}
            "getpid" | "getsid" | "lstat" | "newfstatat" | "statx" | "socket" | "connect"
            | "getsockopt" | "setsockopt" | "sendto" | "recvfrom" | "close" => module.push(*call),
            _ => panic!("a system call that a login has no need of: {call}"),
        }
    }
    assert!(driver > 0 && module.len() <= 40, "{} calls: {module:#?}", module.len());
    let all = |name: &str, flag: &str| {
        let mut calls = module.iter().filter(|call| call.starts_with(name)).peekable();
        calls.peek().is_some() && calls.all(|call| call.contains(flag))
    };
    assert!(all("socket(", "SOCK_CLOEXEC"), "{module:#?}");
    assert!(all("sendto(", "MSG_NOSIGNAL"), "{module:#?}");
}

#[test]
fn loses_no_memory_and_reads_none_that_is_not_its_own() {
    let wrapper = [
        "/usr/bin/valgrind",
        "--quiet",
        "--keep-debuginfo=yes",
        "--leak-check=full",
        "--errors-for-leak-kinds=definite",
        "--error-exitcode=9",
    ];
    let _login = login_under(&wrapper, Login::new(""));
}
