//! A data set after any failure, kill or power cut.

use super::*;
use planktor_sim::disk::{Effect, MemoryDisk};
use std::collections::BTreeSet;

/// Power cuts that are drawn at every point; others than these are drawn at the next one.
const CUTS: u64 = 12;

/// What goes wrong, counted in operations of the disk.
#[derive(Clone, Debug)]
struct Faults {
    fails: Vec<usize>,
    dies: Option<usize>,
    effect: Effect,
}

const NONE: Faults = Faults { fails: vec![], dies: None, effect: Effect::Half };

fn shaky(faults: &Faults) -> (MemoryDisk, Recorder) {
    let mut disk = MemoryDisk::new(u64::MAX);
    disk.create_dir(Path::new("/data")).unwrap();
    disk.sync_dir(Path::new("/")).unwrap();
    let first = disk.operations();
    faults.fails.iter().for_each(|n| disk.fail_at(first + n, faults.effect));
    if let Some(dies) = faults.dies {
        disk.die_at(first + dies, faults.effect);
    }
    (
        disk.clone(),
        Recorder::new(Box::new(disk), "/data".into(), twin(), Shelf::new("/data".into(), "twin", None), 0),
    )
}

/// Two data sets of two frames and one, each begun again if that failed, and their frames sent once; the names that
/// were saved.
fn run(recorder: &mut Recorder) -> [Option<Vec<&'static str>>; 2] {
    [(1, 2), (2, 1)].map(|(batch, total)| {
        let mut metadata = metadata();
        metadata.insert("acq_id".into(), json!(format!("acq {batch}")));
        let begin = Begin { plan: plan(total), ..begin_with(batch, metadata) };
        let begun = begun(recorder, begin.clone()).or_else(|_| begun(recorder, begin));
        let frames = NAMES.into_iter().enumerate().take(total as usize);
        let names: Vec<_> = frames.filter(|(n, _)| saved(recorder, batch, picture(*n)).is_ok()).collect();
        let whole = names.len() == total as usize;
        let _ = ended(recorder, batch, if whole { Ending::Complete } else { Ending::Failed("disk".into()) });
        begun.ok().map(|_| names.into_iter().map(|(_, name)| name).collect())
    })
}

fn operations() -> usize {
    let (disk, mut recorder) = shaky(&NONE);
    let first = disk.operations();
    assert_eq!(run(&mut recorder), [Some(NAMES[..2].to_vec()), Some(NAMES[..1].to_vec())]);
    disk.operations() - first
}

type Saved = [Option<Vec<&'static str>>; 2];

/// Files with their content, folders, and what was said to be saved.
type Found = (Vec<(PathBuf, Vec<u8>)>, Vec<PathBuf>, Saved);

/// Runs on disks with faults. In whatever way the power goes then, what was saved is there and all is valid.
#[derive(Default)]
struct Ordeal {
    /// Many faults leave the same; it is checked once.
    seen: BTreeSet<Found>,
    cuts: u64,
}

impl Ordeal {
    fn survives(&mut self, faults: &Faults) -> Saved {
        let (disk, mut recorder) = shaky(faults);
        let saved = run(&mut recorder);
        for seed in self.cuts..self.cuts + CUTS {
            let left = disk.power_cut(seed);
            if self.seen.insert((left.files(), left.folders(), saved.clone())) {
                assert_both_hold(&left, &saved, &format!("{faults:?}, power cut {seed}"));
            }
        }
        self.cuts += CUTS;
        assert_both_hold(&disk.reopened(), &saved, &format!("{faults:?}, killed"));
        saved
    }
}

#[track_caller]
fn assert_both_hold(disk: &MemoryDisk, saved: &Saved, when: &str) {
    for (batch, saved) in [1, 2].into_iter().zip(saved) {
        let folder = PathBuf::from(format!("/data/img/2026-06-01/sample_1/acq_{batch}"));
        match saved {
            Some(saved) => assert_holds(disk, &folder, saved, when),
            None if disk.kind(&folder).is_ok() => {
                let report = verify_on(disk, &folder);
                assert!(report.is_valid() || report.verdict == Verdict::NotBegun, "{when}: {report}");
            }
            None => {}
        }
    }
}

/// At least what was saved, at most one frame more, and the unfinished one is another.
#[track_caller]
pub(super) fn assert_holds(disk: &MemoryDisk, folder: &Path, saved: &[&str], when: &str) {
    let report = verify_on(disk, folder);
    assert!(report.is_valid(), "{when}: {report}");
    for name in saved {
        assert!(disk.kind(&folder.join(name)).is_ok(), "{when}: {name} is lost");
    }
    let one_more = matches!(&report.verdict, Verdict::Unfinished(_) | Verdict::Early(Early::CutOff));
    let most = saved.len() as u64 + u64::from(one_more);
    assert!((saved.len() as u64..=most).contains(&report.frames), "{when}: {report}");
    if let Verdict::Unfinished(Unfinished::Frame { name, .. }) = &report.verdict {
        assert!(!saved.contains(&name.as_str()), "{when}: {report}");
    }
}

#[test]
fn a_kill_or_power_cut_at_any_operation_leaves_a_valid_data_set() {
    let mut ordeal = Ordeal::default();
    for dies in 0..operations() {
        for effect in [Effect::Nothing, Effect::Half, Effect::Everything] {
            ordeal.survives(&Faults { dies: Some(dies), effect, ..NONE });
        }
    }
}

#[test]
fn any_one_failure_costs_at_most_one_frame_and_leaves_nothing_unfinished() {
    let mut ordeal = Ordeal::default();
    for fails in 0..operations() {
        for effect in [Effect::Nothing, Effect::Half, Effect::Everything] {
            let saved = ordeal.survives(&Faults { fails: vec![fails], effect, ..NONE });
            let frames: usize = saved.iter().flatten().map(Vec::len).sum();
            assert!(saved.iter().all(Option::is_some), "operation {fails}: the second Begin fails, too");
            assert!(frames >= 2, "operation {fails} {effect:?}: {saved:?}");
        }
    }
}

#[test]
fn a_power_cut_while_a_failure_is_undone_leaves_a_valid_data_set() {
    let mut ordeal = Ordeal::default();
    for fails in 0..operations() {
        for dies in fails + 1..fails + 16 {
            for effect in [Effect::Half, Effect::Everything] {
                ordeal.survives(&Faults { fails: vec![fails], dies: Some(dies), effect });
            }
        }
    }
}

#[test]
fn a_failure_while_a_failure_is_undone_is_undone_later() {
    let mut ordeal = Ordeal::default();
    for first in 0..operations() {
        for second in first + 1..first + 16 {
            ordeal.survives(&Faults { fails: vec![first, second], ..NONE });
        }
    }
}

#[test]
fn a_failed_frame_is_undone_at_once_and_can_be_sent_again() {
    for operation in 0..9 {
        let (disk, mut recorder) = shaky(&NONE);
        begun(&mut recorder, begin()).unwrap();
        disk.fail_at(disk.operations() + operation, Effect::Half);
        saved(&mut recorder, 1, picture(0)).unwrap_err();
        for left in disk.power_cuts() {
            let report = verify_on(&left, &Path::new("/data").join(PLACE));
            let found = (&report.verdict, report.frames);
            assert_eq!(found, (&Verdict::Early(Early::CutOff), 0), "operation {operation}: {report}");
        }
        saved(&mut recorder, 1, picture(0)).unwrap();
    }
}

/// The last of the room is for everything else that lives on that disk.
#[test]
fn a_run_that_cannot_fit_is_refused_and_no_frame_takes_the_last_room() {
    const KEPT: u64 = 20_000;
    let mut disk = MemoryDisk::new(60_000);
    disk.create_dir(Path::new("/data")).unwrap();
    let shelf = Shelf::new("/data".into(), "twin", None);
    let mut recorder = Recorder::new(Box::new(disk.clone()), "/data".into(), twin(), shelf, KEPT);
    let begin = |frame_bytes| Begin { plan: plan(100), frame_bytes: Some(frame_bytes), ..begin() };
    let refusal = begun(&mut recorder, begin(1_000)).unwrap_err();
    assert_eq!(refusal, Refusal::NoRoom { frames: 100, frame_bytes: 1_000, free: 60_000, kept_free: KEPT });
    assert_eq!(disk.files(), [], "nothing was begun");
    // Frames can be larger than those before.
    begun(&mut recorder, begin(100)).unwrap();
    let save = |recorder: &mut Recorder, n: u64| {
        let (name, sha1) = numbered(n);
        saved(recorder, 1, Box::new(Picture { name, sha1, ..*picture(0) }))
    };
    let full = (0..100).find_map(|n| save(&mut recorder, n).err()).unwrap();
    assert!(full.starts_with("the disk is full: 0 MB are free") && full.ends_with("then resume"), "{full}");
    ended(&mut recorder, 1, Ending::Failed(full)).unwrap();
    let frame = picture(0).jpeg.len() as u64;
    let free = disk.free(Path::new("/data")).unwrap();
    assert!((KEPT - 1_000..KEPT + frame).contains(&free), "{free}: only the mark of the end may take of it");
    let report = verify_on(&disk, &Path::new("/data").join(PLACE));
    assert!(matches!(report.verdict, Verdict::Early(Early::Failed(_))) && report.frames > 5, "{report}");
}

#[test]
fn a_disk_error_says_what_where_why_and_what_to_do() {
    let (disk, mut recorder) = shaky(&NONE);
    begun(&mut recorder, begin()).unwrap();
    // The first question is how much is free.
    disk.fail_at(disk.operations() + 1, Effect::Nothing);
    let why = saved(&mut recorder, 1, picture(0)).unwrap_err();
    assert_eq!(
        why,
        format!("failed to write /data/{PLACE}/{}.part: the disk is broken; check the disk", NAMES[0])
    );
}

/// Frames that are promised before the disk dies, and how the power may go then.
#[test]
fn ten_thousand_power_cuts_of_a_hundred_frames_take_nothing_that_was_promised() {
    const FRAMES: u32 = 100;
    const STATES: u64 = 10_000;
    const CUTS: u64 = 40;
    let frames: Vec<_> = (0..u64::from(FRAMES)).map(numbered).collect();
    let run = |dies: Option<usize>| {
        let (disk, mut recorder) = shaky(&NONE);
        let first = disk.operations();
        dies.into_iter().for_each(|dies| disk.die_at(first + dies, Effect::Half));
        begun(&mut recorder, Begin { plan: plan(FRAMES), ..begin() }).map_or_else(
            |_| (disk.clone(), first, vec![]),
            |_| {
                let promised = frames.iter().map_while(|name| {
                    let picture =
                        Box::new(Picture { name: name.0.clone(), sha1: name.1.clone(), ..*picture(0) });
                    saved(&mut recorder, 1, picture).ok().map(|_| name.0.as_str())
                });
                let promised = promised.collect::<Vec<_>>();
                let _ = ended(&mut recorder, 1, Ending::Complete);
                (disk.clone(), first, promised)
            },
        )
    };
    let (disk, first, all) = run(None);
    assert_eq!(all.len(), FRAMES as usize);
    let operations = disk.operations() - first;
    let place = Path::new("/data").join(PLACE);
    let mut most = 0;
    for point in 0..STATES / CUTS {
        // Every part of the run, and every step of a frame: the two numbers have no common divisor.
        let dies = usize::try_from(point * 9_973).unwrap() % operations;
        let (disk, _, promised) = run(Some(dies));
        most = most.max(promised.len());
        for seed in point * CUTS..(point + 1) * CUTS {
            let left = disk.power_cut(seed);
            let when = format!("operation {dies}, power cut {seed}");
            match promised.is_empty() {
                true => {
                    let report = verify_on(&left, &place);
                    let begun = left.kind(&place).is_ok();
                    assert!(
                        !begun || report.is_valid() || report.verdict == Verdict::NotBegun,
                        "{when}: {report}"
                    );
                }
                false => assert_holds(&left, &place, &promised, &when),
            }
        }
    }
    assert!(most > 90, "the last runs died late: {most}");
}

/// A frame's name, a second after the one before, and its digest.
fn numbered(n: u64) -> (String, String) {
    let name = format!("{}.jpg", begin().anchor.utc_at(at(n + 1)).file_stem());
    let sha1 = digest(&name, &picture(0).jpeg);
    (name, sha1)
}
