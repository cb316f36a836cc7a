//! The tokens that apps carry: another one is made, an old one is ended before its time.

use control::SdkToken;
use model::ErrorKind;

use super::{Credentials, Form, path};
use crate::console::staff::Staff;
use crate::console::view::{
    Answer, Badge, Fields, Moment, Times, Tone, html, link, see_other, unusable,
};
use crate::{Error, State};

/// A token that apps carry.
#[derive(Debug)]
pub(super) struct Token {
    pub(super) number: u32,
    pub(super) state: Badge,
    pub(super) used: Option<Moment>,
    pub(super) created: Moment,
    pub(super) ends: Option<Moment>,
    /// Whether it can be ended: it is accepted, and not the newest.
    pub(super) is_endable: bool,
}

pub(super) fn token(token: &SdkToken, times: &Times) -> Token {
    let state = match token.ends_at {
        None => Badge::new(Tone::Ok, "Newest"),
        Some(end) if end <= times.now() => Badge::new(Tone::Plain, "Refused"),
        Some(_) => Badge::new(Tone::Warn, "Accepted still"),
    };
    Token {
        number: token.number,
        state,
        is_endable: token.ends_at.is_some_and(|end| times.now() < end),
        used: token.used_at.map(|at| times.ago(at)),
        created: times.on(token.created_at),
        ends: token.ends_at.map(|at| times.at(at)),
    }
}

/// Makes another token for apps.
pub(super) async fn rotate(staff: &Staff, state: &State, fields: &Fields) -> Answer {
    let asked = Fields::default();
    let days = fields.text("days").parse::<u32>();
    let rotated = match days {
        Ok(days) => {
            let control = state.control();
            let rotated = control.rotate_sdk_token(staff.actor(), staff.account(), days);
            rotated.await.map_err(Error::from)
        }
        Err(_) => {
            let text = "an overlap is a number of days, 0 for none";
            Err(crate::operate::Error::Invalid(text.to_owned()).into())
        }
    };
    match rotated {
        // The answer to this form is the only place where the token is ever shown.
        Ok(made) => {
            let mut page = Credentials::new(staff, state, &asked, Form::default(), None).await?;
            page.made = Some((String::from("SDK token"), made.text.expose().clone()));
            html(&page)
        }
        Err(error) if matches!(error.kind(), ErrorKind::Invalid | ErrorKind::Conflict) => {
            let mut page = Credentials::new(staff, state, &asked, Form::default(), None).await?;
            page.token_error = Some(error.words());
            unusable(&page)
        }
        Err(error) => Err(error),
    }
}

/// Ends a token that apps carried before the newest.
pub(super) async fn end(staff: &Staff, state: &State, fields: &Fields) -> Answer {
    let number = fields.text("number").parse().map_err(|_| Error::Absent)?;
    let control = state.control();
    control
        .end_sdk_token(staff.actor(), staff.account(), number)
        .await?;
    see_other(&link(&path(staff), &[("done", "ended")]))
}
