//! The live picture: makes small JPEGs of the frames that the camera shows, for those who look, on a thread that gives way
//! to every other.
//!
//! Viewers wait for pictures, never the other way round: a frame that comes while a picture is made is not looked at, and a
//! viewer who is slow gets the newest picture when it comes for it. Without viewers the thread sleeps.

use crate::dataset::Figures;
use crate::dataset::encoder::jpeg;
use crate::dataset::picture::{figures, image, piece, reduced};
use crate::metrics::Metrics;
use axum::body::Bytes;
use crossbeam_channel::Receiver;
use planktor_actors::timing::Stage;
use planktor_protocol::camera::Frame;
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// The whole picture has at least so many pixels, and less than four times as many.
const ABOUT: u32 = 1_000_000;
/// The size of a piece.
const PIECE: (u32, u32) = (1_200, 900);
/// Enough to focus by; a frame of a data set has 95.
const QUALITY: u8 = 80;
/// Different pieces that are looked at at the same time.
const MOST_VIEWS: usize = 8;
/// Viewers at the same time.
const MOST_VIEWERS: u32 = 32;
/// Gives way to whatever has something better to do.
const NICENESS: i32 = 10;

/// What of a frame is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum View {
    /// All of it, smaller.
    Whole,
    /// A piece of it, pixel by pixel, around a point in hundredths of its sides.
    Piece {
        /// From the left.
        x: u8,
        /// From the top.
        y: u8,
    },
}

/// A picture of a frame.
#[derive(Clone, Debug)]
pub struct Shot {
    /// The camera's own number.
    pub seq: u64,
    /// Encoded.
    pub jpeg: Bytes,
}

/// Figures of a frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize, schemars::JsonSchema)]
pub struct Seen {
    /// The camera's own number of the frame.
    pub seq: u64,
    /// Of the whole picture.
    #[serde(flatten)]
    pub figures: Figures,
}

/// Why somebody cannot look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Crowded {
    /// Too many look.
    #[error("{MOST_VIEWERS} look at the picture already; close a page elsewhere")]
    Viewers,
    /// At too many different places.
    #[error(
        "{MOST_VIEWS} different places of the picture are looked at already; look at one of those, or at all of it"
    )]
    Views,
}

/// Who looks at what.
#[derive(Clone, Debug)]
pub struct Eyepiece(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    views: Mutex<BTreeMap<View, Looked>>,
    viewers: watch::Sender<u32>,
    figures: watch::Sender<Option<Seen>>,
    metrics: Metrics,
}

#[derive(Debug)]
struct Looked {
    viewers: u32,
    newest: watch::Sender<Option<Shot>>,
}

/// Somebody who looks; until this is dropped.
#[derive(Debug)]
pub struct Viewer {
    eyepiece: Eyepiece,
    view: View,
    newest: watch::Receiver<Option<Shot>>,
}

impl Eyepiece {
    /// Starts its thread, which ends with the other end of `frames`.
    ///
    /// # Errors
    /// The system has no thread for us.
    pub fn start(frames: Receiver<Frame>, metrics: Metrics) -> io::Result<Self> {
        let shared = Shared {
            views: Mutex::default(),
            viewers: watch::Sender::new(0),
            figures: watch::Sender::new(None),
            metrics,
        };
        let eyepiece = Self(Arc::new(shared));
        let own = eyepiece.clone();
        std::thread::Builder::new().name("eyepiece".into()).spawn(move || {
            // Refused or not, it works; of this thread only, on Linux.
            let _ = rustix::process::setpriority_process(None, NICENESS);
            frames.iter().for_each(|frame| own.look(frame));
        })?;
        Ok(eyepiece)
    }

    /// Begins to look.
    ///
    /// # Errors
    /// [`Crowded`].
    pub fn viewer(&self, view: View) -> Result<Viewer, Crowded> {
        let mut views = self.views();
        if views.values().map(|looked| looked.viewers).sum::<u32>() >= MOST_VIEWERS {
            return Err(Crowded::Viewers);
        }
        if views.len() >= MOST_VIEWS && !views.contains_key(&view) {
            return Err(Crowded::Views);
        }
        let looked =
            views.entry(view).or_insert_with(|| Looked { viewers: 0, newest: watch::Sender::new(None) });
        looked.viewers += 1;
        self.0.viewers.send_modify(|viewers| *viewers += 1);
        Ok(Viewer { eyepiece: self.clone(), view, newest: looked.newest.subscribe() })
    }

    /// How many look, as that changes.
    pub fn viewers(&self) -> watch::Receiver<u32> {
        self.0.viewers.subscribe()
    }

    /// The newest frame's figures, as they change; they are made while somebody looks.
    pub fn figures(&self) -> watch::Receiver<Option<Seen>> {
        self.0.figures.subscribe()
    }

    fn look(&self, frame: Frame) {
        let wanted: Vec<View> = self.views().keys().copied().collect();
        if wanted.is_empty() {
            return;
        }
        let seq = frame.seq;
        let made = self.0.metrics.timed(Stage::Preview, || shots(frame, &wanted));
        let Ok((figures, jpegs)) = made else {
            self.0.metrics.no_picture();
            return;
        };
        self.0.metrics.picture(figures);
        self.0.figures.send_replace(Some(Seen { seq, figures }));
        let views = self.views();
        for (view, jpeg) in jpegs {
            if let Some(looked) = views.get(&view) {
                looked.newest.send_replace(Some(Shot { seq, jpeg }));
            }
        }
    }

    fn views(&self) -> MutexGuard<'_, BTreeMap<View, Looked>> {
        self.0.views.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes the frame: it may hold a place in the camera's pool, and gives it back when it is developed.
fn shots(frame: Frame, wanted: &[View]) -> Result<(Figures, Vec<(View, Bytes)>), String> {
    let in_detail = wanted.iter().any(|view| *view != View::Whole);
    let small = if in_detail { None } else { frame.picture.small(ABOUT) };
    let (whole, all) = match small {
        Some(small) => (small, None),
        None => {
            let all = image(frame.picture.develop())?;
            (reduced(&all, (all.width * all.height / ABOUT).isqrt()), Some(all))
        }
    };
    drop(frame);
    let shot = |view: &View| {
        let jpeg = match (view, &all) {
            (View::Piece { x, y }, Some(all)) => jpeg(&piece(all, PIECE, (*x, *y)), QUALITY),
            _ => jpeg(&whole, QUALITY),
        };
        jpeg.map(|jpeg| (*view, Bytes::from(jpeg)))
    };
    Ok((figures(&whole), wanted.iter().map(shot).collect::<Result<_, _>>()?))
}

impl Viewer {
    /// The next picture that it has not seen. Waits for it, so give up after a while. `None`: there will be no more.
    pub async fn next(&mut self) -> Option<Shot> {
        loop {
            self.newest.changed().await.ok()?;
            if let Some(shot) = self.newest.borrow_and_update().clone() {
                return Some(shot);
            }
        }
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        let mut views = self.eyepiece.views();
        if let Some(looked) = views.get_mut(&self.view) {
            looked.viewers -= 1;
            if looked.viewers == 0 {
                views.remove(&self.view);
            }
        }
        self.eyepiece.0.viewers.send_modify(|viewers| *viewers -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use planktor_protocol::Instant;
    use planktor_protocol::Interval;
    use planktor_protocol::camera::{Image, Picture, Pixels};

    #[derive(Debug)]
    struct Grey(u8);

    impl Picture for Grey {
        fn develop(&self) -> Pixels {
            Pixels::Rgb(Image { width: 2_400, height: 1_800, rgb: vec![self.0; 2_400 * 1_800 * 3] })
        }
    }

    fn frame(seq: u64) -> Frame {
        let interval = Interval { from: Instant::ZERO, to: Instant::ZERO };
        Frame { seq, interval, picture: Arc::new(Grey(100)) }
    }

    fn eyepiece() -> (crossbeam_channel::Sender<Frame>, Eyepiece) {
        let (show, frames) = crossbeam_channel::bounded(0);
        (show, Eyepiece::start(frames, Metrics::default()).unwrap())
    }

    #[tokio::test]
    async fn each_view_has_its_size_and_a_slow_viewer_gets_the_newest() {
        let (show, eyepiece) = eyepiece();
        let mut whole = eyepiece.viewer(View::Whole).unwrap();
        let mut part = eyepiece.viewer(View::Piece { x: 50, y: 50 }).unwrap();
        assert_eq!(*eyepiece.viewers().borrow(), 2);
        for seq in 1..=3 {
            show.send(frame(seq)).unwrap();
        }
        // Whoever shows the fourth knows that the third is made.
        show.send(frame(4)).unwrap();
        let size = |jpeg: &[u8]| {
            let image = crate::dataset::picture::decode(jpeg, u16::MAX).unwrap();
            (image.width, image.height)
        };
        let shot = whole.next().await.unwrap();
        assert!(shot.seq >= 3, "{}", shot.seq);
        assert_eq!(size(&shot.jpeg), (1_200, 900));
        assert_eq!(size(&part.next().await.unwrap().jpeg), PIECE);
    }

    #[tokio::test]
    async fn who_is_one_too_many_is_told_and_who_goes_makes_room() {
        let (_show, eyepiece) = eyepiece();
        let mut views: Vec<_> = (0..8).map(|x| eyepiece.viewer(View::Piece { x, y: 0 }).unwrap()).collect();
        assert_eq!(eyepiece.viewer(View::Whole).unwrap_err(), Crowded::Views);
        views.extend((8..32).map(|_| eyepiece.viewer(View::Piece { x: 0, y: 0 }).unwrap()));
        assert_eq!(eyepiece.viewer(View::Piece { x: 0, y: 0 }).unwrap_err(), Crowded::Viewers);
        views.clear();
        assert!(eyepiece.viewer(View::Whole).is_ok());
        assert_eq!(*eyepiece.viewers().borrow(), 0);
    }
}
