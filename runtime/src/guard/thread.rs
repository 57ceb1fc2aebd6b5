//! What the kernel says of another program's thread: whether it hangs, or only has no processor.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Its number, its name of 15 letters at most, in brackets, and its state (proc_pid_stat(5)).
const BEGIN: usize = 40;

/// A thread.
#[derive(Debug)]
pub(super) struct Thread(File);

impl Thread {
    /// Of a process, by their numbers.
    ///
    /// # Errors
    /// It is gone.
    pub(super) fn of(process: u32, thread: u32) -> io::Result<Self> {
        File::open(format!("/proc/{process}/task/{thread}/stat")).map(Self)
    }

    /// Whether it runs or wants to. One that waits for a bus, or was stopped, does not; nor does one that is gone.
    pub(super) fn wants_a_processor(&self) -> bool {
        let mut text = [0; BEGIN];
        let len = self.0.read_at(&mut text, 0).unwrap_or(0);
        let name = text[..len].iter().rposition(|byte| *byte == b')');
        name.and_then(|end| text.get(end + 2)) == Some(&b'R')
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossbeam_channel::bounded;
    use rustix::thread::gettid;

    fn me() -> Thread {
        Thread::of(std::process::id(), gettid().as_raw_pid().cast_unsigned()).unwrap()
    }

    #[test]
    fn who_runs_wants_a_processor_and_who_waits_does_not() {
        assert!(me().wants_a_processor());
        let (say, hear) = bounded(0);
        let (end, ends) = bounded::<()>(0);
        let waiting = std::thread::spawn(move || {
            say.send(me()).unwrap();
            ends.recv().unwrap_err();
        });
        let other = hear.recv().unwrap();
        while other.wants_a_processor() {}
        drop(end);
        waiting.join().unwrap();
        assert!(!other.wants_a_processor(), "it is gone");
    }
}
