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

/// A table as somebody else writes it.
fn foreign(folder: &TempDir, name: &str, columns: Vec<Column>) -> PathBuf {
    let path = folder.path().join(name);
    let mut frame = DataFrame::new_infer_height(columns).unwrap();
    ParquetWriter::new(File::create(&path).unwrap()).finish(&mut frame).unwrap();
    path
}

/// Cells of a table in text, a column each.
fn columns_of(text: &str) -> (Vec<String>, Vec<Vec<String>>) {
    let mut rows = text.lines().map(|line| line.split(',').map(str::to_string).collect::<Vec<_>>());
    let names = rows.next().unwrap();
    let mut columns = vec![Vec::new(); names.len()];
    for row in rows {
        columns.iter_mut().zip(row).for_each(|(column, cell)| column.push(cell));
    }
    (names, columns)
}

#[test]
fn a_request_trace_of_somebody_else_is_what_it_is_in_text() {
    let folder = TempDir::new().unwrap();
    let azure_functions =
        "app,func,end_timestamp,duration\na,f,0.5,0.25\nb,g,57.75,57.5\na,f,3.0,1.0\nb,f,2.001,0.001\n";
    let azure_llm = "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46.680590,374,44\n\
        2023-11-16 18:15:50.995169,396,109\n2023-11-16 18:15:51.222467,879,55\n";
    let mooncake = "timestamp_ms,input_length,output_length\n0,6758,500\n0,7319,490\n3000,7234,794\n3052,2,9\n";
    for (name, text) in [("functions", azure_functions), ("llm", azure_llm), ("mooncake", mooncake)] {
        let plain = Dataset::open(&written(&folder, &format!("{name}.csv"), text), &options()).unwrap();
        let (names, cells) = columns_of(text);
        let columns = names.iter().zip(cells).map(|(name, cells)| {
            let numbers: Result<Vec<f64>, _> = cells.iter().map(|cell| cell.parse::<f64>()).collect();
            match numbers {
                Ok(numbers) if numbers.iter().all(|n| n.fract() == 0.0) => {
                    Column::new(name.into(), numbers.iter().map(|n| *n as i64).collect::<Vec<_>>())
                }
                Ok(numbers) => Column::new(name.into(), numbers),
                Err(_) => Column::new(name.into(), cells),
            }
        });
        let path = foreign(&folder, &format!("{name}.parquet"), columns.collect());
        let table = Dataset::open(&path, &options()).unwrap();
        assert!(table.summary().description.starts_with("request trace"), "{name}: {}", table.summary());
        assert_eq!(arrivals(&table), arrivals(&plain), "{name}");
        assert_eq!(table.summary().works, plain.summary().works, "{name}");
        let again = folder.path().join("again.parquet");
        write_requests(&table, &again).unwrap();
        assert_eq!(arrivals(&Dataset::open(&again, &options()).unwrap()), arrivals(&plain), "{name}");
    }
    // A moment as a moment, a demand that is none, and a price.
    let at: Vec<i64> = [1_700_158_546_680_590_000, 1_700_158_550_995_169_000, 1_700_158_551_222_467_000].to_vec();
    let at = Column::new("TIMESTAMP".into(), at).cast(&DataType::Datetime(TimeUnit::Nanoseconds, None)).unwrap();
    let tokens = |name: &str, n: [i64; 3]| Column::new(name.into(), n.to_vec());
    let path = foreign(&folder, "typed.parquet", vec![at, tokens("ContextTokens", [374, 396, -1])]);
    let priced = Options { demand: "ContextTokens*1ms".parse().unwrap(), max_bad_lines: 0.5, ..options() };
    let table = Dataset::open(&path, &priced).unwrap();
    assert_eq!((table.summary().lines, table.summary().bad.total()), (2, 1), "{}", table.summary());
    assert_eq!(table.summary().first.unwrap().to_string(), "2023-11-16T18:15:46Z");
}

/// Steps of a series, scanned and read, in the steps of an hour.
fn both(dataset: &Dataset) -> Option<[DataFrame; 2]> {
    let scanned = scan::steps(dataset).unwrap()?;
    let read = series::read_steps(dataset).unwrap();
    let hourly = |frame| series::resampled(frame, 3_600_000_000_000, dataset.counts_per_value(), true).unwrap();
    Some([hourly(scanned), hourly(read)])
}

#[test]
fn a_scan_finds_what_the_reader_of_lines_finds() {
    let folder = TempDir::new().unwrap();
    let nested = |i: i64| {
        format!("{{\"t\": {}, \"load\": {{\"n\": {i}, \"m\": [1]}}, \"x\": \"a\"}}\n", 1_446_249_499_322 + i * 5000)
    };
    let quoted: String = (0..60).map(|i| format!("\"2015-05-17 10:{i:02}\";\"x;y\";{i}.5\r\n")).collect();
    for (name, text) in [
        ("plain.csv", "# made by hand\ntime,rps\n2015-05-17T10:00:00Z,2\n\n2015-05-17T10:00:30Z,4\n2015-05-17T10:01:00Z,\n2015-05-17T10:01:30Z,1.5 K\n".to_string()),
        ("quoted.csv", format!("sep=;\nwhen;what;requests\n{quoted}")),
        ("ragged.csv", "t,requests\n0,1\n60,2,3,4\n120,5\n180,6\n240,7\n300,8\n360,9\n".to_string()),
        ("nested.ndjson", (0..99).map(nested).collect()),
    ] {
        let plain = Dataset::open(&written(&folder, name, &text), &Options { max_bad_lines: 0.5, ..options() }).unwrap();
        let [scanned, read] = both(&plain).unwrap_or_else(|| panic!("{name} is scanned: {}", plain.summary()));
        assert!(scanned.equals_missing(&read), "{name}: {scanned} {read}");
    }
    // A counter's differences need its values in order: it is read line by line.
    let counter = written(&folder, "counter.csv", "t,requests_total\n0,1\n60,5\n120,9\n");
    let counter = Dataset::open(&counter, &options()).unwrap();
    assert!(both(&counter).is_none(), "{}", counter.summary());
    assert!(write_steps(&counter, None, &folder.path().join("counter.parquet")).unwrap() > 0);
}

#[test]
fn a_scan_of_every_public_series_finds_what_the_reader_of_lines_finds() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    if !data.exists() {
        println!("skipped: ../shared is not there");
        return;
    }
    let (mut scanned, mut read) = (0, Vec::new());
    let mut folders = vec![data];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let Ok(dataset) = Dataset::open(&path, &options()) else { continue };
            let text = dataset.series_files().iter().any(|(_, format)| {
                matches!(
                    format,
                    crate::traffic::formats::SeriesFormat::Csv(_) | crate::traffic::formats::SeriesFormat::Ndjson(_)
                )
            });
            if !text {
                continue;
            }
            let Some([a, b]) = both(&dataset) else {
                read.push(path);
                continue;
            };
            scanned += 1;
            assert_eq!(a.column("time").unwrap(), b.column("time").unwrap(), "{}", path.display());
            let (a, b) = (a.column("count").unwrap(), b.column("count").unwrap());
            for (a, b) in a.f64().unwrap().iter().zip(b.f64().unwrap().iter()) {
                let (a, b) = (a.unwrap(), b.unwrap());
                // The order of addition is another.
                assert!((a - b).abs() <= 1e-12 * a.abs(), "{}: {a} {b}", path.display());
            }
        }
    }
    println!("{scanned} scanned, read line by line: {read:?}");
    assert!(scanned >= 50 && read.len() <= 5, "{scanned} scanned, read line by line: {read:?}");
}

#[test]
fn figures_are_rows() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("summary.parquet");
    let figures = [
        Figure { seed: None, name: "latency_ms.p99".to_string(), value: 12.5, interval: Some((12.0, 13.0)) },
        Figure { seed: Some(u64::MAX), name: "fleet.cost".to_string(), value: 0.5, interval: None },
    ];
    write_summary(&figures, &path).unwrap();
    let frame = ParquetReader::new(File::open(&path).unwrap()).finish().unwrap();
    assert_eq!(frame.get_column_names(), ["seed", "name", "value", "low", "high"]);
    assert_eq!(frame.column("seed").unwrap().u64().unwrap().get(1), Some(u64::MAX));
    assert_eq!(frame.column("low").unwrap().f64().unwrap().get(0), Some(12.0));
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
