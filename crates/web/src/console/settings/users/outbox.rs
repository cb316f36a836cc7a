//! `/a/{account}/settings/users/outbox`: the mails that were written, for those whom no mail server
//! serves: an Admin reads the link of an invitation here and passes it on.

use askama::Template;
use axum::extract::State as Of;
use axum::response::Response;
use control::OutboxEntry;

use crate::State;
use crate::console::overview::times;
use crate::console::staff::Staff;
use crate::console::view::{Answer, Badge, Moment, Section, Shell, Times, Tone, answer, html};

/// The page. Reading it is an entry of the audit log.
pub(crate) async fn get(staff: Staff, Of(state): Of<State>) -> Response {
    answer(&staff, show(&staff, &state).await)
}

#[derive(Debug, Template)]
#[template(path = "outbox.html")]
struct Outbox {
    shell: Shell,
    mails: Vec<Listed>,
}

#[derive(Debug)]
struct Listed {
    to: String,
    subject: String,
    text: String,
    written: Moment,
    state: Badge,
}

async fn show(staff: &Staff, state: &State) -> Answer {
    let times = times(staff, state);
    let mails = state.control().outbox(staff.actor(), staff.account());
    let mails = mails.await?;
    let path = format!("/a/{}/settings/users", staff.account());
    html(&Outbox {
        shell: Shell::new(staff, Section::Users, "Outbox").under("Users", path),
        mails: mails.into_iter().map(|it| listed(it, &times)).collect(),
    })
}

fn listed(entry: OutboxEntry, times: &Times) -> Listed {
    Listed {
        to: entry.mail.to,
        subject: entry.mail.subject,
        text: entry.mail.text,
        written: times.at(entry.created_at),
        state: match entry.sent_at {
            Some(_) => Badge::new(Tone::Ok, "Sent"),
            None => Badge::new(Tone::Info, "Waiting"),
        },
    }
}
