//! Who the instrument is, and the LED's hours in its EEPROM. They are kept on disk, too, and more often there: the larger
//! of both counts after a start, so neither a new disk nor a new board begins again.

use super::Supervisor;
use planktor_protocol::eeprom::{Command, Event, Identity, Unreadable};
use planktor_protocol::instrument::Device;
use planktor_protocol::survey::Who;
use planktor_protocol::{Epochs, Order, Report};
use std::sync::Arc;
use std::time::Duration;

/// The EEPROM wears out after a million writes; written so often it lasts longer than any LED.
const WRITTEN_EVERY: Duration = Duration::from_secs(3_600);
/// What an instrument is whose EEPROM is blank: the version before the first that has a content.
const BEFORE_EEPROMS: &str = "v2.6";

/// What is known of the EEPROM.
#[derive(Default)]
pub(super) struct Nameplate {
    says: Option<Result<Identity, Unreadable>>,
    /// The LED's time that is in it, as far as that can be written.
    lit: Option<Duration>,
    /// Why the last write failed.
    not_kept: Option<Arc<str>>,
}

impl Nameplate {
    /// As in `v3.0`; `None` if nobody knows.
    pub(super) fn hardware(&self) -> Option<Arc<str>> {
        match self.says.as_ref()? {
            Ok(identity) => identity.hardware_version.clone(),
            Err(Unreadable::Blank) => Some(BEFORE_EEPROMS.into()),
            Err(_) => None,
        }
    }

    fn trouble(&self) -> Option<Arc<str>> {
        match &self.says {
            Some(Err(why)) if *why != Unreadable::Blank => Some(why.to_string().into()),
            Some(_) | None => self.not_kept.clone(),
        }
    }
}

impl Supervisor {
    pub(super) fn who(&self) -> Who {
        let identity = self.nameplate.says.as_ref().and_then(|says| says.as_ref().ok());
        Who {
            name: self.name.clone(),
            hardware: self.nameplate.hardware(),
            identity: identity.cloned(),
            trouble: self.nameplate.trouble(),
        }
    }

    pub(super) fn engraved(&mut self, Report { run, event }: Report<Event>) {
        let order = self.slow_answer(run);
        match event {
            Event::Read(says) => {
                self.works(Device::Eeprom);
                let lit = says.as_ref().ok().map(|identity| identity.led_operating_time.unwrap_or_default());
                // Later it may say what is older than what is counted here, or was set here.
                if self.nameplate.says.is_none() {
                    self.memory.lit = self.memory.lit.max(lit.unwrap_or_default());
                }
                (self.nameplate.says, self.nameplate.lit) = (Some(says), lit);
            }
            Event::Kept => {
                self.works(Device::Eeprom);
                self.nameplate.not_kept = None;
                self.nameplate.lit = order.and_then(|order| order.keeps).or(self.nameplate.lit);
                self.engrave();
            }
            Event::NotKept(why) => {
                self.nameplate.not_kept = Some(why.to_string().into());
                self.nameplate.lit = None;
            }
        }
    }

    /// Writes the LED's time, if there is a place for it and it is time: after an hour of light, at the program's end, or
    /// when somebody has set it back.
    pub(super) fn engrave(&mut self) {
        let Some(there) = self.nameplate.lit.filter(|_| self.fault(Device::Eeprom).is_none()) else { return };
        let lit = Duration::from_secs(self.memory.lit.as_secs());
        let ends = self.shutdown.is_some() && self.lit.is_none() && lit != there;
        let under_way = self.slow_orders.iter().any(|order| order.device == Device::Eeprom);
        if under_way || !(ends || lit < there || lit >= there + WRITTEN_EVERY) {
            return;
        }
        if let Some(run) = self.slow_order(Device::Eeprom, None) {
            self.slow_orders.back_mut().into_iter().for_each(|order| order.keeps = Some(lit));
            self.eeprom.send(Order { run, epochs: Epochs::default(), command: Command::Keep(lit) });
        }
    }
}
