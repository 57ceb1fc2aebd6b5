//! The computer: what it is, its kernel, and what it allows this user.

use super::Finding;
use crate::machine;
use rustix::process::{Resource, geteuid, getrlimit};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

const AREA: &str = "computer";
/// Three full frames of 12 megapixels as a camera's pool holds them, and the program.
const LOCKED: u64 = 128 << 20;

pub(super) fn examine() -> Vec<Finding> {
    let (root, uname) = (Path::new("/"), rustix::system::uname());
    let [system, release, processor] =
        [uname.sysname(), uname.release(), uname.machine()].map(|text| text.to_string_lossy().into_owned());
    let model = machine::read(root, "proc/device-tree/model");
    let model = model.unwrap_or_else(|| format!("no Raspberry Pi ({processor})"));
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let real_time = machine::read(root, "sys/kernel/realtime").is_some_and(|text| text == "1");
    let kind = if real_time { "PREEMPT_RT" } else { "not PREEMPT_RT" };
    vec![
        Finding::good(AREA, format!("{}: {model}, {cores} cores", machine::name(root))),
        Finding::good(AREA, format!("{system} {release}, {kind}")),
        priority(),
        locked(),
    ]
}

fn priority() -> Finding {
    let allowed = getrlimit(Resource::Rtprio).current.unwrap_or(u64::MAX);
    if geteuid().is_root() || allowed > 0 {
        return Finding::good(AREA, "real-time priority is allowed");
    }
    Finding::good(AREA, "real-time priority is not allowed; this version does not ask for it")
}

fn locked() -> Finding {
    let allowed = getrlimit(Resource::Memlock).current.unwrap_or(u64::MAX);
    if geteuid().is_root() || allowed >= LOCKED {
        return Finding::good(AREA, "memory may be locked");
    }
    Finding::good(
        AREA,
        format!("only {} MiB of memory may be locked; this version locks none", allowed >> 20),
    )
}

/// The name of the group that a file belongs to.
pub(super) fn group_of(path: &Path) -> Option<String> {
    let gid = std::fs::metadata(path).ok()?.gid();
    name_in("/etc/group", gid)
}

/// Who runs this.
pub(super) fn user() -> String {
    let uid = geteuid().as_raw();
    name_in("/etc/passwd", uid).unwrap_or_else(|| uid.to_string())
}

/// Both files have a name first and a number third.
fn name_in(file: &str, id: u32) -> Option<String> {
    let text = std::fs::read_to_string(file).ok()?;
    let mut fields = text.lines().map(|line| line.split(':').collect::<Vec<_>>());
    fields
        .find(|fields| fields.get(2).and_then(|n| n.parse().ok()) == Some(id))
        .map(|fields| fields[0].to_owned())
}
