//! Which properties of an account are personal information, of which class, and how they are masked.
//!
//! It is said here, as a change of the dictionary, and holds for every read from then on: readers ask
//! the account's rules. What is not said follows from the property's name.

use governance::{Class, Classes, Classification, Mask, PropertyOf};
use model::{AccountId, limit};
use serde::Serialize;
use sqlx::Row as _;

use crate::account::Record;
use crate::database::Session;
use crate::{Error, Result};

/// Properties of one account of which a class may be said.
const CLASSES_MAX: usize = 2_000;

/// What holds of one property.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ClassView {
    /// `event` or `person`.
    pub of: &'static str,
    /// The property's name.
    pub property: String,
    /// Its class.
    pub class: &'static str,
    /// How it is masked for those who may not see it.
    pub mask: &'static str,
    /// Whether the account said so; otherwise it follows from the name.
    pub is_said: bool,
}

/// A change of what holds of one property. What is none stays as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClassChange {
    /// Whose property.
    pub of: PropertyOf,
    /// Its name.
    pub property: String,
    /// Its class from now on.
    pub class: Option<Class>,
    /// How it is masked from now on.
    pub mask: Option<Mask>,
}

/// What holds of every property that is classified, or of which something was said.
pub(crate) fn view(classes: &Classes) -> Vec<ClassView> {
    let view = |(of, name): (PropertyOf, &str)| {
        let found = classes.of(of, name);
        ClassView {
            of: of.as_str(),
            property: name.to_owned(),
            class: found.class.as_str(),
            mask: found.mask.as_str(),
            is_said: classes.is_said(of, name),
        }
    };
    classes.known().into_iter().map(view).collect()
}

pub(crate) fn check(change: &ClassChange) -> Result<()> {
    let chars = change.property.chars().count();
    if !(1..=limit::PROPERTY_KEY_CHARS_MAX).contains(&chars) {
        let text = "no property can have that name";
        return Err(Error::Invalid(text.to_owned()));
    }
    Ok(())
}

/// Carries a change out; what the audit log says of it.
pub(crate) async fn apply(
    session: &mut Session,
    id: AccountId,
    classes: &Classes,
    change: &ClassChange,
) -> Result<String> {
    let (of, name) = (change.of, change.property.as_str());
    let before = classes.of(of, name);
    let after = Classification {
        class: change.class.unwrap_or(before.class),
        mask: change.mask.unwrap_or(before.mask),
    };
    if !classes.is_said(of, name) && classes.len() >= CLASSES_MAX {
        let text = format!("an account says the class of at most {CLASSES_MAX} properties");
        return Err(Error::Invalid(text));
    }
    sqlx::query(
        "INSERT INTO classes (account, of, property, class, mask) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT (account, of, property) \
         DO UPDATE SET class = excluded.class, mask = excluded.mask",
    )
    .bind(id.as_str().to_owned())
    .bind(of.as_str())
    .bind(name.to_owned())
    .bind(after.class.as_str())
    .bind(after.mask.as_str())
    .execute(session.connection())
    .await
    .map_err(Error::database("write the class of a property"))?;
    let words = |it: Classification| format!("{} ({})", it.class.as_str(), it.mask.as_str());
    Ok(format!(
        "{} property `{name}`: from {} to {}",
        of.as_str(),
        words(before),
        words(after)
    ))
}

/// Reads what every account says into its record.
pub(crate) async fn read_into(session: &mut Session, records: &mut [Record]) -> Result<()> {
    const ACT: &str = "read the classes of properties";
    let rows = sqlx::query("SELECT account, of, property, class, mask FROM classes")
        .fetch_all(session.connection())
        .await
        .map_err(Error::database(ACT))?;
    for row in &rows {
        let text = |index: usize| {
            row.try_get::<String, _>(index)
                .map_err(Error::database(ACT))
        };
        let damaged = || Error::damaged("the class of a property", "it is malformed");
        let account = text(0)?;
        let of = PropertyOf::from_name(&text(1)?).ok_or_else(damaged)?;
        let said = Classification {
            class: Class::from_name(&text(3)?).ok_or_else(damaged)?,
            mask: Mask::from_name(&text(4)?).ok_or_else(damaged)?,
        };
        let found = records.binary_search_by(|record| record.id.as_str().cmp(&account));
        if let Some(record) = found.ok().and_then(|index| records.get_mut(index)) {
            record.classes.say(of, &text(2)?, said);
        }
    }
    Ok(())
}
