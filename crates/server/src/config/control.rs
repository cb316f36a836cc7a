//! `[control]`: the control database.

use std::path::PathBuf;

section! {
    /// The control database: accounts, rules, the list of parts, deletions, audit.
    struct Control {
        /// The folder of its files. When they are lost, the next start rebuilds them from the volumes.
        folder: PathBuf = PathBuf::from("control"),
    }
}
