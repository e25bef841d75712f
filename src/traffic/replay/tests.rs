use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use tempfile::{NamedTempFile, TempDir};

use super::*;
use crate::traffic::formats::{Fault, Work};
use crate::traffic::method::Method;
use crate::traffic::{Arrival, Arrivals, Attack, Config, Origin, Overlay, Process};

fn file(bytes: &[u8]) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    file
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn open(bytes: &[u8], options: &Options) -> Result<Dataset, Error> {
    Dataset::open(file(bytes).path(), options)
}

/// A line at `second` after 10:00:00.
fn line(second: u32, client: &str, path: &str) -> String {
    let (m, s) = (second / 60, second % 60);
    format!("{client} - - [17/May/2015:10:{m:02}:{s:02} +0000] \"GET {path} HTTP/1.1\" 200 10 \"-\" \"x\"\n")
}

fn replay(bytes: &[u8], options: &Options, config: &Config, seed: u64, horizon: Time) -> Vec<Arrival> {
    let file = file(bytes);
    let dataset = Dataset::open(file.path(), options).unwrap();
    let mut arrivals = Arrivals::replay(&dataset, config, seed, horizon).unwrap();
    let all: Vec<Arrival> = arrivals.by_ref().collect();
    assert!(arrivals.truncation().is_none());
    assert!(all.windows(2).all(|w| w[0].at <= w[1].at), "arrivals are in order of time");
    assert!(all.iter().all(|a| a.at < horizon));
    all
}

fn plain(bytes: &[u8]) -> Vec<Arrival> {
    replay(bytes, &Options::default(), &Config::default(), 1, Time::MAX)
}

fn second(arrival: &Arrival) -> u64 {
    arrival.at.0 / 1_000_000_000
}

#[test]
fn every_line_is_a_request_in_its_second_and_in_the_order_of_the_log() {
    let mut log = String::new();
    for (second, client, path) in [(0, "a", "/"), (0, "b", "/x?q=1"), (0, "a", "/x"), (3, "c", "/"), (70, "b", "/y")]
    {
        log += &line(second, client, path);
    }
    let zstd =
        |text: &str| ruzstd::encoding::compress_to_vec(text.as_bytes(), ruzstd::encoding::CompressionLevel::Fastest);
    // Frames one after the other are one file (RFC 8878, section 3).
    let (head, tail) = log.split_at(150);
    for bytes in [log.clone().into_bytes(), gzip(log.as_bytes()), zstd(&log), [zstd(head), zstd(tail)].concat()] {
        let all = plain(&bytes);
        let seen: Vec<_> = all.iter().map(|a| (second(a), a.index, a.origin)).collect();
        let from = |client, endpoint| Origin::Recorded {
            client,
            endpoint,
            method: Method::Get,
            status: 200,
            work: Work::Drawn,
        };
        let expected =
            [(0, 0, from(0, 0)), (0, 1, from(1, 1)), (0, 2, from(0, 1)), (3, 3, from(2, 0)), (70, 4, from(1, 2))];
        assert_eq!(seen, expected);
        assert!(all[0].at < all[1].at && all[1].at < all[2].at, "spread inside the second");
    }
    let dataset = open(log.as_bytes(), &Options::default()).unwrap();
    let summary = dataset.summary();
    assert_eq!(summary.endpoints, ["/", "/x", "/y"]);
    assert_eq!((summary.clients, summary.bytes, summary.statuses[2]), (3, 50, 5));
    assert_eq!(dataset.duration(), Span::from_secs(71));
    assert_eq!(
        summary.to_string(),
        "combined access log, 5 requests, 2015-05-17T10:00:00Z .. 2015-05-17T10:01:10Z, peak 3.0 rps over 1s; stamps of whole seconds are spread inside the second; longest pause 1m7s"
    );
}

#[test]
fn lines_late_by_less_than_the_window_find_their_second_and_later_ones_are_moved() {
    let mut log: String = (0..300).map(|second| line(second, "a", "/")).collect();
    log += &line(245, "late", "/");
    log += &line(100, "later", "/");
    let all = plain(log.as_bytes());
    let of = |client| all.iter().find(|a| matches!(a.origin, Origin::Recorded { client: c, .. } if c == client));
    assert_eq!(second(of(1).unwrap()), 245);
    assert_eq!(second(of(2).unwrap()), 239);
    assert_eq!(all.len(), 302);
    let summary = open(log.as_bytes(), &Options::default()).unwrap().summary;
    assert_eq!((summary.late, summary.out_of_order), (1, 2));
    assert!(summary.to_string().contains("; 1 late lines moved; 2 out of order"), "{summary}");

    // A small recording is put in order, whatever its disorder; a large one is refused.
    let backwards = |n: u32| -> String { (0..n).rev().map(|i| line(i % 10_000 / 10, "a", "/")).collect() };
    let small = plain(backwards(10_000).as_bytes());
    assert!(small.is_sorted_by_key(|a| a.at) && small.len() == 10_000);
    assert!((0..1000).all(|s| small.iter().filter(|a| second(a) == s).count() == 10));
    let error = open(backwards(210_000).as_bytes(), &Options::default()).unwrap_err();
    assert!(matches!(error, Error::Unordered { first_late: 611, lines: 210_000, .. }), "{error}");
}

#[test]
fn malformed_lines_are_counted_by_kind_and_too_many_are_an_error() {
    let mut log: String = (0..400).map(|i| line(i / 4, "a", "/")).collect();
    log.insert_str(0, "\n\ngarbage\n");
    log += "h - - [17/May/2015:10:05:03 +0000] \"GET / HTTP/1.1\" huh 5\n";
    log += "more garbage\n";
    let summary = open(log.as_bytes(), &Options::default()).unwrap().summary;
    assert_eq!((summary.lines, summary.bad.total()), (400, 3));
    assert_eq!((summary.bad.of(Fault::NoTimestamp), summary.bad.of(Fault::BadStatus)), (2, 1));
    let places: Vec<u64> = summary.bad.examples.iter().map(|bad| bad.line).collect();
    assert_eq!(places, [3, 404, 405]);
    assert_eq!(plain(log.as_bytes()).len(), 400);

    let strict = Options { max_bad_lines: 0.005, ..Options::default() };
    let error = open(log.as_bytes(), &strict).unwrap_err().to_string();
    let words = "3 of 403 lines are malformed, more than the 0.5% allowed (max_bad_lines): 2 no [time] after client, \
                 identity and user, 1 no status of three digits after the request; at line 3: no [time] after \
                 client, identity and user: \"garbage\", line 404: ";
    assert!(error.contains(words), "{error}");
}

#[test]
fn speed_compresses_time_and_scale_multiplies_requests() {
    let log: String = (0..6000).map(|i| line(i / 10, "a", "/")).collect();
    let with = |speed, scale| {
        let options = Options { speed, scale, ..Options::default() };
        replay(log.as_bytes(), &options, &Config::default(), 5, Time::MAX)
    };
    let fast = with(10.0, 1.0);
    assert_eq!((fast.len(), second(&fast[5999])), (6000, 59));
    assert!(fast.iter().all(|a| a.at.0 / 100_000_000 == a.index / 10));
    for (scale, mean, sd) in [(0.25, 1500.0, 33.5), (2.0, 12_000.0, 0.0), (2.5, 15_000.0, 38.7)] {
        let all = with(1.0, scale);
        assert!((all.len() as f64 - mean).abs() <= 4.0 * sd, "scale {scale}: {}", all.len());
        assert!(all.iter().all(|a| second(a) == a.index % CLONE / 10), "copies stay in their second");
        let mut indices: Vec<u64> = all.iter().map(|a| a.index).collect();
        indices.sort_unstable();
        indices.dedup();
        assert_eq!(indices.len(), all.len(), "indices are unique");
    }
    assert_eq!(with(1.0, 0.5), with(1.0, 0.5));
    const CLONE: u64 = 1 << 40;
}

#[test]
fn overlays_multiply_and_attack_recorded_traffic_too() {
    let log: String = (0..6000).map(|i| line(i / 10, "a", "/")).collect();
    let at = Span::from_secs(100);
    let attack = Attack { at, rate: 20.0, lasts: at, clients: 5, endpoint: None };
    let spike = Overlay::Spike { at, magnitude: 3.0, rise: Span::ZERO, hold: at, fall: Span::ZERO };
    let config = Config { overlay: vec![spike, Overlay::Attack(attack)], ..Config::default() };
    let all = replay(log.as_bytes(), &Options::default(), &config, 5, Time::from_secs_f64(300.0));
    let recorded = |from, to| {
        let inside = |a: &&Arrival| (from..to).contains(&second(a)) && a.origin != Origin::Attack(0);
        all.iter().filter(inside).count()
    };
    assert_eq!([recorded(0, 100), recorded(100, 200), recorded(200, 300)], [1000, 3000, 1000]);
    let attacks = (all.len() - 5000) as f64;
    assert!((attacks - 2000.0).abs() < 4.0 * 2000f64.sqrt(), "{attacks}");
}

#[test]
fn more_clients_and_paths_than_allowed_share_ids() {
    let log: String = (0..1000).map(|i| line(i / 10, &format!("10.0.0.{i}"), &format!("/{i}"))).collect();
    let options = Options { max_clients: 100, ..Options::default() };
    let all = replay(log.as_bytes(), &options, &Config::default(), 1, Time::MAX);
    let mut shared = [0; 100];
    for arrival in &all {
        let Origin::Recorded { client, endpoint, .. } = arrival.origin else { panic!("{arrival:?}") };
        assert_eq!(u64::from(endpoint), arrival.index.min(256));
        shared[client as usize] += 1;
    }
    assert!(shared.iter().all(|n| (1..30).contains(n)), "{shared:?}");
    let summary = open(log.as_bytes(), &options).unwrap().summary;
    assert_eq!((summary.endpoints.len(), summary.endpoints[256].as_str()), (257, "other"));
}

/// 60 requests a minute for an hour but for a gap of ten minutes, in every spelling of the time.
#[test]
fn a_series_becomes_arrivals_at_its_rates() {
    let minute = |i: u32| format!("2015-05-17T{:02}:{:02}:00Z", i / 60, i % 60);
    let with = |time: &dyn Fn(u32) -> String, heading: &str| {
        let minutes = (0..60u32).filter(|i| !(20..30).contains(i));
        minutes.fold(heading.to_string(), |text, i| text + &format!("{},{}\n", time(i), 60 * (i % 2)))
    };
    let config = |arrivals| Config { arrivals, ..Config::default() };
    for text in [
        with(&minute, "time,requests\n"),
        with(&|i| (1_431_820_800 + i * 60).to_string(), ""),
        with(&|i| (i * 60).to_string(), "t_seconds,requests\n"),
    ] {
        let all = replay(text.as_bytes(), &Options::default(), &config(Process::Paced), 1, Time::MAX);
        assert_eq!(all.len(), 1500, "{text}");
        for a in &all {
            // The last of a minute falls on its end.
            let minute = (a.at.0 - 1) / 60_000_000_000;
            assert!(minute % 2 == 1 && !(20..30).contains(&minute), "{}", a.at);
        }
        let count = replay(text.as_bytes(), &Options::default(), &config(Process::Poisson), 1, Time::MAX).len();
        assert!((count as f64 - 1500.0).abs() < 4.0 * 1500f64.sqrt(), "{count}");
        let faster = Options { speed: 60.0, scale: 2.0, ..Options::default() };
        let all = replay(text.as_bytes(), &faster, &config(Process::Paced), 1, Time::MAX);
        assert_eq!((all.len(), all[2999].at), (3000, Time::from_secs_f64(60.0)));
        let dataset = open(text.as_bytes(), &faster).unwrap();
        let summary = dataset.summary();
        assert_eq!((summary.gaps, summary.missing_steps, summary.requests), (1, 10, 1500.0));
        assert_eq!((dataset.duration(), summary.peak_rps), (Span::from_secs(60), 1.0));
    }
    let dataset = open(with(&minute, "time,requests\n").as_bytes(), &Options::default()).unwrap();
    assert_eq!(
        dataset.summary().to_string(),
        "rate series, time in \"time\" (date and time), counts in \"requests\", step 1m, 50 rows, 1,500 requests, \
         2015-05-17T00:00:00Z .. 2015-05-17T00:59:00Z, peak 1.0 rps over 1m; 10 missing steps taken as zero"
    );
}

#[test]
fn rows_in_disorder_are_sorted_and_those_of_one_step_added_up() {
    let text = "t,n\n0,60\n120,180\n60,120\n60,60\n180,0\n240,60\n";
    let config = Config { arrivals: Process::Paced, ..Config::default() };
    let all = replay(
        text.as_bytes(),
        &Options { step: Some(Span::from_secs(60)), ..Options::default() },
        &config,
        1,
        Time::MAX,
    );
    let mut minutes = [0; 5];
    all.iter().for_each(|a| minutes[((a.at.0 - 1) / 60_000_000_000) as usize] += 1);
    assert_eq!(minutes, [60, 180, 180, 0, 60]);
    let summary = open(text.as_bytes(), &Options::default()).unwrap().summary;
    assert_eq!((summary.duplicates, summary.out_of_order), (1, 1));
}

#[test]
fn rates_per_second_and_a_step_of_ones_own_are_respected() {
    let config = Config { arrivals: Process::Paced, ..Config::default() };
    let count = |text: &str, step| {
        let options = Options { step, ..Options::default() };
        replay(text.as_bytes(), &options, &config, 1, Time::MAX).len()
    };
    assert_eq!(count("time,rps\n0,5\n60,10\n", None), 900);
    assert_eq!(count("5\n10\n", None), 15);
    assert_eq!(count("5\n10\n", Some(Span::from_mins(10))), 15);
    assert_eq!(count("time,n\n7,5\n", Some(Span::from_mins(10))), 5);
}

#[test]
fn a_recording_that_cannot_be_used_says_what_would_do() {
    let directory = TempDir::new().unwrap();
    let told = |path: &Path| Dataset::open(path, &Options::default()).unwrap_err().to_string();
    assert!(told(directory.path()).contains("found a directory, expected a file"));
    assert!(told(&directory.path().join("none.log")).contains("none.log: no such file"));
    let log: String = (0..20_000).map(|i| line(i / 100, &format!("host{i}"), "/")).collect();
    let packed = gzip(log.as_bytes());
    let of = |bytes: &[u8]| open(bytes, &Options::default()).unwrap_err();
    assert!(matches!(of(b""), Error::Empty { .. }));
    assert!(matches!(of(b"\n \n\n"), Error::Empty { .. }));
    assert!(matches!(of(&gzip(b"")), Error::Empty { .. }));
    assert!(matches!(of(b"abc\0def"), Error::Binary { at: 3, .. }));
    assert!(matches!(of(b"\x28\xB5\x2F\xFD...."), Error::Damaged { line: 0, .. }));
    assert!(matches!(of(b"PK\x03\x04...."), Error::Packed { packing: "zip", .. }));
    assert!(matches!(of(&packed[..packed.len() - 9]), Error::Damaged { line, .. } if line > 19_000));
    assert!(matches!(of(&packed[..packed.len() / 2]), Error::Damaged { line, .. } if line > 1000));
    assert!(matches!(of(&packed[..20]), Error::Damaged { line: 0, .. }));
    assert!(matches!(of(b"\x1F\x8B garbage, no gzip"), Error::Damaged { line: 0, .. }));
    assert!(matches!(of(b"the quick\nbrown fox\n"), Error::UnknownFormat { .. }));
    assert!(matches!(of(b"time,n\n0,5\n"), Error::NoStep { .. }));
    assert!(matches!(of(b"time,n\n0,-5\n60,-6\n"), Error::TooManyBadLines { .. }));
    assert!(of(b"5\n-1\n3\n-2\n").to_string().contains("line 2: count is negative: \"-1\""));
    let wrong = |options: Options| open(b"1\n2\n", &options).unwrap_err().to_string();
    for (options, words) in [
        (Options { speed: 0.0, ..Options::default() }, "speed: found 0, expected a number above 0"),
        (Options { scale: f64::NAN, ..Options::default() }, "scale: found NaN, expected"),
        (Options { max_bad_lines: 2.0, ..Options::default() }, "max_bad_lines: found 2, expected a share"),
        (Options { max_clients: 0, ..Options::default() }, "max_clients: found 0"),
        (Options { step: Some(Span::ZERO), ..Options::default() }, "step: found 0s"),
    ] {
        assert!(wrong(options).contains(words), "{words}");
    }
}

#[test]
fn a_file_that_breaks_during_the_run_ends_the_run_and_is_reported() {
    let log: String = (0..50_000).map(|i| line(i / 100, &format!("host{i}"), "/")).collect();
    let series: String = (0..200_000).map(|i| format!("{}\n", i * 7919 % 1000)).collect();
    for text in [log, series] {
        let packed = gzip(text.as_bytes());
        let file = file(&packed);
        let dataset = Dataset::open(file.path(), &Options::default()).unwrap();
        std::fs::write(file.path(), &packed[..packed.len() / 2]).unwrap();
        let mut arrivals = Arrivals::replay(&dataset, &Config::default(), 1, Time::MAX).unwrap();
        let n = arrivals.by_ref().count();
        let truncation = arrivals.truncation().expect("the loss is noticed");
        assert!(n > 1000 && truncation.requests == n as u64, "{n}");
        assert!(
            truncation.to_string().contains("truncated after")
                && truncation.to_string().contains("damaged after line")
        );
        std::fs::remove_file(file.path()).unwrap();
        assert!(matches!(Arrivals::replay(&dataset, &Config::default(), 1, Time::MAX), Err(Error::Missing { .. })));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever a file holds, it is an error or a replay, and all its requests come.
    #[test]
    fn no_file_makes_a_replay_panic(
        lines in proptest::collection::vec(prop_oneof![
            (0u32..40, 0u32..5).prop_map(|(s, c)| line(s, &c.to_string(), "/")),
            "[0-9]{1,12}(,[0-9.-]{0,9})?\n",
            "[ -~]{0,40}\n",
        ], 0..30),
        soup in proptest::collection::vec(any::<u8>(), 0..50),
        packed in any::<bool>(),
    ) {
        let mut bytes = lines.concat().into_bytes();
        bytes.extend(soup);
        let file = file(&if packed { gzip(&bytes) } else { bytes });
        let options = Options { max_bad_lines: 1.0, ..Options::default() };
        if let Ok(dataset) = Dataset::open(file.path(), &options) {
            let _ = dataset.summary().to_string();
            let arrivals = Arrivals::replay(&dataset, &Config::default(), 1, Time::MAX).unwrap();
            if dataset.summary().is_log {
                prop_assert_eq!(arrivals.count() as u64, dataset.summary().lines);
            } else {
                arrivals.take(1000).for_each(drop);
            }
        }
    }
}

/// The directory of public recordings, if it is there.
fn shared() -> Option<PathBuf> {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data"));
    if !path.is_dir() {
        eprintln!("skipped: ../shared is not there");
        return None;
    }
    Some(path)
}

fn table(path: &Path) -> Vec<(String, u64)> {
    let text = std::fs::read_to_string(path).unwrap();
    let rows = text.lines().skip(1).map(|line| line.split_once(',').unwrap());
    rows.map(|(name, value)| (name.to_string(), value.parse().unwrap())).collect()
}

#[test]
fn public_access_logs_hold_what_is_known_of_them() {
    let Some(data) = shared() else { return };
    let cases = [
        ("nasa-clf", "nasa_clf", "common access log", "1995-07-01T04:00:01Z", "1995-07-01T04:19:42Z"),
        ("elastic-apache", "apache_combined", "combined access log", "2015-05-17T10:05:00Z", "2015-05-19T03:05:59Z"),
    ];
    for (directory, name, words, first, last) in cases {
        let directory = data.join("logs").join(directory);
        let dataset = Dataset::open(&directory.join(format!("{name}.log.gz")), &Options::default()).unwrap();
        let summary = dataset.summary();
        println!("{summary}");
        assert_eq!(summary.description, words);
        assert_eq!(
            (summary.first.unwrap().to_string(), summary.last.unwrap().to_string()),
            (first.into(), last.into())
        );
        let facts = table(&directory.join(format!("{name}_facts.csv")));
        let fact = |wanted: &str| facts.iter().find(|(name, _)| name == wanted).unwrap().1;
        assert_eq!((summary.lines, summary.bytes), (fact("lines"), fact("bytes_sum")), "{name}");
        assert_eq!(summary.bad.total(), 0, "{name}");
        for class in 1..=5 {
            let of_class = facts.iter().filter(|(name, _)| name.starts_with(&format!("status_{class}")));
            assert_eq!(summary.statuses[class], of_class.map(|(_, n)| n).sum::<u64>(), "{name} {class}xx");
        }
        // Per minute, from the bins and from the requests as played.
        let minutes: Vec<(i64, u64)> = table(&directory.join(format!("{name}_rate_per_minute.csv")))
            .into_iter()
            .map(|(time, n)| (time.parse::<jiff::Timestamp>().unwrap().as_second() / 60, n))
            .collect();
        let mut binned = std::collections::BTreeMap::new();
        for (i, n) in summary.bins.counts().enumerate() {
            let at = summary.bins.start + i as i64 * (summary.bins.width().0 / 1_000_000_000) as i64;
            *binned.entry(at.div_euclid(60)).or_insert(0) += n as u64;
        }
        binned.retain(|_, n| *n > 0);
        assert_eq!(binned.into_iter().collect::<Vec<_>>(), minutes, "{name}");
        let mut played = std::collections::BTreeMap::new();
        for a in Arrivals::replay(&dataset, &Config::default(), 3, Time::MAX).unwrap() {
            *played.entry((summary.origin + second(&a) as i64).div_euclid(60)).or_insert(0u64) += 1;
        }
        assert_eq!(played.into_iter().collect::<Vec<_>>(), minutes, "{name}");
    }
}

#[test]
fn public_rate_series_hold_what_is_known_of_them() {
    let Some(data) = shared() else { return };
    // File, rows, sum, step [s], peak of a step, the step of the peak, gaps; first and last moment where there are dates.
    type Case = (&'static str, u64, f64, u64, f64, u64, u64, Option<(&'static str, &'static str)>);
    let cases: [Case; 5] = [
        (
            "worldcup98/rate_per_minute.csv.gz",
            82_220,
            846_479_368.0,
            60,
            213_235.0,
            80_308,
            7,
            Some(("1998-04-30T21:30:00Z", "1998-06-26T23:59:00Z")),
        ),
        (
            "nasa-http-1995/rate_per_minute.csv.gz",
            39_693,
            1_891_713.0,
            60,
            405.0,
            17_869,
            0,
            Some(("1995-07-01T04:00:00Z", "1995-07-28T17:32:00Z")),
        ),
        ("nasa-http-1995/requests_per_second.txt.gz", 2_381_544, 1_891_713.0, 1, 20.0, 1_085_577, 0, None),
        ("twitter-stream-2021/events_per_second.txt.gz", 950_400, 60_700_490.0, 1, 365.0, 723_892, 0, None),
        ("twitter-stream-2021/rate_per_minute.csv.gz", 15_840, 60_700_490.0, 60, 18_006.0, 10_540, 0, None),
    ];
    for (name, rows, requests, step, peak, peak_step, gaps, dates) in cases {
        let dataset = Dataset::open(&data.join("series").join(name), &Options::default()).unwrap();
        let summary = dataset.summary();
        println!("{summary}");
        assert_eq!((summary.lines, summary.requests), (rows, requests), "{name}");
        assert_eq!(summary.step, Some(Span::from_secs(step)), "{name}");
        assert!((summary.peak_rps * step as f64 - peak).abs() < 1e-6, "{name}: {}", summary.peak_rps);
        assert_eq!(summary.peak_at, Span::from_secs(step) * peak_step, "{name}");
        assert_eq!((summary.gaps, summary.duplicates, summary.out_of_order), (gaps, 0, 0), "{name}");
        let found = summary.first.zip(summary.last).map(|(a, b)| (a.to_string(), b.to_string()));
        assert_eq!(found, dates.map(|(a, b)| (a.to_string(), b.to_string())), "{name}");
    }
}

/// The first and last second, and how many there are.
fn outline(all: &[Arrival]) -> (usize, u64, u64) {
    (all.len(), all.first().map_or(0, second), all.last().map_or(0, second))
}

#[test]
fn a_part_is_played_from_where_it_was_asked_for() {
    let log: String = (0..600).map(|i| line(i, if i % 2 == 0 { "a" } else { "b" }, "/")).collect();
    let part = |from: Option<&str>, to: Option<&str>, filter: &str| {
        let options = Options {
            from: from.map(|text| text.parse().unwrap()),
            to: to.map(|text| text.parse().unwrap()),
            filter: if filter.is_empty() { Filter::default() } else { filter.parse().unwrap() },
            ..Options::default()
        };
        outline(&replay(log.as_bytes(), &options, &Config::default(), 1, Time::MAX))
    };
    assert_eq!(part(Some("1m40s"), None, ""), (500, 0, 499));
    assert_eq!(part(Some("2015-05-17T10:01:40Z"), Some("200s"), ""), (100, 0, 99));
    assert_eq!(part(None, Some("2015-05-17 10:00:10"), ""), (10, 0, 9));
    assert_eq!(part(Some("100s"), Some("110s"), "client=b"), (5, 1, 9), "time 0 is what was asked for");
    let nothing = Options { filter: "status>=500".parse().unwrap(), ..Options::default() };
    let error = open(log.as_bytes(), &nothing).unwrap_err().to_string();
    assert!(error.contains("600 were read, and none passes the filter status>=500"), "{error}");
}

#[test]
fn a_recording_that_is_repeated_goes_on_where_it_ended() {
    let log: String = (0..60).map(|i| line(i, "a", "/")).collect();
    let options = Options { repeat: 3, speed: 2.0, ..Options::default() };
    let all = replay(log.as_bytes(), &options, &Config::default(), 1, Time::MAX);
    assert_eq!(outline(&all), (180, 0, 89));
    assert_eq!(open(log.as_bytes(), &options).unwrap().duration(), Span::from_secs(90));
    let indices: std::collections::BTreeSet<u64> = all.iter().map(|a| a.index).collect();
    assert_eq!(indices.len(), 180, "each request has its own random numbers");
    let steps = "10\n20\n";
    let options = Options { repeat: 50, ..Options::default() };
    let all =
        replay(steps.as_bytes(), &options, &Config { arrivals: Process::Paced, ..Config::default() }, 1, Time::MAX);
    assert!((all.len() as i64 - 1500).abs() <= 1 && second(all.last().unwrap()) >= 99, "{}", all.len());
}

#[test]
fn files_are_merged_in_order_of_time_and_read_once() {
    let folder = TempDir::new().unwrap();
    let write = |name: &str, seconds: &mut dyn Iterator<Item = u32>, client: &str| {
        let text: String = seconds.map(|second| line(second, client, "/")).collect();
        std::fs::write(folder.path().join(name), text).unwrap();
    };
    write("b.log", &mut (0..300).step_by(2), "b");
    write("a.log", &mut (1..300).step_by(2), "a");
    write("c.log", &mut (300..600), "c");
    let pattern = folder.path().join("*.log");
    let dataset = Dataset::open(&pattern, &Options::default()).unwrap();
    assert_eq!((dataset.summary().lines, dataset.summary().out_of_order), (600, 0));
    assert_eq!(dataset.summary().description, "combined access log, 3 files");
    let all: Vec<Arrival> = Arrivals::replay(&dataset, &Config::default(), 1, Time::MAX).unwrap().collect();
    assert!(all.iter().enumerate().all(|(i, a)| second(a) == i as u64));
    let twice = [folder.path().join("a.log"), pattern, folder.path().join("a.log")];
    assert_eq!(Dataset::open_all(&twice, &Options::default()).unwrap().summary().lines, 600);
    let none = Dataset::open(&folder.path().join("*.gz"), &Options::default()).unwrap_err();
    assert!(matches!(none, Error::NoMatch { .. }), "{none}");
    std::fs::write(folder.path().join("d.csv"), "time,n\n0,1\n1,2\n").unwrap();
    let mixed = Dataset::open(&folder.path().join("*.[lc]*"), &Options::default()).unwrap_err().to_string();
    assert!(mixed.contains("a log and a series"), "{mixed}");
}

#[test]
fn a_clock_that_is_set_back_goes_on_from_where_it_was() {
    // Local times without a zone, read as UTC: an hour comes twice.
    let at = |second: u32| {
        let (h, m, s) = (second / 3600, second / 60 % 60, second % 60);
        format!(
            "1.2.3.4:5 [29/Oct/2023:{h:02}:{m:02}:{s:02}.500] a b/c 0/0/7/14/21 200 1 - - ---- 2/1/0/0/0 0/0 \"GET / HTTP/1.1\"\n"
        )
    };
    let log: String = (3600..3 * 3600).chain(2 * 3600..4 * 3600).step_by(1).map(at).collect();
    let dataset = open(log.as_bytes(), &Options::default()).unwrap();
    assert_eq!((dataset.summary().setbacks, dataset.summary().late), (1, 0));
    // The first second after the change and the last before it are taken for one.
    assert_eq!(dataset.summary().recorded, Span::from_secs(4 * 3600 - 1));
    let berlin = Options { zone: "Europe/Berlin".parse().unwrap(), ..Options::default() };
    let dataset = open(log.as_bytes(), &berlin).unwrap();
    assert_eq!((dataset.summary().setbacks, dataset.summary().out_of_order), (0, 0), "a zone knows");
    assert_eq!(dataset.summary().recorded, Span::from_secs(4 * 3600));
}

#[test]
fn finer_stamps_are_kept_and_demand_comes_with_them() {
    let trace = "end_timestamp,duration\n0.5,0.25\n57.75,57.5\n3,1\n2.001,0.001\n";
    let all = plain(trace.as_bytes());
    let seen: Vec<(u64, Work)> = all
        .iter()
        .map(|a| match a.origin {
            Origin::Recorded { work, .. } => (a.at.0 / 1_000_000, work),
            _ => panic!("{a:?}"),
        })
        .collect();
    let ms = |n: u64| Work::Nanos(n * 1_000_000);
    assert_eq!(seen, [(250, ms(250)), (250, ms(57_500)), (2000, ms(1000)), (2000, ms(1))]);
    let sizes = "timestamp,input_length\n0.25,10\n0.5,30\n1.25,20\n5,20\n";
    let work: Vec<Work> = plain(sizes.as_bytes())
        .iter()
        .map(|a| if let Origin::Recorded { work, .. } = a.origin { work } else { Work::Drawn })
        .collect();
    assert_eq!(work, [0.5, 1.5, 1.0, 1.0].map(Work::Size), "relative to the mean");
}

#[test]
fn stamps_further_apart_than_a_clock_of_nanoseconds_reaches_are_no_panic() {
    let old = "h - - [22/Jan/0219:03:56:14 +0000] \"GET / HTTP/1.1\" 200 1 \"-\" \"x\"\n";
    let log: String = old.to_string() + &(0..5).map(|n| line(n, "h", "/")).collect::<String>();
    let dataset = open(log.as_bytes(), &Options::default()).unwrap();
    let summary = dataset.summary();
    assert_eq!((summary.lines, summary.recorded, summary.pauses[0].length), (6, Span::MAX, Span::MAX));
    assert!(summary.to_string().contains("0219-01-22"), "{summary}");
}
