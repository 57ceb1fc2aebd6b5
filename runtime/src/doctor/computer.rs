//! The computer: what it is, its kernel, and what it allows this user.

use super::Finding;
use crate::machine;
use planktor_drivers::scheduling;
use rustix::process::geteuid;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

const AREA: &str = "computer";

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

/// Asked of the kernel, in a thread that ends after it.
fn priority() -> Finding {
    let asked = std::thread::spawn(|| scheduling::real_time(scheduling::PRIORITY)).join();
    match asked {
        Ok(Ok(given)) => Finding::good(AREA, format!("the hardware thread may have {given}")),
        Ok(Err(why)) => Finding::notice(AREA, "real-time priority is not permitted", why.advice()),
        Err(_) => Finding::notice(
            AREA,
            "it cannot be known whether real-time priority is permitted",
            "please report this with what was printed above",
        ),
    }
}

fn locked() -> Finding {
    match scheduling::may_lock_memory() {
        Ok(()) => Finding::good(AREA, "memory may be locked"),
        Err(why) => Finding::notice(AREA, "memory cannot be locked without a limit", why.advice()),
    }
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
