//! Who is enrolled, a row each.

use otp_proto::admin::{self, OptOut};
use serde::Serialize;

use super::{Subscriber, utc};

/// A row of `list`, of whomever.
#[derive(Serialize)]
#[serde(untagged)]
pub(crate) enum ListRow<'a> {
    Sound(Listed<'a>),
    Damaged(Unlisted<'a>),
}

/// A row of `list`.
#[derive(Serialize)]
pub(crate) struct Listed<'a> {
    #[serde(flatten)]
    subscriber: Subscriber<'a>,
    opted_out_at: Option<String>,
}

impl<'a> Listed<'a> {
    pub(crate) fn new((subscriber, opted_out): &'a (admin::Subscriber, Option<OptOut>)) -> Self {
        let opted_out_at = opted_out.as_ref().map(|opted_out| utc(opted_out.at));
        Self { subscriber: Subscriber::new(subscriber), opted_out_at }
    }
}

/// A row of `list` of whom what is stored is damaged: the keys of the others, and no more than the name.
#[derive(Serialize)]
pub(crate) struct Unlisted<'a> {
    user: &'a str,
    phone: (),
    country: (),
    state: &'static str,
    channel: (),
    created_at: (),
    verified_at: (),
    opted_out_at: (),
}

impl<'a> Unlisted<'a> {
    pub(crate) fn new(user: &'a str) -> Self {
        Self {
            user,
            phone: (),
            country: (),
            state: "damaged",
            channel: (),
            created_at: (),
            verified_at: (),
            opted_out_at: (),
        }
    }
}
