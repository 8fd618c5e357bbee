//! A line in the system's log, for what happens where nobody reads what is printed.

use std::os::unix::net::UnixDatagram;

/// Where syslog and systemd's journal listen.
const SOCKET: &str = "/dev/log";

/// `LOG_AUTHPRIV` and `LOG_ERR`, as RFC 3164 counts them: 10 times 8, and 3.
const PRIORITY: u8 = 83;

/// Says it, if anybody listens.
pub(super) fn say(text: &str) {
    if let Ok(socket) = UnixDatagram::unbound() {
        // A log that hangs holds nothing up.
        let _ = socket.set_nonblocking(true);
        let _ = socket.send_to(line(text).as_bytes(), SOCKET);
    }
}

fn line(text: &str) -> String {
    format!("<{PRIORITY}>otpctl[{}]: {}", std::process::id(), crate::render::visible(text))
}

#[cfg(test)]
mod tests {
    use super::line;

    #[test]
    fn a_line_is_one_line_with_its_priority() {
        let line = line("sshd: two\nlines");
        assert!(line.starts_with("<83>otpctl["), "{line}");
        assert!(line.contains("]: sshd: two") && !line.contains('\n'), "{line}");
    }
}
