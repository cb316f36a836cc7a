//! `/a/{account}/settings/users/outbox`: the mails that were written, for those whom no mail server
//! serves: an Admin reads the link of an invitation here and passes it on.

use askama::Template;
use axum::extract::State as Of;
use axum::response::Response;
use control::OutboxEntry;

use crate::State;
use crate::console::overview::times;
use crate::console::staff::Staff;
use crate::console::view::{
    Answer, Asked, Badge, Column, Fields, Heads, Moment, Pager, Section, Sheet, Shell, Times, Tone,
    answer, html,
};

/// The columns of the page. There is no file: links that sign somebody in stand in these mails.
const COLUMNS: &[Column<OutboxEntry>] = &[
    Column::new("written", "Written", |it: &OutboxEntry, times| {
        times.cell(Some(it.created_at))
    })
    .most(|a, b| a.created_at.cmp(&b.created_at)),
    Column::new("to", "To", |it: &OutboxEntry, _| it.mail.to.clone())
        .by(|a, b| a.mail.to.cmp(&b.mail.to)),
    Column::new("status", "Status", |_, _| String::new())
        .by(|a, b| a.sent_at.is_some().cmp(&b.sent_at.is_some())),
    Column::new("mail", "Mail", |it: &OutboxEntry, _| {
        it.mail.subject.clone()
    }),
];

/// The page. Reading it is an entry of the audit log.
pub(crate) async fn get(staff: Staff, Of(state): Of<State>, Asked(asked): Asked) -> Response {
    answer(&staff, show(&staff, &state, &asked).await)
}

#[derive(Debug, Template)]
#[template(path = "outbox.html")]
struct Outbox {
    shell: Shell,
    mails: Vec<Listed>,
    heads: Heads,
    pager: Pager,
}

#[derive(Debug)]
struct Listed {
    to: String,
    subject: String,
    text: String,
    written: Moment,
    state: Badge,
}

async fn show(staff: &Staff, state: &State, asked: &Fields) -> Answer {
    let times = times(staff, state);
    let mails = state.control().outbox(staff.actor(), staff.account());
    let mut mails = mails.await?;
    let path = format!("/a/{}/settings/users", staff.account());
    let at = format!("{path}/outbox");
    let sheet = Sheet::new(asked, &at);
    let heads = sheet.sort(COLUMNS, Some(("written", true)), &mut mails);
    let (mails, pager) = sheet.cut(mails, "mail");
    html(&Outbox {
        shell: Shell::new(staff, Section::Users, "Outbox").under("Users", path),
        mails: mails.into_iter().map(|it| listed(it, &times)).collect(),
        heads,
        pager,
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
