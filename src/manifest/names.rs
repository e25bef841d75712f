//! What other systems call the metrics.

use crate::engine::metrics::Metric;

/// The metric that a name most likely means: ours in any spelling (`cpuUtilization`, `cpu-utilization`), or a common one.
pub(super) fn metric(name: &str) -> Option<Metric> {
    let snake = snake(name);
    snake.parse().ok().or(match snake.as_str() {
        "rps"
        | "request_rate"
        | "requests_rate"
        | "http_requests"
        | "http_requests_per_second"
        | "http_server_requests_per_second" => Some(Metric::RequestsPerSecond),
        "cpu" | "cpu_usage" => Some(Metric::CpuUtilization),
        "memory" | "memory_usage" => Some(Metric::MemoryUtilization),
        "response_time" | "avg_response_time" | "mean_response_time" => Some(Metric::AverageResponseTime),
        "concurrency" | "in_flight_requests" | "http_requests_in_flight" => Some(Metric::ActiveConnections),
        "queue_depth" | "queue_size" => Some(Metric::QueueLength),
        _ => None,
    })
}

/// Lower case with underscores.
pub(super) fn snake(name: &str) -> String {
    let mut out = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() && !out.is_empty() && !out.ends_with('_') {
            out.push('_');
        }
        out.push(if c.is_alphanumeric() { c.to_ascii_lowercase() } else { '_' });
    }
    out
}

/// `cpu_utilization` as `cpuUtilization`.
pub(super) fn camel(name: &str) -> String {
    let mut upper = false;
    let mut out = String::new();
    for c in name.chars() {
        match (c, upper) {
            ('_', _) => upper = true,
            (c, true) => {
                out.push(c.to_ascii_uppercase());
                upper = false;
            }
            (c, false) => out.push(c),
        }
    }
    out
}

/// Why a metric of this name stays behind.
pub(super) fn unknown(name: &str) -> String {
    let ours: Vec<&str> = Metric::ALL.iter().map(|metric| metric.name()).collect();
    format!("no metric of a scenario is known as {name:?}; there are {}", ours.join(", "))
}
