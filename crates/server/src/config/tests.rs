//! The configuration is what its file says, and nothing else is accepted.

use super::{Config, Loaded, render};
use crate::attention::Kind;
use expect_test::expect_file;
use std::path::{Path, PathBuf};

fn example() -> Config {
    let mut config = Config::default();
    config.store.volumes = (1..=6)
        .map(|n| PathBuf::from(format!("volumes/vol-{n}")))
        .collect();
    config
}

#[test]
fn the_example_file_is_generated_from_the_types() {
    let text = render(&example()).unwrap();
    expect_file!["../../../../docs/operate/strongroom.example.toml"].assert_eq(&text);
}

#[test]
fn the_example_file_names_every_kind_of_alert() {
    let text = render(&example()).unwrap();
    for kind in Kind::ALL {
        let name = format!("(`{}`)", kind.as_str());
        assert!(text.contains(&name), "{name}");
    }
}

#[test]
fn what_is_written_is_read_back() {
    let mut config = example();
    config.listen.api = "[::1]:0".parse().unwrap();
    config.tls.names.push("data.example.com".to_owned());
    config.tls.api = vec![super::Pair {
        certificate: "a.pem".into(),
        key: "a.key".into(),
    }];
    let read: Config = toml::from_str(&render(&config).unwrap()).unwrap();
    assert_eq!(read, config);
}

#[test]
fn wrong_files_are_refused_with_the_name_of_the_key() {
    let volumes: Vec<String> = (0..=::store::VOLUMES_MAX)
        .map(|n| format!("\"{n}\""))
        .collect();
    let too_many = format!("[store]\nvolumes = [{}]", volumes.join(","));
    let cases = [
        ("[listen]\nports = 1", "ports"),
        ("[what]\n", "what"),
        ("[listen]\nops = \"0.0.0.0:8440\"", "listen.ops"),
        ("[store]\nvolumes = []", "store.volumes"),
        (too_many.as_str(), "store.volumes (their number)"),
        (
            "[store]\nvolumes = [\"a\"]\nwrite_grace_ms = 1",
            "store.write_grace_ms",
        ),
        (
            "[store]\nvolumes = [\"a\"]\n[jobs]\nflush_interval_s = 0",
            "jobs.flush_interval_s",
        ),
        ("[store]\nvolumes = [\"a\"]\n[tls]\nnames = []", "tls.names"),
        ("listen = 5", "listen"),
        ("[listen", "TOML"),
    ];
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("strongroom.toml");
    for (text, key) in cases {
        std::fs::write(&file, text).unwrap();
        let complaint = format!("{:#}", Loaded::read(&file).unwrap_err());
        assert!(complaint.contains(key), "{key}: {complaint}");
    }
}

#[test]
fn relative_paths_start_at_the_files_folder() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("strongroom.toml");
    std::fs::write(&file, render(&example()).unwrap()).unwrap();
    let loaded = Loaded::read(&file).unwrap();
    assert_eq!(loaded.resolve(Path::new("tls")), folder.path().join("tls"));
    assert_eq!(loaded.resolve(Path::new("/a")), Path::new("/a"));
}
