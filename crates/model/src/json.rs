//! JSON kept as it was sent.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::fmt;

/// The text of one JSON value, exactly as the sender wrote it.
///
/// Keeping the text means that no number is rounded, no key order is lost and no second encoding is
/// paid for on the way in. Serialized in binary formats as a plain string.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RawJson(Box<str>);

impl RawJson {
    /// The empty object, `{}`.
    #[must_use]
    pub fn empty_object() -> Self {
        Self(Box::from("{}"))
    }

    /// Keeps `text` if it is one well-formed JSON value.
    ///
    /// # Errors
    /// The parser's complaint when it is not.
    pub fn parse(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str::<&RawValue>(text).map(Self::from)
    }

    /// Keeps `text`, which the caller has checked to be one well-formed JSON value: for `wire`, whose
    /// scanner has just read it. Text from anywhere else goes through [`RawJson::parse`].
    #[must_use]
    pub fn from_checked(text: &str) -> Self {
        Self(Box::from(text))
    }

    /// The JSON of any serializable value.
    ///
    /// # Errors
    /// When the value has a map with keys that are not strings.
    pub fn of<T: Serialize + ?Sized>(value: &T) -> Result<Self, serde_json::Error> {
        serde_json::to_string(value).map(|text| Self(text.into_boxed_str()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&RawValue> for RawJson {
    fn from(value: &RawValue) -> Self {
        Self(Box::from(value.get()))
    }
}

impl fmt::Debug for RawJson {
    /// Says how long the text is: values are customer data and stay out of logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RawJson({} bytes)", self.0.len())
    }
}
