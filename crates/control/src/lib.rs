//! What the operator and the product decide, and the keys: accounts, parts, deletions, audit.
//!
//! The control database is `SQLite`; every committed change is on the volumes before it is answered,
//! and a lost file is rebuilt from them. The key table lives apart from it, so that destroying a
//! key reaches every old copy. This crate is the only home of the SQL driver. It must never hold
//! personal data but as keyed hashes or sealed fields, never let an act happen without its audit
//! entry, and never answer what is not on the volumes.

mod control;

mod actor;
mod audit;
pub mod authz;

mod account;
mod alerts;
mod allowlist;
mod sign_in;
mod users;

mod api_keys;
mod catalog;
mod classes;
mod credential_use;
mod deletion;
mod dictionary;
mod learned;
mod opt_outs;
mod passcodes;
mod restriction;
mod reveal;
mod review;
mod sdk_tokens;
mod senders;
mod state;

mod database;
mod retry;
mod schema;
mod sealer;
mod shipping;

pub mod fuzzing;
mod keyring;
mod keys;
mod objects;

mod error;
#[cfg(test)]
mod tests;

pub use account::{
    Account, LimitsChange, NewAccount, RequestRetention, Retention, RetentionChange,
};
pub use actor::{Actor, ActorKind};
pub use alerts::{Alert, AlertCall, Turn};
pub use allowlist::{AllowlistChange, AllowlistEntry, AllowlistView};
pub use api_keys::{AnswerKeyView, ApiEncryptionView, ApiKeyState, ApiKeyView};
pub use audit::{
    AUDIT_PAGE_MAX, AUDIT_RETENTION_DAYS, Action, Audit, AuditDownload, AuditEntry, AuditFilter,
    AuditOutcome, Checkpoint, DownloadFormat, SINK_BATCH_MAX, SinkBatch, SinkEntry, SinkProgress,
    SinkTerms, Unaudited, Verification, VerifiedLog, sink_head_line, verify,
};
pub use authz::Act;
pub use classes::{ClassChange, ClassView};
pub use control::{Control, Origin, RestoreReport, Settings, Status};
pub use deletion::{
    DELETION_KEYS_MAX, Deletion, DeletionId, DeletionState, LastTurn, LedgerKey, VerifiedReceipt,
    verify_receipt,
};
pub use dictionary::{DictionaryChange, DictionaryView, EventView, PolicyChange, PropertyView};
pub use error::{Error, Result};
pub use keyring::SharedKeyring;
pub use keys::{Destroyed, JournalMark, KeyTable, KeysReport};
pub use learned::{ErrorName, ErrorView, NAMES_MAX, NameView};
pub use passcodes::Passcode;
pub use restriction::Restriction;
pub use reveal::{Reveal, RevealQuota};
pub use review::{DropReview, QuarantineMark, SeenDrops};
pub use sdk_tokens::{NewSdkToken, SdkToken};
pub use sign_in::{
    Client, Code, Enrolled, Factors, LinkView, Mail, NewSession, NewUser, OutboxEntry,
    PASSWORD_CHARS_MAX, PASSWORD_CHARS_MIN, PasskeyView, Passkeys, SessionLimits, SessionView,
    SignedIn, Stage, TotpOffer,
};
pub use users::bulk::{USER_ACTS_MAX, UserAct};
pub use users::links::{Invitation, Purpose};
pub use users::roles::Role;
pub use users::{Enabled, User, UserGrant, UserId};
