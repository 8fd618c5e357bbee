//! What Telnyx says is wrong: `{"errors": [{"code", "title", "detail", "source"}]}`, in every form in
//! which it comes, and what each code means for a message.

use serde_json::Value;

use crate::gateway::vendor::{self, Meaning};

/// One error, as it is written.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Problem<'a> {
    code: String,
    title: &'a str,
    detail: &'a str,
    /// The JSON pointer or parameter that it is about.
    about: &'a str,
}

impl<'a> Problem<'a> {
    /// All of a reply's, or of a message's `errors`: a list, one object, or bare texts.
    pub(super) fn all(value: &'a Value) -> Vec<Self> {
        match value {
            Value::Array(items) => items.iter().filter_map(Self::one).collect(),
            Value::Object(fields) => match fields.get("errors").or_else(|| fields.get("error")) {
                Some(inner @ (Value::Array(_) | Value::Object(_))) => Self::all(inner),
                Some(Value::String(text)) => vec![Self::text(text)],
                Some(Value::Null | Value::Bool(_) | Value::Number(_)) | None => {
                    Self::one(value).into_iter().collect()
                }
            },
            Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => Vec::new(),
        }
    }

    fn one(value: &'a Value) -> Option<Self> {
        if let Value::String(text) = value {
            return Some(Self::text(text));
        }
        let text = |name| value.get(name).and_then(Value::as_str).unwrap_or_default();
        let source = |name| value.pointer(name).and_then(Value::as_str);
        let problem = Self {
            code: match value.get("code") {
                Some(Value::String(code)) => code.trim().to_owned(),
                Some(Value::Number(code)) => code.to_string(),
                _ => String::new(),
            },
            title: text("title"),
            detail: text("detail"),
            about: source("/source/pointer").or(source("/source/parameter")).unwrap_or_default(),
        };
        let says =
            !(problem.code.is_empty() && problem.title.is_empty() && problem.detail.is_empty());
        says.then_some(problem)
    }

    fn text(text: &'a str) -> Self {
        Self { code: String::new(), title: text, detail: "", about: "" }
    }

    /// By the reference of errors of Telnyx's API and of its messaging; `None` for a code that is
    /// not there.
    fn meaning(&self) -> Option<Meaning> {
        Some(match self.code.as_str() {
            // Telnyx's own pages give this code three meanings; only one of them is an opt-out.
            "40300" if self.says_stop() => Meaning::OptedOut,
            "40300" => Meaning::Ours,
            // Not routable, a landline; no such destination; no number.
            "40001" | "40012" | "40310" => Meaning::Number,
            // A number's form: whose, `to` or `from`, stands beside it. Taking ours for the
            // recipient's would end failover for everybody.
            "10002" | "10016" if self.about.trim_start_matches('/') == "to" => Meaning::Number,
            "10002" | "10016" => Meaning::Ours,
            // Keys, rights, funds, request.
            "10004" | "10005" | "10009" | "10010" | "10015" | "10027" | "20001" | "20002"
            | "20008" | "20012" | "20013" | "20014" | "20100" => Meaning::Ours,
            // Sender, profile, registration, allowed countries, text.
            "40010" | "40013" | "40302" | "40305" | "40309" | "40312" | "40314" | "40315"
            | "40316" | "40320" | "40321" | "40329" | "40330" | "40331" | "40333" => Meaning::Ours,
            // Too much at once, here or at the carrier.
            "10011" | "40011" | "40016" | "40018" | "40318" => Meaning::Route,
            // Taken for spam or artificial traffic, rejected, too late, carrier down, not delivered.
            "40002" | "40003" | "40004" | "40005" | "40006" | "40008" | "40014" | "40020" => {
                Meaning::Route
            }
            // An unexpected error and a timeout: it may have been sent before that.
            "10007" | "10008" => Meaning::Unclear,
            _ => return None,
        })
    }

    /// Whether Telnyx does not take the API key.
    pub(super) fn is_about_key(&self) -> bool {
        matches!(self.code.as_str(), "10009" | "20001" | "20002" | "20008")
    }

    /// Whether it does not take the sender.
    pub(super) fn is_about_sender(&self) -> bool {
        matches!(self.code.as_str(), "40013" | "40305")
    }

    fn says_stop(&self) -> bool {
        [self.title, self.detail].iter().any(|text| {
            let words = text.split(|c: char| !c.is_ascii_alphanumeric());
            text.to_ascii_lowercase().contains("block rule")
                || words.into_iter().any(|word| word.eq_ignore_ascii_case("stop"))
        })
    }
}

/// What several problems mean together: an opt-out outweighs all; else the first that is known.
pub(super) fn decisive(problems: &[Problem<'_>]) -> Option<Meaning> {
    vendor::decisive(problems.iter().filter_map(Problem::meaning))
}

/// `HTTP 400: 40310 Invalid number: not a mobile; 10015 …`, for an administrator; not redacted yet.
pub(super) fn told(before: &str, problems: &[Problem<'_>]) -> String {
    let one = |problem: &Problem<'_>| {
        let head = [problem.code.as_str(), problem.title].map(str::trim);
        let head: Vec<&str> = head.into_iter().filter(|part| !part.is_empty()).collect();
        match (head.join(" "), problem.detail.trim()) {
            (head, "") => head,
            (head, detail) if head.is_empty() => detail.to_owned(),
            (head, detail) => format!("{head}: {detail}"),
        }
    };
    let all: Vec<String> = problems.iter().map(one).collect();
    if all.is_empty() { before.to_owned() } else { format!("{before}: {}", all.join("; ")) }
}
