//! `planktor export`.

use super::{Failure, print};
use indicatif::ProgressBar;
use planktor_runtime::dataset::ifdo::{Given, Ifdo, Named, Where, ifdo};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub(crate) struct Export {
    /// Data sets
    #[arg(required = true)]
    sets: Vec<PathBuf>,
    /// As iFDO, the marine imaging community's metadata
    #[arg(long, required = true)]
    ifdo: bool,
    /// A file, or a folder to put <image set>_ifdo.json into [default: the current folder]
    #[arg(long, value_name = "PATH")]
    to: Option<PathBuf>,
    /// Replace a file of that name
    #[arg(long)]
    force: bool,
    /// Write it even if fields are missing that the standard requires, or frames are damaged
    #[arg(long)]
    partial: bool,
    #[command(flatten)]
    known: Known,
}

/// What the data set cannot know. Names may have an address: "NAME <URI>".
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "What the data set cannot know; NAME may be \"NAME <URI>\"")]
struct Known {
    /// Where the images are, or will be, published; images are this and their file's name
    #[arg(long, value_name = "URL")]
    handle: Option<String>,
    /// Whose position the images have: operator (where it was sampled), instrument (for water pumped in under way), or degrees as 48.73,-3.98
    #[arg(long, value_name = "WHERE", default_value = "operator", allow_hyphen_values = true)]
    position: Where,
    /// Above the sea's surface, negative below [default: by object_depth_min and object_depth_max]
    #[arg(long, value_name = "METRES", allow_negative_numbers = true)]
    altitude: Option<f64>,
    /// How wrong the position may be
    #[arg(long, value_name = "METRES")]
    uncertainty: Option<f64>,
    /// The project at large [default: the project]
    #[arg(long, value_name = "NAME", value_parser = Named::parse)]
    context: Option<Named>,
    /// The cruise or project [default: sample_project]
    #[arg(long, value_name = "NAME", value_parser = Named::parse)]
    project: Option<Named>,
    /// The station or sampling [default: sample_id]
    #[arg(long, value_name = "NAME", value_parser = Named::parse)]
    event: Option<Named>,
    /// The ship or station [default: sample_ship]
    #[arg(long, value_name = "NAME", value_parser = Named::parse)]
    platform: Option<Named>,
    /// The instrument [default: acq_instrument and acq_instrument_id]
    #[arg(long, value_name = "NAME", value_parser = Named::parse)]
    sensor: Option<Named>,
    /// The principal investigator [default: the metadata's "pi"]
    #[arg(long, value_name = "NAME", value_parser = Named::parse)]
    pi: Option<Named>,
    /// Who made the images; may be given several times [default: sample_operator]
    #[arg(long, value_name = "NAME", value_parser = Named::parse)]
    creator: Vec<Named>,
    /// As "CC BY 4.0 <https://creativecommons.org/licenses/by/4.0/>" [default: the metadata's "license"]
    #[arg(long, value_name = "NAME", value_parser = Named::parse)]
    license: Option<Named>,
    /// Whose images they are [default: the metadata's "copyright"]
    #[arg(long, value_name = "TEXT")]
    copyright: Option<String>,
    /// What they show [default: made of the metadata]
    #[arg(long = "abstract", value_name = "TEXT")]
    summary: Option<String>,
}

impl Export {
    pub(crate) fn run(self) -> Result<ExitCode, Failure> {
        let into_folder = self.to.as_ref().is_none_or(|to| to.is_dir());
        if self.sets.len() > 1 && !into_folder {
            return Err("several data sets are several files; give a folder with --to".into());
        }
        let given = self.known.given();
        let mut wrote_all = true;
        for set in &self.sets {
            let failed = |why| format!("failed to look into {}: {why}; check the path", set.display());
            let folder = set.canonicalize().map_err(failed)?;
            let bar = ProgressBar::no_length();
            let made = ifdo(&folder, &given, &|done, all| {
                bar.set_length(all as u64);
                bar.set_position(done as u64);
            });
            bar.finish_and_clear();
            let made = made?;
            for remark in made.remarks.iter().chain(&made.left_out) {
                eprintln!("{}: {remark}", set.display());
            }
            if !self.is_enough(set, &made) {
                wrote_all = false;
                continue;
            }
            let to = match &self.to {
                Some(to) if !into_folder => to.clone(),
                folder => folder.clone().unwrap_or_default().join(file_name(&made.name)),
            };
            outside(&to, &folder, self.force)?;
            let text = format!("{:#}\n", made.document);
            std::fs::write(&to, text).map_err(|why| {
                format!("failed to write {}: {why}; check the folder and its disk", to.display())
            })?;
            print(to.display());
        }
        Ok(if wrote_all { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    /// Whether it may be written: as the standard wants it, or as somebody asked for all the same.
    fn is_enough(&self, set: &Path, made: &Ifdo) -> bool {
        for (field, how) in &made.missing {
            eprintln!("{}: {field} is required, and nobody gave it: {how}", set.display());
        }
        let whole = made.missing.is_empty() && made.left_out.is_empty();
        if !whole && !self.partial {
            eprintln!(
                "{}: nothing is written; give what is missing, or write what is known with --partial",
                set.display()
            );
        }
        whole || self.partial
    }
}

impl Known {
    fn given(&self) -> Given {
        let Self { handle, position, altitude, uncertainty, context, project, event, platform, .. } = self;
        let Self { sensor, pi, creator, license, copyright, summary, .. } = self;
        Given {
            handle: handle.clone(),
            position: *position,
            altitude_m: *altitude,
            uncertainty_m: *uncertainty,
            context: context.clone(),
            project: project.clone(),
            event: event.clone(),
            platform: platform.clone(),
            sensor: sensor.clone(),
            pi: pi.clone(),
            creators: creator.clone(),
            license: license.clone(),
            copyright: copyright.clone(),
            summary: summary.clone(),
        }
    }
}

/// `<image set>_ifdo.json`, with plain characters only.
fn file_name(set: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-.".contains(c) { c } else { '_' };
    let name: String = set.chars().map(plain).take(150).collect();
    format!("{}_ifdo.json", name.trim_start_matches('.'))
}

/// Refuses to write into a data set, whose files viewers count, and over a file that is there.
pub(super) fn outside(to: &Path, set: &Path, force: bool) -> Result<(), Failure> {
    let above = to.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let above = above
        .canonicalize()
        .map_err(|why| format!("failed to write {}: {why}; there must be such a folder", to.display()))?;
    let has = |folder: &Path, name: &str| folder.join(name).exists();
    let is_set = |folder: &&Path| {
        has(folder, "frames.jsonl") || has(folder, "metadata.json") && has(folder, "integrity.check")
    };
    let in_another = above.ancestors().find(is_set);
    if above.starts_with(set) || in_another.is_some() {
        return Err(format!(
            "{} is in a data set, whose files viewers count; choose another folder with --to",
            to.display()
        )
        .into());
    }
    if to.symlink_metadata().is_ok() && !force {
        return Err(
            format!("{} exists; replace it with --force, or choose another with --to", to.display()).into()
        );
    }
    Ok(())
}
