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
    let mut renewed_at = clock.monotonic();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(certificates.poll_interval()) => {}
        }
        let now: Timestamp = clock.now();
        if clock.monotonic().saturating_sub(renewed_at) >= renew_every {
            renewed_at = clock.monotonic();
            if let Err(error) = certificates.renew(now) {
                tracing::error!("failed to renew the local authority's certificates: {error:#}");
            }
        }
        certificates.reload(now, false);
    }
}
