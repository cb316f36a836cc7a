//! `/a/{account}/people/{key}/delete`: what a deletion would take, and the order for it.

use askama::Template;
use axum::extract::{Path, State as Of};
use axum::response::Response;
use control::{Action, AuditOutcome, LedgerKey};
use model::PersonKey;
use query::{PersonView, ReadPolicy};

use super::{frame, read, title};
use crate::console::staff::Staff;
use crate::console::view::{
    Answer, Fields, Posted, Shell, answer, count, html, see_other, unusable,
};
use crate::operate::{number, rows_under};
use crate::{Error, Result, State};

/// Keys whose rows are counted.
const KEYS_MAX: usize = 100;

/// The dry run.
pub(crate) async fn get(
    staff: Staff,
    Of(state): Of<State>,
    Path((_, key)): Path<(String, String)>,
) -> Response {
    let shown = async {
        let page = Box::pin(Delete::new(&staff, &state, &key)).await?;
        html(&page)
    };
    answer(&staff, Box::pin(shown).await)
}

/// The order.
pub(crate) async fn post(
    staff: Staff,
    Of(state): Of<State>,
    Path((_, key)): Path<(String, String)>,
    Posted(fields): Posted,
) -> Response {
    answer(
        &staff,
        Box::pin(delete(&staff, &state, &key, &fields)).await,
    )
}

#[derive(Debug, Template)]
#[template(path = "person_delete.html")]
struct Delete {
    shell: Shell,
    path: String,
    /// What there is, and how much of it.
    counts: Vec<(&'static str, String)>,
    reason: String,
    error: Option<&'static str>,
}

impl Delete {
    async fn new(staff: &Staff, state: &State, key: &str) -> Result<Self> {
        let policy = staff.policy().ok_or(Error::Absent)?;
        let found = read(state, &policy, key).await?;
        let (person, view) = found.ok_or(Error::Absent)?;
        let control = state.control();
        control
            .audit(
                staff.actor(),
                staff.account(),
                Action::PersonShown,
                &person.to_string(),
                "counts before a deletion",
                AuditOutcome::Done,
            )
            .await?;
        let name = title(&view, person);
        Ok(Self {
            shell: frame(staff, person, String::from("Delete"), &name),
            path: format!("/a/{}/people/{person}", staff.account()),
            counts: Box::pin(counts(state, &policy, &view, person)).await?,
            reason: String::new(),
            error: None,
        })
    }
}

async fn counts(
    state: &State,
    policy: &ReadPolicy,
    view: &PersonView,
    person: PersonKey,
) -> Result<Vec<(&'static str, String)>> {
    let events = view.events.values().map(|it| it.count).sum::<u64>();
    let wide = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
    let mut keys: Vec<PersonKey> = view.keys.iter().map(|(key, _)| *key).collect();
    if keys.is_empty() {
        keys.push(person);
    }
    keys.truncate(KEYS_MAX);
    let of_person: Vec<String> = keys
        .iter()
        .map(|key| format!("person_key = X'{key}'"))
        .collect();
    let of_person = of_person.join(" OR ");
    let rows = async |table: &str| -> Result<u64> {
        let sql = format!("SELECT count(*) AS n FROM {table} WHERE {of_person}");
        let rows = rows_under(state, policy, &sql).await?;
        Ok(rows.first().map_or(0, |row| number(row, "n")))
    };
    let (changes, quarantined) = tokio::try_join!(rows("profile_changes"), rows("quarantine"))?;
    Ok(vec![
        ("Events", count(events)),
        ("Properties", count(wide(view.profile.properties.len()))),
        ("Changes of the profile", count(changes)),
        ("Devices", count(wide(view.profile.devices.len()))),
        (
            "Identities and devices that are hidden",
            count(wide(view.keys.len())),
        ),
        ("Records in quarantine", count(quarantined)),
    ])
}

async fn delete(staff: &Staff, state: &State, key: &str, fields: &Fields) -> Answer {
    if !fields.ticked("consent") {
        let page = Box::pin(Delete::new(staff, state, key)).await?;
        return unusable(&Delete {
            error: Some("Tick the box: a deletion cannot be undone."),
            reason: fields.text("reason").to_owned(),
            ..page
        });
    }
    let policy = staff.policy().ok_or(Error::Absent)?;
    let found = read(state, &policy, key).await?;
    let (person, _) = found.ok_or(Error::Absent)?;
    let found = state.engine().person_keys(&policy, &[person]).await?;
    let mut keys: Vec<LedgerKey> = found
        .keys
        .into_iter()
        .map(|(person, stretch)| LedgerKey {
            person,
            from: stretch.from,
            to: stretch.to,
        })
        .collect();
    if !keys.iter().any(|it| it.person == person) {
        keys.push(LedgerKey::whole(person));
    }
    let reason = match fields.text("reason") {
        "" => "asked for in the console",
        reason => reason,
    };
    let control = state.control();
    let deletion = control.request_deletion(staff.actor(), staff.account(), keys, reason);
    let deletion = deletion.await?;
    let account = staff.account();
    see_other(&format!(
        "/a/{account}/people/deletions?id={deletion}&done=requested"
    ))
}
