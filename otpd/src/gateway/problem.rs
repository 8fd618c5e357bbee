//! What a vendor says is wrong: `{"errors": [{"code", "title", "detail", "source"}]}` (JSON:API) and
//! the other forms in which vendors write it. What a code means is each vendor's own.

use serde_json::Value;

/// One error, as it is written.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Problem<'a> {
    /// The vendor's code, empty where it gives none.
    pub(super) code: String,
    /// In short.
    pub(super) title: &'a str,
    /// At length.
    pub(super) detail: &'a str,
    /// The JSON pointer or parameter that it is about.
    pub(super) about: &'a str,
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
        let text = |name| value.get(name).and_then(Value::as_str);
        let source = |name| value.pointer(name).and_then(Value::as_str);
        let problem = Self {
            code: match value.get("code") {
                Some(Value::String(code)) => code.trim().to_owned(),
                Some(Value::Number(code)) => code.to_string(),
                _ => String::new(),
            },
            title: text("title").or(text("message")).unwrap_or_default(),
            detail: text("detail").unwrap_or_default(),
            about: source("/source/pointer").or(source("/source/parameter")).unwrap_or_default(),
        };
        let says =
            !(problem.code.is_empty() && problem.title.is_empty() && problem.detail.is_empty());
        says.then_some(problem)
    }

    fn text(text: &'a str) -> Self {
        Self { code: String::new(), title: text, detail: "", about: "" }
    }

    /// What it says in words, all of it.
    pub(super) fn words(&self) -> [&'a str; 2] {
        [self.title, self.detail]
    }
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
