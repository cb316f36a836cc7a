//! `/a/{account}/people/{key}/property`: one property of a person is corrected.
//!
//! A correction is a profile change like any other: it is checked by the rules of an upload, the
//! values before stay in the history, and the audit log says who made it, not what it says.

use askama::Template;
use axum::extract::{Path, State as Of};
use axum::response::Response;
use control::{Action, AuditOutcome};
use model::RawJson;
use model::record::{Change, Entry, ProfileChange, Record, Source};
use model::submission::Content;
use query::ReadPolicy;
use serde_json::{Map, Value};
use wire::rest::upload;

use super::Known;
use crate::State;
use crate::console::staff::Staff;
use crate::console::view::{
    Answer, Asked, Fields, Posted, Shell, answer, html, link, see_other, unusable,
};

/// The form.
pub(crate) async fn get(
    staff: Staff,
    Of(state): Of<State>,
    Path((_, key)): Path<(String, String)>,
    Asked(asked): Asked,
) -> Response {
    let shown = async {
        let known = Known::find(&staff, &state, &key).await?;
        let name = asked.text("name");
        let words = format!("property `{name}`, to correct it");
        let control = state.control();
        let (actor, account) = (staff.actor(), staff.account());
        let (action, outcome) = (Action::PersonShown, AuditOutcome::Done);
        control
            .audit(
                actor,
                account,
                action,
                &known.person.to_string(),
                &words,
                outcome,
            )
            .await?;
        let value = known.view.profile.properties.get(name);
        let value = value.filter(|_| !known.policy.masks_person(name));
        let (kind, value) = value.map_or(("text", String::new()), |it| split(it.as_str()));
        let form = Form {
            name: name.to_owned(),
            kind: kind.to_owned(),
            value,
            error: None,
        };
        html(&Edit::new(&staff, &known, form))
    };
    answer(&staff, shown.await)
}

/// The correction.
pub(crate) async fn post(
    staff: Staff,
    Of(state): Of<State>,
    Path((_, key)): Path<(String, String)>,
    Posted(fields): Posted,
) -> Response {
    answer(&staff, change(&staff, &state, &key, &fields).await)
}

#[derive(Debug, Template)]
#[template(path = "person_edit.html")]
struct Edit {
    shell: Shell,
    path: String,
    form: Form,
    is_new: bool,
}

#[derive(Debug, Default)]
struct Form {
    name: String,
    kind: String,
    value: String,
    error: Option<String>,
}

impl Form {
    /// What a value can be.
    const fn kinds(&self) -> [(&'static str, &'static str); 4] {
        [
            ("text", "Text"),
            ("number", "Number"),
            ("boolean", "true or false"),
            ("json", "JSON"),
        ]
    }
}

impl Edit {
    fn new(staff: &Staff, known: &Known, form: Form) -> Self {
        let is_new = form.name.is_empty();
        let heading = match is_new {
            true => String::from("Add a property"),
            false => format!("Change {}", form.name),
        };
        Self {
            shell: known.frame(staff, heading),
            path: known.path(staff),
            form,
            is_new,
        }
    }
}

/// A value as a form has it: its kind, and its text.
fn split(value: &str) -> (&'static str, String) {
    match serde_json::from_str::<Value>(value) {
        Ok(Value::String(text)) => ("text", text),
        Ok(Value::Number(_)) => ("number", value.to_owned()),
        Ok(Value::Bool(_)) => ("boolean", value.to_owned()),
        Ok(Value::Null | Value::Array(_) | Value::Object(_)) | Err(_) => ("json", value.to_owned()),
    }
}

async fn change(staff: &Staff, state: &State, key: &str, fields: &Fields) -> Answer {
    let known = Known::find(staff, state, key).await?;
    let person = known.person;
    let form = Form {
        name: fields.text("name").to_owned(),
        kind: fields.text("kind").to_owned(),
        value: fields.raw("value").unwrap_or_default().to_owned(),
        error: None,
    };
    let removes = fields.ticked("remove");
    let changes = match changes(&known.policy, &form, removes) {
        Ok(changes) => changes,
        Err(text) => {
            let error = Some(text);
            return unusable(&Edit::new(staff, &known, Form { error, ..form }));
        }
    };
    let what = if removes { "removed" } else { "changed" };
    let words = format!("property `{}` {what}", form.name);
    let note = async |outcome| {
        let control = state.control();
        let (actor, account) = (staff.actor(), staff.account());
        let (action, object) = (Action::PersonChanged, person.to_string());
        control
            .audit(actor, account, action, &object, &words, outcome)
            .await
    };
    note(AuditOutcome::Begun).await?;
    let now = state.clock().now();
    let record = Record::ProfileChange(ProfileChange {
        id: state.collect().record_ids().batch()(0),
        person,
        ts: now,
        received_at: now,
        source: Source::Console,
        changes,
    });
    let entry = Entry {
        account: staff.account(),
        record,
    };
    let appended = state.collect().journal().append(vec![entry]).await;
    appended.map_err(crate::operate::Error::journal("keep a correction"))?;
    note(AuditOutcome::Done).await?;
    let path = format!("/a/{}/people/{person}", staff.account());
    see_other(&link(&path, &[("done", what)]))
}

/// The steps of the correction, by the rules of an upload; or what is wrong with it.
fn changes(policy: &ReadPolicy, form: &Form, removes: bool) -> Result<Vec<Change>, String> {
    if form.name.is_empty() {
        return Err(String::from("Name the property."));
    }
    if policy.masks_person(&form.name) {
        return Err(format!(
            "{} is personal information that your roles do not show.",
            form.name
        ));
    }
    let value = match removes {
        true => String::from("{\"$delete\":1}"),
        false => value(form)?,
    };
    let name = Value::String(form.name.clone());
    let body = format!(
        "{{\"d\":[{{\"type\":\"profile\",\"identity\":\"-\",\"profileData\":{{{name}:{value}}}}}]}}"
    );
    let unusable = || String::from("That cannot be the value of a property.");
    let batch = upload::decode(body.as_bytes()).map_err(|_| unusable())?;
    if let Some(rejection) = batch.rejections.first() {
        let reason = rejection.reason.as_str().replace('_', " ");
        return Err(format!("The rules of uploads refuse it: {reason}."));
    }
    let content = batch.records.into_iter().next().map(|it| it.content);
    match content {
        Some(Content::Profile {
            changes,
            alias: None,
        }) if !changes.is_empty() => Ok(changes),
        // `identity` would join two people.
        Some(Content::Profile { .. } | Content::Event { .. }) | None => Err(unusable()),
    }
}

/// The value as JSON.
fn value(form: &Form) -> Result<String, String> {
    let text = form.value.trim();
    match form.kind.as_str() {
        "number" | "boolean" | "json" => {
            let parsed: Value =
                serde_json::from_str(text).map_err(|_| format!("That is not a {}.", form.kind))?;
            let fits = match form.kind.as_str() {
                "number" => parsed.is_number(),
                "boolean" => parsed.is_boolean(),
                _ => no_operator(&parsed),
            };
            match fits {
                true => Ok(text.to_owned()),
                false => Err(format!("That is not a {}.", form.kind)),
            }
        }
        _ => RawJson::of(form.value.as_str())
            .map(|it| it.as_str().to_owned())
            .map_err(|_| String::from("That is not a text.")),
    }
}

/// Whether a value is one: an object of `$` names would be an order to change one.
fn no_operator(value: &Value) -> bool {
    let is_order = |members: &Map<String, Value>| members.keys().any(|it| it.starts_with('$'));
    !value.as_object().is_some_and(is_order)
}

#[cfg(test)]
mod tests {
    use super::{Form, changes, split};
    use governance::{Mask, Masks, PropertyOf};
    use model::record::ChangeOp;
    use query::ReadPolicy;
    use std::sync::Arc;

    fn policy(masked: &[&str]) -> ReadPolicy {
        let mut policy = ReadPolicy::new("A-1".parse().unwrap(), Arc::default());
        let mut masks = Masks::default();
        for name in masked {
            masks.insert(PropertyOf::Person, name, Mask::Placeholder);
        }
        policy.masks = Arc::new(masks);
        policy
    }

    fn check(name: &str, kind: &str, value: &str, expect: Option<&str>) {
        let form = Form {
            name: name.to_owned(),
            kind: kind.to_owned(),
            value: value.to_owned(),
            error: None,
        };
        let found = changes(&policy(&["Phone"]), &form, false);
        match expect {
            Some(expect) => {
                let found = found.unwrap();
                assert_eq!(found.len(), 1, "{name} {value}");
                assert_eq!(
                    (&*found[0].property, found[0].value.as_str()),
                    (name, expect)
                );
            }
            None => assert!(found.is_err(), "{name} {kind} {value}: {found:?}"),
        }
    }

    #[test]
    fn corrections_follow_the_rules_of_uploads() {
        check("Plan", "text", "gold \"x\"", Some(r#""gold \"x\"""#));
        check("Plan", "text", "12", Some(r#""12""#));
        check("Visits", "number", " 1.50 ", Some("1.50"));
        check("Club", "boolean", "true", Some("true"));
        check(
            "Email",
            "text",
            "ann@example.com",
            Some(r#""ann@example.com""#),
        );
        check("a\"},\"b\":1,\"c", "text", "x", Some(r#""x""#));
        for (name, kind, value) in [
            ("", "text", "x"),
            ("Email", "text", "no address"),
            ("Phone", "text", "+919999999999"),
            ("Visits", "number", "ten"),
            ("Visits", "number", "1,\"b\":2"),
            ("Club", "boolean", "1"),
            ("x", "json", "{\"$incr\":1}"),
            ("x", "json", "{"),
            ("identity", "text", "somebody else"),
        ] {
            check(name, kind, value, None);
        }
    }

    #[test]
    fn a_removal_is_a_step_of_its_own() {
        let form = Form {
            name: String::from("Plan"),
            ..Form::default()
        };
        let found = changes(&policy(&[]), &form, true).unwrap();
        assert_eq!(found[0].op, ChangeOp::Delete);
    }

    #[test]
    fn a_value_is_shown_in_the_form_by_its_kind() {
        assert_eq!(split(r#""x""#), ("text", String::from("x")));
        assert_eq!(split("1e400"), ("json", String::from("1e400")));
        assert_eq!(split("1.50"), ("number", String::from("1.50")));
        assert_eq!(split("[1]"), ("json", String::from("[1]")));
    }
}
