//! `planktor guard`: the parent of a program that has an instrument. It hears that program's hardware thread, and when that
//! falls silent or dies, the guard takes the current from the motors and darkens the lamp by handles of its own, kills
//! what is left, and starts it again, within limits.
//!
//! It is small on purpose: one loop that waits for four things, no runtime, no network, no messages, and it never waits
//! for anybody without a deadline. When it acts ([`watch`], [`pulse`] and [`switches`] say when, on what news and how),
//! first comes what takes microseconds, then what may take longer.

mod pulse;
mod switches;
mod systemd;
mod thread;
mod urgent;
mod watch;

pub use pulse::{Guarded, NoGuard, Pulse};
pub use watch::{RESTARTS, SILENCE, WITHIN};

use crate::service::Say;
use planktor_drivers::Clock;
use planktor_drivers::clock::Monotonic;
use planktor_drivers::linux::Description;
use planktor_protocol::{Fault, Instant};
use pulse::{Listener, Word};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::low_level::pipe;
use std::ffi::OsString;
use std::fmt;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus};
use std::time::Duration;
use switches::Switches;
use systemd::Systemd;
use thread::Thread;
use urgent::Urgent;
use watch::{Restarts, Trouble, Watch};

/// Longest sleep: so often a service manager may want a sign of life.
const LOOK: Duration = Duration::from_secs(1);
/// A killed process is gone in milliseconds; one that the kernel holds in a call to a device is gone when the device lets
/// it: SPI after 200 ms, I2C after 50 ms.
const TO_DIE: Duration = Duration::from_secs(5);
/// For the slow bus: its time-out several times over.
const TO_DIM: Duration = Duration::from_secs(1);

/// What is guarded.
pub struct Ward {
    /// The program.
    pub program: PathBuf,
    /// Its arguments, `run` among them.
    pub arguments: Vec<OsString>,
    /// The instrument that it has; `None` if that dies with it.
    pub board: Option<Description>,
    /// Who watches.
    pub say: Say,
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The program ended as it was asked to, or by itself and in order, or would not start: with this code.
    InOrder(u8),
    /// It broke more often than it is started again, the last time like this.
    GaveUp(String),
}

/// Why there is no guard.
#[derive(Debug, thiserror::Error)]
pub enum GuardError {
    /// Signals, sockets or threads.
    #[error("the guard cannot be set up: {0}; free memory or raise the limit of threads and files")]
    Own(#[from] io::Error),
    /// The program.
    #[error("{0} cannot be started: {1}; check that it is there and may be executed")]
    Start(PathBuf, io::Error),
}

/// Starts a program and guards it until it has ended in order, was told to end (SIGINT, SIGTERM), or breaks too often.
/// Whoever calls this has the instrument.
///
/// # Errors
/// It cannot be set up, or the program cannot be started.
pub fn guard(ward: &Ward) -> Result<Ended, GuardError> {
    let mut guard = Guard {
        signals: Signals::listen()?,
        systemd: Systemd::found(),
        switches: ward.board.as_ref().map(Switches::of).transpose()?,
        say: ward.say.clone(),
    };
    urgent::refusals().iter().for_each(|line| guard.say(line));
    let (mut restarts, mut again) = (Restarts::default(), None::<String>);
    loop {
        let (child, listener) = guard.start(ward, again.as_deref())?;
        let (watch, end) = guard.watch(child, listener)?;
        let incident = match end {
            End::InOrder(status) => return Ok(Ended::InOrder(code(status))),
            // It has said itself why it cannot begin.
            End::Broken(Incident { trouble: Trouble::Died(status), .. })
                if restarts.is_first() && !watch.has_begun() && status.code().is_some() =>
            {
                return Ok(Ended::InOrder(code(status)));
            }
            End::Broken(incident) => incident,
        };
        let told = incident.to_string();
        guard.say(&told);
        if watch.is_asked_to_end() {
            return Ok(Ended::InOrder(FAILURE));
        }
        let Some(pause) = restarts.again(Monotonic.now()).filter(|_| !incident.safe.remains) else {
            return Ok(Ended::GaveUp(told));
        };
        if guard.is_told_to_end_within(pause) {
            return Ok(Ended::InOrder(FAILURE));
        }
        again = Some(told);
    }
}

/// What a program that did not end in order ends with.
const FAILURE: u8 = 1;

fn code(status: ExitStatus) -> u8 {
    status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(FAILURE)
}

/// How one program ended.
enum End {
    InOrder(ExitStatus),
    Broken(Incident),
}

/// What happened to a program, and what was done.
struct Incident {
    trouble: Trouble,
    safe: Safe,
}

/// How everything was made safe.
struct Safe {
    /// From noticing until the motors had no current; `None` if there was nothing to switch.
    motors: Option<Duration>,
    /// Until everything was safe and the process gone.
    all: Duration,
    /// What did not obey.
    faults: Vec<Fault>,
    /// Whether the kernel still has its process.
    remains: bool,
}

impl fmt::Display for Incident {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { trouble, safe: Safe { motors, all, faults, remains } } = self;
        let ms = |time: &Duration| time.as_secs_f64() * 1e3;
        write!(f, "{trouble}")?;
        if let Some(motors) = motors {
            write!(f, "; the guard had the motors off {:.1} ms later", ms(motors))?;
        }
        write!(f, "; all of it was off and gone after {:.1} ms", ms(all))?;
        faults.iter().try_for_each(|fault| write!(f, "; not switched off: {fault}"))?;
        if *remains {
            write!(f, "; the kernel does not let go of its process: switch the computer off and on")?;
        }
        Ok(())
    }
}

struct Guard {
    signals: Signals,
    systemd: Systemd,
    switches: Option<Switches>,
    say: Say,
}

impl Guard {
    fn say(&self, line: &str) {
        (self.say)(&format!("guard: {line}"));
    }

    /// Makes safe, then starts it. What it starts is a process group of its own: Ctrl-C reaches the guard alone, which
    /// passes it on once.
    fn start(&self, ward: &Ward, again: Option<&str>) -> Result<(Child, Listener), GuardError> {
        let mut lines = vec![];
        if let Some(switches) = &self.switches {
            for fault in switches.ready(TO_DIM) {
                self.say(&format!("in need it could not be switched off: {fault}"));
            }
            lines = switches.lend()?;
        }
        let mut command = Command::new(&ward.program);
        command.args(&ward.arguments).process_group(0);
        let listener = Listener::beside(&mut command, &lines, again)?;
        let child = command.spawn().map_err(|error| GuardError::Start(ward.program.clone(), error))?;
        self.say(&format!("watches process {}", child.id()));
        Ok((child, listener))
    }

    /// Watches it to its end; everything is safe then.
    fn watch(&mut self, mut child: Child, mut listener: Listener) -> io::Result<(Watch, End)> {
        let process = pidfd_open(Pid::from_child(&child), PidfdFlags::empty())?;
        let _urgent = Urgent::now();
        let (mut watch, mut hardware) = (Watch::new(Monotonic.now()), None);
        let trouble = loop {
            let is_gone = self.wait(&process, &listener, watch.due());
            while let Some(word) = listener.next() {
                if let Word::Beat(thread) = word {
                    // Without it, a thread that starves is taken for one that hangs.
                    hardware = hardware.or_else(|| Thread::of(child.id(), thread).ok());
                }
                self.heard(word, &mut watch);
            }
            if self.signals.came() && watch.ask_to_end(Monotonic.now()) {
                self.systemd.stopping();
                let _ = pidfd_send_signal(&process, Signal::TERM);
            }
            let now = Monotonic.now();
            self.systemd.awake(now);
            if is_gone {
                break None;
            }
            if let Some(trouble) = watch.judge(now) {
                let starves = hardware.as_ref().is_some_and(Thread::wants_a_processor);
                if !(starves && watch.starves(now)) {
                    break Some(trouble);
                }
            }
        };
        let safe = self.make_safe(&process);
        let end = match trouble {
            Some(trouble) => {
                if !safe.remains {
                    child.wait()?;
                }
                End::Broken(Incident { trouble, safe })
            }
            None => match child.wait()? {
                status if watch.leaves() || status.success() => End::InOrder(status),
                status => End::Broken(Incident { trouble: Trouble::Died(status), safe }),
            },
        };
        Ok((watch, end))
    }

    /// First what takes microseconds, then what may take longer. A process that is stopped dies of a kill, too, and one that
    /// is gone is not reached by it.
    fn make_safe(&self, process: &OwnedFd) -> Safe {
        let noticed = Monotonic.now();
        self.off();
        let motors = self.switches.as_ref().map(|_| Monotonic.now() - noticed);
        let _ = pidfd_send_signal(process, Signal::KILL);
        let remains = !is_readable(process, TO_DIE);
        // What it was about to do when it was killed has been done by now.
        self.off();
        let faults = self.switches.as_ref().map_or(vec![], |switches| switches.settled(TO_DIM));
        Safe { motors, all: Monotonic.now() - noticed, faults, remains }
    }

    fn heard(&mut self, word: Word, watch: &mut Watch) {
        match word {
            Word::Beat(_) => {
                self.systemd.ready();
                watch.beat(Monotonic.now());
            }
            Word::Farewell => watch.farewell(Monotonic.now()),
        }
    }

    /// Until something happens or is due; whether the process is gone.
    fn wait(&self, process: &OwnedFd, listener: &Listener, due: Instant) -> bool {
        let heart = listener.socket().unwrap_or(process);
        let mut happens = [
            PollFd::new(process, PollFlags::IN),
            PollFd::new(heart, PollFlags::IN),
            PollFd::new(&self.signals.0, PollFlags::IN),
        ];
        let at_most = (due - Monotonic.now()).min(LOOK);
        polled(&mut happens, at_most);
        !happens[0].revents().is_empty()
    }

    fn off(&self) {
        if let Some(switches) = &self.switches {
            switches.off();
        }
    }

    /// Whether a signal comes in this time.
    fn is_told_to_end_within(&mut self, time: Duration) -> bool {
        let until = Monotonic.now() + time;
        while Monotonic.now() < until {
            self.systemd.awake(Monotonic.now());
            if is_readable(&self.signals.0, (until - Monotonic.now()).min(LOOK)) {
                self.systemd.stopping();
                return true;
            }
        }
        false
    }
}

fn is_readable(file: &impl AsFd, within: Duration) -> bool {
    let until = Monotonic.now() + within;
    loop {
        let mut happens = [PollFd::new(file, PollFlags::IN)];
        polled(&mut happens, until - Monotonic.now());
        let is_readable = !happens[0].revents().is_empty();
        if is_readable || Monotonic.now() >= until {
            return is_readable;
        }
    }
}

/// Whoever is interrupted by a signal looks again.
fn polled(happens: &mut [PollFd<'_>], at_most: Duration) {
    let at_most = Timespec::try_from(at_most).expect("a short time");
    let _ = poll(happens, Some(&at_most));
}

/// SIGINT and SIGTERM, as something to wait for.
struct Signals(UnixStream);

impl Signals {
    fn listen() -> io::Result<Self> {
        let (ours, theirs) = UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        for signal in [SIGINT, SIGTERM] {
            pipe::register(signal, theirs.try_clone()?)?;
        }
        Ok(Self(ours))
    }

    /// Whether one came since this was last asked.
    fn came(&mut self) -> bool {
        matches!(self.0.read(&mut [0; 16]), Ok(1..))
    }
}
