//! `org.varlink.service`: introspection and the standard errors.

use serde::{Deserialize, Serialize};

use crate::Method;

/// The interface text, as the Varlink specification gives it.
pub const DESCRIPTION: &str = include_str!("org.varlink.service.varlink");

/// Asks who is serving.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GetInfo {}

/// Reply to [`GetInfo`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Info {
    /// Who makes it.
    pub vendor: String,
    /// What it is.
    pub product: String,
    /// Its version.
    pub version: String,
    /// Where to read about it.
    pub url: String,
    /// Interfaces that can be asked for.
    pub interfaces: Vec<String>,
}

impl Method for GetInfo {
    const NAME: &'static str = "org.varlink.service.GetInfo";
    type Reply = Info;
}

/// Asks for the text of an interface.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GetInterfaceDescription {
    /// Full name of the interface.
    pub interface: String,
}

/// Reply to [`GetInterfaceDescription`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    /// The text.
    pub description: String,
}

impl Method for GetInterfaceDescription {
    const NAME: &'static str = "org.varlink.service.GetInterfaceDescription";
    type Reply = Description;
}

/// The standard errors.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "error", content = "parameters")]
pub enum ServiceError {
    /// No such interface here.
    #[serde(rename = "org.varlink.service.InterfaceNotFound")]
    InterfaceNotFound {
        /// The one asked for.
        interface: String,
    },
    /// No such method in the interface.
    #[serde(rename = "org.varlink.service.MethodNotFound")]
    MethodNotFound {
        /// The one asked for.
        method: String,
    },
    /// The interface has the method, this service does not.
    #[serde(rename = "org.varlink.service.MethodNotImplemented")]
    MethodNotImplemented {
        /// The one asked for.
        method: String,
    },
    /// The parameter is missing, unknown or not of its type; the frame, when it is no call at all.
    #[serde(rename = "org.varlink.service.InvalidParameter")]
    InvalidParameter {
        /// Its name, or what was wrong in serde's words.
        parameter: String,
    },
    /// This peer may not call this.
    #[serde(rename = "org.varlink.service.PermissionDenied")]
    PermissionDenied {},
    /// The method answers with several replies, so `more` must be set.
    #[serde(rename = "org.varlink.service.ExpectedMore")]
    ExpectedMore {},
}
