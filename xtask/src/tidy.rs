//! Habits that a machine can hold: file heads, left-overs, words.

#[cfg(test)]
mod tests {
    use crate::command::root;
    use std::fs;
    use std::path::{Path, PathBuf};

    fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("target") {
                sources(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }

    fn check(complaint: impl Fn(&Path, &str) -> Option<String>) {
        let mut files = Vec::new();
        for folder in ["crates", "fuzz", "xtask"] {
            sources(&root().join(folder), &mut files);
        }
        assert!(files.len() > 50, "found only {} source files", files.len());
        let complaints: Vec<_> = files
            .iter()
            .filter_map(|path| {
                complaint(path, &fs::read_to_string(path).unwrap())
                    .map(|text| format!("{}: {text}", path.display()))
            })
            .collect();
        assert!(complaints.is_empty(), "{}", complaints.join("\n"));
    }

    #[test]
    fn every_file_says_what_it_is_for() {
        check(|_, text| (!text.starts_with("//!")).then(|| "has no `//!` head".to_owned()));
    }

    #[test]
    fn files_are_short_enough_to_read() {
        check(|_, text| {
            let lines = text.lines().count();
            (lines > 800).then(|| format!("{lines} lines: is it still one thing?"))
        });
    }

    #[test]
    fn tests_that_the_verification_standard_page_names_are_there() {
        let page = fs::read_to_string(root().join("docs/asvs.md")).unwrap();
        let named: Vec<(&str, &str)> = page
            .split('`')
            .filter(|it| it.starts_with("crates/"))
            .filter_map(|it| it.split_once("::"))
            .collect();
        assert!(named.len() > 50, "found only {} tests", named.len());
        for (file, test) in named {
            let text = fs::read_to_string(root().join(file));
            let text = text.unwrap_or_else(|error| panic!("{file}::{test}: {error}"));
            let is_there = text.contains(&format!("fn {test}("));
            assert!(is_there, "{file} has no test {test}");
        }
    }

    #[test]
    fn nothing_is_left_over() {
        // Each in two halves, so that this list is not itself found.
        let words = [
            concat!("TO", "DO"),
            concat!("FIX", "ME"),
            concat!("XX", "X"),
            concat!("#[ig", "nore"),
            concat!("to", "do!("),
            concat!("unimple", "mented!("),
        ];
        check(|_, text| {
            words
                .iter()
                .find(|word| text.contains(*word))
                .map(|word| format!("holds `{word}`"))
        });
    }
}
