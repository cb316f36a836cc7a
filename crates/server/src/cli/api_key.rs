//! `strongroom account api-key create|list|rotate|retire|answers|policy`.

use anyhow::{Context as _, Result};
use std::path::PathBuf;

use super::account::fields;
use super::listed::print_rows;
use super::output::{note, print, print_json};
use super::{Format, Installation, block_on};
use crate::admin::{AnswersTo, ApiKeyAct, ApiKeyRequest, Policy, Request, call};

/// What can be done with the keys that calls of the API are encrypted to.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Makes an account's first key; its public half is shown
    Create(Whose),
    /// Shows the keys, the key for answers, and whether calls must be encrypted
    List(Whose),
    /// Makes a key in place of the current one, which is accepted for some time longer
    Rotate {
        /// For how long, hours; at most 90 days
        #[arg(long, value_name = "HOURS", default_value_t = 168)]
        overlap_hours: u32,
        #[command(flatten)]
        whose: Whose,
    },
    /// Retires a key: calls to it are refused at once, and its private half is removed
    Retire {
        /// The key's number
        key_id: u32,
        #[command(flatten)]
        whose: Whose,
    },
    /// Sets the public key that answers are encrypted to, where a caller asks for that
    #[command(group = clap::ArgGroup::new("key").required(true))]
    Answers {
        /// A file with a public keyset of the Tink library, in JSON
        #[arg(long, value_name = "FILE", group = "key")]
        keyset: Option<PathBuf>,
        /// An X25519 public key, 64 hexadecimal digits
        #[arg(long, value_name = "HEX", group = "key")]
        public_key: Option<String>,
        /// None: calls that ask for an encrypted answer are refused
        #[arg(long, group = "key")]
        none: bool,
        #[command(flatten)]
        whose: Whose,
    },
    /// Sets whether calls may or must be encrypted
    Policy {
        /// What holds from now on
        #[arg(long, value_enum)]
        set: Policy,
        #[command(flatten)]
        whose: Whose,
    },
}

/// Whose keys, and how they are shown.
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
        let (whose, act) = match self {
            Self::Create(whose) => (whose, ApiKeyAct::Create),
            Self::List(whose) => (whose, ApiKeyAct::List),
            Self::Rotate {
                overlap_hours,
                whose,
            } => (whose, ApiKeyAct::Rotate { overlap_hours }),
            Self::Retire { key_id, whose } => (whose, ApiKeyAct::Retire { key_id }),
            Self::Answers {
                keyset,
                public_key,
                none: _,
                whose,
            } => (whose, ApiKeyAct::Answers(answers_to(keyset, public_key)?)),
            Self::Policy { set, whose } => (whose, ApiKeyAct::Policy(set)),
        };
        let is_new = matches!(act, ApiKeyAct::Create | ApiKeyAct::Rotate { .. });
        let loaded = whose.installation.read()?;
        let request = Request::ApiKey(ApiKeyRequest {
            account: whose.account,
            act,
        });
        let mut shown = block_on(call(&loaded, request, |_| Ok(())))?;
        if whose.format.json {
            return print_json(&shown);
        }
        let members = shown.as_object_mut();
        let keys = members.and_then(|it| it.remove("keys")).unwrap_or_default();
        print(fields(&shown))?;
        let columns = [
            ("KEY", "key_id"),
            ("PUBLIC KEY", "public_key"),
            ("STATE", "state"),
            ("MADE AT", "created_at"),
            ("ACCEPTED UNTIL", "accepted_until"),
        ];
        print_rows(&keys, &columns, "No key yet.")?;
        if is_new {
            note("With --json the public key is shown as a keyset of the Tink library too.");
        }
        Ok(())
    }
}

fn answers_to(keyset: Option<PathBuf>, public_key: Option<String>) -> Result<AnswersTo> {
    if let Some(path) = keyset {
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("failed to read `{}`", path.display()))?;
        return Ok(AnswersTo::Keyset(text));
    }
    Ok(public_key.map_or(AnswersTo::Nobody, AnswersTo::Hex))
}
