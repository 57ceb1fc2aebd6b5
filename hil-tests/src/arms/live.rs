//! A program that runs, simulated below its kernel or real: reached by its broker, as any client reaches it.

use super::Arm;
use crate::routine::{Deed, Limits, Performance, Routine, leave};
use planktor_drivers::Clock;
use planktor_drivers::clock::Monotonic;
use planktor_runtime::client::{Client, ClientError};
use planktor_runtime::mqtt::Address;
use planktor_sim::Fault;
use serde_json::Value;
use std::time::Duration;

/// Breaks something for so long.
pub type Break = Box<dyn FnMut(Fault, Duration)>;

/// A program that runs.
pub struct LiveArm {
    client: Client,
    limits: Limits,
    meddle: Option<Break>,
}

impl LiveArm {
    /// Connects to it.
    ///
    /// # Errors
    /// There is no broker, or no instrument.
    pub fn connect(broker: &Address, limits: Limits, meddle: Option<Break>) -> Result<Self, ClientError> {
        Ok(Self { client: Client::connect(broker, "routine")?, limits, meddle })
    }

    fn go(&mut self, routine: Routine) -> Result<(), String> {
        let (mut performance, deeds) = Performance::begin(routine, Monotonic.now());
        self.carry_out(deeds)?;
        while !performance.is_over() {
            let now = Monotonic.now();
            if now >= performance.late() {
                return Err(performance.complaint());
            }
            let said = self.client.next(performance.late() - now).map_err(|error| error.to_string())?;
            let Some(said) = said else { continue };
            let deeds = performance.hears(&said.topic, &said.payload, Monotonic.now());
            self.carry_out(deeds)?;
        }
        Ok(())
    }

    /// Each is answered before anything else is said: what comes next would overtake it, a refusal or the end of the program.
    fn leave(&self, topic: &str, payload: Value) -> Result<(), ClientError> {
        match self.client.request(topic, payload, |_| ()) {
            // What is not connected cannot be left; what was stopped says so.
            Ok(_) | Err(ClientError::Refused(_) | ClientError::Failed(_) | ClientError::Interrupted) => {
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    fn carry_out(&mut self, deeds: Vec<Deed>) -> Result<(), String> {
        for deed in deeds {
            match (deed, &mut self.meddle) {
                (Deed::Say(topic, payload), _) => {
                    self.client.send(topic, &payload).map_err(|error| error.to_string())?;
                }
                (Deed::Break(fault, time), Some(meddle)) => meddle(fault, time),
                (Deed::Break(..), None) => return Err("nothing can be broken here".into()),
            }
        }
        Ok(())
    }
}

impl Arm for LiveArm {
    fn limits(&self) -> &Limits {
        &self.limits
    }

    fn breaks(&self) -> bool {
        self.meddle.is_some()
    }

    /// Whatever came of it: motors stopped, light off.
    fn perform(&mut self, routine: Routine) -> Result<(), String> {
        // What was kept from before is not what comes of it.
        self.client.kept().map_err(|error| error.to_string())?;
        let came = self.go(routine);
        let left = leave().into_iter().try_for_each(|(topic, payload)| self.leave(topic, payload));
        came.and(left.map_err(|error| error.to_string()))
    }
}
