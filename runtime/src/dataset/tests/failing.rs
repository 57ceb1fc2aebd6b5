//! A data set after any failure, kill or power cut.

use super::shaky_disk::{Effect, Faults, ShakyDisk, Survives, Survivors};
use super::*;
use std::collections::BTreeSet;

const NEVER: usize = usize::MAX;

fn shaky(faults: Faults) -> (ShakyDisk, Recorder) {
    let disk = ShakyDisk::new(Path::new("/data"), faults);
    (disk.clone(), Recorder::new(Box::new(disk), "/data".into(), "twin"))
}

/// Two data sets of two frames and one, each begun again if that failed, and their frames sent once; the names that
/// were saved.
fn run(recorder: &mut Recorder) -> [Option<Vec<&'static str>>; 2] {
    [(1, 2), (2, 1)].map(|(batch, total)| {
        let mut metadata = metadata();
        metadata.insert("acq_id".into(), json!(format!("acq {batch}")));
        let begin = Begin { total, ..begin_with(batch, metadata) };
        let begun = begun(recorder, begin.clone()).or_else(|_| begun(recorder, begin));
        let frames = NAMES.into_iter().enumerate().take(total as usize);
        let names: Vec<_> = frames.filter(|(n, _)| saved(recorder, batch, picture(*n)).is_ok()).collect();
        let whole = names.len() == total as usize;
        let _ = ended(recorder, batch, if whole { Ending::Complete } else { Ending::Failed("disk".into()) });
        begun.ok().map(|_| names.into_iter().map(|(_, name)| name).collect())
    })
}

fn operations() -> usize {
    let (disk, mut recorder) = shaky(Faults { fails: vec![], dies: NEVER, effect: Effect::Nothing });
    assert_eq!(run(&mut recorder), [Some(NAMES[..2].to_vec()), Some(NAMES[..1].to_vec())]);
    disk.operations()
}

type Saved = [Option<Vec<&'static str>>; 2];

/// Runs on disks with faults. In whatever way the power goes then, what was saved is there and all is valid.
#[derive(Default)]
struct Ordeal {
    /// Many faults leave the same; it is checked once.
    seen: BTreeSet<(Survivors, Saved)>,
}

impl Ordeal {
    fn survives(&mut self, faults: &Faults) -> Saved {
        let (disk, mut recorder) = shaky(faults.clone());
        let saved = run(&mut recorder);
        for way in Survives::ways() {
            let survivors = disk.after_power_cut(way);
            let found = (survivors, saved.clone());
            if !self.seen.contains(&found) {
                let root = tempfile::tempdir().unwrap();
                found.0.lay_out(root.path());
                assert_both_hold(root.path(), &saved, &format!("{faults:?} {way:?}"));
                self.seen.insert(found);
            }
        }
        saved
    }
}

#[track_caller]
fn assert_both_hold(root: &Path, saved: &Saved, when: &str) {
    for (batch, saved) in [1, 2].into_iter().zip(saved) {
        let folder = root.join(format!("data/img/2026-06-01/sample_1/acq_{batch}"));
        match saved {
            Some(saved) => assert_holds(&folder, saved, when),
            None if folder.exists() => {
                let report = verify(&folder);
                assert!(report.is_valid() || report.verdict == Verdict::NotBegun, "{when}: {report}");
            }
            None => {}
        }
    }
}

/// At least what was saved, at most one frame more, and the unfinished one is another.
#[track_caller]
fn assert_holds(folder: &Path, saved: &[&str], when: &str) {
    let report = verify(folder);
    assert!(report.is_valid(), "{when}: {report}");
    for name in saved {
        assert!(folder.join(name).exists(), "{when}: {name} is lost");
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
            ordeal.survives(&Faults { fails: vec![], dies, effect });
        }
    }
}

#[test]
fn any_one_failure_costs_at_most_one_frame_and_leaves_nothing_unfinished() {
    let mut ordeal = Ordeal::default();
    for fails in 0..operations() {
        for effect in [Effect::Nothing, Effect::Half, Effect::Everything] {
            let saved = ordeal.survives(&Faults { fails: vec![fails], dies: NEVER, effect });
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
                ordeal.survives(&Faults { fails: vec![fails], dies, effect });
            }
        }
    }
}

#[test]
fn a_failure_while_a_failure_is_undone_is_undone_later() {
    let mut ordeal = Ordeal::default();
    for first in 0..operations() {
        for second in first + 1..first + 16 {
            ordeal.survives(&Faults { fails: vec![first, second], dies: NEVER, effect: Effect::Half });
        }
    }
}

#[test]
fn a_failed_frame_is_undone_at_once_and_can_be_sent_again() {
    for operation in 0..9 {
        let (disk, mut recorder) = shaky(Faults { fails: vec![], dies: NEVER, effect: Effect::Half });
        begun(&mut recorder, begin()).unwrap();
        disk.fail_at(disk.operations() + operation);
        saved(&mut recorder, 1, picture(0)).unwrap_err();
        for way in Survives::ways() {
            let root = tempfile::tempdir().unwrap();
            disk.after_power_cut(way).lay_out(root.path());
            let report = verify(&root.path().join("data").join(PLACE));
            let found = (&report.verdict, report.frames);
            assert_eq!(found, (&Verdict::Early(Early::CutOff), 0), "{operation} {way:?}: {report}");
        }
        saved(&mut recorder, 1, picture(0)).unwrap();
    }
}

#[test]
fn a_disk_error_says_what_where_why_and_what_to_do() {
    let (disk, mut recorder) = shaky(Faults { fails: vec![], dies: NEVER, effect: Effect::Nothing });
    begun(&mut recorder, begin()).unwrap();
    disk.fail_at(disk.operations());
    let why = saved(&mut recorder, 1, picture(0)).unwrap_err();
    assert_eq!(
        why,
        format!("failed to write /data/{PLACE}/{}.part: the disk is broken; check the disk", NAMES[0])
    );
}
