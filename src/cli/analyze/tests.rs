use std::fmt::Write;
use std::path::Path;

use super::*;
use crate::engine::analyzer::verdict::Class;
use crate::rng::mix;
use crate::traffic::replay::Options;

const BROWSER: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0";

fn analyzed(name: &str, text: &str) -> Analysis {
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    of(&Dataset::open(Path::new(&path), &Options::default()).unwrap(), None).unwrap()
}

/// Two hours from ten o'clock: people, three requests a second; a declared bot, one a minute; from eleven on, for ten minutes, a
/// scraper with a browser's name, ten a second, evenly.
fn shop() -> String {
    let mut log = String::new();
    let mut line = |second: u64, client: &str, path: &str, referrer: &str, agent: &str| {
        let (hour, minute, second) = (10 + second / 3600, second / 60 % 60, second % 60);
        let _ = writeln!(
            log,
            "{client} - - [04/Mar/2024:{hour:02}:{minute:02}:{second:02} +0000] \"GET {path} HTTP/1.1\" 200 512 \"{referrer}\" \"{agent}\""
        );
    };
    for second in 0..7200 {
        for i in 0..3 {
            let draw = mix(second * 3 + i);
            let client = format!("198.51.{}.{}", draw % 40, draw / 64 % 10);
            let path = ["/", "/cart", "/style.css", "/logo.png"][(draw / 1024 % 4) as usize];
            line(second, &client, path, "https://shop.example/", &format!("{BROWSER} {}", draw % 7));
        }
        if second % 60 == 30 {
            line(second, "192.0.2.7", "/feed", "-", "FeedFetcher/1.0 (bot)");
        }
        if (3600..4200).contains(&second) {
            (0..10).for_each(|i| line(second, "203.0.113.9", &format!("/item/{}", second * 10 + i), "-", BROWSER));
        }
    }
    log
}

#[test]
fn a_scraper_is_found_with_its_spike_its_limit_and_its_name() {
    let x = analyzed("access.log", &shop());
    assert_eq!(x.spikes.len(), 1, "{:?}", x.spikes);
    let (each, spike) = (&x.spikes[0], &x.spikes[0].spike);
    assert_eq!(x.moment(spike.started_at.as_secs_f64()), "2024-03-04 11:00");
    assert_eq!(each.ended_at.map(|at| x.moment(at)).as_deref(), Some("2024-03-04 11:10"));
    assert!((4.0..4.8).contains(&spike.magnitude), "{spike:?}");
    assert_eq!(spike.verdict.as_ref().map(|verdict| verdict.class), Some(Class::Bot));
    let crowd = x.crowd.as_ref().unwrap();
    assert_eq!((crowd.bots[0].client.as_str(), crowd.bots[0].requests), ("203.0.113.9", 6000));
    assert_eq!((crowd.bots[1].client.as_str(), crowd.bots[1].declared), ("192.0.2.7", true));
    assert_eq!(crowd.bot_clients.0, 2, "people are no bots");
    assert_eq!(crowd.bot_requests, 6120);
    let first = &analysis::findings(&x)[0];
    assert_eq!(
        (first.id, first.setting.as_ref().map(|(key, _)| *key)),
        ("spike-not-customers", Some("limiter.limit"))
    );
    insta::assert_snapshot!(analysis::text(&x), @r#"
    access.log: combined access log
    27,720 requests, 2024-03-04 10:00 to 2024-03-04 11:59 (2.0 h), 3.85/s on average, 14.0/s at most
    ▃▃▃▃▃▃▃▃▃▃▃▃▃▃▃▃▃▃▃▃▃▃▃▃▃▃▃▃▃▃▃▃▃▃▃▃██████▃▃▃▃▃▃▃▃▃▃▃▃▃▃▃▃▃▃▃▃▃▃▃▃▃▃▃▃▃▃

    What to act on
      1. a spike to 13.1/s at 2024-03-04 11:00 (4.3 times the baseline) is not customers: one client sent
         99.29 % of the rise, confidence 100 %. Limit, do not scale
         -> limiter.limit = 10  (key = "client", window = "1m")
      2. 22.08 % of requests come from bots, 21.65 % from ones that do not say so; the busiest, 203.0.113.9,
         sent 21.65 % of all requests, up to 600 a minute
      3. 39.25 % of requests or more are for images, styles, scripts and the like, the same for everybody: a
         cache in front leaves the fleet 2.34/s on average instead of 3.85/s

    Baseline by hour of the day [requests/s, UTC]
           0       1       2       3       4       5       6       7       8       9      10      11
           -       -       -       -       -       -       -       -       -       -    3.02    3.02
          12      13      14      15      16      17      18      19      20      21      22      23
           -       -       -       -       -       -       -       -       -       -       -       -
      confidence 8 %

    Spikes: 1
      onset             peak at              peak/s  baseline   times  lasted    taken for
      2024-03-04 11:00  2024-03-04 11:00       13.1      3.02    4.34  10 min    bot, confidence 100 %
                        -> limit each client to 10 requests a minute (key "client", window "1m"): 999 of 1000
                           sent fewer than 4 a minute before; the busiest sends 545

    Anomalies: 0

    Bots: 22.08 % of requests (0.43 % say so), 2 of 2,791 clients
      203.0.113.9            6,000 requests,   600 in its busiest minute, 5 points  Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Ge
      192.0.2.7                120 requests,     1 in its busiest minute, 7 points  FeedFetcher/1.0 (bot)

    Patterns
      402 addresses; answers: 0.00 % 4xx, 0.00 % 5xx
       20.74 %  other
       19.70 %  /style.css
       19.55 %  /logo.png
       19.42 %  /
       19.25 %  /cart
      99 of 100 clients that are no bots sent at most 2 requests in their busiest minute
      steepest rise: 1.00 times within two minutes at 2024-03-04 11:57

    Forecast
      too little was seen to forecast anything
    "#);
}

/// Ten days, a value each half hour: a daily wave of ±60 % with a little noise, and a surge on the ninth day.
fn wave() -> String {
    let mut csv = String::from("timestamp,requests\n");
    for step in 0..480u64 {
        let day = (step as f64 / 48.0 * std::f64::consts::TAU).sin();
        let noise = (mix(step) % 1000) as f64 / 1000.0 - 0.5;
        let surge = if (405..409).contains(&step) { 3.0 } else { 1.0 };
        let requests = surge * (1800.0 * (100.0 + 60.0 * day + 4.0 * noise)).round();
        let _ = writeln!(csv, "{},{requests}", 1_709_510_400 + step * 1800);
    }
    csv
}

#[test]
fn a_series_with_a_daily_season_is_forecast_and_its_surge_is_found() {
    let x = analyzed("rate.csv", &wave());
    assert!(x.crowd.is_none(), "a series does not say who");
    let [busiest, quietest] = x.extremes().unwrap();
    assert!((5..=6).contains(&busiest.0) && (17..=18).contains(&quietest.0), "{busiest:?} {quietest:?}");
    let surges: Vec<_> = x.spikes.iter().filter(|each| each.informed && !each.spike.drop).collect();
    assert_eq!(surges.len(), 1, "{:?}", x.spikes);
    assert_eq!(x.moment(surges[0].spike.started_at.as_secs_f64()), "2024-03-12 10:30");
    assert!(surges[0].spike.verdict.is_none());
    let forecast = x.forecast.as_ref().unwrap();
    assert_eq!((forecast.step, forecast.path.len()), (1800.0, 48));
    assert!(forecast.periods.contains(&48), "{:?}", forecast.periods);
    let peak = forecast.path.iter().map(|each| each.mean).fold(0.0, f64::max);
    assert!((150.0..170.0).contains(&peak), "{peak}");
    assert!(forecast.path.iter().all(|each| each.low <= each.mean && each.mean <= each.high));
    let test = forecast.backtest.unwrap();
    assert!(test.wape < test.naive_wape && test.coverage > 0.8, "{test:?}");
}

#[test]
fn the_json_names_its_schema_and_is_json_though_bounds_may_not_be_known() {
    let x = analyzed("access.log", &shop());
    let value: serde_json::Value = serde_json::from_str(&analysis::json(&x)).unwrap();
    assert_eq!(value["schema"], "wavetank.analysis/1");
    assert_eq!(value["spikes"][0]["duration_seconds"], 600.0);
    assert_eq!(value["audience"]["bots"][0]["client"], "203.0.113.9");
    assert_eq!(value["findings"][0]["setting"], "limiter.limit");
    let page = analysis::html(&x);
    assert!(page.contains("What to act on") && page.ends_with("</html>\n"));
}

/// What a log says is shown, not obeyed.
#[test]
fn markup_and_control_characters_of_a_log_do_not_reach_page_or_terminal() {
    let evil = shop().replace("FeedFetcher/1.0 (bot)", "bot <script>alert(1)</script>\u{202E}");
    let x = analyzed("access.log", &evil);
    // The page has a script of its own.
    assert!(!analysis::html(&x).contains("<script>alert"));
    assert!(!analysis::text(&x).contains('\u{202E}'));
}
