//! What the programs that measure share.

pub mod figures;
pub mod peer;
pub mod vendor;
pub mod wire;

/// The account of this number.
#[must_use]
pub fn user(nth: u32) -> String {
    format!("u{nth}")
}

/// The telephone number of an account: in as many ranges as the accounts need, in one country.
#[must_use]
pub fn number(nth: u32) -> String {
    let (area, rest) = (nth / 1_000_000, nth % 1_000_000);
    format!("+1{}5{rest:06}", 312 + area)
}
