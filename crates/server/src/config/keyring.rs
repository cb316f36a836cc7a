//! `[keyring]`: where the keys are.

use std::path::PathBuf;

section! {
    /// The keyring holds the keys of everything. Losing every copy of it loses everything.
    struct Keyring {
        /// The file: mode 0600, and never on a volume.
        file: PathBuf = PathBuf::from("keyring"),
        /// Further copies that the server keeps equal, best on other machines' disks. Deleting a person
        /// changes a key, and is finished when every copy has followed. A copy elsewhere that is not
        /// named here cannot open what is written after that.
        copies: Vec<PathBuf> = Vec::new(),
    }
}
