//! Certificates: the local authority's are renewed before they end, files that change are read.

use model::Timestamp;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

use crate::compose::Installation;
use crate::tls::Certificates;

/// Looks at the files as often as configured, and at the authority's leaves now and then.
pub(crate) async fn watch(
    installation: Arc<Installation>,
    certificates: Arc<Certificates>,
    stop: CancellationToken,
) {
    let clock = installation.clock();
    let renew_every = Duration::from_secs(installation.settings().certificates_interval_s.into());
    let mut renewed_at = None;
    loop {
        let now: Timestamp = clock.now();
        let since = |at| clock.monotonic().saturating_sub(at);
        if renewed_at.is_none_or(|at| since(at) >= renew_every) {
            renewed_at = Some(clock.monotonic());
            let renewed = tokio::select! {
                () = stop.cancelled() => return,
                renewed = certificates.renew(now) => renewed,
            };
            if let Err(error) = renewed {
                tracing::error!("certificates were not renewed: {error:#}");
            }
        }
        certificates.reload(clock.now(), false);
        installation
            .attention()
            .watch
            .certificates(certificates.ends());
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(certificates.poll_interval()) => {}
        }
    }
}
