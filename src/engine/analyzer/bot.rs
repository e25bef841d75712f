//! Bots, from behaviour and agent: points for what people with browsers do not do.
//!
//! | signal | points |
//! | --- | --- |
//! | agent of a known crawler or tool, or none | 3 |
//! | fetched robots.txt | 3 |
//! | regular: CV of the times between requests < 0.1, from ten requests on | 2 |
//! | sixty requests a minute for three minutes | 2 |
//! | no referrer on any of ten pages or more | 1 |
//! | more than half are HEAD | 1 |
//! | no image, script or style with ten pages or more | 1 |
//! | more than 30 % answered with 4xx | 1 |
//! | more than 90 % of thirty requests or more for different paths | 1 |
//!
//! Three points are a bot (Tan & Kumar 2002; Doran 2014). A session ends after half an hour of silence. "Declared" is a bot whose
//! agent says so. What is absent: reverse DNS, so nobody is verified.

use crate::engine::analyzer::sketch::Distinct;
use crate::units::{Span, Time};

/// Points from which a client is a bot.
pub const BOT: u32 = 3;
/// Silence that ends a session.
pub const SESSION_GAP: Span = Span::from_mins(30);

/// Parts of user agents, in lower case, of crawlers, libraries and load generators.
const AGENTS: [&str; 34] = [
    "bot",
    "crawl",
    "spider",
    "slurp",
    "curl/",
    "wget/",
    "python-requests",
    "python-urllib",
    "aiohttp",
    "httpx/",
    "go-http-client",
    "java/",
    "okhttp",
    "libwww",
    "lwp::",
    "apache-httpclient",
    "scrapy",
    "headless",
    "phantomjs",
    "selenium",
    "puppeteer",
    "playwright",
    "loadtest",
    "apachebench",
    "jmeter",
    "gatling",
    "locust",
    "k6/",
    "wrk/",
    "vegeta",
    "facebookexternalhit",
    "monitoring",
    "uptime",
    "feedfetcher",
];

/// Whether an agent says that it is no browser, or says nothing.
pub fn declares_itself(agent: &str) -> bool {
    let agent = agent.trim().to_ascii_lowercase();
    agent.is_empty() || agent == "-" || AGENTS.iter().any(|part| agent.contains(part))
}

/// A request, as far as it says who sent it.
#[derive(Clone, Copy, Debug)]
pub struct Hit<'a> {
    /// When.
    pub at: Time,
    /// User agent; `None` if the log does not tell.
    pub agent: Option<&'a str>,
    /// Path, without the query.
    pub path: &'a str,
    /// Whether it was a HEAD.
    pub head: bool,
    /// Whether it named a referrer; `None` if the log does not tell.
    pub referrer: Option<bool>,
    /// HTTP status.
    pub status: u16,
}

/// What a client did since it was last silent.
#[derive(Clone, Debug, Default)]
pub struct Session {
    requests: u64,
    last_at: Time,
    declared: bool,
    robots: bool,
    pages: u64,
    assets: u64,
    referred: u64,
    referrers_told: bool,
    heads: u64,
    client_errors: u64,
    paths: Distinct,
    gaps: u64,
    mean: f64,
    m2: f64,
    /// The minute under way, its requests, and how many busy minutes came just before.
    minute: (u64, u64, u64),
    busy_minutes: u64,
}

impl Session {
    /// Takes a request; after half an hour of silence a new session begins.
    pub fn hit(&mut self, hit: &Hit) {
        if self.requests > 0 && hit.at.since(self.last_at) > SESSION_GAP {
            *self = Session::default();
        }
        if self.requests > 0 {
            self.gaps += 1;
            let gap = hit.at.since(self.last_at).as_secs_f64();
            let delta = gap - self.mean;
            self.mean += delta / self.gaps as f64;
            self.m2 += delta * (gap - self.mean);
        }
        self.requests += 1;
        self.last_at = hit.at;
        self.declared |= hit.agent.is_some_and(declares_itself);
        self.robots |= hit.path == "/robots.txt";
        let asset = is_asset(hit.path);
        self.assets += u64::from(asset);
        self.pages += u64::from(!asset);
        self.referrers_told |= hit.referrer.is_some();
        self.referred += u64::from(!asset && hit.referrer == Some(true));
        self.heads += u64::from(hit.head);
        self.client_errors += u64::from((400..500).contains(&hit.status));
        self.paths.add(hash(hit.path));
        let minute = hit.at.0 / 60_000_000_000;
        if minute != self.minute.0 {
            let next = minute == self.minute.0 + 1;
            self.minute = (minute, 0, if next && self.minute.1 >= 60 { self.minute.2 + 1 } else { 0 });
        }
        self.minute.1 += 1;
        let run = self.minute.2 + u64::from(self.minute.1 >= 60);
        self.busy_minutes = self.busy_minutes.max(run);
    }

    /// Coefficient of variation of the times between requests; `None` below ten requests.
    pub fn variation(&self) -> Option<f64> {
        (self.requests >= 10 && self.mean > 0.0).then(|| (self.m2 / self.gaps as f64).sqrt() / self.mean)
    }

    /// Points.
    pub fn points(&self) -> u32 {
        let n = self.requests as f64;
        let different = self.paths.count() / n.max(1.0);
        let signals = [
            (self.declared, 3),
            (self.robots, 3),
            (self.variation().is_some_and(|cv| cv < 0.1), 2),
            (self.busy_minutes >= 3, 2),
            (self.referrers_told && self.pages >= 10 && self.referred == 0, 1),
            (self.heads as f64 > 0.5 * n, 1),
            (self.pages >= 10 && self.assets == 0, 1),
            (self.client_errors as f64 > 0.3 * n, 1),
            (self.requests >= 30 && different > 0.9, 1),
        ];
        signals.iter().filter(|(given, _)| *given).map(|(_, points)| points).sum()
    }

    /// Whether it behaves as a bot.
    pub fn is_bot(&self) -> bool {
        self.points() >= BOT
    }

    /// Whether its agent says so.
    pub fn is_declared(&self) -> bool {
        self.declared
    }

    /// Requests of the session.
    pub fn requests(&self) -> u64 {
        self.requests
    }
}

fn is_asset(path: &str) -> bool {
    const ASSETS: [&str; 14] =
        ["png", "jpg", "jpeg", "gif", "svg", "ico", "webp", "css", "js", "mjs", "woff", "woff2", "ttf", "map"];
    path.rsplit_once('.').is_some_and(|(_, ending)| ASSETS.iter().any(|asset| ending.eq_ignore_ascii_case(asset)))
}

/// FNV-1a, finished by SplitMix64's finalizer where it is used.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BROWSER: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0";

    fn hit<'a>(seconds: f64, agent: &'a str, path: &'a str, referrer: bool) -> Hit<'a> {
        Hit {
            at: Time::from_secs_f64(seconds),
            agent: Some(agent),
            path,
            head: false,
            referrer: Some(referrer),
            status: 200,
        }
    }

    #[test]
    fn a_script_that_fetches_pages_has_seven_points() {
        let mut session = Session::default();
        (0..12).for_each(|i| session.hit(&hit(f64::from(i), "curl/8", "/page", false)));
        assert_eq!(session.points(), 7);
        assert!(session.is_bot() && session.is_declared());
    }

    #[test]
    fn a_reader_has_none() {
        let mut session = Session::default();
        let mut at = 0.0;
        for i in 0..40 {
            at += [0.2, 5.0, 0.5, 12.0, 1.3][i % 5];
            session.hit(&hit(at, BROWSER, if i % 4 == 0 { "/story" } else { "/img/a.png" }, true));
        }
        assert_eq!(session.points(), 0);
    }

    #[test]
    fn an_agent_alone_is_enough() {
        let mut session = Session::default();
        session.hit(&hit(0.0, "Mozilla/5.0 LoadTest", "/", true));
        assert_eq!(session.points(), 3);
        assert!(declares_itself("") && declares_itself("-") && !declares_itself(BROWSER));
    }

    #[test]
    fn regularity_is_a_small_variation() {
        let of = |gaps: &[f64]| {
            let mut session = Session::default();
            let mut at = 0.0;
            session.hit(&hit(at, BROWSER, "/a.js", true));
            for gap in gaps {
                at += gap;
                session.hit(&hit(at, BROWSER, "/a.js", true));
            }
            (session.m2 / session.gaps as f64).sqrt() / session.mean
        };
        assert!((of(&[1.0, 1.0, 1.01, 0.99]) - 0.007071).abs() < 1e-6);
        // The worked example's gaps of 0.2 5 0.5 12 1.3 vary by 1.169677.
        assert!((of(&[0.2, 5.0, 0.5, 12.0, 1.3]) - 1.169677).abs() < 1e-6);
    }

    #[test]
    fn half_an_hour_of_silence_is_forgotten() {
        let mut session = Session::default();
        (0..12).for_each(|i| session.hit(&hit(f64::from(i), "curl/8", "/page", false)));
        session.hit(&hit(4000.0, BROWSER, "/", true));
        assert_eq!((session.points(), session.requests()), (0, 1));
    }

    #[test]
    fn three_busy_minutes_count() {
        let mut session = Session::default();
        for i in 0..190 {
            // Not regular: two at once, then a pause.
            session.hit(&hit(f64::from(i / 2) * 1.9, BROWSER, "/a.js", true));
        }
        assert_eq!(session.points(), 2);
    }
}
