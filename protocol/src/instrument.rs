//! The whole instrument: every command that can go in, every event that can come out.

use crate::motion::ChipClock;
use crate::survey::Survey;
use crate::{
    Axis, Epochs, Instant, acquisition, bubbler, display, focus, lease, library, light, operating_time,
    preview, pump,
};
use std::sync::Arc;

/// What the outside can ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// The pump.
    Pump(pump::Command),
    /// The stage.
    Focus(focus::Command),
    /// The pump, with another ramp.
    Trial(pump::Trial),
    /// The pump's calibration.
    Calibration(pump::Calibration),
    /// The lamp.
    Light(light::Command),
    /// The bubbler.
    Bubbler(bubbler::Command),
    /// The display.
    Display(display::Command),
    /// The LED's operating time.
    OperatingTime(operating_time::Command),
    /// The acquisition.
    Acquisition(acquisition::Command),
    /// Acquisition protocols.
    Library(library::Command),
    /// Who operates the instrument.
    Lease(lease::Command),
    /// The live picture.
    Preview(preview::Command),
    /// Say what the instrument knows of itself.
    Survey,
    /// End: motors off, light off.
    Shutdown,
}

impl Command {
    /// The axes that this command stops; both for an acquisition, which moves both.
    pub fn stops(&self) -> &'static [Axis] {
        match self {
            Self::Pump(pump::Command::Stop) => &[Axis::Pump],
            Self::Focus(focus::Command::Stop) => &[Axis::Focus],
            Self::Acquisition(acquisition::Command::Stop) | Self::Shutdown => &[Axis::Pump, Axis::Focus],
            Self::Pump(_)
            | Self::Focus(_)
            | Self::Trial(_)
            | Self::Calibration(_)
            | Self::Light(_)
            | Self::Bubbler(_)
            | Self::Display(_)
            | Self::OperatingTime(_)
            | Self::Acquisition(_)
            | Self::Library(_)
            | Self::Lease(_)
            | Self::Preview(_)
            | Self::Survey => &[],
        }
    }

    /// Whether it changes something, so that only the owner of a lease may give it. Nobody is kept from stopping or
    /// looking.
    pub fn operates(&self) -> bool {
        match self {
            Self::Pump(_) | Self::Focus(_) | Self::Acquisition(_) => self.stops().is_empty(),
            Self::Calibration(pump::Calibration::Get | pump::Calibration::GetRamp)
            | Self::Light(light::Command::Report)
            | Self::Bubbler(bubbler::Command::Report)
            | Self::OperatingTime(operating_time::Command::Get)
            | Self::Library(
                library::Command::List
                | library::Command::Get(_)
                | library::Command::Validate(_)
                | library::Command::Estimate(_),
            )
            | Self::Lease(_)
            | Self::Preview(_)
            | Self::Survey
            | Self::Shutdown => false,
            Self::Trial(_)
            | Self::Calibration(_)
            | Self::Light(_)
            | Self::Bubbler(_)
            | Self::Display(_)
            | Self::OperatingTime(_)
            | Self::Library(_) => true,
        }
    }
}

/// The number under which a command is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CommandId(pub u64);

impl CommandId {
    /// Of a command that nobody waits for.
    pub const NOBODY: Self = Self(0);
}

/// A command as it went in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admitted {
    /// Its answers carry this.
    pub id: CommandId,
    /// The stops before it; for a stop: with itself.
    pub epochs: Epochs,
    /// Who says to give it, for whom a lease may be.
    pub owner: Option<Arc<str>>,
    /// When it reached the gateway; not known of a stop for which there was no room.
    pub arrived: Option<Instant>,
    /// What is asked.
    pub command: Command,
}

/// What the outside is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The command it answers; `None` when it happened for another reason.
    pub id: Option<CommandId>,
    /// The stop that it answers as well.
    pub stopped_by: Option<CommandId>,
    /// When.
    pub at: Instant,
    /// What.
    pub event: Event,
}

/// What can come out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The pump.
    Pump(pump::Event),
    /// The stage.
    Focus(focus::Event),
    /// The pump's calibration.
    Calibration(pump::Calibrated),
    /// The lamp.
    Light(light::Event),
    /// The bubbler.
    Bubbler(bubbler::Event),
    /// The display.
    Display(display::Event),
    /// The LED's operating time.
    OperatingTime(operating_time::Event),
    /// The acquisition.
    Acquisition(acquisition::Event),
    /// Acquisition protocols.
    Library(library::Event),
    /// Who operates the instrument.
    Lease(lease::Event),
    /// The live picture.
    Preview(preview::Event),
    /// What the instrument knows of itself.
    Survey(Box<Survey>),
    /// A command that was not taken, whatever it was.
    Denied(Denial),
    /// A device is there, or is not.
    Health(Device, Health),
    /// The motors and the light are off; nothing more will come.
    Ended,
}

impl Event {
    /// Whether the command that this answers will get no further answer.
    pub fn is_final(&self) -> bool {
        match self {
            Self::Pump(pump::Event::Started { .. } | pump::Event::Released)
            | Self::Focus(focus::Event::Started { .. } | focus::Event::Released) => false,
            Self::Acquisition(
                acquisition::Event::Started
                | acquisition::Event::Saved { .. }
                | acquisition::Event::Judged { .. }
                | acquisition::Event::Progress { .. },
            ) => false,
            Self::Pump(_)
            | Self::Focus(_)
            | Self::Calibration(_)
            | Self::Light(_)
            | Self::Bubbler(_)
            | Self::Display(_)
            | Self::OperatingTime(_)
            | Self::Acquisition(_)
            | Self::Library(_)
            | Self::Lease(_)
            | Self::Preview(_)
            | Self::Survey(_)
            | Self::Denied(_) => true,
            Self::Health(..) => false,
            Self::Ended => true,
        }
    }
}

impl Event {
    /// Whether a command was carried out, or was to be, and could not be.
    pub fn is_failure(&self) -> bool {
        match self {
            Self::Pump(event) => matches!(event, pump::Event::Failed(_)),
            Self::Focus(event) => matches!(event, focus::Event::Failed(_)),
            Self::Calibration(event) => matches!(event, pump::Calibrated::Failed(_)),
            Self::Light(event) => matches!(event, light::Event::Failed(_) | light::Event::NotSaved(_)),
            Self::Bubbler(event) => matches!(event, bubbler::Event::Failed(_)),
            Self::Display(event) => matches!(event, display::Event::Failed(_)),
            Self::OperatingTime(event) => matches!(event, operating_time::Event::Failed(_)),
            Self::Acquisition(event) => matches!(event, acquisition::Event::Failed(_)),
            Self::Library(event) => {
                matches!(
                    event,
                    library::Event::Refused(library::Refusal::Disk(_) | library::Refusal::NoCamera(_))
                )
            }
            Self::Preview(event) => matches!(event, preview::Event::Failed(_)),
            Self::Lease(_) | Self::Survey(_) | Self::Denied(_) | Self::Health(..) | Self::Ended => false,
        }
    }
}

impl Event {
    /// Whether a command was not begun, for a reason.
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Pump(event) => matches!(event, pump::Event::Refused(_)),
            Self::Focus(event) => matches!(event, focus::Event::Refused(_)),
            Self::Calibration(event) => matches!(event, pump::Calibrated::Refused(_)),
            Self::Acquisition(event) => matches!(event, acquisition::Event::Refused(_)),
            Self::Library(event) => matches!(event, library::Event::Refused(_)),
            Self::Lease(event) => matches!(event, lease::Event::Refused(_)),
            Self::Denied(_) => true,
            Self::Light(_)
            | Self::Bubbler(_)
            | Self::Display(_)
            | Self::OperatingTime(_)
            | Self::Preview(_)
            | Self::Survey(_)
            | Self::Health(..)
            | Self::Ended => false,
        }
    }

    /// What it is about, in a word.
    pub fn about(&self) -> &'static str {
        match self {
            Self::Pump(_) => "pump",
            Self::Focus(_) => "focus",
            Self::Calibration(_) => "calibration",
            Self::Light(_) => "light",
            Self::Bubbler(_) => "bubbler",
            Self::Display(_) => "display",
            Self::OperatingTime(_) => "operating time",
            Self::Acquisition(_) => "acquisition",
            Self::Library(_) => "protocol",
            Self::Lease(_) => "lease",
            Self::Preview(_) => "preview",
            Self::Survey(_) | Self::Health(..) => "health",
            Self::Denied(_) => "denied",
            Self::Ended => "end",
        }
    }
}

/// Why no command is taken now that operates the instrument, or none of this client's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denial {
    /// Somebody else holds the lease.
    #[error(transparent)]
    Lease(#[from] lease::Refusal),
    /// The program ends.
    #[error("the instrument is shutting down")]
    ShuttingDown,
}

/// What can be lost and come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Device {
    /// The peristaltic pump.
    Pump,
    /// The focusing stage.
    Focus,
    /// The lamp.
    Light,
    /// The camera.
    Camera,
    /// The bubbler.
    Bubbler,
    /// The display.
    Display,
    /// The EEPROM that says which instrument it is.
    Eeprom,
}

impl Device {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Pump, Self::Focus, Self::Light, Self::Camera, Self::Bubbler, Self::Display, Self::Eeprom];
}

impl std::fmt::Display for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Pump => "pump",
            Self::Focus => "focus",
            Self::Light => "light",
            Self::Camera => "camera",
            Self::Bubbler => "bubbler",
            Self::Display => "display",
            Self::Eeprom => "eeprom",
        })
    }
}

/// How a device is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// It answers.
    Present,
    /// It works, but the clock of its driver is beyond what the datasheet allows.
    OddClock(ChipClock),
    /// It does not; it was made safe and is tried again.
    Lost(Fault),
    /// It failed too often; it stays off until the program is started again.
    GivenUp(Fault),
}

impl std::fmt::Display for Health {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Present => write!(f, "present"),
            Self::OddClock(clock) => write!(f, "present, but {}", odd_clock(*clock)),
            Self::Lost(fault) => write!(f, "lost: {fault}; it is tried again"),
            Self::GivenUp(Fault::NotFitted) => write!(f, "not fitted"),
            Self::GivenUp(fault) => write!(f, "given up until the next start: {fault}"),
        }
    }
}

/// What is to be said of a clock that is beyond its datasheet.
pub fn odd_clock(clock: ChipClock) -> String {
    format!(
        "its driver's clock runs at {clock}, where the datasheet allows 10.8 to 13.2 MHz; moves end as they should, but \
         check the chip and its supply"
    )
}

/// What can go wrong with hardware, and where to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The bus reported an error.
    #[error("{0} does not answer on its bus; check cable and power")]
    Bus(&'static str),
    /// Something else answers.
    #[error("expected a {expected}, found version {found:#04x}; check wiring, SPI mode and chip select")]
    WrongChip {
        /// Which chip belongs there.
        expected: &'static str,
        /// The version that was read.
        found: u8,
    },
    /// The chip was reset while in use: its registers are gone.
    #[error("the motor driver was reset in use; check its supply")]
    ChipReset,
    /// The power stage reports an error.
    #[error(
        "the motor driver reports an error (driver status {0:#010x}): short circuit or too hot; check the motor"
    )]
    PowerStage(u32),
    /// The end of a move was not reached in time.
    #[error("the motor did not reach its target in time; check motor, supply and enable line")]
    Late,
    /// The motor lost its step and was stopped.
    #[error("the motor stalled and was stopped; this ramp or load is too much for it")]
    Stalled,
    /// A move ended, but not where it was to end.
    #[error(
        "the motor driver stands at another position than it was told; its bus is disturbed: check the cable"
    )]
    Elsewhere,
    /// It turned when it was opened.
    #[error("the motor still turned from before and was told to stop; it is opened when it stands")]
    Turning,
    /// No frame came.
    #[error("the camera delivers no frames; check its cable")]
    CameraSilent,
    /// No camera is where it should be, or none of that name can capture.
    #[error("there is no such camera; check its cable, and which device the board's file names")]
    CameraMissing,
    /// The sub-device that has the controls is not there.
    #[error("there is no such camera sensor; check its cable, and which sensor the board's file names")]
    SensorMissing,
    /// Another program has it.
    #[error("another program uses the camera; end it")]
    CameraBusy,
    /// This program may not open it.
    #[error("this user may not open the camera; add it to the group video")]
    CameraForbidden,
    /// It was there.
    #[error("the camera was unplugged; check its cable")]
    CameraGone,
    /// It gives nothing that is understood, or not what was asked.
    #[error("the camera has no pixel format that is understood, or not the one that the board's file names")]
    CameraFormat,
    /// The driver returned an error.
    #[error("the camera refuses {0}; see the kernel's log (dmesg)")]
    CameraRefuses(&'static str),
    /// Frames came, but not at the time they were needed.
    #[error("frames were lost or exposed in motion again and again")]
    FramesLost,
    /// Our own mistake; contained to the device.
    #[error("the driver panicked; please report it with the log")]
    Panic,
    /// The board has no such device.
    #[error("this instrument has none")]
    NotFitted,
    /// It is lost and not yet back.
    #[error("the device is being opened again")]
    NotOpen,
    /// Its device node, pin or chip is not there.
    #[error(
        "{0} is not there; check what it is plugged into, and that its bus is switched on: planktor doctor tells how"
    )]
    Missing(&'static str),
    /// Whoever runs the program may not open it.
    #[error("{0} may not be opened by this user: planktor doctor tells which group may")]
    Forbidden(&'static str),
    /// Somebody else has it.
    #[error("{0} is in use by another program or a kernel driver; end that")]
    InUse(&'static str),
    /// It opens, but is not what it should be.
    #[error("{0} cannot be used for this; check that the board's description names the right one")]
    Unusable(&'static str),
    /// The program was built without what it needs.
    #[error("this planktor was built without cameras of this kind; build it with --features {0}")]
    NotBuilt(&'static str),
    /// The supervisor did not hear from it in time.
    #[error("the device's driver did not answer in time")]
    NoAnswer,
}
