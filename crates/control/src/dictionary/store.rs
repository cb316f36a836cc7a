//! The tables of what accounts say: written by changes, read whole into the accounts' records.

use governance::{Declared, DeclaredKind};
use model::AccountId;
use sqlx::Row as _;

use super::{DISCARDED, DictionaryChange, KNOWN, PolicyChange, Said};
use crate::account::{self, Record};
use crate::classes;
use crate::database::Session;
use crate::{Error, Result};

/// Stands for people where an event's name would be.
const PEOPLE: &str = "";
/// Stands for the event itself where a property's name would be.
const ITSELF: &str = "";

/// Carries a change out; what the audit log says of it.
pub(super) async fn apply(
    session: &mut Session,
    id: AccountId,
    change: &DictionaryChange,
) -> Result<String> {
    match change {
        DictionaryChange::Define(event, properties) => {
            put(session, id, (event, ITSELF), KNOWN).await?;
            for property in properties {
                put(session, id, (event, property), KNOWN).await?;
            }
            let count = properties.len();
            Ok(format!("event `{event}` is known, {count} properties more"))
        }
        DictionaryChange::Declare(event, property, declared) => {
            if let Some(event) = event {
                put(session, id, (event, ITSELF), KNOWN).await?;
            }
            let name = (event.as_deref().unwrap_or(PEOPLE), property.as_str());
            put(session, id, name, KNOWN).await?;
            declare(session, id, name, *declared).await?;
            let kind = declared.kind.map_or("of any kind", DeclaredKind::as_str);
            let must = match declared.is_mandatory {
                true => ", mandatory",
                false => "",
            };
            let what = words(event.as_deref(), property);
            Ok(format!("{what} is known: {kind}{must}"))
        }
        DictionaryChange::Discard(event) => {
            put(session, id, (event, ITSELF), DISCARDED).await?;
            Ok(format!("event `{event}` is discarded"))
        }
        DictionaryChange::Forget(event) => {
            let what = format!("event `{event}`");
            const FORGET: &str = "DELETE FROM dictionary WHERE account = $1 AND event = $2";
            forget(session, id, FORGET, &[event], &what).await
        }
        DictionaryChange::ForgetProperty(event, property) => {
            const FORGET: &str =
                "DELETE FROM dictionary WHERE account = $1 AND event = $2 AND property = $3";
            let what = words(event.as_deref(), property);
            let names = [event.as_deref().unwrap_or(PEOPLE), property];
            forget(session, id, FORGET, &names, &what).await
        }
        DictionaryChange::Policy(change) => set_policy(session, id, *change).await,
        DictionaryChange::Class(change) => {
            let classes = account::read(session, id).await?.classes;
            classes::apply(session, id, &classes, change).await
        }
    }
}

fn words(event: Option<&str>, property: &str) -> String {
    match event {
        Some(event) => format!("property `{property}` of event `{event}`"),
        None => format!("property `{property}` of people"),
    }
}

async fn put(
    session: &mut Session,
    id: AccountId,
    (event, property): (&str, &str),
    status: &'static str,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO dictionary (account, event, property, status) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (account, event, property) DO UPDATE SET status = excluded.status",
    )
    .bind(id.as_str().to_owned())
    .bind(event.to_owned())
    .bind(property.to_owned())
    .bind(status)
    .execute(session.connection())
    .await
    .map(|_| ())
    .map_err(Error::database("write an event of the dictionary"))
}

async fn declare(
    session: &mut Session,
    id: AccountId,
    (event, property): (&str, &str),
    declared: Declared,
) -> Result<()> {
    sqlx::query(
        "UPDATE dictionary SET kind = $1, mandatory = $2 \
         WHERE account = $3 AND event = $4 AND property = $5",
    )
    .bind(declared.kind.map(DeclaredKind::as_str))
    .bind(i64::from(declared.is_mandatory))
    .bind(id.as_str().to_owned())
    .bind(event.to_owned())
    .bind(property.to_owned())
    .execute(session.connection())
    .await
    .map(|_| ())
    .map_err(Error::database("declare a property"))
}

async fn forget(
    session: &mut Session,
    id: AccountId,
    sql: &'static str,
    names: &[&str],
    what: &str,
) -> Result<String> {
    let mut query = sqlx::query(sql).bind(id.as_str().to_owned());
    for name in names {
        query = query.bind((*name).to_owned());
    }
    let done = query
        .execute(session.connection())
        .await
        .map_err(Error::database("forget a name of the dictionary"))?;
    match done.rows_affected() {
        0 => Err(Error::NotFound(format!("{what} in the dictionary"))),
        _ => Ok(format!("nothing is said of {what} any more")),
    }
}

async fn set_policy(session: &mut Session, id: AccountId, change: PolicyChange) -> Result<String> {
    let rules = change.words();
    let mut query = sqlx::query(
        "UPDATE accounts SET \
         undefined_events = coalesce($1, undefined_events), \
         undefined_properties = coalesce($2, undefined_properties), \
         mismatched_properties = coalesce($3, mismatched_properties), \
         undefined_profile = coalesce($4, undefined_profile), \
         mismatched_profile = coalesce($5, mismatched_profile) \
         WHERE id = $6",
    );
    for (_, word) in rules {
        query = query.bind(word);
    }
    query
        .bind(id.as_str().to_owned())
        .execute(session.connection())
        .await
        .map_err(Error::database("set the dictionary's policy"))?;
    let said = rules.iter().filter_map(|(name, word)| {
        let word = (*word)?;
        Some(format!("{}: {word}", name.replace('_', " ")))
    });
    Ok(said.collect::<Vec<_>>().join(", "))
}

impl Said {
    fn add(&mut self, (event, property): (&str, &str), status: &str, declared: Declared) {
        match (event, property, status) {
            (event, ITSELF, DISCARDED) => {
                self.discarded.insert(Box::from(event));
            }
            (event, ITSELF, _) => {
                self.dictionary.events.entry(Box::from(event)).or_default();
            }
            (PEOPLE, property, _) => {
                let profile = &mut self.dictionary.profile;
                profile.insert(Box::from(property), declared);
            }
            (event, property, _) => {
                let properties = self.dictionary.events.entry(Box::from(event)).or_default();
                properties.insert(Box::from(property), declared);
            }
        }
    }
}

/// Reads what every account says into its record.
pub(crate) async fn read_into(session: &mut Session, records: &mut [Record]) -> Result<()> {
    const ACT: &str = "read the dictionaries";
    let rows = sqlx::query(
        "SELECT account, event, property, status, kind, mandatory FROM dictionary \
         ORDER BY account, event, property",
    )
    .fetch_all(session.connection())
    .await
    .map_err(Error::database(ACT))?;
    for row in &rows {
        let text = |index: usize| {
            row.try_get::<String, _>(index)
                .map_err(Error::database(ACT))
        };
        let (account, event, property, status) = (text(0)?, text(1)?, text(2)?, text(3)?);
        let kind: Option<String> = row.try_get(4).map_err(Error::database(ACT))?;
        let mandatory: i64 = row.try_get(5).map_err(Error::database(ACT))?;
        let kind = kind.map(|kind| {
            let damaged = || Error::damaged("a dictionary", "a property's kind is unknown");
            DeclaredKind::from_name(&kind).ok_or_else(damaged)
        });
        let declared = Declared {
            kind: kind.transpose()?,
            is_mandatory: mandatory != 0,
        };
        let found = records.binary_search_by(|record| record.id.as_str().cmp(&account));
        if let Some(record) = found.ok().and_then(|index| records.get_mut(index)) {
            record.said.add((&event, &property), &status, declared);
        }
    }
    Ok(())
}
