//! `strongroom dictionary show|list|define|discard|forget|policy`.

use anyhow::Result;
use serde_json::Value;

use super::account::fields;
use super::listed::print_list;
use super::output::{print, print_json};
use super::table::{Table, cell};
use super::{Format, Installation, Paint, block_on};
use crate::admin::{DictionaryChange, Events, Properties, Request, call};

/// What can be said of events.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Shows what an account says of its events
    Show(Whose),
    /// Lists every event and property that records use, with counts, kinds of values and times
    List(Whose),
    /// Says that an account knows an event, and these properties of it beside those it knew
    Define {
        /// The event's name
        event: String,
        /// A property's name; may be given more than once
        #[arg(long = "property", value_name = "NAME")]
        properties: Vec<String>,
        #[command(flatten)]
        whose: Whose,
    },
    /// Says that an account does not want an event: it is refused (528), and SDKs stop sending it
    Discard {
        /// The event's name
        event: String,
        #[command(flatten)]
        whose: Whose,
    },
    /// Takes back whatever was said of an event
    Forget {
        /// The event's name
        event: String,
        #[command(flatten)]
        whose: Whose,
    },
    /// Sets what becomes of events and properties that an account does not know
    #[command(group = clap::ArgGroup::new("what").required(true))]
    Policy {
        /// Events that it does not know
        #[arg(long, value_enum, group = "what")]
        events: Option<Events>,
        /// Properties that it does not know, of events that it does
        #[arg(long, value_enum, group = "what")]
        properties: Option<Properties>,
        #[command(flatten)]
        whose: Whose,
    },
}

/// Whose events, and how they are shown.
#[derive(Debug, clap::Args)]
pub(super) struct Whose {
    /// The account's id
    #[arg(long)]
    account: String,
    #[command(flatten)]
    installation: Installation,
    #[command(flatten)]
    format: Format,
}

impl Command {
    pub(super) fn run(self) -> Result<()> {
        let (whose, change) = match self {
            Self::Show(whose) => (whose, None),
            Self::List(whose) => return list(&whose),
            Self::Define {
                event,
                properties,
                whose,
            } => (whose, Some(DictionaryChange::Define { event, properties })),
            Self::Discard { event, whose } => (whose, Some(DictionaryChange::Discard(event))),
            Self::Forget { event, whose } => (whose, Some(DictionaryChange::Forget(event))),
            Self::Policy {
                events,
                properties,
                whose,
            } => {
                let events = events.map(DictionaryChange::Events);
                (
                    whose,
                    events.or_else(|| properties.map(DictionaryChange::Properties)),
                )
            }
        };
        let loaded = whose.installation.read()?;
        let request = Request::Dictionary {
            account: whose.account,
            change,
        };
        let mut said = block_on(call(&loaded, request, |_| Ok(())))?;
        if whose.format.json {
            return print_json(&said);
        }
        let members = said.as_object_mut();
        let events = members
            .and_then(|it| it.remove("events"))
            .unwrap_or_default();
        print(fields(&said))?;
        let mut table = Table::new(["EVENT", "STATUS", "PROPERTIES"]);
        for event in events.as_array().into_iter().flatten() {
            let of = |key| event.get(key).unwrap_or(&Value::Null);
            let properties: Vec<_> = of("properties")
                .as_array()
                .into_iter()
                .flatten()
                .map(cell)
                .collect();
            table.push([cell(of("name")), cell(of("status")), properties.join(", ")]);
        }
        print(table.render(Paint::stdout()))
    }
}

fn list(whose: &Whose) -> Result<()> {
    let columns = [
        ("SCOPE", "scope"),
        ("EVENT", "event"),
        ("PROPERTY", "property"),
        ("COUNT", "count"),
        ("KIND", "kind"),
        ("FIRST SEEN", "first_seen"),
        ("LAST SEEN", "last_seen"),
    ];
    let loaded = whose.installation.read()?;
    let account = whose.account.clone();
    let request = Request::Names { account };
    print_list(&loaded, request, whose.format.json, &columns)?;
    Ok(())
}
