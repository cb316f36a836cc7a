//! What a kind of act leaves in the audit log, as the place says that offers it: a route, a page, a
//! command.
//!
//! Each of them states it; saying that there is no entry takes a reason from a closed list.

use super::Action;

/// What each call of a route, page or command leaves in the audit log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audit {
    /// Nothing: it shows no person's data and changes nothing.
    Nothing,
    /// Nothing, and it needs saying why.
    NothingAs(Unaudited),
    /// One of these entries, or several: the first when all goes well.
    Entries(&'static [Action]),
}

/// Why there is no entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unaudited {
    /// It answers numbers over all of an account's people and shows nobody.
    Counts,
    /// It adds records as clients send them; each call is a line of the request log, in the same
    /// commit.
    RequestLog,
    /// There is nothing behind it: it answers the same to everybody.
    NotOffered,
    /// It is a step of an act that leaves its entry at the end.
    Step,
    /// It works on files or on the program alone: no installation is opened.
    Offline,
    /// It only runs other acts of this table, which leave their own.
    OfOthers,
}

impl Audit {
    /// Whether each call leaves an entry.
    #[must_use]
    pub const fn is_audited(self) -> bool {
        matches!(self, Self::Entries(_))
    }

    /// The actions, the first of them when all goes well; none when it leaves nothing.
    #[must_use]
    pub const fn actions(self) -> &'static [Action] {
        match self {
            Self::Entries(actions) => actions,
            Self::Nothing | Self::NothingAs(_) => &[],
        }
    }

    /// In words, for the table of acts.
    #[must_use]
    pub fn words(self) -> String {
        match self {
            Self::Nothing => String::from("none: shows nobody's data and changes nothing"),
            Self::NothingAs(why) => format!("none: {}", why.as_str()),
            Self::Entries(actions) => {
                let names: Vec<&str> = actions.iter().map(|it| it.as_str()).collect();
                names.join(" ")
            }
        }
    }
}

impl Unaudited {
    /// The reason, in words.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counts => "answers numbers over all people and shows nobody",
            Self::RequestLog => "adds records, each call is a line of the request log",
            Self::NotOffered => "answers the same to everybody, there is nothing behind it",
            Self::Step => "is a step of an act that leaves its entry at the end",
            Self::Offline => "works on files or the program alone, no installation is opened",
            Self::OfOthers => "only runs other acts, which leave their own entries",
        }
    }
}
