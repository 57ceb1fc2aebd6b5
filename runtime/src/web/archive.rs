//! All files of a data set in one zip, packed while it is sent: it never exists, and a slow client holds up only itself.

use super::datasets::{LARGEST, Set};
use super::refusal::Refusal;
use super::site::Site;
use crate::dataset::{INTEGRITY, METADATA, RECORDS, looks_like_frame};
use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use std::io::{self, Read, Write};
use std::sync::Arc;
use tokio::sync::mpsc;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// Pieces that wait for a slow client, and their size.
const PIECES: usize = 4;
const PIECE: usize = 256 << 10;

/// Hands pieces of a zip over to the client, and waits for it.
struct Pieces {
    to: mpsc::Sender<Result<Bytes, io::Error>>,
    piece: Vec<u8>,
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.piece.extend_from_slice(bytes);
        if self.piece.len() >= PIECE {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let piece = std::mem::take(&mut self.piece);
        self.to.blocking_send(Ok(piece.into())).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

pub(super) async fn zip(State(site): State<Arc<Site>>, Path(set): Path<Set>) -> Result<Response, Refusal> {
    let mut names = site.root.names(&set.parts())?;
    names.retain(|name| looks_like_frame(name) || [METADATA, RECORDS, INTEGRITY].contains(&name.as_str()));
    if names.is_empty() {
        return Err(Refusal::nothing("such data set"));
    }
    let Ok(place) = site.zips.try_acquire() else {
        return Err(Refusal::busy("other data sets are being sent; try again when they are there"));
    };
    // Given back when the last piece is sent, which may be long after this.
    place.forget();
    let name = format!("{}_{}_{}.zip", set.date, set.sample, set.acquisition);
    let (to, pieces) = mpsc::channel(PIECES);
    let own = site.clone();
    tokio::task::spawn_blocking(move || {
        let failed = to.clone();
        if let Err(why) = pack(&own, &set, &names, Pieces { to, piece: Vec::new() }) {
            // A client that reads it knows from this that it is not whole.
            let _ = failed.blocking_send(Err(why));
        }
        own.zips.add_permits(1);
    });
    let body =
        Body::from_stream(stream::unfold(pieces, async |mut pieces| Some((pieces.recv().await?, pieces))));
    let plain: String =
        name.chars().map(|c| if c.is_ascii_graphic() && !"\"\\".contains(c) { c } else { '_' }).collect();
    let head = [
        (header::CONTENT_TYPE, "application/zip".to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{plain}\"")),
    ];
    Ok((head, body).into_response())
}

/// JPEGs cannot be made smaller: they are stored as they are.
fn pack(site: &Site, set: &Set, names: &[String], to: Pieces) -> io::Result<()> {
    let mut zip = ZipWriter::new_stream(to);
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored).large_file(true);
    for name in names {
        // A frame that was taken back meanwhile is left out.
        let Ok(file) = site.root.file(&set.file(name)) else { continue };
        zip.start_file(format!("{}/{}/{}/{name}", set.date, set.sample, set.acquisition), options)?;
        io::copy(&mut file.take(LARGEST), &mut zip)?;
    }
    zip.finish()?.into_inner().flush()
}
