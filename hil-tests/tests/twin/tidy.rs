//! The rules of the house that a compiler does not know, as tests over the source.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use planktor_runtime::scenario::Scenario;
use std::path::{Path, PathBuf};

/// Every folder may import the folders below it, and no other: the folders are the architecture.
const LAYERS: [(&str, &[&str]); 6] = [
    ("protocol", &[]),
    ("drivers", &["protocol"]),
    ("sim", &["protocol", "drivers"]),
    ("actors", &["protocol", "drivers"]),
    ("runtime", &["protocol", "drivers", "sim", "actors"]),
    ("hil-tests", &["protocol", "drivers", "sim", "actors", "runtime"]),
];

/// A file longer than this has more than one thing to say.
const MOST_LINES: usize = 800;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every source file with its text, our own only.
fn sources() -> Vec<(PathBuf, String)> {
    let (mut found, mut folders) = (vec![], LAYERS.map(|(layer, _)| root().join(layer)).to_vec());
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("target") {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let text = text(&path);
                found.push((path, text));
            }
        }
    }
    assert!(found.len() > 50, "the sources were not found");
    found
}

/// The `planktor-…` packages in the section of a manifest that every build needs.
fn imports(manifest: &str) -> Vec<String> {
    let lines = manifest.lines().skip_while(|line| line.trim() != "[dependencies]").skip(1);
    let lines = lines.take_while(|line| !line.starts_with('['));
    lines
        .filter_map(|line| line.strip_prefix("planktor-")?.split(['.', ' ', '=']).next().map(String::from))
        .collect()
}

#[test]
fn every_folder_imports_only_what_is_below_it() {
    for (layer, allowed) in LAYERS {
        let imported = imports(&text(&root().join(layer).join("Cargo.toml")));
        for import in &imported {
            assert!(allowed.contains(&import.as_str()), "{layer} may not import {import}");
        }
        assert!(layer == "protocol" || !imported.is_empty(), "the manifest of {layer} was not understood");
    }
}

#[test]
fn production_code_has_no_mock_and_no_simulation_switch() {
    for (path, text) in sources() {
        let production =
            ["drivers/src", "actors/src", "protocol/src"].iter().any(|f| path.starts_with(root().join(f)));
        for word in ["cfg(sim", "feature = \"sim", "planktor_sim", "Mock"] {
            assert!(!production || !text.contains(word), "{} contains {word}", path.display());
        }
    }
}

/// They are a millisecond late; only what talks to the network may use them.
#[test]
fn the_instrument_does_not_wait_by_tokios_timers() {
    for (path, text) in sources() {
        let outside = ["runtime", "hil-tests"].iter().any(|layer| path.starts_with(root().join(layer)));
        let timer = ["tokio::time", "run_later", "run_interval"].iter().find(|timer| text.contains(**timer));
        assert!(outside || timer.is_none(), "{} waits by {timer:?}", path.display());
    }
}

#[test]
fn the_simulation_has_its_own_reading_of_the_chips() {
    for (path, text) in sources().into_iter().filter(|(path, _)| path.starts_with(root().join("sim"))) {
        let borrowed =
            ["planktor_drivers::chips", "planktor_drivers::calibration"].iter().find(|b| text.contains(**b));
        assert!(borrowed.is_none(), "{} borrows {borrowed:?}", path.display());
    }
}

#[test]
fn every_file_says_first_what_it_is_for() {
    for (path, text) in sources() {
        assert!(text.starts_with("//!"), "{} begins without a word about itself", path.display());
    }
}

#[test]
fn no_file_is_too_long_to_be_read() {
    for (path, text) in sources() {
        let lines = text.lines().count();
        assert!(
            lines <= MOST_LINES,
            "{} has {lines} lines; more than {MOST_LINES} are two things",
            path.display()
        );
    }
}

/// What a reader copies must work.
#[test]
fn every_scenario_in_a_readme_can_be_read() {
    let mut read = 0;
    for file in ["README.md", "sim/README.md"] {
        for block in text(&root().join(file)).split("```toml\n").skip(1) {
            let block = block.split("```").next().unwrap();
            Scenario::parse(block).unwrap_or_else(|error| panic!("{file}: {error}"));
            read += 1;
        }
    }
    assert!(read >= 2, "the scenarios were not found");
}

#[test]
fn nothing_is_left_for_later() {
    let marks = [
        "TO".to_string() + "DO",
        "FIX".to_string() + "ME",
        "un".to_string() + "implemented!(",
        "to".to_string() + "do!(",
    ];
    for (path, text) in sources() {
        for mark in &marks {
            assert!(!text.contains(mark.as_str()), "{} contains {mark}", path.display());
        }
    }
}

/// Only what looks at real processes may wait by sleeping, and it says why.
#[test]
fn no_test_sleeps() {
    let sleep = "thread::".to_string() + "sleep";
    for (path, text) in sources() {
        let tests = path.components().any(|part| part.as_os_str() == "tests");
        assert!(!tests || !text.contains(&sleep), "{} sleeps", path.display());
    }
}
