//! Work for every core that has nothing to do with the instrument.

use std::io;
use std::process::{Child, Command, Stdio};

/// Longer than any round.
const SECONDS: &str = "3600";

/// A `stress-ng` that runs until this is dropped.
#[derive(Debug)]
pub struct Load(Child);

impl Load {
    /// What it is, for a report.
    pub const NAME: &'static str = "under load (stress-ng --cpu 0 --io 1 --vm 1 --vm-bytes 64M)";

    /// Starts it.
    ///
    /// # Errors
    /// There is none: it is in the package stress-ng.
    pub fn begin() -> io::Result<Self> {
        let words =
            ["--cpu", "0", "--io", "1", "--vm", "1", "--vm-bytes", "64M", "--quiet", "--timeout", SECONDS];
        let mut stress = Command::new("stress-ng");
        stress.args(words).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        stress.spawn().map(Self)
    }
}

impl Drop for Load {
    /// Its workers end with it: it is told to, not killed.
    fn drop(&mut self) {
        if let Ok(pid) = i32::try_from(self.0.id())
            && let Some(pid) = rustix::process::Pid::from_raw(pid)
        {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let _ = self.0.wait();
    }
}
