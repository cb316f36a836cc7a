//! What a form wants of users: read, checked, shown before it is done.

use control::{USER_ACTS_MAX, User, UserAct};
use model::Timestamp;
use std::time::Duration;

use crate::console::settings::roles::words;
use crate::console::view::Fields;

const DAY: Duration = Duration::from_secs(86_400);
/// The longest time that a role can be given for, days.
const DAYS_MAX: u32 = 3_660;

/// What a form wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    Invite,
    Grant,
    Withdraw,
    Revoke,
}

/// Acts on users, and the fields that say them again when they are confirmed.
#[derive(Debug)]
pub(super) struct Plan {
    wish: Wish,
    pub(super) acts: Vec<UserAct>,
    /// Names and values of the hidden fields of the review.
    pub(super) fields: Vec<(String, String)>,
}

/// One act as the review shows it.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) email: String,
    pub(super) before: String,
    pub(super) after: String,
}

impl Plan {
    /// Reads a form: `act`, `email` (several) or `emails` (a text), `role`, `days`.
    ///
    /// # Errors
    /// What is wrong with it, as a sentence.
    pub(super) fn of(fields: &Fields, now: Timestamp) -> Result<Self, String> {
        let wish = match fields.text("act") {
            "invite" => Wish::Invite,
            "grant" => Wish::Grant,
            "withdraw" => Wish::Withdraw,
            "revoke" => Wish::Revoke,
            _ => return Err(String::from("Choose what to do.")),
        };
        let typed = fields.text("emails").split([',', ';', '\n', ' ']);
        let mut emails: Vec<String> = fields
            .all("email")
            .into_iter()
            .chain(typed.map(str::trim).filter(|it| !it.is_empty()))
            .map(str::to_lowercase)
            .collect();
        emails.sort_unstable();
        emails.dedup();
        if emails.is_empty() {
            return Err(String::from("Name at least one user."));
        }
        if emails.len() > USER_ACTS_MAX {
            return Err(format!("At most {USER_ACTS_MAX} users at a time."));
        }
        if let Some(wrong) = emails.iter().find(|it| !it.contains('@')) {
            return Err(format!("{wrong} is not an email address."));
        }
        let role = fields.text("role").to_owned();
        if role.is_empty() && wish != Wish::Revoke {
            return Err(String::from("Choose a role."));
        }
        let days = match fields.text("days") {
            "" => None,
            text => Some(
                text.parse::<u32>()
                    .ok()
                    .filter(|it| (1..=DAYS_MAX).contains(it))
                    .ok_or_else(|| format!("A role is given for 1 to {DAYS_MAX} days."))?,
            ),
        };
        let expires_at = days.map(|days| now.plus(DAY * days));
        let act = |email: &String| {
            let (email, role) = (email.clone(), role.clone());
            match wish {
                Wish::Invite => UserAct::Invite {
                    email,
                    name: String::new(),
                    role,
                    expires_at,
                },
                Wish::Grant => UserAct::Grant {
                    email,
                    role,
                    expires_at,
                },
                Wish::Withdraw => UserAct::Withdraw { email, role },
                Wish::Revoke => UserAct::Revoke { email },
            }
        };
        let acts = emails.iter().map(act).collect();
        let mut hidden = vec![(String::from("act"), fields.text("act").to_owned())];
        for name in ["role", "days"] {
            hidden.push((name.to_owned(), fields.text(name).to_owned()));
        }
        hidden.extend(emails.into_iter().map(|it| (String::from("email"), it)));
        Ok(Self {
            wish,
            acts,
            fields: hidden,
        })
    }

    /// The word of the URL after it is done.
    pub(super) const fn word(&self) -> &'static str {
        match self.wish {
            Wish::Invite => "invite",
            Wish::Grant => "grant",
            Wish::Withdraw => "withdraw",
            Wish::Revoke => "revoke",
        }
    }

    /// The heading of the review.
    pub(super) const fn title(&self) -> &'static str {
        match self.wish {
            Wish::Invite => "Invite users",
            Wish::Grant => "Give a role",
            Wish::Withdraw => "Take a role",
            Wish::Revoke => "End access",
        }
    }

    /// Whether it takes something away.
    pub(super) const fn is_hard(&self) -> bool {
        matches!(self.wish, Wish::Withdraw | Wish::Revoke)
    }

    /// Before and after, for each user.
    pub(super) fn lines(&self, users: &[User]) -> Vec<Line> {
        let line = |act: &UserAct| {
            let user = users.iter().find(|it| it.email == act.email());
            let before: Vec<String> = user
                .iter()
                .flat_map(|it| &it.grants)
                .map(|it| it.role.clone())
                .collect();
            let mut after = before.clone();
            let mut note = String::new();
            match act {
                UserAct::Invite {
                    role, expires_at, ..
                }
                | UserAct::Grant {
                    role, expires_at, ..
                } => {
                    after.retain(|it| it != role);
                    after.push(role.clone());
                    if let Some(end) = expires_at {
                        note = format!(", {} until {}", words(role).to_lowercase(), end.day());
                    }
                }
                UserAct::Withdraw { role, .. } => after.retain(|it| it != role),
                UserAct::Revoke { .. } => after.clear(),
                // These are not planned: each is one button on the user's page.
                UserAct::Resend { .. } | UserAct::Disable { .. } | UserAct::Enable { .. } => {}
            }
            Line {
                email: act.email().to_owned(),
                before: shown(&before),
                after: format!("{}{note}", shown(&after)),
            }
        };
        self.acts.iter().map(line).collect()
    }
}

fn shown(roles: &[String]) -> String {
    match roles.is_empty() {
        true => String::from("no access"),
        false => roles
            .iter()
            .map(|it| words(it))
            .collect::<Vec<_>>()
            .join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::Plan;
    use crate::console::view::Fields;
    use control::UserAct;
    use model::Timestamp;

    fn read(text: &str) -> Result<Plan, String> {
        Plan::of(&Fields::parse(text.as_bytes()), Timestamp::from_ms(0))
    }

    #[test]
    fn a_form_is_read_into_acts() {
        let plan = read("act=invite&emails=B%40x.y,a%40x.y%0Ab%40x.y&role=member&days=1").unwrap();
        let emails: Vec<&str> = plan.acts.iter().map(UserAct::email).collect();
        assert_eq!(emails, ["a@x.y", "b@x.y"]);
        assert!(!plan.is_hard());
        let lines = plan.lines(&[]);
        assert_eq!(lines[0].before, "no access");
        assert_eq!(lines[0].after, "Member, member until 1970-01-02");
        let plan = read("act=revoke&email=a%40x.y").unwrap();
        assert!(plan.is_hard());
        assert_eq!(plan.lines(&[])[0].after, "no access");
    }

    #[test]
    fn a_form_without_sense_is_refused() {
        let many: String = (0..51).map(|n| format!("&email=u{n}%40x.y")).collect();
        for wrong in [
            "",
            "act=invite&role=member",
            "act=invite&emails=nobody&role=member",
            "act=grant&email=a%40x.y",
            "act=grant&email=a%40x.y&role=member&days=0",
            &format!("act=revoke{many}"),
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
