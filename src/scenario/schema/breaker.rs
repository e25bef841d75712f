//! `[breaker]`.

use crate::engine::breaker::{Config, Fallback, Recovery, Scope, Slow};
use crate::engine::window::Window;
use crate::scenario::reader::{Field, Section};
use crate::units::Span;

/// `[breaker]`; clients wait for `timeout`.
pub(crate) fn breaker(field: &Field, timeout: Option<Span>) -> Option<Config> {
    field.section(|s| {
        let default = Config::default();
        let scopes = [("instance", Scope::Instance), ("service", Scope::Service), ("endpoint", Scope::Endpoint)];
        let scope = s.or("scope", default.scope, |f| f.choice(&scopes));
        let failure_rate = s.optional("failure_rate", Field::positive_ratio);
        let minimum_calls = s.or("minimum_calls", default.minimum_calls, |f| f.count(1));
        let window = window(s, default.window);
        let slow = s.optional("slow_call", slow);
        let failures = s.optional("failures", |f| f.count(1));
        let consecutive = s.optional("consecutive", |f| f.count(1));
        let has_other = slow.is_some() || failures.is_some() || consecutive.is_some();
        let open_for = s.or("open_for", default.open_for, Field::positive_span);
        let config = Config {
            scope,
            window,
            minimum_calls: if s.field("minimum_calls").is_some() {
                minimum_calls
            } else {
                at_most(window, minimum_calls)
            },
            // Whoever names another condition means that one.
            failure_rate: if has_other { failure_rate } else { failure_rate.or(default.failure_rate) },
            slow,
            failures,
            consecutive,
            open_for,
            open_multiplier: s.or("open_multiplier", default.open_multiplier, |f| {
                f.number("a factor from 1 to 1000", |x| (1.0..=1000.0).contains(&x))
            }),
            open_max: s.or("open_max", default.open_max.max(open_for), Field::positive_span),
            jitter: s.or("jitter", default.jitter, Field::ratio),
            reset_after: s.optional("reset_after", Field::positive_span),
            half_open_calls: s.or("half_open_calls", default.half_open_calls, |f| f.count(1)),
            probe_lease: s.or("probe_lease", default_lease(default.probe_lease, timeout), Field::positive_span),
            honor_retry_after: s.or("honor_retry_after", default.honor_retry_after, Field::boolean),
            shadow: s.or("shadow", default.shadow, Field::boolean),
            eager: s.or("eager", default.eager, Field::boolean),
            recovery: s.or("recovery", default.recovery, recovery),
            fallback: s.or("fallback", default.fallback, fallback),
        };
        if s.is_sound() {
            check(s, &config, timeout);
        }
        Some(config)
    })
}

/// A probe that outlives its lease counts for nothing, so the lease outlives the patience of clients.
fn default_lease(lease: Span, timeout: Option<Span>) -> Span {
    timeout.map_or(lease, |timeout| lease.max(timeout + timeout))
}

fn at_most(window: Window, calls: u32) -> u32 {
    if let Window::Calls(n) = window { calls.min(n) } else { calls }
}

fn at_most_buckets(field: &Field, n: u32) -> Option<u32> {
    if n <= Window::MAX_BUCKETS { Some(n) } else { field.unfit(format!("at most {} buckets", Window::MAX_BUCKETS)) }
}

fn window(s: &Section, default: Window) -> Window {
    let buckets = s.field("buckets");
    let default_buckets = if let Window::Time { buckets, .. } = default { buckets } else { 10 };
    let n = buckets.as_ref().and_then(|f| f.count(1).and_then(|n| at_most_buckets(f, n)));
    match (s.field("window"), s.field("calls")) {
        (Some(_), Some(calls)) => {
            let _: Option<()> =
                calls.contradiction("a window is of time (window) or of so many calls (calls), not both");
            default
        }
        (None, Some(calls)) => {
            if let Some(buckets) = buckets {
                let _: Option<()> =
                    buckets.contradiction("a window of so many calls has no buckets, only one of time has");
            }
            let n = calls.count(1).and_then(|n| {
                if n <= Window::MAX_CALLS {
                    Some(n)
                } else {
                    calls.unfit(format!("at most {} calls", Window::MAX_CALLS))
                }
            });
            n.map_or(default, Window::Calls)
        }
        (window, None) => {
            let span = match (window, default) {
                (Some(window), _) => window.positive_span(),
                (None, Window::Time { span, .. }) => Some(span),
                (None, Window::Calls(_)) => None,
            };
            span.map_or(default, |span| Window::Time { span, buckets: n.unwrap_or(default_buckets) })
        }
    }
}

fn check(s: &Section, config: &Config, timeout: Option<Span>) {
    if let (Window::Calls(n), Some(field)) = (config.window, s.field("minimum_calls"))
        && config.minimum_calls > n
    {
        let _: Option<()> =
            field.contradiction(format!("a window of calls = {n} never holds {}", config.minimum_calls));
    }
    if let Some(field) = s.field("open_max")
        && config.open_max < config.open_for
    {
        let sentence = format!("\"{}\" is less than open_for = \"{}\"", config.open_max, config.open_for);
        let _: Option<()> = field.contradiction(sentence);
    }
    if let (Some(field), Some(timeout)) = (s.field("probe_lease"), timeout)
        && config.probe_lease <= timeout
    {
        let _: Option<()> = field.contradiction(format!(
            "\"{}\" is not more than clients.timeout = \"{timeout}\": a probe that times out would count for nothing",
            config.probe_lease
        ));
    }
}

fn slow(field: &Field) -> Option<Slow> {
    field.section(|s| {
        let duration = s.required("duration", "duration = \"2s\"", Field::positive_span);
        let rate = s.required("rate", "rate = 0.5", Field::positive_ratio);
        let count_running = s.or("count_running", true, Field::boolean);
        Some(Slow { duration: duration?, rate: rate?, count_running })
    })
}

/// `"immediate"` or `{ ramp = "30s" }`.
fn recovery(field: &Field) -> Option<Recovery> {
    if !field.is_table() {
        return match field.raw_text() {
            Some("immediate") => Some(Recovery::Immediate),
            _ => field.unfit("\"immediate\" or { ramp = \"30s\" }"),
        };
    }
    field.section(|s| {
        let over = s.required("ramp", "ramp = \"30s\"", Field::positive_span);
        over.map(|over| Recovery::Ramp { over })
    })
}

fn fallback(field: &Field) -> Option<Fallback> {
    field.section(|s| {
        let default = Fallback::default();
        Some(Fallback {
            status: s.or("status", default.status, |f| match f.whole()? {
                status @ 200..=599 => Some(status as u16),
                _ => f.unfit("an HTTP status from 200 to 599"),
            }),
            content_type: s.or("content_type", default.content_type, Field::text),
            body: s.or("body", default.body, |f| {
                let body = f.any_text()?;
                if body.len() <= Fallback::MAX_BODY {
                    return Some(body);
                }
                f.unfit_part(format!("{} bytes", body.len()), format!("at most {} bytes", Fallback::MAX_BODY))
            }),
        })
    })
}
