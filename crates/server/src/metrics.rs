//! The process's metrics, in Prometheus' text format.

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use std::sync::OnceLock;

/// The recorder is the process's, as the `metrics` macros are: this is the one place that knows.
static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();

/// Reads the metrics.
#[derive(Debug, Clone)]
pub(crate) struct Metrics(PrometheusHandle);

impl Metrics {
    /// Starts recording, unless this process does already.
    pub(crate) fn start() -> Self {
        let handle = HANDLE.get_or_init(|| {
            let recorder = PrometheusBuilder::new().build_recorder();
            let handle = recorder.handle();
            // Refused only when there is one already, which `HANDLE` excludes.
            drop(metrics::set_global_recorder(recorder));
            handle
        });
        Self(handle.clone())
    }

    /// Everything as text.
    pub(crate) fn render(&self) -> String {
        self.0.run_upkeep();
        self.0.render()
    }
}
