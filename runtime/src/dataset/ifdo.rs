//! A data set as an iFDO, the marine imaging community's metadata (image FAIR Digital Object, version 2.2.1, ifdo-schema.org).
//! Never says what nobody knows: a field that the standard requires and nobody gave is left out and named.
//!
//! **Where.** The standard has one position and calls it the camera's, because its cameras are in the sea. Ours stands in a
//! laboratory or on a deck, hours and miles from where the water was taken; who looks for images by place looks for the
//! plankton's. So `image-latitude`, `image-longitude` and `image-altitude-meters` are those of the *sampling*, as the operator
//! said it, with `image-deployment: sampling` ("ex-situ imaging of samples taken by other method") and `image-marine-zone:
//! laboratory` to say so; the instrument's own fix stands among `image-acquisition-settings`. For water that is pumped in under
//! way the two are one: [`Where::Instrument`].
//!
//! **When.** `image-datetime` is the best that the whole data set knows of a frame's exposure, not its file's name. Header
//! fields are defaults of the items; so where one item has no time or place, the header has none.

use super::knowing::{Known, Said, depth, is_place, pixel_um, sampled, times};
use super::metadata::version_5;
use super::reading::{Set, Shot};
use super::{digest, looks_like_frame};
use planktor_protocol::Utc;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io::Read;
use std::path::Path;
use uuid::Uuid;

/// The version that is written.
const VERSION: &str = "v2.2.1";
/// Its schema, by the handle that the standard gives it.
const SCHEMA: &str = "http://hdl.handle.net/20.500.12085/22aba7d7-c432-49ab-bebe-ee8ed4f70150";
/// No frame is larger.
const LARGEST: u64 = 256 << 20;

/// What the standard requires of a header, and how it can be given.
const REQUIRED: [(&str, &str); 20] = [
    ("image-set-name", ""),
    ("image-set-uuid", ""),
    ("image-set-handle", "--handle URL"),
    ("image-set-ifdo-version", ""),
    ("image-datetime", "no clock was believable when some of its frames were taken"),
    ("image-latitude", "--position LATITUDE,LONGITUDE or --position instrument"),
    ("image-longitude", "--position LATITUDE,LONGITUDE or --position instrument"),
    ("image-altitude-meters", "--altitude METRES, negative below the sea's surface"),
    ("image-coordinate-reference-system", "with a position"),
    ("image-coordinate-uncertainty-meters", "--uncertainty METRES"),
    ("image-context", "--context NAME"),
    ("image-project", "--project NAME"),
    ("image-event", "--event NAME"),
    ("image-platform", "--platform NAME"),
    ("image-sensor", "--sensor NAME"),
    ("image-pi", "--pi NAME"),
    ("image-creators", "--creator NAME"),
    ("image-license", "--license NAME"),
    ("image-copyright", "--copyright TEXT"),
    ("image-abstract", "--abstract TEXT"),
];

/// Whose position the images have.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Where {
    /// Where the sample was taken, as the operator said it.
    #[default]
    Operator,
    /// Where the instrument was, by its own receiver: for water that is pumped in under way.
    Instrument,
    /// Degrees north and east.
    At(f64, f64),
}

/// A name, with an address or without.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// What it is called.
    pub name: String,
    /// Where more is said about it.
    pub uri: Option<String>,
}

/// What a person gives beside the data set; it wins over the metadata.
#[derive(Clone, Debug, Default)]
#[expect(missing_docs, reason = "each is the field of that name")]
pub struct Given {
    pub handle: Option<String>,
    pub position: Where,
    pub altitude_m: Option<f64>,
    pub uncertainty_m: Option<f64>,
    pub context: Option<Named>,
    pub project: Option<Named>,
    pub event: Option<Named>,
    pub platform: Option<Named>,
    pub sensor: Option<Named>,
    pub pi: Option<Named>,
    pub creators: Vec<Named>,
    pub license: Option<Named>,
    pub copyright: Option<String>,
    pub summary: Option<String>,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Ifdo {
    /// Of the image set.
    pub name: String,
    /// The file's content.
    pub document: Value,
    /// Required fields that nobody gave, and how to give each.
    pub missing: Vec<(&'static str, &'static str)>,
    /// Frames that are left out, because they are not as they were written; and what else to know.
    pub left_out: Vec<String>,
    /// What is right and yet surprises.
    pub remarks: Vec<String>,
}

impl Named {
    /// Reads `NAME` or `NAME <URI>`.
    ///
    /// # Errors
    /// In words: there is no name.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (name, uri) = match text.trim().strip_suffix('>').and_then(|text| text.rsplit_once('<')) {
            Some((name, uri)) => (name, Some(uri.trim().to_owned())),
            None => (text, None),
        };
        match name.trim() {
            "" => Err("expected NAME or \"NAME <URI>\"".into()),
            name => Ok(Self { name: name.into(), uri: uri.filter(|uri| !uri.is_empty()) }),
        }
    }

    fn plain(name: String) -> Self {
        Self { name, uri: None }
    }

    fn json(&self) -> Value {
        match &self.uri {
            Some(uri) => json!({"name": self.name, "uri": uri}),
            None => json!({"name": self.name}),
        }
    }
}

impl std::str::FromStr for Where {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "operator" => return Ok(Self::Operator),
            "instrument" => return Ok(Self::Instrument),
            _ => {}
        }
        let parsed = text.split_once(',').and_then(|(latitude, longitude)| {
            Some((latitude.trim().parse().ok()?, longitude.trim().parse().ok()?))
        });
        match parsed {
            Some((latitude, longitude)) if is_place(latitude, longitude) => Ok(Self::At(latitude, longitude)),
            Some(_) => Err("these are no place's degrees (or a placeholder: 0,0 or -90,0)".into()),
            None => Err("expected operator, instrument, or degrees north and east as 48.73,-3.98".into()),
        }
    }
}

/// Makes the iFDO of a data set; reads and hashes every frame. `done` is told how many frames are, of how many.
///
/// # Errors
/// In words: the folder cannot be read.
pub fn ifdo(folder: &Path, given: &Given, done: &dyn Fn(usize, usize)) -> Result<Ifdo, String> {
    let set = Set::read(folder)
        .map_err(|why| format!("failed to look into {}: {why}; check the path", folder.display()))?;
    let times = times(&set);
    let uuid = uuid_of(&set);
    let handle = given.handle.clone().map(|handle| handle.trim_end_matches('/').to_owned());
    let (mut items, mut left_out) = (Map::new(), Vec::new());
    for (n, (shot, known)) in set.shots.iter().zip(&times).enumerate() {
        match sha256(folder, shot) {
            Ok(hash) => {
                let own = version_5(uuid, &shot.name);
                let item = Item { shot, known: known.as_ref(), uuid: own, hash, handle: handle.as_deref() };
                items.insert(shot.name.clone(), item.json(&set, given));
            }
            Err(why) => left_out.push(format!("{} is left out: {why}", shot.name)),
        }
        done(n + 1, set.shots.len());
    }
    let (name, mut header) = header(&set, given, uuid, handle);
    inherit(&mut header, &items);
    let missing = REQUIRED.into_iter().filter(|(field, _)| !header.contains_key(*field)).collect();
    let document = json!({"image-set-header": header, "image-set-items": items, "$schema": SCHEMA});
    Ok(Ifdo { name, document, missing, left_out, remarks: remarks(&set, given, &times) })
}

fn remarks(set: &Set, given: &Given, times: &[Option<Known>]) -> Vec<String> {
    let mut remarks = Vec::new();
    if given.handle.is_none() {
        remarks.push("image-set-handle is only a placeholder (urn:uuid:…) until the images are published; then give --handle URL".into());
    }
    if let (Where::Operator, Said::No(why)) = (given.position, sampled(set)) {
        remarks.push(format!("there is no position: {why}"));
    }
    let unknown = times.iter().filter(|known| known.is_none()).count();
    if unknown > 0 {
        remarks.push(format!("{unknown} frames have no time: no clock was believable"));
    }
    if set.text("planktor_board").as_deref() == Some("twin") {
        remarks.push("the instrument was simulated; the abstract says so".into());
    }
    remarks
}

fn header(set: &Set, given: &Given, uuid: Uuid, handle: Option<String>) -> (String, Map<String, Value>) {
    let text = |key: &str| set.text(key);
    let or = |given: &Option<Named>, said: Option<String>| given.clone().or_else(|| said.map(Named::plain));
    let project = or(&given.project, text("sample_project"));
    let event = or(&given.event, text("sample_id"));
    let sensor = or(&given.sensor, sensor(set));
    let parts = [project.as_ref(), event.as_ref()].into_iter().flatten().map(|named| named.name.clone());
    let parts = parts.chain(text("acq_id")).chain(sensor.as_ref().map(|sensor| sensor.name.clone()));
    let name = parts.collect::<Vec<_>>().join(" ");
    let mut header = Map::new();
    let mut put = |field: &str, value: Option<Value>| {
        if let Some(value) = value {
            header.insert(field.into(), value);
        }
    };
    put("image-set-name", Some(json!(name)));
    put("image-set-uuid", Some(json!(uuid.to_string())));
    put("image-set-handle", Some(handle.map_or_else(|| json!(format!("urn:uuid:{uuid}")), Value::String)));
    put("image-set-ifdo-version", Some(json!(VERSION)));
    put("image-altitude-meters", altitude(set, given));
    put("image-coordinate-uncertainty-meters", given.uncertainty_m.map(|metres| json!(metres)));
    put("image-context", or(&given.context, project.as_ref().map(|p| p.name.clone())).map(|n| n.json()));
    put("image-project", project.map(|named| named.json()));
    put("image-event", event.map(|named| named.json()));
    put("image-platform", or(&given.platform, text("sample_ship")).map(|named| named.json()));
    put("image-sensor", sensor.map(|named| named.json()));
    put("image-pi", or(&given.pi, text("pi")).map(|named| named.json()));
    put("image-creators", creators(set, given));
    put("image-license", or(&given.license, text("license")).map(|named| named.json()));
    put("image-copyright", given.copyright.clone().or_else(|| text("copyright")).map(Value::String));
    put(
        "image-abstract",
        Some(Value::String(given.summary.clone().unwrap_or_else(|| summary(set, given.position)))),
    );
    put("image-acquisition", Some(json!("photo")));
    put("image-quality", Some(json!("raw")));
    put("image-deployment", Some(json!("sampling")));
    put("image-illumination", Some(json!("artificial light")));
    put("image-pixel-magnitude", pixel_um(set).map(|_| json!("µm")));
    put("image-marine-zone", Some(json!("laboratory")));
    put("image-spectral-resolution", Some(json!("rgb")));
    put("image-capture-mode", Some(json!("timer")));
    if given.position == Where::Instrument {
        put("image-navigation", Some(json!("satellite")));
    }
    put("image-area-square-meters", area(set));
    put("image-time-synchronisation", synchronisation(set));
    put(
        "image-item-identification-scheme",
        Some(json!(
            "<UTC of the exposure's start by the data set's anchor, YYYY-MM-DD_hh-mm-ss-ffffff>.jpg; image-datetime may know better"
        )),
    );
    let settings = json!({"camera": set.parts.first().map(|part| &part.camera), "metadata": set.metadata});
    put("image-acquisition-settings", Some(settings));
    (name, header)
}

/// A representative time and place, if every item has one.
fn inherit(header: &mut Map<String, Value>, items: &Map<String, Value>) {
    let fields =
        ["image-datetime", "image-latitude", "image-longitude", "image-coordinate-uncertainty-meters"];
    for field in fields {
        let all = !items.is_empty() && items.values().all(|item| item.get(field).is_some());
        if let (true, Some(first)) = (all, items.values().find_map(|item| item.get(field))) {
            header.entry(field).or_insert_with(|| first.clone());
        }
    }
    if header.contains_key("image-latitude")
        || items.values().any(|item| item.get("image-latitude").is_some())
    {
        header.insert("image-coordinate-reference-system".into(), json!("EPSG:4326"));
    }
}

struct Item<'a> {
    shot: &'a Shot,
    known: Option<&'a Known>,
    uuid: Uuid,
    hash: String,
    handle: Option<&'a str>,
}

impl Item<'_> {
    fn json(self, set: &Set, given: &Given) -> Value {
        let Self { shot, known, uuid, hash, handle } = self;
        let mut item = Map::new();
        item.insert("image-uuid".into(), json!(uuid.to_string()));
        item.insert("image-hash-sha256".into(), json!(hash));
        let handle =
            handle.map_or_else(|| format!("urn:uuid:{uuid}"), |handle| format!("{handle}/{}", shot.name));
        item.insert("image-handle".into(), json!(handle));
        if let Some(known) = known {
            item.insert("image-datetime".into(), json!(datetime(known.utc)));
        }
        if let Some((latitude, longitude, error)) = place(set, given, shot) {
            item.insert("image-latitude".into(), json!(latitude));
            item.insert("image-longitude".into(), json!(longitude));
            if let Some(metres) = given.uncertainty_m.or(error) {
                item.insert("image-coordinate-uncertainty-meters".into(), json!(metres));
            }
        }
        if let Some(record) = &shot.record {
            if let Some(quality) = &record.quality {
                item.insert("image-particle-count".into(), json!(quality.particles));
            }
            let settings = json!({
                "time-source": known.map(|known| &known.source), "time-error-s": known.and_then(|known| known.error_s),
                "instrument-fix": record.fix, "pumped-nl": record.pumped_nl, "height-um": record.height_um,
                "light": record.light, "quality": record.quality,
            });
            item.insert("image-acquisition-settings".into(), settings);
        }
        Value::Object(item)
    }
}

/// Degrees, and metres of error if they are known.
fn place(set: &Set, given: &Given, shot: &Shot) -> Option<(f64, f64, Option<f64>)> {
    match given.position {
        Where::At(latitude, longitude) => Some((latitude, longitude, None)),
        Where::Operator => match sampled(set) {
            Said::Place(place) => Some((place.latitude, place.longitude, None)),
            Said::No(_) => None,
        },
        Where::Instrument => {
            let fix = shot.record.as_ref()?.fix.as_ref()?;
            let right = !fix.stale && is_place(fix.latitude, fix.longitude);
            right.then_some((fix.latitude, fix.longitude, fix.error_m))
        }
    }
}

/// In the middle of the depths from which the sample came.
fn altitude(set: &Set, given: &Given) -> Option<Value> {
    let said = depth(set).map(|(from, to)| -f64::midpoint(from, to) + 0.0);
    given.altitude_m.or(said).map(|metres| json!(metres))
}

fn creators(set: &Set, given: &Given) -> Option<Value> {
    let said = || set.text("sample_operator").map(Named::plain).into_iter().collect();
    let all: Vec<Named> = if given.creators.is_empty() { said() } else { given.creators.clone() };
    (!all.is_empty()).then(|| all.iter().map(Named::json).collect())
}

fn sensor(set: &Set) -> Option<String> {
    let named = [set.text("acq_instrument"), set.text("acq_instrument_id")];
    let named: Vec<_> = named.into_iter().flatten().collect();
    (!named.is_empty()).then(|| named.join(" "))
}

/// What a frame sees, in square metres.
fn area(set: &Set) -> Option<Value> {
    let camera = &set.parts.first()?.camera;
    let side = pixel_um(set)? * 1e-6;
    Some(json!(f64::from(camera.width) * side * f64::from(camera.height) * side))
}

fn synchronisation(set: &Set) -> Option<Value> {
    let anchor = &set.parts.first()?.anchor;
    let error =
        anchor.error_s.map_or("an error that it does not say".into(), |s| format!("an error of {s} s"));
    Some(json!(format!(
        "The data set counts from {} on a monotonic clock, known from: {}, with {error}. Times are carried on by the monotonic clock from \
         the best source that was known in the run.",
        anchor.utc, anchor.source
    )))
}

/// What can be said without knowing more than the metadata.
fn summary(set: &Set, whose: Where) -> String {
    let frames = set.shots.iter().filter(|shot| shot.size.is_some() && looks_like_frame(&shot.name)).count();
    let planned = set.planned().map_or(String::new(), |planned| format!(" of {planned} planned"));
    let simulated = set.text("planktor_board").as_deref() == Some("twin");
    let mut text = format!(
        "{frames}{planned} images of plankton in a flow cell, taken by {} in stop-flow: water is pumped, everything settles, and a \
         picture is taken.",
        sensor(set).unwrap_or_else(|| "a PlanktoScope".into())
    );
    if simulated {
        text = format!("Simulated, not from any sea. {text}");
    }
    let mut say = |before: &str, value: Option<String>, after: &str| {
        if let Some(value) = value {
            text += &format!(" {before}{value}{after}");
        }
    };
    say("Project: ", set.text("sample_project"), ".");
    say("Sample: ", set.text("sample_id"), ".");
    say("Acquisition: ", set.text("acq_id"), ".");
    say("Ship: ", set.text("sample_ship"), ".");
    say("Sampling gear: ", set.text("sample_sampling_gear"), ".");
    say("Date of sampling: ", set.text("object_date"), ".");
    say("Depth: ", depth(set).map(|(from, to)| format!("{from} to {to}")), " m.");
    say("A pixel sees ", pixel_um(set).map(|um| um.to_string()), " µm.");
    say("How it ended: ", Some(set.ending().to_owned()), ".");
    text + match whose {
        Where::Operator | Where::At(..) => " The position is that of the sampling, not of the instrument.",
        Where::Instrument => " The position is that of the instrument, which took its water there.",
    }
}

/// As the standard has it: UTC, a blank, microseconds.
fn datetime(utc: Utc) -> String {
    utc.rfc3339().trim_end_matches('Z').replace('T', " ")
}

/// The acquisition's own; of another program's data set one that follows from its ids.
fn uuid_of(set: &Set) -> Uuid {
    let own = set.head.as_ref().map(|head| head.acq_uuid.clone()).or_else(|| set.text("acq_uuid"));
    let own = own.and_then(|text| Uuid::parse_str(&text).ok());
    own.unwrap_or_else(|| {
        let ids = ["sample_project", "object_date", "sample_id", "acq_id"].map(|key| set.metadata.get(key));
        version_5(Uuid::NAMESPACE_OID, &json!(ids).to_string())
    })
}

/// Of a frame that is as it was recorded: nobody gives a new digest to what is damaged.
fn sha256(folder: &Path, shot: &Shot) -> Result<String, String> {
    if shot.size.is_none() {
        return Err("it is not there".into());
    }
    let mut bytes = Vec::new();
    let read =
        File::open(folder.join(&shot.name)).and_then(|file| file.take(LARGEST).read_to_end(&mut bytes));
    read.map_err(|why| format!("it cannot be read: {why}"))?;
    if shot.record.as_ref().is_some_and(|record| record.sha1 != digest(&shot.name, &bytes)) {
        return Err("it is not as it was recorded; run planktor verify".into());
    }
    Ok(Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::super::made::{anchor, camera, end, frame, head, metadata, name, picture, written};
    use super::super::quality::Flag;
    use super::super::records::{Frame, Line, Resumed};
    use super::*;
    use std::path::PathBuf;

    fn set(root: &Path, metadata: &Value, frames: Vec<Frame>) -> PathBuf {
        let frames = frames.into_iter().map(|frame| Line::Frame(Box::new(frame)));
        let lines: Vec<Line> = [head(2)].into_iter().chain(frames).chain([end(2)]).collect();
        written(root, metadata, &picture(), &lines)
    }

    fn two() -> Vec<Frame> {
        (1..=2).map(|n| frame(n, &picture(), Flag::Pass)).collect()
    }

    fn made(folder: &Path, given: &Given) -> Ifdo {
        ifdo(folder, given, &|_, _| {}).unwrap()
    }

    fn all() -> Given {
        let named = |name| Some(Named::parse(name).unwrap());
        Given {
            handle: Some("https://hdl.handle.net/1/2/".into()),
            uncertainty_m: Some(50.0),
            platform: named("Tara"),
            sensor: named("PlanktoScope"),
            project: named("Tour"),
            pi: named("Jane Doe <https://orcid.org/1>"),
            creators: vec![Named::parse("Ada").unwrap()],
            license: named("CC BY 4.0"),
            copyright: Some("Jane Doe".into()),
            altitude_m: Some(-5.0),
            ..Given::default()
        }
    }

    fn missing(made: &Ifdo) -> Vec<&str> {
        made.missing.iter().map(|(field, _)| *field).collect()
    }

    #[test]
    fn what_is_known_is_said_in_the_standards_words() {
        let root = tempfile::tempdir().unwrap();
        let made = made(&set(root.path(), &metadata(), two()), &all());
        assert_eq!(
            (missing(&made), made.left_out.len(), made.remarks.len()),
            (vec![], 0, 0),
            "{:?}",
            made.remarks
        );
        let header = &made.document["image-set-header"];
        assert_eq!(header["image-set-name"], "Tour s a PlanktoScope");
        assert_eq!(header["image-set-uuid"], "01a21c5e-5faa-7cf3-b2ad-d98a231446c6");
        assert_eq!(header["image-pi"], json!({"name": "Jane Doe", "uri": "https://orcid.org/1"}));
        assert_eq!(header["image-altitude-meters"], -5.0);
        let items = &made.document["image-set-items"];
        let item = &items["2026-11-23_08-00-01-000000.jpg"];
        assert_eq!(item["image-datetime"], "2026-11-23 08:00:01.000000");
        // Of the sampling; the instrument was at 179.991.
        assert_eq!((&item["image-latitude"], &item["image-longitude"]), (&json!(-16.5), &json!(179.9)));
        assert_eq!(item["image-handle"], "https://hdl.handle.net/1/2/2026-11-23_08-00-01-000000.jpg");
        let hash: String = Sha256::digest(picture()).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(item["image-hash-sha256"], hash);
        let uuids: Vec<_> =
            items.as_object().unwrap().values().map(|item| item["image-uuid"].clone()).collect();
        assert!(uuids[0] != uuids[1] && uuids[0].as_str().unwrap().as_bytes()[14] == b'5', "{uuids:?}");
        // python3 -c "import uuid; print(uuid.uuid5(uuid.NAMESPACE_URL, 'a'))"
        assert_eq!(version_5(Uuid::NAMESPACE_URL, "a").to_string(), "e1407479-3136-56c0-9908-bb02fb0339e2");
    }

    #[test]
    fn what_nobody_knows_is_missing_and_not_invented() {
        let root = tempfile::tempdir().unwrap();
        let mut said = metadata();
        (said["object_lat"], said["object_lon"]) = (json!("-90.0000"), json!("0.0000"));
        let made = made(&set(root.path(), &said, two()), &Given::default());
        for field in [
            "image-license",
            "image-pi",
            "image-copyright",
            "image-latitude",
            "image-platform",
            "image-creators",
        ] {
            assert!(missing(&made).contains(&field), "{field} in {:?}", made.missing);
            assert!(made.document["image-set-header"].get(field).is_none());
        }
        let text = made.document.to_string();
        assert!(!text.contains("image-latitude") && !text.contains("-90.0,"), "{text}");
        assert_eq!(
            made.document["image-set-header"]["image-set-handle"],
            "urn:uuid:01a21c5e-5faa-7cf3-b2ad-d98a231446c6"
        );
    }

    #[test]
    fn a_frame_that_no_clock_vouches_for_has_no_time_and_inherits_none() {
        let root = tempfile::tempdir().unwrap();
        let mut frames = two();
        frames[0].time.as_mut().unwrap().source = "unset".into();
        // In one run the better clock of the other frame tells it.
        let folder = set(root.path(), &metadata(), frames.clone());
        let first = |made: &Ifdo| made.document["image-set-items"][name(1)]["image-datetime"].clone();
        assert_eq!(first(&made(&folder, &all())), "2026-11-23 08:00:01.000000");
        // After a resumption the monotonic clock may be another.
        let resumed = Resumed {
            resumed: 1,
            planktor_version: "0.1.0".into(),
            anchor: anchor("2026-11-23T08:00:00Z", "gps"),
            believed: None,
            camera: camera(),
            frames: 1,
            repaired: None,
        };
        let [one, other] = <[Frame; 2]>::try_from(frames).unwrap();
        let lines = [
            head(2),
            Line::Frame(Box::new(one)),
            Line::Resumed(Box::new(resumed)),
            Line::Frame(Box::new(other)),
            end(2),
        ];
        let other = tempfile::tempdir().unwrap();
        let made = made(&written(other.path(), &metadata(), &picture(), &lines), &all());
        assert_eq!((first(&made), missing(&made)), (Value::Null, vec!["image-datetime"]));
    }

    #[test]
    fn nobody_gives_a_new_digest_to_a_damaged_frame() {
        let root = tempfile::tempdir().unwrap();
        let folder = set(root.path(), &metadata(), two());
        let mut bytes = picture();
        *bytes.last_mut().unwrap() ^= 1;
        std::fs::write(folder.join(name(2)), bytes).unwrap();
        let made = made(&folder, &all());
        assert_eq!(made.document["image-set-items"].as_object().unwrap().len(), 1);
        assert!(made.left_out[0].contains("not as it was recorded"), "{:?}", made.left_out);
    }

    #[test]
    fn under_way_the_instruments_fix_is_the_place_while_it_is_fresh() {
        let root = tempfile::tempdir().unwrap();
        let mut frames = two();
        frames[1].fix.as_mut().unwrap().stale = true;
        let given = Given { position: Where::Instrument, uncertainty_m: None, ..all() };
        let made = made(&set(root.path(), &metadata(), frames), &given);
        let items = &made.document["image-set-items"];
        assert_eq!(items[name(1)]["image-longitude"], 179.991);
        assert_eq!(items[name(1)]["image-coordinate-uncertainty-meters"], 4.0);
        assert!(
            items[name(2)].get("image-longitude").is_none() && missing(&made).contains(&"image-longitude")
        );
    }

    #[test]
    fn names_and_places_are_read_or_refused_with_words() {
        assert_eq!(Named::parse(" A <b> ").unwrap(), Named { name: "A".into(), uri: Some("b".into()) });
        assert!(Named::parse(" <b>").is_err() && Named::parse("").is_err());
        assert_eq!("48.5,-4".parse(), Ok(Where::At(48.5, -4.0)));
        for wrong in ["", "1", "91,0", "0,0", "-90,0", "a,b", "1,181", "NaN,1"] {
            assert!(wrong.parse::<Where>().is_err(), "{wrong}");
        }
    }
}
