//! What both vendors take and refuse, by rules that each has with numbers of its own.

use hyper::Method;

use super::{call, is_url, method_of};
use crate::carrier::{
    Vendor,
    calls::Document,
    exchange::{Form, Reply, field, is_e164},
    records::{Channel, New, Target},
    world::World,
};

/// A vendor's rules for what it is given.
pub(in crate::carrier) struct Rules<'a> {
    pub vendor: Vendor,
    pub numbers: &'a [String],
    pub services: &'a [String],
    /// Names of fields that a message may have.
    pub message_fields: &'a [&'a str],
    /// Names of fields that a call may have.
    pub call_fields: &'a [&'a str],
    /// The longest time that a message may be valid, seconds.
    pub longest: u64,
    /// The codes of its refusals.
    pub codes: &'a Codes,
    /// A refusal by its code.
    pub refuse: &'a dyn Fn(u32) -> Reply,
}

/// Which code says what is wrong.
pub(in crate::carrier) struct Codes {
    pub to_missing: u32,
    pub to_invalid: u32,
    pub from_missing: u32,
    pub from_invalid: u32,
    pub from_not_owned: u32,
    pub body_missing: u32,
    pub body_long: u32,
    pub opted_out: u32,
    pub parameter: u32,
    pub call_to_missing: u32,
    pub call_from_missing: u32,
    pub call_from_not_owned: u32,
    pub url: u32,
}

impl Rules<'_> {
    /// Judges the fields of a message.
    pub(in crate::carrier) fn message(
        &self,
        world: &World,
        form: &Form,
        id: String,
    ) -> Result<New, Reply> {
        let refuse = |code| Err((self.refuse)(code));
        if form.iter().any(|(name, _)| !self.message_fields.contains(&name.as_str())) {
            return refuse(self.codes.parameter);
        }
        let Some(to) = field(form, "To") else { return refuse(self.codes.to_missing) };
        if !is_e164(to) {
            return refuse(self.codes.to_invalid);
        }
        let service = field(form, "MessagingServiceSid");
        let from = match (field(form, "From"), service) {
            (None, None) => return refuse(self.codes.from_missing),
            (_, Some(service)) if !self.services.iter().any(|own| own == service) => {
                return refuse(self.codes.parameter);
            }
            (Some(from), _) => from,
            (None, Some(_)) => self.numbers.first().map_or("", String::as_str),
        };
        self.owned(from, self.codes.from_not_owned)?;
        let text = field(form, "Body").unwrap_or_default();
        if text.is_empty() {
            return refuse(self.codes.body_missing);
        }
        if text.chars().count() > 1600 {
            return refuse(self.codes.body_long);
        }
        let whole = |name: &str, most: u64| {
            field(form, name).is_none_or(|text| {
                text.parse().is_ok_and(|number: u64| (1..=most).contains(&number))
            })
        };
        let one_of =
            |name: &str, words: &[&str]| field(form, name).is_none_or(|text| words.contains(&text));
        let good = whole("ValidityPeriod", self.longest)
            && whole("Attempt", 100)
            && one_of("SmartEncoded", &["true", "false"])
            && one_of("ContentRetention", &["retain", "discard"])
            && one_of("AddressRetention", &["retain", "obfuscate", "discard"])
            && one_of("RiskCheck", &["enable", "disable"])
            && field(form, "StatusCallback").is_none_or(is_url);
        if !good {
            return refuse(self.codes.parameter);
        }
        if world.is_stopped(self.vendor, from, to) {
            return refuse(self.codes.opted_out);
        }
        Ok(New {
            vendor: self.vendor,
            channel: Channel::Text,
            id,
            from: from.to_owned(),
            to: to.to_owned(),
            text: text.to_owned(),
            callback: field(form, "StatusCallback").map(Target::post),
            events: Vec::new(),
        })
    }

    /// Judges the fields of a call, but not what it is to say.
    pub(in crate::carrier) fn call(&self, form: &Form, id: String) -> Result<New, Reply> {
        let refuse = |code| Err((self.refuse)(code));
        if form.iter().any(|(name, _)| !self.call_fields.contains(&name.as_str())) {
            return refuse(self.codes.parameter);
        }
        let Some(to) = field(form, "To") else { return refuse(self.codes.call_to_missing) };
        if !is_e164(to) {
            return refuse(self.codes.to_invalid);
        }
        let Some(from) = field(form, "From") else { return refuse(self.codes.call_from_missing) };
        self.owned(from, self.codes.call_from_not_owned)?;
        let seconds = |name: &str, least: u64, most: u64| {
            field(form, name).is_none_or(|text| {
                text.parse().is_ok_and(|number: u64| (least..=most).contains(&number))
            })
        };
        let good = seconds("Timeout", 1, 600)
            && seconds("TimeLimit", 1, 86_400)
            && ["Method", "StatusCallbackMethod", "FallbackMethod"]
                .iter()
                .all(|name| field(form, name).is_none_or(|method| method_of(method).is_some()))
            && field(form, "StatusCallback").is_none_or(is_url);
        if !good {
            return refuse(self.codes.parameter);
        }
        Ok(call(self.vendor, id, from, to, form))
    }

    /// Where a call's document is; a refusal when that is no address.
    pub(in crate::carrier) fn document_at(&self, form: &Form) -> Result<Document, Reply> {
        let url = field(form, "Url").filter(|url| is_url(url));
        let Some(url) = url else { return Err((self.refuse)(self.codes.url)) };
        let method = field(form, "Method").and_then(method_of).unwrap_or(Method::POST);
        Ok(Document::At(Target { url: url.to_owned(), method }))
    }

    fn owned(&self, from: &str, otherwise: u32) -> Result<(), Reply> {
        if !is_e164(from) {
            Err((self.refuse)(self.codes.from_invalid))
        } else if self.numbers.iter().any(|number| number == from) {
            Ok(())
        } else {
            Err((self.refuse)(otherwise))
        }
    }
}
