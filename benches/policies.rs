//! What a policy costs: W2, the full engine, under each policy in place of its threshold rules.
//!
//! ```text
//! cargo bench --bench policies               all of them, beside the rules
//! cargo bench --bench policies -- kpa        those whose name begins so
//! ```
//!
//! Every round runs the rules and each policy once, one after the other, in one process, by CPU time; a ratio is the median over
//! rounds of the ratios within each round. Policies keep different fleets, and a larger fleet costs a little more a request, one too
//! small for the peak much more, for its queues grow: each is set so that its fleet is about that of the rules, whose size stands
//! beside. Where the original looks at minutes, the load of this bench is gone before it acts: such a policy starts with the fleet
//! for the peak ([`FOR_THE_PEAK`]).
//!
//! On a machine where CPU time is noisy, count instructions: a binary of this bench under `valgrind --tool=callgrind` with the name of
//! a policy and without `--bench` plays one short round.
//!
//! Without `--bench`, as under `cargo test --benches`, it plays one round of a hundredth of the length, to see that it works.

use std::path::Path;

use cpu_time::ProcessTime;
use wavetank::scenario;
use wavetank::sim::{Monitor, Plan};

const ROUNDS: usize = 5;

/// Policies that begin with a fleet for the peak.
const FOR_THE_PEAK: [&str; 2] = ["aws_target_tracking", "azure"];

/// Lines of a policy's table; those with no line are the rules of W2 themselves.
const POLICIES: [(&str, &str); 17] = [
    ("rules", ""),
    ("target_tracking", "kind = 'target_tracking'\nmetric = 'cpu_utilization'\ntarget = 57"),
    ("hpa", "kind = 'hpa'\nmetrics = [{ type = 'resource', resource = 'cpu', average_utilization = 57 }]"),
    (
        "hpa with behavior",
        "kind = 'hpa'\nmetrics = [{ type = 'resource', resource = 'cpu', average_utilization = 57 }, \
         { type = 'external', metric = 'requests_per_second', average_value = 230 }]\nbehavior = {}",
    ),
    ("kpa", "kind = 'kpa'\ntarget = 4\ntarget_utilization = 0.57\ntarget_burst_capacity = 0"),
    ("kpa with a long window", "kind = 'kpa'\ntarget = 4\ntarget_utilization = 0.57\nstable_window = '10m'"),
    ("kpa behind the activator", "kind = 'kpa'\ncontainer_concurrency = 4\ntarget_utilization = 0.57"),
    (
        "step",
        "kind = 'step'\nalarm = { metric = 'cpu_utilization', operator = 'gt', threshold = 65, period = '10s', evaluation_periods = 1 }\n\
         steps = [{ lower = 0, upper = 10, adjustment = 4 }, { lower = 10, adjustment = 8 }]\n\
         estimated_instance_warmup = '60s'\n[[autoscaler.policy]]\nkind = 'step'\nname = 'in'\n\
         alarm = { metric = 'cpu_utilization', operator = 'lt', threshold = 45, period = '10s', evaluation_periods = 6 }\n\
         steps = [{ upper = 0, adjustment = -2 }]\nestimated_instance_warmup = '60s'",
    ),
    (
        "simple",
        "kind = 'simple'\nalarm = { metric = 'cpu_utilization', operator = 'gt', threshold = 65, period = '10s', evaluation_periods = 1 }\n\
         adjustment = 8\ncooldown = '10s'\n[[autoscaler.policy]]\nkind = 'simple'\nname = 'in'\n\
         alarm = { metric = 'cpu_utilization', operator = 'lt', threshold = 45, period = '10s', evaluation_periods = 6 }\n\
         adjustment = -2\ncooldown = '60s'",
    ),
    (
        "aws_target_tracking",
        "kind = 'aws_target_tracking'\nmetric = 'cpu_utilization'\ntarget = 57\nscale_out_cooldown = '10s'\nscale_in_cooldown = '60s'",
    ),
    (
        "keda",
        "kind = 'keda'\npolling_interval = '5s'\ntriggers = [{ metric = 'requests_per_second', threshold = 230 }, \
         { metric = 'active_connections', threshold = 3 }]",
    ),
    ("nomad_target_value", "kind = 'nomad_target_value'\nmetric = 'cpu_utilization'\ntarget = 57\ncooldown = '30s'"),
    (
        "nomad_threshold",
        "kind = 'nomad_threshold'\nmetric = 'cpu_utilization'\nlower_bound = 65\ndelta = 4\ncooldown = '10s'\n\
         [[autoscaler.policy]]\nkind = 'nomad_threshold'\nname = 'in'\nmetric = 'cpu_utilization'\nupper_bound = 45\n\
         delta = -2\ncooldown = '60s'",
    ),
    ("schedule", "kind = 'schedule'\nentries = [{ start = '* * * * *', for = '59s', instances = 64 }]"),
    (
        "gcp",
        "kind = 'gcp'\nsignals = [{ metric = 'cpu_utilization', target = 57 }]\n\
         scale_in_control = { max_scaled_in_replicas = '30%', time_window = '5m' }",
    ),
    (
        "azure",
        "kind = 'azure'\nrules = [{ metric = 'cpu_utilization', operator = 'gt', threshold = 65, direction = 'increase', value = 4, \
         time_window = '1m', cooldown = '1m' }, { metric = 'cpu_utilization', operator = 'lt', threshold = 25, direction = 'decrease', \
         value = 2, time_window = '1m', cooldown = '1m' }]",
    ),
    (
        "several at once",
        "kind = 'hpa'\n[[autoscaler.policy]]\nkind = 'kpa'\ntarget = 4\ntarget_utilization = 0.57\ntarget_burst_capacity = 0\n\
         [[autoscaler.policy]]\nkind = 'gcp'\nsignals = [{ metric = 'cpu_utilization', target = 60 }]",
    ),
];

/// One run.
#[derive(Clone, Copy)]
struct Measured {
    requests: u64,
    /// Requests per CPU second.
    speed: f64,
    /// Mean size of the fleet.
    fleet: f64,
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let in_full = arguments.iter().any(|argument| argument == "--bench");
    let (rounds, seconds) = if in_full { (ROUNDS, 312.5) } else { (1, 6.25) };
    let asked: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with('-')).collect();
    let is_asked = |name: &str| asked.is_empty() || asked.iter().any(|prefix| name.starts_with(prefix.as_str()));
    let chosen = POLICIES.iter().filter(|(name, _)| is_asked(name) || (in_full && *name == "rules"));
    let plans: Vec<(&str, Plan)> =
        chosen.map(|(name, lines)| (*name, plan(lines, FOR_THE_PEAK.contains(name), seconds))).collect();

    let mut measured = vec![Vec::new(); plans.len()];
    for round in 0..rounds {
        eprintln!("round {} of {rounds}", round + 1);
        for ((_, plan), rows) in plans.iter().zip(&mut measured) {
            rows.push(measure(plan));
        }
    }
    println!("{:<26} {:>10} {:>14} {:>12} {:>14}", "", "requests", "per CPU second", "mean fleet", "/ the first");
    for ((name, _), rows) in plans.iter().zip(&measured) {
        let speed = median(rows.iter().map(|row| row.speed));
        let ratio = median(rows.iter().zip(&measured[0]).map(|(row, first)| row.speed / first.speed));
        let Measured { requests, fleet, .. } = rows[0];
        println!("{name:<26} {requests:>10} {:>12.2} M {fleet:>12.1} {ratio:>14.3}", speed / 1e6);
    }
}

/// W2 for so long with a policy in place of its rules, from a fleet for its peak or its own.
fn plan(lines: &str, for_the_peak: bool, seconds: f64) -> Plan {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/bench/w2.toml");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let (head, others) = text.split_once("[[autoscaler.rule]]").expect("W2 has rules");
    let (_, tail) = others.split_once("[balancer]").expect("W2 has a balancer after them");
    let policy = format!("{head}[[autoscaler.policy]]\n{lines}\n\n[balancer]{tail}");
    let text = if lines.is_empty() { &text } else { &policy };
    let initial = if for_the_peak { 66 } else { 50 };
    let overrides = [format!("scenario.duration={}ms", (seconds * 1e3).ceil()), format!("fleet.initial={initial}")];
    let scenario =
        scenario::parse(text, "w2.toml", "".as_ref(), &overrides).unwrap_or_else(|problems| panic!("{problems}"));
    Plan::new(scenario).expect("the scenario names no dataset")
}

fn measure(plan: &Plan) -> Measured {
    let start = ProcessTime::now();
    let run = plan.run(plan.scenario().seed, &Monitor::default()).expect("synthetic traffic cannot fail");
    let took = start.elapsed();
    Measured { requests: run.simulated, speed: run.simulated as f64 / took.as_secs_f64(), fleet: run.fleet.mean }
}

/// The median of an odd number of values.
fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
