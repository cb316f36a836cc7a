//! The properties of people that the account defined: a table of the dictionary's page.

use axum::response::Response;
use control::PropertyView;

use crate::console::view::{Column, Fields, Heads, Pager, Sheet, Times, file};

/// The table, in the URL.
pub(super) const NAME: &str = "declared";
/// By which it is filtered, in the URL.
const Q: &str = "declared";

/// The columns of the properties.
const COLUMNS: &[Column<PropertyView>] = &[
    Column::new("property", "Property", |it: &PropertyView, _| {
        it.name.clone()
    })
    .by(|a, b| a.name.cmp(&b.name)),
    Column::new("type", "Type", |it: &PropertyView, _| kind(it).to_owned())
        .by(|a, b| kind(a).cmp(kind(b))),
];

/// The table, as it is shown.
#[derive(Debug)]
pub(super) struct Table {
    /// Whether there is any, whatever the table is filtered by.
    pub(super) has_any: bool,
    /// What the table is filtered by.
    pub(super) q: String,
    /// Names and types.
    pub(super) lines: Vec<(String, &'static str)>,
    pub(super) heads: Heads,
    pub(super) pager: Pager,
    pub(super) csv: String,
}

impl Table {
    pub(super) fn new(all: Vec<PropertyView>, sheet: &Sheet<'_>, asked: &Fields) -> Self {
        let has_any = !all.is_empty();
        let (found, heads) = chosen(all, sheet, asked);
        let (found, pager) = sheet.cut(found, "property");
        let line = |it: PropertyView| {
            let kind = kind(&it);
            (it.name, kind)
        };
        Self {
            has_any,
            q: asked.text(Q).to_owned(),
            lines: found.into_iter().map(line).collect(),
            heads,
            pager,
            csv: sheet.csv(),
        }
    }
}

/// The table as a file.
pub(super) fn as_file(
    all: Vec<PropertyView>,
    sheet: &Sheet<'_>,
    asked: &Fields,
    times: &Times,
) -> Response {
    let (found, _) = chosen(all, sheet, asked);
    file(COLUMNS, &found, times, "declared-properties.csv")
}

/// The properties that are asked for, in the order that is asked for.
fn chosen(
    mut all: Vec<PropertyView>,
    sheet: &Sheet<'_>,
    asked: &Fields,
) -> (Vec<PropertyView>, Heads) {
    let q = asked.text(Q).to_lowercase();
    all.retain(|it| it.name.to_lowercase().contains(&q));
    let heads = sheet.sort(COLUMNS, None, &mut all);
    (all, heads)
}

/// The type of its values.
fn kind(property: &PropertyView) -> &'static str {
    property.kind.unwrap_or("any")
}
