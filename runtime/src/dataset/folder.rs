//! Where a data set goes: what the client said becomes a folder's name, or is refused. Never leads out of the root,
//! whatever was said; touches no disk.

use planktor_protocol::acquisition::{Metadata, Refusal};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// The keys that name the folders, from the top.
pub(super) const KEYS: [&str; 3] = ["object_date", "sample_id", "acq_id"];
/// File systems allow 255 bytes a name; the rest is for tools that add to it.
const LONGEST: usize = 200;

/// The three ids as text, in the order of [`KEYS`]. Clients send whole numbers too.
///
/// # Errors
/// [`Refusal::MissingKey`], or [`Refusal::BadId`] for what is neither text nor a whole number.
pub(super) fn ids(metadata: &Metadata) -> Result<[String; 3], Refusal> {
    let id = |key| match metadata.get(key) {
        None => Err(Refusal::MissingKey(key)),
        Some(Value::String(text)) => Ok(text.clone()),
        Some(Value::Number(number)) if !number.is_f64() => Ok(number.to_string()),
        Some(_) => Err(Refusal::BadId { key, why: "it is neither text nor a whole number" }),
    };
    let [date, sample, acq] = KEYS;
    Ok([id(date)?, id(sample)?, id(acq)?])
}

/// The data set's folder under the root.
///
/// # Errors
/// [`Refusal::BadId`].
pub(super) fn place(root: &Path, ids: &[String; 3]) -> Result<PathBuf, Refusal> {
    let mut folder = root.join("img");
    for (key, id) in KEYS.into_iter().zip(ids) {
        let name = name(id);
        check(key, &name).map_err(|why| Refusal::BadId { key, why })?;
        folder.push(name);
    }
    Ok(folder)
}

/// The folder of a data set that is there, named as its folders are: `object_date/sample_id/acq_id`, with or without `img`
/// before it.
///
/// # Errors
/// [`Refusal::NoDataSet`] for what names none.
pub(super) fn of(root: &Path, data_set: &str) -> Result<PathBuf, Refusal> {
    let named = data_set.strip_prefix("img/").unwrap_or(data_set).split('/').collect::<Vec<_>>();
    let right =
        named.len() == KEYS.len() && KEYS.iter().zip(&named).all(|(key, name)| check(key, name).is_ok());
    match right {
        true => Ok(named.iter().fold(root.join("img"), |folder, name| folder.join(name))),
        false => Err(Refusal::NoDataSet(data_set.into())),
    }
}

/// As existing tools have it: blanks become `_`, apostrophes at both ends go.
fn name(id: &str) -> String {
    id.replace(' ', "_").trim_matches('\'').to_owned()
}

fn check(key: &str, name: &str) -> Result<(), &'static str> {
    match name {
        _ if name.chars().all(|c| c == '_') => Err("it is empty or blank"),
        "." | ".." => Err("it means another folder"),
        _ if name.contains(['/', '\\']) => Err("it contains a slash"),
        _ if name.contains(char::is_control) => Err("it contains a control character"),
        _ if name.len() > LONGEST => Err("it is longer than 200 bytes"),
        _ if key == KEYS[0] && !is_date(name) => Err("it is no date like 2026-06-01"),
        _ => Ok(()),
    }
}

/// Whether a text is a day, as `object_date` has it.
pub(crate) fn is_date(text: &str) -> bool {
    let number = |digits: &str, length, range: std::ops::RangeInclusive<u16>| {
        let plain = digits.len() == length && digits.bytes().all(|byte| byte.is_ascii_digit());
        plain && digits.parse().is_ok_and(|number| range.contains(&number))
    };
    match text.split('-').collect::<Vec<_>>()[..] {
        [year, month, day] => number(year, 4, 0..=9999) && number(month, 2, 1..=12) && number(day, 2, 1..=31),
        _ => false,
    }
}
