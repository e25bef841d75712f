//! The words of every problem with a scenario file: where, which key, what was found, what would do.

use std::path::Path;

use insta::assert_snapshot;
use wavetank::scenario;

/// What is said about a file called `x.toml`; sections that it has to have are added at its end.
fn words(file: &str) -> String {
    words_with(file, &[])
}

/// The same, with overrides.
fn words_with(file: &str, overrides: &[&str]) -> String {
    let mut text = file.to_string();
    for (section, body) in [
        ("[scenario]", "duration = '10m'"),
        ("[traffic]", "shape = [{ kind = 'constant', rate = 100 }]"),
        ("[service]", "time = '40ms'"),
    ] {
        if !file.contains(section) {
            text += &format!("\n{section}\n{body}\n");
        }
    }
    let overrides: Vec<String> = overrides.iter().map(|each| each.to_string()).collect();
    match scenario::parse(&text, "x.toml", Path::new("nowhere"), &overrides) {
        Ok(_) => "no problem".to_string(),
        Err(problems) => problems.to_string(),
    }
}

#[test]
fn dependencies_and_what_strikes_them_fit_together() {
    assert_snapshot!(words(
        r#"
[[dependency]]
name = "database"
connections = 10
time = "5ms"
optional = true
contention = 2
cache = { hit_ratio = 0 }

[[dependency]]
name = "search"
connections = 10
time = "5ms"
timeout = 30
"#
    ), @r#"
    x.toml:6:1: dependency.database.optional: a request only goes on without a call that timed out: set timeout
    x.toml:7:14: dependency.database.contention: found 2, expected a coefficient from 0 to 1
    x.toml:8:9: dependency.database.cache.entries: missing, expected for example entries = 10000
    x.toml:8:23: dependency.database.cache.hit_ratio: found 0, expected a ratio above 0, up to 1
    x.toml:14:11: dependency.search.timeout: found 30, expected a duration with a unit: write "30s" or "30ms"
    "#);
    let told = words(
        r#"
[[dependency]]
name = "database"
connections = 10
time = "5ms"

[[dependency]]
name = "search"
connections = 10
time = "5ms"

[[fault]]
kind = "slow_dependency"
at = "1m"
factor = 0.5

[[fault]]
kind = "slow_dependency"
at = "1m"
dependency = "serach"
factor = 5

[[fault]]
kind = "cache_loss"
at = "1m"

[[fault]]
kind = "cache_loss"
at = "1m"
dependency = "search"
"#,
    );
    for each in [
        "fault.0.dependency: missing, expected for example dependency = \"database\"",
        "fault.0.factor: found 0.5, expected a factor of 1 or more",
        "fault.1.dependency: found \"serach\", expected one of database, search, did you mean \"search\"?",
        "there is nothing to strike: add a [[dependency]] with a cache",
        "expected the name of a [[dependency]] with a cache: there is none",
    ] {
        assert!(told.contains(each), "{each} is not in\n{told}");
    }
    let told = words(
        r#"
[traffic]
shape = [{ kind = 'constant', rate = 100 }]
overlay = [{ kind = "reconnect", at = "1m" }, { kind = "reconnect", at = "1m", clients = 1000000, within = "1us" }]
"#,
    );
    for each in
        ["traffic.overlay.0.clients: missing", "traffic.overlay.1.within: found \"1us\", expected a longer time"]
    {
        assert!(told.contains(each), "{each} is not in\n{told}");
    }
}

#[test]
fn an_override_without_a_value_removes_a_key() {
    let clients = "[clients]\ntimeout = '1s'\nretry = { max = 2 }\n[overload]\ndeadlines = true\n";
    assert_snapshot!(words_with(clients, &["clients.retry="]), @"no problem");
    // What rested on it is told.
    assert_snapshot!(
        words_with(clients, &["clients.timeout="]),
        @"x.toml:5:1: overload.deadlines: clients wait for ever: set clients.timeout"
    );
    for path in ["clients.retries", "clients.timeout.max", "fleet"] {
        let told = words_with(clients, &[&format!("{path}=")]);
        assert!(told.contains("a key that is there: an empty value removes it"), "{path}: {told}");
    }
}

#[test]
fn a_duration_has_a_unit_and_is_not_negative() {
    assert_snapshot!(words(
        r#"
[scenario]
duration = 40
warmup = "300"
[clients]
timeout = "0s"
[service]
time = "soon"
[fleet]
boot = "-5s"
drain_timeout = "5M"
[slo]
p50 = "999999w"
p75 = 1.5
p90 = -3
p95 = true
p99 = "45"
"#), @r#"
    x.toml:3:12: scenario.duration: found 40, expected a duration with a unit: write "40s" or "40ms"
    x.toml:4:10: scenario.warmup: found "300", expected a duration such as "300s" or "5m"
    x.toml:6:11: clients.timeout: found "0s", expected a duration above 0
    x.toml:8:8: service.time: found "soon", expected a duration such as "250ms", "90s" or "1h30m", or a table such as { dist = "exponential", mean = "40ms" }
    x.toml:10:8: fleet.boot: found "-5s", expected a duration of 0 or more, or a table such as { dist = "exponential", mean = "40ms" }
    x.toml:11:17: fleet.drain_timeout: found "5M", expected a duration in ns, us, ms, s, m (minutes), h, d or w, not "M"
    x.toml:13:7: slo.p50: found "999999w", expected a duration of at most 100 years
    x.toml:14:7: slo.p75: found 1.5, expected a duration with a unit: write "1.5s" or "1.5ms"
    x.toml:15:7: slo.p90: found -3, expected a duration such as "250ms" or "90s"
    x.toml:16:7: slo.p95: found true, expected a duration such as "250ms" or "90s"
    x.toml:17:7: slo.p99: found "45", expected a duration such as "45s" or "45ms"
    "#);
}

#[test]
fn a_number_is_of_its_kind_and_in_its_range() {
    assert_snapshot!(words(
        r#"
[scenario]
duration = "5m"
seed = -1
replications = 0
[clients]
cancel = "yes"
retry = { max = 0, factor = 0.5, jitter = 1.5, budget = -0.1, cap = "50ms" }
[service]
time = "40ms"
workers = 0
queue = 1.5
cpu_share = 0
error_rate = 5
[fleet]
initial = 0
price_per_hour = nan
zones = 5000000000
[slo]
availability = 99.9
cost = inf
"#), @r#"
    x.toml:4:8: scenario.seed: found -1, expected a whole number, 0 or more
    x.toml:5:16: scenario.replications: found 0, expected a whole number, 1 or more
    x.toml:7:10: clients.cancel: found "yes", expected true or false
    x.toml:8:17: clients.retry.max: found 0, expected a whole number, 1 or more
    x.toml:8:29: clients.retry.factor: found 0.5, expected a factor from 1 to 1000
    x.toml:8:43: clients.retry.jitter: found 1.5, expected a ratio from 0 to 1, or a percentage such as "70%"
    x.toml:8:57: clients.retry.budget: found -0.1, expected retries per request, 0 or more
    x.toml:11:11: service.workers: found 0, expected a whole number, 1 or more
    x.toml:12:9: service.queue: found 1.5, expected a whole number, 0 or more
    x.toml:13:13: service.cpu_share: found 0, expected a ratio above 0, up to 1
    x.toml:14:14: service.error_rate: found 5, expected a ratio from 0 to 1: write 0.05 or "5%"
    x.toml:16:11: fleet.initial: found 0, expected a whole number, 1 or more
    x.toml:17:18: fleet.price_per_hour: found nan, expected a price, 0 or more
    x.toml:18:9: fleet.zones: found 5000000000, expected a whole number up to 4294967295
    x.toml:20:16: slo.availability: found 99.9, expected a ratio from 0 to 1: write 0.999 or "99.9%"
    x.toml:21:1: slo.cost: a run costs nothing while fleet.price_per_hour is 0: set a price
    x.toml:21:8: slo.cost: found inf, expected a number above 0
    "#);
}

#[test]
fn an_unknown_key_is_met_with_the_nearest_known_one_or_all() {
    assert_snapshot!(words(
        r#"
[scenario]
duration = "5m"
durration = "5m"
[balancr]
[slo]
p42 = "1s"
[fleet]
warmup = { for = "30s", slow_down = 2.0 }
colour = "red"
[clients]
retries = 3
[weather]
"#), @r#"
    x.toml:4:1: scenario.durration: unknown key, expected one of name, description, duration, warmup, seed, replications
    x.toml:5:2: balancr: unknown section, did you mean "balancer"?
    x.toml:7:1: slo.p42: unknown key, expected one of p50, p75, p90, p95, p99, p999, mean, availability, cost, scale_up_time
    x.toml:9:10: fleet.warmup.slowdown: missing, expected for example slowdown = 2.0
    x.toml:9:25: fleet.warmup.slow_down: unknown key, did you mean "slowdown"?
    x.toml:10:1: fleet.colour: unknown key, expected one of initial, boot, warmup, memory, price_per_hour, zones, drain_timeout, pre_stop_delay, billing
    x.toml:12:1: clients.retries: unknown key, expected one of population, zipf, regions, bots, timeout, cancel, retry
    x.toml:13:2: weather: unknown section, expected one of scenario, traffic, clients, service, fleet, autoscaler, balancer, breaker, overload, limiter, analyzer, fault, dependency, slo, live, load
    "#);
}

#[test]
fn what_a_request_cannot_look_like_is_told() {
    assert_snapshot!(words(
        r#"
[service]
time = "1ms"
[[service.endpoint]]
path = "/a"
method = "post"
[[service.endpoint]]
path = "/b"
body = "x"
[[service.endpoint]]
path = "/c/{id}"
method = "PUT"
body = "x"
body_bytes = "1KB"
parameters = { id = { from = 5, to = 3 } }
[[service.endpoint]]
path = "/d"
method = "PATCH"
body_bytes = "1TB"
headers = { "a b" = "1", Host = "h", x-fine = "ü" }
[[service.endpoint]]
path = "/e"
parameters = { id = [], "a.b" = ["1"] }
[[service.endpoint]]
path = "/f"
parameters = { id = ["1"] }
[[service.endpoint]]
path = "/f"
[[service.endpoint]]
path = "/f"
method = "POST"
[load]
http = "3"
pool = 0
"#), @r#"
    x.toml:6:10: service.endpoint./a.method: found "post", expected one of GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, did you mean "POST"?
    x.toml:9:1: service.endpoint./b.body: a GET has no body: set method = "POST"
    x.toml:14:1: service.endpoint./c/{id}.body_bytes: there is a body too: remove one of the two
    x.toml:15:38: service.endpoint./c/{id}.parameters.id.to: found 3, expected at least from, 5
    x.toml:19:14: service.endpoint./d.body_bytes: found "1TB", expected at most 100MB
    x.toml:20:21: service.endpoint./d.headers.a b: found the name "a b", expected the name of a header field
    x.toml:20:26: service.endpoint./d.headers.Host: the sender writes this field itself: remove it
    x.toml:20:47: service.endpoint./d.headers.x-fine: found "ü", expected visible ASCII characters and blanks
    x.toml:23:21: service.endpoint./e.parameters.id: found an array, expected at least one value, or { from = 1, to = 1000 }
    x.toml:23:33: service.endpoint./e.parameters.a.b: found the name "a.b", expected letters, digits, - and _
    x.toml:26:1: service.endpoint.5.parameters: nothing has {id} in it: neither path, nor headers, nor body
    x.toml:33:8: load.http: found "3", expected one of 1.1, 2, did you mean "2"?
    x.toml:34:8: load.pool: found 0, expected a whole number, 1 or more
    "#);
    let both = ["http = \"2\"", "connections = 2"].map(|line| words(&format!("[load]\nkeep_alive = false\n{line}")));
    assert_snapshot!(both.join("\n"), @r#"
    x.toml:2:1: load.keep_alive: HTTP/2 is many requests on one connection: remove this, or http = "2"
    x.toml:3:1: load.connections: keep_alive = false keeps none for the first request: remove one of the two
    "#);
}

#[test]
fn a_missing_key_is_shown_as_it_could_look() {
    let nothing = scenario::parse("", "x.toml", Path::new("nowhere"), &[]).unwrap_err();
    assert_snapshot!(nothing, @r#"
    x.toml:1:1: service: missing, expected for example [service] time = { dist = "exponential", mean = "40ms" }
    x.toml:1:1: traffic: missing, expected for example [traffic] shape = [{ kind = "constant", rate = 100 }]
    x.toml:1:1: scenario.duration: missing, expected for example duration = "40m"
    "#);
    assert_snapshot!(words(
        r#"
[service]
[[service.endpoint]]
[[dependency]]
[[fault]]
at = "5m"
[[fault]]
kind = "slow"
[fleet]
memory = {}
warmup = {}
[clients]
retry = {}
"#), @r#"
    x.toml:2:1: service.time: missing, expected for example time = { dist = "exponential", mean = "40ms" }
    x.toml:3:1: service.endpoint.0.path: missing, expected for example path = "/api/search"
    x.toml:4:1: dependency.0.name: missing, expected for example name = "database"
    x.toml:4:1: dependency.0.connections: missing, expected for example connections = 100
    x.toml:4:1: dependency.0.time: missing, expected for example time = "5ms"
    x.toml:5:1: fault.0.kind: missing, expected for example kind = "crash"
    x.toml:7:1: fault.1.at: missing, expected for example at = "30m" (once) or every = "6h" (at random, on average so often)
    x.toml:7:1: fault.1.factor: missing, expected for example factor = 4.0
    x.toml:10:10: fleet.memory.limit: missing, expected for example limit = "1GB"
    x.toml:11:10: fleet.warmup.for: missing, expected for example for = "30s"
    x.toml:11:10: fleet.warmup.slowdown: missing, expected for example slowdown = 2.0
    x.toml:13:9: clients.retry.max: missing, expected for example max = 2
    "#);
}

#[test]
fn a_distribution_has_the_parameters_of_its_kind() {
    assert_snapshot!(words(
        r#"
[service]
time = { dist = "gaussian", mean = "1ms" }
[[service.endpoint]]
path = "/a"
time = { dist = "gamma", mean = "1ms", sigma = 1 }
[[service.endpoint]]
path = "/b"
time = { dist = "pareto", mean = "1ms", alpha = 1 }
[[service.endpoint]]
path = "/c"
time = { dist = "uniform", low = "2ms", high = "1ms" }
[[service.endpoint]]
path = "/d"
time = { dist = "mixture", parts = [{ weight = 0, time = "1ms" }, { time = "0s" }] }
[[service.endpoint]]
path = "/e"
time = { dist = "lognormal", mean = "0ms", sigma = -1 }
[[service.endpoint]]
path = "/f"
time = "0s"
[[service.endpoint]]
path = "/g"
time = { dist = "mixture", parts = [] }
"#), @r#"
    x.toml:3:17: service.time.dist: found "gaussian", expected one of constant, exponential, lognormal, gamma, weibull, pareto, uniform, mixture, empirical
    x.toml:6:8: service.endpoint./a.time.shape: missing, expected for example shape = 2.0
    x.toml:6:40: service.endpoint./a.time.sigma: unknown key for dist = "gamma", expected one of dist, mean, shape
    x.toml:9:49: service.endpoint./b.time.alpha: found 1, expected a tail exponent above 1 (at 1 or below there is no mean), up to 1000
    x.toml:12:41: service.endpoint./c.time.high: "1ms" is less than low = "2ms"
    x.toml:15:67: service.endpoint./d.time.parts.1.weight: missing, expected for example weight = 0.5
    x.toml:18:37: service.endpoint./e.time.mean: found "0ms", expected a duration above 0
    x.toml:18:52: service.endpoint./e.time.sigma: found -1, expected the standard deviation of the logarithm, from 0 to 10
    x.toml:21:8: service.endpoint./f.time: found a mean of 0s, expected a time above 0
    x.toml:24:36: service.endpoint./g.time.parts: found no parts, expected at least one part with a weight above 0
    "#);
}

#[test]
fn an_empirical_distribution_needs_a_file_of_durations() {
    let folder = tempfile::tempdir().unwrap();
    let check = |file: &str, text: &str, more: &str| {
        std::fs::write(folder.path().join("some.csv"), text).unwrap();
        let text = format!(
            "scenario.duration = '1m'\ntraffic.shape = [{{ kind = 'constant', rate = 1 }}]\n\
             service.time = {{ dist = 'empirical', path = '{file}'{more} }}\n"
        );
        match scenario::parse(&text, "x.toml", folder.path(), &[]) {
            Ok(scenario) => format!("mean {}", scenario.service.time.mean()),
            Err(problems) => problems.to_string().replace(&*folder.path().to_string_lossy(), "FOLDER"),
        }
    };
    assert_snapshot!(check("some.csv", "# measured\n10ms\n\n40ms, 2\n", ""), @"mean 30ms");
    assert_snapshot!(check("some.csv", "10\n40 2\n", ", unit = 'ms'"), @"mean 30ms");
    assert_snapshot!(check("some.csv", "10ms\n40\n", ""), @r#"x.toml:3:45: service.time.path: found "40" on line 2 of "FOLDER/some.csv", expected a duration such as 12ms and, after a comma, its weight if it has one; for bare numbers, say unit = "ms""#);
    assert_snapshot!(check("some.csv", "10ms\n40ms,often\n", ""), @r#"x.toml:3:45: service.time.path: found "40ms,often" on line 2 of "FOLDER/some.csv", expected a duration such as 12ms and, after a comma, its weight if it has one"#);
    assert_snapshot!(check("some.csv", "# nothing yet\n", ""), @r#"x.toml:3:45: service.time.path: found no durations in "FOLDER/some.csv", expected at least one, with a weight above 0"#);
    assert_snapshot!(check("other.csv", "10ms\n", ""), @r#"x.toml:3:45: service.time.path: found "other.csv", expected a file that is there, as "FOLDER/other.csv" or from here"#);
    assert_snapshot!(check(".", "10ms\n", ""), @r#"x.toml:3:45: service.time.path: found ".", expected a file: "FOLDER/." is not one"#);
}

#[test]
fn the_service_fits_together() {
    assert_snapshot!(words("[service]\ntime = '40ms'\nworkers = 8\ncpu_share = 0.5\ncores = 2\n"), @r#"x.toml:5:1: service.cores: found 2, but workers × cpu_share is 4: the CPU part would need more cores than there are: use discipline = "ps""#);
    assert_snapshot!(words("[service]\ntime = '40ms'\ndiscipline = 'ps'\nqueue = 10\n"), @"x.toml:4:1: service.queue: nothing ever waits while workers is unlimited: set workers too");
    assert_snapshot!(words("[service]\ntime = '40ms'\ndiscipline = 'lifo'\n"), @r#"x.toml:3:14: service.discipline: found "lifo", expected one of fcfs, ps"#);
    assert_snapshot!(words("[service]\ntime = '40ms'\nworkers = 8\ndiscipline = 'ps'\nqueue = 10\ncores = 2\n"), @"no problem");
    assert_snapshot!(words("[service]\ntime = '40ms'\nendpoint = [{ path = '/a' }, { path = '/a', weight = -1 }]\n"), @r#"
    x.toml:3:39: service.endpoint.1.path: found "/a", expected a name that no earlier one has
    x.toml:3:54: service.endpoint.1.weight: found -1, expected a weight, 0 or more
    "#);
    assert_snapshot!(words("[service]\ntime = '40ms'\nendpoint = [{ path = '/a', weight = 0 }]\n"), @"x.toml:3:12: service.endpoint: found only weights of 0, expected at least one endpoint with a weight above 0");
    assert_snapshot!(words("[service]\ntime = '40ms'\nendpoint = []\n"), @"x.toml:3:12: service.endpoint: found no endpoints, expected at least one, or no endpoint key at all");
    assert_snapshot!(words("[[dependency]]\nname = 'db'\nconnections = 0\ntime = '1ms'\ncalls_per_request = 0\n[[dependency]]\nname = 'db'\nconnections = 1\ntime = '1ms'"), @r#"
    x.toml:3:15: dependency.0.connections: found 0, expected a whole number, 1 or more
    x.toml:5:21: dependency.0.calls_per_request: found 0, expected a number above 0
    x.toml:7:8: dependency.1.name: found "db", expected a name that no earlier one has
    "#);
}

#[test]
fn the_fleet_and_the_balancer_fit_together() {
    assert_snapshot!(words("[fleet]\nmemory = { base = 200, per_request = '2XB', limit = '0MB' }\n"), @r#"
    x.toml:2:19: fleet.memory.base: found 200, expected a size with a unit: write "200MB" or "200KB"
    x.toml:2:38: fleet.memory.per_request: found "2XB", expected a size such as "200MB" or "1GiB"
    x.toml:2:53: fleet.memory.limit: found "0MB", expected a size above 0
    "#);
    assert_snapshot!(words("[fleet]\nmemory = { base = '2GB', limit = '1GiB' }\n"), @"x.toml:2:12: fleet.memory.base: an idle instance would already be at its memory limit");
    assert_snapshot!(words("[fleet]\nwarmup = { for = '30s', slowdown = 0.5 }\nbilling = { granularity = 60 }\n"), @r#"
    x.toml:2:36: fleet.warmup.slowdown: found 0.5, expected a factor of 1 or more
    x.toml:3:27: fleet.billing.granularity: found 60, expected a duration with a unit: write "60s" or "60ms"
    "#);
    assert_snapshot!(words("[balancer]\nstrategy = 'least_connection'\n"), @r#"x.toml:2:12: balancer.strategy: found "least_connection", expected one of round_robin, weighted, weighted_edf, least_connections, least_connections_edf, ip_hash, nginx_ip_hash, ring_hash, maglev, random, power_of_two_choices, peak_ewma, join_idle_queue, prequal, c3, reported_utilization, did you mean "least_connections"?"#);
    assert_snapshot!(words("[balancer]\nstrategy = 'fastest'\n"), @r#"x.toml:2:12: balancer.strategy: found "fastest", expected one of round_robin, weighted, weighted_edf, least_connections, least_connections_edf, ip_hash, nginx_ip_hash, ring_hash, maglev, random, power_of_two_choices, peak_ewma, join_idle_queue, prequal, c3, reported_utilization"#);
    assert_snapshot!(words("[balancer]\nstrategy = 'round_robin'\nweights = [1, 2]\n"), @r#"x.toml:3:1: balancer.weights: strategy = "round_robin" looks at no weights"#);
    assert_snapshot!(words("[balancer]\nstrategy = 'weighted'\nweights = [0, 2, 1001]\n"), @"
    x.toml:3:12: balancer.weights.0: found 0, expected a weight from 1 to 1000
    x.toml:3:18: balancer.weights.2: found 1001, expected a weight from 1 to 1000
    ");
    assert_snapshot!(words("[balancer]\nstrategy = 'random'\nties = 'random'\n"), @r#"x.toml:3:1: balancer.ties: strategy = "random" has no ties, only "least_connections" has"#);
    assert_snapshot!(words("[balancer]\nhealth_check = { interval = '2s', timeout = '2s' }\n"), @r#"x.toml:2:35: balancer.health_check.timeout: a check must end before the next begins: timeout "2s" is not less than interval "2s""#);
    assert_snapshot!(words("[balancer]\nhealth_check = { unhealthy_after = 0, jitter = 2 }\n"), @r#"
    x.toml:2:36: balancer.health_check.unhealthy_after: found 0, expected a whole number, 1 or more
    x.toml:2:48: balancer.health_check.jitter: found 2, expected a ratio from 0 to 1: write 0.02 or "2%"
    "#);
}

#[test]
fn settings_of_the_balancer_are_of_use_to_its_strategy() {
    assert_snapshot!(words(
        r#"
[balancer]
strategy = "round_robin"
bias = 0.5
choices = 3
bounded_load = 1.25
ring = { min = 64 }
table_size = 65537
ewma = { tau = "5s" }
probing = { pool = 8 }
slow_start = "60s"
overprovisioning = 1.4
panic_threshold = 0.4
"#), @r#"
    x.toml:4:1: balancer.bias: strategy = "round_robin" has no bias, only "least_connections_edf" has
    x.toml:5:1: balancer.choices: strategy = "round_robin" has no choices, only "power_of_two_choices" and "peak_ewma" have
    x.toml:6:1: balancer.bounded_load: strategy = "round_robin" has no bounded load, only hash strategies have
    x.toml:7:1: balancer.ring: strategy = "round_robin" has no ring, only "ring_hash" has
    x.toml:8:1: balancer.table_size: strategy = "round_robin" has no table, only "maglev" has
    x.toml:9:1: balancer.ewma: strategy = "round_robin" has no average, only "peak_ewma" has
    x.toml:10:1: balancer.probing: strategy = "round_robin" has no probes, only "prequal" has
    x.toml:12:1: balancer.overprovisioning: without tiers (priorities) there is nobody to hand traffic on to
    x.toml:13:1: balancer.panic_threshold: no instance is ever found unhealthy: there is neither health_check nor ejection
    "#);
    assert_snapshot!(words(
        r#"
[balancer]
preset = "nginx"
strategy = "maglev"
zone_aware = true
priorities = [0, 99]
table_size = 65536
sticky = 60
ejection = { base = "60s", max = "30s" }
"#), @r#"
    x.toml:4:12: balancer.strategy: found "maglev", expected one of round_robin, least_connections, ip_hash, random, power_of_two_choices
    x.toml:5:1: balancer.zone_aware: fleet.zones is 1: there is no other zone to stay away from
    x.toml:6:18: balancer.priorities.1: found 99, expected a tier from 0 to 15
    x.toml:7:14: balancer.table_size: found 65536, expected a prime, such as 65537
    x.toml:8:10: balancer.sticky: found 60, expected a duration with a unit: write "60s" or "60ms"
    x.toml:9:14: balancer.ejection.base: base "1m" is more than max "30s"
    "#);
    assert_snapshot!(words("[fleet]\nzones = 3\n[balancer]\nzone_aware = { callers = [0.5, 0.6, 0.1] }\n"), @"x.toml:4:26: balancer.zone_aware.callers: found shares with the sum 1.2000000000000002, expected shares with the sum 1");
    assert_snapshot!(words("[balancer]\nstrategy = 'maglev'\nslow_start = '60s'\n"), @r#"x.toml:3:1: balancer.slow_start: strategy = "maglev" looks at no weights that could grow: slow start would do nothing"#);
}

#[test]
fn a_fault_has_the_fields_of_its_kind() {
    assert_snapshot!(words(
        r#"
[[fault]]
kind = "crash"
at = "5m"
duration = "1m"
factor = 2
[[fault]]
kind = "slow"
at = "5m"
every = "5m"
factor = 0.5
[[fault]]
kind = "errors"
every = "0s"
rate = 20
[[fault]]
kind = "zone_outage"
at = "5m"
zone = 1
[[fault]]
kind = "lost_metrics"
[[fault]]
kind = "earthquake"
magnitude = 9
"#), @r#"
    x.toml:5:1: fault.0.duration: unknown key for kind = "crash", expected one of kind, at, every, instances
    x.toml:6:1: fault.0.factor: unknown key for kind = "crash", expected one of kind, at, every, instances
    x.toml:10:1: fault.1.every: a fault strikes once (at) or again and again (every), not both: remove one
    x.toml:11:10: fault.1.factor: found 0.5, expected a factor of 1 or more
    x.toml:14:9: fault.2.every: found "0s", expected a duration above 0
    x.toml:15:8: fault.2.rate: found 20, expected a ratio from 0 to 1: write 0.2 or "20%"
    x.toml:19:8: fault.3.zone: found 1, expected zone 0: fleet.zones is 1
    x.toml:20:1: fault.4.at: missing, expected for example at = "30m" (once) or every = "6h" (at random, on average so often)
    x.toml:23:8: fault.5.kind: found "earthquake", expected one of crash, slow, errors, zone_outage, slow_boot, lost_metrics, slow_dependency, cache_loss
    "#);
    assert_snapshot!(words("[fleet]\nzones = 3\n[[fault]]\nkind = 'zone_outage'\nat = '5m'\nzone = 3\n"), @"x.toml:6:8: fault.0.zone: found 3, expected a zone from 0 to 2: fleet.zones is 3");
}

#[test]
fn traffic_comes_from_exactly_one_source() {
    assert_snapshot!(words("[traffic]\n"), @r#"x.toml:1:1: traffic.shape: missing, expected for example shape = [{ kind = "constant", rate = 100 }], or replay = { path = "access.log" }, or users = { count = 100, think = "1s" }"#);
    assert_snapshot!(words(
        r#"
[traffic]
shape = [{ kind = "constant", rate = 100 }]
users = { count = 10 }
"#), @"x.toml:4:1: traffic.users: traffic comes from one source, but there is traffic.shape too: remove one");
    assert_snapshot!(words("[traffic]\nusers = { count = 0, think = 3 }\noverlay = []\narrivals = 'paced'\n"), @r#"
    x.toml:2:19: traffic.users.count: found 0, expected a whole number, 1 or more
    x.toml:2:30: traffic.users.think: found 3, expected a duration with a unit: write "3s" or "3ms", or a table such as { dist = "exponential", mean = "40ms" }
    x.toml:3:1: traffic.overlay: users ask when they have an answer, not at a rate: remove this or users
    x.toml:4:1: traffic.arrivals: users ask when they have an answer, not at a rate: remove this or users
    "#);
}

#[test]
fn a_recording_is_a_file_beside_the_scenario_and_needs_no_duration() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("some.log"), "1\n").unwrap();
    let check = |replay: &str| {
        match scenario::parse(
            &format!("traffic.replay = {{ {replay} }}\nservice.time = '40ms'\n"),
            "x.toml",
            folder.path(),
            &[],
        ) {
            Ok(scenario) => format!("{:?} {:?}", scenario.duration, scenario.traffic),
            Err(problems) => problems.to_string(),
        }
        .replace(&*folder.path().to_string_lossy(), "FOLDER")
    };
    assert_snapshot!(check("path = 'some.log', format = 'common', speed = 2"), @r#"None Replay { recording: Recording { paths: ["FOLDER/some.log"], options: Options { format: Common, log_format: None, time: None, value: None, kind: None, zone: Zone { rules: None, hour: None, last: 0 }, demand: Recorded, filter: Filter { conditions: [], text: "" }, from: None, to: None, speed: 2.0, scale: 1.0, repeat: 1, step: None, max_bad_lines: 0.01, max_clients: 1000000, tables: None } }, changes: Config { arrivals: Poisson, shape: [], noise: None, overlay: [], skip: Span(0) } }"#);
    assert_snapshot!(check("path = 'other.log'"), @r#"x.toml:1:27: traffic.replay.path: found "other.log", expected a file that is there, as "FOLDER/other.log" or from here"#);
    assert_snapshot!(check("path = 'some.log', format = 'clf', speed = 0, scale = 2000, max_bad_lines = 5, loop = true"), @r#"
    x.toml:1:48: traffic.replay.format: found "clf", expected one of auto, common, combined, custom, json, haproxy, elb, w3c, trace-csv, trace-json, csv, ndjson, prometheus, cloudwatch, numbers, wide, parquet
    x.toml:1:63: traffic.replay.speed: found 0, expected a factor above 0, up to 1000000
    x.toml:1:74: traffic.replay.scale: found 2000, expected a factor above 0, up to 1000
    x.toml:1:96: traffic.replay.max_bad_lines: found 5, expected a ratio from 0 to 1: write 0.05 or "5%"
    x.toml:1:99: traffic.replay.loop: unknown key, expected one of path, format, log_format, time, value, kind, tz, demand, filter, from, to, speed, scale, repeat, step, max_bad_lines, max_clients
    "#);
    let entered = |text: &str| {
        let text = format!("scenario.duration = '1m'\n{text}\ntraffic.skip = '9d'\nservice.time = '40ms'\n");
        scenario::parse(&text, "x.toml", folder.path(), &[]).unwrap_err().to_string()
    };
    assert_snapshot!(entered("traffic.replay = { path = 'some.log' }"), @"x.toml:3:9: traffic.skip: a recording is entered by replay.from: remove this or replay");
    assert_snapshot!(entered("traffic.users = { count = 3 }"), @"x.toml:3:9: traffic.skip: users ask when they have an answer, not at a rate: remove this or users");
    assert_snapshot!(check("fromat = 'csv'"), @r#"
    x.toml:1:18: traffic.replay.path: missing, expected for example path = "access.log"
    x.toml:1:20: traffic.replay.fromat: unknown key, did you mean "format"?
    "#);
}

#[test]
fn a_shape_has_the_fields_of_its_kind() {
    assert_snapshot!(words(
        r#"
[traffic]
arrivals = "uniform"
noise = { sigma = -1 }
shape = [
  { kind = "constant", rate = -5, for = "1m" },
  { kind = "constant", rate = 5 },
  { kind = "ramp", form = 5, to = 10, for = "5" },
  { kind = "step", from = 1, to = 2, at = "1m", for = "0s" },
  { kind = "spike", base = 0, magnitude = 3, at = "1m", for = "5m" },
  { kind = "diurnal", mean = nan, amplitude = -0.5, for = "5m" },
  { kind = "weekly", mean = 5, amplitude = 0.5, days = [1, 2, 3], for = "5m" },
  { kind = "flash_crowd", base = 2e9, magnitude = 0, at = "1m", rise = "0s", decay = "1s", for = "1m" },
  { kind = "sinus", mean = 5 },
  { kind = "ramp", from = 0, to = 10 },
]
"#), @r#"
    x.toml:3:12: traffic.arrivals: found "uniform", expected one of paced, poisson, mmpp
    x.toml:4:9: traffic.noise.slot: missing, expected for example slot = "10s"
    x.toml:4:19: traffic.noise.sigma: found -1, expected the standard deviation of the logarithm, from 0 to 10
    x.toml:6:31: traffic.shape.0.rate: found -5, expected a rate in requests per second, from 0 to 1e9
    x.toml:7:3: traffic.shape.1.for: missing, expected for example for = "10m" (only the last segment can go without)
    x.toml:8:3: traffic.shape.2.from: missing, expected for example from = 100
    x.toml:8:20: traffic.shape.2.form: unknown key for kind = "ramp", did you mean "from"?
    x.toml:8:45: traffic.shape.2.for: found "5", expected a duration such as "5s" or "5ms"
    x.toml:9:55: traffic.shape.3.for: found "0s", expected a duration above 0
    x.toml:10:3: traffic.shape.4.hold: missing, expected for example hold = "2m"
    x.toml:10:28: traffic.shape.4.base: found 0, expected a rate in requests per second, above 0 and up to 1e9
    x.toml:11:30: traffic.shape.5.mean: found nan, expected a rate in requests per second, above 0 and up to 1e9
    x.toml:11:47: traffic.shape.5.amplitude: found -0.5, expected a share of the mean, usually 0 to 1
    x.toml:12:56: traffic.shape.6.days: found 3 factors, expected 7, for Monday to Sunday
    x.toml:13:34: traffic.shape.7.base: found 2000000000.0, expected a rate in requests per second, above 0 and up to 1e9
    x.toml:13:51: traffic.shape.7.magnitude: found 0, expected a factor above 0
    x.toml:13:72: traffic.shape.7.rise: found "0s", expected a duration above 0
    x.toml:14:12: traffic.shape.8.kind: found "sinus", expected one of constant, ramp, step, spike, diurnal, weekly, flash_crowd
    x.toml:15:3: traffic.shape.9.for: missing, expected for example for = "10m"
    "#);
    assert_snapshot!(words("[traffic]\nshape = [{ kind = 'constant', rate = 0 }]\n"), @r#"x.toml:2:9: traffic.shape: found only rates of 0, expected a segment with requests, such as { kind = "constant", rate = 100 }"#);
    assert_snapshot!(words("[traffic]\nshape = []\n"), @r#"x.toml:2:9: traffic.shape: found no segments, expected a segment with requests, such as { kind = "constant", rate = 100 }"#);
    assert_snapshot!(words("[traffic]\nshape = [{ kind = 'constant', rate = 5 }]\narrivals = 'mmpp'\n"), @r#"x.toml:1:1: traffic.burst: missing, expected for example burst = { factor = 5, mean_on = "10s", mean_off = "50s" }"#);
    assert_snapshot!(words("[traffic]\nshape = [{ kind = 'constant', rate = 5 }]\nburst = { factor = 2, mean_on = '1s', mean_off = '5s' }\n"), @r#"x.toml:3:1: traffic.burst: only arrivals = "mmpp" come in bursts"#);
    assert_snapshot!(words("[traffic]\nshape = [{ kind = 'constant', rate = 5 }]\narrivals = 'mmpp'\nburst = { factor = -2, mean_on = '0s' }\n"), @r#"
    x.toml:4:9: traffic.burst.mean_off: missing, expected for example mean_off = "50s"
    x.toml:4:20: traffic.burst.factor: found -2, expected a factor, 0 or more
    x.toml:4:34: traffic.burst.mean_on: found "0s", expected a duration above 0
    "#);
}

#[test]
fn an_overlay_has_the_fields_of_its_kind() {
    assert_snapshot!(words(
        r#"
[service]
time = "40ms"
endpoint = [{ path = "/search" }, { path = "/login" }]
[traffic]
shape = [{ kind = "constant", rate = 100 }]
overlay = [
  { kind = "spike", at = 25, magnitude = 3, hold = "1m" },
  { kind = "flash_crowd", at = "5m", magnitude = 3, hold = "1m" },
  { kind = "attack", at = "5m", rate = 0, for = "1m", clients = 0, endpoint = "/logn" },
  { kind = "attack", at = "5m" },
  { kind = "atack" },
]
"#), @r#"
    x.toml:8:26: traffic.overlay.0.at: found 25, expected a duration with a unit: write "25s" or "25ms"
    x.toml:9:3: traffic.overlay.1.rise: missing, expected for example rise = "1m"
    x.toml:9:3: traffic.overlay.1.decay: missing, expected for example decay = "5m"
    x.toml:9:53: traffic.overlay.1.hold: unknown key for kind = "flash_crowd", expected one of kind, at, magnitude, rise, decay
    x.toml:10:40: traffic.overlay.2.rate: found 0, expected a rate in requests per second, above 0 and up to 1e9
    x.toml:10:65: traffic.overlay.2.clients: found 0, expected a whole number, 1 or more
    x.toml:10:79: traffic.overlay.2.endpoint: found "/logn", expected one of /search, /login, did you mean "/login"?
    x.toml:11:3: traffic.overlay.3.rate: missing, expected for example rate = 1000
    x.toml:11:3: traffic.overlay.3.for: missing, expected for example for = "5m"
    x.toml:12:12: traffic.overlay.4.kind: found "atack", expected one of spike, flash_crowd, attack, reconnect, did you mean "attack"?
    "#);
}

#[test]
fn clients_are_some_and_live_somewhere() {
    assert_snapshot!(words(
        r#"
[clients]
population = 0
zipf = -1
bots = 2
regions = [{ name = "us", share = -1 }, { name = "us", share = 1, rtt = 20 }, { share = 1 }]
retry = { max = 1, on = ["timeout", "timeot"] }
"#), @r#"
    x.toml:3:14: clients.population: found 0, expected a whole number, 1 or more
    x.toml:4:8: clients.zipf: found -1, expected Zipf's exponent, from 0 (all the same) to 100
    x.toml:5:8: clients.bots: found 2, expected a ratio from 0 to 1: write 0.02 or "2%"
    x.toml:6:35: clients.regions.0.share: found -1, expected a weight, 0 or more
    x.toml:6:50: clients.regions.1.name: found "us", expected a name that no earlier one has
    x.toml:6:73: clients.regions.1.rtt: found 20, expected a duration with a unit: write "20s" or "20ms"
    x.toml:6:79: clients.regions.2.name: missing, expected for example name = "eu"
    x.toml:7:37: clients.retry.on.1: found "timeot", expected one of timeout, server_error, connection, rate_limited, circuit_open, queue_full, no_instance, shed, did you mean "timeout"?
    "#);
    assert_snapshot!(words("[clients]\nregions = [{ name = 'us', share = 0 }]\n"), @"x.toml:2:11: clients.regions: found only shares of 0, expected at least one region with a share above 0");
    assert_snapshot!(words("[clients]\nregions = []\npopulation = 20000000"), @"
    x.toml:2:11: clients.regions: found no regions, expected at least one region with a share above 0
    x.toml:3:14: clients.population: found 20000000, expected at most 10000000 clients
    ");
    assert_snapshot!(words("[clients]\nretry = { max = 1, cap = '50ms' }\n"), @r#"x.toml:2:20: clients.retry.cap: "50ms" is less than the first wait, backoff = "100ms""#);
    assert_snapshot!(words("[clients]\nretry = { max = 1, on = [] }\n"), @"x.toml:2:25: clients.retry.on: found an empty array, expected at least one failure, or no retry at all");
}

#[test]
fn a_breaker_can_trip_and_recover() {
    assert_snapshot!(words(
        r#"
[breaker]
scope = "region"
failure_rate = 50
minimum_calls = 0
window = 10
open_for = "0s"
half_open_calls = 0
fallback = { status = 99, boddy = "" }
slow_call = { duration = "0s" }
failures = 0
consecutive = -1
open_multiplier = 0.5
jitter = 1.1
recovery = "ramp"
"#), @r#"
    x.toml:3:9: breaker.scope: found "region", expected one of instance, service, endpoint
    x.toml:4:16: breaker.failure_rate: found 50, expected a ratio from 0 to 1: write 0.5 or "50%"
    x.toml:5:17: breaker.minimum_calls: found 0, expected a whole number, 1 or more
    x.toml:6:10: breaker.window: found 10, expected a duration with a unit: write "10s" or "10ms"
    x.toml:7:12: breaker.open_for: found "0s", expected a duration above 0
    x.toml:8:19: breaker.half_open_calls: found 0, expected a whole number, 1 or more
    x.toml:9:23: breaker.fallback.status: found 99, expected an HTTP status from 200 to 599
    x.toml:9:27: breaker.fallback.boddy: unknown key, did you mean "body"?
    x.toml:10:13: breaker.slow_call.rate: missing, expected for example rate = 0.5
    x.toml:10:26: breaker.slow_call.duration: found "0s", expected a duration above 0
    x.toml:11:12: breaker.failures: found 0, expected a whole number, 1 or more
    x.toml:12:15: breaker.consecutive: found -1, expected a whole number, 1 or more
    x.toml:13:19: breaker.open_multiplier: found 0.5, expected a factor from 1 to 1000
    x.toml:14:10: breaker.jitter: found 1.1, expected a ratio from 0 to 1, or a percentage such as "70%"
    x.toml:15:12: breaker.recovery: found "ramp", expected "immediate" or { ramp = "30s" }
    "#);
    assert_snapshot!(words("[breaker]\nwindow = '10s'\ncalls = 100\n"), @"x.toml:3:1: breaker.calls: a window is of time (window) or of so many calls (calls), not both");
    assert_snapshot!(words("[breaker]\nminimum_calls = 101\ncalls = 100\n"), @"x.toml:2:1: breaker.minimum_calls: a window of calls = 100 never holds 101");
    assert_snapshot!(words("[breaker]\nbuckets = 10\ncalls = 2000000\n"), @"
    x.toml:2:1: breaker.buckets: a window of so many calls has no buckets, only one of time has
    x.toml:3:9: breaker.calls: found 2000000, expected at most 1048576 calls
    ");
    assert_snapshot!(words("[breaker]\nopen_for = '10m'\nopen_max = '5m'\n"), @r#"x.toml:3:1: breaker.open_max: "5m" is less than open_for = "10m""#);
    assert_snapshot!(words("[breaker]\nprobe_lease = '5s'\n[clients]\ntimeout = '5s'\n"), @r#"x.toml:2:1: breaker.probe_lease: "5s" is not more than clients.timeout = "5s": a probe that times out would count for nothing"#);
}

#[test]
fn a_store_keeps_what_it_can_count() {
    let stored = |store: &str, limiter: &str| words(&format!("[live]\nquota_store = {{ {store} }}\n{limiter}"));
    let at = "url = 'redis://127.0.0.1:6379/0'";
    let shared = "shared = { gateways = 2, mode = 'store' }";
    assert_snapshot!(stored(at, ""), @r#"x.toml:2:1: live.quota_store: there are no quotas to keep: add [limiter], with shared = { gateways = 2, mode = "store" }"#);
    assert_snapshot!(stored(at, "[limiter]\nalgorithm = 'gcra'\nlimit = 5\nwindow = '1s'"), @r#"x.toml:2:1: live.quota_store: gateways do not share their quotas by a store: add limiter.shared = { gateways = 2, mode = "store" }"#);
    assert_snapshot!(stored(at, &format!("[limiter]\nalgorithm = 'sliding_log'\nlimit = 5\nwindow = '1s'\n{shared}")), @r#"x.toml:4:1: limiter.algorithm: live.quota_store does not count by "sliding_log", only by fixed_window, sliding_window, token_bucket and gcra"#);
    assert_snapshot!(stored(at, &format!("[limiter]\npreset = 'cloudflare'\nlimit = 5\nwindow = '1s'\n{shared}")), @r#"x.toml:3:2: limiter: live.quota_store compares sliding windows after adding only: set compare = "after_adding""#);
    assert_snapshot!(stored(at, &format!("[limiter]\nalgorithm = 'fixed_window'\nlimit = 5\nburst = 9\nwindow = '1s'\n{shared}")), @"x.toml:6:1: limiter.burst: live.quota_store keeps nothing of a fixed window for the next: token_bucket has a burst");
    assert_snapshot!(stored(at, &format!("[limiter]\nalgorithm = 'gcra'\nlimit = 5\nwindow = '1500ns'\n{shared}")), @r#"x.toml:6:1: limiter.window: live.quota_store counts in whole microseconds, and "1.5µs" is none"#);
    assert_snapshot!(stored(at, &format!("[limiter]\nalgorithm = 'gcra'\nlimit = 5\nwindow = '1s'\nalso = [{{ algorithm = 'gcra', limit = 1000000, window = '1w' }}]\n{shared}")), @r#"x.toml:7:48: limiter.also.0.window: live.quota_store counts exactly while limit or burst times window [µs] is below 2^53, and 1000000 times "7d" is not"#);
    assert_snapshot!(stored("url = 'redis.internal:6379', in_flight = 0, prefix = 'a b', pool = 3", ""), @r#"
    x.toml:2:1: live.quota_store: there are no quotas to keep: add [limiter], with shared = { gateways = 2, mode = "store" }
    x.toml:2:23: live.quota_store.url: found another address, expected one such as "redis://127.0.0.1:6379/0"
    x.toml:2:58: live.quota_store.in_flight: found 0, expected a whole number, 1 or more
    x.toml:2:70: live.quota_store.prefix: found "a b", expected visible ASCII characters without spaces
    x.toml:2:77: live.quota_store.pool: unknown key, expected one of url, prefix, in_flight
    "#);
    assert_snapshot!(stored("url = 'rediss://redis.internal'", ""), @r#"
    x.toml:2:1: live.quota_store: there are no quotas to keep: add [limiter], with shared = { gateways = 2, mode = "store" }
    x.toml:2:17: live.quota_store.url: TLS is not spoken to a store: put it on a network that is yours, as "redis://"
    "#);
}

#[test]
fn a_limiter_has_a_quota_of_its_algorithm() {
    assert_snapshot!(words("[limiter]\n"), @r#"
    x.toml:1:1: limiter.algorithm: missing, expected for example algorithm = "sliding_log"
    x.toml:1:1: limiter.limit: missing, expected for example limit = 1000
    x.toml:1:1: limiter.window: missing, expected for example window = "1m"
    "#);
    assert_snapshot!(words("[limiter]\nalgorithm = 'lossy_bucket'\nkey = 'user'\nlimit = 0\nwindow = '1M'\nrate = 5\n"), @r#"
    x.toml:2:13: limiter.algorithm: found "lossy_bucket", expected one of fixed_window, sliding_log, sliding_window, sub_windows, interpolated_sub_windows, token_bucket, gcra, leaky_bucket, frequency_counter, warm_up, did you mean "leaky_bucket"?
    x.toml:3:7: limiter.key: found "user", expected one of client, endpoint, region, global
    x.toml:4:9: limiter.limit: found 0, expected a whole number, 1 or more
    x.toml:5:10: limiter.window: found "1M", expected a duration in ns, us, ms, s, m (minutes), h, d or w, not "M"
    x.toml:6:1: limiter.rate: unknown key, expected one of preset, algorithm, key, limit, window, burst, parts, delay, warm_up, window_start, compare, charge_rejected, also, shared, shadow
    "#);
    assert_snapshot!(words("[limiter]\nalgorithm = 'sliding_log'\nlimit = 5\nwindow = '1m'\nburst = 5\nparts = 5\n"), @r#"
    x.toml:5:1: limiter.burst: algorithm = "sliding_log" has no burst, only token_bucket, gcra, leaky_bucket and fixed_window have
    x.toml:6:1: limiter.parts: algorithm = "sliding_log" does not divide its window, only sub_windows and interpolated_sub_windows do
    "#);
    assert_snapshot!(words("[limiter]\nalgorithm = 'gcra'\nlimit = 2000\nwindow = '1us'\nburst = 0\n"), @"x.toml:5:9: limiter.burst: found 0, expected a whole number, 1 or more");
    assert_snapshot!(words("[limiter]\nalgorithm = 'gcra'\nlimit = 2000\nwindow = '1us'\nburst = 1\n"), @r#"x.toml:4:1: limiter.window: "1µs" has fewer nanoseconds than limit or parts: they cannot be spread over it"#);
}

#[test]
fn a_limiter_of_its_kind_has_its_own_settings() {
    let limiter = |rest: &str| words(&format!("[limiter]\nlimit = 10\nwindow = '1s'\n{rest}"));
    assert_snapshot!(limiter("algorithm = 'gcra'\ndelay = 1\nwarm_up = '10s'"), @r#"
    x.toml:5:1: limiter.delay: algorithm = "gcra" makes nobody wait, only leaky_bucket does
    x.toml:6:1: limiter.warm_up: algorithm = "gcra" is never cold, only warm_up is
    "#);
    assert_snapshot!(limiter("algorithm = 'leaky_bucket'\nburst = 5\ndelay = 5"), @"x.toml:6:1: limiter.delay: 5 pass at once, and burst = 5 lets no more than that in: nobody would wait");
    assert_snapshot!(limiter("algorithm = 'warm_up'"), @r#"x.toml:1:1: limiter.warm_up: missing, expected for example warm_up = "10s""#);
    assert_snapshot!(words("clients.retry = { max = 1, kind = 'envoy', factor = 3.0 }"), @r#"x.toml:1:44: clients.retry.factor: kind = "envoy" has its own, only "exponential" is told"#);
    assert_snapshot!(words("balancer.instance_limit = { most = 5, least = 9, full = 100 }"), @"x.toml:1:39: balancer.instance_limit.least: 9 is more than most = 5");
    assert_snapshot!(words("balancer = { strategy = 'random', reports = { balancers = 2 } }"), @r#"x.toml:1:35: balancer.reports: strategy = "random" has no reports, only "c3" and "reported_utilization" have"#);
}

#[test]
fn a_limiter_takes_over_a_system_that_it_can_decide_like() {
    let limiter = |rest: &str| words(&format!("[limiter]\nlimit = 10\nwindow = '1s'\n{rest}"));
    assert_snapshot!(limiter("preset = 'ngnix'"), @r#"x.toml:4:10: limiter.preset: found "ngnix", expected one of nginx, haproxy, envoy_local, envoy_global, cloudflare, kong, upstash, redis_cell, governor, throttled, express, did you mean "nginx"?"#);
    assert_snapshot!(limiter("preset = 'tower'"), @r#"x.toml:4:1: limiter.preset: tower makes callers wait for the next window, and a limiter here refuses: "express" has the same windows"#);
    assert_snapshot!(limiter("preset = 'pingora'"), @r#"x.toml:4:1: limiter.preset: pingora counts in a sketch in which keys collide, and keys here never do: "cloudflare" has the same estimate"#);
    assert_snapshot!(limiter("preset = 'nginx'\nalgorithm = 'gcra'"), @r#"x.toml:5:13: limiter.algorithm: found "gcra", expected leaky_bucket"#);
    assert_snapshot!(limiter("preset = 'nginx'\nburst = 5\ndelay = 'never'"), @r#"x.toml:6:9: limiter.delay: found "never", expected a whole number, or "nodelay""#);
    assert_snapshot!(limiter("preset = 'redis_cell'"), @"x.toml:1:1: limiter.max_burst: missing, expected for example max_burst = 15");
    assert_snapshot!(limiter("preset = 'redis_cell'\nburst = 5\nmax_burst = 4"), @"x.toml:6:1: limiter.max_burst: burst is told as well, and is max_burst + 1: one of them is enough");
    assert_snapshot!(limiter("preset = 'governor'\nmax_burst = 4"), @"x.toml:5:1: limiter.max_burst: unknown key, expected one of preset, algorithm, key, limit, window, burst, parts, delay, warm_up, window_start, compare, charge_rejected, also, shared, shadow");
    assert_snapshot!(words("limiter = { preset = 'envoy_local', limit = 1, window = '10ms' }"), @r#"x.toml:1:57: limiter.window: found "10ms", expected at least "50ms", the shortest fill_interval of envoy_local"#);
    assert_snapshot!(words("limiter = { preset = 'envoy_global', limit = 1, window = '10s', burst = 5 }"), @r#"
    x.toml:1:58: limiter.window: found "10s", expected a unit of envoy_global: "1s", "1m", "1h" or "1d"
    x.toml:1:65: limiter.burst: preset = "envoy_global" keeps nothing of a window for the next: it has no burst
    "#);
    assert_snapshot!(limiter("preset = 'express'\nburst = 5"), @r#"x.toml:5:1: limiter.burst: window_start = "first_request" leaves nothing of a window for the next: it has no burst"#);
    assert_snapshot!(limiter("algorithm = 'gcra'\nwindow_start = 'aligned'\ncompare = 'before_adding'\ncharge_rejected = true"), @r#"
    x.toml:5:1: limiter.window_start: algorithm = "gcra" has no fixed windows, only fixed_window has
    x.toml:6:1: limiter.compare: algorithm = "gcra" has no estimate to compare, only sliding_window has
    x.toml:7:1: limiter.charge_rejected: algorithm = "gcra" has no choice of what it counts, only sliding_window has
    "#);
    assert_snapshot!(limiter("algorithm = 'sliding_window'\ncharge_rejected = true"), @r#"x.toml:5:1: limiter.charge_rejected: only an estimate compared before adding counts refusals: set compare = "before_adding""#);
}

#[test]
fn a_leaky_bucket_leaks_a_thousandth_of_a_request_a_second_at_least() {
    assert_snapshot!(words("[limiter]\nalgorithm = 'leaky_bucket'\nlimit = 1\nwindow = '1h'\n"), @r#"x.toml:4:1: limiter.window: 1 in "1h" is less than a thousandth a second, which is as slow as a leaky_bucket leaks"#);
}

#[test]
fn overload_control_has_what_it_needs() {
    assert_snapshot!(words(
        r#"
[overload]
codel = false
adaptive_lifo = true
"#), @"x.toml:4:1: overload.adaptive_lifo: codel is what tells that a queue stands: set codel = true");
    assert_snapshot!(words("overload.codel = { form = 'folly', goal = '5ms' }"), @r#"
    x.toml:1:27: overload.codel.form: found "folly", expected one of request_queue, classic
    x.toml:1:36: overload.codel.goal: unknown key, expected one of target, interval, form
    "#);
    assert_snapshot!(words("[overload]\ndeadlines = true\n"), @"x.toml:2:1: overload.deadlines: clients wait for ever: set clients.timeout");
    assert_snapshot!(words("[overload]\nlimits = { pending = 5, retries = 3 }\n"), @"x.toml:2:12: overload.limits.pending: nothing is pending while connections is unlimited");
    assert_snapshot!(words("[overload]\nconcurrency = { algorithm = 'vegas', timeout = '1s' }\nthrottle = 'aws'\n"), @r#"
    x.toml:2:38: overload.concurrency.timeout: unknown key, expected one of algorithm, min, max, initial, window
    x.toml:3:12: overload.throttle: found "aws", expected one of sre, envoy
    "#);
    assert_snapshot!(words("[limiter]\nalgorithm = 'gcra'\nlimit = 5\nwindow = '1s'\nshared = { gateways = 4, mode = 'sync' }\n"), @r#"x.toml:5:10: limiter.shared.every: missing, expected for example every = "200ms""#);
}

#[test]
fn an_analyzer_can_find_a_spike() {
    assert_snapshot!(words("[analyzer]\nbaseline_window = 24\nspike_threshold = 1\nsensitivity = 3\nprediction_window = '0s'\nprediction = true\n"), @r#"
    x.toml:2:19: analyzer.baseline_window: found 24, expected a duration with a unit: write "24s" or "24ms"
    x.toml:3:19: analyzer.spike_threshold: found 1, expected a factor above 1
    x.toml:4:15: analyzer.sensitivity: found 3, expected a ratio from 0 to 1: write 0.03 or "3%"
    x.toml:5:21: analyzer.prediction_window: found "0s", expected a duration above 0
    x.toml:6:1: analyzer.prediction: unknown key, expected one of spike_threshold, baseline_window, min_spike_duration, sensitivity, bin, fast_ratio, exit_hold, relearn_after, prediction_window, holidays
    "#);
    assert_snapshot!(words("[analyzer]\nholidays = [{ from = '24h' }, { from = '48h', for = '24h', factor = -1 }]\n"), @r#"
    x.toml:2:13: analyzer.holidays.0.for: missing, expected for example for = "24h"
    x.toml:2:69: analyzer.holidays.1.factor: found -1, expected a factor from 0 to 1000000
    "#);
    assert_snapshot!(words("[analyzer]\nbaseline_window = '5s'\n"), @r#"x.toml:2:1: analyzer.baseline_window: baseline_window "5s" is less than one bin of "10s""#);
    assert_snapshot!(words("[analyzer]\nbin = '1us'\n"), @r#"x.toml:2:7: analyzer.bin: found "1us", expected a duration of at least 1ms"#);
    assert_snapshot!(words("[analyzer]\nmin_spike_duration = '6h'\n"), @r#"x.toml:2:1: analyzer.min_spike_duration: no spike could be found: relearn_after "6h" is not more than min_spike_duration "6h""#);
    assert_snapshot!(words("[analyzer]\nfast_ratio = 1.5\n"), @"x.toml:2:1: analyzer.fast_ratio: 1.5 is less than spike_threshold = 2");
}

#[test]
fn an_autoscaler_has_room_to_scale() {
    assert_snapshot!(words("[autoscaler]\nmin = 0\nmax = 0\ninterval = '1us'\nshed_tolerance = 1.5\n"), @r#"
    x.toml:2:1: autoscaler.min: with 0 instances nothing would start one again: it takes a rule or policy on requests_per_second, or on the sum of queue_length or active_connections
    x.toml:3:7: autoscaler.max: found 0, expected a whole number, 1 or more
    x.toml:4:12: autoscaler.interval: found "1us", expected a duration of at least 1ms
    x.toml:5:18: autoscaler.shed_tolerance: found 1.5, expected a ratio from 0 to 1, or a percentage such as "70%"
    "#);
    assert_snapshot!(words("[autoscaler]\nmin = 0\n[[autoscaler.policy]]\nkind = 'kpa'\n"), @"no problem");
    assert_snapshot!(words("[autoscaler]\nmin = 30\nmax = 20\n"), @"x.toml:3:1: autoscaler.max: 20 is less than autoscaler.min = 30");
    assert_snapshot!(words("[autoscaler]\nmetrics = { window = '0s', delay = -1, scrape = '0s', step = 5 }\ncooldown_from = 'end'\n"), @r#"
    x.toml:2:22: autoscaler.metrics.window: found "0s", expected a duration above 0
    x.toml:2:36: autoscaler.metrics.delay: found -1, expected a duration such as "250ms" or "90s"
    x.toml:2:49: autoscaler.metrics.scrape: found "0s", expected a duration above 0
    x.toml:2:55: autoscaler.metrics.step: unknown key, expected one of window, delay, scrape
    x.toml:3:17: autoscaler.cooldown_from: found "end", expected one of decision, ready
    "#);
}

#[test]
fn a_rule_compares_a_metric_with_a_value_of_its_unit() {
    // V-04 of the specification.
    assert_snapshot!(words(
        r#"
[fleet]
memory = { limit = "1GB" }
[[autoscaler.rule]]
name = "a"
metric = "cpu_utilisation"
operator = "eq"
threshold = 70
action = "scale_upp"
[[autoscaler.rule]]
name = "b"
metric = "cpu_utilization"
operator = ">"
threshold = 0.7
action = "scale_up"
step = 0
[[autoscaler.rule]]
name = "c"
metric = "error_rate"
operator = "gt"
threshold = 5
action = "scale_up"
priority = 101
[[autoscaler.rule]]
name = "d"
metric = "memory_utilization"
operator = "gt"
threshold = 101
action = "scale_up"
evidence = { m = 5, n = 3 }
[[autoscaler.rule]]
name = "a"
metric = "p99_response_time"
operator = "like"
threshold = "fast"
action = "scale_up"
step = "5 more"
evidence = "some"
missing = "ignore"
[[autoscaler.rule]]
"#), @r#"
    x.toml:6:10: autoscaler.rule.0.metric: found "cpu_utilisation", expected one of requests_per_second, average_response_time, p50_response_time, p95_response_time, p99_response_time, error_rate, cpu_utilization, memory_utilization, active_connections, queue_length, event_loop_lag, did you mean "cpu_utilization"?
    x.toml:7:12: autoscaler.rule.0.operator: found "eq", expected one of gt, gte, lt, lte: a measured value hardly ever equals a number exactly
    x.toml:9:10: autoscaler.rule.0.action: found "scale_upp", expected one of scale_up, scale_down, circuit_break, alert, did you mean "scale_up"?
    x.toml:13:12: autoscaler.rule.b.operator: found ">", expected "gt"
    x.toml:14:13: autoscaler.rule.b.threshold: found 0.7, expected a percentage from 0 to 100: write 70
    x.toml:16:8: autoscaler.rule.b.step: found 0, expected a number of instances, or a step such as "+2", "50%" or "to 10"
    x.toml:21:13: autoscaler.rule.c.threshold: found 5, expected a ratio from 0 to 1: write 0.05 or "5%"
    x.toml:23:12: autoscaler.rule.c.priority: found 101, expected a whole number from 0 to 100
    x.toml:28:13: autoscaler.rule.d.threshold: found 101, expected a percentage from 0 to 100, such as 70
    x.toml:30:14: autoscaler.rule.d.evidence.m: 5 of 3 samples are more than there are
    x.toml:32:8: autoscaler.rule.4.name: found "a", expected a name that no earlier one has
    x.toml:34:12: autoscaler.rule.4.operator: found "like", expected one of gt, gte, lt, lte
    x.toml:35:13: autoscaler.rule.4.threshold: found "fast", expected a duration such as "250ms", "90s" or "1h30m"
    x.toml:37:8: autoscaler.rule.4.step: found "5 more", expected a number of instances, or a step such as "+2", "50%" or "to 10"
    x.toml:38:12: autoscaler.rule.4.evidence: found "some", expected "continuous" or { m = 3, n = 5 } (m of the last n samples)
    x.toml:39:11: autoscaler.rule.4.missing: found "ignore", expected one of hold, reset, breach
    x.toml:40:1: autoscaler.rule.5.name: missing, expected for example name = "cpu_scale_up"
    x.toml:40:1: autoscaler.rule.5.metric: missing, expected for example metric = "cpu_utilization"
    x.toml:40:1: autoscaler.rule.5.operator: missing, expected for example operator = "gt"
    x.toml:40:1: autoscaler.rule.5.threshold: missing, expected for example threshold = 70
    x.toml:40:1: autoscaler.rule.5.action: missing, expected for example action = "scale_up"
    "#);
    assert_snapshot!(words("[[autoscaler.rule]]\nname = 'x'\nmetric = 'magic'\noperator = 'gt'\nthreshold = 1\naction = 'scale_up'\n"), @r#"x.toml:3:10: autoscaler.rule.x.metric: found "magic", expected one of requests_per_second, average_response_time, p50_response_time, p95_response_time, p99_response_time, error_rate, cpu_utilization, memory_utilization, active_connections, queue_length, event_loop_lag"#);
}

#[test]
fn rules_do_not_contradict_each_other_or_the_rest() {
    let rules = |rules: &[[&str; 4]]| {
        let rule = |(i, [metric, operator, threshold, action]): (usize, &[&str; 4])| {
            format!(
                "[[autoscaler.rule]]\nname = 'r{i}'\nmetric = '{metric}'\noperator = '{operator}'\nthreshold = \
                 {threshold}\naction = '{action}'\n"
            )
        };
        rules.iter().enumerate().map(rule).collect::<String>()
    };
    let cpu = |up: [&'static str; 2], down: [&'static str; 2]| {
        words(&rules(&[
            ["cpu_utilization", up[0], up[1], "scale_up"],
            ["cpu_utilization", down[0], down[1], "scale_down"],
        ]))
    };
    assert_snapshot!(cpu(["gt", "70"], ["lt", "20"]), @"no problem");
    // V-07 of the specification.
    assert_snapshot!(cpu(["gt", "70"], ["lt", "'80%'"]), @"x.toml:7:1: autoscaler.rule.r1: scale_down when cpu_utilization < 80, but rule r0 does scale_up when it is > 70: both can hold at once");
    assert_snapshot!(cpu(["gt", "70"], ["lte", "70"]), @"no problem");
    assert_snapshot!(cpu(["gte", "70"], ["lte", "70"]), @"x.toml:7:1: autoscaler.rule.r1: scale_down when cpu_utilization ≤ 70, but rule r0 does scale_up when it is ≥ 70: both can hold at once");
    assert_snapshot!(cpu(["gt", "70"], ["gt", "90"]), @"x.toml:7:1: autoscaler.rule.r1: scale_down when cpu_utilization > 90, but rule r0 does scale_up when it is > 70: both can hold at once");
    assert_snapshot!(cpu(["gt", "70"], ["lt", "0"]), @"x.toml:11:1: autoscaler.rule.r1.threshold: cpu_utilization is never below 0");
    // V-08: what nobody emits.
    assert_snapshot!(words(&rules(&[["memory_utilization", "gt", "70", "scale_up"], ["error_rate", "gt", "'10%'", "circuit_break"]])), @"
    x.toml:3:1: autoscaler.rule.r0.metric: no instance has a memory_utilization without fleet.memory: set that too
    x.toml:12:1: autoscaler.rule.r1.action: there is no breaker to open: add a [breaker] section
    ");
    let all = rules(&[["error_rate", "gt", "0.1", "circuit_break"]]) + "step = 2\naggregate = 'max'\n[breaker]\n";
    assert_snapshot!(words(&all), @r#"
    x.toml:7:1: autoscaler.rule.r0.step: action = "circuit_break" has no step, only scale_up and scale_down have
    x.toml:8:1: autoscaler.rule.r0.aggregate: error_rate is one number for the whole service, there is nothing to aggregate
    "#);
}

#[test]
fn policies_speak_the_words_of_the_systems_they_are_from() {
    assert_snapshot!(words(
        r#"
[[autoscaler.policy]]
kind = "hpa"
metrics = [
    { type = "resource", resource = "disk" },
    { type = "pods", metric = "requests_per_second", average_value = 5 },
    { type = "external", metric = "queue_length", value = 5, average_value = 5 },
    { type = "container" },
]
behavior = { scale_up = { policies = [{ type = "percent", value = 0, period = "1h" }], stabilization_window = "2h" }, scale_dwn = {} }
min_replicas = 2
[[autoscaler.policy]]
kind = "kpa"
target_utilization = 70
panic_threshold_percentage = 2
max_scale_down_rate = 1
stable_window = "6500ms"
[[autoscaler.policy]]
kind = "step"
alarm = { metric = "cpu_utilization", operator = "gte", threshold = 60, evaluation_periods = 3, datapoints_to_alarm = 5 }
steps = [{ lower = 0, upper = 10, adjustment = 1 }, { lower = 20, adjustment = 2 }]
min_adjustment_magnitude = 2
[[autoscaler.policy]]
kind = "simple"
alarm = { metric = "cpu_utilization", operator = "lt", threshold = 60 }
adjustment = 1
[[autoscaler.policy]]
kind = "keda"
triggers = [{ metric = "cpu_utilization", metric_type = "value", threshold = 60 }]
[[autoscaler.policy]]
kind = "nomad_threshold"
metric = "cpu_utilization"
delta = 1
value = 3
[[autoscaler.policy]]
kind = "schedule"
timezone = "Europe/Atlantis"
starts_at = "today"
entries = [{ start = "0 8 * *", end = "0 20 * * *", for = "1h", instances = 5 }, { start = "0 8 * * *", for = "1h" }, { start = "0 8 * * *", for = "1h", instances = 5, max = 3 }]
[[autoscaler.policy]]
kind = "gcp"
signals = []
scale_in_control = { max_scaled_in_replicas = "110%", time_window = "0s" }
[[autoscaler.policy]]
kind = "azure"
rules = [{ metric = "cpu_utilization", operator = ">", threshold = 70, direction = "up", time_window = "10s" }]
"#), @r#"
    x.toml:5:5: autoscaler.policy.0.metrics.0.average_utilization: missing, expected for example average_utilization = 60
    x.toml:5:37: autoscaler.policy.0.metrics.0.resource: found "disk", expected one of cpu, memory
    x.toml:6:22: autoscaler.policy.0.metrics.1.metric: no instance has a requests_per_second of its own: use type = "external"
    x.toml:7:62: autoscaler.policy.0.metrics.2.average_value: value and average_value exclude each other
    x.toml:8:14: autoscaler.policy.0.metrics.3.type: found "container", expected one of resource, container_resource, pods, object, external, did you mean "container_resource"?
    x.toml:10:67: autoscaler.policy.0.behavior.scale_up.policies.0.value: found 0, expected a whole number, 1 or more
    x.toml:10:79: autoscaler.policy.0.behavior.scale_up.policies.0.period: found "1h", expected a duration from 1s to 30m
    x.toml:10:111: autoscaler.policy.0.behavior.scale_up.stabilization_window: found "2h", expected a duration from 0s to 1h
    x.toml:10:119: autoscaler.policy.0.behavior.scale_dwn: unknown key, did you mean "scale_down"?
    x.toml:11:1: autoscaler.policy.0.min_replicas: unknown key for kind = "hpa", expected one of kind, metrics, behavior, tolerance, tolerance_test, cpu_initialization_period, initial_readiness_delay, downscale_stabilization, name
    x.toml:14:22: autoscaler.policy.1.target_utilization: found 70, expected a ratio from 0 to 1: write 0.7 or "70%"
    x.toml:15:30: autoscaler.policy.1.panic_threshold_percentage: found 2, expected a percentage from 110 to 1000
    x.toml:16:23: autoscaler.policy.1.max_scale_down_rate: found 1, expected a factor above 1
    x.toml:17:17: autoscaler.policy.1.stable_window: found "6500ms", expected whole seconds
    x.toml:20:97: autoscaler.policy.2.alarm.datapoints_to_alarm: 5 of 3 evaluation_periods are more than there are
    x.toml:21:53: autoscaler.policy.2.steps.1: the step before ends at 10, this one begins at 20: steps leave no gap and do not overlap
    x.toml:22:1: autoscaler.policy.2.min_adjustment_magnitude: it is for adjustment_type = "percent_change_in_capacity" only
    x.toml:26:1: autoscaler.policy.3.adjustment: the alarm is for a metric below its threshold: the adjustment has to be below 0
    x.toml:29:43: autoscaler.policy.4.triggers.0.metric_type: cpu_utilization and memory_utilization have utilization, or average_value
    x.toml:30:1: autoscaler.policy.5.lower_bound: missing, expected for example lower_bound = 70
    x.toml:34:1: autoscaler.policy.5.value: delta, percentage and value exclude each other
    x.toml:37:12: autoscaler.policy.6.timezone: found "Europe/Atlantis", expected a time zone of the IANA database, such as "Europe/Berlin"
    x.toml:38:13: autoscaler.policy.6.starts_at: found "today", expected a moment such as "2024-03-31T00:00:00Z"
    x.toml:39:22: autoscaler.policy.6.entries.0.start: found "0 8 * *", expected a cron expression such as "0 8 * * mon-fri": a cron expression has five fields (minute, hour, day of the month, month, day of the week), this has 4
    x.toml:39:53: autoscaler.policy.6.entries.0.for: end and for exclude each other
    x.toml:39:82: autoscaler.policy.6.entries.1.instances: missing, expected for example instances = 10
    x.toml:39:169: autoscaler.policy.6.entries.2.max: 3 is less than instances = 5
    x.toml:42:11: autoscaler.policy.7.signals: found an array, expected at least one signal
    x.toml:43:47: autoscaler.policy.7.scale_in_control.max_scaled_in_replicas: found "110%", expected a number of instances, or a percentage such as "10%"
    x.toml:43:69: autoscaler.policy.7.scale_in_control.time_window: found "0s", expected a duration above 0
    x.toml:46:51: autoscaler.policy.8.rules.0.operator: found ">", expected "gt"
    x.toml:46:84: autoscaler.policy.8.rules.0.direction: found "up", expected one of increase, decrease
    x.toml:46:104: autoscaler.policy.8.rules.0.time_window: found "10s", expected a duration from 1m to 7d
    "#);
}

#[test]
fn a_policy_has_a_kind_and_a_target() {
    assert_snapshot!(words(
        r#"
[[autoscaler.policy]]
kind = "target_trackin"
[[autoscaler.policy]]
kind = "target_tracking"
metric = "cpu_utilization"
target = 0.6
tolerance = 10
[[autoscaler.policy]]
kind = "target_tracking"
name = "latency"
metric = "p95_response_time"
target = "0s"
stabilization = "5m"
[[autoscaler.policy]]
kind = "target_tracking"
name = "latency"
metric = "memory_utilization"
target = 60
[[autoscaler.policy]]
kind = "target_tracking"
[[autoscaler.policy]]
"#), @r#"
    x.toml:3:8: autoscaler.policy.0.kind: found "target_trackin", expected one of target_tracking, hpa, kpa, step, simple, aws_target_tracking, keda, nomad_target_value, nomad_threshold, schedule, gcp, azure, queueing, predictive, slo, did you mean "target_tracking"?
    x.toml:7:10: autoscaler.policy.1.target: found 0.6, expected a percentage from 0 to 100: write 60
    x.toml:8:13: autoscaler.policy.1.tolerance: found 10, expected a ratio from 0 to 1: write 0.1 or "10%"
    x.toml:11:1: autoscaler.policy.2.name: unknown key for kind = "target_tracking", expected one of kind, metric, target, tolerance, scale_in, stabilization_window
    x.toml:13:10: autoscaler.policy.2.target: found "0s", expected a target above 0
    x.toml:14:1: autoscaler.policy.2.stabilization: unknown key for kind = "target_tracking", did you mean "stabilization_window"?
    x.toml:20:1: autoscaler.policy.4.metric: missing, expected for example metric = "cpu_utilization"
    x.toml:20:1: autoscaler.policy.4.target: missing, expected for example target = 60
    x.toml:22:1: autoscaler.policy.5.kind: missing, expected for example kind = "target_tracking"
    "#);
}

#[test]
fn ten_mistakes_are_told_at_once_in_the_order_of_the_file() {
    let file = r#"
[scenario]
name = "checkout"
duration = "40m"
warmup = "1h"                              # longer than the run

[traffic]
shape = [{ kind = "constant", rate = -5 }]

[service]
workers = 0
time = { dist = "lognormal", mean = "40ms" }

[fleet]
initial = 4
boot = "60"

[autoscaler]
min = 2
max = 20
interval = "15s"

scale_up_cooldown = "2m"

scale_down_cooldwon = "300"

[[autoscaler.rule]]
name = "cpu"
metric = "cpu_usage"
operator = "ne"
threshold = 70
action = "scale_up"

[balancer]
strategy = "round-robin"

[slo]
availability = 99.9
"#;
    let problems = words(file);
    assert_eq!(problems.lines().count(), 10);
    assert_snapshot!(problems, @r#"
    x.toml:5:10: scenario.warmup: found "1h", expected a duration less than that of the run, scenario.duration = "40m"
    x.toml:8:38: traffic.shape.0.rate: found -5, expected a rate in requests per second, from 0 to 1e9
    x.toml:11:11: service.workers: found 0, expected a whole number, 1 or more
    x.toml:12:8: service.time.sigma: missing, expected for example sigma = 0.5
    x.toml:16:8: fleet.boot: found "60", expected a duration such as "60s" or "1m", or a table such as { dist = "exponential", mean = "40ms" }
    x.toml:25:1: autoscaler.scale_down_cooldwon: unknown key, did you mean "scale_down_cooldown"?
    x.toml:29:10: autoscaler.rule.cpu.metric: found "cpu_usage", expected one of requests_per_second, average_response_time, p50_response_time, p95_response_time, p99_response_time, error_rate, cpu_utilization, memory_utilization, active_connections, queue_length, event_loop_lag, did you mean "cpu_utilization"?
    x.toml:30:12: autoscaler.rule.cpu.operator: found "ne", expected one of gt, gte, lt, lte: a measured value hardly ever equals a number exactly
    x.toml:35:12: balancer.strategy: found "round-robin", expected one of round_robin, weighted, weighted_edf, least_connections, least_connections_edf, ip_hash, nginx_ip_hash, ring_hash, maglev, random, power_of_two_choices, peak_ewma, join_idle_queue, prequal, c3, reported_utilization, did you mean "round_robin"?
    x.toml:38:16: slo.availability: found 99.9, expected a ratio from 0 to 1: write 0.999 or "99.9%"
    "#);
}

#[test]
fn a_run_is_longer_than_its_warmup_and_has_a_name_for_a_folder() {
    assert_snapshot!(words("[scenario]\nduration = '5m'\nwarmup = '5m'\nname = '../etc'\n"), @r#"x.toml:4:8: scenario.name: found "../etc", expected a name that a folder can have: no slashes, colons or quotes, no dot in front"#);
    assert_snapshot!(words("[scenario]\nduration = '5m'\nwarmup = '5m'\n"), @r#"x.toml:3:10: scenario.warmup: found "5m", expected a duration less than that of the run, scenario.duration = "5m""#);
    assert_snapshot!(words("[scenario]\nduration = '5m'\nname = ''\ndescription = 5\n"), @r#"
    x.toml:3:8: scenario.name: found "", expected a string that is not empty
    x.toml:4:15: scenario.description: found 5, expected a string
    "#);
    assert_snapshot!(words("scenario = 5\n[traffic]\n[[scenario.x]]"), @"x.toml:3:3: not TOML: cannot extend value of type integer with a dotted key");
}

#[test]
fn a_section_of_the_wrong_shape_says_what_it_is() {
    assert_snapshot!(words("slo = 5\nfleet = 'big'\nfault = { kind = 'crash' }\nclients = [1]\n"), @r#"
    x.toml:1:7: slo: found 5, expected a table
    x.toml:2:9: fleet: found "big", expected a table
    x.toml:3:9: fault: found a table, expected an array
    x.toml:4:11: clients: found an array, expected a table
    "#);
}

#[test]
fn text_that_is_not_toml_has_a_line_and_a_column() {
    assert_snapshot!(words("[fleet]\ninitial = = 4\n"), @"x.toml:2:11: not TOML: extra `=`");
    assert_snapshot!(words("[fleet]\nname = \"é\" x\n"), @"x.toml:2:12: not TOML: unexpected key or value, expected newline, `#`");
    assert_snapshot!(words("[fleet]\ninitial = 4\ninitial = 5\n"), @"x.toml:3:1: not TOML: duplicate key");
    assert_snapshot!(words("[fleet\n"), @"x.toml:1:7: not TOML: unclosed table, expected `]`");
    assert_snapshot!(words("[fleet]\nboot = 1979-05-27\n"), @r#"x.toml:2:8: fleet.boot: found the date 1979-05-27, expected a duration such as "250ms" or "90s", or a table such as { dist = "exponential", mean = "40ms" }"#);
}

#[test]
fn an_override_is_named_as_the_place_of_its_problem() {
    let file =
        "[service]\ntime = '40ms'\n[[service.endpoint]]\npath = '/api/v1.0'\n[[service.endpoint]]\npath = '/b'\n";
    assert_snapshot!(words_with(file, &[
        "fleet.initial=many",
        "service.workers=0",
        "service.endpoint./api/v1.0.weight=-1",
        "service.endpoint./api/v2.0.weight=1",
        "service.endpoint.5.weight=1",
        "service.endpoint.1.weight=no",
        "service.endpoint.weight=1",
        "slo.p99=500",
        "slo.p98=500ms",
        "service.time.mean=5ms",
        "fleet.memory={ base",
        "balancer",
        "=5",
        "fleet..boot=5s",
        "\"fleet=5",
    ]), @r#"
    --set fleet.initial: fleet.initial: found "many", expected a whole number, 1 or more
    --set service.workers: service.workers: found 0, expected a whole number, 1 or more
    --set service.endpoint./api/v1.0.weight: service.endpoint./api/v1.0.weight: found -1, expected a weight, 0 or more
    --set service.endpoint./api/v2.0.weight: found "/api/v2.0", expected "/api/v1.0"
    --set service.endpoint.5.weight: found element 5, expected a number from 0 to 2
    --set service.endpoint.1.weight: service.endpoint./b.weight: found "no", expected a weight, 0 or more
    --set service.endpoint.weight: found "weight", expected an element by number or name: one of /api/v1.0, /b
    --set slo.p99: slo.p99: found 500, expected a duration with a unit: write "500s" or "500ms"
    --set slo.p98: slo.p98: unknown key, did you mean "p90"?
    --set service.time.mean: found "40ms", expected a table with the key "mean"
    --set fleet.memory: found "{ base", expected a value as TOML writes it
    --set balancer: expected path=value, such as autoscaler.max=30
    --set =5: expected path=value, such as autoscaler.max=30
    --set fleet..boot: expected a dotted path such as autoscaler.max, found ".boot"
    --set "fleet=5: expected path=value, such as autoscaler.max=30
    "#);
}

#[test]
fn a_scenario_that_cannot_be_read_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let words = |path: &Path| match scenario::load(path, &[]) {
        Ok(_) => "no problem".to_string(),
        Err(error) => error.to_string().replace(&*folder.path().to_string_lossy(), "FOLDER"),
    };
    let file = folder.path().join("x.toml");
    assert_snapshot!(words(&file), @r#"cannot read the scenario "FOLDER/x.toml": No such file or directory (os error 2)"#);
    assert_snapshot!(words(folder.path()), @r#"cannot read the scenario "FOLDER": it is a folder, not a file"#);
    std::fs::write(&file, b"[scenario]\nname = \"\xff\"\n").unwrap();
    assert_snapshot!(words(&file), @r#"cannot read the scenario "FOLDER/x.toml": line 2 is not UTF-8 text"#);
    std::fs::write(&file, "[scenario]\nduration = 5\n").unwrap();
    assert_snapshot!(words(&file), @r#"
    FOLDER/x.toml:1:1: service: missing, expected for example [service] time = { dist = "exponential", mean = "40ms" }
    FOLDER/x.toml:1:1: traffic: missing, expected for example [traffic] shape = [{ kind = "constant", rate = 100 }]
    FOLDER/x.toml:2:12: scenario.duration: found 5, expected a duration with a unit: write "5s" or "5ms"
    "#);
}

#[test]
fn a_target_for_scaling_needs_somebody_who_scales() {
    let text = "scenario.duration = \"1m\"\ntraffic.shape = [{ kind = \"constant\", rate = 1 }]\nservice.time = \"1ms\"\nslo.scale_up_time = \"90s\"\n";
    let problems = wavetank::scenario::parse(text, "x.toml", "".as_ref(), &[]).unwrap_err().to_string();
    assert_eq!(
        problems,
        "x.toml:4:5: slo.scale_up_time: nothing is scaled up without [autoscaler]: add one, or leave this out"
    );
}
