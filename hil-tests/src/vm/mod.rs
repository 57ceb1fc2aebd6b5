//! The virtual machine: the release code against the kernel's own device nodes, with the twin's chips at the far end of
//! their wires (`vm/farend/farend.c`). Runs in the guest that `vm/vm.sh` boots, and nowhere else.

pub mod bench;
pub mod chips;
pub mod far_end;
pub mod guarded;
pub mod kernel;
pub mod programs;
pub mod table;
pub mod whole;
pub mod wires;
