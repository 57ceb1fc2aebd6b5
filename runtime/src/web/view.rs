//! The live picture over HTTP.

use super::refusal::Refusal;
use super::site::Site;
use crate::eyepiece::{View, Viewer};
use axum::body::{Body, Bytes};
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, StreamExt};
use serde::Deserialize;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// A camera starts within this time, and then a frame comes.
const FIRST_WITHIN: Duration = Duration::from_secs(5);
/// A stream ends then, and the page asks again: who may not look any more does not.
const LONGEST: Duration = Duration::from_secs(3_600);
/// Between two parts. Browsers show a part when they have seen the boundary after it: so it is sent at once.
const BOUNDARY: &str = "planktor-frame";

/// What to look at.
#[derive(Deserialize)]
pub(super) struct Look {
    zoom: Option<u8>,
    x: Option<u8>,
    y: Option<u8>,
}

impl Look {
    fn view(&self) -> Result<View, Refusal> {
        let (x, y) = (self.x.unwrap_or(50), self.y.unwrap_or(50));
        match self.zoom {
            None => Ok(View::Whole),
            Some(1) if x <= 100 && y <= 100 => Ok(View::Piece { x, y }),
            Some(1) => Err(Refusal::new(StatusCode::BAD_REQUEST, "x and y: expected hundredths, 0 to 100")),
            Some(_) => Err(Refusal::new(StatusCode::BAD_REQUEST, "zoom: expected 1, or nothing")),
        }
    }
}

fn viewer(site: &Site, look: &Look) -> Result<Viewer, Refusal> {
    let view = look.view()?;
    site.eyepiece.viewer(view).map_err(|crowded| Refusal::busy(crowded.to_string()))
}

pub(super) async fn stream(
    State(site): State<Arc<Site>>,
    Query(look): Query<Look>,
) -> Result<Response, Refusal> {
    let viewer = viewer(&site, &look)?;
    let first = stream::iter([Bytes::from(format!("--{BOUNDARY}\r\n"))]);
    let shots = stream::unfold(viewer, async |mut viewer| {
        let jpeg = viewer.next().await?.jpeg;
        let head = format!("Content-Type: image/jpeg\r\nContent-Length: {}\r\n\r\n", jpeg.len());
        let part = [head.as_bytes(), &jpeg, b"\r\n--", BOUNDARY.as_bytes(), b"\r\n"].concat();
        Some((Bytes::from(part), viewer))
    });
    let kind = format!("multipart/x-mixed-replace; boundary={BOUNDARY}");
    let ended = Box::pin(tokio::time::sleep(LONGEST));
    let body = Body::from_stream(first.chain(shots).take_until(ended).map(Ok::<_, Infallible>));
    Ok(([(header::CONTENT_TYPE, kind)], body).into_response())
}

pub(super) async fn snapshot(
    State(site): State<Arc<Site>>,
    Query(look): Query<Look>,
) -> Result<Response, Refusal> {
    let mut viewer = viewer(&site, &look)?;
    match timeout(FIRST_WITHIN, viewer.next()).await {
        Ok(Some(shot)) => Ok(([(header::CONTENT_TYPE, "image/jpeg")], shot.jpeg).into_response()),
        Ok(None) | Err(_) => {
            Err(Refusal::busy("no frame came within 5 s; is the camera there? See /api/status"))
        }
    }
}
