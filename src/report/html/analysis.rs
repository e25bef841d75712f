//! `analysis.html`: findings first, then what they rest on.

use std::fmt::Write;

use super::tables::table;
use super::{CLOSE_PAGE, escape, open_page, section};
use crate::report::analysis::{Analysis, Crowd, Forecast, doubt, findings, kind, lasted, rate};
use crate::report::figure::{POINTS, reduced, short, ticks};
use crate::report::verdict::{percent, thousands};

/// The page.
pub fn html(x: &Analysis) -> String {
    let mut out = open_page(&x.name);
    let _ = write!(
        out,
        "<header>\n<p class=\"kicker\">wavetank · analyze</p>\n<h1>{}</h1>\n<p class=\"lead\">{}. {} requests, {} to {} ({}), {}/s on \
         average, {}/s at most.</p>\n</header>\n",
        escape(&x.name),
        escape(&x.description),
        thousands(x.requests.max(0.0) as u64),
        x.moment(x.span.0),
        x.moment(x.span.1),
        lasted(x.span.1 - x.span.0),
        rate(x.mean_rps()),
        rate(x.rates.peak())
    );
    let mut list = String::from("<ol>\n");
    for finding in findings(x) {
        let setting = finding
            .setting
            .map_or(String::new(), |(key, value)| format!("<br><code>{key} = {}</code>", escape(&value)));
        let _ = writeln!(list, "<li>{}{setting}</li>", escape(&finding.text));
    }
    list.push_str("</ol>\n");
    section(&mut out, "findings", "What to act on", &list);
    section(&mut out, "load", "Load", &load(x));
    section(&mut out, "baseline", "Baseline", &baseline(x));
    section(&mut out, "spikes", "Spikes", &spikes(x));
    section(&mut out, "anomalies", "Anomalies", &anomalies(x));
    if let Some(crowd) = &x.crowd {
        section(&mut out, "bots", "Bots", &bots(crowd));
        section(&mut out, "patterns", "Patterns", &patterns(crowd));
    }
    if let Some(forecast) = &x.forecast {
        section(&mut out, "forecast", "Forecast", &self::forecast(x, forecast));
    }
    out.push_str(CLOSE_PAGE);
    out
}

/// Where a drawing has its axes.
struct Frame {
    from: f64,
    to: f64,
    top: f64,
}

const WIDTH: f64 = 1060.0;
const HEIGHT: f64 = 240.0;
const LEFT: f64 = 64.0;
const FOOT: f64 = 24.0;

impl Frame {
    fn x(&self, t: f64) -> f64 {
        LEFT + (t - self.from) / (self.to - self.from).max(1e-9) * (WIDTH - LEFT - 10.0)
    }

    fn y(&self, v: f64) -> f64 {
        8.0 + (1.0 - v.min(self.top) / self.top) * (HEIGHT - FOOT - 8.0)
    }

    /// An opened drawing with both axes.
    fn open(&self, x: &Analysis, title: &str) -> String {
        let mut svg = format!("<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\"><title>{}</title>", escape(title));
        for v in ticks(self.top, 4).into_iter().filter(|v| *v <= self.top) {
            let y = self.y(v);
            let _ = write!(
                svg,
                "<path class=\"grid\" d=\"M{LEFT} {y:.1}H{WIDTH}\"/><text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                LEFT - 6.0,
                y + 4.0,
                short(v)
            );
        }
        for k in 0..=4 {
            let t = self.from + f64::from(k) / 4.0 * (self.to - self.from);
            let anchor = ["start", "middle", "middle", "middle", "end"][k as usize];
            let _ = write!(
                svg,
                "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"{anchor}\">{}</text>",
                self.x(t),
                HEIGHT - 6.0,
                x.moment(t)
            );
        }
        svg
    }

    fn line(&self, points: &[(f64, f64)]) -> String {
        let mut d = String::new();
        let mut pen = 'M';
        for &(t, v) in points {
            if v.is_finite() {
                let _ = write!(d, "{pen}{:.1} {:.1}", self.x(t), self.y(v));
            }
            pen = if v.is_finite() { 'L' } else { 'M' };
        }
        d
    }
}

fn top(most: f64) -> f64 {
    ticks(most * 1.02, 4).last().copied().filter(|top| *top > 0.0).unwrap_or(1.0)
}

fn load(x: &Analysis) -> String {
    let frame = Frame { from: x.span.0, to: x.span.1, top: top(x.rates.peak()) };
    let mut svg = frame.open(x, "Requests per second over the recording");
    for each in &x.spikes {
        let (a, b) = (each.spike.started_at.as_secs_f64(), each.ended_at.unwrap_or(x.span.1));
        let _ = write!(
            svg,
            "<rect class=\"{}\" x=\"{:.1}\" y=\"8\" width=\"{:.1}\" height=\"{}\"><title>{}, {:.1} times the baseline</title></rect>",
            if each.spike.drop { "fault" } else { "spike" },
            frame.x(a),
            (frame.x(b) - frame.x(a)).max(1.5),
            HEIGHT - FOOT - 8.0,
            kind(&each.spike),
            each.spike.magnitude
        );
    }
    let t: Vec<f64> = (0..x.rates.values.len()).map(|i| x.rates.start + (i as f64 + 0.5) * x.rates.width).collect();
    let _ = write!(svg, "<path class=\"c1\" d=\"{}\"/></svg>", frame.line(&reduced(&t, &x.rates.values, POINTS)));
    format!(
        "<figure><figcaption><b>Load</b> [requests/s] in steps of {}; shaded: spikes, and drops.</figcaption>{svg}</figure>\n",
        lasted(x.rates.width)
    )
}

fn baseline(x: &Analysis) -> String {
    let most = x.hourly.iter().flatten().copied().fold(0.0, f64::max);
    let frame = Frame { from: 0.0, to: 24.0, top: top(most) };
    let mut svg =
        format!("<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\"><title>Median rate by hour of the day</title>");
    for (hour, rps) in x.hourly.iter().enumerate() {
        let (a, b) = (frame.x(hour as f64) + 2.0, frame.x(hour as f64 + 1.0) - 2.0);
        if let Some(rps) = rps {
            let y = frame.y(*rps);
            let _ = write!(
                svg,
                "<rect class=\"f1\" x=\"{a:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{:.1}\"/><text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
                b - a,
                HEIGHT - FOOT - y,
                (a + b) / 2.0,
                (y - 3.0).max(10.0),
                short(*rps)
            );
        }
        let _ = write!(
            svg,
            "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{hour}</text>",
            (a + b) / 2.0,
            HEIGHT - 6.0
        );
    }
    svg.push_str("</svg>");
    format!(
        "<figure><figcaption><b>Median by hour of the day</b> [requests/s, UTC]; the baseline is worth {:.0} %.</figcaption>{svg}</figure>\n",
        100.0 * x.baseline_confidence
    )
}

fn spikes(x: &Analysis) -> String {
    if x.spikes.is_empty() {
        return "<p>None.</p>\n".to_string();
    }
    let rows: Vec<Vec<String>> = x
        .spikes
        .iter()
        .map(|each| {
            let spike = &each.spike;
            let began = spike.started_at.as_secs_f64();
            let sure = spike.verdict.as_ref().filter(|verdict| verdict.confidence > 0.0);
            let advice = spike
                .advice
                .iter()
                .filter(|a| x.instance_rps.is_some() || a.setting.as_deref() == Some("limiter.limit"));
            let doubt = doubt(each);
            vec![
                x.moment(began),
                x.moment(each.peak_at),
                each.ended_at.map_or("–".to_string(), |ended| x.moment(ended)),
                rate(spike.peak_rps),
                rate(spike.baseline_rps),
                format!("{:.2}", spike.magnitude),
                each.ended_at.map_or("still on".to_string(), |ended| lasted(ended - began)),
                format!("{}{doubt}", kind(spike)),
                sure.map_or("–".to_string(), |verdict| format!("{:.0} %", 100.0 * verdict.confidence)),
                escape(&advice.map(|advice| advice.text.clone()).collect::<Vec<_>>().join("; ")),
            ]
        })
        .collect();
    let head = [
        "Onset",
        "Peak at",
        "End",
        "#Peak/s",
        "#Baseline",
        "#Times",
        "#Lasted",
        "Taken for",
        "#Confidence",
        "Advice",
    ];
    table("Load out of line with its baseline.", &head, &rows)
}

fn anomalies(x: &Analysis) -> String {
    let rows: Vec<Vec<String>> = x
        .anomalies
        .0
        .iter()
        .map(|each| vec![x.moment(each.at), rate(each.rps), rate(each.usual_rps), format!("{:.2}", each.score)])
        .collect();
    let caption = format!("The most unusual of {}.", x.anomalies.1);
    table(&caption, &["At", "#Requests/s", "#Usual for the hour", "#Score"], &rows)
}

fn bots(crowd: &Crowd) -> String {
    let share = |n: u64| percent(n as f64 / crowd.judged.max(1) as f64);
    let rows: Vec<Vec<String>> = crowd
        .bots
        .iter()
        .map(|bot| {
            vec![
                escape(&bot.client),
                escape(&bot.agent),
                thousands(bot.requests),
                bot.per_minute.to_string(),
                bot.points.to_string(),
                if bot.declared { "yes" } else { "no" }.to_string(),
            ]
        })
        .collect();
    let caption = format!(
        "{} of requests ({} say so), {} of {} clients.",
        share(crowd.bot_requests),
        share(crowd.declared_requests),
        thousands(crowd.bot_clients.0),
        thousands(crowd.bot_clients.1)
    );
    table(&caption, &["Client", "Agent", "#Requests", "#Busiest minute", "#Points", "Says so"], &rows)
}

fn patterns(crowd: &Crowd) -> String {
    let rows: Vec<Vec<String>> =
        crowd.endpoints.iter().map(|(path, share)| vec![escape(path), percent(*share)]).collect();
    let caption = format!(
        "{} addresses; {} of answers 4xx, {} 5xx.",
        thousands(crowd.clients),
        percent(crowd.errors.0),
        percent(crowd.errors.1)
    );
    table(&caption, &["Endpoint", "#Share"], &rows)
}

fn forecast(x: &Analysis, forecast: &Forecast) -> String {
    let ahead = forecast.path.len() as f64 * forecast.step;
    let from = (forecast.start - 2.0 * ahead).max(x.span.0);
    let (seen, values): (Vec<f64>, Vec<f64>) = x
        .rates
        .values
        .iter()
        .enumerate()
        .map(|(i, rps)| (x.rates.start + (i as f64 + 0.5) * x.rates.width, *rps))
        .filter(|(t, _)| *t >= from)
        .unzip();
    let finite = |v: f64| if v.is_finite() { v } else { 0.0 };
    let most = forecast.path.iter().map(|each| finite(each.high).max(each.mean));
    let most = most.chain(values.iter().copied()).fold(0.0, f64::max);
    let frame = Frame { from, to: forecast.start + ahead, top: top(most) };
    let mut svg = frame.open(x, "Forecast with its 90 % band");
    let at = |i: usize| forecast.start + (i as f64 + 0.5) * forecast.step;
    if forecast.path.iter().all(|each| each.high.is_finite()) {
        let upper = forecast.path.iter().enumerate().map(|(i, each)| (at(i), each.high));
        let lower = forecast.path.iter().enumerate().rev().map(|(i, each)| (at(i), each.low));
        let band: Vec<(f64, f64)> = upper.chain(lower).collect();
        let _ = write!(svg, "<path class=\"c3 area band\" d=\"{}Z\"/>", frame.line(&band));
    }
    let path: Vec<(f64, f64)> = forecast.path.iter().enumerate().map(|(i, each)| (at(i), each.mean)).collect();
    let _ = write!(
        svg,
        "<path class=\"c1\" d=\"{}\"/><path class=\"c3 dash\" d=\"{}\"/></svg>",
        frame.line(&reduced(&seen, &values, POINTS)),
        frame.line(&path)
    );
    let note = match &forecast.backtest {
        Some(test) => {
            let row = |name: &str, wape: f64, mase: f64, held: String| {
                vec![name.to_string(), format!("{:.1} %", 100.0 * wape), format!("{mase:.2}"), held]
            };
            let rows = [
                row(forecast.model, test.wape, test.mase, format!("{:.0} %", 100.0 * test.coverage)),
                row("seasonal naive", test.naive_wape, test.naive_mase, "–".to_string()),
            ];
            let caption = format!("Backtest: {} origins, none of which saw what came after it.", test.origins);
            table(&caption, &["Model", "#WAPE", "#MASE", "#90 % band held"], &rows)
        }
        None => "<p>Too short for a backtest: believe none of it yet.</p>\n".to_string(),
    };
    let members: Vec<String> =
        forecast.members.iter().map(|(name, weight)| format!("{name} {:.0} %", 100.0 * weight)).collect();
    format!(
        "<figure><figcaption><b>The next {}</b> [requests/s]: dashed, by {} ({}); shaded, the 90 % band.</figcaption>{svg}</figure>\n{note}",
        lasted(ahead),
        forecast.model,
        members.join(", ")
    )
}
