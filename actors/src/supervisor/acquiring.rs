//! An acquisition from its command to its end: camera, data set, sequence, frames.

use super::phase::Phase;
use super::timed::Watched;
use super::{Acquisition, Answered, Running, State, Supervisor, What, Who};
use crate::recording::{Begin, Encode, Ending, Facts, Note, Opened, Recorded, Resume, Saved};
use crate::sequence::{self, Act, Sequence, Stillness};
use crate::settling::Optics;
use planktor_drivers::devices::pump as pump_device;
use planktor_protocol::acquisition::{self, Failure, Formats, Refusal};
use planktor_protocol::instrument::{CommandId, Device, Event};
use planktor_protocol::plan::Plan;
use planktor_protocol::{Axis, Epochs, Fault, Order, Run, camera, motion, pump};
use std::time::Duration;

/// Names of captures that an acquisition may use up.
const RUNS_A_BATCH: u64 = 1 << 32;
/// A memory card that tidies up may take seconds for a sync; a minute without an answer is none that tidies up.
const DISK_PATIENCE: Duration = Duration::from_secs(60);

impl Supervisor {
    pub(super) fn acquire(&mut self, state: State, id: CommandId, epochs: Epochs, plan: Plan) -> State {
        let metadata = || self.metadata.clone().ok_or(Refusal::NotConfigured);
        let may = self.may_acquire(&state, epochs).and_then(|()| metadata());
        let may = may.and_then(|metadata| self.can_do(&plan).map(|()| metadata));
        match may {
            Ok(metadata) => {
                self.begin_strobe(&plan);
                State::Opening(self.open_camera(id, epochs, plan.frames()), What::New(plan, metadata))
            }
            Err(why) => self.not_begun(state, id, why),
        }
    }

    /// Goes on with a data set that ended early.
    pub(super) fn go_on(
        &mut self,
        state: State,
        id: CommandId,
        epochs: Epochs,
        order: acquisition::Resume,
    ) -> State {
        match self.may_acquire(&state, epochs) {
            Ok(()) => State::Opening(self.open_camera(id, epochs, 0), What::Again(order)),
            Err(why) => self.not_begun(state, id, why),
        }
    }

    fn not_begun(&self, state: State, id: CommandId, why: Refusal) -> State {
        self.tell(Some(id), Event::Acquisition(acquisition::Event::Refused(why)));
        state
    }

    pub(super) fn open_camera(&mut self, id: CommandId, epochs: Epochs, total: u32) -> Acquisition {
        let batch = self.new_run();
        self.run = Run(batch.0 + RUNS_A_BATCH);
        self.camera.send(Order { run: batch, epochs, command: camera::Command::Open });
        Acquisition { id, epochs, batch, anchor: self.time(), total }
    }

    fn may_acquire(&self, state: &State, epochs: Epochs) -> Result<(), Refusal> {
        if let Some(why) = self.refusal(state) {
            return Err(why);
        }
        if epochs.is_before(self.stopped) {
            return Err(Refusal::Stopped);
        }
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
        Ok(())
    }

    /// Whether pump, lamp and camera can do what a plan asks of them.
    fn can_do(&self, plan: &Plan) -> Result<(), Refusal> {
        self.can_pump(plan)?;
        self.can_strobe(plan)
    }

    /// Whether the pump can do every stroke of a plan.
    pub(super) fn can_pump(&self, plan: &Plan) -> Result<(), pump::Refusal> {
        let calibration = self.calibration.get();
        plan.strokes().try_for_each(|stroke| pump_device::check(&calibration, stroke))
    }

    pub(super) fn open_data_set(&mut self, a: Acquisition, what: What, mode: camera::Mode) -> State {
        self.mode = Some(mode);
        let (batch, anchor, frame_bytes) = (a.batch, a.anchor, self.frame_bytes);
        match what {
            What::New(plan, metadata) => {
                self.pipeline.begin(Begin {
                    batch,
                    metadata,
                    anchor,
                    fix: self.fix,
                    mode,
                    settings: self.settings,
                    plan,
                    frame_bytes,
                    hardware: self.nameplate.hardware(),
                });
            }
            What::Again(order) => {
                let height = self.height.micrometres(&self.calibration.get());
                let height_uncertain = self.height.is_uncertain();
                let (settings, light, pulses) = (self.settings, self.level, self.strobe_level());
                self.pipeline.resume(Resume {
                    batch,
                    order,
                    anchor,
                    mode,
                    settings,
                    height,
                    height_uncertain,
                    light,
                    pulses,
                });
            }
        }
        State::Creating(a)
    }

    /// The data set is open. Its plan may be older than the pump's calibration.
    pub(super) fn opened(&mut self, a: Acquisition, opened: Box<Opened>) -> State {
        self.pipeline.begun(a.batch);
        if let Err(why) = self.can_do(opened.cursor.plan()) {
            self.pipeline.end(a.batch, Ending::Failed(why.to_string()));
            return self.refuse(a, why);
        }
        self.begin_strobe(opened.cursor.plan());
        let a = Acquisition { anchor: opened.names, total: opened.cursor.plan().frames(), ..a };
        State::Ready(a, opened)
    }

    /// What was stopped just before may still be braking: nothing of it may be in the first picture.
    pub(super) fn begin_when_quiet(&mut self) {
        if self.pump.rests() && self.focus.rests() && self.is_ready_to_strobe() {
            self.state = match std::mem::replace(&mut self.state, State::Idle) {
                State::Ready(a, opened) => self.begin(a, *opened),
                state => state,
            };
        }
    }

    fn begin(&mut self, a: Acquisition, opened: Opened) -> State {
        if let Some(fault) = self.is_in_the_dark() {
            return self.fail(a, Failure::Lamp(fault));
        }
        self.keep_the_time();
        self.tell(Some(a.id), Event::Acquisition(acquisition::Event::Started));
        let Opened { folder, cursor, frames: saved, names: _ } = opened;
        let optics = Optics {
            pixel_nm: self.calibration.get().pixel_nm,
            width: self.mode.map_or(0, |mode| mode.width),
        };
        let now = self.bell.now();
        let unlit = self.strobing.as_ref().map_or(now, |strobing| now + strobing.exposure);
        let sequence = Sequence::begin(cursor, saved, Run(a.batch.0 + 1), optics, unlit, now);
        let (watched, phase) = (Watched::default(), Phase::default());
        self.act(a, Box::new(Running { sequence, folder, wake: None, saved, watched, phase }))
    }

    pub(super) fn feed(
        &mut self,
        a: Acquisition,
        mut running: Box<Running>,
        input: sequence::Input,
    ) -> State {
        running.sequence.on(self.bell.now(), input);
        self.act(a, running)
    }

    /// Pauses it, or lets it go on.
    pub(super) fn hold(&mut self, state: State, id: CommandId, hold: bool) -> State {
        let State::Running(a, running) = state else {
            let why = acquisition::Event::Refused(Refusal::NotAcquiring);
            self.tell(Some(id), Event::Acquisition(why));
            return state;
        };
        let (event, input) = match hold {
            true => (acquisition::Event::Pausing, sequence::Input::Pause),
            false => (acquisition::Event::Resumed, sequence::Input::Resume),
        };
        self.tell(Some(id), Event::Acquisition(event));
        self.feed(a, running, input)
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
                    self.pump.order(run, a.epochs, order.into(), Who::Acquisition);
                }
                Act::Focus(order) => {
                    if let Some(fault) = self.fault(Device::Focus) {
                        return self.fail(a, Failure::Motor(Axis::Focus, fault));
                    }
                    let run = self.new_run();
                    self.focus.order(run, a.epochs, order, Who::Acquisition);
                }
                Act::Wake(then) => running.wake = Some(self.bell.at(then)),
                Act::Flash(run, interval) => self.flash(run, a.epochs, interval),
                Act::Capture { run, not_before, strobe } => {
                    if let Some(cause) = self.fault(Device::Camera) {
                        return self.camera_failed(a, &running, cause);
                    }
                    let command = camera::Command::Capture { not_before, strobe };
                    self.camera.send(Order { run, epochs: a.epochs, command });
                }
                Act::Keep(shot, frame, facts) => {
                    self.time_frame(&mut running, shot, &frame, &facts);
                    let begun = a.anchor.utc_at(frame.interval.from);
                    let formats = Formats { jpeg: true, dng: false };
                    self.pipeline.keep(Encode { batch: a.batch, shot, begun, frame, facts, formats });
                }
                Act::Study(study) => self.pipeline.study(study),
                Act::Note(learned) => self.pipeline.note(Note::Settling(learned)),
                Act::Over(Ok(())) => {
                    self.close_camera(&a);
                    self.pipeline.end(a.batch, Ending::Complete);
                    return State::Closing(a, running.folder);
                }
                Act::Over(Err(failure)) => return self.fail(a, failure),
            }
        }
        self.time_sequence(&mut running);
        State::Running(a, running)
    }

    pub(super) fn moved<R>(
        &mut self,
        state: State,
        axis: Axis,
        answered: Answered,
        event: motion::Event<R>,
        refused: impl FnOnce(R) -> Option<Failure>,
    ) -> State {
        let (a, mut running) = match (state, answered.who) {
            (State::Running(a, running), Some(Who::Acquisition)) => (a, running),
            (state, _) => return state,
        };
        match event {
            motion::Event::Done(end) => {
                running.sequence.on(self.bell.now(), sequence::Input::Moved(end));
                self.keep_in_phase(&a, &mut running);
                self.act(a, running)
            }
            motion::Event::Failed(fault) => self.fail(a, Failure::Motor(axis, fault)),
            motion::Event::Refused(why) => match refused(why) {
                Some(failure) => self.fail(a, failure),
                // The stop that refused it is on its way here.
                None => State::Running(a, running),
            },
            motion::Event::Started { .. } => {
                self.time_move(&mut running);
                State::Running(a, running)
            }
            motion::Event::Interrupted | motion::Event::Released => State::Running(a, running),
        }
    }

    pub(super) fn seen(
        &mut self,
        a: Acquisition,
        mut running: Box<Running>,
        run: Run,
        event: camera::Event,
    ) -> State {
        match event {
            camera::Event::Exposing { interval, pulse } => {
                if running.sequence.takes(run) {
                    self.time_exposure(&mut running, pulse.unwrap_or(interval).to);
                    running.phase.begins(pulse.unwrap_or(interval).from);
                }
                let (still, ready) = (running.sequence.still(), running.sequence.ready());
                let facts = Facts { ready, ..self.facts(still) };
                self.feed(a, running, sequence::Input::Exposing(run, interval, pulse, facts))
            }
            camera::Event::Frame(frame) => {
                self.works(Device::Camera);
                self.feed(a, running, sequence::Input::Frame(run, frame))
            }
            camera::Event::Missed => self.feed(a, running, sequence::Input::Missed(run)),
            camera::Event::Failed(cause) => self.camera_failed(a, &running, cause),
            camera::Event::Opened(_) | camera::Event::Set(_) | camera::Event::Closed => {
                State::Running(a, running)
            }
        }
    }

    pub(super) fn facts(&self, Stillness { motion, settled, pumped, flow }: Stillness) -> Facts {
        Facts {
            motion,
            settled,
            ready: settled,
            pumped,
            height: self.height.micrometres(&self.calibration.get()),
            height_uncertain: self.height.is_uncertain(),
            light: self.level,
            fix: self.fix,
            time: self.anchor,
            mode: self.mode,
            pulse: None,
            flow,
            moved_nm: None,
            clocks: self.clocks(),
        }
    }

    pub(super) fn recorded(&mut self, state: State, recorded: Recorded) -> State {
        match (state, recorded) {
            (State::Running(a, mut running), Recorded::Saved { batch, shot, result: Ok(saved) })
                if batch == a.batch =>
            {
                let Saved { path, quality } = *saved;
                self.pipeline.saved(batch);
                self.time_saved(&mut running, shot);
                running.saved += 1;
                let (current, total) = (running.saved, a.total);
                let saved = acquisition::Event::Saved { path: path.clone(), current, total };
                self.tell(Some(a.id), Event::Acquisition(saved));
                if let Some((quality, warning)) = quality {
                    self.tell(
                        None,
                        Event::Acquisition(acquisition::Event::Judged { path, quality, warning }),
                    );
                }
                self.feed(a, running, sequence::Input::Saved(shot))
            }
            (State::Running(a, _), Recorded::Noted(Err(why))) => self.fail(a, Failure::Disk(why)),
            (state, Recorded::Noted(_)) => state,
            (State::Running(a, _), Recorded::Saved { batch, result: Err(why), .. }) if batch == a.batch => {
                self.pipeline.saved(batch);
                self.fail(a, Failure::Disk(why.into_owned()))
            }
            (State::Closing(a, path), Recorded::Ended { batch, result }) if batch == a.batch => {
                self.pipeline.ended(batch);
                self.keep_the_time();
                let event = match result {
                    Ok(()) => acquisition::Event::Done { path },
                    Err(why) => acquisition::Event::Failed(Failure::Disk(why)),
                };
                self.tell(Some(a.id), Event::Acquisition(event));
                State::Idle
            }
            (state, Recorded::Alone { batch, result }) => self.captured(state, batch, result),
            (state, Recorded::Did(run, result)) => {
                self.did(run, result);
                state
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
            (state, Recorded::Begun { batch, .. }) => {
                self.pipeline.begun(batch);
                state
            }
        }
    }

    /// Waits for encoders and recorder, but not for ever: each answer gives them as long again.
    pub(super) fn watch_disk(&mut self, wrote: bool) {
        if !self.pipeline.is_owed() {
            self.disk = None;
        } else if wrote || self.disk.is_none() {
            self.disk = Some(self.bell.at(self.bell.now() + DISK_PATIENCE));
        }
    }

    pub(super) fn disk_is_silent(&mut self, state: State) -> State {
        self.disk = None;
        let why = format!("the disk has not answered for {} s; check it", DISK_PATIENCE.as_secs());
        self.errands_are_late(&why);
        match state {
            State::Creating(a) => {
                self.pipeline.end(a.batch, Ending::Failed(why.clone()));
                self.refuse(a, Refusal::Disk(why))
            }
            State::Running(a, _) | State::Closing(a, _) => self.fail(a, Failure::Disk(why)),
            State::Capturing(a, _) => self.fail(a, Failure::Capture(why)),
            state @ (State::Idle | State::Opening(..) | State::Ready(..)) => state,
        }
    }

    pub(super) fn refuse(&mut self, a: Acquisition, why: Refusal) -> State {
        self.close_camera(&a);
        self.tell(Some(a.id), Event::Acquisition(acquisition::Event::Refused(why)));
        State::Idle
    }

    /// What was taken is kept; motors that the acquisition moves are stopped.
    pub(super) fn fail(&mut self, a: Acquisition, failure: Failure) -> State {
        self.let_go(&a, Ending::Failed(failure.to_string()), None);
        self.tell(Some(a.id), Event::Acquisition(acquisition::Event::Failed(failure)));
        State::Idle
    }

    pub(super) fn camera_failed(&mut self, a: Acquisition, running: &Running, cause: Fault) -> State {
        let (image, total) = (running.saved + 1, a.total);
        self.fail(a, Failure::Camera { image, total, cause })
    }

    pub(super) fn let_go(&mut self, a: &Acquisition, ending: Ending, stopped: Option<Axis>) {
        self.close_camera(a);
        self.pipeline.end(a.batch, ending);
        if self.pump.moving() == Some(Who::Acquisition) && stopped != Some(Axis::Pump) {
            self.stop_motor(Axis::Pump, a.epochs, None);
        }
        if self.focus.moving() == Some(Who::Acquisition) && stopped != Some(Axis::Focus) {
            self.stop_motor(Axis::Focus, a.epochs, None);
        }
    }

    pub(super) fn close_camera(&mut self, a: &Acquisition) {
        self.camera.send(Order { run: a.batch, epochs: a.epochs, command: camera::Command::Close });
        // It has its own cadence again, and exposure.
        if self.end_strobe() | std::mem::take(&mut self.is_in_phase) {
            self.set_camera();
        }
    }
}
