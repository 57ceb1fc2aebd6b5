//! Where frames are shown to those who look. Whoever makes pictures of them takes the next one when it has done with the
//! one before; nobody waits for it, and what it does not take is not kept.

use crossbeam_channel::{Receiver, Sender, bounded};
use planktor_protocol::camera::Frame;

/// The camera's end.
#[derive(Clone, Debug, Default)]
pub struct Viewfinder(Option<Sender<Frame>>);

/// A viewfinder, and who looks through it: it gets a frame only while it waits for one.
pub fn viewfinder() -> (Viewfinder, Receiver<Frame>) {
    let (show, see) = bounded(0);
    (show.into(), see)
}

impl From<Sender<Frame>> for Viewfinder {
    /// Whoever has a queue of their own: what finds no room in it is not shown.
    fn from(show: Sender<Frame>) -> Self {
        Self(Some(show))
    }
}

impl Viewfinder {
    /// Shows a frame to whoever waits for one.
    pub(crate) fn show(&self, frame: Frame) {
        if let Some(viewer) = &self.0 {
            // Nobody waits just now: the next one will do.
            let _ = viewer.try_send(frame);
        }
    }
}
