//! The properties of a person that have a rule.

use model::RawJson;
use model::submission::RejectReason;
use std::borrow::Cow;

use crate::json::{Kind, Value};
use crate::rest::number;

/// Digits of a telephone number with its country code (E.164: at most 15).
const PHONE_DIGITS_MIN: usize = 7;
const PHONE_DIGITS_MAX: usize = 15;
/// Bytes of an e-mail address (RFC 5321: 254; of its local part 64).
const EMAIL_BYTES_MAX: usize = 254;
const EMAIL_LOCAL_BYTES_MAX: usize = 64;
/// Years of the oldest person.
const AGE_MAX: u32 = 150;

/// A property with a rule.
#[derive(Debug, Clone, Copy)]
pub(in crate::rest::upload) enum Check {
    Gender,
    Email,
    Phone,
    Employed,
    Education,
    Married,
    Age,
}

/// The rule of a property.
pub(in crate::rest::upload) fn of(key: &str) -> Option<Check> {
    match key {
        "Gender" => Some(Check::Gender),
        "Email" => Some(Check::Email),
        "Phone" => Some(Check::Phone),
        "Employed" => Some(Check::Employed),
        "Education" => Some(Check::Education),
        "Married" => Some(Check::Married),
        "Age" => Some(Check::Age),
        _ => None,
    }
}

/// Which of several faults is told: the order in which the vendor's server was seen to check.
pub(in crate::rest::upload) const fn rank(reason: RejectReason) -> u16 {
    match reason {
        RejectReason::KeyTwice => 0,
        // 514 to 520: gender, e-mail, phone, employed, education, married, age.
        RejectReason::GenderInvalid
        | RejectReason::EmailInvalid
        | RejectReason::PhoneInvalid
        | RejectReason::EmployedInvalid
        | RejectReason::EducationInvalid
        | RejectReason::MarriedInvalid
        | RejectReason::AgeInvalid => reason.code(),
        _ => u16::MAX,
    }
}

impl Check {
    /// What is said when the rule is broken.
    pub(in crate::rest::upload) const fn reason(self) -> RejectReason {
        match self {
            Self::Gender => RejectReason::GenderInvalid,
            Self::Email => RejectReason::EmailInvalid,
            Self::Phone => RejectReason::PhoneInvalid,
            Self::Employed => RejectReason::EmployedInvalid,
            Self::Education => RejectReason::EducationInvalid,
            Self::Married => RejectReason::MarriedInvalid,
            Self::Age => RejectReason::AgeInvalid,
        }
    }

    /// The value to keep; none when it breaks the rule.
    pub(in crate::rest::upload) fn apply(self, value: Value<'_>) -> Option<RawJson> {
        let text = match value.kind {
            Kind::String => value.string()?,
            Kind::Number => Cow::Borrowed(value.text),
            Kind::Object | Kind::Array | Kind::Bool | Kind::Null => return None,
        };
        let as_sent = |good: bool| good.then(|| RawJson::from_checked(value.text));
        match self {
            Self::Gender => RawJson::of(gender(&text)?).ok(),
            Self::Phone => RawJson::of(&phone(&text, value.kind)?).ok(),
            Self::Email => as_sent(value.kind == Kind::String && is_email(&text)),
            Self::Employed | Self::Married => as_sent(is_one_of(&text, &["y", "n"])),
            Self::Education => as_sent(is_one_of(&text, &["school", "college", "graduate"])),
            Self::Age => as_sent(is_age(&text, value.kind)),
        }
    }
}

fn is_one_of(text: &str, words: &[&str]) -> bool {
    words.iter().any(|word| text.eq_ignore_ascii_case(word))
}

fn gender(text: &str) -> Option<&'static str> {
    let forms: [(&str, &[&str]); 4] = [
        ("M", &["m", "male"]),
        ("F", &["f", "female"]),
        ("O", &["o", "other", "others"]),
        ("U", &["u", "unknown"]),
    ];
    forms
        .into_iter()
        .find(|(_, forms)| is_one_of(text, forms))
        .map(|(form, _)| form)
}

/// `+` and digits. A whole number, or digits without `+`, is the same phone; a leading zero is not a
/// country code. Spaces, dashes, dots and brackets between digits are taken out.
pub(in crate::rest) fn phone(text: &str, kind: Kind) -> Option<String> {
    let text = digits(text, kind)?;
    let rest = match text.strip_prefix('+') {
        Some(rest) if kind == Kind::String => rest,
        Some(_) | None => &*text,
    };
    let mut phone = String::from("+");
    for c in rest.chars() {
        match c {
            '0'..='9' => phone.push(c),
            ' ' | '-' | '.' | '(' | ')' if kind == Kind::String => {}
            _ => return None,
        }
        if phone.len() > PHONE_DIGITS_MAX.saturating_add(1) {
            return None;
        }
    }
    let enough = phone.len() > PHONE_DIGITS_MIN;
    (enough && !phone.starts_with("+0")).then_some(phone)
}

/// Whether a text is an e-mail address.
pub(in crate::rest) fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else {
        return false;
    };
    let clean = |part: &str| {
        !part.is_empty()
            && !part
                .chars()
                .any(|c| c.is_whitespace() || c.is_control() || c == '@')
    };
    let label = |label: &str| {
        clean(label)
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .chars()
                .all(|c| c.is_alphanumeric() || c == '-' || c == '_')
    };
    text.len() <= EMAIL_BYTES_MAX
        && local.len() <= EMAIL_LOCAL_BYTES_MAX
        && clean(local)
        && domain.contains('.')
        && domain.split('.').all(label)
}

fn is_age(text: &str, kind: Kind) -> bool {
    let age = digits(text, kind).and_then(|it| it.parse().ok());
    age.is_some_and(|age: u32| (1..=AGE_MAX).contains(&age))
}

/// The digits of a number that is whole, in whatever form; a text as it is.
fn digits(text: &str, kind: Kind) -> Option<Cow<'_, str>> {
    match kind {
        Kind::Number => number::whole(text),
        Kind::String | Kind::Object | Kind::Array | Kind::Bool | Kind::Null => {
            Some(Cow::Borrowed(text))
        }
    }
}
