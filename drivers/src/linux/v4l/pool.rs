//! The memory of a stream's frames: so many buffers and no more. A picture goes back when nobody needs it any more, from
//! whichever thread that is; when the stream has ended it is freed.

use super::formats::{Colours, Shape};
use crossbeam_channel::{Receiver, Sender, bounded};
use planktor_protocol::camera::{Mosaic, Picture, Pixels};
use std::fmt;

/// The free buffers.
pub struct Pool {
    free: Receiver<Vec<u8>>,
    home: Sender<Vec<u8>>,
}

impl Pool {
    /// So many buffers of so many bytes.
    pub fn new(buffers: usize, bytes: usize) -> Self {
        let (home, free) = bounded(buffers);
        for _ in 0..buffers {
            let _ = home.try_send(Vec::with_capacity(bytes));
        }
        Self { free, home }
    }

    /// Copies a frame into a free buffer; `None` if there is none.
    pub fn keep(&self, bytes: &[u8], shape: Shape, colours: Colours) -> Option<Shot> {
        let mut buffer = self.free.try_recv().ok()?;
        buffer.clear();
        buffer.extend_from_slice(bytes);
        Some(Shot { bytes: buffer, home: self.home.clone(), shape, colours })
    }
}

/// A frame as it came. It is unpacked by whoever develops it.
pub struct Shot {
    bytes: Vec<u8>,
    home: Sender<Vec<u8>>,
    shape: Shape,
    colours: Colours,
}

impl Drop for Shot {
    fn drop(&mut self) {
        // There is room for every buffer of a pool; a pool that is no more takes none.
        let _ = self.home.try_send(std::mem::take(&mut self.bytes));
    }
}

impl fmt::Debug for Shot {
    /// Without its bytes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Shot({} bytes, {:?})", self.bytes.len(), self.shape)
    }
}

impl Picture for Shot {
    fn develop(&self) -> Pixels {
        self.shape.pixels(&self.bytes, self.colours)
    }

    fn raw(&self) -> Option<Mosaic> {
        self.shape.raw(&self.bytes, self.colours)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linux::v4l::formats::Layout;
    use planktor_protocol::camera::{Balance, Image};

    const COLOURS: Colours = Colours { black: 0, balance: Balance::Picture };
    const GREY: Shape = Shape { layout: Layout::Grey, width: 1, height: 1, stride: 1, full_range: false };

    #[test]
    fn a_pool_has_no_more_than_its_buffers_and_gets_them_back() {
        let pool = Pool::new(2, 1);
        let first = pool.keep(&[1], GREY, COLOURS).unwrap();
        let second = pool.keep(&[2], GREY, COLOURS).unwrap();
        assert!(pool.keep(&[3], GREY, COLOURS).is_none());
        drop(first);
        let third = pool.keep(&[4], GREY, COLOURS).unwrap();
        assert_eq!(third.develop(), Pixels::Rgb(Image { width: 1, height: 1, rgb: vec![4; 3] }));
        assert_eq!(second.develop(), Pixels::Rgb(Image { width: 1, height: 1, rgb: vec![2; 3] }));
    }

    #[test]
    fn a_picture_outlives_its_stream() {
        let pool = Pool::new(1, 1);
        let shot = pool.keep(&[9], GREY, COLOURS).unwrap();
        drop(pool);
        assert_eq!(shot.develop(), Pixels::Rgb(Image { width: 1, height: 1, rgb: vec![9; 3] }));
    }
}
