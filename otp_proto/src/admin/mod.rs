//! `org.otpd.Admin`: what `otpctl` asks of the daemon.

mod backup;
mod error;
mod host;
mod recovery;
mod subscriber;
mod trail;

pub use backup::{
    Backup, BackupPiece, BackupSeen, Export, ExportPiece, Import, ImportedPiece, Restore,
    RestoredPiece, Tally,
};
pub use error::{AdminError, NoLiveCode};
pub use host::{
    Arrival, CheckGateways, ConfirmClock, Credentials, Gateway, GatewayChecked, GatewayState,
    GatewaysChecked, Host, HostListed, HostState, Hosts, KEY_ROTATED, KeyRotated, Policy,
    PolicyReply, RotateKey, Status, StatusReply, TO_FINISH, TestMessage, Tested, Unenrolled,
    finish_rotation,
};
pub use recovery::{
    Bypass, BypassListed, Bypasses, Grant, Granted, MadeCodes, RecoveryCodes, RevokeBypass, Revoked,
};
pub use subscriber::{
    Changed, Channel, Delivery, DeliveryStatus, Disable, Enable, Enroll, Enrolled, Limit, List,
    Listed, MEND_DAMAGED, OptOut, Register, Registered, Remove, Removed, Resend, Resent, Reveal,
    Revealed, Show, Shown, State, Subscriber, Unlock, Unlocked, Verify,
};
pub use trail::{Log, Logged, Record, Watch, Watched};

use crate::{Method, login::Empty};

/// The interface text.
pub const DESCRIPTION: &str = include_str!("../org.otpd.Admin.varlink");

macro_rules! methods {
    ($($request:ident -> $reply:ty;)*) => {$(
        impl Method for $request {
            const NAME: &'static str = concat!("org.otpd.Admin.", stringify!($request));
            type Reply = $reply;
        }
    )*};
}

methods! {
    Enroll -> Enrolled;
    Register -> Registered;
    Reveal -> Revealed;
    TestMessage -> Tested;
    Verify -> Changed;
    Resend -> Resent;
    List -> Listed;
    Show -> Shown;
    Disable -> Changed;
    Enable -> Changed;
    Remove -> Removed;
    Unlock -> Unlocked;
    RecoveryCodes -> MadeCodes;
    Bypass -> Granted;
    Bypasses -> BypassListed;
    RevokeBypass -> Revoked;
    Status -> StatusReply;
    Hosts -> HostListed;
    RotateKey -> KeyRotated;
    Policy -> PolicyReply;
    CheckGateways -> GatewaysChecked;
    ConfirmClock -> Empty;
    Backup -> BackupPiece;
    Restore -> RestoredPiece;
    Export -> ExportPiece;
    Import -> ImportedPiece;
    Log -> Logged;
    Watch -> Watched;
}
