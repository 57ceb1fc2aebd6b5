//! Carries out acquisitions and keeps the instrument safe and alive. Never waits for those it supervises.
//!
//! ```text
//!   Idle ──Acquire──> Opening ──camera streams──> Creating ──data set exists──> Ready ──motors rest──> Running
//!     ^                  └──────────────────────────────┴───────────────────────┴─────────────────────────┤
//!     ├───────────────────────────── Stop, device lost, disk fails ───────────────────────────────────────┤
//!     └──────────────────────────────── Closing <──plan over──────────────────────────────────────────────┘
//! ```
//!
//! A stop is answered when it has been sent to the motors. A device that is lost is made safe first, then opened again
//! within limits, then given up aloud. It touches no bus, no disk and no network, and never sees the Board.

mod acquiring;
mod care;
mod ledger;
mod safety;

use crate::alarm::{Alarms, Bell, Ticket};
use crate::host::{Noted, Reopen};
use crate::intake::Stop;
use crate::journal::{Journal, Kind};
use crate::outlet::Outlet;
use crate::port::{Mail, Port};
use crate::recording::{Encoded, Pipeline, Recorded};
use crate::sequence::{self, Sequence};
use actix::{Actor, AsyncContext, Context, Handler, Recipient};
use care::Care;
use ledger::{Answered, Ledger, Who};
use planktor_drivers::board::Enable;
use planktor_drivers::calibration::Calibration;
use planktor_drivers::devices::focus::Height;
use planktor_protocol::acquisition::{self, Failure, Metadata, Refusal};
use planktor_protocol::instrument::{Admitted, Answer, Command, CommandId, Device, Event};
use planktor_protocol::plan::Plan;
use planktor_protocol::position::Fix;
use planktor_protocol::timekeeping::Anchor;
use planktor_protocol::units::Fraction;
use planktor_protocol::{Axis, Epochs, Fault, Order, Report, Run, Utc, camera, focus, light, motion, pump};
use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::Arc;

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
    /// From the camera.
    Camera(Report<camera::Event>),
    /// From an encoder.
    Encoded(Encoded),
    /// From the recorder.
    Recorded(Recorded),
    /// From a host.
    Noted(Noted),
    /// From the receiver.
    Fix(Fix),
    /// From the timekeeper.
    Anchor(Anchor),
}

macro_rules! inputs {
    ($($from:ty => $variant:ident),* $(,)?) => {
        $(impl From<$from> for Input {
            fn from(value: $from) -> Self {
                Self::$variant(value)
            }
        })*
    };
}
inputs! {
    Admitted => Command, Stop => Stop, Ticket => Alarm, Report<pump::Event> => Pump, Report<focus::Event> => Focus,
    Report<light::Event> => Light, Report<camera::Event> => Camera, Encoded => Encoded, Recorded => Recorded,
    Noted => Noted, Fix => Fix, Anchor => Anchor,
}

/// What it is wired to.
pub struct Parts {
    /// The pump's actor.
    pub pump: Port<Order<pump::Command>>,
    /// The pump's enable line.
    pub pump_enable: Enable,
    /// The stage's actor.
    pub focus: Port<Order<focus::Command>>,
    /// The stage's enable line.
    pub focus_enable: Enable,
    /// Where the stage is.
    pub height: Height,
    /// The lamp's actor.
    pub light: Port<Order<light::Command>>,
    /// The camera's actor.
    pub camera: Port<Order<camera::Command>>,
    /// Who opens a device again.
    pub reopen: BTreeMap<Device, Recipient<Reopen>>,
    /// Encoders and recorder.
    pub pipeline: Pipeline,
    /// The instrument's constants.
    pub calibration: Calibration,
    /// The earliest time that it can be.
    pub not_before: Utc,
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

/// What only a running one has.
struct Running {
    sequence: Sequence,
    folder: Arc<Path>,
    wake: Option<Ticket>,
    saved: u32,
}

enum State {
    Idle,
    Opening(Acquisition, Plan, Arc<Metadata>),
    Creating(Acquisition, Plan),
    Ready(Acquisition, Plan, Arc<Path>),
    Running(Acquisition, Box<Running>),
    Closing(Acquisition, Arc<Path>),
}

/// The end of the program, under way.
struct Shutdown {
    id: CommandId,
    deadline: Ticket,
    ended: bool,
}

/// An order to the lamp, under way.
struct LightOrder {
    run: Run,
    id: Option<CommandId>,
    deadline: Ticket,
}

/// The actor.
pub struct Supervisor {
    bell: Bell,
    state: State,
    pump: Ledger<pump::Move>,
    pump_enable: Enable,
    focus: Ledger<focus::Move>,
    focus_enable: Enable,
    height: Height,
    light: Port<Order<light::Command>>,
    light_orders: VecDeque<LightOrder>,
    level: Option<Fraction>,
    camera: Port<Order<camera::Command>>,
    care: BTreeMap<Device, Care>,
    reopen: BTreeMap<Device, Recipient<Reopen>>,
    pipeline: Pipeline,
    /// Rings when encoders and recorder have owed an answer for too long.
    disk: Option<Ticket>,
    calibration: Calibration,
    not_before: Utc,
    outlet: Outlet,
    journal: Journal,
    /// Ends that are answered when the stop has been sent to the motors: the acquisition's name and the stop's.
    interrupted: Vec<(Option<CommandId>, Option<CommandId>)>,
    /// As of the latest stop that was served.
    stopped: Epochs,
    metadata: Option<Arc<Metadata>>,
    fix: Option<Fix>,
    anchor: Option<Anchor>,
    shutdown: Option<Shutdown>,
    run: Run,
}

impl Supervisor {
    /// Called on the hardware thread's arbiter.
    pub fn new(ctx: &mut Context<Self>, parts: Parts) -> Self {
        let devices = [Device::Pump, Device::Focus, Device::Light, Device::Camera];
        Self {
            bell: Alarms::here().bell(Port::of(&ctx.address())),
            state: State::Idle,
            pump: Ledger::new(parts.pump),
            pump_enable: parts.pump_enable,
            focus: Ledger::new(parts.focus),
            focus_enable: parts.focus_enable,
            height: parts.height,
            light: parts.light,
            light_orders: VecDeque::new(),
            level: None,
            camera: parts.camera,
            care: devices.map(|device| (device, Care::new())).into(),
            reopen: parts.reopen,
            pipeline: parts.pipeline,
            disk: None,
            calibration: parts.calibration,
            not_before: parts.not_before,
            outlet: parts.outlet,
            journal: parts.journal,
            interrupted: Vec::new(),
            stopped: Epochs::default(),
            metadata: None,
            fix: None,
            anchor: None,
            shutdown: None,
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
                if matches!(event, motion::Event::Done(_)) {
                    self.works(Device::Pump);
                }
                self.tell_both(answered, Event::Pump(event));
                let refused = |why| (why != pump::Refusal::Stopped).then_some(Failure::Pump(why));
                self.moved(state, Axis::Pump, answered, event, refused)
            }
            (state, Input::Focus(Report { run, event })) => {
                let answered = self.focus.answer(run, &event);
                if matches!(event, motion::Event::Done(_)) {
                    self.works(Device::Focus);
                }
                self.tell_both(answered, Event::Focus(event));
                let refused = |why| (why != focus::Refusal::Stopped).then_some(Failure::Focus(why));
                self.moved(state, Axis::Focus, answered, event, refused)
            }
            (state, Input::Light(Report { run, event })) => {
                self.lit(run, event);
                state
            }
            (state, Input::Noted(Noted { device, health })) => self.noted(state, device, health),

            (
                State::Opening(a, plan, metadata),
                Input::Camera(Report { run, event: camera::Event::Opened(mode) }),
            ) if run == a.batch => self.create(a, plan, metadata, mode),
            (State::Creating(a, plan), Input::Recorded(Recorded::Begun { batch, result: Ok(folder) }))
                if batch == a.batch =>
            {
                self.pipeline.begun(batch);
                State::Ready(a, plan, folder)
            }
            (State::Creating(a, _), Input::Recorded(Recorded::Begun { batch, result: Err(why) }))
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
            (state, Input::Alarm(ticket)) if self.disk == Some(ticket) => self.disk_is_silent(state),
            (state, Input::Encoded(encoded)) => {
                self.pipeline.encoded(encoded);
                state
            }
            (state, Input::Recorded(recorded)) => self.recorded(state, recorded),

            (state, Input::Fix(fix)) => {
                self.fix = Some(fix);
                state
            }
            (state, Input::Anchor(anchor)) => {
                self.anchor = Some(anchor);
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
        self.end_when_quiet();
    }

    fn command(&mut self, state: State, Admitted { id, epochs, command }: Admitted) -> State {
        match command {
            Command::Pump(motion::Command::Move(order)) => {
                match self.free_for(&state, Axis::Pump, self.pump.moving(), pump::Refusal::Busy) {
                    Ok(()) => {
                        let run = self.new_run();
                        self.pump.order(run, epochs, order, Who::Client(id));
                    }
                    Err(event) => self.tell(Some(id), Event::Pump(event)),
                }
                state
            }
            Command::Focus(motion::Command::Move(order)) => {
                match self.free_for(&state, Axis::Focus, self.focus.moving(), focus::Refusal::Busy) {
                    Ok(()) => {
                        let run = self.new_run();
                        self.focus.order(run, epochs, order, Who::Client(id));
                    }
                    Err(event) => self.tell(Some(id), Event::Focus(event)),
                }
                state
            }
            Command::Light(_) if self.shutdown.is_some() => {
                self.tell(Some(id), Event::Light(light::Event::Failed(Fault::ShuttingDown)));
                state
            }
            Command::Light(command) => {
                self.order_light(Some(id), command);
                state
            }
            Command::Acquisition(acquisition::Command::Configure(metadata)) => {
                let event = match self.refusal(&state) {
                    Some(why) => acquisition::Event::Refused(why),
                    None => {
                        self.metadata = Some(metadata);
                        acquisition::Event::Configured
                    }
                };
                self.tell(Some(id), Event::Acquisition(event));
                state
            }
            Command::Acquisition(acquisition::Command::Acquire(plan)) => {
                self.acquire(state, id, epochs, plan)
            }
            Command::Pump(motion::Command::Stop)
            | Command::Focus(motion::Command::Stop)
            | Command::Acquisition(acquisition::Command::Stop)
            | Command::Shutdown => unreachable!("the intake delivers stops as stops"),
        }
    }

    /// Whether a motor may be moved from outside; if not, what to answer.
    fn free_for<R>(
        &self,
        state: &State,
        axis: Axis,
        moving: Option<Who>,
        busy: R,
    ) -> Result<(), motion::Event<R>> {
        if state.acquisition().is_some() || moving.is_some() || self.shutdown.is_some() {
            return Err(motion::Event::Refused(busy));
        }
        self.fault(device(axis)).map_or(Ok(()), |fault| Err(motion::Event::Failed(fault)))
    }

    /// What keeps the imager from taking a command.
    fn refusal(&self, state: &State) -> Option<Refusal> {
        if self.shutdown.is_some() {
            return Some(Refusal::ShuttingDown);
        }
        state.acquisition().map(|_| Refusal::Acquiring)
    }

    fn new_run(&mut self) -> Run {
        self.run = Run(self.run.0 + 1);
        self.run
    }

    fn tell(&self, id: Option<CommandId>, event: Event) {
        self.answer(Answer { id, stopped_by: None, at: self.bell.now(), event });
    }

    fn tell_both(&self, answered: Answered, event: Event) {
        let (id, stopped_by) = (answered.who.and_then(Who::id), answered.stopped_by);
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
            | Self::Creating(a, _)
            | Self::Ready(a, ..)
            | Self::Running(a, _)
            | Self::Closing(a, _) => Some(a),
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
        self.on(value.into());
    }
}
