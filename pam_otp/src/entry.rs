//! The symbols that PAM looks for. Their `unsafe` comes from the macro, none of it is written here.

use std::{
    ffi::CStr,
    panic::{AssertUnwindSafe, catch_unwind},
};

use otp_proto::args;
use pam::{
    constants::{PAM_SILENT, PamFlag, PamResultCode},
    module::{PamHandle, PamHooks},
};

use crate::{
    authenticate::authenticate,
    begin::misconfigured,
    daemon::Otpd,
    host::{Level, PamHost},
    result::pam_code,
};

/// The module. What it does not override answers `PAM_IGNORE`: account, session and password hooks
/// have nothing to say, and sshd runs the account hook without anybody to ask.
struct PamOtp;

pam::pam_hooks!(PamOtp);

impl PamHooks for PamOtp {
    fn sm_authenticate(handle: &mut PamHandle, words: Vec<&CStr>, flags: PamFlag) -> PamResultCode {
        // Should there be a bug, its message belongs in the log, not on somebody's terminal or in
        // the middle of an sftp stream. The hook is this library's own, not the program's.
        std::panic::set_hook(Box::new(|_| {}));
        contained(handle, || {
            let (args, errors) = args::parse(words.iter().map(|word| word.to_bytes()));
            let mut daemon = Otpd::at(&args.socket);
            pam_code(if errors.is_empty() {
                authenticate(handle, &mut daemon, &args, flags & PAM_SILENT != 0)
            } else {
                misconfigured(handle, &args, &errors)
            })
        })
    }

    /// There are no credentials to set, but libpam counts every module that took part in
    /// authentication: with `PAM_IGNORE` here sshd would end a login that nothing else grants.
    fn sm_setcred(_: &mut PamHandle, _: Vec<&CStr>, _: PamFlag) -> PamResultCode {
        PamResultCode::PAM_SUCCESS
    }
}

/// Turns a panic into the failure that `pam-bindings` would make of it, with a line in the log.
pub(crate) fn contained(
    host: &impl PamHost,
    login: impl FnOnce() -> PamResultCode,
) -> PamResultCode {
    catch_unwind(AssertUnwindSafe(login)).unwrap_or_else(|_| {
        host.log(Level::Alert, "internal error, the login is refused; please report this");
        PamResultCode::PAM_ABORT
    })
}
