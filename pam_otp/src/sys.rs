//! The C calls that no crate wraps. With `entry` the only place with `unsafe`.
#![expect(unsafe_code, reason = "libpam and getsid have no safe binding")]

use std::{
    ffi::{CStr, CString, c_char, c_int, c_uint},
    io,
    os::{fd::AsRawFd, unix::net::UnixStream},
    time::Duration,
};

use pam::module::PamHandle;

use crate::host::Session;

#[link(name = "pam")]
unsafe extern "C" {
    fn pam_getenv(pamh: *const PamHandle, name: *const c_char) -> *const c_char;
    fn pam_fail_delay(pamh: *const PamHandle, microseconds: c_uint) -> c_int;
    fn pam_syslog(pamh: *const PamHandle, priority: c_int, format: *const c_char, ...);
}

/// A variable of PAM's environment, not the process's; bytes that are no UTF-8 are replaced.
pub(crate) fn pam_env(handle: &PamHandle, name: &CStr) -> Option<String> {
    // SAFETY: the handle is the one PAM passed in and lives as long as the call; `name` ends with NUL.
    let value = unsafe { pam_getenv(handle, name.as_ptr()) };
    if value.is_null() {
        return None;
    }
    // SAFETY: not null, so it is a string of libpam's that stays until the variable is set again,
    // which nobody does before it has been copied on this line.
    let value = unsafe { CStr::from_ptr(value) };
    Some(value.to_string_lossy().into_owned())
}

/// Asks libpam to wait about this long before a failure is told.
pub(crate) fn pam_delay(handle: &PamHandle, delay: Duration) {
    let microseconds = c_uint::try_from(delay.as_micros()).unwrap_or(c_uint::MAX);
    // SAFETY: the handle is valid, see above; libpam only stores the number. A refusal costs nothing
    // but the delay, so its result is not looked at.
    unsafe { pam_fail_delay(handle, microseconds) };
}

/// Writes to `LOG_AUTHPRIV` under the module's and the service's name.
pub(crate) fn pam_log(handle: &PamHandle, priority: c_int, message: &str) {
    // Callers have escaped control characters, NUL among them.
    if let Ok(message) = CString::new(message) {
        // SAFETY: the handle is valid, see above; the format takes exactly one string, which ends
        // with NUL and outlives the call. The message is never the format.
        unsafe { pam_syslog(handle, priority, c"%s".as_ptr(), message.as_ptr()) };
    }
}

/// This process in its session.
pub(crate) fn session() -> Session {
    // SAFETY: neither takes a pointer; getsid of the calling process cannot fail.
    let (id, process) = unsafe { (libc::getsid(0), libc::getpid()) };
    Session { id, leader: id == process }
}

/// The user who made the socket listen, as the kernel noted it.
///
/// # Errors
/// What the kernel answered.
pub(crate) fn peer_uid(stream: &UnixStream) -> io::Result<u32> {
    let mut peer = libc::ucred { pid: 0, uid: u32::MAX, gid: u32::MAX };
    let mut length = libc::socklen_t::try_from(size_of::<libc::ucred>())
        .map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    // SAFETY: the descriptor is open while `stream` is borrowed; `peer` is as long as `length` says
    // and made of integers, for which any bytes are valid.
    let result = unsafe {
        libc::getsockopt(
            stream.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut peer).cast(),
            &raw mut length,
        )
    };
    if result == 0 { Ok(peer.uid) } else { Err(io::Error::last_os_error()) }
}
