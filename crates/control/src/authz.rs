//! Who may do what: one pure function.

use model::AccountId;

use crate::{Actor, ActorKind};

/// What an actor wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// Create an account, see all accounts.
    ManageInstallation,
    /// See an account's settings.
    ReadAccount,
    /// Change an account's settings and credentials.
    ManageAccount,
    /// Have people deleted, see deletions.
    DeletePeople,
    /// Carry a deletion out.
    CarryOutDeletion,
    /// Read people's data, as an entry of the audit log says.
    ReadPeople,
    /// Read the audit log.
    ReadAudit,
}

impl Act {
    /// Every act.
    pub const ALL: [Self; 7] = [
        Self::ManageInstallation,
        Self::ReadAccount,
        Self::ManageAccount,
        Self::DeletePeople,
        Self::CarryOutDeletion,
        Self::ReadPeople,
        Self::ReadAudit,
    ];

    /// The act, after "to".
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ManageInstallation => "manage the installation",
            Self::ReadAccount => "read the account's settings",
            Self::ManageAccount => "change the account's settings",
            Self::DeletePeople => "delete people",
            Self::CarryOutDeletion => "carry out a deletion",
            Self::ReadPeople => "read people's data",
            Self::ReadAudit => "read the audit log",
        }
    }
}

/// Whether `actor` may do `act` in `account`.
///
/// The operator of the operating system may do everything that a person may do. A passcode reads
/// and deletes people, in its own account and nowhere else. Jobs may do what jobs are for: carry
/// out what a person has ordered, and note what they read.
#[must_use]
pub fn allows(actor: &Actor, act: Act, account: AccountId) -> bool {
    match &actor.kind {
        ActorKind::OsUser(_) => match act {
            Act::ManageInstallation
            | Act::ReadAccount
            | Act::ManageAccount
            | Act::DeletePeople
            | Act::CarryOutDeletion
            | Act::ReadPeople
            | Act::ReadAudit => true,
        },
        ActorKind::Passcode { account: own, .. } => match act {
            Act::ReadAccount | Act::DeletePeople | Act::ReadPeople => *own == account,
            Act::ManageInstallation
            | Act::ManageAccount
            | Act::CarryOutDeletion
            | Act::ReadAudit => false,
        },
        ActorKind::System(_) => match act {
            Act::ManageInstallation
            | Act::ReadAccount
            | Act::CarryOutDeletion
            | Act::ReadPeople => true,
            Act::ManageAccount | Act::DeletePeople | Act::ReadAudit => false,
        },
    }
}
