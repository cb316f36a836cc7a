//! `[log]`: the process's own log, on standard error.

use serde::{Deserialize, Serialize};

/// How a line of the log looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

section! {
    /// The process's own log, on standard error. It never holds customer data, credentials or
    /// addresses.
    struct Log {
        /// `text` or `json`.
        format: LogFormat = LogFormat::Text,
        /// Which lines: `error`, `warn`, `info`, `debug`, or a filter such as `info,store=debug`. What
        /// peers do wrong is in the request log; the libraries' words for it are left out here.
        filter: String = "info,h2=error,hyper=error,rustls=error".to_owned(),
    }
}
