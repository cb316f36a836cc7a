//! Names that turn out to be a deleted person's: the deletion follows them.

use anyhow::{Context as _, Result};
use control::{Actor, LedgerKey};
use model::IdentityKind;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::compose::Installation;

/// Extends deletions as names come in. What fails comes again with the next record of that name.
pub(super) async fn run(
    installation: Arc<Installation>,
    mut names: mpsc::Receiver<collect::Reached>,
    stop: CancellationToken,
) {
    loop {
        let reached = tokio::select! {
            () = stop.cancelled() => return,
            reached = names.recv() => reached,
        };
        let Some(reached) = reached else { return };
        if let Err(error) = extend(&installation, &reached).await {
            tracing::error!(
                account.id = %reached.account,
                "failed to extend a deletion to another name: {error:#}"
            );
        }
    }
}

async fn extend(installation: &Installation, reached: &collect::Reached) -> Result<()> {
    let reach = reached.reach;
    let rules = installation.rules();
    let hidden = rules
        .account(reached.account)
        .is_some_and(|rules| rules.suppressed.hides(reach.other, reach.ts));
    if hidden {
        return Ok(());
    }
    let control = installation.control();
    let found = control.deletion_of(reached.account, reach.hidden).await;
    let Some(deletion) = found.context("failed to find the deletion")? else {
        return Ok(());
    };
    // A device is the deleted person's from then on; an identity always was.
    let from = (reach.kind == IdentityKind::ObjectId).then_some(reach.ts);
    let key = LedgerKey {
        person: reach.other,
        from,
        to: None,
    };
    control
        .extend_deletion(&Actor::system("deletion"), deletion, vec![key])
        .await
        .context("failed to write the ledger")
        .map(drop)
}
