//! `[autoscaler]`, its rules and its policies.

use super::policy::policies;
use super::service::unique;
use crate::engine::autoscaler::rules::{self, Action, Missing, Operator, Step};
use crate::engine::autoscaler::{Config, CooldownFrom, Evidence, MetricsPipeline, Policy};
use crate::engine::hold;
use crate::engine::metrics::{Aggregate, Metric, Unit};
use crate::scenario::reader::{Field, Section, hundredth};
use crate::units::Span;

/// `[autoscaler]`.
pub(crate) fn autoscaler(field: &Field) -> Option<Config> {
    field.section(|s| {
        // It is known, and was replaced before anything is read.
        let _ = s.field("import");
        let default = Config::default();
        let min = s.or("min", default.min, |f| f.count(0));
        let max = s.or("max", default.max.max(min), |f| f.count(1));
        if s.is_sound()
            && min > max
            && let Some(field) = s.field("max")
        {
            let _: Option<()> = field.contradiction(format!("{max} is less than autoscaler.min = {min}"));
        }
        let config = Config {
            min,
            max,
            interval: s.or("interval", default.interval, |f| match f.span()? {
                interval if interval >= Span::from_millis(1) => Some(interval),
                _ => f.unfit("a duration of at least 1ms"),
            }),
            scale_up_cooldown: s.or("scale_up_cooldown", default.scale_up_cooldown, Field::span),
            scale_down_cooldown: s.or("scale_down_cooldown", default.scale_down_cooldown, Field::span),
            cooldown_from: s.or("cooldown_from", default.cooldown_from, |f| f.choice(&CooldownFrom::ALL)),
            max_staleness: s.optional("max_staleness", Field::span),
            piling_on_guard: s.or("piling_on_guard", default.piling_on_guard, Field::boolean),
            scale_down_guards: s.or("scale_down_guards", default.scale_down_guards, Field::boolean),
            shed_tolerance: s.or("shed_tolerance", default.shed_tolerance, Field::ratio),
            metrics: s.or("metrics", default.metrics, metrics),
            hold: s.optional("hold", hold),
            ..default
        };
        let rules = s.field("rule").map_or(Some(Vec::new()), |f| rules(&f));
        let taken = rules.as_deref().unwrap_or_default();
        let policies = s.field("policy").map_or(Some(Vec::new()), |f| policies(&f, taken));
        let (rules, policies) = (rules?, policies?);
        let mut config = Config { rules, policies, ..config };
        // Where there may be nobody, requests have to wait for somebody; and where a policy buffers them, for room.
        if min == 0 || config.policies.iter().any(Policy::buffers) {
            config.hold = config.hold.or(Some(hold::Config::default()));
        }
        if config.min == 0
            && !wakes(&config)
            && let Some(field) = s.field("min")
        {
            let _: Option<()> = field.contradiction(
                "with 0 instances nothing would start one again: it takes a rule or policy on requests_per_second, or on the \
                 sum of queue_length or active_connections",
            );
        }
        if s.field("interval").is_none() {
            let natural = config.policies.iter().filter_map(Policy::natural_interval).min();
            config.interval = natural.unwrap_or(config.interval);
        }
        Some(config)
    })
}

/// Whether anything that is configured sees requests that come while nobody is there.
fn wakes(config: &Config) -> bool {
    let of_service = |(metric, aggregate): (Metric, Aggregate)| {
        let total = matches!(metric, Metric::QueueLength | Metric::ActiveConnections) && aggregate == Aggregate::Sum;
        metric == Metric::RequestsPerSecond || total
    };
    let ups = config.rules.iter().filter(|rule| rule.enabled && rule.action == Action::ScaleUp);
    let by_rule = ups.map(|rule| (rule.metric, rule.aggregate)).any(of_service);
    let by_policy = config.policies.iter().flat_map(Policy::metrics).any(of_service);
    by_rule || by_policy || config.policies.iter().any(|policy| matches!(policy, Policy::Schedule(_)))
}

fn hold(field: &Field) -> Option<hold::Config> {
    field.section(|s| {
        let default = hold::Config::default();
        Some(hold::Config {
            requests: s.or("requests", default.requests, |f| f.count(1)),
            timeout: s.or("timeout", default.timeout, Field::positive_span),
        })
    })
}

fn metrics(field: &Field) -> Option<MetricsPipeline> {
    field.section(|s| {
        let default = MetricsPipeline::default();
        Some(MetricsPipeline {
            window: s.or("window", default.window, Field::positive_span),
            delay: s.or("delay", default.delay, Field::span),
            scrape: s.optional("scrape", Field::positive_span),
        })
    })
}

/// Whatever needs something that other sections leave out: memory, or a breaker to open.
pub(crate) fn check_needs(autoscaler: &Field, config: &Config, has_memory: bool, has_breaker: bool) {
    let elements = |key| autoscaler.member(key).and_then(|field| field.elements()).unwrap_or_default();
    let memory = |element: &Field, metric| {
        if metric == Metric::MemoryUtilization && !has_memory {
            let field = element.member("metric").or_else(|| element.member("metrics"));
            let _: Option<()> = field
                .as_ref()
                .unwrap_or(element)
                .contradiction("no instance has a memory_utilization without fleet.memory: set that too");
        }
    };
    for (element, rule) in elements("rule").iter().zip(&config.rules) {
        memory(element, rule.metric);
        if rule.action == Action::CircuitBreak
            && !has_breaker
            && let Some(field) = element.member("action")
        {
            let _: Option<()> = field.contradiction("there is no breaker to open: add a [breaker] section");
        }
    }
    for (element, policy) in elements("policy").iter().zip(&config.policies) {
        for (metric, _) in policy.metrics() {
            memory(element, metric);
        }
    }
}

fn rules(field: &Field) -> Option<Vec<rules::Config>> {
    let mut names = Vec::new();
    let elements = field.elements()?;
    let rules: Vec<Option<rules::Config>> =
        elements.iter().map(|element| element.section(|s| rule(s, &mut names))).collect();
    for (j, later) in rules.iter().enumerate() {
        let contradicted = later.as_ref().and_then(|later| {
            rules[..j].iter().flatten().find(|earlier| contradict(earlier, later)).map(|earlier| (earlier, later))
        });
        if let Some((earlier, later)) = contradicted {
            let _: Option<()> = elements[j].contradiction(format!(
                "{} when {} {} {}, but rule {} does {} when it is {} {}: both can hold at once",
                name_of(&Action::ALL, later.action),
                later.metric,
                later.operator.symbol(),
                later.threshold,
                earlier.name,
                name_of(&Action::ALL, earlier.action),
                earlier.operator.symbol(),
                earlier.threshold,
            ));
        }
    }
    rules.into_iter().collect()
}

/// Whether one rule adds and the other removes at the same value of the same metric.
fn contradict(a: &rules::Config, b: &rules::Config) -> bool {
    let opposed =
        matches!((a.action, b.action), (Action::ScaleUp, Action::ScaleDown) | (Action::ScaleDown, Action::ScaleUp));
    opposed && a.enabled && b.enabled && a.metric == b.metric && a.aggregate == b.aggregate && overlap(a, b)
}

fn overlap(a: &rules::Config, b: &rules::Config) -> bool {
    let above = |operator| matches!(operator, Operator::Gt | Operator::Gte);
    match (above(a.operator), above(b.operator)) {
        (true, false) => {
            a.threshold < b.threshold
                || (a.threshold == b.threshold && a.operator == Operator::Gte && b.operator == Operator::Lte)
        }
        (false, true) => overlap(b, a),
        _ => true,
    }
}

pub(super) fn name_of<T: PartialEq>(all: &[(&'static str, T)], value: T) -> &'static str {
    all.iter().find(|(_, each)| *each == value).map_or("", |(name, _)| name)
}

fn rule(s: &Section, names: &mut Vec<String>) -> Option<rules::Config> {
    let name = s.required("name", "name = \"cpu_scale_up\"", |f| unique(f, names));
    let metric = s.required("metric", "metric = \"cpu_utilization\"", metric);
    let operator = s.required("operator", "operator = \"gt\"", operator);
    let threshold = s.field("threshold");
    if threshold.is_none() {
        s.missing("threshold", "threshold = 70");
    }
    let threshold = threshold.zip(metric).and_then(|(field, metric)| level(&field, metric));
    let action = s.required("action", "action = \"scale_up\"", |f| f.choice(&Action::ALL));
    let duration = s.or("duration", Span::ZERO, Field::span);
    let priority = s.or("priority", 5, |f| match f.whole()? {
        priority @ 0..=100 => Some(priority as u8),
        _ => f.unfit("a whole number from 0 to 100"),
    });
    let cooldown = s.or("cooldown", Span::ZERO, Field::span);
    let enabled = s.or("enabled", true, Field::boolean);
    let step = s.or("step", Step::default(), step);
    let aggregate = s.or("aggregate", Aggregate::default(), |f| f.choice(&Aggregate::ALL));
    let missing = s.or("missing", Missing::default(), |f| f.choice(&Missing::ALL));
    let evidence = s.or("evidence", Evidence::default(), evidence);
    let mut rule = rules::Config::new(name?, metric?, operator?, threshold?, action?);
    if s.is_sound() {
        check_rule(s, &rule);
    }
    rule.duration = duration;
    rule.priority = priority;
    rule.cooldown = cooldown;
    rule.enabled = enabled;
    rule.step = step;
    rule.aggregate = aggregate;
    rule.missing = missing;
    rule.evidence = evidence;
    Some(rule)
}

/// Settings that such a rule never looks at, and conditions that never hold.
fn check_rule(s: &Section, rule: &rules::Config) {
    if let (Some(field), Action::CircuitBreak | Action::Alert) = (s.field("step"), rule.action) {
        let action = name_of(&Action::ALL, rule.action);
        let _: Option<()> =
            field.contradiction(format!("action = {action:?} has no step, only scale_up and scale_down have"));
    }
    if let Some(field) = s.field("aggregate")
        && !rule.metric.is_per_instance()
    {
        let sentence = format!("{} is one number for the whole service, there is nothing to aggregate", rule.metric);
        let _: Option<()> = field.contradiction(sentence);
    }
    if let Some(field) = s.field("threshold")
        && rule.operator == Operator::Lt
        && rule.threshold == 0.0
    {
        let _: Option<()> = field.contradiction(format!("{} is never below 0", rule.metric));
    }
}

pub(super) fn metric(field: &Field) -> Option<Metric> {
    field.choice(&Metric::ALL.map(|metric| (metric.name(), metric)))
}

pub(super) fn operator(field: &Field) -> Option<Operator> {
    match field.raw_text() {
        Some("eq" | "ne") => {
            field.unfit("one of gt, gte, lt, lte: a measured value hardly ever equals a number exactly")
        }
        Some(">") => field.unfit("\"gt\""),
        Some(">=") => field.unfit("\"gte\""),
        Some("<") => field.unfit("\"lt\""),
        Some("<=") => field.unfit("\"lte\""),
        _ => field.choice(&Operator::ALL),
    }
}

/// A value of `metric` in its unit, ≥ 0. Percent and ratio take "70%" as well, milliseconds "500ms".
pub(super) fn level(field: &Field, metric: Metric) -> Option<f64> {
    let percent = field.raw_text().and_then(|text| text.trim().strip_suffix('%')?.trim().parse::<f64>().ok());
    match metric.unit() {
        Unit::Percent => match percent.or(field.raw_number()) {
            Some(value) if value > 0.0 && value <= 1.0 && percent.is_none() => {
                field.unfit(format!("a percentage from 0 to 100: write {}", hundredth(value * 1e4)))
            }
            Some(value) if (0.0..=100.0).contains(&value) => Some(value),
            _ => field.unfit("a percentage from 0 to 100, such as 70"),
        },
        Unit::Ratio => field.ratio(),
        Unit::Millis if field.is_text() => field.span().map(|span| span.as_millis_f64()),
        Unit::Millis => field.number("milliseconds, 0 or more, or a duration such as \"500ms\"", |x| x >= 0.0),
        Unit::Count => field.number("a number, 0 or more", |x| x >= 0.0),
        Unit::PerSecond => field.number("a rate in requests per second, 0 or more", |x| x >= 0.0),
    }
}

/// A number of instances, or "+2", "50%", "to 10".
fn step(field: &Field) -> Option<Step> {
    const EXPECTED: &str = "a number of instances, or a step such as \"+2\", \"50%\" or \"to 10\"";
    let step = match field.raw_text() {
        Some(text) => text.parse().ok(),
        None => {
            field.raw_number().filter(|&n| n == n.trunc() && (1.0..=1e9).contains(&n)).map(|n| Step::Add(n as u32))
        }
    };
    match step {
        Some(Step::Add(0) | Step::Percent(0) | Step::To(0)) | None => field.unfit(EXPECTED),
        some => some,
    }
}

/// `"continuous"` or `{ m = 3, n = 5 }`.
fn evidence(field: &Field) -> Option<Evidence> {
    if !field.is_table() {
        return match field.raw_text() {
            Some("continuous") => Some(Evidence::Continuous),
            _ => field.unfit("\"continuous\" or { m = 3, n = 5 } (m of the last n samples)"),
        };
    }
    field.section(|s| {
        let m = s.required("m", "m = 3", |f| f.count(1));
        let n = s.required("n", "n = 5", |f| match f.count(1)? {
            n if n <= 10_000 => Some(n),
            _ => f.unfit("at most 10000 samples"),
        });
        let require_latest = s.or("require_latest", false, Field::boolean);
        let (m, n) = (m?, n?);
        if m > n {
            return s.field("m").and_then(|f| f.contradiction(format!("{m} of {n} samples are more than there are")));
        }
        Some(Evidence::MOfN { m, n, require_latest })
    })
}
