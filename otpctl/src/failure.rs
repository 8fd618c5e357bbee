//! Why a verb could not be carried out; `render::error` words it.

use std::io;

use otp_proto::{CallError, admin::AdminError, service::ServiceError};

use crate::Exit;

/// One way for a verb to fail.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The command line asks for something that cannot be, in words.
    Usage(String),
    /// Standard input could not be read.
    Input(io::Error),
    /// The result could not be written.
    Output(io::Error),
    /// The question was answered with no.
    Declined,
    /// A row of a list is wrong, or was not done, in words.
    Row(String),
    /// A number in full is for root alone.
    RootOnly,
    /// A list of users cannot be opened or read: its name and why.
    List(String, io::Error),
    /// This host stands in the way, in words.
    Host(String),
    /// No connection to the daemon.
    Connect(io::Error),
    /// The connection broke before the answer was there.
    Lost(io::Error),
    /// What answered does not speak the protocol.
    Malformed(String),
    /// An error of the daemon's own interface.
    Admin(AdminError),
    /// An error that any Varlink service may answer with.
    Service(ServiceError),
    /// An error that this version does not know, by its name.
    Unknown(String),
}

impl Failure {
    /// The exit status that goes with it.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Usage(_) | Self::Input(_) | Self::List(..) => Exit::Usage,
            Self::Connect(_) | Self::Lost(_) | Self::Malformed(_) => Exit::Unreachable,
            Self::Output(_)
            | Self::Declined
            | Self::Row(_)
            | Self::Host(_)
            | Self::RootOnly
            | Self::Admin(_)
            | Self::Unknown(_) => Exit::Refused,
            Self::Service(error) => match error {
                ServiceError::PermissionDenied {} => Exit::Refused,
                ServiceError::InterfaceNotFound { .. }
                | ServiceError::MethodNotFound { .. }
                | ServiceError::MethodNotImplemented { .. }
                | ServiceError::InvalidParameter { .. }
                | ServiceError::ExpectedMore {} => Exit::Usage,
            },
        }
    }
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        if let Some(error) = error.typed() {
            return Self::Admin(error);
        }
        if let Some(error) = error.typed() {
            return Self::Service(error);
        }
        match error {
            CallError::Io(error) => Self::Lost(error),
            CallError::Malformed(what) => Self::Malformed(what),
            CallError::Refused { name, .. } => match &*name {
                // Varlink lets a service leave empty parameters out; the typed form wants them.
                "org.varlink.service.PermissionDenied" => {
                    Self::Service(ServiceError::PermissionDenied {})
                }
                "org.varlink.service.ExpectedMore" => Self::Service(ServiceError::ExpectedMore {}),
                _ => Self::Unknown(name),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use otp_proto::{CallError, admin::AdminError, service::ServiceError};

    use super::Failure;

    fn refused(name: &str, parameters: &str) -> Failure {
        let body = format!(r#"{{"error":"{name}"{parameters}}}"#);
        CallError::Refused { name: name.into(), body }.into()
    }

    #[test]
    fn errors_find_their_type() {
        assert!(matches!(
            refused("org.otpd.Admin.NoSuchUser", r#","parameters":{"user":"eve"}"#),
            Failure::Admin(AdminError::NoSuchUser { .. })
        ));
        for parameters in ["", r#","parameters":{}"#] {
            assert!(matches!(
                refused("org.varlink.service.PermissionDenied", parameters),
                Failure::Service(ServiceError::PermissionDenied {})
            ));
            assert!(matches!(
                refused("org.varlink.service.ExpectedMore", parameters),
                Failure::Service(ServiceError::ExpectedMore {})
            ));
        }
        assert!(matches!(refused("org.example.Later", ""), Failure::Unknown(_)));
    }
}
