//! What is kept from one start to the next: the pump's calibration, what the instrument remembers, protocols. All of
//! it is in force at once, and answered when it is on disk.

use super::{State, Supervisor, Who};
use crate::alarm::Ticket;
use crate::estimate::Query;
use crate::recording::{Done, Errand, Shelve};
use planktor_protocol::acquisition::{self, Refusal as Not};
use planktor_protocol::instrument::{CommandId, Device, Event};
use planktor_protocol::library::{Command, Entry, MOST, Name, Protocol, Refusal, Which};
use planktor_protocol::pump::{self, Calibrated, Calibration};
use planktor_protocol::timekeeping::{Saved, Source};
use planktor_protocol::units::Fraction;
use planktor_protocol::{Epochs, Fault, Run, library, light, operating_time};
use std::sync::Arc;
use std::time::Duration;

/// How much of the lamp's time a power cut may cost.
const LIT_IS_KEPT_EVERY: Duration = Duration::from_secs(600);
/// Errands that may wait for the disk.
const MOST_ERRANDS: usize = 64;

/// A protocol that is there.
#[derive(Clone, Debug)]
pub struct Kept {
    /// What it says, or why it cannot be carried out.
    pub protocol: Result<Arc<Protocol>, String>,
    /// Whether it came with the program.
    pub shipped: bool,
}

/// Whom an errand answers, and how.
pub(super) struct Asked {
    run: Run,
    id: Option<CommandId>,
    /// When something is kept.
    kept: Option<Event>,
    not: fn(String) -> Event,
}

impl Supervisor {
    pub(super) fn calibrate(&mut self, state: &State, id: CommandId, order: Calibration) {
        let mut calibration = self.calibration.get();
        let (calibrated, kept) = match order {
            Calibration::Get => {
                let is = Calibrated::Is(calibration.pump_millisteps_per_ml);
                return self.tell(Some(id), Event::Calibration(is));
            }
            Calibration::GetRamp => {
                return self.tell(Some(id), Event::Calibration(Calibrated::Ramp(calibration.pump_amax)));
            }
            Calibration::Set(steps) => {
                calibration.pump_millisteps_per_ml = steps;
                (Calibrated::Set(steps), Shelve::PumpSteps(steps))
            }
            Calibration::SetRamp(ramp) => {
                if let Err(why) = ramp.check() {
                    return self.tell(Some(id), Event::Calibration(Calibrated::Refused(why)));
                }
                calibration.pump_amax = ramp.amax;
                (Calibrated::Ramp(ramp.amax), Shelve::PumpRamp(ramp, self.time().utc_at(self.bell.now())))
            }
        };
        let busy = match self.pump.moving() {
            Some(Who::Client(_)) => Some(pump::Refusal::Busy),
            Some(Who::Acquisition) => Some(pump::Refusal::Acquiring),
            None => state.acquisition().map(|_| pump::Refusal::Acquiring),
        };
        if let Some(why) = busy {
            return self.tell(Some(id), Event::Calibration(Calibrated::Refused(why)));
        }
        self.calibration.set(calibration);
        let not = |why| Event::Calibration(Calibrated::Failed(why));
        self.shelve(Some(id), kept, Event::Calibration(calibrated), not);
    }

    /// The lamp says what it is at, after everything that came before the order to save it.
    pub(super) fn save(&mut self, id: Option<CommandId>, level: light::Event) {
        let not = |why| Event::Light(light::Event::NotSaved(why));
        match level {
            light::Event::Level(_) => {
                self.save_the_time();
                self.shelve(id, Shelve::Memory(self.memory), Event::Light(level), not);
            }
            light::Event::NotSaved(_) | light::Event::Failed(_) | light::Event::Pulsed(_) => {
                self.tell(id, Event::Light(level))
            }
        }
    }

    /// What the lamp is at from now on; `None` if that is not known.
    pub(super) fn shines(&mut self, level: Option<Fraction>) {
        self.count_lit();
        self.level = level;
        // Pulses are a thousandth of the time of an acquisition.
        let lit = level.is_some_and(|level| level != Fraction::ZERO) && self.strobing.is_none();
        match (lit, self.lit) {
            (true, None) => self.lit = Some((self.bell.now(), self.keep_lit_later())),
            (false, Some(_)) => {
                self.lit = None;
                self.remember(None);
            }
            (true, Some(_)) | (false, None) => {}
        }
    }

    pub(super) fn lit_is_to_be_kept(&mut self) {
        self.count_lit();
        self.lit = Some((self.bell.now(), self.keep_lit_later()));
        self.remember(None);
    }

    fn keep_lit_later(&self) -> Ticket {
        self.bell.at(self.bell.now() + LIT_IS_KEPT_EVERY)
    }

    fn count_lit(&mut self) {
        let now = self.bell.now();
        if let Some((since, _)) = &mut self.lit {
            self.memory.lit += now - *since;
            *since = now;
        }
    }

    /// Without anybody who asked, the next time may succeed.
    fn remember(&mut self, id: Option<CommandId>) {
        self.save_the_time();
        let not = |why| Event::OperatingTime(operating_time::Event::Failed(why));
        self.shelve(id, Shelve::Memory(self.memory), self.hours(), not);
        self.engrave();
    }

    /// Told to nobody, unless it fails.
    pub(super) fn keep_the_time(&mut self) {
        self.save_the_time();
        let not = |why| Event::OperatingTime(operating_time::Event::Failed(why));
        self.errand(None, Errand::Shelve(Shelve::Memory(self.memory)), None, not);
    }

    /// At the next start it is later. An earliest time that was counted on is known as well as what it began with.
    fn save_the_time(&mut self) {
        let (time, before) = (self.time(), self.memory.time);
        let source = match (time.source, before) {
            (Source::Unset, Some(before)) => before.source,
            (source, _) => source,
        };
        self.memory.time = Some(Saved { utc: time.utc_at(self.bell.now()), source });
    }

    fn hours(&self) -> Event {
        Event::OperatingTime(operating_time::Event::Seconds(self.memory.lit.as_secs()))
    }

    pub(super) fn operating_time(&mut self, id: CommandId, command: operating_time::Command) {
        self.count_lit();
        match command {
            operating_time::Command::Get => return self.tell(Some(id), self.hours()),
            operating_time::Command::Reset => self.memory.lit = Duration::ZERO,
            operating_time::Command::Increment(seconds) => {
                self.memory.lit = self.memory.lit.saturating_add(Duration::from_secs(seconds));
            }
        }
        self.remember(Some(id));
    }

    pub(super) fn library(&mut self, state: State, id: CommandId, epochs: Epochs, command: Command) -> State {
        let event = match command {
            Command::Run(name) => {
                return match self.protocol(&name) {
                    Ok(protocol) => self.acquire(state, id, epochs, protocol.plan.clone()),
                    Err(why) => {
                        let why = Not::Protocol(Box::new(why));
                        self.tell(Some(id), Event::Acquisition(acquisition::Event::Refused(why)));
                        state
                    }
                };
            }
            Command::Store(name, protocol) => self.store(id, name, protocol),
            Command::Delete(name) => self.delete(id, name),
            Command::Estimate(which) => self.estimate(id, which),
            Command::List => Some(library::Event::Listed(self.protocols.iter().map(entry).collect())),
            Command::Get(name) => Some(match self.protocol(&name) {
                Ok(protocol) => library::Event::Got(name, protocol.text.clone()),
                Err(why) => library::Event::Refused(why),
            }),
            Command::Validate(protocol) => Some(match self.can_pump(&protocol.plan) {
                Ok(()) => library::Event::Valid { frames: protocol.plan.frames() },
                Err(why) => library::Event::Refused(why.into()),
            }),
        };
        if let Some(event) = event {
            self.tell(Some(id), Event::Library(event));
        }
        state
    }

    fn store(&mut self, id: CommandId, name: Name, protocol: Arc<Protocol>) -> Option<library::Event> {
        let before = self.protocols.get(&name);
        let refusal = match before {
            Some(Kept { shipped: true, .. }) => Some(Refusal::Shipped(name.clone())),
            None if self.protocols.len() >= MOST => Some(Refusal::Full),
            _ => self.can_pump(&protocol.plan).err().map(Refusal::Stroke),
        };
        if let Some(why) = refusal {
            return Some(library::Event::Refused(why));
        }
        let text = protocol.text.clone();
        self.protocols.insert(name.clone(), Kept { protocol: Ok(protocol), shipped: false });
        let done = Event::Library(library::Event::Stored(name.clone()));
        self.shelve(Some(id), Shelve::Protocol(name, text), done, not_kept);
        None
    }

    fn delete(&mut self, id: CommandId, name: Name) -> Option<library::Event> {
        match self.protocols.get(&name) {
            None => return Some(library::Event::Refused(Refusal::Unknown(name))),
            Some(Kept { shipped: true, .. }) => return Some(library::Event::Refused(Refusal::Shipped(name))),
            Some(_) => self.protocols.remove(&name),
        };
        let done = Event::Library(library::Event::Deleted(name.clone()));
        self.shelve(Some(id), Shelve::NoProtocol(name), done, not_kept);
        None
    }

    fn estimate(&mut self, id: CommandId, which: Which) -> Option<library::Event> {
        let protocol = match which {
            Which::This(protocol) => Ok(protocol),
            Which::Named(name) => self.protocol(&name),
        };
        let query = protocol.and_then(|protocol| {
            self.can_pump(&protocol.plan)?;
            let silent = || Refusal::NoCamera(self.fault(Device::Camera).unwrap_or(Fault::NotOpen));
            let mode = self.mode.ok_or_else(silent)?;
            let (calibration, frame_bytes) = (self.calibration.get(), self.frame_bytes);
            Ok(Query { protocol, calibration, mode, frame_bytes })
        });
        match query {
            Err(why) => Some(library::Event::Refused(why)),
            Ok(query) => {
                self.errand(Some(id), Errand::Estimate(Box::new(query)), None, not_kept);
                None
            }
        }
    }

    fn protocol(&self, name: &Name) -> Result<Arc<Protocol>, Refusal> {
        match self.protocols.get(name).map(|kept| kept.protocol.clone()) {
            None => Err(Refusal::Unknown(name.clone())),
            Some(Err(why)) => Err(Refusal::Invalid { name: name.clone(), why }),
            Some(Ok(protocol)) => Ok(protocol),
        }
    }

    fn shelve(&mut self, id: Option<CommandId>, what: Shelve, kept: Event, not: fn(String) -> Event) {
        self.errand(id, Errand::Shelve(what), Some(kept), not);
    }

    fn errand(
        &mut self,
        id: Option<CommandId>,
        errand: Errand,
        kept: Option<Event>,
        not: fn(String) -> Event,
    ) {
        if self.errands.len() >= MOST_ERRANDS {
            let full = "too much waits for the disk; it is in force, but was not kept: try again";
            return self.tell(id, not(full.into()));
        }
        let run = self.new_run();
        self.errands.push(Asked { run, id, kept, not });
        self.pipeline.errand(run, errand);
    }

    pub(super) fn did(&mut self, run: Run, result: Result<Done, String>) {
        self.pipeline.did();
        // One that the disk was too slow for has been answered.
        let Some(i) = self.errands.iter().position(|asked| asked.run == run) else { return };
        let Asked { id, kept, not, .. } = self.errands.remove(i);
        let event = match result {
            Ok(Done::Kept) => kept,
            Ok(Done::Estimated(estimate)) => Some(Event::Library(library::Event::Estimated(estimate))),
            Err(why) => Some(not(why)),
        };
        if let Some(event) = event {
            self.tell(id, event);
        }
    }

    pub(super) fn errands_are_late(&mut self, why: &str) {
        for Asked { id, not, .. } in std::mem::take(&mut self.errands) {
            self.tell(id, not(why.into()));
        }
    }
}

fn not_kept(why: String) -> Event {
    Event::Library(library::Event::Refused(Refusal::Disk(why)))
}

fn entry((name, kept): (&Name, &Kept)) -> Entry {
    let (description, frames) = match &kept.protocol {
        Ok(protocol) => (protocol.description.clone(), protocol.plan.frames()),
        Err(why) => (format!("not valid: {why}").into(), 0),
    };
    Entry { name: name.clone(), description, frames, shipped: kept.shipped }
}
