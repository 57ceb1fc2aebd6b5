//! Programs of the virtual machine: the one under test, and those that it lives with.

use crossbeam_channel::{Receiver, bounded};
use planktor_drivers::clock::{Computer, WallClock as _};
use planktor_runtime::mqtt::Address;
use planktor_sim::Hat;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::os::fd::{AsFd as _, OwnedFd};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// What is here is outside when the machine is off.
pub const OUT: &str = "/out";
/// Longer than anything takes in a virtual machine on a computer that has other things to do.
pub const PATIENCE: Duration = Duration::from_secs(120);
/// Lines that nobody asks for; all of them are in the log.
const LINES: usize = 4_096;

/// A program; killed if it is dropped before it has ended.
pub struct Running {
    child: Child,
    /// What it says on its standard error, and what of that was heard so far.
    says: Receiver<String>,
    said: String,
}

impl Running {
    /// Starts it; what it says is kept in `/out/NAME.log`.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn start(name: &str, command: &mut Command) -> Self {
        let log = File::options().append(true).create(true).open(format!("{OUT}/{name}.log"));
        let mut log = log.expect("a log");
        let output = Stdio::from(log.try_clone().expect("the log once more"));
        let mut child = command.stdin(Stdio::null()).stdout(output).stderr(Stdio::piped()).spawn();
        let errors = child.as_mut().map(|child| child.stderr.take().expect("it was piped"));
        let errors = errors.unwrap_or_else(|error| panic!("{name} cannot be started: {error}"));
        let (line, says) = bounded(LINES);
        std::thread::spawn(move || {
            for text in BufReader::new(errors).lines().map_while(Result::ok) {
                let _ = writeln!(log, "{text}");
                let _ = line.try_send(text);
            }
        });
        Self { child: child.expect("it was started"), says, said: String::new() }
    }

    /// Waits until it has said this.
    ///
    /// # Panics
    /// If it never does.
    pub fn says(&mut self, words: &str) {
        while !self.said.contains(words) {
            let line = self.says.recv_timeout(PATIENCE);
            self.said += &line.unwrap_or_else(|_| panic!("it never said {words:?}, but: {}", self.said));
        }
    }

    /// Waits until it says this, from now on; the whole line.
    ///
    /// # Panics
    /// If it never does.
    pub fn will_say(&self, words: &str) -> String {
        loop {
            let line = self.says.recv_timeout(PATIENCE);
            let line = line.unwrap_or_else(|_| panic!("it does not say {words:?}"));
            if line.contains(words) {
                return line;
            }
        }
    }

    /// Asks it to end, and waits until it has.
    ///
    /// # Panics
    /// If it does not.
    pub fn end(self) -> ExitStatus {
        let pid = Pid::from_child(&self.child);
        let process = pidfd_open(pid, PidfdFlags::empty()).expect("it is there");
        pidfd_send_signal(&process, Signal::TERM).expect("it is ours");
        self.ends()
    }

    /// Waits until it has ended by itself.
    ///
    /// # Panics
    /// If it does not.
    pub fn ends(mut self) -> ExitStatus {
        let pid = Pid::from_child(&self.child);
        let process = pidfd_open(pid, PidfdFlags::empty()).expect("nobody has waited for it");
        let at_most = Timespec::try_from(PATIENCE).expect("two minutes");
        let ended = poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&at_most));
        assert_eq!(ended, Ok(1), "it did not end");
        self.child.wait().expect("it has ended")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where the broker is.
pub fn broker() -> Address {
    Address { host: "127.0.0.1".into(), port: 1883, tls: None, login: None }
}

/// A mosquitto as a PlanktoScope has it.
///
/// # Panics
/// If it cannot be started.
pub fn mosquitto() -> Running {
    let config = "/tmp/mosquitto.conf";
    let text = "user root\nlistener 1883 127.0.0.1\nallow_anonymous true\npersistence false\n";
    fs::write(config, text).expect("its configuration");
    let mut mosquitto = Running::start("mosquitto", Command::new("mosquitto").args(["-v", "-c", config]));
    mosquitto.says("running");
    mosquitto
}

/// The program under test, on HAT 3.3 with the kernel's simulated camera, and with more arguments.
///
/// # Panics
/// If it cannot be started.
pub fn planktor(data: &str, more: &[&str]) -> Running {
    let (board, camera) = without_display(Hat::V3_3);
    assert!(camera.contains("imx477"), "a board with its own camera is used with another");
    started("run", &format!("{board}{CAMERA}"), data, more)
}

/// The same below its guard, without a camera.
///
/// # Panics
/// If it cannot be started.
pub fn guard(hat: Hat, data: &str) -> Running {
    started("guard", &without_display(hat).0, data, &["--gpsd", "off"])
}

/// A shipped board's description, and what it says of its camera, which comes last. Nobody is behind a second SPI bus: there
/// is no display.
fn without_display(hat: Hat) -> (String, &'static str) {
    let shipped = match hat {
        Hat::V1_2 => include_str!("../../../drivers/boards/hat-1.2.toml"),
        Hat::V3_3 => include_str!("../../../drivers/boards/hat-3.3.toml"),
    };
    let (board, camera) = shipped.split_once("[camera]").expect("a board with a camera");
    let board = match board.split_once("[display]") {
        None => board.into(),
        Some((before, display)) => {
            format!("{before}{}", display.split_once("\n\n").expect("the display's end").1)
        }
    };
    (board, camera)
}

fn started(verb: &str, board: &str, data: &str, more: &[&str]) -> Running {
    fs::write(BOARD, board).expect("the board's description");
    let mut command = Command::new("planktor");
    let broker = broker().to_string();
    command.args([verb, "--board", BOARD, "--broker", &broker, "--chrony", "off", "--data", data]);
    Running::start("planktor", command.args(more).env("PLANKTOR_HTTP", "off"))
}

const BOARD: &str = "/tmp/board.toml";
/// Small: an emulated processor makes its pictures.
const CAMERA: &str = "[camera]\ndriver = \"v4l\"\ndevice = \"vivid\"\nsize = [640, 360]";

/// The kernel's simulated camera, one webcam; unplugged when it is dropped.
pub struct Camera;

impl Camera {
    /// Where it is.
    pub const NODE: &str = "/dev/video0";

    /// Plugs it in.
    ///
    /// # Panics
    /// If the kernel refuses.
    pub fn plugged_in() -> Self {
        let how = ["/modules/vivid.ko", "n_devs=1", "node_types=0x1", "num_inputs=1", "input_types=0x00"];
        assert!(Command::new("insmod").args(how).status().expect("busybox").success(), "no camera");
        Self
    }
}

impl Drop for Camera {
    fn drop(&mut self) {
        let pulled = Command::new("rmmod").arg("vivid").status();
        assert!(
            std::thread::panicking() || pulled.is_ok_and(|status| status.success()),
            "it is still in use"
        );
    }
}

/// A gpsd whose receiver is on a line of its own, and sees the sky off Roscoff.
pub struct Gps {
    _gpsd: Running,
    gone: Arc<AtomicBool>,
    receiver: Option<JoinHandle<()>>,
}

impl Gps {
    /// Starts both.
    ///
    /// # Panics
    /// If they cannot be started.
    pub fn start() -> Self {
        let (line, other, device) = line();
        let gone = Arc::<AtomicBool>::default();
        let receiver = std::thread::spawn({
            let gone = gone.clone();
            move || report(&line, &other, &gone)
        });
        let gpsd = Running::start("gpsd", Command::new("gpsd").args(["-N", "-n", "-b", &device]));
        Self { _gpsd: gpsd, gone, receiver: Some(receiver) }
    }
}

impl Drop for Gps {
    fn drop(&mut self) {
        self.gone.store(true, Ordering::Relaxed);
        let _ = self.receiver.take().map(JoinHandle::join);
    }
}

/// A line that gpsd takes for a serial one: the receiver's end, the other one (open, or it would hang up), and its name.
fn line() -> (OwnedFd, File, String) {
    let receiver = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a pseudo-terminal");
    grantpt(&receiver).and_then(|()| unlockpt(&receiver)).expect("its other end");
    let name = ptsname(&receiver, vec![]).expect("its name").into_string().expect("plain letters");
    let other = File::options().read(true).write(true).open(&name).expect("its other end");
    let mut how = tcgetattr(&other).expect("how it is set");
    how.make_raw();
    tcsetattr(&other, OptionalActions::Now, &how).expect("bytes as they are");
    (receiver, other, name)
}

/// Place of the receiver, as NMEA has it: degrees and minutes.
const PLACE: &str = "4843.6380,N,00358.8840,W";

/// Once a second, as receivers do (NMEA 0183: time and place, satellites in use, date).
fn report(line: &OwnedFd, other: &File, gone: &AtomicBool) {
    let second = Timespec { tv_sec: 1, tv_nsec: 0 };
    while !gone.load(Ordering::Relaxed) {
        let text = Computer.utc().rfc3339();
        let digits = |from: usize, to: usize| text[from..to].replace([':', '-'], "");
        let (time, date) = (digits(11, 19), format!("{}{}{}", &text[8..10], &text[5..7], &text[2..4]));
        for sentence in [
            format!("GPGGA,{time}.00,{PLACE},1,08,1.0,12.0,M,50.0,M,,"),
            "GPGSA,A,3,01,02,03,04,05,06,07,08,,,,,1.5,1.0,1.1".into(),
            format!("GPRMC,{time}.00,A,{PLACE},0.0,0.0,{date},,,A"),
        ] {
            let sum = sentence.bytes().fold(0, |sum, byte| sum ^ byte);
            // A line that is full has nobody who reads it.
            let _ = rustix::io::write(line, format!("${sentence}*{sum:02X}\r\n").as_bytes());
        }
        // Nobody writes to a receiver; this is its second.
        let _ = poll(&mut [PollFd::from_borrowed_fd(other.as_fd(), PollFlags::empty())], Some(&second));
    }
}
