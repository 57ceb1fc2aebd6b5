//! The data sets over HTTP: lists, records, frames, thumbnails, checks. Reads only.

use super::refusal::Refusal;
use super::site::Site;
use crate::dataset::encoder::jpeg;
use crate::dataset::folder::is_date;
use crate::dataset::picture::decode;
use crate::dataset::{METADATA, RECORDS, REPORT_POLICY, Verdict, looks_like_frame, report_page, verify};
use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, Stream};
use http_range_header::parse_range_header;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

/// Below the root.
const SETS: &str = "img";
const CAPTURES: &str = "captures";
/// No file of a data set is larger.
pub(super) const LARGEST: u64 = 256 << 20;
/// Side of a thumbnail, and how it is compressed.
const SIDE: u16 = 400;
const QUALITY: u8 = 75;
/// What is read of a file at a time.
const PIECE: u64 = 256 << 10;
/// Data sets in one answer.
const USUAL_LIMIT: usize = 50;
const MOST: usize = 500;

/// Where a data set is.
#[derive(Deserialize)]
pub(super) struct Set {
    pub(super) date: String,
    pub(super) sample: String,
    pub(super) acquisition: String,
}

/// And a file of it.
#[derive(Deserialize)]
pub(super) struct FileOf {
    #[serde(flatten)]
    set: Set,
    name: String,
}

impl Set {
    pub(super) fn parts(&self) -> [&str; 4] {
        [SETS, &self.date, &self.sample, &self.acquisition]
    }

    pub(super) fn file<'a>(&'a self, name: &'a str) -> [&'a str; 5] {
        let [sets, date, sample, acquisition] = self.parts();
        [sets, date, sample, acquisition, name]
    }
}

/// Reads beside the thread that answers.
async fn beside<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Refusal> + Send + 'static,
) -> Result<T, Refusal> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|_| {
        Err(Refusal::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the program panicked; please report it with the log",
        ))
    })
}

fn read(site: &Site, parts: &[&str]) -> Result<Vec<u8>, Refusal> {
    let mut bytes = Vec::new();
    let file = site.root.file(parts)?;
    file.take(LARGEST).read_to_end(&mut bytes).map_err(|why| unreadable(parts, &why))?;
    Ok(bytes)
}

fn unreadable(parts: &[&str], why: &io::Error) -> Refusal {
    Refusal::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        format!("{} cannot be read: {why}; check the disk", parts.join("/")),
    )
}

/// Which.
#[derive(Deserialize)]
pub(super) struct Listing {
    before: Option<String>,
    limit: Option<usize>,
}

/// Some data sets.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct DataSets {
    /// Newest day first; within a day, the newest first.
    datasets: Vec<Summary>,
    /// For `before`: there are older ones.
    next: Option<String>,
}

/// A data set in a line.
#[derive(Debug, Serialize, JsonSchema)]
struct Summary {
    date: String,
    sample: String,
    acquisition: String,
    /// Under their names.
    frames: usize,
    /// That were to be, if that is recorded.
    planned: Option<u64>,
    /// `complete`, `stopped` or `failed`; missing while it is written, or if it was cut off or made by another program.
    end: Option<String>,
    /// One to show.
    shown: Option<String>,
}

pub(super) async fn list(
    State(site): State<Arc<Site>>,
    Query(Listing { before, limit }): Query<Listing>,
) -> Result<Json<DataSets>, Refusal> {
    let limit = limit.unwrap_or(USUAL_LIMIT);
    if !(1..=MOST).contains(&limit) {
        return Err(Refusal::new(
            StatusCode::BAD_REQUEST,
            format!("limit: expected 1 to {MOST}, got {limit}"),
        ));
    }
    beside(move || {
        let mut days = names_or_none(&site, &[SETS])?;
        days.retain(|day| is_date(day) && before.as_ref().is_none_or(|before| day < before));
        let mut datasets = Vec::new();
        while datasets.len() < limit
            && let Some(day) = days.pop()
        {
            datasets.extend(of_a_day(&site, &day)?);
        }
        let next = datasets.last().filter(|_| !days.is_empty()).map(|last: &Summary| last.date.clone());
        Ok(Json(DataSets { datasets, next }))
    })
    .await
}

/// A folder that is not there has nothing in it.
fn names_or_none(site: &Site, parts: &[&str]) -> Result<Vec<String>, Refusal> {
    match site.root.names(parts) {
        Err(refusal) if refusal.status == StatusCode::NOT_FOUND => Ok(Vec::new()),
        names => names,
    }
}

fn of_a_day(site: &Site, date: &str) -> Result<Vec<Summary>, Refusal> {
    let mut sets = Vec::new();
    for sample in names_or_none(site, &[SETS, date])? {
        for acquisition in names_or_none(site, &[SETS, date, &sample])? {
            let set = Set { date: date.into(), sample: sample.clone(), acquisition };
            // What is no folder is no data set.
            let Ok(names) = site.root.names(&set.parts()) else { continue };
            let frames: Vec<String> = names.into_iter().filter(|name| looks_like_frame(name)).collect();
            let records = site.root.file(&set.file(RECORDS)).ok();
            let [first, last] = records.map_or_else(Default::default, first_and_last);
            let summary = Summary {
                frames: frames.len(),
                planned: first["planned"].as_u64(),
                end: last["end"].as_str().map(Into::into),
                shown: frames.get(frames.len() / 2).cloned(),
                date: set.date,
                sample: set.sample,
                acquisition: set.acquisition,
            };
            let newest = frames.last().cloned().unwrap_or_default();
            sets.push((newest, summary));
        }
    }
    sets.sort_by(|a, b| b.0.cmp(&a.0));
    Ok(sets.into_iter().map(|(_, summary)| summary).collect())
}

/// The longest line of a record file: the first one has the whole plan.
const LINE: u64 = 128 << 10;

/// The first and the last line of a record file, as far as they are JSON.
fn first_and_last(mut file: File) -> [Value; 2] {
    let mut end = |from: SeekFrom| -> io::Result<Vec<u8>> {
        file.seek(from)?;
        let mut bytes = Vec::new();
        (&file).take(LINE).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let line =
        |line: Option<&[u8]>| line.and_then(|line| serde_json::from_slice(line).ok()).unwrap_or_default();
    let head = end(SeekFrom::Start(0)).unwrap_or_default();
    let tail = end(SeekFrom::End(-i64::try_from(LINE).unwrap_or(0))).unwrap_or_else(|_| head.clone());
    let newline = |byte: &u8| *byte == b'\n';
    [line(head.split(newline).next()), line(tail.rsplit(newline).find(|line| !line.is_empty()))]
}

/// A data set.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct DataSet {
    /// As in `metadata.json`.
    metadata: Value,
    /// The first line of the record file: camera, anchor of the time, frames planned. Missing if another program made it.
    head: Option<Value>,
    /// Its last line, if that says how it ended.
    end: Option<Value>,
    /// The frames under their names, in order of time.
    frames: Vec<Frame>,
}

/// A frame.
#[derive(Debug, Serialize, JsonSchema)]
struct Frame {
    name: String,
    /// Its line in the record file.
    record: Option<Value>,
}

pub(super) async fn one(
    State(site): State<Arc<Site>>,
    Path(set): Path<Set>,
) -> Result<Json<DataSet>, Refusal> {
    beside(move || {
        let names = site.root.names(&set.parts())?;
        let metadata = read(&site, &set.file(METADATA)).unwrap_or_default();
        let records = read(&site, &set.file(RECORDS)).unwrap_or_default();
        let lines: Vec<Map<String, Value>> = records
            .split(|byte| *byte == b'\n')
            .filter_map(|line| serde_json::from_slice(line).ok())
            .collect();
        let with = |line: Option<&Map<String, Value>>, key: &str| {
            line.filter(|line| line.contains_key(key)).cloned().map(Value::Object)
        };
        let mut by_name: std::collections::BTreeMap<&str, &Map<String, Value>> =
            lines.iter().filter_map(|line| Some((line.get("file")?.as_str()?, line))).collect();
        let frames = names.into_iter().filter(|name| looks_like_frame(name));
        let frames = frames.map(|name| {
            let record = by_name.remove(name.as_str()).cloned().map(Value::Object);
            Frame { name, record }
        });
        let frames = frames.collect();
        let metadata = serde_json::from_slice(&metadata).unwrap_or_default();
        Ok(Json(DataSet {
            metadata,
            head: with(lines.first(), "planktor_frames"),
            end: with(lines.last(), "end"),
            frames,
        }))
    })
    .await
}

pub(super) async fn frame(
    State(site): State<Arc<Site>>,
    Path(FileOf { set, name }): Path<FileOf>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    if !looks_like_frame(&name) {
        return Err(Refusal::nothing("such frame"));
    }
    beside(move || served(&site, &set.file(&name), "image/jpeg", &headers)).await
}

pub(super) async fn capture(
    State(site): State<Arc<Site>>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let kind = match name.rsplit_once('.') {
        Some((_, "jpg")) => "image/jpeg",
        Some((_, "dng")) => "image/x-adobe-dng",
        _ => return Err(Refusal::nothing("such picture")),
    };
    beside(move || served(&site, &[CAPTURES, &name], kind, &headers)).await
}

/// A file that never changes: with a tag, and in pieces if that is asked.
fn served(site: &Site, parts: &[&str], kind: &'static str, headers: &HeaderMap) -> Result<Response, Refusal> {
    let mut file = site.root.file(parts)?;
    let metadata = file.metadata().map_err(|why| unreadable(parts, &why))?;
    let size = metadata.len().min(LARGEST);
    let changed =
        metadata.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
    let tag = format!("\"{:x}-{:x}-{:x}\"", metadata.ino(), size, changed.as_nanos());
    let text = |name: header::HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let kept =
        [(header::ETAG, tag.clone()), (header::CACHE_CONTROL, "private, max-age=31536000, immutable".into())];
    if text(header::IF_NONE_MATCH).is_some_and(|known| known.split(',').any(|one| one.trim() == tag)) {
        return Ok((StatusCode::NOT_MODIFIED, kept).into_response());
    }
    let whole = 0..=size.saturating_sub(1);
    // A range of something else than this file is all of it; so are several ranges.
    let range = text(header::RANGE).filter(|_| text(header::IF_RANGE).is_none_or(|of| of == tag));
    let range = match range.map(|range| parse_range_header(range).and_then(|range| range.validate(size))) {
        None => None,
        Some(Ok(ranges)) if ranges.len() == 1 => Some(ranges[0].clone()),
        Some(Ok(_)) => None,
        Some(Err(_)) => {
            let all = [(header::CONTENT_RANGE, format!("bytes */{size}"))];
            let refusal = Refusal::new(
                StatusCode::RANGE_NOT_SATISFIABLE,
                format!("the range lies outside the {size} bytes of this file"),
            );
            return Ok((all, refusal).into_response());
        }
    };
    let (from, to) = range.clone().unwrap_or(whole).into_inner();
    let length = if size == 0 { 0 } else { to - from + 1 };
    file.seek(SeekFrom::Start(from)).map_err(|why| unreadable(parts, &why))?;
    let all = [
        (header::CONTENT_TYPE, kind.to_owned()),
        (header::ACCEPT_RANGES, "bytes".into()),
        (header::CONTENT_LENGTH, length.to_string()),
    ];
    let body = Body::from_stream(pieces(file, length));
    Ok(match range {
        None => (kept, all, body).into_response(),
        Some(_) => {
            let part = [(header::CONTENT_RANGE, format!("bytes {from}-{to}/{size}"))];
            (StatusCode::PARTIAL_CONTENT, kept, all, part, body).into_response()
        }
    })
}

/// So many bytes of a file, piece by piece, as fast as the client takes them: one who is slow costs one piece of memory.
fn pieces(file: File, length: u64) -> impl Stream<Item = io::Result<Bytes>> {
    stream::try_unfold((file, length), async |(mut file, left)| {
        if left == 0 {
            return Ok(None);
        }
        let read = move || {
            let mut piece = vec![0; usize::try_from(left.min(PIECE)).unwrap_or(0)];
            file.read_exact(&mut piece)?;
            let left = left - piece.len() as u64;
            Ok(Some((Bytes::from(piece), (file, left))))
        };
        tokio::task::spawn_blocking(read).await.unwrap_or_else(|panic| Err(io::Error::other(panic)))
    })
}

pub(super) async fn thumbnail(
    State(site): State<Arc<Site>>,
    Path(FileOf { set, name }): Path<FileOf>,
) -> Result<Response, Refusal> {
    if !looks_like_frame(&name) {
        return Err(Refusal::nothing("such frame"));
    }
    let key = set.file(&name).iter().collect::<std::path::PathBuf>();
    let made = match site.thumbnail(&key) {
        Some(made) => made,
        None => {
            let place =
                site.heavy.clone().acquire_owned().await.map_err(|_| Refusal::busy("the program ends"))?;
            let (from, of) = (site.clone(), (set, name));
            let made = beside(move || {
                // Held by the work, which goes on when nobody waits for it any more.
                let _place = place;
                let (set, name) = of;
                let bytes = read(&from, &set.file(&name))?;
                let small = decode(&bytes, SIDE).and_then(|image| jpeg(&image, QUALITY));
                small.map(Bytes::from).map_err(|why| {
                    Refusal::new(
                        StatusCode::INTERNAL_SERVER_ERROR,
                        format!("{name} cannot be shown: {why}; verify the data set"),
                    )
                })
            });
            let made = made.await?;
            site.keep_thumbnail(key, made.clone());
            made
        }
    };
    let kept = [(header::CONTENT_TYPE, "image/jpeg"), (header::CACHE_CONTROL, "private, max-age=86400")];
    Ok((kept, made).into_response())
}

/// What a check found.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Verified {
    /// Whether every finished frame is as it was written.
    valid: bool,
    /// And none is missing.
    complete: bool,
    /// That are recorded and under their names.
    frames: u64,
    /// That were to be.
    planned: Option<u64>,
    /// In words.
    report: String,
}

pub(super) async fn verified(
    State(site): State<Arc<Site>>,
    Path(set): Path<Set>,
) -> Result<Json<Verified>, Refusal> {
    let place = site.heavy.clone().acquire_owned().await.map_err(|_| Refusal::busy("the program ends"))?;
    let own = site.clone();
    beside(move || {
        let _place = place;
        let report = verify(&own.root.folder(&set.parts())?);
        Ok(Json(Verified {
            valid: report.is_valid(),
            complete: report.verdict == Verdict::Complete,
            frames: report.frames,
            planned: report.planned,
            report: report.words().to_string(),
        }))
    })
    .await
}

/// The page that tells everything of a data set.
pub(super) async fn report(State(site): State<Arc<Site>>, Path(set): Path<Set>) -> Result<Response, Refusal> {
    let place = site.heavy.clone().acquire_owned().await.map_err(|_| Refusal::busy("the program ends"))?;
    let own = site.clone();
    beside(move || {
        let _place = place;
        let folder = own.root.folder(&set.parts())?;
        // One thread: frames that are being taken have the others.
        let page = report_page(&folder, 1, &|_, _| {}).map_err(|why| unreadable(&set.parts(), &why))?;
        let head = [
            (header::CONTENT_TYPE, "text/html; charset=utf-8".to_owned()),
            (header::CONTENT_SECURITY_POLICY, format!("{REPORT_POLICY}; frame-ancestors 'self'; sandbox")),
        ];
        Ok((head, page).into_response())
    })
    .await
}
