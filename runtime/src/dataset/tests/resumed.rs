//! A data set that goes on after it ended early, was killed, or lost its power.

use super::failing::assert_holds;
use super::*;
use planktor_actors::recording::{Opened, Resume};
use planktor_protocol::acquisition;
use planktor_protocol::camera::Settings;
use planktor_protocol::focus;
use planktor_protocol::plan::Step;
use planktor_protocol::units::MicrometresPerSecond;
use planktor_sim::disk::{Effect, MemoryDisk};
use std::collections::BTreeSet;

const DATA_SET: &str = "2026-06-01/sample_1/acq_1";

fn order(data_set: &str) -> acquisition::Resume {
    acquisition::Resume { data_set: data_set.into(), stage_as_it_stands: false }
}

/// An hour later, under another name.
fn resume(batch: u64) -> Resume {
    let anchor =
        Anchor { utc: Utc::parse("2026-06-01T09:00:00Z").unwrap(), instant: at(0), ..begin().anchor };
    Resume {
        batch: Run(batch),
        order: order(DATA_SET),
        anchor,
        mode: begin().mode,
        settings: Settings::default(),
        height: Micrometres(-250),
        height_uncertain: false,
        light: facts().light,
        pulses: Fraction::ZERO,
    }
}

fn resumed(recorder: &mut Recorder, resume: Resume) -> Result<Box<Opened>, Refusal> {
    match recorder.record(Record::Resume(Box::new(resume))) {
        Recorded::Begun { result, .. } => result,
        other => panic!("{other:?}"),
    }
}

/// The frames that are missing, under the names that they have then, and the end.
fn finish(recorder: &mut Recorder, batch: u64, opened: &Opened) {
    for n in opened.frames..3 {
        let name = format!("{}.jpg", opened.names.utc_at(at(u64::from(n) + 1)).file_stem());
        let sha1 = digest(&name, &picture(0).jpeg);
        let picture = Box::new(Picture { name, sha1, ..*picture(n as usize) });
        let picture = Box::new(Picture { jpeg: super::picture(0).jpeg.clone(), ..*picture });
        saved(recorder, batch, picture).unwrap();
    }
    ended(recorder, batch, Ending::Complete).unwrap();
}

#[test]
fn a_stopped_data_set_goes_on_under_the_same_ids_and_says_so() {
    let root = tempfile::tempdir().unwrap();
    let folder = written(root.path(), 1, Some(Ending::Stopped));
    let before = fs::read(folder.join(METADATA)).unwrap();
    let mut recorder = recorder(root.path());
    let opened = resumed(&mut recorder, resume(7)).unwrap();
    assert_eq!((&*opened.folder, opened.frames, opened.cursor.plan()), (&*folder, 1, &plan(3)));
    finish(&mut recorder, 7, &opened);
    let report = verify(&folder);
    assert_eq!((report.verdict.clone(), report.frames), (Verdict::Complete, 3), "{report}");
    assert_eq!(fs::read(folder.join(METADATA)).unwrap(), before);
    let lines = record_lines(&folder);
    let [_, _, stopped, resumed, second, _, end] = &lines[..] else { panic!("{lines:#?}") };
    assert_eq!((&stopped["end"], &end["end"]), (&json!("stopped"), &json!("complete")));
    assert_eq!(
        (&resumed["resumed"], &resumed["frames"], &resumed["repaired"]),
        (&json!(1), &json!(1), &Value::Null)
    );
    assert_eq!(second["file"], "2026-06-01_09-00-02-000000.jpg");
}

#[test]
fn names_go_on_after_the_last_frame_whatever_the_clock_says() {
    let root = tempfile::tempdir().unwrap();
    let folder = written(root.path(), 2, None);
    let anchor = Anchor { utc: Utc::parse("2019-02-14T10:00:00Z").unwrap(), ..resume(2).anchor };
    let mut recorder = recorder(root.path());
    let opened = resumed(&mut recorder, Resume { anchor, ..resume(2) }).unwrap();
    assert_eq!(opened.names.utc, Utc::parse("2026-06-01T08:00:03Z").unwrap());
    finish(&mut recorder, 2, &opened);
    let frames: Vec<_> = names(&folder).into_iter().filter(|name| looks_like_frame(name)).collect();
    assert!(frames[2].as_str() > NAMES[1], "{frames:?}");
    let believed = &record_lines(&folder)[3]["believed"];
    assert_eq!(believed["utc"], "2019-02-14T10:00:00.000000Z");
    assert!(verify(&folder).is_valid());
}

#[test]
fn it_can_go_on_again_and_again() {
    let root = tempfile::tempdir().unwrap();
    let folder = written(root.path(), 0, Some(Ending::Failed("disk full".into())));
    for batch in 2..4 {
        let mut recorder = recorder(root.path());
        let opened = resumed(&mut recorder, resume(batch)).unwrap();
        assert_eq!(opened.frames, 0);
        ended(&mut recorder, batch, Ending::Stopped).unwrap();
    }
    let mut recorder = recorder(root.path());
    let opened = resumed(&mut recorder, resume(4)).unwrap();
    finish(&mut recorder, 4, &opened);
    assert_eq!(verify(&folder).verdict, Verdict::Complete);
    assert_eq!(record_lines(&folder)[6]["resumed"], 3);
}

#[track_caller]
fn assert_cannot(root: &Path, resume: Resume, why: &str) {
    let refusal = resumed(&mut recorder(root), resume).unwrap_err();
    assert!(refusal.to_string().contains(why), "{refusal}");
}

#[test]
fn what_cannot_go_on_is_refused_and_stays_as_it_is() {
    let [whole, damaged, open, empty] = [(); 4].map(|()| tempfile::tempdir().unwrap());
    let folder = complete(whole.path());
    assert_cannot(whole.path(), resume(2), "it is complete");
    assert_eq!(verify(&folder).verdict, Verdict::Complete);
    let folder = written(damaged.path(), 2, None);
    fs::write(folder.join(NAMES[0]), "no picture").unwrap();
    assert_cannot(damaged.path(), resume(2), "it is damaged: 2026-06-01_08-00-01-000000.jpg");
    for name in [
        "",
        "img",
        "..",
        "../../../etc/x/y",
        "2026-06-01/sample_1",
        "2026-06-01/../acq_1",
        "/etc/x/y",
        "a/b/c/d",
    ] {
        assert_cannot(empty.path(), Resume { order: order(name), ..resume(2) }, "there is no data set");
    }
    fs::create_dir_all(empty.path().join(PLACE)).unwrap();
    assert_cannot(empty.path(), resume(2), "never begun");
    let mut recorder = recorder(open.path());
    begun(&mut recorder, begin()).unwrap();
    let refusal = resumed(&mut recorder, resume(2)).unwrap_err();
    assert!(refusal.to_string().contains("being written"), "{refusal}");
}

#[test]
fn another_camera_mode_or_a_stage_that_nobody_vouches_for_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let folder = written(root.path(), 1, Some(Ending::Stopped));
    let mode = Mode { width: 64, ..begin().mode };
    assert_cannot(
        root.path(),
        Resume { mode, ..resume(2) },
        "its frames have 32 x 24 pixels, and the camera gives 64 x 24",
    );
    assert_eq!(verify(&folder).verdict, Verdict::Early(Early::Stopped));
    let root = tempfile::tempdir().unwrap();
    let mut first = recorder(root.path());
    begun(&mut first, Begin { plan: stack(), ..begin() }).unwrap();
    saved(&mut first, 1, picture(0)).unwrap();
    assert_cannot(root.path(), resume(2), "stage_as_it_stands");
    let order = acquisition::Resume { stage_as_it_stands: true, ..order(DATA_SET) };
    resumed(&mut recorder(root.path()), Resume { order, ..resume(2) }).unwrap();
}

fn stack() -> Plan {
    let up = Step::Focus { target: focus::Target::By(Micrometres(20)), speed: MicrometresPerSecond(1_000) };
    Plan::new(vec![Step::Repeat { times: 3, steps: vec![up, Step::Capture { strobe: None }, Step::Write] }])
        .unwrap()
}

/// Since the same start it is known where the stage stands; it goes back to where it stood, unless that is in doubt.
#[test]
fn since_the_same_start_the_stage_is_brought_back_without_asking() {
    let root = tempfile::tempdir().unwrap();
    let mut recorder = recorder(root.path());
    begun(&mut recorder, Begin { plan: stack(), ..begin() }).unwrap();
    saved(&mut recorder, 1, picture(0)).unwrap();
    ended(&mut recorder, 1, Ending::Stopped).unwrap();
    let moved = Resume { height: Micrometres(-235), ..resume(2) };
    let unsure = Resume { height_uncertain: true, ..moved.clone() };
    assert!(resumed(&mut recorder, unsure).unwrap_err().to_string().contains("stage_as_it_stands"));
    let mut opened = resumed(&mut recorder, moved).unwrap();
    let target = |step: Option<_>| match step {
        Some((_, Step::Focus { target, .. })) => target,
        other => panic!("{other:?}"),
    };
    assert_eq!(target(opened.cursor.advance()), focus::Target::To(Micrometres(-250)));
    assert_eq!(opened.cursor.advance().map(|(_, step)| step), Some(Step::Write));
    assert_eq!(target(opened.cursor.advance()), focus::Target::By(Micrometres(20)));
}

#[test]
fn frames_that_would_be_unlike_those_before_are_refused_with_the_difference() {
    let root = tempfile::tempdir().unwrap();
    written(root.path(), 1, Some(Ending::Stopped));
    let mode = Mode { iso: 400, ..begin().mode };
    assert_cannot(
        root.path(),
        Resume { mode, ..resume(2) },
        "at ISO 150 with 125 us, and the camera is set to ISO 400 and 125 us",
    );
    let light = Fraction::from_millionths(0);
    assert_cannot(root.path(), Resume { light, ..resume(2) }, "with the lamp at 35 %, and it is at 0 %");
    resumed(&mut recorder(root.path()), Resume { light: None, ..resume(2) }).unwrap();
}

/// After a restart the stage counts from where it stands.
#[test]
fn heights_go_on_from_where_the_stage_stood_at_the_last_frame() {
    let root = tempfile::tempdir().unwrap();
    let to =
        |um| Step::Focus { target: focus::Target::To(Micrometres(um)), speed: MicrometresPerSecond(1_000) };
    let plan = |um| {
        Plan::new(vec![Step::Repeat {
            times: 3,
            steps: vec![to(um), Step::Capture { strobe: None }, Step::Write],
        }])
        .unwrap()
    };
    let mut first = recorder(root.path());
    begun(&mut first, Begin { plan: plan(-250), ..begin() }).unwrap();
    saved(&mut first, 1, picture(0)).unwrap();
    let order = acquisition::Resume { stage_as_it_stands: true, ..order(DATA_SET) };
    let resume = Resume { order, height: Micrometres(0), ..resume(2) };
    let opened = resumed(&mut recorder(root.path()), resume).unwrap();
    assert_eq!(opened.cursor.plan(), &plan(0));
}

#[test]
fn nothing_is_done_through_a_link() {
    let [root, elsewhere] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let folder = written(elsewhere.path(), 1, None);
    for link in ["img", "img/2026-06-01", "img/2026-06-01/sample_1", PLACE] {
        let root = tempfile::tempdir_in(root.path()).unwrap();
        let path = root.path().join(link);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(elsewhere.path().join(link), &path).unwrap();
        assert_cannot(root.path(), resume(2), "there is no data set");
        let mut other = metadata();
        other.insert("acq_id".into(), json!(if link == PLACE { "acq 1" } else { "acq 2" }));
        let refusal = begun(&mut recorder(root.path()), begin_with(2, other)).unwrap_err();
        let right = matches!(&refusal, Refusal::Disk(why) if why.contains("is no folder"));
        assert!(right || (link == PLACE && matches!(refusal, Refusal::IdsInUse(_))), "{link}: {refusal}");
        assert_eq!(names(folder.parent().unwrap()), ["acq_1"], "{link}");
    }
    // Nor through one under a file's name.
    let victim = elsewhere.path().join("victim");
    fs::write(&victim, "mine").unwrap();
    let mut recorder = recorder(root.path());
    let folder = begun(&mut recorder, begin()).unwrap();
    std::os::unix::fs::symlink(&victim, folder.join(with_part(NAMES[0]))).unwrap();
    saved(&mut recorder, 1, picture(0)).unwrap_err();
    assert_eq!(fs::read_to_string(&victim).unwrap(), "mine");
}

// Killed, and without power

fn on(disk: &MemoryDisk) -> Recorder {
    Recorder::new(Box::new(disk.clone()), "/data".into(), twin(), Shelf::new("/data".into(), "twin", None), 0)
}

fn fresh() -> MemoryDisk {
    let mut disk = MemoryDisk::new(u64::MAX);
    disk.create_dir(Path::new("/data")).unwrap();
    disk.sync_dir(Path::new("/")).unwrap();
    disk
}

/// What a run of three frames leaves that is cut off at an operation, and what it had promised.
fn cut_off(operation: usize, effect: Effect) -> (MemoryDisk, Vec<&'static str>) {
    let disk = fresh();
    disk.die_at(disk.operations() + operation, effect);
    let mut recorder = on(&disk);
    if begun(&mut recorder, begin()).is_err() {
        return (disk, vec![]);
    }
    let saves = |n: usize| saved(&mut recorder, 1, picture(n)).ok().map(|_| NAMES[n]);
    let promised = (0..3).map_while(saves).collect();
    let _ = ended(&mut recorder, 1, Ending::Complete);
    (disk, promised)
}

fn whole() -> usize {
    let (disk, promised) = cut_off(usize::MAX / 2, Effect::Nothing);
    assert_eq!(promised, NAMES);
    disk.operations() - fresh().operations()
}

/// The frames that are there, with their content.
fn frames_on(disk: &MemoryDisk) -> BTreeSet<(PathBuf, Vec<u8>)> {
    disk.files().into_iter().filter(|(path, _)| looks_like_frame(&path.to_string_lossy())).collect()
}

/// Goes on to the end; `false` if there is nothing to go on with. What was there is there, and nothing twice.
fn goes_on(left: &MemoryDisk, when: &str) -> bool {
    let place = Path::new("/data").join(PLACE);
    let before = frames_on(left);
    let mut recorder = on(left);
    match resumed(&mut recorder, resume(2)) {
        Ok(opened) => finish(&mut recorder, 2, &opened),
        Err(why) => {
            let verdict = verify_on(left, &place).verdict;
            let known =
                matches!(verdict, Verdict::Complete | Verdict::NotBegun) || left.kind(&place).is_err();
            assert!(known, "{when}: {why}");
            return false;
        }
    }
    let report = verify_on(left, &place);
    assert_eq!((report.verdict.clone(), report.frames), (Verdict::Complete, 3), "{when}: {report}");
    assert!(before.is_subset(&frames_on(left)), "{when}: a frame is gone or another");
    true
}

#[test]
fn a_run_that_was_cut_off_anywhere_goes_on_to_its_end() {
    let (mut states, mut went_on) = (0, 0);
    for operation in 0..whole() {
        for effect in [Effect::Nothing, Effect::Half, Effect::Everything] {
            let (disk, promised) = cut_off(operation, effect);
            for left in disk.power_cuts().chain([disk.reopened()]) {
                states += 1;
                let when = format!("operation {operation}, {effect:?}");
                if !promised.is_empty() {
                    assert_holds(&left, &Path::new("/data").join(PLACE), &promised, &when);
                }
                went_on += u32::from(goes_on(&left, &when));
            }
        }
    }
    assert!(states > 300 && went_on > states / 2, "{went_on} of {states}");
}

#[test]
fn a_run_that_is_cut_off_again_while_it_is_mended_still_goes_on() {
    let (mut seen, mut states) = (BTreeSet::new(), 0);
    for operation in 0..whole() {
        for effect in [Effect::Half, Effect::Everything] {
            let (once, _) = cut_off(operation, effect);
            let killed = once.reopened();
            let left = once.power_cuts().filter(|left| seen.insert(left.files()));
            for left in left.chain([killed]).collect::<Vec<_>>() {
                for dies in 0..60 {
                    let disk = left.reopened();
                    disk.die_at(disk.operations() + dies, Effect::Half);
                    if resumed(&mut on(&disk), resume(3)).is_ok() {
                        break;
                    }
                    for seed in 0..3 {
                        states += 1;
                        let when = format!("operation {operation}, {effect:?}, then {dies}, cut {seed}");
                        goes_on(&disk.power_cut(seed), &when);
                    }
                }
            }
        }
    }
    assert!(states > 1_000, "{states}");
}
