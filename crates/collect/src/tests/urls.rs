//! The URLs of the collect plane stand in one file.

use std::path::{Path, PathBuf};

/// Where a URL is made known.
const MARK: &str = ".route(";

/// Every file below `folder`, those of the tests left out.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true if path.ends_with("tests") => {}
            true => found.extend(sources(&path)),
            false => found.push(path),
        }
    }
    found
}

#[test]
fn every_url_stands_in_one_file_and_on_a_page() {
    let root = Path::new(".");
    let read = |path: &Path| std::fs::read_to_string(path).unwrap();
    let mut files = sources(&root.join("src"));
    files.retain(|path| read(path).contains(MARK));
    assert_eq!(files, [root.join("src/sdk.rs")]);

    let table = read(&files[0]);
    let urls = table.split(MARK).skip(1);
    let urls: Vec<&str> = urls.map(|it| it.split('"').nth(1).unwrap()).collect();
    assert_eq!(
        urls,
        [
            "/a",
            "/e",
            "/hello",
            "/a1",
            "/defineVars",
            "/defineTemplates",
            "/content",
            "/inbox/v2/getMessages",
            "/inbox/v2/deleteMessages",
        ]
    );
    let pages =
        ["web-sdk.md", "mobile-sdk.md"].map(|it| read(&root.join("../../docs/wire").join(it)));
    for url in urls {
        let is_told = ["GET", "POST"].map(|verb| format!("`{verb} {url}`"));
        let is_told = is_told
            .iter()
            .any(|it| pages.iter().any(|page| page.contains(it)));
        assert!(is_told, "{url}");
    }
}
