//! One picture outside any data set.

use super::{Acquisition, State, Supervisor};
use crate::recording::{Encode, Files};
use crate::sequence::Stillness;
use planktor_protocol::acquisition::{self, Failure, Formats, Refusal};
use planktor_protocol::instrument::{CommandId, Device, Event};
use planktor_protocol::units::Nanolitres;
use planktor_protocol::{Epochs, Fault, Order, Report, Run, camera};

impl Supervisor {
    pub(super) fn capture(&mut self, state: State, id: CommandId, epochs: Epochs, formats: Formats) -> State {
        let refusal = match (self.refusal(&state), self.fault(Device::Camera)) {
            (Some(why), _) => Some(why),
            _ if epochs.is_before(self.stopped) => Some(Refusal::Stopped),
            _ if !formats.jpeg && !formats.dng => Some(Refusal::NoFormat),
            (None, Some(fault)) => Some(Refusal::NoCamera(fault)),
            (None, None) => None,
        };
        if let Some(why) = refusal {
            self.tell(Some(id), Event::Acquisition(acquisition::Event::Refused(why)));
            return state;
        }
        let a = self.open_camera(id, epochs, 1);
        State::Capturing(a, formats)
    }

    pub(super) fn capturing(
        &mut self,
        a: Acquisition,
        formats: Formats,
        Report { run, event }: Report<camera::Event>,
    ) -> State {
        let shot = Run(a.batch.0 + 1);
        match event {
            camera::Event::Opened(_) if run == a.batch => {
                let command = camera::Command::Capture { not_before: self.bell.now(), strobe: None };
                self.camera.send(Order { run: shot, epochs: a.epochs, command });
            }
            camera::Event::Frame(frame) if run == shot => {
                self.works(Device::Camera);
                self.close_camera(&a);
                let still = Stillness {
                    motion: None,
                    settled: frame.interval.from,
                    pumped: Nanolitres(0),
                    flow: None,
                };
                let begun = a.anchor.utc_at(frame.interval.from);
                let facts = self.facts(still);
                self.pipeline.keep_alone(Encode { batch: a.batch, shot, begun, frame, facts, formats });
            }
            camera::Event::Missed if run == shot => {
                return self.fail(a, Failure::Capture(Fault::CameraSilent.to_string()));
            }
            camera::Event::Failed(fault) => return self.fail(a, Failure::Capture(fault.to_string())),
            // Of what was there before.
            camera::Event::Opened(_)
            | camera::Event::Frame(_)
            | camera::Event::Missed
            | camera::Event::Set(_)
            | camera::Event::Exposing { .. }
            | camera::Event::Closed => {}
        }
        State::Capturing(a, formats)
    }

    pub(super) fn captured(&mut self, state: State, batch: Run, result: Result<Files, String>) -> State {
        self.pipeline.ended(batch);
        match state {
            State::Capturing(a, _) if a.batch == batch => {
                let event = match result {
                    Ok(Files { jpeg, dng }) => acquisition::Event::Captured { jpeg, dng },
                    Err(why) => acquisition::Event::Failed(Failure::Capture(why)),
                };
                self.tell(Some(a.id), Event::Acquisition(event));
                State::Idle
            }
            // It was stopped: the picture is kept all the same.
            state => state,
        }
    }
}
