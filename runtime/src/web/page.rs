//! The page: files that are part of the program, so it needs no other server and no internet.

use super::refusal::Refusal;
use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

macro_rules! files {
    ($($name:literal $kind:ident),* $(,)?) => {
        /// Every file: its name, what it is, its content.
        pub(super) const FILES: &[(&str, &str, &str)] =
            &[$(($name, $kind, include_str!(concat!("../../page/", $name)))),*];
    };
}
files! {
    "index.html" HTML, "bare.html" HTML, "style.css" CSS, "icon.svg" SVG,
    "main.mjs" SCRIPT, "api.mjs" SCRIPT, "words.mjs" SCRIPT, "dom.mjs" SCRIPT, "picture.mjs" SCRIPT,
    "operate.mjs" SCRIPT, "acquire.mjs" SCRIPT, "gallery.mjs" SCRIPT, "health.mjs" SCRIPT, "protocols.mjs" SCRIPT, "bare.mjs" SCRIPT,
}

fn file(wanted: &str, headers: &HeaderMap) -> Result<Response, Refusal> {
    let found = FILES.iter().find(|(name, ..)| *name == wanted);
    let (_, kind, content) = found.ok_or_else(|| Refusal::nothing("such page"))?;
    // A browser asks each time whether it still has the program's own version, which costs it next to nothing.
    let tag = format!("\"{}\"", crate::dataset::digest(wanted, content.as_bytes()));
    let known = headers.get(header::IF_NONE_MATCH).is_some_and(|known| *known == *tag);
    let kept = [
        (header::ETAG, tag),
        (header::CACHE_CONTROL, "no-cache".into()),
        (header::CONTENT_TYPE, (*kind).into()),
    ];
    Ok(if known {
        (StatusCode::NOT_MODIFIED, kept).into_response()
    } else {
        (kept, *content).into_response()
    })
}

pub(super) async fn index(headers: HeaderMap) -> Result<Response, Refusal> {
    file("index.html", &headers)
}

pub(super) async fn asset(Path(name): Path<String>, headers: HeaderMap) -> Result<Response, Refusal> {
    file(&name, &headers)
}

/// May be framed by the dashboard, which lives on another port of the same host.
pub(super) async fn bare(headers: HeaderMap) -> Result<Response, Refusal> {
    let mut page = file("bare.html", &headers)?;
    let policy = "default-src 'self'; img-src 'self' blob:; frame-ancestors http: https:";
    page.headers_mut().insert(header::CONTENT_SECURITY_POLICY, header::HeaderValue::from_static(policy));
    Ok(page)
}
