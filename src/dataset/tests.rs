use std::io::Write;

use tempfile::TempDir;

use super::*;
use crate::traffic::replay::{Dataset, TableReader};
use crate::traffic::{Arrival, Arrivals, Config};
use crate::units::{Span, Time};

fn options() -> Options {
    Options { tables: Some(TableReader(read)), ..Options::default() }
}

fn written(folder: &TempDir, name: &str, text: &str) -> PathBuf {
    let path = folder.path().join(name);
    File::create(&path).unwrap().write_all(text.as_bytes()).unwrap();
    path
}

fn arrivals(dataset: &Dataset) -> Vec<Arrival> {
    Arrivals::replay(dataset, &Config::default(), 7, Time::MAX).unwrap().collect()
}

#[test]
fn a_log_is_the_same_recording_after_it_was_written_as_a_table() {
    let folder = TempDir::new().unwrap();
    let log: String = (0..1000)
        .map(|i| {
            let second = i / 3 % 60;
            format!("10.0.0.{} - - [17/May/2015:10:{:02}:{second:02} +0000] \"GET /{} HTTP/1.1\" {} {i} \"-\" \"agent {}\" {}\n",
                i % 7, i / 180, i % 5, 200 + i % 2 * 300, i % 3, i * 1000)
        })
        .collect();
    let text = Dataset::open(&written(&folder, "access.log", &log), &options()).unwrap();
    let path = folder.path().join("access.parquet");
    assert_eq!(write_requests(&text, &path).unwrap(), 1000);
    let table = Dataset::open(&path, &options()).unwrap();
    assert_eq!(arrivals(&table), arrivals(&text), "the same requests at the same times");
    let (a, b) = (table.summary(), text.summary());
    assert_eq!((a.lines, a.bytes, a.statuses, a.clients), (b.lines, b.bytes, b.statuses, b.clients));
    assert_eq!((a.first, a.last, &a.endpoints), (b.first, b.last, &b.endpoints));
    assert_eq!(a.recorded_answers.took, b.recorded_answers.took);
    let filtered = Options { filter: "agent~2 && status>=500".parse().unwrap(), ..options() };
    let again = |path: &Path| Dataset::open(path, &filtered).unwrap().summary().lines;
    assert_eq!(again(&path), again(&folder.path().join("access.log")));
}

#[test]
fn a_trace_keeps_its_demand_and_its_offsets() {
    let folder = TempDir::new().unwrap();
    let trace = written(&folder, "trace.csv", "end_timestamp,duration\n0.5,0.25\n57.75,57.5\n3,1\n2.001,0.001\n");
    let text = Dataset::open(&trace, &options()).unwrap();
    let path = folder.path().join("trace.parquet");
    write_requests(&text, &path).unwrap();
    let table = Dataset::open(&path, &options()).unwrap();
    assert_eq!(arrivals(&table), arrivals(&text));
    assert_eq!(table.summary().first, None);
}

#[test]
fn steps_are_added_up_and_read_back() {
    let folder = TempDir::new().unwrap();
    let series = written(
        &folder,
        "rates.csv",
        "time,rps\n2015-05-17T10:00:00Z,2\n2015-05-17T10:00:30Z,4\n2015-05-17T10:01:00Z,6\n",
    );
    let text = Dataset::open(&series, &options()).unwrap();
    let path = folder.path().join("rates.parquet");
    assert_eq!(write_steps(&text, Some(Span::from_secs(60)), &path).unwrap(), 2);
    let table = Dataset::open(&path, &Options { step: Some(Span::from_secs(60)), ..options() }).unwrap();
    let summary = table.summary();
    assert_eq!((summary.lines, summary.requests), (2, 360.0));
    assert_eq!(summary.first.unwrap().to_string(), "2015-05-17T10:00:00Z");
    assert!(summary.description.contains("\"time\"") && summary.description.contains("\"count\""), "{summary}");
    let log: String = (0..90)
        .map(|i| format!("h - - [17/May/2015:10:{:02}:{:02} +0000] \"GET / HTTP/1.1\" 200 1\n", i / 60, i % 60))
        .collect();
    let log = Dataset::open(&written(&folder, "access.log", &log), &options()).unwrap();
    assert_eq!(write_steps(&log, Some(Span::from_secs(60)), &path).unwrap(), 2);
    assert_eq!(Dataset::open(&path, &options()).unwrap().summary().requests, 90.0);
}

#[test]
fn a_table_that_is_none_says_so() {
    let folder = TempDir::new().unwrap();
    let path = written(&folder, "broken.parquet", "PAR1 and nothing more");
    let error = Dataset::open(&path, &options()).unwrap_err().to_string();
    assert!(error.contains("broken.parquet"), "{error}");
    let error = Dataset::open(&path, &Options::default()).unwrap_err().to_string();
    assert!(error.contains("this build of the program reads none"), "{error}");
    let path = folder.path().join("matches.parquet");
    let mut frame = DataFrame::new_infer_height(vec![Column::new("who".into(), vec!["a", "b"])]).unwrap();
    ParquetWriter::new(File::create(&path).unwrap()).finish(&mut frame).unwrap();
    let error = Dataset::open(&path, &options()).unwrap_err().to_string();
    assert!(error.contains("no column with a time among [\"who\"]"), "{error}");
}
