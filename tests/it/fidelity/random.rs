//! Random scenarios: services of all sizes under all that samples can stand for, and now and then what they cannot.

use std::fmt::Write;

use wavetank::rng::{Dice, Stream};

/// How many there are.
pub const SCENARIOS: u64 = 36;

/// Draws, one after the other.
struct Draws {
    dice: Dice,
    next: u64,
}

impl Draws {
    fn unit(&mut self) -> f64 {
        self.next += 1;
        self.dice.unit(self.next)
    }

    fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    fn log_between(&mut self, low: f64, high: f64) -> f64 {
        low * (high / low).powf(self.unit())
    }

    fn one_of<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[(self.unit() * choices.len() as f64) as usize]
    }

    fn chance(&mut self, p: f64) -> bool {
        self.unit() < p
    }
}

/// The scenario of a seed, as text.
pub fn scenario(seed: u64) -> String {
    let mut draws = Draws { dice: Dice::new(seed, Stream::Replication), next: 0 };
    let d = &mut draws;
    let mut text = String::new();
    let hours = d.log_between(4.0, 72.0).round();
    let rate = d.log_between(20.0, 400.0).min(1.6e7 / (hours * 3600.0)).round();
    let _ = writeln!(text, "scenario = {{ duration = \"{hours}h\", warmup = \"10m\", seed = {} }}", seed + 1);
    traffic(d, &mut text, rate, hours);
    let (mean, workers) = service(d, &mut text);
    // So many instances at the mean rate, if they are busy for 60 % of the time.
    let typical = (rate * mean / workers / 0.6).ceil();
    clients(d, &mut text);
    let boot = d.between(10.0, 120.0).round();
    let _ = writeln!(text, "[fleet]\ninitial = {}", typical.max(1.0));
    let _ = writeln!(text, "boot = {{ dist = \"lognormal\", mean = \"{boot}s\", sigma = 0.3 }}");
    if d.chance(0.5) {
        let _ = writeln!(
            text,
            "warmup = {{ for = \"{}s\", slowdown = {:.1} }}",
            d.between(5.0, 60.0).round(),
            d.between(1.2, 3.0)
        );
    }
    if d.chance(0.9) {
        autoscaler(d, &mut text, (typical / 4.0).ceil().max(1.0), typical * 5.0 + 2.0);
    }
    let strategy = d.one_of(&[
        "least_connections",
        "least_connections",
        "round_robin",
        "random",
        "power_of_two_choices",
        "ring_hash",
    ]);
    let _ = writeln!(text, "[balancer]\nstrategy = \"{strategy}\"");
    if d.chance(0.3) {
        let _ = writeln!(text, "health_check = {{ interval = \"10s\", timeout = \"2s\" }}");
    }
    if d.chance(0.1) {
        let _ = writeln!(text, "[breaker]\nscope = \"service\"");
    }
    text
}

fn traffic(d: &mut Draws, text: &mut String, rate: f64, hours: f64) {
    let _ = writeln!(text, "[traffic]");
    let shape = match (d.unit() * 4.0) as u32 {
        0 => format!("{{ kind = \"constant\", rate = {rate} }}"),
        1 => format!(
            "{{ kind = \"diurnal\", mean = {rate}, amplitude = {:.2}, period = \"{}h\", peak_at = \"3h\" }}",
            d.between(0.1, 0.8),
            d.between(6.0, 24.0).round()
        ),
        2 => format!(
            "{{ kind = \"constant\", rate = {rate}, for = \"2h\" }}, {{ kind = \"ramp\", from = {rate}, to = {}, for = \"1h\" }}, {{ kind = \"step\", from = {}, to = {rate}, at = \"{}m\" }}",
            (rate * 1.6).round(),
            (rate * 1.6).round(),
            d.between(10.0, 60.0).round()
        ),
        _ => format!(
            "{{ kind = \"weekly\", mean = {rate}, days = [1, 1.1, 1, 1, 1, 0.5, 0.5], amplitude = 0.6, peak_at = \"14h\" }}"
        ),
    };
    let _ = writeln!(text, "shape = [{shape}]");
    if d.chance(0.7) {
        let _ = writeln!(
            text,
            "noise = {{ sigma = {:.2}, slot = \"{}m\" }}",
            d.between(0.02, 0.15),
            d.between(1.0, 10.0).round()
        );
    }
    if d.chance(0.5) {
        let at = d.between(0.2, 0.8) * hours * 60.0;
        let _ = writeln!(
            text,
            "overlay = [{{ kind = \"spike\", at = \"{}m\", magnitude = {:.1}, rise = \"{}s\", hold = \"{}m\", fall = \"5m\" }}]",
            at.round(),
            d.between(1.2, 3.0),
            d.between(5.0, 600.0).round(),
            d.between(2.0, 40.0).round()
        );
    }
}

/// Writes the service; its mean demand \[s\] and what an instance serves at once.
fn service(d: &mut Draws, text: &mut String) -> (f64, f64) {
    let mean = d.log_between(0.015, 0.3);
    let workers = d.log_between(1.0, 16.0).round();
    let ms = (mean * 1e3).round().max(1.0);
    let dist = match (d.unit() * 5.0) as u32 {
        0 => format!("{{ dist = \"exponential\", mean = \"{ms}ms\" }}"),
        1 => format!("{{ dist = \"gamma\", mean = \"{ms}ms\", shape = {:.1} }}", d.between(0.6, 4.0)),
        2 => format!("\"{ms}ms\""),
        _ => format!("{{ dist = \"lognormal\", mean = \"{ms}ms\", sigma = {:.1} }}", d.between(0.3, 1.2)),
    };
    let _ = writeln!(text, "[service]\ntime = {dist}");
    if d.chance(0.2) {
        let share = d.between(0.3, 1.0);
        let _ = writeln!(text, "discipline = \"ps\"\ncores = {workers}\ncpu_share = {share:.2}");
        return (ms / 1e3 * share, workers);
    }
    let _ = writeln!(text, "workers = {workers}");
    if d.chance(0.6) {
        let _ = writeln!(text, "queue = {}", d.log_between(2.0, 100.0).round());
    }
    if d.chance(0.3) {
        let _ = writeln!(text, "error_rate = {:.4}", d.log_between(0.0001, 0.01));
    }
    (ms / 1e3, workers)
}

fn clients(d: &mut Draws, text: &mut String) {
    let _ = writeln!(text, "[clients]\npopulation = 10000");
    if d.chance(0.7) {
        let _ = writeln!(text, "timeout = \"{}s\"", d.between(1.0, 6.0).round());
    }
    if d.chance(0.4) {
        let _ = writeln!(text, "retry = {{ max = 1, backoff = \"200ms\", jitter = 1.0, budget = 0.1 }}");
    }
    if d.chance(0.3) {
        let _ = writeln!(
            text,
            "regions = [{{ name = \"near\", share = 0.7, rtt = \"10ms\" }}, {{ name = \"far\", share = 0.3, rtt = \"120ms\" }}]"
        );
    }
}

fn autoscaler(d: &mut Draws, text: &mut String, min: f64, max: f64) {
    let _ = writeln!(text, "[autoscaler]\nmin = {min}\nmax = {max}");
    let interval = d.one_of(&["5s", "15s", "30s", "1m"]);
    let _ = writeln!(
        text,
        "interval = \"{interval}\"\nmetrics = {{ window = \"{}\", delay = \"{}\" }}",
        d.one_of(&["15s", "1m", "2m"]),
        d.one_of(&["0s", "15s", "1m"])
    );
    let target = d.between(40.0, 80.0).round();
    let policy = match (d.unit() * 6.0) as u32 {
        0 => format!("kind = \"target_tracking\"\nmetric = \"cpu_utilization\"\ntarget = {target}"),
        1 => format!("kind = \"aws_target_tracking\"\nmetric = \"cpu_utilization\"\ntarget = {target}"),
        2 | 3 => format!(
            "kind = \"hpa\"\nmetrics = [{{ type = \"resource\", resource = \"cpu\", average_utilization = {target} }}]"
        ),
        4 => "kind = \"slo\"\nresponse_time = \"1s\"".to_string(),
        _ => {
            let _ = writeln!(
                text,
                "scale_up_cooldown = \"2m\"\nscale_down_cooldown = \"10m\"\n[[autoscaler.rule]]\nname = \"up\"\nmetric = \"cpu_utilization\"\noperator = \"gt\"\nthreshold = {target}\nduration = \"1m\"\naction = \"scale_up\"\n[[autoscaler.rule]]\nname = \"down\"\nmetric = \"cpu_utilization\"\noperator = \"lt\"\nthreshold = {}\nduration = \"5m\"\naction = \"scale_down\"",
                (target / 2.0).round()
            );
            return;
        }
    };
    let _ = writeln!(text, "[[autoscaler.policy]]\n{policy}");
}
