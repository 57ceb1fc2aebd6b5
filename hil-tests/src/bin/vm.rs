//! The virtual machine's program: `vm [PART_OF_A_NAME…]` tries everything of `hil-tests/src/vm`, or only what is named, and
//! prints a line for each. Run by `hil-tests/vm/vm.sh` in the guest that has the devices.

#![expect(clippy::print_stdout, reason = "the answer")]

use planktor_hil_tests::vm::table::Line;
use planktor_hil_tests::vm::{chips, guarded, kernel, whole};
use std::process::ExitCode;

fn main() -> ExitCode {
    let names: Vec<String> = std::env::args().skip(1).collect();
    let named = |what: &str| names.is_empty() || names.iter().any(|name| what.contains(name.as_str()));
    let all = chips::CHECKS.into_iter().chain(kernel::CHECKS).chain(whole::CHECKS).chain(guarded::CHECKS);
    let checks = all.filter(|(what, _)| named(what));
    let (mut passed, mut failed) = (0, 0);
    for check in checks {
        let line = Line::of(check);
        println!("{line}");
        *(if line.passed() { &mut passed } else { &mut failed }) += 1;
    }
    println!("{passed} passed, {failed} failed");
    if failed == 0 && passed > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
