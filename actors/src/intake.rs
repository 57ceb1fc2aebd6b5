//! The one way in: bounded, one command a turn, stops first.
//!
//! Who stops raises the epoch and *then* queues the stop, so a command of a newer epoch proves that its stop is
//! queued: the intake pops a command first and then delivers every stop before it. A stop for which there is no room
//! is remembered without its name: it has its effect, only its answer is lost.

use crate::outlet::Room;
use crate::port::Port;
use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use planktor_drivers::stop::StopLine;
use planktor_protocol::instrument::{Admitted, Command, CommandId};
use planktor_protocol::{Instant, acquisition, motion};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use tokio::sync::Notify;

/// Stops that may wait with their names; more at once are no person's.
const STOPS: usize = 64;

/// The outside's end; any thread.
#[derive(Clone)]
pub struct Gate {
    stop: StopLine,
    stops: Sender<Stop>,
    commands: Sender<Admitted>,
    nameless: Nameless,
    wake: Arc<Notify>,
}

/// The arbiter's end.
pub struct Intake {
    stops: Receiver<Stop>,
    commands: Receiver<Admitted>,
    stop: StopLine,
    nameless: Nameless,
    wake: Arc<Notify>,
}

/// A command that stops something; it overtakes the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stop(pub Admitted);

/// Stops for which there was no room: one flag for each kind.
type Nameless = Arc<[AtomicBool; 4]>;

/// What such a flag stands for.
const KINDS: [fn() -> Command; 4] = [
    || Command::Pump(motion::Command::Stop),
    || Command::Focus(motion::Command::Stop),
    || Command::Acquisition(acquisition::Command::Stop),
    || Command::Shutdown,
];

/// As many commands wait as may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many commands are waiting; send them one at a time")]
pub struct Full;

/// Both ends; at most `bound` commands wait.
pub fn intake(bound: usize, stop: &StopLine) -> (Gate, Intake) {
    let (stops_in, stops) = bounded(STOPS);
    let (commands_in, commands) = bounded(bound);
    let wake = Arc::new(Notify::new());
    let nameless = Nameless::default();
    let gate = Gate {
        stop: stop.clone(),
        stops: stops_in,
        commands: commands_in,
        nameless: nameless.clone(),
        wake: wake.clone(),
    };
    (gate, Intake { stops, commands, stop: stop.clone(), nameless, wake })
}

impl Gate {
    /// Admits a command.
    ///
    /// # Errors
    /// [`Full`]: it was not admitted. A stop has its effect all the same.
    pub fn send(
        &self,
        id: CommandId,
        owner: Option<Arc<str>>,
        arrived: Instant,
        command: Command,
    ) -> Result<(), Full> {
        let (axes, arrived) = (command.stops(), Some(arrived));
        let sent = if axes.is_empty() {
            let epochs = self.stop.epochs();
            self.commands.try_send(Admitted { id, epochs, owner, arrived, command }).map_err(full)
        } else {
            let epochs = self.stop.raise(axes);
            let kind = KINDS.iter().position(|kind| kind() == command);
            self.stops.try_send(Stop(Admitted { id, epochs, owner, arrived, command })).map_err(|error| {
                self.nameless[kind.expect("every stop has a kind")].store(true, SeqCst);
                full(error)
            })
        };
        self.wake.notify_one();
        sent
    }
}

fn full<T>(_: TrySendError<T>) -> Full {
    Full
}

impl Intake {
    /// Delivers, until the arbiter ends: stops at once, commands while there is room for what they are answered.
    pub async fn serve(self, room: Room, stops: Port<Stop>, commands: Port<Admitted>) {
        loop {
            let has_room = room.is_there();
            let command = has_room.then(|| self.commands.try_recv().ok()).flatten();
            let mut idle = command.is_none();
            for stop in self.stops.try_iter() {
                stops.send(stop);
                idle = false;
            }
            for stop in self.nameless() {
                stops.send(stop);
                idle = false;
            }
            if let Some(command) = command {
                commands.send(command);
            }
            if idle {
                tokio::select! {
                    () = self.wake.notified() => {}
                    () = room.freed(), if !has_room => {}
                }
            } else {
                tokio::task::yield_now().await;
            }
        }
    }

    fn nameless(&self) -> Vec<Stop> {
        let remembered = KINDS.iter().zip(self.nameless.iter()).filter(|(_, flag)| flag.swap(false, SeqCst));
        let stop = |(kind, _): (&fn() -> Command, _)| {
            Stop(Admitted {
                id: CommandId::NOBODY,
                epochs: self.stop.epochs(),
                owner: None,
                arrived: None,
                command: kind(),
            })
        };
        remembered.map(stop).collect()
    }
}
