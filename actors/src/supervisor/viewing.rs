//! Who looks: the camera streams for viewers while they say that they do; and what the instrument knows of itself.

use super::Supervisor;
use crate::alarm::Ticket;
use planktor_protocol::instrument::{CommandId, Device, Event};
use planktor_protocol::preview::{Command, Event as Preview};
use planktor_protocol::survey::Survey;
use planktor_protocol::timekeeping::{Anchor, Source};
use planktor_protocol::{Epochs, Order, camera};

impl Supervisor {
    pub(super) fn order_preview(&mut self, id: CommandId, command: Command) {
        let event = match (command, self.fault(Device::Camera)) {
            (Command::Watch { lasts }, None) if !lasts.is_zero() && self.shutdown.is_none() => {
                let new = self.watched.left(self.bell.now()).is_none();
                self.watched.set(lasts, &self.bell);
                if new {
                    self.watch(true);
                }
                self.watching()
            }
            (Command::Watch { lasts }, Some(fault)) if !lasts.is_zero() => Preview::Failed(fault),
            (Command::Watch { .. }, _) => {
                self.watched.end();
                self.watch(false);
                Preview::Off
            }
            (Command::Report, _) => self.watching(),
        };
        self.tell(Some(id), Event::Preview(event));
    }

    /// Whether this was the end of somebody's looking.
    pub(super) fn looked_long_enough(&mut self, rung: Ticket) -> bool {
        let ended = self.watched.ended(rung, &self.bell);
        if ended {
            self.watch(false);
            self.tell(None, Event::Preview(Preview::Off));
        }
        ended
    }

    /// The camera is back: it streams for those who still look.
    pub(super) fn watch_again(&mut self) {
        if self.watched.left(self.bell.now()).is_some() {
            self.watch(true);
        }
    }

    fn watch(&mut self, somebody: bool) {
        let (run, command) = (self.new_run(), camera::Command::Watch(somebody));
        self.camera.send(Order { run, epochs: Epochs::default(), command });
    }

    fn watching(&self) -> Preview {
        let left = self.watched.left(self.bell.now());
        left.map_or(Preview::Off, |left| Preview::On { left })
    }

    /// The newest anchor. The timekeeper speaks at its start; should it be dead, the time is as unknown as it can be.
    pub(super) fn time(&self) -> Anchor {
        let unset =
            Anchor { instant: self.bell.now(), utc: self.earliest, source: Source::Unset, error: None };
        self.anchor.unwrap_or(unset)
    }

    pub(super) fn survey(&self) -> Box<Survey> {
        Box::new(Survey {
            at: self.bell.now(),
            time: self.time(),
            steps: self.steps,
            fix: self.fix,
            height: self.height.micrometres(&self.calibration.get()),
            height_uncertain: self.height.is_uncertain(),
            light: self.level,
            camera: self.mode,
            clocks: self.clocks(),
            who: self.who(),
        })
    }
}
