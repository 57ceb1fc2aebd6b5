//! Carries out acquisitions and keeps the instrument safe and alive. Never waits for those it supervises.
//!
//! ```text
//!   Idle ──Acquire──> Opening ──camera streams──> Creating ──data set exists──> Running ──plan over──> Closing ──> Idle
//!                        └─────────────┴───────Stop, device lost, disk fails──────┴──> Idle
//! ```
//!
//! A stop is answered when it has been sent to the motors. A device that is lost is made safe first, then opened again
//! within limits, then given up aloud. It touches no bus, no disk and no network, and never sees the Board.

mod care;
mod ledger;

use crate::alarm::{Alarms, Bell, Ticket};
use crate::host::{Noted, Reopen};
use crate::intake::Stop;
use crate::journal::Journal;
use crate::outlet::Outlet;
use crate::port::{Mail, Port};
use crate::recording::{Begin, Encode, Encoded, Ending, Facts, Pipeline, Recorded};
use crate::sequence::{self, Act, Sequence};
use actix::{Actor, AsyncContext, Context, Handler, Recipient};
use care::Care;
use ledger::{Answered, Ledger, Who};
use planktor_drivers::board::Enable;
use planktor_drivers::calibration::Calibration;
use planktor_drivers::devices::focus::Height;
use planktor_drivers::devices::pump as pump_device;
use planktor_protocol::acquisition::{self, Failure, Metadata, Refusal};
use planktor_protocol::instrument::{Admitted, Answer, Command, CommandId, Device, Event, Health};
use planktor_protocol::plan::Plan;
use planktor_protocol::position::Fix;
use planktor_protocol::timekeeping::{Anchor, NOT_BEFORE, Source};
use planktor_protocol::units::Fraction;
use planktor_protocol::{Axis, Epochs, Fault, Order, Report, Run, camera, focus, light, motion, pump};
use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// A slow bus may hold its caller for a second; after three nobody waits any more.
const LIGHT_DEADLINE: Duration = Duration::from_secs(3);
/// Orders to the lamp that may be under way.
const MOST_LIGHT_ORDERS: usize = 32;
/// Braking takes a second at most, the last frames' way to disk one or two.
const SHUTDOWN_DEADLINE: Duration = Duration::from_secs(5);
/// Names of captures that an acquisition may use up.
const RUNS_A_BATCH: u64 = 1 << 32;

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
    Running(Acquisition, Box<Running>),
    Closing(Acquisition, Arc<Path>),
}

/// The end of the program, under way.
struct Shutdown {
    id: CommandId,
    deadline: Ticket,
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
    calibration: Calibration,
    outlet: Outlet,
    journal: Journal,
    /// Ends that are answered when the stop has been sent to the motors: the acquisition's name and the stop's.
    interrupted: Vec<(Option<CommandId>, Option<CommandId>)>,
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
            calibration: parts.calibration,
            outlet: parts.outlet,
            journal: parts.journal,
            interrupted: Vec::new(),
            metadata: None,
            fix: None,
            anchor: None,
            shutdown: None,
            run: Run(0),
        }
    }

    fn on(&mut self, input: Input) {
        self.journal.note(self.bell.now(), &input);
        let state = std::mem::replace(&mut self.state, State::Idle);
        self.state = match (state, input) {
            (state, Input::Command(admitted)) => self.command(state, admitted),
            (state, Input::Stop(Stop(admitted))) => self.stop(state, &admitted),

            (state, Input::Pump(Report { run, event })) => {
                let answered = self.pump.answer(run, &event);
                self.tell_both(answered, Event::Pump(event));
                let refused = |why| (why != pump::Refusal::Stopped).then_some(Failure::Pump(why));
                self.moved(state, Axis::Pump, answered, event, refused)
            }
            (state, Input::Focus(Report { run, event })) => {
                let answered = self.focus.answer(run, &event);
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
                self.begin(a, plan, folder)
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
                state @ (State::Idle | State::Opening(..) | State::Creating(..) | State::Closing(..)),
                Input::Camera(_),
            ) => state,
        };
        self.answer_interrupted();
        self.end_when_quiet();
    }

    // ---- commands

    fn command(&mut self, state: State, Admitted { id, epochs, command }: Admitted) -> State {
        match command {
            Command::Pump(motion::Command::Move(order)) => {
                match self.free_for(&state, Axis::Pump, self.pump.moving()) {
                    Ok(()) => {
                        let run = self.new_run();
                        self.pump.order(run, epochs, order, Who::Client(id));
                    }
                    Err(Held::Busy) => {
                        self.tell(Some(id), Event::Pump(motion::Event::Refused(pump::Refusal::Busy)));
                    }
                    Err(Held::Lost(fault)) => self.tell(Some(id), Event::Pump(motion::Event::Failed(fault))),
                }
                state
            }
            Command::Focus(motion::Command::Move(order)) => {
                match self.free_for(&state, Axis::Focus, self.focus.moving()) {
                    Ok(()) => {
                        let run = self.new_run();
                        self.focus.order(run, epochs, order, Who::Client(id));
                    }
                    Err(Held::Busy) => {
                        self.tell(Some(id), Event::Focus(motion::Event::Refused(focus::Refusal::Busy)));
                    }
                    Err(Held::Lost(fault)) => self.tell(Some(id), Event::Focus(motion::Event::Failed(fault))),
                }
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

    /// Whether a motor may be moved from outside.
    fn free_for(&self, state: &State, axis: Axis, moving: Option<Who>) -> Result<(), Held> {
        if state.acquisition().is_some() || moving.is_some() || self.shutdown.is_some() {
            return Err(Held::Busy);
        }
        self.fault(device(axis)).map_or(Ok(()), |fault| Err(Held::Lost(fault)))
    }

    /// What keeps the imager from taking a command.
    fn refusal(&self, state: &State) -> Option<Refusal> {
        if self.shutdown.is_some() {
            return Some(Refusal::ShuttingDown);
        }
        state.acquisition().map(|_| Refusal::Acquiring)
    }

    fn acquire(&mut self, state: State, id: CommandId, epochs: Epochs, plan: Plan) -> State {
        let metadata = match self.may_acquire(&state, &plan) {
            Ok(metadata) => metadata,
            Err(why) => {
                self.tell(Some(id), Event::Acquisition(acquisition::Event::Refused(why)));
                return state;
            }
        };
        let batch = self.new_run();
        self.run = Run(batch.0 + RUNS_A_BATCH);
        self.camera.send(Order { run: batch, epochs, command: camera::Command::Open });
        // The timekeeper speaks at its start; should it be dead, the time is as unknown as it can be.
        let unset = Anchor { instant: self.bell.now(), utc: NOT_BEFORE, source: Source::Unset };
        let anchor = self.anchor.unwrap_or(unset);
        State::Opening(Acquisition { id, epochs, batch, anchor, total: plan.frames() }, plan, metadata)
    }

    fn may_acquire(&self, state: &State, plan: &Plan) -> Result<Arc<Metadata>, Refusal> {
        if let Some(why) = self.refusal(state) {
            return Err(why);
        }
        let metadata = self.metadata.clone().ok_or(Refusal::NotConfigured)?;
        for (axis, moving) in [(Axis::Pump, self.pump.moving()), (Axis::Focus, self.focus.moving())] {
            if moving.is_some() {
                return Err(Refusal::Moving(axis));
            }
        }
        if let Some(fault) = self.fault(Device::Camera) {
            return Err(Refusal::NoCamera(fault));
        }
        if let Some(fault) = self.fault(Device::Pump) {
            return Err(Refusal::NoMotor(Axis::Pump, fault));
        }
        for stroke in plan.strokes() {
            pump_device::check(&self.calibration, stroke)?;
        }
        Ok(metadata)
    }

    // ---- an acquisition

    fn create(&mut self, a: Acquisition, plan: Plan, metadata: Arc<Metadata>, mode: camera::Mode) -> State {
        let Acquisition { batch, anchor, total, .. } = a;
        self.pipeline.begin(Begin { batch, metadata, anchor, fix: self.fix, mode, total });
        State::Creating(a, plan)
    }

    fn begin(&mut self, a: Acquisition, plan: Plan, folder: Arc<Path>) -> State {
        self.tell(Some(a.id), Event::Acquisition(acquisition::Event::Started));
        let sequence = Sequence::begin(plan, Run(a.batch.0 + 1), self.bell.now());
        self.act(a, Box::new(Running { sequence, folder, wake: None, saved: 0 }))
    }

    fn feed(&mut self, a: Acquisition, mut running: Box<Running>, input: sequence::Input) -> State {
        running.sequence.on(self.bell.now(), input);
        self.act(a, running)
    }

    /// Does what the sequence asks.
    fn act(&mut self, a: Acquisition, mut running: Box<Running>) -> State {
        while let Some(act) = running.sequence.act() {
            match act {
                Act::Pump(order) => {
                    if let Some(fault) = self.fault(Device::Pump) {
                        return self.fail(a, Failure::Motor(Axis::Pump, fault));
                    }
                    let run = self.new_run();
                    self.pump.order(run, a.epochs, order, Who::Acquisition);
                }
                Act::Focus(order) => {
                    if let Some(fault) = self.fault(Device::Focus) {
                        return self.fail(a, Failure::Motor(Axis::Focus, fault));
                    }
                    let run = self.new_run();
                    self.focus.order(run, a.epochs, order, Who::Acquisition);
                }
                Act::Wake(then) => running.wake = Some(self.bell.at(then)),
                Act::Capture { run, not_before } => {
                    if let Some(cause) = self.fault(Device::Camera) {
                        let (image, total) = (running.saved + 1, a.total);
                        return self.fail(a, Failure::Camera { image, total, cause });
                    }
                    let command = camera::Command::Capture { not_before };
                    self.camera.send(Order { run, epochs: a.epochs, command });
                }
                Act::Keep(shot, frame, facts) => {
                    let name = format!("{}.jpg", a.anchor.utc_at(frame.interval.from).file_stem());
                    self.pipeline.keep(Encode { batch: a.batch, shot, name, frame, facts: *facts });
                }
                Act::Over(Ok(())) => {
                    self.close_camera(&a);
                    self.pipeline.end(a.batch, Ending::Complete);
                    return State::Closing(a, running.folder);
                }
                Act::Over(Err(failure)) => return self.fail(a, failure),
            }
        }
        State::Running(a, running)
    }

    fn moved<R>(
        &mut self,
        state: State,
        axis: Axis,
        answered: Answered,
        event: motion::Event<R>,
        refused: impl FnOnce(R) -> Option<Failure>,
    ) -> State {
        let (a, running) = match (state, answered.who) {
            (State::Running(a, running), Some(Who::Acquisition)) => (a, running),
            (state, _) => return state,
        };
        match event {
            motion::Event::Done(end) => self.feed(a, running, sequence::Input::Moved(end)),
            motion::Event::Failed(fault) => self.fail(a, Failure::Motor(axis, fault)),
            motion::Event::Refused(why) => match refused(why) {
                Some(failure) => self.fail(a, failure),
                // The stop that refused it is on its way here.
                None => State::Running(a, running),
            },
            motion::Event::Started { .. } | motion::Event::Interrupted | motion::Event::Released => {
                State::Running(a, running)
            }
        }
    }

    fn seen(&mut self, a: Acquisition, running: Box<Running>, run: Run, event: camera::Event) -> State {
        match event {
            camera::Event::Exposing { interval } => {
                let facts = Box::new(self.facts(&running.sequence));
                self.feed(a, running, sequence::Input::Exposing(interval, facts))
            }
            camera::Event::Frame(frame) => {
                self.works(Device::Camera);
                self.feed(a, running, sequence::Input::Frame(run, frame))
            }
            camera::Event::Missed => self.feed(a, running, sequence::Input::Missed(run)),
            camera::Event::Failed(cause) => {
                let (image, total) = (running.saved + 1, a.total);
                self.fail(a, Failure::Camera { image, total, cause })
            }
            camera::Event::Opened(_) | camera::Event::Closed => State::Running(a, running),
        }
    }

    fn facts(&self, sequence: &Sequence) -> Facts {
        let sequence::Stillness { motion, settled, pumped } = sequence.still();
        Facts {
            motion,
            settled,
            pumped,
            height: self.height.micrometres(&self.calibration),
            height_uncertain: self.height.is_uncertain(),
            light: self.level,
            fix: self.fix,
            time: self.anchor,
        }
    }

    fn recorded(&mut self, state: State, recorded: Recorded) -> State {
        match (state, recorded) {
            (State::Running(a, mut running), Recorded::Saved { batch, shot, result: Ok(path) })
                if batch == a.batch =>
            {
                self.pipeline.saved(batch);
                running.saved += 1;
                let (current, total) = (running.saved, a.total);
                self.tell(Some(a.id), Event::Acquisition(acquisition::Event::Saved { path, current, total }));
                self.feed(a, running, sequence::Input::Saved(shot))
            }
            (State::Running(a, _), Recorded::Saved { batch, result: Err(why), .. }) if batch == a.batch => {
                self.pipeline.saved(batch);
                self.fail(a, Failure::Disk(why))
            }
            (State::Closing(a, path), Recorded::Ended { batch, result }) if batch == a.batch => {
                self.pipeline.ended(batch);
                let event = match result {
                    Ok(()) => acquisition::Event::Done { path },
                    Err(why) => acquisition::Event::Failed(Failure::Disk(why)),
                };
                self.tell(Some(a.id), Event::Acquisition(event));
                State::Idle
            }
            // Of an acquisition that was ended already: its last frames and its end.
            (state, Recorded::Saved { batch, .. }) => {
                self.pipeline.saved(batch);
                state
            }
            (state, Recorded::Ended { batch, .. }) => {
                self.pipeline.ended(batch);
                state
            }
            (state, Recorded::Begun { .. }) => state,
        }
    }

    fn refuse(&mut self, a: Acquisition, why: Refusal) -> State {
        self.close_camera(&a);
        self.tell(Some(a.id), Event::Acquisition(acquisition::Event::Refused(why)));
        State::Idle
    }

    /// What was taken is kept; motors that the acquisition moves are stopped.
    fn fail(&mut self, a: Acquisition, failure: Failure) -> State {
        self.let_go(&a, Ending::Failed(failure.to_string()), None);
        self.tell(Some(a.id), Event::Acquisition(acquisition::Event::Failed(failure)));
        State::Idle
    }

    fn let_go(&mut self, a: &Acquisition, ending: Ending, stopped: Option<Axis>) {
        self.close_camera(a);
        self.pipeline.end(a.batch, ending);
        if self.pump.moving() == Some(Who::Acquisition) && stopped != Some(Axis::Pump) {
            self.stop_motor(Axis::Pump, a.epochs, None);
        }
        if self.focus.moving() == Some(Who::Acquisition) && stopped != Some(Axis::Focus) {
            self.stop_motor(Axis::Focus, a.epochs, None);
        }
    }

    fn close_camera(&mut self, a: &Acquisition) {
        self.camera.send(Order { run: a.batch, epochs: a.epochs, command: camera::Command::Close });
    }

    // ---- stop, and the end

    fn stop(&mut self, state: State, Admitted { id, epochs, command }: &Admitted) -> State {
        let (id, epochs) = (*id, *epochs);
        let axis = match command {
            Command::Pump(_) => Some(Axis::Pump),
            Command::Focus(_) => Some(Axis::Focus),
            Command::Light(_) | Command::Acquisition(_) | Command::Shutdown => None,
        };
        // Of a later command it is the stop before it.
        let earlier = |a: &Acquisition| a.epochs.pump < epochs.pump || a.epochs.focus < epochs.focus;
        let (state, ended) = match state.acquisition() {
            Some(a) if earlier(a) => {
                self.let_go(a, Ending::Stopped, Some(axis.unwrap_or(Axis::Pump)));
                (State::Idle, Some(a.id))
            }
            _ => (state, None),
        };
        match command {
            Command::Pump(_) => self.stop_motor(Axis::Pump, epochs, Some(id)),
            Command::Focus(_) => self.stop_motor(Axis::Focus, epochs, Some(id)),
            Command::Light(_) | Command::Acquisition(_) => self.stop_motor(Axis::Pump, epochs, None),
            Command::Shutdown => self.shut_down(id, epochs),
        }
        let by = (axis.is_none() && !matches!(command, Command::Shutdown)).then_some(id);
        if ended.is_some() || by.is_some() {
            self.interrupted.push((ended, by));
        }
        state
    }

    /// Answered by the motor; where that is lost its enable line is off, and nothing moves.
    fn stop_motor(&mut self, axis: Axis, epochs: Epochs, by: Option<CommandId>) {
        let run = self.new_run();
        if self.fault(device(axis)).is_some() {
            self.enable(axis).off();
            let answered = Answered { who: None, stopped_by: by };
            return self.tell_both(answered, interrupted(axis));
        }
        match axis {
            Axis::Pump => self.pump.stop(run, epochs, by),
            Axis::Focus => self.focus.stop(run, epochs, by),
        }
    }

    /// An acquisition's end by a stop is told when the stop has been sent to the motors.
    fn answer_interrupted(&mut self) {
        if self.pump.stops_are_sent() && self.focus.stops_are_sent() {
            for (id, stopped_by) in std::mem::take(&mut self.interrupted) {
                let event = Event::Acquisition(acquisition::Event::Interrupted);
                self.answer(Answer { id, stopped_by, at: self.bell.now(), event });
            }
        }
    }

    fn shut_down(&mut self, id: CommandId, epochs: Epochs) {
        self.stop_motor(Axis::Pump, epochs, None);
        self.stop_motor(Axis::Focus, epochs, None);
        self.order_light(None, light::Command::Set(Fraction::ZERO));
        let deadline = self.bell.at(self.bell.now() + SHUTDOWN_DEADLINE);
        self.shutdown.get_or_insert(Shutdown { id, deadline });
    }

    fn end_when_quiet(&mut self) {
        let motors = self.pump.rests() && self.focus.rests();
        if self.shutdown.is_some() && motors && self.light_orders.is_empty() && !self.pipeline.is_busy() {
            self.end();
        }
    }

    fn end(&mut self) {
        self.all_off();
        if let Some(Shutdown { id, .. }) = self.shutdown.take() {
            self.tell(Some(id), Event::Ended);
        }
    }

    fn all_off(&self) {
        self.pump_enable.off();
        self.focus_enable.off();
    }

    // ---- devices

    fn noted(&mut self, state: State, device: Device, health: Health) -> State {
        let Health::Lost(fault) = health else {
            self.care_of(device).present();
            self.tell(None, Event::Health(device, health));
            return state;
        };
        let was = self.fault(device);
        let (health, again) = self.care_of(device).lost(fault);
        if let Some(after) = again {
            let ticket = self.bell.at(self.bell.now() + after);
            self.care_of(device).reopen_at(ticket);
        }
        if was != Some(fault) || matches!(health, Health::GivenUp(_)) {
            self.tell(None, Event::Health(device, health));
        }
        self.made_safe(state, device, fault)
    }

    /// Safe first; then everything that it was asked is answered by its loss.
    fn made_safe(&mut self, state: State, device: Device, fault: Fault) -> State {
        match device {
            Device::Pump => {
                self.pump_enable.off();
                let lost = self.pump.lost();
                self.motor_lost(state, Axis::Pump, fault, &lost)
            }
            Device::Focus => {
                self.focus_enable.off();
                let lost = self.focus.lost();
                self.motor_lost(state, Axis::Focus, fault, &lost)
            }
            Device::Light => {
                self.level = None;
                for LightOrder { id, .. } in std::mem::take(&mut self.light_orders) {
                    self.tell(id, Event::Light(light::Event::Failed(fault)));
                }
                state
            }
            Device::Camera => match state {
                State::Opening(a, ..) => self.refuse(a, Refusal::NoCamera(fault)),
                State::Running(a, running) => {
                    let (image, total) = (running.saved + 1, a.total);
                    self.fail(a, Failure::Camera { image, total, cause: fault })
                }
                state @ (State::Idle | State::Creating(..) | State::Closing(..)) => state,
            },
        }
    }

    fn motor_lost(&mut self, state: State, axis: Axis, fault: Fault, lost: &[Answered]) -> State {
        for answered in lost {
            let event = match (answered.who, axis) {
                (None, axis) => interrupted(axis),
                (Some(_), Axis::Pump) => Event::Pump(motion::Event::Failed(fault)),
                (Some(_), Axis::Focus) => Event::Focus(motion::Event::Failed(fault)),
            };
            self.tell_both(*answered, event);
        }
        match state {
            State::Running(a, _) if lost.iter().any(|l| l.who == Some(Who::Acquisition)) => {
                self.fail(a, Failure::Motor(axis, fault))
            }
            state => state,
        }
    }

    fn order_light(&mut self, id: Option<CommandId>, command: light::Command) {
        let fault = self.fault(Device::Light);
        let fault = fault.or((self.light_orders.len() >= MOST_LIGHT_ORDERS).then_some(Fault::NoAnswer));
        if let Some(fault) = fault {
            return self.tell(id, Event::Light(light::Event::Failed(fault)));
        }
        let run = self.new_run();
        let deadline = self.bell.at(self.bell.now() + LIGHT_DEADLINE);
        self.light_orders.push_back(LightOrder { run, id, deadline });
        self.light.send(Order { run, epochs: Epochs::default(), command });
    }

    fn lit(&mut self, run: Run, event: light::Event) {
        match event {
            light::Event::Level(level) => {
                self.level = Some(level);
                self.works(Device::Light);
            }
            light::Event::Failed(_) => self.level = None,
        }
        let order = self.light_orders.iter().position(|order| order.run == run);
        let order = order.and_then(|i| self.light_orders.remove(i));
        self.tell(order.and_then(|order| order.id), Event::Light(event));
    }

    fn alarm(&mut self, ticket: Ticket) {
        if let Some(i) = self.light_orders.iter().position(|order| order.deadline == ticket) {
            self.level = None;
            let id = self.light_orders.remove(i).and_then(|order| order.id);
            return self.tell(id, Event::Light(light::Event::Failed(Fault::NoAnswer)));
        }
        if self.shutdown.as_ref().is_some_and(|shutdown| shutdown.deadline == ticket) {
            return self.end();
        }
        let rung = self.care.iter_mut().find_map(|(device, care)| care.rung(ticket).then_some(*device));
        if let Some(host) = rung.and_then(|device| self.reopen.get(&device)) {
            host.do_send(Reopen);
        }
    }

    fn care_of(&mut self, device: Device) -> &mut Care {
        self.care.get_mut(&device).expect("there is a care for every device")
    }

    fn works(&mut self, device: Device) {
        self.care_of(device).works();
    }

    fn fault(&self, device: Device) -> Option<Fault> {
        self.care.get(&device).and_then(Care::fault)
    }

    fn enable(&self, axis: Axis) -> &Enable {
        match axis {
            Axis::Pump => &self.pump_enable,
            Axis::Focus => &self.focus_enable,
        }
    }

    // ---- answers

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
        self.journal.note(answer.at, &answer);
        self.outlet.tell(answer);
    }
}

/// Why a motor cannot be moved from outside.
enum Held {
    Busy,
    Lost(Fault),
}

impl State {
    fn acquisition(&self) -> Option<&Acquisition> {
        match self {
            Self::Idle => None,
            Self::Opening(a, ..) | Self::Creating(a, _) | Self::Running(a, _) | Self::Closing(a, _) => {
                Some(a)
            }
        }
    }
}

fn device(axis: Axis) -> Device {
    match axis {
        Axis::Pump => Device::Pump,
        Axis::Focus => Device::Focus,
    }
}

fn interrupted(axis: Axis) -> Event {
    match axis {
        Axis::Pump => Event::Pump(motion::Event::Interrupted),
        Axis::Focus => Event::Focus(motion::Event::Interrupted),
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
