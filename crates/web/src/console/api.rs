//! `GET /api` and `/api/openapi.json`: the document of the management API, for people and their tools.

#![expect(
    clippy::indexing_slicing,
    reason = "a JSON value is null where there is nothing of that name"
)]

use askama::Template;
use axum::response::Response;
use serde_json::Value;

use super::staff::Staff;
use super::view::{Answer, Section, Shell, answer, download, html};
use crate::v2::document::document;

/// The page.
pub(crate) async fn get(staff: Staff) -> Response {
    answer(&staff, show(&staff))
}

/// The document itself.
pub(crate) async fn file(staff: Staff) -> Response {
    let file = || -> Answer {
        let text = serde_json::to_string_pretty(&document())?;
        Ok(download("openapi.json", "application/json", text))
    };
    answer(&staff, file())
}

#[derive(Debug, Template)]
#[template(path = "api.html")]
struct Api {
    shell: Shell,
    groups: Vec<Group>,
    schemas: Vec<Schema>,
}

/// Operations about one thing.
#[derive(Debug, Default)]
struct Group {
    name: String,
    operations: Vec<Operation>,
}

#[derive(Debug)]
struct Operation {
    id: String,
    method: String,
    path: String,
    summary: String,
    description: String,
    /// Which right it needs.
    right: String,
    /// What it leaves in the audit log.
    audit: String,
    parameters: Vec<Member>,
    /// What the body is; empty when there is none.
    body: String,
    answers: Vec<Served>,
}

/// A parameter, or a member of an object.
#[derive(Debug)]
struct Member {
    name: String,
    place: String,
    kind: String,
    is_required: bool,
    words: String,
}

#[derive(Debug)]
struct Served {
    status: String,
    kind: String,
    words: String,
}

/// An object that bodies and answers are made of.
#[derive(Debug)]
struct Schema {
    name: String,
    words: String,
    members: Vec<Member>,
}

fn show(staff: &Staff) -> Answer {
    let document = serde_json::to_value(document())?;
    let mut groups: Vec<Group> = Vec::new();
    for (path, item) in members(&document["paths"]) {
        for (method, operation) in members(item) {
            let name = text(&operation["tags"][0]);
            let shown = shown(method, path, operation);
            match groups.iter_mut().find(|it| it.name == name) {
                Some(group) => group.operations.push(shown),
                None => groups.push(Group {
                    name,
                    operations: vec![shown],
                }),
            }
        }
    }
    let schemas = members(&document["components"]["schemas"]);
    let schemas = schemas.map(|(name, it)| Schema {
        name: name.clone(),
        words: text(&it["description"]),
        members: members(&it["properties"])
            .map(|(name, member)| Member {
                name: name.clone(),
                place: String::new(),
                kind: kind(member),
                is_required: array(&it["required"]).any(|it| it == name),
                words: text(&member["description"]),
            })
            .collect(),
    });
    html(&Api {
        shell: Shell::new(staff, Section::Own, "Management API"),
        schemas: schemas.filter(|it| !it.members.is_empty()).collect(),
        groups,
    })
}

fn shown(method: &str, path: &str, operation: &Value) -> Operation {
    let parameters = array(&operation["parameters"]).map(|it| Member {
        name: text(&it["name"]),
        place: text(&it["in"]),
        kind: kind(&it["schema"]),
        is_required: it["required"] == true,
        words: text(&it["description"]),
    });
    let answers = members(&operation["responses"]);
    let answers = answers.filter(|(status, _)| status.starts_with(['2', '3']));
    let answers = answers.map(|(status, it)| {
        let kinds = members(&it["content"]).map(|(media, it)| match media.as_str() {
            "application/json" => kind(&it["schema"]),
            media => media.to_owned(),
        });
        Served {
            status: status.clone(),
            kind: kinds.collect::<Vec<_>>().join(" or "),
            words: text(&it["description"]),
        }
    });
    let right = match operation["x-component"].as_str() {
        Some("any") | None => String::from("any passcode of the account"),
        Some(component) => format!("{component}={}", text(&operation["x-level"])),
    };
    let audit: Vec<String> = array(&operation["x-audit"]).map(text).collect();
    Operation {
        id: text(&operation["operationId"]),
        method: method.to_uppercase(),
        path: path.to_owned(),
        summary: text(&operation["summary"]),
        description: text(&operation["description"]),
        right,
        audit: audit.join(", "),
        parameters: parameters.collect(),
        body: match &operation["requestBody"]["content"]["application/json"]["schema"] {
            Value::Null => String::new(),
            schema => kind(schema),
        },
        answers: answers.collect(),
    }
}

/// What a schema is, in a few words.
fn kind(schema: &Value) -> String {
    if let Some(reference) = schema["$ref"].as_str() {
        return reference.rsplit('/').next().unwrap_or_default().to_owned();
    }
    let words = array(&schema["enum"]).map(text).collect::<Vec<_>>();
    match words.len() {
        0 => {}
        1..=8 => return words.join(" or "),
        number => return format!("one of {number} words"),
    }
    let either = array(&schema["oneOf"]).chain(array(&schema["anyOf"]));
    let either: Vec<String> = either.map(kind).collect();
    if !either.is_empty() {
        return either.join(" or ");
    }
    let types = match &schema["type"] {
        Value::String(name) => vec![name.clone()],
        Value::Array(names) => names.iter().map(text).collect(),
        _ => vec![String::from("any value")],
    };
    let named = types
        .iter()
        .map(|name| match (name.as_str(), &schema["format"]) {
            ("array", _) => format!("list of {}", kind(&schema["items"])),
            ("string", Value::String(format)) => format.clone(),
            (name, _) => name.to_owned(),
        });
    named.collect::<Vec<_>>().join(" or ")
}

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn array(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::kind;
    use serde_json::json;

    #[test]
    fn schemas_are_said_in_a_few_words() {
        for (schema, expect) in [
            (json!({"$ref": "#/components/schemas/User"}), "User"),
            (
                json!({"type": ["string", "null"], "format": "date-time"}),
                "date-time or null",
            ),
            (
                json!({"type": "array", "items": {"type": "string"}}),
                "list of string",
            ),
            (
                json!({"type": "string", "enum": ["csv", "jsonl"]}),
                "csv or jsonl",
            ),
            (
                json!({"oneOf": [{"type": "null"}, {"$ref": "#/x/Rights"}]}),
                "null or Rights",
            ),
            (json!({}), "any value"),
        ] {
            assert_eq!(kind(&schema), expect, "{schema}");
        }
    }
}
