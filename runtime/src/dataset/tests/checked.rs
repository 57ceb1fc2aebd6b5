//! A data set that is not as it was written, and what the check says of it.

use super::*;

#[test]
fn a_changed_frame_is_found_however_it_changed() {
    let root = tempfile::tempdir().unwrap();
    let frame = complete(root.path()).join(NAMES[1]);
    let folder = frame.parent().unwrap();
    let whole = fs::read(&frame).unwrap();
    fs::write(&frame, &whole[..whole.len() - 1]).unwrap();
    assert_invalid(folder, NAMES[1], "bytes");
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    fs::write(&frame, flipped).unwrap();
    assert_invalid(folder, NAMES[1], "changed");
    fs::remove_file(&frame).unwrap();
    assert_invalid(folder, NAMES[1], "missing");
    std::os::unix::fs::symlink("/dev/zero", &frame).unwrap();
    assert_invalid(folder, NAMES[1], "plain file");
    fs::remove_file(&frame).unwrap();
    fs::write(&frame, whole).unwrap();
    assert!(verify(folder).is_valid());
}

/// Writes another content for the first frame, and says so everywhere.
fn forge(folder: &Path, content: &[u8]) {
    let path = folder.join(NAMES[0]);
    let old = fs::read(&path).unwrap();
    fs::write(path, content).unwrap();
    for file in [RECORDS, INTEGRITY] {
        edit(folder.join(file), |text| {
            let sized =
                text.replace(&format!("\"size\":{}", old.len()), &format!("\"size\":{}", content.len()));
            let sized = sized
                .replace(&format!("{},{}", NAMES[0], old.len()), &format!("{},{}", NAMES[0], content.len()));
            sized.replace(&digest(NAMES[0], &old), &digest(NAMES[0], content))
        });
    }
}

#[test]
fn a_frame_that_is_no_complete_picture_of_the_right_size_is_found() {
    let right = picture(0).jpeg;
    let other = encoder::jpeg(&Gradient { width: 48, height: 24 }.image(), 95).unwrap();
    let cases: [(&[u8], &str); 4] = [
        (&right[..right.len() - 2], "no complete JPEG"),
        (&[0xff, 0xd8, 0xff, 0xd9], "no JPEG of 32 x 24"),
        (&other, "no JPEG of 32 x 24"),
        (b"", "no complete JPEG"),
    ];
    for (content, what) in cases {
        let root = tempfile::tempdir().unwrap();
        let folder = written(root.path(), 1, None);
        forge(&folder, content);
        assert_invalid(&folder, NAMES[0], what);
    }
}

#[test]
fn a_frame_without_a_record_is_found() {
    let root = tempfile::tempdir().unwrap();
    let folder = complete(root.path());
    for name in ["extra.jpg", "EXTRA.JPG"] {
        fs::write(folder.join(name), "").unwrap();
        assert_invalid(&folder, name, "no record of it");
        fs::remove_file(folder.join(name)).unwrap();
    }
    fs::write(folder.join("done.txt"), "the segmenter's").unwrap();
    assert!(verify(&folder).is_valid());
}

#[test]
fn a_record_that_leads_out_of_the_folder_is_refused() {
    for name in ["../x.jpg", "/x.jpg", "a/x.jpg", "../x"] {
        let root = tempfile::tempdir().unwrap();
        let folder = written(root.path(), 2, None);
        edit(folder.join(RECORDS), |text| text.replace(NAMES[0], name));
        assert_invalid(&folder, "frames.jsonl, line 2", "no record");
    }
}

#[test]
fn metadata_that_changed_is_found() {
    let root = tempfile::tempdir().unwrap();
    let folder = complete(root.path());
    edit(folder.join(METADATA), |text| text.replace("48.5", "48.6"));
    assert_invalid(&folder, METADATA, "says otherwise");
    edit(folder.join(METADATA), |text| text.replace("\"acq_nb_frame\": 3", "\"acq_nb_frame\": \"3\""));
    assert_invalid(&folder, METADATA, "no number");
    fs::remove_file(folder.join(METADATA)).unwrap();
    assert_invalid(&folder, METADATA, "missing");
}

#[test]
fn an_integrity_file_that_says_otherwise_is_found() {
    let root = tempfile::tempdir().unwrap();
    let folder = complete(root.path());
    let path = folder.join(INTEGRITY);
    let whole = fs::read_to_string(&path).unwrap();
    for (change, what) in [
        (without_last_line(&whole), "says"),
        (whole.clone() + "other.jpg,1,00\n", "no record"),
        (whole.clone() + "other.jpg,99999999999999999999999,00\n", "no new file"),
        (whole.clone() + whole.lines().last().unwrap() + "\n", "no new file"),
        (whole.replacen('#', "", 1), "does not begin"),
        (torn(&whole), "torn"),
    ] {
        fs::write(&path, change).unwrap();
        assert_invalid(&folder, INTEGRITY, what);
    }
}

#[test]
fn a_record_file_that_says_otherwise_is_found() {
    let root = tempfile::tempdir().unwrap();
    let folder = complete(root.path());
    let path = folder.join(RECORDS);
    let whole = fs::read_to_string(&path).unwrap();
    let lines: Vec<_> = whole.split_inclusive('\n').collect();
    for (change, what) in [
        (whole.replace("\"frames\":3", "\"frames\":2"), "its end says 2"),
        (whole.replacen("\"planned\":3", "\"planned\":4", 1), "complete"),
        (whole.clone() + lines[1], "no record"),
        (whole.replace(lines[2], lines[1]), "no record"),
        (whole.replacen("\"planktor_frames\":1", "\"planktor_frames\":2", 1), "no record"),
        (whole.replacen("\"size\":", "\"size\":-", 1), "no record"),
        (whole.replacen("\"size\":", "\"size\":99999999999999999999", 1), "no record"),
        (lines[0].to_owned() + &"[".repeat(10_000) + "\n", "no record"),
        (whole.clone() + "{\"tor", "torn"),
        (String::new(), "missing or empty"),
    ] {
        fs::write(&path, change).unwrap();
        assert_invalid(&folder, RECORDS, what);
    }
    fs::remove_file(&path).unwrap();
    assert_invalid(&folder, RECORDS, "missing or empty");
}

#[test]
fn a_torn_record_without_a_frame_costs_only_that_line() {
    let root = tempfile::tempdir().unwrap();
    let folder = complete(root.path());
    edit(folder.join(RECORDS), torn);
    let report = verify(&folder);
    assert_eq!((&report.verdict, report.frames), (&Verdict::Unfinished(Unfinished::Line), 3), "{report}");
}

#[test]
fn a_missing_end_and_a_reason_are_told() {
    let early = |ending: Option<Ending>| {
        let root = tempfile::tempdir().unwrap();
        let report = verify(&written(root.path(), 2, ending));
        assert!(report.is_valid() && report.to_string().contains("2 of 3 frames"), "{report}");
        report.verdict
    };
    assert_eq!(early(None), Verdict::Early(Early::CutOff));
    assert_eq!(early(Some(Ending::Stopped)), Verdict::Early(Early::Stopped));
    assert_eq!(early(Some(Ending::Failed("why".into()))), Verdict::Early(Early::Failed("why".into())));
}

#[test]
fn a_complete_data_set_with_too_few_frames_is_found() {
    let root = tempfile::tempdir().unwrap();
    let folder = written(root.path(), 2, Some(Ending::Complete));
    assert_invalid(&folder, RECORDS, "not the frames planned");
}

#[test]
fn one_unfinished_frame_is_named_and_a_second_is_not_accepted() {
    let root = tempfile::tempdir().unwrap();
    let folder = written(root.path(), 2, None);
    let (path, part) = (folder.join(NAMES[1]), folder.join(format!("{}.part", NAMES[1])));
    edit(folder.join(INTEGRITY), torn);
    assert_unfinished(&folder, NAMES[1], Reached::Renamed);
    edit(folder.join(INTEGRITY), |text| text[..=text.rfind('\n').unwrap()].into());
    assert_unfinished(&folder, NAMES[1], Reached::Renamed);
    fs::rename(&path, &part).unwrap();
    assert_unfinished(&folder, NAMES[1], Reached::Recorded);
    edit(folder.join(RECORDS), torn);
    assert_unfinished(&folder, NAMES[1], Reached::Written);
    edit(folder.join(RECORDS), |text| text[..=text.rfind('\n').unwrap()].into());
    assert_unfinished(&folder, NAMES[1], Reached::Written);
    fs::write(&part, "torn").unwrap();
    assert_unfinished(&folder, NAMES[1], Reached::Written);
    fs::write(folder.join("second.jpg.part"), "").unwrap();
    assert_invalid(&folder, ".part", "too many");
}

#[test]
fn a_recorded_frame_whose_temporary_file_is_damaged_or_gone_is_found() {
    let root = tempfile::tempdir().unwrap();
    let folder = written(root.path(), 1, None);
    let part = folder.join(format!("{}.part", NAMES[0]));
    edit(folder.join(INTEGRITY), without_last_line);
    fs::rename(folder.join(NAMES[0]), &part).unwrap();
    fs::write(&part, "damaged").unwrap();
    assert_invalid(&folder, ".part", "bytes");
    fs::remove_file(&part).unwrap();
    assert_invalid(&folder, NAMES[0], "missing");
}

#[test]
fn any_text_and_any_other_folder_is_reported_and_nothing_panics() {
    let root = tempfile::tempdir().unwrap();
    assert_invalid(&root.path().join("none"), ".", "cannot be read");
    fs::write(root.path().join("holiday.txt"), "").unwrap();
    assert_invalid(root.path(), RECORDS, "missing");
    let folder = complete(root.path());
    for file in [RECORDS, INTEGRITY, METADATA] {
        let whole = fs::read(folder.join(file)).unwrap();
        for n in (0..whole.len()).step_by(7) {
            let mut changed = whole.clone();
            changed[n] = changed[n].wrapping_add(0x80);
            fs::write(folder.join(file), &changed).unwrap();
            verify(&folder).to_string();
            fs::write(folder.join(file), &whole[..n]).unwrap();
            verify(&folder).to_string();
        }
        fs::write(folder.join(file), whole).unwrap();
    }
    assert!(verify(&folder).is_valid());
}
