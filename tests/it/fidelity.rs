//! What samples of a run tell, beside the full simulation of it.

mod random;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use cpu_time::ProcessTime;
use wavetank::record::Run;
use wavetank::record::fidelity::{Fidelity, Spread};
use wavetank::scenario::{self, Scenario};
use wavetank::sim::{Monitor, Plan};

/// A plan that shares the survey of its requests, as the candidates of a search do, and the CPU time of that \[s\].
fn plan(scenario: &Scenario, fidelity: Fidelity) -> (Plan, f64) {
    let plan = Plan::new(scenario.clone()).expect("its recordings can be read").with_fidelity(fidelity);
    let before = ProcessTime::now();
    let survey = plan.survey(scenario.seed).expect("its recordings can be read");
    let seconds = before.elapsed().as_secs_f64();
    (plan.with_survey(Arc::new(survey)), seconds)
}

/// A run, and its CPU time \[s\].
fn play(plan: &Plan) -> (Run, f64) {
    let before = ProcessTime::now();
    let run = plan.run(plan.scenario().seed, &Monitor::default()).expect("its recordings can be read");
    (run, before.elapsed().as_secs_f64())
}

fn shipped() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let mut files = Vec::new();
    for folder in [root.clone(), root.join("policies"), root.join("storms")] {
        let entries = std::fs::read_dir(folder).expect("scenarios ship with the source");
        files.extend(entries.map(|entry| entry.expect("an entry").path()).filter(|path| path.is_file()));
    }
    files.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    files.sort();
    files
}

/// A line of the table; whether the promise is kept.
fn compare(name: &str, scenario: &Scenario, fidelity: Fidelity) -> bool {
    let (in_part, surveying) = plan(scenario, fidelity);
    let (run, seconds) = play(&in_part);
    let told = run.fidelity.clone().expect("less than all was asked for");
    if let Some(reason) = told.reason {
        println!("{name:24} full: {reason}");
        return true;
    }
    let (full, full_seconds) = play(&in_part.with_fidelity(Fidelity::Full));
    let error = Spread::between(&full, &run);
    let p99 = full.latency.quantile(0.99).map_or(f64::NAN, |p99| p99.as_millis_f64());
    let kept = error.of_bounds() <= 1.0;
    println!(
        "{name:24} {:>9} {:7.3}% {p99:8.1}ms {:7.1}h  {:+7.3} {:+6.2}% {:+6.2}%  {:5.1}% {:5.1}x {:5.1}x{}",
        full.counts.offered,
        full.counts.availability().unwrap_or(1.0) * 100.0,
        full.fleet.cost.instance_hours,
        error.availability_points,
        error.p99_percent,
        error.instance_hours_percent,
        told.simulated_share * 100.0,
        full_seconds / (seconds + surveying),
        full_seconds / seconds,
        if kept { "" } else { "  OUT OF BOUNDS" },
    );
    kept
}

#[test]
#[ignore = "some minutes: see CONTRIBUTING"]
fn samples_keep_their_promise_over_every_shipped_scenario_and_random_ones() {
    let mut kept = true;
    for fidelity in [Fidelity::Hybrid, Fidelity::Fluid] {
        println!(
            "\n{}: the full simulation; points of availability, percent of p99 and of instance-hours apart;",
            fidelity.name()
        );
        println!(
            "share simulated in two sets of samples; CPU time of full over this, alone and with a survey there already"
        );
        for path in shipped() {
            let scenario = scenario::load(&path, &[]).expect("what ships can be read");
            let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
            kept &= compare(&name, &scenario, fidelity);
        }
        for seed in 0..random::SCENARIOS {
            let text = random::scenario(seed);
            let scenario =
                scenario::parse(&text, "random.toml", "".as_ref(), &[]).unwrap_or_else(|e| panic!("{e}\n{text}"));
            kept &= compare(&format!("random {seed}"), &scenario, fidelity);
        }
    }
    assert!(kept, "see the table");
}

/// A service of moderate size for a day, with one key otherwise.
fn day(otherwise: &str) -> Scenario {
    let text = r#"
        scenario = { duration = "24h", warmup = "10m", seed = 7 }
        clients = { timeout = "3s", retry = { max = 1, backoff = "200ms", budget = 0.1 } }
        fleet = { initial = 3, boot = "40s" }
        [traffic]
        shape = [{ kind = "diurnal", mean = 40, amplitude = 0.6, period = "24h", peak_at = "14h" }]
        noise = { sigma = 0.08, slot = "5m" }
        [service]
        workers = 4
        queue = 40
        time = { dist = "lognormal", mean = "150ms", sigma = 0.6 }
        [autoscaler]
        min = 2
        max = 10
        interval = "15s"
        [[autoscaler.policy]]
        kind = "target_tracking"
        metric = "cpu_utilization"
        target = 60
        "#;
    let overrides: Vec<String> = (!otherwise.is_empty()).then(|| otherwise.to_string()).into_iter().collect();
    scenario::parse(text, "day.toml", "".as_ref(), &overrides).unwrap_or_else(|problems| panic!("{problems}"))
}

#[test]
fn samples_of_a_day_tell_what_the_day_does() {
    let endpoints = "service.endpoint=[{ path = \"/a\", error_rate = 0.01 }, { path = \"/b\" }]";
    for more in ["", "balancer.strategy=random", endpoints] {
        let scenario = day(more);
        let (in_part, _) = plan(&scenario, Fidelity::Hybrid);
        let (run, _) = play(&in_part);
        let told = run.fidelity.clone().expect("less than all was asked for");
        assert_eq!((told.used, &told.reason), (Fidelity::Hybrid, &None), "{more}");
        assert!(told.simulated_share < 0.5, "{more}: {}", told.simulated_share);
        let (full, _) = play(&in_part.with_fidelity(Fidelity::Full));
        assert!(full.fidelity.is_none());
        let error = Spread::between(&full, &run);
        assert!(error.of_bounds() <= 1.0, "{more}: {error}");
        // Nothing is lost, and hardly anything is there that the full run has not.
        assert_eq!(run.counts.offered, run.counts.succeeded + run.counts.failed_total(), "{more}");
        assert!(run.counts.offered.abs_diff(full.counts.offered) < 50, "{more}");
        let by_endpoint: u64 = run.endpoints.iter().map(|endpoint| endpoint.counts.offered).sum();
        assert_eq!(by_endpoint, run.counts.offered, "{more}");
        let cpu = run.fleet.cpu_utilization_mean / full.fleet.cpu_utilization_mean;
        assert!((cpu - 1.0).abs() < 0.005, "{more}: {cpu}");
    }
}

#[test]
fn the_same_seed_has_the_same_samples_whoever_surveyed() {
    let scenario = day("");
    let (surveyed, _) = plan(&scenario, Fidelity::Fluid);
    let alone = Plan::new(scenario).expect("it has no recording").with_fidelity(Fidelity::Fluid);
    let [a, b] = [play(&surveyed).0, play(&alone).0];
    assert_eq!(a.fidelity, b.fidelity);
    assert_eq!(a.counts, b.counts);
    assert_eq!(a.latency.encoded(), b.latency.encoded());
    // A survey of other requests is not used.
    let other = Arc::new(alone.survey(8).expect("it has no recording"));
    let (c, _) = play(&alone.with_survey(other));
    assert_eq!(c.latency.encoded(), b.latency.encoded());
}

#[test]
fn what_samples_would_distort_is_simulated_in_full_and_says_why() {
    for (more, why) in [
        ("breaker.scope=service", "a circuit breaker counts calls"),
        ("balancer.strategy=ring_hash", "the balancer sends the same clients to the same instance"),
        ("autoscaler.policy=[{ kind = \"slo\", response_time = \"1s\" }]", "the autoscaler looks at"),
        ("traffic.arrivals=paced", "paced arrivals"),
    ] {
        let mut scenario = day(more);
        scenario.duration = Some(wavetank::units::Span::from_mins(20));
        let run = play(&plan(&scenario, Fidelity::Hybrid).0).0;
        let told = run.fidelity.expect("less than all was asked for");
        assert_eq!(told.used, Fidelity::Full);
        assert!(told.reason.as_ref().is_some_and(|reason| reason.starts_with(why)), "{more}: {:?}", told.reason);
        assert!(told.in_words().starts_with("full, asked hybrid: "), "{}", told.in_words());
    }
}
