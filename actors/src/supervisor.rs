//! Carries out acquisitions and keeps the instrument safe and alive. Never waits for those it supervises.
//!
//! ```text
//!   Idle ──Acquire──> Opening ──camera streams──> Creating ──data set exists──> Ready ──motors rest──> Running
//!     ^                  └──────────────────────────────┴───────────────────────┴─────────────────────────┤
//!     ├──Capture──> Capturing ──picture on disk──> Idle                                                   │
//!     ├───────────────────────────── Stop, device lost, disk fails ───────────────────────────────────────┤
//!     └──────────────────────────────── Closing <──plan over──────────────────────────────────────────────┘
//! ```
//!
//! A stop is answered when it has been sent to the motors. A device that is lost is made safe first, then opened again
//! within limits, then given up aloud. It touches no bus, no disk and no network, and never sees the Board.

mod acquiring;
mod capturing;
mod care;
mod keeping;
mod lease;
mod ledger;
mod nameplate;
mod phase;
mod safety;
mod slow;
mod strobe;
mod term;
mod timed;
mod viewing;

pub use keeping::Kept;

use crate::alarm::{Alarms, Bell, Ticket};
use crate::host::{Named, Noted, Reopen, Timers};
use crate::intake::Stop;
use crate::journal::{Journal, Kind};
use crate::outlet::Outlet;
use crate::port::{Mail, Port};
use crate::recording::{Encoded, Memory, Note, Opened, Pipeline, Recorded};
use crate::sequence::{self, Hold, Sequence};
use crate::settling::Studied;
use crate::timing::Timings;
use actix::{Actor, AsyncContext, Context, Handler, Recipient};
use care::Care;
use keeping::Asked;
use lease::Lease;
use ledger::{Answered, Caller, Ledger, Who};
use nameplate::Nameplate;
use phase::Phase;
use planktor_drivers::board::{Enable, Output};
use planktor_drivers::calibration::Current;
use planktor_drivers::devices::focus::Height;
use planktor_drivers::devices::oscillator::Oscillator;
use planktor_protocol::acquisition::{self, Failure, Formats, Metadata, Progress, Refusal};
use planktor_protocol::instrument::{Admitted, Answer, Command, CommandId, Denial, Device, Event};
use planktor_protocol::lease as lease_of;
use planktor_protocol::library::Name;
use planktor_protocol::plan::Plan;
use planktor_protocol::position::Fix;
use planktor_protocol::timekeeping::{Anchor, Step};
use planktor_protocol::units::Fraction;
use planktor_protocol::{
    Axis, Epochs, Instant, Order, Report, Run, Utc, bubbler, camera, display, eeprom, focus, light, motion,
    pump,
};
use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use strobe::Strobing;
use term::Term;
use timed::Watched;

/// Everything that can reach it.
#[derive(Debug)]
pub enum Input {
    /// A command from the intake.
    Command(Admitted),
    /// A stop from the intake.
    Stop(Stop),
    /// An alarm of its own.
    Alarm(Ticket),
    /// From the pump.
    Pump(Report<pump::Event>),
    /// From the stage.
    Focus(Report<focus::Event>),
    /// From the lamp.
    Light(Report<light::Event>),
    /// From the bubbler.
    Bubbler(Report<bubbler::Event>),
    /// From the display.
    Display(Report<display::Event>),
    /// From the EEPROM.
    Eeprom(Report<eeprom::Event>),
    /// From the camera.
    Camera(Report<camera::Event>),
    /// From an encoder.
    Encoded(Encoded),
    /// From whoever looks at frames while the water comes to rest.
    Studied(Studied),
    /// From the recorder.
    Recorded(Recorded),
    /// From a host.
    Noted(Noted),
    /// From the receiver.
    Fix(Fix),
    /// From the timekeeper.
    Anchor(Anchor),
    /// From the timekeeper: the computer's clock was set.
    Stepped(Step),
}

macro_rules! inputs {
    ($($from:ty => $variant:ident),* $(,)?) => {
        impl Named for Input {
            fn name(&self) -> &'static str {
                match self {
                    $(Self::$variant(_) => stringify!($variant),)*
                }
            }
        }

        $(impl From<$from> for Input {
            fn from(value: $from) -> Self {
                Self::$variant(value)
            }
        })*
    };
}
inputs! {
    Admitted => Command, Stop => Stop, Ticket => Alarm, Report<pump::Event> => Pump, Report<focus::Event> => Focus,
    Report<light::Event> => Light, Report<bubbler::Event> => Bubbler, Report<display::Event> => Display,
    Report<eeprom::Event> => Eeprom, Report<camera::Event> => Camera, Encoded => Encoded, Studied => Studied, Recorded => Recorded,
    Noted => Noted, Fix => Fix, Anchor => Anchor, Step => Stepped,
}

/// What it is wired to.
pub struct Parts {
    /// The pump's actor.
    pub pump: Port<Order<motion::Command<pump::Stroke>>>,
    /// The pump's enable line.
    pub pump_enable: Enable,
    /// The clock of the pump's driver.
    pub pump_clock: Oscillator,
    /// The stage's actor.
    pub focus: Port<Order<focus::Command>>,
    /// The stage's enable line.
    pub focus_enable: Enable,
    /// The clock of the stage's driver.
    pub focus_clock: Oscillator,
    /// Where the stage is.
    pub height: Height,
    /// The lamp's actor.
    pub light: Port<Order<light::Command>>,
    /// The pin that lights it, if there is one.
    pub strobe_pin: Option<Output>,
    /// The bubbler's actor.
    pub bubbler: Port<Order<bubbler::Command>>,
    /// The display's actor.
    pub display: Port<Order<display::Command>>,
    /// The EEPROM's actor.
    pub eeprom: Port<Order<eeprom::Command>>,
    /// The camera's actor.
    pub camera: Port<Order<camera::Command>>,
    /// Who opens a device again.
    pub reopen: BTreeMap<Device, Recipient<Reopen>>,
    /// Encoders and recorder.
    pub pipeline: Pipeline,
    /// The instrument's constants; the pump has them, too.
    pub calibration: Current,
    /// What it remembers from before.
    pub memory: Memory,
    /// The machine's name.
    pub name: Arc<str>,
    /// Acquisition protocols.
    pub protocols: BTreeMap<Name, Kept>,
    /// The earliest time that it can be.
    pub earliest: Utc,
    /// The way out.
    pub outlet: Outlet,
    /// What happened.
    pub journal: Journal,
}

/// An acquisition in whatever state.
struct Acquisition {
    id: CommandId,
    epochs: Epochs,
    batch: Run,
    anchor: Anchor,
    total: u32,
}

/// Which data set is to be had when the camera streams.
enum What {
    New(Plan, Arc<Metadata>),
    Again(acquisition::Resume),
}

/// What only a running one has.
struct Running {
    sequence: Sequence,
    folder: Arc<Path>,
    wake: Option<Ticket>,
    saved: u32,
    watched: Watched,
    phase: Phase,
}

enum State {
    Idle,
    Opening(Acquisition, What),
    Creating(Acquisition),
    Ready(Acquisition, Box<Opened>),
    Running(Acquisition, Box<Running>),
    Closing(Acquisition, Arc<Path>),
    Capturing(Acquisition, Formats),
}

/// The end of the program, under way.
struct Shutdown {
    id: CommandId,
    deadline: Ticket,
    ended: bool,
}

/// An order to a device on a slow bus, under way.
struct SlowOrder {
    device: Device,
    run: Run,
    id: Option<CommandId>,
    deadline: Ticket,
    /// Whether the lamp's level is to be saved when it says it.
    saves: bool,
    /// The LED's time that is in the EEPROM when it says so.
    keeps: Option<Duration>,
}

/// The actor.
pub struct Supervisor {
    bell: Bell,
    state: State,
    pump: Ledger<pump::Stroke>,
    pump_enable: Enable,
    pump_clock: Oscillator,
    focus: Ledger<focus::Move>,
    focus_enable: Enable,
    focus_clock: Oscillator,
    height: Height,
    light: Port<Order<light::Command>>,
    strobe_pin: Option<Output>,
    strobing: Option<Strobing>,
    bubbler: Port<Order<bubbler::Command>>,
    display: Port<Order<display::Command>>,
    eeprom: Port<Order<eeprom::Command>>,
    slow_orders: VecDeque<SlowOrder>,
    /// What the lamp was last told, and what it has done.
    ordered: Fraction,
    level: Option<Fraction>,
    /// Since when it has been lit and not counted, and when that is to be kept.
    lit: Option<(Instant, Ticket)>,
    memory: Memory,
    name: Arc<str>,
    nameplate: Nameplate,
    protocols: BTreeMap<Name, Kept>,
    errands: Vec<Asked>,
    lease: Lease,
    /// While somebody looks.
    watched: Term,
    settings: camera::Settings,
    /// How the camera streams, as it last said.
    mode: Option<camera::Mode>,
    /// Whether its cadence is an acquisition's.
    is_in_phase: bool,
    /// Of the frames so far, in the mean.
    frame_bytes: Option<u64>,
    camera: Port<Order<camera::Command>>,
    care: BTreeMap<Device, Care>,
    reopen: BTreeMap<Device, Recipient<Reopen>>,
    pipeline: Pipeline,
    /// Rings when encoders and recorder have owed an answer for too long.
    disk: Option<Ticket>,
    calibration: Current,
    earliest: Utc,
    outlet: Outlet,
    journal: Journal,
    timings: Timings,
    timers: Timers,
    /// Ends that are answered when the stop has been sent to the motors: the acquisition's name and the stop's.
    interrupted: Vec<(Option<CommandId>, Option<Caller>)>,
    /// As of the latest stop that was served.
    stopped: Epochs,
    metadata: Option<Arc<Metadata>>,
    /// The newest one with a place.
    fix: Option<Fix>,
    anchor: Option<Anchor>,
    /// How often the computer's clock was set.
    steps: u32,
    shutdown: Option<Shutdown>,
    /// Where the acquisition was when that was last told.
    told: Option<(Progress, u32, u32)>,
    run: Run,
}

impl Supervisor {
    /// Called on the hardware thread's arbiter.
    pub fn new(ctx: &mut Context<Self>, parts: Parts) -> Self {
        Self {
            bell: Alarms::here().bell(Port::of(&ctx.address())),
            state: State::Idle,
            pump: Ledger::new(parts.pump),
            pump_enable: parts.pump_enable,
            pump_clock: parts.pump_clock,
            focus: Ledger::new(parts.focus),
            focus_enable: parts.focus_enable,
            focus_clock: parts.focus_clock,
            height: parts.height,
            light: parts.light,
            strobe_pin: parts.strobe_pin,
            strobing: None,
            bubbler: parts.bubbler,
            display: parts.display,
            eeprom: parts.eeprom,
            slow_orders: VecDeque::new(),
            ordered: Fraction::ZERO,
            level: None,
            lit: None,
            memory: parts.memory,
            name: parts.name,
            nameplate: Nameplate::default(),
            protocols: parts.protocols,
            errands: Vec::new(),
            lease: Lease::default(),
            watched: Term::default(),
            settings: camera::Settings::default(),
            mode: None,
            is_in_phase: false,
            frame_bytes: None,
            camera: parts.camera,
            care: Device::ALL.map(|device| (device, Care::new())).into(),
            reopen: parts.reopen,
            pipeline: parts.pipeline,
            disk: None,
            calibration: parts.calibration,
            earliest: parts.earliest,
            outlet: parts.outlet,
            journal: parts.journal,
            timings: Alarms::here().timings().clone(),
            timers: Timers::of("supervisor"),
            interrupted: Vec::new(),
            stopped: Epochs::default(),
            metadata: None,
            fix: None,
            anchor: None,
            steps: 0,
            shutdown: None,
            told: None,
            run: Run(0),
        }
    }

    fn on(&mut self, input: Input) {
        self.journal.note(self.bell.now(), Kind::Told, &input);
        let wrote = matches!(input, Input::Encoded(_) | Input::Recorded(_));
        let state = std::mem::replace(&mut self.state, State::Idle);
        self.state = match (state, input) {
            (state, Input::Command(admitted)) => self.command(state, admitted),
            (state, Input::Stop(Stop(admitted))) => self.stop(state, &admitted),

            (state, Input::Pump(Report { run, event })) => {
                let answered = self.pump.answer(run, &event);
                self.time_motor(answered, &event);
                if matches!(event, motion::Event::Done(_)) {
                    self.motor_works(Axis::Pump);
                }
                self.tell_both(answered, Event::Pump(event));
                let refused = |why| (why != pump::Refusal::Stopped).then_some(Failure::Pump(why));
                self.moved(state, Axis::Pump, answered, event, refused)
            }
            (state, Input::Focus(Report { run, event })) => {
                let answered = self.focus.answer(run, &event);
                self.time_motor(answered, &event);
                if matches!(event, motion::Event::Done(_)) {
                    self.motor_works(Axis::Focus);
                }
                self.tell_both(answered, Event::Focus(event));
                let refused = |why| (why != focus::Refusal::Stopped).then_some(Failure::Focus(why));
                self.moved(state, Axis::Focus, answered, event, refused)
            }
            (state, Input::Light(Report { run, event: light::Event::Pulsed(interval) })) => {
                self.pulsed(state, run, interval)
            }
            (state, Input::Light(report)) => {
                self.lit(report);
                state
            }
            (state, Input::Bubbler(report)) => {
                self.bubbled(report);
                state
            }
            (state, Input::Display(report)) => {
                self.showed(report);
                state
            }
            (state, Input::Eeprom(report)) => {
                self.engraved(report);
                state
            }
            (state, Input::Noted(Noted { device, health })) => self.noted(state, device, health),

            (mut state, Input::Camera(Report { event: camera::Event::Set(mode), .. })) => {
                self.mode = Some(mode);
                if let State::Running(_, running) = &mut state {
                    running.sequence.streams(mode.cadence);
                }
                state
            }
            (State::Capturing(a, formats), Input::Camera(report)) => self.capturing(a, formats, report),
            (State::Opening(a, what), Input::Camera(Report { run, event: camera::Event::Opened(mode) }))
                if run == a.batch =>
            {
                self.open_data_set(a, what, mode)
            }
            (State::Creating(a), Input::Recorded(Recorded::Begun { batch, result: Ok(opened) }))
                if batch == a.batch =>
            {
                self.opened(a, opened)
            }
            (State::Creating(a), Input::Recorded(Recorded::Begun { batch, result: Err(why) }))
                if batch == a.batch =>
            {
                self.pipeline.ended(batch);
                self.refuse(a, why)
            }
            (State::Running(a, running), Input::Camera(Report { run, event })) => {
                self.seen(a, running, run, event)
            }
            (State::Running(a, mut running), Input::Alarm(ticket)) if running.wake == Some(ticket) => {
                running.wake = None;
                self.feed(a, running, sequence::Input::Woken)
            }
            (State::Running(a, running), Input::Alarm(ticket)) if self.is_of_pulse(ticket) => {
                self.pulse_rang(a, running)
            }
            (state, Input::Alarm(ticket)) if self.disk == Some(ticket) => self.disk_is_silent(state),
            (state, Input::Encoded(encoded)) => {
                if let Ok(picture) = &encoded.result {
                    self.weigh(picture.jpeg.len());
                }
                self.pipeline.encoded(encoded);
                state
            }
            (state, Input::Recorded(recorded)) => self.recorded(state, recorded),
            (State::Running(a, running), Input::Studied(studied)) => {
                self.feed(a, running, sequence::Input::Studied(studied))
            }
            // Of an acquisition that was ended meanwhile.
            (state, Input::Studied(_)) => state,

            (state, Input::Fix(fix)) => {
                // A receiver that has lost its fix says no place: the last one that it knew stays, and grows old.
                if fix.place.is_some() {
                    self.fix = Some(fix);
                }
                state
            }
            (state, Input::Anchor(anchor)) => {
                self.anchor = Some(anchor);
                state
            }
            (state, Input::Stepped(step)) => {
                self.steps += 1;
                self.pipeline.note(Note::ClockStep(step));
                state
            }
            (state, Input::Alarm(ticket)) => {
                self.alarm(ticket);
                state
            }
            // Of a camera that this state does not wait for: a frame that came too late, a stream that was closed.
            (
                state @ (State::Idle
                | State::Opening(..)
                | State::Creating(..)
                | State::Ready(..)
                | State::Closing(..)),
                Input::Camera(_),
            ) => state,
        };
        self.watch_disk(wrote);
        self.begin_when_quiet();
        self.answer_interrupted();
        self.tell_progress();
        self.end_when_quiet();
    }

    fn command(&mut self, state: State, Admitted { id, epochs, owner, arrived, command }: Admitted) -> State {
        if let Some(why) = self.denial(owner.as_ref(), &command) {
            self.tell(Some(id), Event::Denied(why));
            return state;
        }
        match command {
            Command::Pump(motion::Command::Move(order)) => {
                self.order_pump(&state, Caller { id, arrived }, epochs, pump::Stroke::Usual(order));
                state
            }
            Command::Trial(trial) => {
                self.order_pump(&state, Caller { id, arrived }, epochs, pump::Stroke::Trial(trial));
                state
            }
            Command::Focus(motion::Command::Move(order)) => {
                let (busy, acquiring) = (focus::Refusal::Busy, focus::Refusal::Acquiring);
                match self.free_for(&state, Axis::Focus, self.focus.moving(), busy, acquiring) {
                    Ok(()) => {
                        let run = self.new_run();
                        self.focus.order(run, epochs, order, Who::Client(Caller { id, arrived }));
                    }
                    Err(event) => self.tell(Some(id), Event::Focus(event)),
                }
                state
            }
            Command::Calibration(order) => {
                self.calibrate(&state, id, order);
                state
            }
            Command::Light(command) => {
                self.order_light(Some(id), command);
                state
            }
            Command::Bubbler(command) => {
                self.order_bubbler(Some(id), command);
                state
            }
            Command::Display(command) => {
                self.order_display(Some(id), command);
                state
            }
            Command::OperatingTime(command) => {
                self.operating_time(id, command);
                state
            }
            Command::Lease(command) => {
                self.order_lease(id, owner, command);
                state
            }
            Command::Preview(command) => {
                self.order_preview(id, command);
                state
            }
            Command::Survey => {
                self.tell(Some(id), Event::Survey(self.survey()));
                state
            }
            Command::Library(command) => self.library(state, id, epochs, command),
            Command::Acquisition(command) => self.order_acquisition(state, id, epochs, command),
            Command::Pump(motion::Command::Stop)
            | Command::Focus(motion::Command::Stop)
            | Command::Shutdown => unreachable!("the intake delivers stops as stops"),
        }
    }

    fn order_pump(&mut self, state: &State, by: Caller, epochs: Epochs, order: pump::Stroke) {
        let (busy, acquiring) = (pump::Refusal::Busy, pump::Refusal::Acquiring);
        match self.free_for(state, Axis::Pump, self.pump.moving(), busy, acquiring) {
            Ok(()) => {
                let run = self.new_run();
                self.pump.order(run, epochs, order, Who::Client(by));
            }
            Err(event) => self.tell(Some(by.id), Event::Pump(event)),
        }
    }

    fn order_acquisition(
        &mut self,
        state: State,
        id: CommandId,
        epochs: Epochs,
        command: acquisition::Command,
    ) -> State {
        let event = match command {
            acquisition::Command::Acquire(plan) => return self.acquire(state, id, epochs, plan),
            acquisition::Command::Continue(order) => return self.go_on(state, id, epochs, order),
            acquisition::Command::Capture(formats) => return self.capture(state, id, epochs, formats),
            acquisition::Command::Pause => return self.hold(state, id, true),
            acquisition::Command::Resume => return self.hold(state, id, false),
            acquisition::Command::Configure(metadata) => match self.refusal(&state) {
                Some(why) => acquisition::Event::Refused(why),
                None => {
                    self.metadata = Some(metadata);
                    acquisition::Event::Configured
                }
            },
            acquisition::Command::Set(settings) => match self.refusal(&state) {
                Some(why) => acquisition::Event::Refused(why),
                None => {
                    self.settings = settings.over(self.settings);
                    self.set_camera();
                    acquisition::Event::Set
                }
            },
            acquisition::Command::Stop => unreachable!("the intake delivers stops as stops"),
        };
        self.tell(Some(id), Event::Acquisition(event));
        state
    }

    /// As the user has them, but for what strobed frames need.
    fn camera_settings(&self) -> camera::Settings {
        let exposure = self.strobing.as_ref().map(|strobing| strobing.exposure);
        camera::Settings { exposure: exposure.or(self.settings.exposure), ..self.settings }
    }

    /// A camera that is away gets them when it comes back.
    fn set_camera(&mut self) {
        let (run, command) = (self.new_run(), camera::Command::Set(self.camera_settings()));
        self.camera.send(Order { run, epochs: Epochs::default(), command });
    }

    fn order_lease(&mut self, id: CommandId, owner: Option<Arc<str>>, command: lease_of::Command) {
        let now = self.bell.now();
        let event = match command {
            lease_of::Command::Take { lasts, take_over } => {
                self.lease.take(owner, take_over, lasts, &self.bell)
            }
            lease_of::Command::Release => self.lease.release(owner.as_ref(), now),
            lease_of::Command::Report => self.lease.report(now),
        };
        self.tell(Some(id), Event::Lease(event));
    }

    /// What keeps a command from being looked at.
    fn denial(&self, owner: Option<&Arc<str>>, command: &Command) -> Option<Denial> {
        if !command.operates() {
            return None;
        }
        if self.shutdown.is_some() {
            return Some(Denial::ShuttingDown);
        }
        self.lease.denies(owner, self.bell.now()).map(Denial::Lease)
    }

    /// Whether a motor may be moved from outside; if not, what to answer.
    fn free_for<R>(
        &self,
        state: &State,
        axis: Axis,
        moving: Option<Who>,
        busy: R,
        acquiring: R,
    ) -> Result<(), motion::Event<R>> {
        if state.acquisition().is_some() {
            return Err(motion::Event::Refused(acquiring));
        }
        if moving.is_some() {
            return Err(motion::Event::Refused(busy));
        }
        self.fault(device(axis)).map_or(Ok(()), |fault| Err(motion::Event::Failed(fault)))
    }

    /// What keeps the imager from taking a command.
    fn refusal(&self, state: &State) -> Option<Refusal> {
        match state {
            State::Idle => None,
            State::Capturing(..) => Some(Refusal::Capturing),
            State::Opening(..)
            | State::Creating(..)
            | State::Ready(..)
            | State::Running(..)
            | State::Closing(..) => Some(Refusal::Acquiring),
        }
    }

    /// Frames differ, the last ones most of all from the first ones: the mean follows them slowly.
    fn weigh(&mut self, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let mean = self.frame_bytes.map_or(bytes, |mean| (mean * 7 + bytes) / 8);
        self.frame_bytes = Some(mean);
    }

    /// Where the acquisition is, for those who look; told when that changes.
    fn tell_progress(&mut self) {
        let now = self.state.progress();
        if self.told != Some(now) {
            self.told = Some(now);
            let (progress, current, total) = now;
            self.tell(None, Event::Acquisition(acquisition::Event::Progress { progress, current, total }));
        }
    }

    fn new_run(&mut self) -> Run {
        self.run = Run(self.run.0 + 1);
        self.run
    }

    fn tell(&self, id: Option<CommandId>, event: Event) {
        self.answer(Answer { id, stopped_by: None, at: self.bell.now(), event });
    }

    fn tell_both(&self, answered: Answered, event: Event) {
        let id = |caller: Option<Caller>| caller.map(|caller| caller.id);
        let (id, stopped_by) = (id(answered.who.and_then(Who::caller)), id(answered.stopped_by));
        self.answer(Answer { id, stopped_by, at: self.bell.now(), event });
    }

    fn answer(&self, answer: Answer) {
        self.journal.note(answer.at, Kind::Said, &answer);
        self.outlet.tell(answer);
    }
}

impl State {
    fn acquisition(&self) -> Option<&Acquisition> {
        match self {
            Self::Idle => None,
            Self::Opening(a, ..)
            | Self::Creating(a)
            | Self::Ready(a, ..)
            | Self::Running(a, _)
            | Self::Closing(a, _)
            | Self::Capturing(a, _) => Some(a),
        }
    }

    fn progress(&self) -> (Progress, u32, u32) {
        match self {
            Self::Idle | Self::Capturing(..) => (Progress::Idle, 0, 0),
            Self::Opening(a, ..) | Self::Creating(a) | Self::Ready(a, ..) => (Progress::Starting, 0, a.total),
            Self::Running(a, running) => {
                let progress = match running.sequence.hold() {
                    Hold::No if running.sequence.is_learning() => Progress::Learning,
                    Hold::No => Progress::Acquiring,
                    Hold::Soon => Progress::Pausing,
                    Hold::Now => Progress::Paused,
                };
                (progress, running.saved, a.total)
            }
            Self::Closing(a, _) => (Progress::Closing, a.total, a.total),
        }
    }
}

fn device(axis: Axis) -> Device {
    match axis {
        Axis::Pump => Device::Pump,
        Axis::Focus => Device::Focus,
    }
}

impl Drop for Supervisor {
    /// Whatever ended it: nobody is left who could stop a motor.
    fn drop(&mut self) {
        self.all_off();
    }
}

impl Actor for Supervisor {
    type Context = Context<Self>;
}

impl<T: Into<Input> + 'static> Handler<Mail<T>> for Supervisor {
    type Result = ();

    fn handle(&mut self, Mail(value): Mail<T>, _: &mut Context<Self>) {
        let input = value.into();
        let begun = self.timers.begin(input.name());
        self.on(input);
        self.timers.end(begun);
    }
}
