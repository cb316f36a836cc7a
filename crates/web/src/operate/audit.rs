//! Downloads of the audit log, as a body that is written while it is sent.

use axum::body::Body;
use control::{Actor, AuditFilter, DownloadFormat};
use futures::StreamExt as _;
use futures::stream;
use model::AccountId;
use std::io;

use super::{Error, Result};
use crate::State;

/// What is to be downloaded, and by whom.
#[derive(Debug)]
pub(crate) struct Wanted<'a> {
    pub(crate) actor: &'a Actor,
    pub(crate) account: AccountId,
    pub(crate) filter: AuditFilter,
    pub(crate) format: DownloadFormat,
}

/// The type of such a file, and how its name ends.
pub(crate) const fn kind(format: DownloadFormat) -> (&'static str, &'static str) {
    match format {
        DownloadFormat::JsonLines => ("application/jsonl", "jsonl"),
        DownloadFormat::Csv => ("text/csv; charset=utf-8", "csv"),
    }
}

/// The file. It ends early where `still_may` says no: the reader's right is asked for again before
/// each piece.
///
/// # Errors
/// As [`control::Control::download_audit`]: what fails before the entry that says so is an answer of
/// its own, and no file that ends early.
pub(crate) async fn file<F, Asked>(state: &State, wanted: Wanted<'_>, still_may: F) -> Result<Body>
where
    F: Fn() -> Asked + Send + 'static,
    Asked: Future<Output = bool> + Send,
{
    let control = state.control();
    let Wanted {
        actor,
        account,
        filter,
        format,
    } = wanted;
    // No head is signed of a log that does not continue what was published.
    publish(state.heads().publish(account).await)?;
    let mut under_way = control
        .download_audit(actor, Some(account), filter, format)
        .await?;
    let mut begun = String::new();
    for _ in 0..2 {
        if let Some(piece) = under_way.next_piece().await? {
            begun.push_str(&piece);
        }
    }
    // The head that was signed is published before the first byte leaves, so that somebody can keep it.
    for (account, note) in under_way.checkpoints() {
        publish(state.heads().keep(*account, note).await)?;
    }
    let rest = stream::try_unfold(
        (under_way, still_may),
        |(mut download, still_may)| async move {
            if !still_may().await {
                return Err(io::Error::other("the reader's right has ended"));
            }
            let piece = download.next_piece().await;
            let piece = piece.map_err(|error| {
                let cause = &error as &dyn std::error::Error;
                tracing::error!(error = cause, "a download of the audit log ended early");
                io::Error::other("the download has failed")
            })?;
            Ok(piece.map(|piece| (piece, (download, still_may))))
        },
    );
    let first = stream::once(async { Ok::<_, io::Error>(begun) });
    Ok(Body::from_stream(first.chain(rest)))
}

fn publish(done: std::result::Result<(), String>) -> Result<()> {
    done.map_err(Error::Head)
}
