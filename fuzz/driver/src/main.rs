//! Feeds one target of the library, named by `STRONGROOM_FUZZ_TARGET`, from libFuzzer.

#![no_main]

use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

static TARGET: LazyLock<fn(&[u8])> = LazyLock::new(|| {
    let name = std::env::var("STRONGROOM_FUZZ_TARGET").unwrap_or_default();
    let found = fuzz::TARGETS.iter().find(|(known, _)| *known == name);
    found.map_or_else(|| panic!("no target is called `{name}`"), |(_, run)| *run)
});

fuzz_target!(|input: &[u8]| TARGET(input));
