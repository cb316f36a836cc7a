//! `strongroom dictionary show|list|define|property|forget-property|discard|forget|policy|class|mask`.

use anyhow::Result;
use serde_json::Value;

use super::account::fields;
use super::listed::{print_list, print_rows};
use super::output::{note, print, print_json};
use super::table::{Table, cell};
use super::{Format, Installation, Paint, block_on};
use crate::admin::{
    Class, DeclaredKind, DictionaryChange, DictionaryPolicy, Mask, PropertyOf, Request, call,
};

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
    /// Says that an account knows a property of an event or of people, of which kind its values are, and
    /// whether an event must have it
    Property {
        /// The property's name
        property: String,
        #[command(flatten)]
        holder: Holder,
        /// Of which kind its values are; of any when not given
        #[arg(long, value_enum)]
        kind: Option<DeclaredKind>,
        /// An event without it is refused
        #[arg(long, requires = "event")]
        mandatory: bool,
        #[command(flatten)]
        whose: Whose,
    },
    /// Takes back whatever was said of a property of an event or of people
    ForgetProperty {
        /// The property's name
        property: String,
        #[command(flatten)]
        holder: Holder,
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
    /// Sets what becomes of events and properties that an account does not know, and of values that are
    /// not of the declared kind
    Policy {
        #[command(flatten)]
        policy: DictionaryPolicy,
        #[command(flatten)]
        whose: Whose,
    },
    /// Says which class of personal information a property is; values of every class but `none` are
    /// masked for those who may not see them
    Class {
        /// The property's name, to the letter
        property: String,
        /// Its class
        #[arg(value_enum)]
        class: Class,
        /// Whose property it is
        #[arg(long, value_enum)]
        of: PropertyOf,
        #[command(flatten)]
        whose: Whose,
    },
    /// Says how the values of a property are masked
    Mask {
        /// The property's name, to the letter
        property: String,
        /// What stands for a value
        #[arg(value_enum)]
        mask: Mask,
        /// Whose property it is
        #[arg(long, value_enum)]
        of: PropertyOf,
        #[command(flatten)]
        whose: Whose,
    },
}

/// Whose property it is.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
pub(super) struct Holder {
    /// A property of this event
    #[arg(long)]
    event: Option<String>,
    /// A property of people
    #[arg(long)]
    people: bool,
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
            Self::Property {
                property,
                holder,
                kind,
                mandatory,
                whose,
            } => {
                let change = DictionaryChange::Declare {
                    event: holder.event,
                    property,
                    kind,
                    is_mandatory: mandatory,
                };
                (whose, Some(change))
            }
            Self::ForgetProperty {
                property,
                holder,
                whose,
            } => {
                let event = holder.event;
                let change = DictionaryChange::ForgetProperty { event, property };
                (whose, Some(change))
            }
            Self::Policy { policy, whose } => (whose, Some(DictionaryChange::Policy(policy))),
            Self::Class {
                property,
                class,
                of,
                whose,
            } => (whose, Some(classified(of, property, Some(class), None))),
            Self::Mask {
                property,
                mask,
                of,
                whose,
            } => (whose, Some(classified(of, property, None, Some(mask)))),
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
        let mut take = |name| {
            let members = said.as_object_mut();
            members.and_then(|it| it.remove(name)).unwrap_or_default()
        };
        let (events, profile) = (take("events"), take("profile"));
        let classes = take("classes");
        print(fields(&said))?;
        let mut table = Table::new(["EVENT", "STATUS", "PROPERTIES"]);
        for event in events.as_array().into_iter().flatten() {
            let of = |key| event.get(key).unwrap_or(&Value::Null);
            let properties = properties(of("properties"));
            table.push([cell(of("name")), cell(of("status")), properties]);
        }
        if profile.as_array().is_some_and(|it| !it.is_empty()) {
            table.push([
                "(people)".to_owned(),
                "known".to_owned(),
                properties(&profile),
            ]);
        }
        if table.is_empty() {
            note("No event and no property of people is declared.");
        } else {
            print(table.render(Paint::stdout()))?;
        }
        let columns = [
            ("PROPERTY", "property"),
            ("OF", "of"),
            ("CLASS", "class"),
            ("MASK", "mask"),
            ("SAID", "is_said"),
        ];
        print_rows(&classes, &columns, "No property has a class of its own.")
    }
}

const fn classified(
    of: PropertyOf,
    property: String,
    class: Option<Class>,
    mask: Option<Mask>,
) -> DictionaryChange {
    DictionaryChange::Class {
        of,
        property,
        class,
        mask,
    }
}

/// `price number mandatory, note`.
fn properties(of: &Value) -> String {
    let words = of.as_array().into_iter().flatten().map(|it| {
        let of = |key| it.get(key).unwrap_or(&Value::Null);
        let mut words = cell(of("name"));
        if let Some(kind) = of("kind").as_str() {
            words.push(' ');
            words.push_str(kind);
        }
        if of("is_mandatory") == &Value::Bool(true) {
            words.push_str(" mandatory");
        }
        words
    });
    words.collect::<Vec<_>>().join(", ")
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
