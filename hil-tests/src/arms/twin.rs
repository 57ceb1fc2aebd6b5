//! The twin in virtual time: no wire, no thread, every instant exact.

use super::{Arm, verified};
use crate::routine::{Deed, Limits, Performance, Routine};
use crate::{Scenario, Seen, message};
use planktor_protocol::Instant;
use planktor_runtime::mqtt::Message;
use planktor_sim::{Hat, Twin};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A twin of its own for every routine.
pub struct TwinArm {
    hat: Hat,
    limits: Limits,
}

/// Its devices are open by then.
const BEGINS: Duration = Duration::from_millis(500);
/// Virtual: longer than a routine is patient in all.
const LIMIT: Duration = Duration::from_secs(600);

impl TwinArm {
    /// With this board.
    pub fn new(hat: Hat) -> Self {
        let mut limits = Limits::default();
        if hat == Hat::V1_2 {
            limits.connected.retain(|device| device != "bubbler");
        }
        Self { hat, limits }
    }
}

impl Arm for TwinArm {
    fn limits(&self) -> &Limits {
        &self.limits
    }

    fn breaks(&self) -> bool {
        true
    }

    fn perform(&mut self, routine: Routine) -> Result<(), String> {
        // A cue is needed to begin: a question that changes nothing.
        let script = vec![(BEGINS, message("light", &serde_json::json!({"action": "status"})))];
        let mut waiting = Some(routine);
        let performance: Arc<Mutex<Option<Performance>>> = Arc::default();
        let [hears, over] = [performance.clone(), performance.clone()];
        let react = move |seen: &Seen, twin: &Twin| {
            let mut performance = hears.lock().expect("no test panics while it holds this");
            let deeds = match (&mut *performance, seen.at >= Instant::ZERO + BEGINS) {
                (None, false) => vec![],
                (None, true) => match waiting.take() {
                    Some(routine) => {
                        let (begun, deeds) = Performance::begin(routine, seen.at);
                        *performance = Some(begun);
                        deeds
                    }
                    None => vec![],
                },
                (Some(performance), _) => performance.hears(&seen.topic, &seen.payload, seen.at),
            };
            deeds.into_iter().filter_map(|deed| done(deed, twin)).collect()
        };
        let is_over = move |_: &Seen| {
            let performance = over.lock().expect("no test panics while it holds this");
            performance.as_ref().is_some_and(Performance::is_over)
        };
        let mut scenario = Scenario::new(script, LIMIT).react(react);
        scenario.hat = self.hat;
        scenario.until = Box::new(is_over);
        let played = scenario.play();
        let performance = performance.lock().expect("no test panics while it holds this");
        match performance.as_ref() {
            None => return Err("nothing was said when it was to begin".into()),
            Some(performance) if !performance.is_over() => return Err(performance.complaint()),
            Some(_) => {}
        }
        verified(&played.data).map(drop)
    }
}

/// Breaks it, or gives what is to be sent.
fn done(deed: Deed, twin: &Twin) -> Option<Message> {
    match deed {
        Deed::Say(topic, payload) => Some(message(topic, &payload)),
        Deed::Break(fault, time) => {
            let mut world = twin.world();
            let now = world.now();
            let until = (!time.is_zero()).then_some(now + time);
            world.break_it(fault, now, until);
            None
        }
    }
}
