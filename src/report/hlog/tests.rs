//! Logs that other programs wrote, with what their own tests expect of them.

use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::*;

fn shared() -> Option<PathBuf> {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data/histograms/hdr"));
    if !path.exists() {
        eprintln!("skipped: ../shared is not there");
        return None;
    }
    Some(path.to_path_buf())
}

#[test]
fn logs_of_every_version_have_what_their_authors_say() {
    let Some(folder) = shared() else { return };
    let expected = std::fs::read_to_string(folder.join("expected.csv")).unwrap();
    let mut checked = 0;
    for row in expected.lines().skip(1) {
        let cells: Vec<&str> = row.split(',').collect();
        let log = read(&std::fs::read_to_string(folder.join(cells[0])).unwrap()).unwrap();
        let number = |i: usize| cells[i].parse::<f64>().ok();
        let (from, to) = (number(1).unwrap_or(0.0), number(2).unwrap_or(f64::INFINITY));
        let inside = |interval: &Interval| interval.start >= from && interval.start < to;
        if let Some(n) = number(3) {
            assert_eq!(log.intervals.iter().filter(|each| inside(each)).count() as f64, n, "{row}");
        }
        let sum = log.sum(inside).unwrap();
        assert_eq!(Some(sum.len() as f64), number(4), "{row}");
        // By three significant digits: the highest value of the same slot.
        if let (Some(p999), Some(max)) = (number(5), number(6)) {
            assert_eq!(sum.value_at_quantile(0.999), p999 as u64, "{row}");
            assert_eq!(sum.max(), max as u64, "{row}");
        }
        if let Some(started) = number(7) {
            assert_eq!(log.started, Some(started), "{row}");
        }
        checked += 1;
    }
    assert_eq!(checked, 7);
}

#[test]
fn tags_are_told_apart_and_add_up() {
    let Some(folder) = shared() else { return };
    let log = read(&std::fs::read_to_string(folder.join("tagged-Log.logV2.hlog")).unwrap()).unwrap();
    assert_eq!((log.intervals.len(), log.tags().len()), (42, 2));
    let of = |tag: Option<&str>| log.sum(|each| each.tag.as_deref() == tag).unwrap();
    let (plain, tagged) = (of(None), of(Some("A")));
    assert_eq!(plain.len() + tagged.len(), 32_290);
    assert_eq!(plain, tagged);
}

#[test]
fn what_is_wrong_with_a_log_is_said_with_its_line() {
    for (line, told) in [
        ("x,1,1,HIST", "line 2: start"),
        ("0,1,1,not base64!", "line 2: the histogram is not base64"),
        ("0,1,1,AAAA", "line 2: no HdrHistogram"),
        ("Tag=A,0,1,1,", "line 2: no HdrHistogram"),
    ] {
        let problem = read(&format!("#[StartTime: 1]\n{line}\n")).unwrap_err();
        assert!(problem.starts_with(told), "{problem}");
    }
    assert!(read("").unwrap().intervals.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_the_reader_panic(
        mut bytes in prop::collection::vec(any::<u8>(), 0..120), kind in 0usize..5, width in 0u32..10
    ) {
        let cookies = [0x1c84_9308u32, 0x1c84_9309, 0x1c84_9301, 0x1c84_9302, 0x1c84_9313];
        if bytes.len() >= 4 {
            bytes[..4].copy_from_slice(&(cookies[kind] | width << 4).to_be_bytes());
        }
        let _ = read(&format!("0,1,1,{}", BASE64.encode(bytes)));
    }
}
