//! The analysis on a terminal.

use super::{Analysis, Crowd, Forecast, doubt, findings, kind, lasted, rate};
use crate::report::figure::{short, sparkline};
use crate::report::plain;
use crate::report::verdict::{percent, thousands};

/// Width of the text column.
const WIDTH: usize = 104;
/// Spikes, anomalies, bots and endpoints shown at most.
const SPIKES: usize = 12;
const ANOMALIES: usize = 5;
const BOTS: usize = 5;
const ENDPOINTS: usize = 5;
const DAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];

/// What was found, in words.
pub fn text(x: &Analysis) -> String {
    let mut out = String::new();
    let line = |out: &mut String, text: &str| {
        out.push_str(text.trim_end());
        out.push('\n');
    };
    line(&mut out, &format!("{}: {}", plain(&x.name), plain(&x.description)));
    line(
        &mut out,
        &format!(
            "{} requests, {} to {} ({}), {}/s on average, {}/s at most",
            thousands(x.requests.max(0.0) as u64),
            x.moment(x.span.0),
            x.moment(x.span.1),
            lasted(x.span.1 - x.span.0),
            rate(x.mean_rps()),
            rate(x.rates.peak())
        ),
    );
    line(&mut out, &sparkline(&x.rates.values, 72, x.rates.peak()));
    line(&mut out, "\nWhat to act on");
    for (i, finding) in findings(x).iter().enumerate() {
        for (k, part) in wrapped(&plain(&finding.text), WIDTH - 5).into_iter().enumerate() {
            let head = if k == 0 { format!("{:>3}. ", i + 1) } else { " ".repeat(5) };
            line(&mut out, &(head + &part));
        }
        if let Some((key, value)) = &finding.setting {
            line(&mut out, &format!("     -> {key} = {value}"));
        }
    }
    baseline(x, &mut |text| line(&mut out, text));
    spikes(x, &mut |text| line(&mut out, text));
    anomalies(x, &mut |text| line(&mut out, text));
    if let Some(crowd) = &x.crowd {
        self::crowd(x, crowd, &mut |text| line(&mut out, text));
    }
    match &x.forecast {
        Some(forecast) => self::forecast(x, forecast, &mut |text| line(&mut out, text)),
        None => line(&mut out, "\nForecast\n  too little was seen to forecast anything"),
    }
    out
}

fn baseline(x: &Analysis, line: &mut dyn FnMut(&str)) {
    line("\nBaseline by hour of the day [requests/s, UTC]");
    for half in 0..2 {
        let hours: String = (half * 12..half * 12 + 12).map(|hour| format!("{hour:>8}")).collect();
        let rates: String = (half * 12..half * 12 + 12)
            .map(|hour| format!("{:>8}", x.hourly[hour].map_or("-".to_string(), short)))
            .collect();
        line(&hours);
        line(&rates);
    }
    if x.daily.iter().flatten().count() > 1 {
        let days: Vec<String> = DAYS
            .iter()
            .zip(&x.daily)
            .filter_map(|(day, rps)| Some(format!("{day} {}", short(rps.as_ref().copied()?))))
            .collect();
        line(&format!("  by day: {}", days.join("   ")));
    }
    line(&format!("  confidence {:.0} %", 100.0 * x.baseline_confidence));
}

fn spikes(x: &Analysis, line: &mut dyn FnMut(&str)) {
    line(&format!("\nSpikes: {}", x.spikes.len()));
    if x.spikes.is_empty() {
        return;
    }
    line("  onset             peak at              peak/s  baseline   times  lasted    taken for");
    let mut shown: Vec<usize> = (0..x.spikes.len()).collect();
    let size = |i: &usize| {
        let magnitude = x.spikes[*i].spike.magnitude.max(1e-3);
        magnitude.max(1.0 / magnitude)
    };
    shown.sort_by(|a, b| size(b).total_cmp(&size(a)));
    shown.truncate(SPIKES);
    shown.sort_unstable();
    for i in shown {
        let each = &x.spikes[i];
        let (spike, began) = (&each.spike, each.spike.started_at.as_secs_f64());
        let verdict = spike.verdict.as_ref().filter(|verdict| verdict.confidence > 0.0);
        let sure =
            verdict.map_or(String::new(), |verdict| format!(", confidence {:.0} %", 100.0 * verdict.confidence));
        let doubt = doubt(each);
        line(&format!(
            "  {:<17} {:<17} {:>9} {:>9} {:>7.2}  {:<9} {}{sure}{doubt}",
            x.moment(began),
            x.moment(each.peak_at),
            rate(spike.peak_rps),
            rate(spike.baseline_rps),
            spike.magnitude,
            each.ended_at.map_or("still on".to_string(), |ended| lasted(ended - began)),
            kind(spike),
        ));
        for advice in
            spike.advice.iter().filter(|a| x.instance_rps.is_some() || a.setting.as_deref() == Some("limiter.limit"))
        {
            for (k, part) in wrapped(&plain(&advice.text), WIDTH - 22).into_iter().enumerate() {
                line(&format!("{}{part}", if k == 0 { " ".repeat(20) + "-> " } else { " ".repeat(23) }));
            }
        }
    }
    if x.spikes.len() > SPIKES {
        line(&format!("  and {} smaller ones", x.spikes.len() - SPIKES));
    }
}

fn anomalies(x: &Analysis, line: &mut dyn FnMut(&str)) {
    line(&format!("\nAnomalies: {}", x.anomalies.1));
    for each in x.anomalies.0.iter().take(ANOMALIES) {
        line(&format!(
            "  {}   {}/s where {}/s is usual for the hour (score {:.2})",
            x.moment(each.at),
            rate(each.rps),
            rate(each.usual_rps),
            each.score
        ));
    }
}

fn crowd(x: &Analysis, crowd: &Crowd, line: &mut dyn FnMut(&str)) {
    let share = |n: u64| percent(n as f64 / crowd.judged.max(1) as f64);
    line(&format!(
        "\nBots: {} of requests ({} say so), {} of {} clients",
        share(crowd.bot_requests),
        share(crowd.declared_requests),
        thousands(crowd.bot_clients.0),
        thousands(crowd.bot_clients.1)
    ));
    for bot in crowd.bots.iter().take(BOTS) {
        line(&format!(
            "  {:<18} {:>9} requests, {:>5} in its busiest minute, {} points  {}",
            plain(&bot.client),
            thousands(bot.requests),
            bot.per_minute,
            bot.points,
            plain(&bot.agent).chars().take(44).collect::<String>()
        ));
    }
    line("\nPatterns");
    line(&format!(
        "  {} addresses; answers: {} 4xx, {} 5xx",
        thousands(crowd.clients),
        percent(crowd.errors.0),
        percent(crowd.errors.1)
    ));
    for (path, share) in crowd.endpoints.iter().take(ENDPOINTS) {
        line(&format!("  {:>8}  {}", percent(*share), plain(path).chars().take(80).collect::<String>()));
    }
    if let Some(most) = crowd.person_per_minute {
        line(&format!("  99 of 100 clients that are no bots sent at most {most} requests in their busiest minute"));
    }
    if let Some(rise) = &x.rise {
        line(&format!("  steepest rise: {:.2} times within two minutes at {}", rise.factor(), x.moment(rise.at)));
    }
}

fn forecast(x: &Analysis, forecast: &Forecast, line: &mut dyn FnMut(&str)) {
    let ahead = lasted(forecast.step * forecast.path.len() as f64);
    line(&format!("\nForecast of the next {ahead} [requests/s, with the 90 % band]"));
    let n = forecast.path.len();
    for i in (0..n).step_by(n.div_ceil(12).max(1)) {
        let each = &forecast.path[i];
        let high = if each.high.is_finite() { rate(each.high) } else { "unknown".to_string() };
        line(&format!(
            "  {}  {:>10}   {:>10} .. {}",
            x.moment(forecast.start + i as f64 * forecast.step),
            rate(each.mean),
            rate(each.low),
            high
        ));
    }
    let members: Vec<String> =
        forecast.members.iter().map(|(name, weight)| format!("{name} {:.0} %", 100.0 * weight)).collect();
    line(&format!("  model: {} ({})", forecast.model, members.join(", ")));
    let periods: Vec<String> = forecast.periods.iter().map(|period| lasted(*period as f64 * forecast.step)).collect();
    if !periods.is_empty() {
        line(&format!("  periods found: {}", periods.join(", ")));
    }
    match &forecast.backtest {
        Some(test) => line(&format!(
            "  backtest over {} origins: WAPE {:.1} % (seasonal naive {:.1} %), MASE {:.2} ({:.2}), 90 % band held {:.0} %",
            test.origins,
            100.0 * test.wape,
            100.0 * test.naive_wape,
            test.mase,
            test.naive_mase,
            100.0 * test.coverage
        )),
        None => line("  too short for a backtest: believe none of it yet"),
    }
}

/// Lines of at most `width` characters, broken between words.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut length = 0;
    for word in text.split_whitespace() {
        let n = word.chars().count();
        if length > 0 && length + 1 + n > width {
            lines.push(String::new());
            length = 0;
        }
        let last = lines.last_mut().expect("there is a line from the start");
        if length > 0 {
            last.push(' ');
            length += 1;
        }
        last.push_str(word);
        length += n;
    }
    lines
}
