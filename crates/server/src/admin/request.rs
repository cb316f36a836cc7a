//! What an operator can ask for; the same whether a server runs or not.

use serde::{Deserialize, Serialize};

use super::{
    AccessRequest, AccountRequest, AllowlistRequest, ApiKeyRequest, AuditRequest, CredentialRequest,
};
use crate::jobs::Job;

/// One act of an operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Request {
    /// Accounts.
    Account(AccountRequest),
    /// Keys for encrypted calls of the API.
    ApiKey(ApiKeyRequest),
    /// Changes what an account says of its events; shows it when nothing is changed.
    Dictionary {
        /// The account's id.
        account: String,
        /// The change.
        change: Option<DictionaryChange>,
    },
    /// Lists the names that an account's records use. The data is a JSON array.
    Names {
        /// The account's id.
        account: String,
    },
    /// Lists what was wrong with an account's records. The data is a JSON array.
    Errors {
        /// The account's id.
        account: String,
    },
    /// Reads by SQL. The data is a JSON array of objects.
    Query {
        /// Whose data.
        account: String,
        /// One SELECT statement.
        sql: String,
    },
    /// Shows what is held of a person.
    PersonShow {
        /// Whose data.
        account: String,
        /// Who.
        whom: Whom,
    },
    /// Restricts the processing of a person, lifts that, or shows when it was restricted.
    PersonRestriction {
        /// Whose data.
        account: String,
        /// Who.
        whom: Whom,
        /// What is done; nothing is changed when none.
        act: Option<RestrictionAct>,
    },
    /// Deletes a person.
    PersonDelete {
        /// Whose data.
        account: String,
        /// Who.
        whom: Whom,
    },
    /// What is done with the deletions of an account.
    Deletions {
        /// Whose data.
        account: String,
        /// What.
        act: DeletionsAct,
    },
    /// Writes records out. The data is the file.
    Export {
        /// Whose data.
        account: String,
        /// Which records.
        what: ExportWhat,
        /// From the start of this day in the account's time zone, `YYYY-MM-DD`; all when none.
        from: Option<String>,
        /// To the end of this day.
        to: Option<String>,
        /// How they are written.
        format: ExportFormat,
    },
    /// Reads or writes out the audit log.
    Audit(AuditRequest),
    /// Lists, shows or reviews what was dropped.
    Drops(super::DropsRequest),
    /// Searches the request log. The data is a JSON array.
    Requests(super::RequestsSearch),
    /// Lists, shows, replays or deletes quarantined records.
    Quarantine(super::QuarantineRequest),
    /// Users and roles.
    Access(AccessRequest),
    /// The IP allowlist.
    Allowlist(AllowlistRequest),
    /// Makes, lists or ends passcodes.
    Credential(CredentialRequest),
    /// Shows the volumes.
    VolumeStatus,
    /// Runs a job now, to its end.
    JobRun {
        /// Which.
        job: Job,
    },
}

/// What is done with deletions; one is named by its id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum DeletionsAct {
    /// All are listed.
    List,
    /// One is cancelled.
    Cancel(String),
    /// The receipt of one is shown. The data is the receipt as it is signed.
    Receipt(String),
}

/// A change of what an account says of its events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum DictionaryChange {
    /// It knows an event and these properties of it.
    Define {
        /// The event.
        event: String,
        /// The properties.
        properties: Vec<String>,
    },
    /// It knows a property of an event, or of people where there is no event.
    Declare {
        /// The event.
        event: Option<String>,
        /// The property.
        property: String,
        /// Of which kind its values are; none for any.
        kind: Option<DeclaredKind>,
        /// Whether an event without it is refused.
        is_mandatory: bool,
    },
    /// It does not want an event.
    Discard(String),
    /// It says nothing of an event.
    Forget(String),
    /// It says nothing of a property of an event, or of people where there is no event.
    ForgetProperty {
        /// The event.
        event: Option<String>,
        /// The property.
        property: String,
    },
    /// What becomes of what does not fit.
    Policy(DictionaryPolicy),
    /// What a property is, and how it is masked. What is none stays as it is.
    Class {
        /// Whose property.
        of: PropertyOf,
        /// Its name.
        property: String,
        /// Its class of personal information.
        class: Option<Class>,
        /// How it is masked.
        mask: Option<Mask>,
    },
}

/// Whose property.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PropertyOf {
    /// Of events
    Event,
    /// Of people
    Person,
}

/// A class of personal information.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Class {
    /// It is no personal information
    None,
    /// It names a person or a device
    Identifier,
    /// By it a person is reached
    Contact,
    /// It says where a person is
    Location,
    /// It says something that harms when it gets about
    Sensitive,
    /// Anybody may have written anything into it
    FreeText,
}

/// How values are masked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Mask {
    /// All alike
    Placeholder,
    /// A text keeps a little of itself
    Partial,
}

/// What becomes of what an account does not know, and of values of another kind; what is not named
/// stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::Args)]
#[group(required = true, multiple = true)]
pub(crate) struct DictionaryPolicy {
    /// Events that it does not know
    #[arg(long, value_enum)]
    pub(crate) events: Option<Unfit>,
    /// Properties that it does not know, of events that it does
    #[arg(long, value_enum)]
    pub(crate) properties: Option<UnfitProperty>,
    /// Properties of events whose value is not of the declared kind
    #[arg(long, value_enum)]
    pub(crate) mismatches: Option<UnfitProperty>,
    /// Properties of people that it does not know
    #[arg(long, value_enum)]
    pub(crate) profile: Option<Unfit>,
    /// Properties of people whose value is not of the declared kind
    #[arg(long, value_enum)]
    pub(crate) profile_mismatches: Option<Unfit>,
}

/// What becomes of an event or of a person's property that does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Unfit {
    /// It is kept
    Accept,
    /// It is not kept: an event is refused, a property left out
    Drop,
}

/// What becomes of an event's property that does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum UnfitProperty {
    /// It is kept
    Accept,
    /// It is left out, and the event is kept
    DropProperty,
    /// The event is refused
    DropEvent,
}

/// What is done about the processing of a person, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RestrictionAct {
    /// It is restricted.
    Restrict(String),
    /// That is lifted.
    Lift(String),
}

/// Of which kind values are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum DeclaredKind {
    /// Strings that are no dates
    Text,
    /// Numbers with or without a fraction
    Number,
    /// True or false
    Boolean,
    /// Strings that begin with `$D_`
    Date,
    /// Lists
    List,
    /// Objects
    Object,
}

/// How a person is named on the command line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Whom {
    /// The company's own id of the person.
    Identity(String),
    /// The id of a device or browser.
    ObjectId(String),
    /// The address in the person's profile.
    Email(String),
}

/// Which records are written out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ExportWhat {
    /// Every event of the days.
    Events,
    /// Every person, as known now.
    People,
}

/// How records are written out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ExportFormat {
    /// One JSON object a line.
    Jsonl,
    /// Comma-separated values with a head line.
    Csv,
    /// Apache Parquet.
    Parquet,
}
