//! The architecture as a test: which crate may depend on which, and where heavy libraries live.
//!
//! A new edge is a decision, made in review, with a page under `docs/decisions/`.

/// For each crate, the crates of the project that it may depend on.
#[cfg(test)]
const EDGES: [(&str, &[&str]); 12] = [
    ("model", &[]),
    ("seal", &["model"]),
    ("wire", &["model"]),
    ("governance", &["model"]),
    ("store", &["model", "seal"]),
    ("journal", &["model", "seal"]),
    ("lake", &["model", "governance"]),
    (
        "collect",
        &["model", "seal", "wire", "governance", "journal"],
    ),
    ("query", &["model", "governance", "lake"]),
    ("control", &["model", "governance", "seal"]),
    (
        "web",
        &["model", "wire", "governance", "control", "query", "collect"],
    ),
    (
        "server",
        &[
            "model",
            "seal",
            "wire",
            "governance",
            "store",
            "journal",
            "lake",
            "collect",
            "query",
            "control",
            "web",
        ],
    ),
];

/// Heavy or sensitive libraries, and the only crates that may use them.
#[cfg(test)]
const HOMES: [(&str, &[&str]); 8] = [
    ("datafusion", &["query"]),
    ("parquet", &["lake"]),
    ("sqlx", &["control"]),
    ("aws-lc-rs", &["seal"]),
    ("reed-solomon-simd", &["store"]),
    ("rustls", &["seal", "server"]),
    ("anyhow", &["server", "xtask"]),
    ("axum", &["collect", "web", "server"]),
];

#[cfg(test)]
mod tests {
    use super::{EDGES, HOMES};
    use crate::command::root;
    use std::collections::BTreeSet;
    use std::fs;

    fn dependencies(folder: &str) -> BTreeSet<String> {
        let path = root().join(folder).join("Cargo.toml");
        let manifest: toml::Table = fs::read_to_string(&path).unwrap().parse().unwrap();
        manifest["dependencies"]
            .as_table()
            .unwrap()
            .keys()
            .cloned()
            .collect()
    }

    fn crate_names() -> BTreeSet<String> {
        let entries = fs::read_dir(root().join("crates")).unwrap();
        entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }

    #[test]
    fn every_crate_is_in_the_table() {
        let table: BTreeSet<_> = EDGES.iter().map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(crate_names(), table);
    }

    #[test]
    fn crates_depend_only_on_what_the_table_allows() {
        let ours = crate_names();
        for (name, allowed) in EDGES {
            let found = dependencies(&format!("crates/{name}"));
            let edges: Vec<_> = found.intersection(&ours).collect();
            for edge in edges {
                assert!(
                    allowed.contains(&edge.as_str()),
                    "`{name}` may not depend on `{edge}`"
                );
            }
        }
    }

    #[test]
    fn heavy_libraries_stay_in_their_homes() {
        for (library, homes) in HOMES {
            for name in crate_names() {
                let uses = dependencies(&format!("crates/{name}")).contains(library);
                assert!(
                    !uses || homes.contains(&name.as_str()),
                    "`{name}` may not use `{library}`"
                );
            }
        }
    }

    #[test]
    fn no_home_stands_empty() {
        for (library, homes) in HOMES {
            for home in homes {
                let folder = match *home {
                    "xtask" => String::from("xtask"),
                    name => format!("crates/{name}"),
                };
                assert!(
                    dependencies(&folder).contains(library),
                    "`{home}` may use `{library}` and does not"
                );
            }
        }
    }
}
