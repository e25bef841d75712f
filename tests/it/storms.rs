//! Storms: the classics with and without their cures, the probe that looks for more, and the physics behind them.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use wavetank::engine::balancer::Strategy;
use wavetank::record::Run;
use wavetank::record::outcome::Failure;
use wavetank::record::timeline::Column;
use wavetank::scenario::Scenario;
use wavetank::sim::{Monitor, Plan};
use wavetank::storm::Settings;
use wavetank::storm::classics::{CLASSICS, Classic, Figures, Table, strategies};
use wavetank::storm::kick::{Trigger, capacity};
use wavetank::storm::probe::{Map, Probe};
use wavetank::storm::protection::{Calm, Protected, catalogue, trials};
use wavetank::storm::recovery::Fate;
use wavetank::units::Span;

use crate::cli::{folder, output, stderr};
use crate::world::run;

fn classic(name: &str) -> &'static Classic {
    CLASSICS.iter().find(|classic| classic.name == name).expect("it ships")
}

fn played(scenario: Scenario) -> Run {
    let seed = scenario.seed;
    Plan::new(scenario).expect("no dataset").run(seed, &Monitor::default()).expect("no dataset")
}

/// A storm as it is, and with its cure.
fn pair(name: &str) -> [(Run, Figures); 2] {
    let classic = classic(name);
    let before = classic.with(&[]).expect("it parses");
    let after = classic.cured().expect("its cure can be meant");
    [before, after].map(|scenario| {
        let run = played(scenario);
        let figures = classic.figures(&run);
        (run, figures)
    })
}

fn with(name: &str, settings: &[&str]) -> (Run, Figures) {
    let classic = classic(name);
    let settings: Vec<String> = settings.iter().map(ToString::to_string).collect();
    let run = played(classic.with(&settings).expect("it can be meant"));
    let figures = classic.figures(&run);
    (run, figures)
}

/// Answers in time over requests, from one second to another.
fn goodput(run: &Run, from: usize, to: usize) -> f64 {
    let sum = |column: Column| run.timeline.column(column)[from..to].iter().sum::<f64>();
    sum(Column::SucceededRps) / sum(Column::OfferedRps)
}

#[test]
fn retries_outlive_what_caused_them_and_a_budget_ends_them() {
    let [(storm, _), (calm, _)] = pair("retry-storm");
    // The instances are well from minute 3 on; four minutes later nobody is served.
    assert!(goodput(&storm, 30, 120) > 0.999);
    assert!(goodput(&storm, 420, 480) < 0.01, "{}", goodput(&storm, 420, 480));
    assert!(storm.wasted_work > 0.8 && storm.counts.retries > 2 * storm.counts.offered);
    assert!(goodput(&calm, 300, 480) > 0.999, "{}", goodput(&calm, 300, 480));
    assert!(calm.counts.retries < calm.counts.offered / 10);
}

#[test]
fn an_empty_cache_keeps_itself_empty_until_fewer_are_let_in() {
    let [(storm, _), (calm, _)] = pair("cache-loss");
    assert!(goodput(&storm, 540, 600) < 0.1, "{}", goodput(&storm, 540, 600));
    assert!(storm.wasted_work > 0.6, "{}", storm.wasted_work);
    assert!(goodput(&calm, 240, 600) > 0.999, "{}", goodput(&calm, 240, 600));
    assert!(calm.wasted_work < 0.01);
}

#[test]
fn without_a_timeout_a_call_that_few_make_takes_everybody_down() {
    let [(storm, _), (calm, _)] = pair("slow-dependency");
    // Four in five never ask for it.
    assert!(goodput(&storm, 180, 300) < 0.3, "{}", goodput(&storm, 180, 300));
    assert!(goodput(&storm, 360, 480) > 0.99, "it is no longer slow");
    assert_eq!(calm.counts.succeeded, calm.counts.offered);
}

#[test]
fn clients_that_wait_equally_long_come_back_in_waves() {
    let [(storm, before), (calm, after)] = pair("reconnect");
    let wave = |run: &Run| run.timeline.column(Column::RetriesRps)[150..480].iter().copied().fold(0.0, f64::max);
    assert!(wave(&storm) > 3000.0, "{} in a second, half a minute and more after it", wave(&storm));
    assert!(wave(&calm) < 500.0, "{}", wave(&calm));
    assert!(before.p99_ms > 120e3 && after.p99_ms < 60e3, "{} and {}", before.p99_ms, after.p99_ms);
    assert!(before.wasted_work > 0.25 && after.wasted_work < 0.01);
    assert_eq!(calm.counts.succeeded, calm.counts.offered);
}

#[test]
fn an_autoscaler_that_is_led_by_the_nose_is_late_each_time() {
    let [(storm, before), (calm, after)] = pair("yo-yo");
    assert!(storm.fleet.scale_ups >= 3 && storm.fleet.scale_downs >= 3, "{:?}", storm.fleet);
    for burst in [120, 480, 840] {
        assert!(goodput(&storm, burst, burst + 120) < 0.3, "the burst at {burst} s");
    }
    assert!(before.availability < 0.8 && after.availability > 0.999, "{before:?} {after:?}");
    assert!(calm.fleet.cost.cost < storm.fleet.cost.cost);
}

#[test]
fn a_gray_instance_hurts_by_as_much_as_it_is_sent() {
    let [(_, before), (_, after)] = pair("gray-instance");
    assert!(before.availability < 0.95 && after.availability > 0.999, "{before:?} {after:?}");
    let availability =
        |strategy: &str| with("gray-instance", &[&format!("balancer.strategy={strategy}")]).1.availability;
    for blind in ["random", "weighted", "maglev", "ip_hash"] {
        assert!(availability(blind) < 0.96, "{blind}: {}", availability(blind));
    }
    for sees in ["least_connections", "power_of_two_choices", "prequal"] {
        assert!(availability(sees) > 0.99, "{sees}: {}", availability(sees));
    }
    let ejecting = with("gray-instance", &["balancer.ejection.latency={}"]).1;
    assert!(ejecting.availability > 0.99, "{ejecting:?}");
}

#[test]
fn a_breaker_for_all_instances_is_worse_than_none() {
    let [(_, before), (_, after)] = pair("breaker-makes-it-worse");
    let (_, none) = with("breaker-makes-it-worse", &["breaker="]);
    assert!((0.90..0.94).contains(&none.availability), "{none:?}");
    assert!(before.availability < 0.5, "{before:?}");
    assert!(after.availability > 0.99, "{after:?}");
}

#[test]
fn a_shared_quota_goes_to_the_loudest() {
    let [(storm, before), (_, after)] = pair("unfair-limiter");
    assert!(before.availability < 0.5, "{before:?}");
    assert_eq!(after.availability, 1.0);
    // By the book nothing is wrong: what a quota refuses does not count.
    assert_eq!(storm.counts.availability(), Some(1.0));
    assert!(storm.counts.failed_for(Failure::RateLimited) > storm.counts.succeeded);
}

#[test]
fn instances_that_are_to_help_kill_the_database() {
    let [(storm, _), (calm, _)] = pair("scale-out-kills-database");
    assert!(storm.fleet.max >= 12, "{}", storm.fleet.max);
    // Load is back to where it began for four minutes.
    assert!(goodput(&storm, 600, 720) < 0.1, "{}", goodput(&storm, 600, 720));
    assert!(goodput(&calm, 30, 720) > 0.999, "{}", goodput(&calm, 30, 720));
    // Not scaling out at all would have been enough.
    let (still, _) = with("scale-out-kills-database", &["autoscaler.max=3"]);
    assert!(goodput(&still, 30, 720) > 0.999);
}

#[test]
fn every_storm_says_in_its_file_what_ends_it() {
    for classic in CLASSICS {
        let comment: String = classic.text.lines().take_while(|line| line.starts_with('#')).collect();
        assert!(comment.contains("Look at:"), "{}", classic.name);
        for setting in classic.cure {
            assert!(comment.contains(&format!("--set {setting}")), "{}: {setting}", classic.name);
        }
        assert!(comment.contains(&format!("scenarios/storms/{}.toml", classic.name)), "{}", classic.name);
    }
    let shipped: BTreeSet<String> =
        crate::cli::names(concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios/storms").as_ref())
            .into_iter()
            .map(|name| name.trim_end_matches(".toml").to_string())
            .collect();
    let known: BTreeSet<String> = CLASSICS.iter().map(|classic| classic.name.to_string()).collect();
    assert_eq!(shipped, known);
}

#[test]
fn every_strategy_can_be_meant_in_some_storm() {
    for strategy in strategies() {
        let fits = CLASSICS.iter().filter(|classic| match &strategy.settings {
            Some(settings) => classic.with(settings).is_ok(),
            None => classic.cured().is_ok(),
        });
        assert!(fits.count() > 0, "{} fits nowhere", strategy.name);
    }
}

/// Ten workers that serve 1,000 requests per second of 10 ms each; clients wait for 200 ms and try `attempts` times, at once.
fn vulnerable(attempts: u32, budget: &str) -> Scenario {
    let retry = format!("retry = {{ max = {}, backoff = '1ms', factor = 1.0, jitter = 0{budget} }}", attempts - 1);
    let text = format!(
        r#"
        scenario.duration = "1m"
        traffic.shape = [{{ kind = "constant", rate = 500 }}]
        clients = {{ timeout = "200ms", {retry} }}
        service = {{ workers = 10, time = "10ms" }}
        "#
    );
    wavetank::scenario::parse(&text, "vulnerable.toml", "".as_ref(), &[])
        .unwrap_or_else(|problems| panic!("{problems}"))
}

fn quick(levels: u32) -> Settings {
    Settings {
        levels,
        settle: Span::from_secs(20),
        watch: Span::from_secs(40),
        hold: Span::from_secs(5),
        lengths: vec![Span::from_secs(5)],
        ..Settings::new(Trigger::Capacity)
    }
}

fn mapped(scenario: &Scenario, settings: &Settings) -> Map {
    let monitor = Monitor::default();
    let probe = Probe { scenario, settings, monitor: &monitor };
    probe.map(&probe.loads())
}

#[test]
fn vulnerability_begins_where_the_fluid_model_says() {
    // CB-110: with up to r attempts at capacity C, overload keeps itself alive above C / r: 500, 333 and 250 of 1,000. CB-111: with a budget of
    // 20 % of the requests, above C / 1.2 = 833; its reserve of three retries per second takes a little of that.
    for (attempts, budget, bound) in [(2, "", 500.0), (3, "", 333.3), (4, "", 250.0), (4, ", budget = 0.2", 833.3)] {
        let scenario = vulnerable(attempts, budget);
        assert_eq!(capacity(&scenario), 1000.0);
        let (returns, sticks) = mapped(&scenario, &quick(6)).vulnerable.expect("it sticks under heavy load");
        let (low, high) = (bound * 0.96, bound * 1.06);
        assert!(
            returns < high && sticks > low,
            "{attempts} attempts{budget}: between {returns:.0} and {sticks:.0}, not {bound}"
        );
    }
}

#[test]
fn without_retries_everything_returns() {
    let mut scenario = vulnerable(2, "");
    scenario.clients.retry = None;
    for trigger in [Trigger::Capacity, Trigger::Load] {
        // What three times the load leaves behind at 95 % takes three minutes to work off.
        let most = trigger.most().min(3.0);
        let settings = Settings { trigger, most, watch: Span::from_secs(150), ..quick(4) };
        let map = mapped(&scenario, &settings);
        assert_eq!(map.rows.len(), 4);
        for row in &map.rows {
            assert!(row.is_calm() && row.sticks_from().is_none(), "{row:?}");
        }
        assert_eq!((map.stuck().len(), map.vulnerable), (0, None));
    }
}

#[test]
fn the_map_is_the_same_on_any_number_of_threads_and_the_boundary_is_one() {
    let scenario = vulnerable(3, "");
    let settings = Settings { lengths: vec![Span::from_secs(10), Span::from_secs(3)], ..quick(4) };
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
        pool.install(|| mapped(&scenario, &settings))
    };
    let map = on(1);
    // As text: latency is no number where nobody is answered.
    assert!(format!("{map:?}") == format!("{:?}", on(3)), "one and three threads differ");
    let lengths: Vec<Span> = map.rows.iter().map(|row| row.length).collect();
    assert_eq!(lengths[0], Span::from_secs(3), "by length, then by load");
    for row in map.rows.iter().filter(|row| row.sticks_from().is_some()) {
        let (sticks, survives) = (row.sticks_from().expect("filtered"), row.survives().map_or(0.0, |(size, _)| size));
        assert!(sticks > survives && sticks - survives < 0.9 / 30.0, "{survives} and {sticks}");
        assert_eq!(row.cells[0].kick.size, 0.9, "the largest kick comes first");
    }
}

#[test]
fn protections_are_ranked_by_what_they_remove_then_by_what_they_cost() {
    let scenario = vulnerable(4, "");
    let settings = quick(3);
    let monitor = Monitor::default();
    let probe = Probe { scenario: &scenario, settings: &settings, monitor: &monitor };
    let map = probe.map(&probe.loads());
    let stuck = map.stuck();
    assert!(!stuck.is_empty());
    let calm = Calm::of(&probe.calm(500.0).expect("nobody stops it"));
    let names = ["no retries", "2 instances"];
    let protections: Vec<Protected> = catalogue(&scenario, 500.0)
        .into_iter()
        .filter(|protection| names.contains(&protection.name.as_str()))
        .map(|protection| {
            let mut with = scenario.clone();
            match protection.name.as_str() {
                "no retries" => with.clients.retry = None,
                _ => with.fleet.initial = 2,
            }
            Protected { protection, scenario: with }
        })
        .collect();
    // Rounded up, a quarter more of one instance is a second one, and so is half as much again, and twice as many.
    assert_eq!(protections.len(), 4);
    let trials = trials(&protections, &stuck, &calm, 500.0, &settings, &monitor);
    assert_eq!(trials[0].protection.name, "no retries");
    assert!(trials[0].removes() && trials[0].cost() < 0.001, "{:?}", trials[0]);
    let twice = &trials[1];
    assert!((twice.more_instances - 1.0).abs() < 1e-9 && !twice.removes(), "{twice:?}");
}

#[test]
fn a_probe_that_is_stopped_keeps_what_it_has() {
    let (scenario, settings, monitor) = (vulnerable(2, ""), quick(3), Monitor::default());
    monitor.stop.store(true, Ordering::Relaxed);
    let probe = Probe { scenario: &scenario, settings: &settings, monitor: &monitor };
    assert_eq!(probe.map(&probe.loads()), Map::default());
}

#[test]
fn the_loss_of_a_cache_and_slow_calls_are_kicks_too() {
    let scenario = classic("cache-loss").with(&[]).expect("it parses");
    let monitor = Monitor::default();
    for (trigger, sticks) in [(Trigger::Cache, true), (Trigger::Dependency, false)] {
        let settings = Settings { trigger, most: trigger.most(), ..quick(2) };
        let probe = Probe { scenario: &scenario, settings: &settings, monitor: &monitor };
        let kick = wavetank::storm::kick::Kick { trigger, size: trigger.most(), length: Span::from_secs(5) };
        let cell = probe.cell(300.0, kick).expect("nobody stops it");
        assert_eq!(cell.fate == Fate::Sticks, sticks, "{cell:?}");
    }
}

#[test]
fn calls_at_once_slow_each_other_down_by_the_universal_scalability_law() {
    for n in [1u32, 8, 30, 60] {
        let (alpha, beta, time) = (0.02, 0.001, 0.010);
        let run = run(&format!(
            r#"
            scenario.duration = "60s"
            scenario.warmup = "10s"
            traffic.users = {{ count = {n}, think = "1us" }}
            service = {{ workers = 100, time = "1us" }}
            [[dependency]]
            name = "database"
            connections = 100
            time = "10ms"
            contention = {alpha}
            coherency = {beta}
            "#
        ));
        let calls = f64::from(n);
        let expected = calls / (time * (1.0 + alpha * (calls - 1.0) + beta * calls * (calls - 1.0)));
        let ratio = run.throughput_rps / expected;
        assert!((0.97..1.03).contains(&ratio), "{n} at once: {} instead of {expected}", run.throughput_rps);
    }
}

/// Two hundred requests per second whose calls take 100 ms each, on `connections`; the service waits for 30 ms.
fn impatient(connections: u32, optional: bool) -> Run {
    run(&format!(
        r#"
        scenario.duration = "30s"
        traffic = {{ arrivals = "paced", shape = [{{ kind = "constant", rate = 200 }}] }}
        service = {{ workers = 100, time = "1ms" }}
        [[dependency]]
        name = "recommendations"
        connections = {connections}
        time = "100ms"
        timeout = "30ms"
        optional = {optional}
        "#
    ))
}

#[test]
fn a_call_that_times_out_ends_its_request_or_is_left_out() {
    // With connections to spare, and with too few, when they wait for one as long.
    for connections in [100, 5] {
        let failing = impatient(connections, false);
        assert_eq!(failing.counts.failed_for(Failure::ServerError), failing.counts.offered);
        let goes_on = impatient(connections, true);
        assert_eq!(goes_on.counts.succeeded, goes_on.counts.offered);
        let max = goes_on.latency.max().expect("they succeeded");
        assert_eq!(max, Span::from_millis(31), "{connections} connections");
        assert_eq!(failing.wasted_work, 1.0);
    }
}

#[test]
fn a_cache_warms_by_what_misses_it() {
    let run = run(r#"
        scenario.duration = "120s"
        traffic.shape = [{ kind = "constant", rate = 100 }]
        service = { workers = 100, time = "1ms" }
        [[dependency]]
        name = "database"
        connections = 100
        time = "50ms"
        cache = { hit_ratio = 0.9, entries = 1000 }
        [[fault]]
        kind = "cache_loss"
        at = "30s"
        "#);
    assert_eq!(run.counts.succeeded, run.counts.offered);
    let p50 = run.timeline.column(Column::P50Ms);
    assert!(p50[10] < 2.0 && p50[32] > 49.0 && p50[110] < 2.0, "{} {} {}", p50[10], p50[32], p50[110]);
    // Full is n entries; a call asks for one with 0.9 and misses with 1 − w: w grows by 0.9 · 100 / 1000 · (1 − w) a second, so that after
    // ten seconds w = 1 − e^−0.9 = 0.593, and 0.9 · 0.593 = 53 % of the calls are hits.
    let slow = |from: usize, to: usize| p50[from..to].iter().filter(|ms| **ms > 49.0).count();
    assert!(slow(31, 38) >= 6 && slow(44, 60) == 0, "{:?}", &p50[30..60]);
}

#[test]
fn wasted_work_is_what_nobody_got() {
    let world = |clients: &str, error_rate: f64| {
        run(&format!(
            r#"
            scenario.duration = "60s"
            traffic.shape = [{{ kind = "constant", rate = 100 }}]
            {clients}
            [service]
            workers = 100
            error_rate = {error_rate}
            time = "20ms"
            [[service.endpoint]]
            path = "/quick"
            [[service.endpoint]]
            path = "/slow"
            time = "100ms"
            "#
        ))
        .wasted_work
    };
    let close =
        |observed: f64, expected: f64| assert!((observed - expected).abs() < 0.02, "{observed}, not {expected}");
    assert_eq!(world("", 0.0), 0.0);
    close(world("", 0.25), 0.25);
    // Half of them take 20 ms, half 100 ms; whoever waits for 50 ms gets the first half.
    close(world("clients.timeout = '50ms'", 0.0), 100.0 / 120.0);
    close(world("clients = { timeout = '50ms', cancel = true }", 0.0), 50.0 / 70.0);
}

#[test]
fn the_command_writes_the_map_the_picture_and_what_helps() {
    let scenario = r#"
        scenario.duration = "1m"
        traffic.shape = [{ kind = "constant", rate = 60 }]
        clients = { timeout = "200ms", retry = { max = 3, backoff = "1ms", jitter = 0 } }
        service = { workers = 1, time = "10ms" }
        "#;
    let folder = folder(&[("small.toml", scenario.as_bytes())]);
    let args = [
        "storm",
        "small.toml",
        "--levels",
        "3",
        "--length",
        "5s",
        "--settle",
        "20s",
        "--watch",
        "40s",
        "--json",
        "--out",
        "out",
    ];
    let ended = output(folder.path(), &args);
    assert_eq!(ended.status.code(), Some(0), "{}", stderr(&ended));
    let json: serde_json::Value = serde_json::from_slice(&ended.stdout).expect("JSON and nothing else");
    assert_eq!(json["schema"], "wavetank.storm/1");
    assert_eq!(json["map"]["rows"].as_array().map(Vec::len), Some(3));
    assert_eq!(json["cheapest"]["removes"], true);
    assert_eq!(json["example"]["before"]["fate"], "sticks");
    assert_eq!(json["example"]["after"]["fate"], "returns");
    // What is named can be pasted, and then nothing sticks.
    let mut again = args.to_vec();
    let settings: Vec<String> = json["cheapest"]["set"]
        .as_array()
        .expect("an array")
        .iter()
        .map(|each| each.as_str().expect("text").to_string())
        .collect();
    settings.iter().for_each(|each| again.extend(["--set", each]));
    let ended = output(folder.path(), &again);
    assert_eq!(ended.status.code(), Some(0), "{}", stderr(&ended));
    let protected: serde_json::Value = serde_json::from_slice(&ended.stdout).expect("JSON");
    assert_eq!(protected["map"]["vulnerable_rps"], serde_json::Value::Null);
    let written = crate::cli::names(&folder.path().join("out"));
    let expected: &[&str] =
        if cfg!(feature = "render") { &["storm.json", "storm.md", "storm.png"] } else { &["storm.json", "storm.md"] };
    assert_eq!(written, expected);
}

#[test]
fn the_command_refuses_what_cannot_be_kicked() {
    let open =
        "scenario.duration = '1m'\ntraffic.shape = [{ kind = 'constant', rate = 10 }]\nservice.time = '10ms'\n";
    let closed = "scenario.duration = '1m'\ntraffic.users = { count = 10, think = '1s' }\nservice.time = '10ms'\n";
    let folder = folder(&[("open.toml", open.as_bytes()), ("closed.toml", closed.as_bytes())]);
    for (args, words) in [
        (&["storm", "closed.toml"][..], "in a closed loop"),
        (&["storm", "open.toml", "--trigger", "dependency"], "has no [[dependency]]"),
        (&["storm", "open.toml", "--trigger", "cache"], "has a cache"),
        (&["storm", "open.toml", "--most", "1.5"], "--most: found 1.5, expected the share of the capacity"),
        (&["storm", "open.toml", "--trigger", "load", "--most", "1"], "expected a factor above 1"),
        (&["storm", "open.toml", "--settle", "5s"], "--settle: found 5s, expected 20s or more"),
        (&["storm", "open.toml", "--length", "0s"], "--length: found 0s, expected a duration of 1s or more"),
        (&["storm", "open.toml", "--watch", "10s"], "--hold: found 20s, but the system is watched only for 10s"),
        (&["storm", "open.toml", "--tolerance", "1"], "expected a number above 0 and below 1"),
        (&["storm", "open.toml", "--set", "service.queu=3"], "unknown key"),
        (&["storm", "open.toml", "--table"], "cannot be used with"),
        (&["storm", "--table", "--trigger", "load"], "cannot be used with"),
        (&["storm", "missing.toml"], "cannot read the scenario"),
        (&["storm"], "required"),
    ] {
        let ended = output(folder.path(), args);
        assert_eq!(ended.status.code(), Some(2), "{args:?}");
        assert!(stderr(&ended).contains(words), "{args:?}: {}", stderr(&ended));
        assert!(ended.stdout.is_empty());
    }
    assert_eq!(crate::cli::names(folder.path()), ["closed.toml", "open.toml"], "nothing is left behind");
}

#[test]
#[ignore = "runs every storm under every strategy: half a minute of CPU"]
fn the_table_has_every_strategy_in_every_storm() {
    let table = wavetank::storm::classics::table(None, &Monitor::default());
    assert_eq!(table.cells.len(), strategies().len());
    let column = |name: &str| table.storms.iter().position(|storm| *storm == name).expect("it ships");
    let row = |name: &str| table.strategies.iter().position(|each| each.name == name).expect("it is there");
    for (i, storm) in table.storms.iter().enumerate() {
        let (before, cure) = (table.cells[row("as it is")][i], table.cells[row("its cure")][i]);
        let (before, cure) = (before.expect("it runs"), cure.expect("it runs"));
        assert!(cure.availability > before.availability && cure.wasted_work <= before.wasted_work, "{storm}");
    }
    assert!(table.cells[row("retry budget 10 %")][column("cache-loss")].is_none(), "nobody retries there");
    assert!(table.markdown().contains("| as it is |") && !table.interrupted);
}

/// A cell of the table.
fn cell(table: &Table, strategy: &str, storm: &str) -> Figures {
    let row = table.strategies.iter().position(|each| each.name == strategy).expect("it is there");
    let column = table.storms.iter().position(|each| *each == storm).expect("it ships");
    table.cells[row][column].expect("it can be meant")
}

#[test]
#[ignore = "runs every storm under every strategy: half a minute of CPU"]
fn the_table_teaches_what_the_readme_says() {
    let table = wavetank::storm::classics::table(None, &Monitor::default());
    let answered = |strategy: &str, storm: &str| cell(&table, strategy, storm).availability;
    let metastable = ["retry-storm", "cache-loss", "scale-out-kills-database"];

    // No balancing strategy helps against a storm that hits all instances alike. The attack of the yo-yo does not, where a hash of
    // addresses keeps the attackers to a few of them.
    for storm in metastable.into_iter().chain(["slow-dependency", "unfair-limiter", "reconnect"]) {
        let as_it_is = answered("as it is", storm);
        for (strategy, _) in Strategy::ALL {
            let answered = answered(strategy, storm);
            assert!(answered < as_it_is + 0.03, "{strategy} in {storm}: {answered:.3} instead of {as_it_is:.3}");
        }
    }
    // Against a single bad one, any that looks at load, latency or errors does.
    for sees in ["least_connections", "power_of_two_choices", "peak_ewma", "prequal", "c3", "reported_utilization"] {
        assert!(answered(sees, "gray-instance") > 0.99, "{sees}");
    }
    for blind in ["round_robin", "weighted", "ip_hash", "ring_hash", "maglev", "random"] {
        assert!(answered(blind, "gray-instance") < 0.95, "{blind}");
    }
    for storm in ["gray-instance", "breaker-makes-it-worse"] {
        for sees in ["ejection", "breaker by instance", "peak_ewma"] {
            assert!(answered(sees, storm) > 0.99, "{sees} in {storm}");
        }
    }

    // A limit on how much is let in ends what is metastable.
    for storm in metastable {
        assert!(answered("as it is", storm) < 0.5, "{storm}");
        for limit in ["at most 40 at once", "gradient concurrency", "AIMD concurrency"] {
            assert!(answered(limit, storm) > 0.88, "{limit} in {storm}");
            assert!(cell(&table, limit, storm).wasted_work < 0.05, "{limit} in {storm}");
        }
    }
    // One that takes the spread of service times for a queue refuses nearly everybody; with a target above that it is like the others.
    assert!(answered("Breakwater credits", "retry-storm") < 0.1);
    let told = "overload.concurrency={ algorithm = 'breakwater', target = '300ms' }";
    for storm in ["retry-storm", "cache-loss"] {
        assert!(with(storm, &[told]).1.availability > 0.85, "{storm}");
    }
    // Queues that shed do it where the wait is in the instances, and nothing where it is behind them.
    assert!(answered("CoDel", "retry-storm") > 0.9);
    assert!((answered("CoDel", "cache-loss") - answered("as it is", "cache-loss")).abs() < 0.01);
    // Retries within a budget end what retries keep up.
    assert!(answered("retry budget 10 %", "retry-storm") > 0.8);

    // p99 is best where nearly everybody is refused or gone.
    let (stuck, saved) = (cell(&table, "as it is", "retry-storm"), cell(&table, "CoDel", "retry-storm"));
    assert!(stuck.p99_ms < saved.p99_ms && stuck.wasted_work > 20.0 * saved.wasted_work, "{stuck:?}, {saved:?}");

    // A remedy in the wrong place is a storm of its own.
    let (worse, none) = ("breaker-makes-it-worse", answered("no breaker", "breaker-makes-it-worse"));
    assert!(answered("as it is", worse) < 0.4 && none > 0.9, "a breaker for the whole service");
    assert!(answered("as it is", "unfair-limiter") < 0.5 && answered("20/s per client", "unfair-limiter") > 0.999);
    assert!(answered("gradient concurrency", "gray-instance") < answered("as it is", "gray-instance") - 0.05);
}

/// Counted in requests, which no machine is faster or slower at: as it ships it takes 70 million.
#[test]
#[ignore = "runs every storm under every strategy: half a minute of CPU"]
fn the_table_takes_no_more_than_so_many_simulated_requests() {
    let table = wavetank::storm::classics::table(None, &Monitor::default());
    let attempts: u64 = table.cells.iter().flatten().flatten().map(|cell| cell.attempts).sum();
    assert!((40_000_000..80_000_000).contains(&attempts), "{attempts} requests");
    // A row costs what a row costs: none has a storm of its own beside those of the table.
    for (strategy, cells) in table.strategies.iter().zip(&table.cells) {
        let attempts: u64 = cells.iter().flatten().map(|cell| cell.attempts).sum();
        assert!(attempts < 2_500_000, "{}: {attempts} requests", strategy.name);
    }
}
