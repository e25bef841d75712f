//! How fast access logs are read, beside `wc -l`, `rg -c` (where it is installed) and, with the feature `data`, a scan by polars of the
//! same file.
//!
//! ```text
//! cargo bench --bench ingest                          a log of 1 GB, made and kept in target/
//! cargo bench --bench ingest -- access.log            a log of yours
//! cargo bench --bench ingest --features data          with polars beside it
//! ```
//!
//! Rounds alternate and medians are shown, of CPU time where the work is our own process's and of wall time where it is another's; the
//! file is in the page cache by then.

#![expect(clippy::disallowed_methods, reason = "a bench takes the time of other programs")]

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use cpu_time::ProcessTime;
use wavetank::traffic::formats::{Format, LogParser, clf, input};
use wavetank::traffic::replay::{Dataset, Options};

const BYTES: u64 = 1_000_000_000;
const ROUNDS: usize = 5;

/// The log that is read: the one named on the command line, or one that looks like a shop's.
fn log() -> PathBuf {
    if let Some(path) = std::env::args().skip(1).find(|arg| !arg.starts_with('-')) {
        return PathBuf::from(path);
    }
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("ingest.log");
    if path.metadata().is_ok_and(|metadata| metadata.len() >= BYTES) {
        return path;
    }
    eprintln!("writing {} …", path.display());
    let mut out = BufWriter::new(File::create(&path).expect("the target folder can be written"));
    let agents = [
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/122.0 Safari/537.36",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_3 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148",
        "curl/8.5.0",
    ];
    let (mut written, mut i) = (0u64, 0u64);
    while written < BYTES {
        let second = i / 250;
        let (h, m, s) = (second / 3600 % 24, second / 60 % 60, second % 60);
        let day = 1 + second / 86_400;
        let mixed = i.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20;
        let line = format!(
            "10.{}.{}.{} - - [{day:02}/Mar/2024:{h:02}:{m:02}:{s:02} +0000] \"GET /catalog/item-{}?ref=home&page={} HTTP/1.1\" {} {} \
             \"https://shop.example/catalog\" \"{}\"\n",
            mixed % 64,
            mixed / 64 % 256,
            mixed / 16_384 % 256,
            mixed % 200,
            mixed % 7,
            if mixed % 97 == 0 { 404 } else { 200 },
            300 + mixed % 40_000,
            agents[(mixed % 3) as usize],
        );
        out.write_all(line.as_bytes()).expect("the target folder can be written");
        written += line.len() as u64;
        i += 1;
    }
    out.flush().expect("the target folder can be written");
    path
}

/// CPU seconds of our own work.
fn cpu(work: impl FnOnce() -> u64) -> (f64, u64) {
    let start = ProcessTime::now();
    let n = work();
    (start.elapsed().as_secs_f64(), n)
}

/// Seconds of another program; `None` if it is not there.
fn program(name: &str, args: &[&str], path: &Path) -> Option<(f64, u64)> {
    let start = Instant::now();
    let done = Command::new(name).args(args).arg(path).stdout(Stdio::null()).stderr(Stdio::null()).status().ok()?;
    done.success().then(|| (start.elapsed().as_secs_f64(), 0))
}

/// Only the parser: every line becomes a record.
fn parse(path: &Path) -> u64 {
    let file = File::open(path).expect("the log is there");
    let mut lines = input::Lines::new(input::Input::Plain(file));
    let mut parser = LogParser::Clf(clf::Clf::learned(&[], Format::Combined));
    let mut sum = 0;
    while let Some(line) = lines.next_line().expect("the log can be read") {
        if let Ok(Some(record)) = parser.record(line.text) {
            sum += u64::from(record.status) + record.second as u64 + record.path.len() as u64;
        }
    }
    sum
}

#[cfg(feature = "data")]
fn polars(path: &Path) -> u64 {
    wavetank::dataset::scan_lines(path).expect("polars reads lines")
}

fn main() {
    let path = log();
    let bytes = path.metadata().expect("the log is there").len() as f64;
    type Work<'a> = Box<dyn Fn() -> Option<(f64, u64)> + 'a>;
    let all: Vec<(&str, Work)> = vec![
        ("wc -l (wall)", Box::new(|| program("wc", &["-l"], &path))),
        ("rg -c ' 404 ' (wall)", Box::new(|| program("rg", &["-c", " 404 "], &path))),
        ("parse (CPU)", Box::new(|| Some(cpu(|| parse(&path))))),
        (
            "first pass of a replay (CPU)",
            Box::new(|| Some(cpu(|| Dataset::open(&path, &Options::default()).map_or(0, |d| d.summary().lines)))),
        ),
    ];
    #[cfg(feature = "data")]
    let all = {
        let mut all = all;
        all.push(("polars scan (CPU)", Box::new(|| Some(cpu(|| polars(&path))))));
        all
    };
    let mut seconds: Vec<Vec<f64>> = vec![Vec::new(); all.len()];
    for _ in 0..ROUNDS {
        for (times, (_, work)) in seconds.iter_mut().zip(&all) {
            times.extend(work().map(|(time, _)| time));
        }
    }
    println!("{}: {:.0} MB", path.display(), bytes / 1e6);
    for (times, (name, _)) in seconds.iter_mut().zip(&all) {
        times.sort_by(f64::total_cmp);
        match times.get(times.len() / 2) {
            Some(median) => println!("  {name:<30} {:>6.2} GB/s   {median:.3} s", bytes / 1e9 / median),
            None => println!("  {name:<30} not installed"),
        }
    }
}
