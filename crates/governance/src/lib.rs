//! What an account allows: who may call, how much at a time, what is kept, and whom a deletion
//! hides.
//!
//! Everything here is a pure function of its arguments or a small counter in memory. It must never
//! do I/O, read a clock or start a task. Bytes have been decoded before they come here; what leaves
//! ([`Admitted`]) is what the journal takes.

pub mod access;
mod admission;
mod allowlist;
mod announced;
mod api_encryption;
mod ceilings;
mod classes;
mod condition;
mod dictionary;
mod fold;
mod network;
mod number;
mod opted_out;
mod passcode;
mod restriction;
mod rules;
mod suppression;
mod terms;

pub use admission::{Admitted, Arrival, AsSent, Reach, admit};
pub use allowlist::Allowlist;
pub use announced::{Announced, Announcements};
pub use api_encryption::{AnswerKey, ApiEncryption, ApiEncryptionPolicy, ApiKey};
pub use ceilings::{Ceilings, Permit};
pub use classes::{Class, Classes, Classification, Mask, Masks, PLACEHOLDER, PropertyOf};
pub use condition::{Condition, NotACondition};
pub use dictionary::{
    Declared, DeclaredKind, Dictionary, LeftOutProperty, Policy, Properties, Unfit, UnfitProperty,
};
pub use fold::{Device, Identity, Profile, PushToken, Step, fold, superseded};
pub use network::{Network, NotANetwork};
pub use opted_out::OptedOut;
pub use passcode::{NewPasscode, PasscodeHash, PasscodeRule, SdkTokenRule};
pub use restriction::Restricted;
pub use rules::{AccountRules, Limits, Rules};
pub use suppression::{Stretch, Suppressions};
pub use terms::{PasscodeTerms, Scope, Scopes};
