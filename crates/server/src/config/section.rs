//! One definition a section: the struct, its defaults, and the text of its commented form.

use anyhow::{Context as _, Result};
use serde::Serialize;
use std::fmt::Write as _;

/// A section that can describe itself.
pub(super) trait Described: Serialize + Default {
    /// What the section is for, one line of text each.
    const ABOUT: &'static [&'static str];
    /// Its keys in order, each with the lines of its doc.
    const KEYS: &'static [(&'static str, &'static [&'static str])];
}

/// Declares a section: a struct whose doc comments also become the comments of the generated file.
macro_rules! section {
    (
        $(#[doc = $about:literal])+
        struct $name:ident {
            $(
                $(#[doc = $doc:literal])+
                $field:ident: $type:ty = $default:expr,
            )+
        }
    ) => {
        $(#[doc = $about])+
        #[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub(crate) struct $name {
            $(
                $(#[doc = $doc])+
                pub(crate) $field: $type,
            )+
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $default,)+ }
            }
        }

        impl $crate::config::section::Described for $name {
            const ABOUT: &'static [&'static str] = &[$($about,)+];
            const KEYS: &'static [(&'static str, &'static [&'static str])] =
                &[$((stringify!($field), &[$($doc,)+]),)+];
        }
    };
}

/// Appends the commented form of one section.
pub(super) fn render_section<S: Described>(
    text: &mut String,
    name: &str,
    section: &S,
) -> Result<()> {
    let fail = || format!("failed to render the section `{name}`");
    let values = toml::Table::try_from(section).with_context(fail)?;
    let defaults = toml::Table::try_from(S::default()).with_context(fail)?;
    text.push('\n');
    for line in S::ABOUT {
        writeln!(text, "#{line}")?;
    }
    writeln!(text, "[{name}]")?;
    for (key, doc) in S::KEYS {
        for line in *doc {
            writeln!(text, "#{line}")?;
        }
        let value = values.get(*key).with_context(fail)?;
        let mark = if defaults.get(*key) == Some(value) {
            "# "
        } else {
            ""
        };
        writeln!(text, "{mark}{key} = {value}")?;
    }
    Ok(())
}
