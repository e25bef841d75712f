//! The findings: what an operator would act on, the most pressing first.

use super::{Analysis, Happening, doubt, lasted, rate};
use crate::engine::analyzer::verdict::Class;
use crate::report::verdict::percent;

/// Something to know, and what to set.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// Stable name.
    pub id: &'static str,
    /// In plain words, with the number.
    pub text: String,
    /// Key of the scenario and the value it suggests.
    pub setting: Option<(&'static str, String)>,
}

impl Finding {
    fn new(id: &'static str, text: String, setting: Option<(&'static str, String)>) -> Finding {
        Finding { id, text, setting }
    }
}

/// Rise over two minutes from which a fleet must be ready for it.
const STEEP: f64 = 1.5;
/// Work that an instance should be full of on average at most.
const FULL: f64 = 0.8;
/// Share of the time without a request that chance does not explain, from which it is worth a word.
const SILENT: f64 = 0.05;
/// Shares from which bots, and server errors, are worth a word.
const BOTS: f64 = 0.05;
const SERVER_ERRORS: f64 = 0.001;
/// Share of static files from which a cache is worth a word.
const FILES: f64 = 0.2;

const ASK: &str = "(--instance-rps N tells how many)";
/// Alarms a day from which a threshold is too low.
const ALARMS: f64 = 2.0;

/// What to act on; never empty.
pub fn findings(x: &Analysis) -> Vec<Finding> {
    let mut found = Vec::new();
    silence(x, &mut found);
    machines(x, &mut found);
    crowds(x, &mut found);
    drops(x, &mut found);
    shift(x, &mut found);
    odd_days(x, &mut found);
    rise(x, &mut found);
    alarms(x, &mut found);
    fleet(x, &mut found);
    bots(x, &mut found);
    files(x, &mut found);
    errors(x, &mut found);
    forecast(x, &mut found);
    if found.is_empty() {
        let text = format!(
            "nothing out of the ordinary: {}/s on average, {}/s at most, and no spike, bot or season worth a setting",
            rate(x.mean_rps()),
            rate(x.rates.peak())
        );
        found.push(Finding::new("within-normal-range", text, None));
    }
    found
}

fn class(each: &Happening) -> Option<Class> {
    each.spike.verdict.as_ref().map(|verdict| verdict.class)
}

/// A recording with holes says little of the service.
fn silence(x: &Analysis, found: &mut Vec<Finding>) {
    if x.silent < SILENT {
        return;
    }
    let text = format!(
        "for {} of the time there is nothing at all, at {}/s on average: the service stood still, or the recording is a sample. Look \
         there first; what follows counts the silence as no load",
        percent(x.silent),
        rate(x.mean_rps())
    );
    found.push(Finding::new("silent-for-long", text, None));
}

/// How many instances carry a rate, if it is known what one carries.
fn instances(x: &Analysis, key: &'static str, rps: f64) -> (&'static str, String) {
    match x.instance_rps {
        Some(each) => (key, format!("{:.0}", (rps / each / FULL).ceil().max(1.0))),
        None => (key, format!("the instances that carry {}/s {ASK}", rate(rps))),
    }
}

/// Spikes that are not customers.
fn machines(x: &Analysis, found: &mut Vec<Finding>) {
    let hostile = |each: &&Happening| matches!(class(each), Some(Class::Bot | Class::Attack | Class::Suspicious));
    let mut spikes: Vec<&Happening> = x.spikes.iter().filter(hostile).collect();
    spikes.sort_by(|a, b| b.spike.peak_rps.total_cmp(&a.spike.peak_rps));
    let Some(worst) = spikes.first() else { return };
    let Some(verdict) = &worst.spike.verdict else { return };
    let who = match verdict.class {
        Class::Bot => format!("one client sent {} of the rise", percent(verdict.dominant.min(1.0))),
        Class::Attack => format!("it looks like an attack (score {:.2})", verdict.score),
        _ => format!("the senders are not ordinary visitors (score {:.2})", verdict.score),
    };
    let more = match spikes.len() {
        1 => String::new(),
        n => format!("; {} more like it", n - 1),
    };
    let limit = worst.spike.advice.iter().find(|advice| advice.setting.as_deref() == Some("limiter.limit"));
    let setting = limit.and_then(|advice| {
        Some(("limiter.limit", format!("{:.0}  (key = \"client\", window = \"1m\")", advice.value?)))
    });
    let text = format!(
        "{} to {}/s at {} ({:.1} times the baseline) is not customers: {who}, confidence {:.0} %{more}. Limit, do not scale",
        "a spike",
        rate(worst.spike.peak_rps),
        x.moment(worst.peak_at),
        worst.spike.magnitude,
        100.0 * verdict.confidence
    );
    found.push(Finding::new("spike-not-customers", text, setting));
}

/// Spikes to have capacity for.
fn crowds(x: &Analysis, found: &mut Vec<Finding>) {
    let welcome = |each: &&Happening| {
        !each.spike.drop && !matches!(class(each), Some(Class::Bot | Class::Attack | Class::Suspicious))
    };
    let spikes: Vec<&Happening> = x.spikes.iter().filter(welcome).collect();
    // What began before the hours of a day were known may have been a morning.
    let informed: Vec<&&Happening> = spikes.iter().filter(|each| each.informed).collect();
    let excess = |each: &Happening| each.spike.peak_rps - each.spike.baseline_rps;
    let worst =
        |list: &[&&Happening]| list.iter().map(|each| **each).max_by(|a, b| excess(a).total_cmp(&excess(b))).cloned();
    let all: Vec<&&Happening> = spikes.iter().collect();
    let Some(each) = worst(&informed).or_else(|| worst(&all)) else { return };
    let count = if informed.is_empty() { all.len() } else { informed.len() };
    let length = match each.ended_at {
        Some(ended) => format!("for {}", lasted(ended - each.spike.started_at.as_secs_f64())),
        None => "until the end of the recording".to_string(),
    };
    let (scheduled, wide) =
        (class(&each) == Some(Class::Scheduled), each.spike.peak_rps / each.spike.baseline_rps.max(1e-9));
    let kind = if scheduled { "load that comes at this hour again and again" } else { "a surge" };
    let doubt = if doubt(&each).is_empty() {
        ""
    } else {
        ", though less than a day had been seen, so that it may be the ordinary daily rise"
    };
    let among = if count > 1 { format!(", the largest of {count}") } else { String::new() };
    let text = format!(
        "{kind}{among}: from {} on {}/s instead of {}/s, {wide:.1} times as much, {length}{doubt}",
        x.moment(each.spike.started_at.as_secs_f64()),
        rate(each.spike.peak_rps),
        rate(each.spike.baseline_rps),
    );
    let setting = match x.instance_rps {
        Some(_) => Some(instances(x, "autoscaler.max", each.spike.peak_rps)),
        None if scheduled => Some(("autoscaler.policy", "kind = \"schedule\", ahead of that hour".to_string())),
        None => Some((
            "autoscaler.max",
            format!("{wide:.1} times the instances that carry {}/s {ASK}", rate(each.spike.baseline_rps)),
        )),
    };
    found.push(Finding::new(if scheduled { "spike-scheduled" } else { "spike-organic" }, text, setting));
}

/// A detector that always cries is not listened to.
fn alarms(x: &Analysis, found: &mut Vec<Finding>) {
    let days = (x.span.1 - x.span.0) / 86_400.0 - 1.0;
    let mut magnitudes: Vec<f64> =
        x.spikes.iter().filter(|each| each.informed && !each.spike.drop).map(|each| each.spike.magnitude).collect();
    let n = magnitudes.len();
    if days < 1.0 || (n as f64) < ALARMS * days {
        return;
    }
    magnitudes.sort_by(|a, b| b.total_cmp(a));
    // The threshold that about one a day exceeds.
    let Some(threshold) = magnitudes.get(days.floor() as usize) else { return };
    let text = format!(
        "at the default threshold there would be {:.1} alarms a day for surges; at {threshold:.1} times the baseline, one",
        n as f64 / days
    );
    found.push(Finding::new("alarms-too-many", text, Some(("analyzer.spike_threshold", format!("{threshold:.1}")))));
}

fn drops(x: &Analysis, found: &mut Vec<Finding>) {
    let drops: Vec<&Happening> = x.spikes.iter().filter(|each| each.spike.drop && each.informed).collect();
    let Some(worst) = drops.iter().min_by(|a, b| a.spike.magnitude.total_cmp(&b.spike.magnitude)) else { return };
    let length = worst.ended_at.map_or("and was not back by the end".to_string(), |ended| {
        format!("for {}", lasted(ended - worst.spike.started_at.as_secs_f64()))
    });
    let among = if drops.len() > 1 { format!(", the deepest of {} drops", drops.len()) } else { String::new() };
    let text = format!(
        "load fell to {} of its baseline ({}/s instead of {}/s) at {} {length}{among}: what an outage upstream looks like. Do not let the \
         fleet follow it down",
        percent(worst.spike.magnitude.max(0.0)),
        rate(worst.spike.peak_rps),
        rate(worst.spike.baseline_rps),
        x.moment(worst.spike.started_at.as_secs_f64()),
    );
    let setting = Some(instances(x, "autoscaler.min", worst.spike.baseline_rps));
    found.push(Finding::new("load-dropped", text, setting));
}

/// What a new level asks of whatever was sized before it.
fn shift(x: &Analysis, found: &mut Vec<Finding>) {
    let Some(shift) = &x.shift else { return };
    let ratio = shift.to_rps / shift.from_rps;
    let meaning = if ratio > 1.0 {
        "what was sized or tuned before is too small"
    } else {
        "what was sized or tuned before is paid for and not needed"
    };
    let text = format!(
        "the level changed for good on {}: {}/s on average in the {} days since instead of {}/s, {:.2} times as much: {meaning}",
        x.day(shift.at),
        rate(shift.to_rps),
        shift.days,
        rate(shift.from_rps),
        ratio
    );
    found.push(Finding::new("level-shift", text, Some(instances(x, "autoscaler.min", shift.to_rps))));
}

/// Days to look into, and to leave out when something is tuned.
fn odd_days(x: &Analysis, found: &mut Vec<Finding>) {
    let Some(oddest) = x.odd_days.first() else { return };
    let others: Vec<String> = x.odd_days[1..].iter().take(4).map(|day| x.day(day.at)).collect();
    let others = if others.is_empty() { String::new() } else { format!(" (also {})", others.join(", ")) };
    let text = format!(
        "{} was unlike other days of its kind: {}/s on average where {}/s is usual, {:.2} times{others}. If it was a holiday, an outage \
         or a campaign, say so to the forecast, and do not tune on it",
        x.day(oddest.at),
        rate(oddest.rps),
        rate(oddest.usual_rps),
        oddest.rps / oddest.usual_rps
    );
    // Times of a scenario count from the start of what is replayed.
    let hours = ((oddest.at - x.span.0) / 3600.0).max(0.0);
    let setting = ("analyzer.holidays", format!("[{{ from = \"{hours:.0}h\", for = \"24h\" }}]"));
    found.push(Finding::new("odd-day", text, Some(setting)));
}

/// What growth in the time that an instance takes to come asks of the target.
fn rise(x: &Analysis, found: &mut Vec<Finding>) {
    let Some(rise) = x.rise.filter(|rise| rise.factor() >= STEEP) else { return };
    let target = (100.0 / rise.factor()).floor().clamp(1.0, 80.0);
    let text = format!(
        "load grew {:.1} times within two minutes at {}, from {}/s to {}/s. If an instance takes that long to come, the others must \
         carry it: keep them {target:.0} % busy or less, or limit what comes",
        rise.factor(),
        x.moment(rise.at),
        rate(rise.from_rps),
        rate(rise.to_rps)
    );
    found.push(Finding::new(
        "rise-faster-than-boot",
        text,
        Some(("autoscaler.policy.target", format!("{target:.0}  (metric = \"cpu_utilization\")"))),
    ));
}

/// What the hours of the day ask of the fleet.
fn fleet(x: &Analysis, found: &mut Vec<Finding>) {
    let Some([busiest, quietest]) = x.extremes() else { return };
    if busiest.1 < 1.3 * quietest.1 || busiest.1 <= 0.0 {
        return;
    }
    let known: Vec<f64> = x.hourly.iter().flatten().copied().collect();
    let idle = 1.0 - known.iter().sum::<f64>() / (known.len() as f64 * busiest.1);
    let times = match quietest.1 {
        low if low > 0.0 => format!("{:.1} times", busiest.1 / low),
        _ => "far more than".to_string(),
    };
    let text = format!(
        "the busiest hour, {:02}:00, has {times} the load of the quietest, {:02}:00 ({}/s against {}/s): a fleet for the busiest \
         hour stands idle {:.0} % of the day",
        busiest.0,
        quietest.0,
        rate(busiest.1),
        rate(quietest.1),
        100.0 * idle
    );
    let setting = Some(instances(x, "autoscaler.min", quietest.1));
    found.push(Finding::new("daily-swing", text, setting));
}

fn bots(x: &Analysis, found: &mut Vec<Finding>) {
    let Some(crowd) = &x.crowd else { return };
    let share = crowd.bot_requests as f64 / crowd.judged.max(1) as f64;
    if share < BOTS {
        return;
    }
    let busiest = crowd.bots.first().map_or(String::new(), |bot| {
        format!(
            "; the busiest, {}, sent {} of all requests, up to {} a minute",
            bot.client,
            percent(bot.requests as f64 / x.requests.max(1.0)),
            bot.per_minute
        )
    });
    let text = format!(
        "{} of requests come from bots, {} from ones that do not say so{busiest}",
        percent(share),
        percent((crowd.bot_requests - crowd.declared_requests) as f64 / crowd.judged.max(1) as f64),
    );
    let limited = found.iter().any(|finding| matches!(finding.setting, Some(("limiter.limit", _))));
    let setting = crowd
        .person_per_minute
        .filter(|_| !limited)
        .filter(|people| crowd.bots.first().is_some_and(|bot| bot.per_minute > 2 * people))
        .map(|people| {
            (
                "limiter.limit",
                format!(
                    "{}  (key = \"client\", window = \"1m\": twice what 99 of 100 people send)",
                    (2 * people).max(10)
                ),
            )
        });
    found.push(Finding::new("bot-share-high", text, setting));
}

/// What a cache would take from the fleet.
fn files(x: &Analysis, found: &mut Vec<Finding>) {
    let Some(share) = x.crowd.as_ref().map(|crowd| crowd.files).filter(|share| *share >= FILES) else { return };
    let text = format!(
        "{} of requests or more are for images, styles, scripts and the like, the same for everybody: a cache in front leaves the fleet {}/s on average instead of {}/s",
        percent(share),
        rate(x.mean_rps() * (1.0 - share)),
        rate(x.mean_rps())
    );
    found.push(Finding::new("static-files", text, None));
}

fn errors(x: &Analysis, found: &mut Vec<Finding>) {
    let Some((_, server)) = x.crowd.as_ref().map(|crowd| crowd.errors) else { return };
    if server < SERVER_ERRORS {
        return;
    }
    let threshold = (5.0 * server).clamp(0.05, 0.5);
    let text = format!(
        "{} of answers were server errors (5xx): a breaker should open well above that, or it opens on an ordinary day",
        percent(server)
    );
    found.push(Finding::new("server-errors", text, Some(("breaker.failure_rate", format!("{threshold:.2}")))));
}

fn forecast(x: &Analysis, found: &mut Vec<Finding>) {
    let Some(forecast) = &x.forecast else { return };
    let Some(backtest) = &forecast.backtest else { return };
    let peak = forecast.path.iter().enumerate().max_by(|a, b| a.1.mean.total_cmp(&b.1.mean));
    let Some((i, peak)) = peak else { return };
    let ahead = lasted(forecast.step * forecast.path.len() as f64);
    let skill = 1.0 - backtest.wape / backtest.naive_wape;
    let believe = backtest.wape <= 0.25 && backtest.coverage >= 0.75 && skill > -0.03 && x.silent < SILENT;
    let verdict =
        if believe { "good enough to scale ahead of load" } else { "not good enough to scale by; let load decide" };
    let against = match skill {
        skill if skill >= 0.03 => format!("{:.0} % less than", 100.0 * skill),
        skill if skill <= -0.03 => format!("{:.0} % more than", -100.0 * skill),
        _ => "as much as".to_string(),
    };
    let band = if peak.high.is_finite() {
        format!(" (90 %: {} to {})", rate(peak.low), rate(peak.high))
    } else {
        String::new()
    };
    let text = format!(
        "the next {ahead} should peak at {}/s{band} at {}. Over the last {} such stretches the forecast was {:.0} % off, {against} \
         repeating the last period: {verdict}",
        rate(peak.mean),
        x.moment(forecast.start + i as f64 * forecast.step),
        backtest.origins,
        100.0 * backtest.wape
    );
    let setting = match x.instance_rps {
        Some(_) if believe && peak.high.is_finite() => Some(instances(x, "autoscaler.max", peak.high)),
        _ if believe => Some(("analyzer.prediction_window", "\"30m\"".to_string())),
        _ => None,
    };
    found.push(Finding::new("forecast", text, setting));
}
