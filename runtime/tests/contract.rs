//! The committed documents are those that the program makes of its types.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use planktor_protocol::wire::contract;
use std::collections::BTreeSet;
use std::path::Path;

#[test]
fn the_committed_documents_are_not_stale() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../contract");
    let made: Vec<_> = contract::files()
        .into_iter()
        .chain([planktor_runtime::web::file(), planktor_runtime::dataset::records::file()])
        .collect();
    for (name, text) in &made {
        let committed = std::fs::read_to_string(folder.join(name)).unwrap_or_default();
        assert!(&committed == text, "contract/{name} is stale: run `cargo run -- contract --write contract`");
    }
    let made: BTreeSet<_> = made.iter().map(|(name, _)| folder.join(name)).collect();
    for file in std::fs::read_dir(folder.join("schemas")).unwrap() {
        let path = file.unwrap().path();
        assert!(made.contains(&path), "{} belongs to no topic: remove it", path.display());
    }
}
