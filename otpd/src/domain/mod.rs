//! What otpd decides, as values: no socket, no file, no clock and no randomness of its own. Time,
//! random values and keys are passed in; a test keeps the folder so.
//!
//! Words are those of NIST SP 800-63 and PAM:
//!
//! | word | meaning |
//! |---|---|
//! | subscriber, claimant, account | an enrolled person, the person now trying, the Unix name |
//! | enrollment | the binding of a phone number to an account |
//! | passcode | what is typed |
//! | challenge | one passcode question, from its issue to its end |
//! | service, rhost, tty | as in PAM |
//! | gateway, vendor | our port for sending, the company behind it |
//! | E.164 | the international form of a phone number |
//!
//! `account`, `phone`, `time`, `passcode`, `call_key` are the words; `challenge`, `enrollment`, `budget`,
//! `opt_out`, `recovery`, `bypass`, `policy`, `retention` the rules for one thing each; `login`, `register`,
//! `proof`, `manage`, `reveal`, `restore`, `test_message` the decisions, each taking
//! [`records::Records`] and the time and returning [`records::Decided`].

pub mod account;
pub mod audit;
pub mod budget;
pub mod bypass;
pub mod call_key;
pub mod challenge;
pub mod enrollment;
pub mod login;
pub mod manage;
pub mod opt_out;
pub mod passcode;
pub mod phone;
pub mod policy;
pub mod proof;
pub mod records;
pub mod recovery;
pub mod register;
pub mod restore;
pub mod retention;
pub mod reveal;
pub mod test_message;
pub mod time;

#[cfg(test)]
mod model;
#[cfg(test)]
mod purity;
#[cfg(test)]
pub(crate) mod scene;
