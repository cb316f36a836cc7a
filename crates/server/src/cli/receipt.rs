//! `strongroom person receipt|verify-receipt`: what proves that somebody was deleted.

use anyhow::{Context as _, Result, bail};
use control::VerifiedReceipt;
use serde_json::{Value, json};
use std::path::Path;

use super::account::fields;
use super::audit::{key_of, read_text};
use super::output::{print, print_json};
use super::{Format, Installation, Paint, block_on};
use crate::admin::{DeletionsAct, Frame, Request, call};
use crate::failure::{Failure, Kind};

/// A receipt names every part that was replaced, in about 150 bytes each.
const RECEIPT_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Prints the signed receipt of a deletion.
pub(super) fn show(
    account: String,
    deletion: String,
    installation: &Installation,
    format: &Format,
) -> Result<()> {
    let loaded = installation.read()?;
    let act = DeletionsAct::Receipt(deletion);
    let mut note = Vec::new();
    let mut said = block_on(call(
        &loaded,
        Request::Deletions { account, act },
        |frame| {
            if let Frame::Data(bytes) = frame {
                note.extend_from_slice(&bytes);
            }
            Ok(())
        },
    ))?;
    if !format.json {
        return print(note);
    }
    let note = String::from_utf8(note).context("failed to understand the receipt")?;
    if let Some(members) = said.as_object_mut() {
        members.insert("signed_receipt".to_owned(), json!(note));
    }
    print_json(&said)
}

/// Checks a receipt by itself, without an installation.
pub(super) fn verify(file: &Path, key: Option<String>, format: &Format) -> Result<()> {
    let key = key_of(key)?;
    let note = read_text(file, RECEIPT_BYTES_MAX)?;
    let found = control::verify_receipt(&note, key.as_deref());
    let said: Value = match &found.receipt {
        Some(receipt) => {
            serde_json::from_str(receipt.as_str()).context("failed to understand the receipt")?
        }
        None => Value::Null,
    };
    if format.json {
        print_json(&json!({
            "receipt": said,
            "signer_checked": found.signer_checked,
            "findings": found.findings,
            "holds": found.holds(),
        }))?;
    } else {
        print(report(said, &found))?;
    }
    if found.holds() {
        return Ok(());
    }
    let text = format!("`{}` is not a receipt that holds", file.display());
    bail!(Failure {
        kind: Kind::Failed,
        chain: std::iter::once(text).chain(found.findings).collect(),
    })
}

/// A receipt for people: how many parts were replaced in the place of their list, which is of any
/// length.
pub(super) fn in_short(mut receipt: Value) -> Value {
    if let Some(replaced) = receipt.get_mut("replaced")
        && let Some(parts) = replaced.as_array().map(Vec::len)
    {
        *replaced = json!(parts);
    }
    receipt
}

pub(super) fn report(said: Value, found: &VerifiedReceipt) -> String {
    let mut text = fields(&in_short(said));
    if found.signer_checked && found.holds() {
        text.push_str("The signer is the key given.\n");
    } else if !found.signer_checked && found.receipt.is_some() {
        text.push_str("The signer was not checked: give the installation's key with --key.\n");
    }
    if found.holds() {
        let words = Paint::stdout().good("Everything in the receipt holds.");
        text.push_str(&format!("{words}\n"));
    }
    text
}
