//! Who may do what: one pure function of the actor, the act and the account.
//!
//! What users may do follows from their roles (`governance::access`) and from nothing else. The
//! whole of it is written out in `authz_matrix.txt`, which a test compares.

use governance::access::{Component, Level, Standing};
use governance::{Classes, Condition, Masks, Scope};
use model::AccountId;
use std::fmt;
use std::sync::Arc;

use crate::{Action, Actor, ActorKind};

/// What an actor wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// See what is about the whole installation: volumes, drops.
    ReadInstallation,
    /// Create an account, see all accounts.
    ManageInstallation,
    /// See an account's settings.
    ReadAccount,
    /// Change an account's settings.
    ManageAccount,
    /// See passcodes and tokens, without their secrets.
    ReadCredentials,
    /// Make and revoke passcodes and tokens.
    ManageCredentials,
    /// See who has access.
    ReadUsers,
    /// Invite, give and take roles, end access.
    ManageUsers,
    /// See the roles.
    ReadRoles,
    /// Make, change and delete roles.
    ManageRoles,
    /// Have people deleted, see deletions.
    DeletePeople,
    /// Restrict the processing of people, lift that, and find those of whom it is restricted.
    RestrictPeople,
    /// Carry a deletion out.
    CarryOutDeletion,
    /// Count, and read events without a person in view.
    Analyse,
    /// Read people's data, as an entry of the audit log says.
    ReadPeople,
    /// Have masked values of one person shown, for a reason.
    RevealPerson,
    /// Change what is known of people.
    ChangePeople,
    /// Take people's data away in a file.
    Export,
    /// See what the account says of its events.
    ReadDictionary,
    /// Change what the account says of its events.
    ManageDictionary,
    /// Say which properties are personal information.
    ClassifyProperties,
    /// See what was not accepted.
    ReadQuarantine,
    /// Store what was not accepted after all, or delete it.
    ManageQuarantine,
    /// Read the log of requests.
    ReadRequests,
    /// Read the audit log.
    ReadAudit,
}

/// What an act asks of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Need {
    /// A level on a component, in the account.
    Level(Component, Level),
    /// A level on a component, in the installation.
    Installation(Component, Level),
    /// Any right in the account.
    AnyRole,
    /// It is not for users.
    JobsOnly,
}

impl Act {
    /// Every act.
    pub const ALL: [Self; 25] = [
        Self::ReadInstallation,
        Self::ManageInstallation,
        Self::ReadAccount,
        Self::ManageAccount,
        Self::ReadCredentials,
        Self::ManageCredentials,
        Self::ReadUsers,
        Self::ManageUsers,
        Self::ReadRoles,
        Self::ManageRoles,
        Self::DeletePeople,
        Self::RestrictPeople,
        Self::CarryOutDeletion,
        Self::Analyse,
        Self::ReadPeople,
        Self::RevealPerson,
        Self::ChangePeople,
        Self::Export,
        Self::ReadDictionary,
        Self::ManageDictionary,
        Self::ClassifyProperties,
        Self::ReadQuarantine,
        Self::ManageQuarantine,
        Self::ReadRequests,
        Self::ReadAudit,
    ];

    /// The act, after "to".
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ReadInstallation => "see the installation",
            Self::ManageInstallation => "manage the installation",
            Self::ReadAccount => "read the account's settings",
            Self::ManageAccount => "change the account's settings",
            Self::ReadCredentials => "see the account's credentials",
            Self::ManageCredentials => "change the account's credentials",
            Self::ReadUsers => "see the users",
            Self::ManageUsers => "change who has access",
            Self::ReadRoles => "see the roles",
            Self::ManageRoles => "change the roles",
            Self::DeletePeople => "delete people",
            Self::RestrictPeople => "restrict the processing of people",
            Self::CarryOutDeletion => "carry out a deletion",
            Self::Analyse => "analyse events",
            Self::ReadPeople => "read people's data",
            Self::RevealPerson => "have masked values shown",
            Self::ChangePeople => "change people's data",
            Self::Export => "export people's data",
            Self::ReadDictionary => "see the dictionary",
            Self::ManageDictionary => "change the dictionary",
            Self::ClassifyProperties => "say which properties are personal information",
            Self::ReadQuarantine => "see the quarantine",
            Self::ManageQuarantine => "replay or delete quarantined records",
            Self::ReadRequests => "read the request log",
            Self::ReadAudit => "read the audit log",
        }
    }

    /// The act that an entry about something beside the control database tells of: a read, a change
    /// of people's data.
    #[must_use]
    pub const fn of_read(action: Action) -> Self {
        match action {
            Action::EventsRead | Action::CountRead => Self::Analyse,
            Action::Exported => Self::Export,
            Action::DeletionPreviewed => Self::DeletePeople,
            Action::PersonChanged
            | Action::PeopleSubscribed
            | Action::PhonesRemoved
            | Action::PeopleDemerged => Self::ChangePeople,
            Action::PersonRevealed => Self::RevealPerson,
            Action::AuditRead => Self::ReadAudit,
            Action::QuarantineRead => Self::ReadQuarantine,
            Action::QuarantineReplayed | Action::QuarantineDeleted => Self::ManageQuarantine,
            Action::RequestsRead => Self::ReadRequests,
            Action::DropsRead => Self::ReadInstallation,
            Action::JobRun => Self::ManageInstallation,
            Action::ProgramRefused => Self::ReadAccount,
            _ => Self::ReadPeople,
        }
    }

    /// The scope of a passcode that is enough for it: what the protocol's own calls ask.
    const fn scope(self) -> Option<Scope> {
        match self {
            Self::Analyse | Self::ReadPeople | Self::Export => Some(Scope::Read),
            Self::ChangePeople => Some(Scope::Upload),
            Self::DeletePeople => Some(Scope::Delete),
            Self::ReadInstallation
            | Self::ManageInstallation
            | Self::ReadAccount
            | Self::ManageAccount
            | Self::ReadCredentials
            | Self::ManageCredentials
            | Self::ReadUsers
            | Self::ManageUsers
            | Self::ReadRoles
            | Self::ManageRoles
            | Self::RestrictPeople
            | Self::CarryOutDeletion
            | Self::RevealPerson
            | Self::ReadDictionary
            | Self::ManageDictionary
            | Self::ClassifyProperties
            | Self::ReadQuarantine
            | Self::ManageQuarantine
            | Self::ReadRequests
            | Self::ReadAudit => None,
        }
    }

    /// The component that it is about, and how much of it is needed; none where any role will do, or
    /// none does.
    #[must_use]
    pub const fn component(self) -> Option<(Component, Level)> {
        match self.need() {
            Need::Level(component, level) | Need::Installation(component, level) => {
                Some((component, level))
            }
            Need::AnyRole | Need::JobsOnly => None,
        }
    }

    const fn need(self) -> Need {
        use Component as C;
        use Level::{Read, Write};
        match self {
            Self::ReadInstallation => Need::Installation(C::Storage, Read),
            Self::ManageInstallation => Need::Installation(C::Storage, Write),
            Self::ReadAccount => Need::AnyRole,
            Self::ManageAccount => Need::Level(C::Security, Write),
            Self::ReadCredentials => Need::Level(C::Credentials, Read),
            Self::ManageCredentials => Need::Level(C::Credentials, Write),
            Self::ReadUsers => Need::Level(C::Users, Read),
            Self::ManageUsers => Need::Level(C::Users, Write),
            Self::ReadRoles => Need::Level(C::Roles, Read),
            Self::ManageRoles => Need::Level(C::Roles, Write),
            Self::DeletePeople | Self::RestrictPeople => Need::Level(C::PrivacyRequests, Write),
            Self::CarryOutDeletion => Need::JobsOnly,
            Self::Analyse => Need::Level(C::Analysis, Read),
            Self::ReadPeople => Need::Level(C::People, Read),
            Self::RevealPerson => Need::Level(C::PersonalInformation, Read),
            Self::ChangePeople => Need::Level(C::People, Write),
            Self::Export => Need::Level(C::Exports, Read),
            Self::ReadDictionary => Need::Level(C::Dictionary, Read),
            Self::ManageDictionary => Need::Level(C::Dictionary, Write),
            Self::ClassifyProperties => Need::Level(C::PersonalInformation, Write),
            Self::ReadQuarantine => Need::Level(C::Quarantine, Read),
            Self::ManageQuarantine => Need::Level(C::Quarantine, Write),
            Self::ReadRequests => Need::Level(C::RequestLog, Read),
            Self::ReadAudit => Need::Level(C::AuditLog, Read),
        }
    }
}

/// Why an actor may not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// The passcode is of another account.
    AnotherAccount,
    /// Programs do not do this.
    NotForPrograms,
    /// Jobs do not do this: somebody must order it.
    NotForJobs,
    /// Only jobs do this.
    JobsOnly,
    /// The user has no role there.
    NoRole,
    /// The passcode is good for too little.
    OutOfScope {
        /// Of what.
        component: Component,
        /// How much is asked.
        needed: Level,
        /// How much there is.
        held: Level,
    },
    /// The user's roles there give too little.
    TooLittle {
        /// Of what.
        component: Component,
        /// How much is asked.
        needed: Level,
        /// How much there is.
        held: Level,
    },
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AnotherAccount => f.write_str("the passcode is of another account"),
            Self::NotForPrograms => f.write_str("programs do not do this"),
            Self::NotForJobs => f.write_str("jobs do not do this"),
            Self::JobsOnly => f.write_str("only jobs do this"),
            Self::NoRole => f.write_str("no role there"),
            Self::OutOfScope {
                component,
                needed,
                held,
            } => write!(
                f,
                "it needs {} on {}, and the passcode has {}",
                needed.as_str(),
                component.as_str(),
                held.as_str()
            ),
            Self::TooLittle {
                component,
                needed,
                held,
            } => write!(
                f,
                "it needs {} on {}, and the roles give {}",
                needed.as_str(),
                component.as_str(),
                held.as_str()
            ),
        }
    }
}

/// Whether `actor` may do `act` in `account`, or why not.
///
/// The operator of the operating system may do everything that a person may do. A passcode may do
/// what its scopes and rights say, in its own account and nowhere else. Jobs may do what jobs are for: carry
/// out what a person has ordered, and note what they read. A user may do what the roles give.
///
/// # Errors
/// Why not.
pub fn decide(actor: &Actor, act: Act, account: AccountId) -> Result<(), Why> {
    match &actor.kind {
        ActorKind::OsUser(_) => Ok(()),
        ActorKind::Passcode {
            account: own,
            scopes,
            ..
        } => {
            if act.scope().is_some_and(|it| scopes.hold(it)) || act.need() == Need::AnyRole {
                return in_own(*own, account);
            }
            match act.need() {
                Need::AnyRole | Need::JobsOnly | Need::Installation(..) => Err(Why::NotForPrograms),
                Need::Level(component, needed) => {
                    in_own(*own, account)?;
                    let held = scopes.rights().level(component);
                    if held >= needed {
                        return Ok(());
                    }
                    Err(Why::OutOfScope {
                        component,
                        needed,
                        held,
                    })
                }
            }
        }
        ActorKind::System(_) => match act {
            Act::ReadInstallation
            | Act::ManageInstallation
            | Act::ReadAccount
            | Act::CarryOutDeletion
            | Act::Analyse
            | Act::ReadPeople => Ok(()),
            Act::ManageAccount
            | Act::ReadCredentials
            | Act::ManageCredentials
            | Act::ReadUsers
            | Act::ManageUsers
            | Act::ReadRoles
            | Act::ManageRoles
            | Act::DeletePeople
            | Act::RestrictPeople
            | Act::RevealPerson
            | Act::ChangePeople
            | Act::Export
            | Act::ReadDictionary
            | Act::ManageDictionary
            | Act::ClassifyProperties
            | Act::ReadQuarantine
            | Act::ManageQuarantine
            | Act::ReadRequests
            | Act::ReadAudit => Err(Why::NotForJobs),
        },
        ActorKind::User { standings, .. } => {
            let standing = |id: AccountId| standings.get(&id);
            match act.need() {
                Need::JobsOnly => Err(Why::JobsOnly),
                Need::AnyRole => match standing(account) {
                    Some(found) if !found.roles.is_empty() => Ok(()),
                    Some(_) | None => Err(Why::NoRole),
                },
                Need::Level(component, needed) => enough(standing(account), component, needed),
                Need::Installation(component, needed) => {
                    enough(standing(AccountId::installation()), component, needed)
                }
            }
        }
    }
}

/// A passcode is good for nothing but its own account.
fn in_own(own: AccountId, account: AccountId) -> Result<(), Why> {
    match own == account {
        true => Ok(()),
        false => Err(Why::AnotherAccount),
    }
}

fn enough(standing: Option<&Standing>, component: Component, needed: Level) -> Result<(), Why> {
    let standing = standing
        .filter(|it| !it.roles.is_empty())
        .ok_or(Why::NoRole)?;
    if standing.rights.allow(component, needed) {
        return Ok(());
    }
    Err(Why::TooLittle {
        component,
        needed,
        held: standing.rights.level(component),
    })
}

/// Whether `actor` may do `act` in `account`.
#[must_use]
pub fn allows(actor: &Actor, act: Act, account: AccountId) -> bool {
    decide(actor, act, account).is_ok()
}

/// What `actor` does not see in `account`, whose properties are `classes`: the masks of a
/// `ReadPolicy`.
#[must_use]
pub fn masks(actor: &Actor, account: AccountId, classes: &Classes) -> Masks {
    match sees_personal_information(actor, account) {
        true => Masks::default(),
        false => classes.masks(),
    }
}

/// Whether `actor` sees personal information in `account`.
#[must_use]
pub fn sees_personal_information(actor: &Actor, account: AccountId) -> bool {
    match &actor.kind {
        ActorKind::OsUser(_) | ActorKind::System(_) => true,
        ActorKind::Passcode { scopes, .. } => {
            let rights = scopes.rights();
            scopes.hold(Scope::PersonalInformation)
                || rights.allow(Component::PersonalInformation, Level::Write)
        }
        ActorKind::User { standings, .. } => standings
            .get(&account)
            .is_some_and(Standing::sees_personal_information),
    }
}

/// The conditions that hold for every person whom `actor` sees in `account`.
#[must_use]
pub fn filters(actor: &Actor, account: AccountId) -> Vec<Arc<Condition>> {
    match &actor.kind {
        ActorKind::OsUser(_) | ActorKind::Passcode { .. } | ActorKind::System(_) => Vec::new(),
        ActorKind::User { standings, .. } => standings
            .get(&account)
            .map(|standing| standing.filters.clone())
            .unwrap_or_default(),
    }
}
