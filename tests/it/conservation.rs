//! Nothing is lost and nothing is made up, whatever the scenario: random worlds, and what must hold in each of them.

use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::Config;
use wavetank::record::Run;
use wavetank::record::run::Ended;
use wavetank::record::timeline::Column;

use crate::world::run;

const MIN: u32 = 2;
const MAX: u32 = 6;

/// One of some texts, or nothing: a section that is there in half of the worlds.
fn maybe(texts: &'static [&'static str]) -> impl Strategy<Value = &'static str> {
    prop_oneof![Just(""), select(texts)]
}

fn traffic() -> impl Strategy<Value = String> {
    let open = (1..150u32, select(&["poisson", "paced"][..]), any::<bool>()).prop_map(|(rate, arrivals, spike)| {
        let overlay = if spike {
            "overlay = [{ kind = 'spike', at = '10s', magnitude = 2.0, hold = '5s' }, \
             { kind = 'attack', at = '20s', rate = 50, for = '5s' }, { kind = 'reconnect', at = '7s', clients = 200 }]"
        } else {
            ""
        };
        format!("[traffic]\narrivals = '{arrivals}'\nshape = [{{ kind = 'constant', rate = {rate} }}]\n{overlay}\n")
    });
    let closed = (1..60u32, select(&["0s", "500ms"][..])).prop_map(|(count, think)| {
        format!("[traffic]\nusers = {{ count = {count}, think = {{ dist = 'exponential', mean = '{think}' }} }}\n")
            .replace("{ dist = 'exponential', mean = '0s' }", "'20ms'")
    });
    prop_oneof![3 => open, 1 => closed]
}

fn service() -> impl Strategy<Value = String> {
    (
        1..8u32,
        maybe(&["queue = 0", "queue = 3", "queue = 50"]),
        maybe(&["discipline = 'ps'\ncores = 2"]),
        select(
            &[
                "'30ms'",
                "{ dist = 'exponential', mean = '50ms' }",
                "{ dist = 'lognormal', mean = '40ms', sigma = 1.0 }",
            ][..],
        ),
        maybe(&["error_rate = 0.2", "cpu_share = 0.4"]),
        maybe(&[
            "[[service.endpoint]]\npath = '/a'\n[[service.endpoint]]\npath = '/b'\nweight = 3\ntime = '10ms'\nerror_rate = 0.1\n",
        ]),
    )
        .prop_map(|(workers, queue, discipline, time, more, endpoints)| {
            format!("[service]\nworkers = {workers}\ntime = {time}\n{queue}\n{discipline}\n{more}\n{endpoints}")
        })
}

fn clients() -> impl Strategy<Value = String> {
    (
        maybe(&["timeout = '200ms'", "timeout = '100ms'\ncancel = true"]),
        maybe(&[
            "retry = { max = 2, backoff = '50ms', budget = 0.2 }",
            "retry = { max = 3, backoff = '20ms', tokens = 'aws' }",
            "retry = { max = 3, backoff = '10ms', jitter = 0.0, on = ['timeout', 'rate_limited', 'connection'] }",
        ]),
        maybe(&["regions = [{ name = 'near', share = 1, rtt = '2ms' }, { name = 'far', share = 1, rtt = '90ms' }]"]),
    )
        .prop_map(|(timeout, retry, regions)| format!("[clients]\npopulation = 50\n{timeout}\n{retry}\n{regions}\n"))
}

fn control() -> impl Strategy<Value = String> {
    (
        maybe(&[
            "[autoscaler]\nmin = 2\nmax = 6\ninterval = '2s'\nmetrics = { window = '4s', delay = '1s' }\n\
             [[autoscaler.policy]]\nkind = 'target_tracking'\nmetric = 'cpu_utilization'\ntarget = 60\n",
            "[autoscaler]\nmin = 2\nmax = 6\ninterval = '1s'\nmetrics = { window = '3s' }\n\
             [[autoscaler.rule]]\nname = 'up'\nmetric = 'cpu_utilization'\noperator = 'gt'\nthreshold = 50\naction = 'scale_up'\n\
             [[autoscaler.rule]]\nname = 'down'\nmetric = 'cpu_utilization'\noperator = 'lt'\nthreshold = 30\n\
             action = 'scale_down'\nstep = 2\n",
        ]),
        select(
            &[
                "strategy = 'round_robin'",
                "strategy = 'least_connections'",
                "strategy = 'least_connections'\nties = 'least_recent'\nslow_start = '5s'",
                "strategy = 'least_connections_edf'\nweights = [1, 3]",
                "strategy = 'ip_hash'\nbounded_load = 1.5",
                "strategy = 'ring_hash'\nring = { min = 64 }",
                "strategy = 'maglev'\ntable_size = 251\nbounded_load = 1.25",
                "strategy = 'random'\nzone_aware = { callers = [0.8, 0.2], min_instances = 2 }",
                "strategy = 'power_of_two_choices'\nchoices = 3\nslow_start = '5s'",
                "strategy = 'peak_ewma'",
                "strategy = 'join_idle_queue'",
                "strategy = 'prequal'\nprobing = { pool = 4, round_trip = '10ms' }",
                "strategy = 'weighted'\npriorities = [0, 1]\nsticky = '2s'",
                "strategy = 'round_robin'\ninstance_limit = 4",
                "preset = 'nginx'",
                "preset = 'haproxy'\nstrategy = 'least_connections'",
                "preset = 'envoy'\nstrategy = 'least_connections'",
                "preset = 'finagle'",
            ][..],
        ),
        maybe(&[
            "ejection = { consecutive = 3, interval = '2s', base = '3s', max_share = 0.5 }\n",
            "ejection = { success_rate = { min_requests = 5 }, interval = '1s', latency = { min_requests = 5 } }\n",
        ]),
        maybe(&["health_check = { interval = '1s', timeout = '500ms', unhealthy_after = 2 }\n"]),
        maybe(&[
            "[breaker]\nscope = 'service'\nminimum_calls = 10\nopen_for = '2s'\n",
            "[breaker]\nscope = 'instance'\nminimum_calls = 5\nopen_for = '1s'\n",
            "[breaker]\nscope = 'endpoint'\nconsecutive = 5\nopen_for = '1s'\n",
        ]),
        maybe(&[
            "[limiter]\nalgorithm = 'token_bucket'\nkey = 'client'\nlimit = 2\nwindow = '1s'\n",
            "[limiter]\nalgorithm = 'sliding_log'\nkey = 'global'\nlimit = 60\nwindow = '1s'\n",
            "[limiter]\npreset = 'nginx'\nlimit = 60\nwindow = '1s'\nburst = 20\nkey = 'global'\n",
            "[limiter]\npreset = 'kong'\nlimit = 2\nwindow = '1s'\nalso = [{ preset = 'envoy_local', limit = 60, window = '1s', burst = 90 }]\n",
        ]),
        maybe(&[
            "[overload]\ncodel = true\nadaptive_lifo = true\nhedge = { quantile = 0.5, budget = 0.3 }\n",
            "[overload]\nconcurrency = { algorithm = 'gradient', initial = 5 }\nthrottle = 'sre'\ncodel = { form = 'classic' }\n",
            "[overload]\npriority = { window = '500ms' }\nlimits = { connections = 10, pending = 5 }\n\
             concurrency = 'vegas'\nhedge = { quantile = 0.8, budget = 0.1 }\n",
        ]),
        maybe(&[
            "[[dependency]]\nname = 'database'\nconnections = 5\ntime = '8ms'\ncalls_per_request = 1.5\n",
            "[[dependency]]\nname = 'slow'\nconnections = 3\ntime = { dist = 'exponential', mean = '30ms' }\ntimeout = '40ms'\n\
             contention = 0.1\ncoherency = 0.01\n[[fault]]\nkind = 'slow_dependency'\nat = '4s'\nduration = '5s'\nfactor = 20\n",
            "[[dependency]]\nname = 'cached'\nconnections = 2\ntime = '50ms'\ncalls_per_request = 2.5\n\
             cache = { hit_ratio = 0.9, entries = 50 }\ntimeout = '60ms'\noptional = true\n\
             [[dependency]]\nname = 'plain'\nconnections = 20\ntime = '2ms'\n\
             [[fault]]\nkind = 'cache_loss'\nevery = '5s'\n",
        ]),
    )
        .prop_map(|(autoscaler, strategy, ejection, health, breaker, limiter, overload, dependency)| {
            format!("{autoscaler}[balancer]\n{strategy}\n{ejection}{health}{breaker}{limiter}{overload}{dependency}")
        })
}

fn faults() -> impl Strategy<Value = String> {
    let fault = select(
        &[
            "kind = 'crash'\nat = '12s'\ninstances = 2",
            "kind = 'crash'\nevery = '10s'",
            "kind = 'slow'\nat = '5s'\nduration = '10s'\nfactor = 10.0",
            "kind = 'errors'\nat = '8s'\nduration = '6s'\nrate = 0.7\nlatency = '1ms'",
            "kind = 'zone_outage'\nat = '10s'\nduration = '5s'\nzone = 1",
            "kind = 'slow_boot'\nat = '0s'\nfactor = 5.0",
            "kind = 'lost_metrics'\nat = '6s'\nduration = '10s'",
        ][..],
    );
    prop::collection::vec(fault, 0..3)
        .prop_map(|faults| faults.iter().map(|fault| format!("[[fault]]\n{fault}\n")).collect())
}

fn fleet() -> impl Strategy<Value = String> {
    let more = maybe(&["drain_timeout = '1s'", "warmup = { for = '5s', slowdown = 3.0 }"]);
    (MIN..=MAX, select(&["0s", "3s"][..]), more).prop_map(|(initial, boot, more)| {
        format!("[fleet]\ninitial = {initial}\nzones = 2\nboot = '{boot}'\n{more}\n")
    })
}

fn world() -> impl Strategy<Value = String> {
    let run = (10..40u32, 0..9u32, any::<u32>()).prop_map(|(duration, warmup, seed)| {
        format!("[scenario]\nduration = '{duration}s'\nwarmup = '{warmup}s'\nseed = {seed}\n")
    });
    (run, traffic(), service(), clients(), control(), faults(), fleet()).prop_map(
        |(run, traffic, service, clients, control, faults, fleet)| {
            [run, traffic, service, clients, fleet, control, faults].concat()
        },
    )
}

/// Requests that failed in the whole run, warm-up included; within its duration.
fn sum(run: &Run, column: Column) -> f64 {
    run.timeline.column(column).iter().sum::<f64>() * run.timeline.step_seconds
}

fn conserves(run: &Run, toml: &str) -> Result<(), TestCaseError> {
    let counts = &run.counts;
    prop_assert_eq!(&run.ended, &Ended::Completed);
    prop_assert_eq!(counts.offered, counts.succeeded + counts.failed_total(), "offered is what ended");
    prop_assert_eq!(run.latency.count(), counts.succeeded);
    prop_assert_eq!(run.latency_all.count(), counts.offered);
    prop_assert_eq!((run.service_time.count(), run.waiting_time.count()), (counts.succeeded, counts.succeeded));
    let attempts: u64 = run.instances.iter().map(|instance| instance.attempts).sum();
    prop_assert!(attempts >= counts.succeeded, "{} attempts for {} answers", attempts, counts.succeeded);
    if !toml.contains("retry") && !toml.contains("hedge") {
        prop_assert_eq!(counts.retries, 0);
        prop_assert!(attempts <= run.simulated, "{} attempts of {} requests", attempts, run.simulated);
    }
    let by_endpoint: u64 = run.endpoints.iter().map(|endpoint| endpoint.counts.offered).sum();
    prop_assert_eq!(by_endpoint, counts.offered);
    // In the timeline, what ended within the run was offered within it.
    let (offered, ended) =
        (sum(run, Column::OfferedRps), sum(run, Column::SucceededRps) + sum(run, Column::FailedRps));
    prop_assert!((offered - run.simulated as f64).abs() < 1e-6, "{} seen of {}", offered, run.simulated);
    prop_assert!(ended <= offered + 1e-6, "{} ended of {}", ended, offered);
    for instance in &run.instances {
        prop_assert!(instance.failures <= instance.attempts, "{:?}", instance);
        prop_assert!(instance.ready_at.is_none_or(|ready| ready >= instance.launched_at), "{:?}", instance);
        prop_assert!(instance.gone_at.is_none_or(|gone| gone >= instance.launched_at), "{:?}", instance);
    }
    for (i, &cpu) in run.timeline.column(Column::CpuUtilization).iter().enumerate() {
        prop_assert!(cpu.is_nan() || (0.0..=100.0 + 1e-6).contains(&cpu), "step {}: {} % of the CPU", i, cpu);
    }
    if toml.contains("[autoscaler]") {
        // Replacements are in `total` beside what they replace; what is wanted is always within the bounds.
        for (i, &desired) in run.timeline.column(Column::Desired).iter().enumerate() {
            prop_assert!((f64::from(MIN)..=f64::from(MAX)).contains(&desired), "step {}: {} wanted", i, desired);
        }
        prop_assert!(run.fleet.max <= MAX, "{} took traffic", run.fleet.max);
    }
    Ok(())
}

/// The words of a panic belong to the world that caused it, so proptest shows the scenario itself.
#[test]
fn requests_are_conserved_in_every_world() {
    let worlds = Config { cases: 96, failure_persistence: None, ..Config::default() };
    proptest!(worlds, |(toml in world())| {
        conserves(&run(&toml), &toml)?;
    });
}

/// Little's law with its three sides measured apart: L is the timeline's integral, λ and W come from the requests.
#[test]
fn what_is_inside_is_the_rate_times_the_time_spent_there_in_every_world_without_failures() {
    let worlds = (service(), fleet(), 1..60u32, any::<u32>());
    let config = Config { cases: 32, failure_persistence: None, ..Config::default() };
    proptest!(config, |((service, fleet, rate, seed) in worlds)| {
        // Both ends are empty: traffic stops halfway, and nothing keeps a request for so long.
        let service = service.replace("error_rate", "#").replace("queue =", "#");
        let toml = format!(
            "[scenario]\nduration = '60s'\nseed = {seed}\n[traffic]\n\
             shape = [{{ kind = 'constant', rate = {rate}, for = '20s' }}, {{ kind = 'constant', rate = 0 }}]\n{service}{fleet}"
        );
        let run = run(&toml);
        prop_assert_eq!(run.counts.failed_total(), 0);
        let active = run.timeline.column(Column::ActiveConnections);
        prop_assume!(active.last() == Some(&0.0));
        let inside = sum(&run, Column::ActiveConnections);
        let spent = |times: &wavetank::record::latency::Latency| {
            times.mean().map_or(0.0, |mean| mean.as_secs_f64()) * times.count() as f64
        };
        let of_requests = spent(&run.waiting_time) + spent(&run.service_time);
        prop_assert!((inside - of_requests).abs() <= 1e-4 * of_requests + 1e-6, "{} and {}", inside, of_requests);
    });
}
