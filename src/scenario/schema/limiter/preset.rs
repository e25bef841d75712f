//! Systems whose way of counting a limiter takes over: the algorithm with its edges. Limits and windows are everybody's own.
//!
//! What is absent: the statuses they answer with (a gateway here answers 429 whoever counted, where NGINX's own default is 503), and stores
//! with clocks of their own.

use crate::engine::limiter::shared::OnFailure;
use crate::engine::limiter::{Algorithm, Compare, Config, Key, WindowStart};
use crate::scenario::reader::{Field, Section};
use crate::units::Span;

/// Envoy refuses to fill a bucket more often.
const ENVOY_FINEST: Span = Span::from_millis(50);

/// What the reference service of Envoy's global limit counts in.
const ENVOY_UNITS: [Span; 4] =
    [Span::from_secs(1), Span::from_secs(60), Span::from_secs(3600), Span::from_secs(86_400)];

/// A system that limits rates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Preset {
    /// `limit_req`: who comes before his time waits, unless `delay = "nodelay"`.
    Nginx,
    /// `http_req_rate` in a stick table, keyed by source.
    Haproxy,
    /// The local rate limit filter: `burst` is its `max_tokens`, `limit` its `tokens_per_fill`, `window` its `fill_interval`. One bucket for
    /// all, at each process.
    EnvoyLocal,
    /// The global rate limit filter with its reference service, which fails open.
    EnvoyGlobal,
    /// Two windows, compared before adding.
    Cloudflare,
    /// The same, and refusals count unless `charge_rejected = false` (its `disable_penalty`).
    Kong,
    /// Its sliding window, as Cloudflare's.
    Upstash,
    /// `CL.THROTTLE`, whose `max_burst` comes on top of one.
    RedisCell,
    /// A GCRA whose burst is its limit unless it is told.
    Governor,
    /// A GCRA whose `max_burst` comes on top of one, 0 unless it is told.
    Throttled,
    /// `express-rate-limit`: a window of each key's own.
    Express,
}

impl Preset {
    const ALL: [(&'static str, Preset); 11] = [
        ("nginx", Preset::Nginx),
        ("haproxy", Preset::Haproxy),
        ("envoy_local", Preset::EnvoyLocal),
        ("envoy_global", Preset::EnvoyGlobal),
        ("cloudflare", Preset::Cloudflare),
        ("kong", Preset::Kong),
        ("upstash", Preset::Upstash),
        ("redis_cell", Preset::RedisCell),
        ("governor", Preset::Governor),
        ("throttled", Preset::Throttled),
        ("express", Preset::Express),
    ];

    /// Systems that no algorithm here decides like, and why.
    const BEYOND: [(&'static str, &'static str); 2] = [
        (
            "tower",
            "tower makes callers wait for the next window, and a limiter here refuses: \"express\" has the same windows",
        ),
        (
            "pingora",
            "pingora counts in a sketch in which keys collide, and keys here never do: \"cloudflare\" has the same estimate",
        ),
    ];

    /// The preset of that name.
    pub(super) fn read(field: &Field) -> Option<Preset> {
        match Preset::BEYOND.iter().find(|(name, _)| field.raw_text() == Some(name)) {
            Some((_, why)) => field.contradiction(*why),
            None => field.choice(&Preset::ALL),
        }
    }

    fn name(self) -> &'static str {
        Preset::ALL.iter().find(|(_, each)| *each == self).map_or("", |(name, _)| name)
    }

    /// How the system counts.
    pub(super) fn algorithm(self) -> Algorithm {
        match self {
            Preset::Nginx => Algorithm::LeakyBucket,
            Preset::Haproxy => Algorithm::FrequencyCounter,
            Preset::EnvoyLocal | Preset::EnvoyGlobal | Preset::Express => Algorithm::FixedWindow,
            Preset::Cloudflare | Preset::Kong | Preset::Upstash => Algorithm::SlidingWindow,
            Preset::RedisCell | Preset::Governor | Preset::Throttled => Algorithm::Gcra,
        }
    }

    /// `plain`, which has the preset's algorithm and its own limit, window and burst, with the edges of the system.
    pub(super) fn config(self, plain: Config) -> Config {
        match self {
            Preset::Nginx => {
                // Without a burst nobody comes before his time and is let in.
                let delay = plain.burst.filter(|&burst| burst > 0).map(|_| 0);
                Config { delay, ..plain }
            }
            Preset::EnvoyLocal => Config { key: Key::Global, ..plain },
            Preset::Cloudflare | Preset::Upstash => Config { compare: Compare::BeforeAdding, ..plain },
            Preset::Kong => Config { compare: Compare::BeforeAdding, charge_rejected: true, ..plain },
            Preset::Throttled => Config { burst: plain.burst.or(Some(1)), ..plain },
            Preset::Express => Config { window_start: WindowStart::FirstRequest, ..plain },
            Preset::Haproxy | Preset::EnvoyGlobal | Preset::RedisCell | Preset::Governor => plain,
        }
    }

    /// What happens while the store does not answer.
    pub(super) fn on_failure(self) -> OnFailure {
        if self == Preset::EnvoyGlobal { OnFailure::Open } else { OnFailure::default() }
    }

    /// The burst as the system's own `max_burst` has it, if it is one that has.
    pub(super) fn max_burst(self, s: &Section) -> Option<u32> {
        if !matches!(self, Preset::RedisCell | Preset::Throttled) {
            return None;
        }
        let burst = s.field("burst");
        let Some(field) = s.field("max_burst") else {
            if self == Preset::RedisCell && burst.is_none() {
                s.missing("max_burst", "max_burst = 15");
            }
            return None;
        };
        if burst.is_some() {
            return field.contradiction("burst is told as well, and is max_burst + 1: one of them is enough");
        }
        field.count(0).map(|max_burst| max_burst.saturating_add(1))
    }

    /// Settings that the system would not take.
    pub(super) fn check(self, s: &Section, config: &Config) {
        let name = self.name();
        if let (Preset::EnvoyLocal, Some(field)) = (self, s.field("window"))
            && config.window < ENVOY_FINEST
        {
            field.unfit::<()>(format!("at least \"{ENVOY_FINEST}\", the shortest fill_interval of {name}"));
        }
        if let (Preset::EnvoyGlobal, Some(field)) = (self, s.field("window"))
            && !ENVOY_UNITS.contains(&config.window)
        {
            field.unfit::<()>(format!("a unit of {name}: \"1s\", \"1m\", \"1h\" or \"1d\""));
        }
        if let (Preset::EnvoyGlobal, Some(field)) = (self, s.field("burst")) {
            field.contradiction::<()>(format!(
                "preset = {name:?} keeps nothing of a window for the next: it has no burst"
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::limiter::hierarchy::Extras;
    use crate::scenario;

    /// What `[limiter]` with a minute's quota becomes.
    fn read(limiter: &str) -> (Config, Extras) {
        let text = format!(
            "scenario.duration = '1m'\ntraffic.shape = [{{ kind = 'constant', rate = 1 }}]\nservice.time = '1ms'\n[limiter]\nlimit = 10\nwindow = '1m'\n{limiter}"
        );
        let scenario = scenario::parse(&text, "x.toml", "".as_ref(), &[]).unwrap();
        (scenario.limiter.unwrap(), scenario.limiter_extras)
    }

    #[test]
    fn a_preset_counts_as_its_system_does() {
        let plain = |algorithm| Config::new(algorithm, Key::Client, 10, Span::from_secs(60));
        let fixed = plain(Algorithm::FixedWindow);
        let sliding = Config { compare: Compare::BeforeAdding, ..plain(Algorithm::SlidingWindow) };
        let gcra = plain(Algorithm::Gcra);
        for (written, expected) in [
            ("preset = 'nginx'", plain(Algorithm::LeakyBucket)),
            (
                "preset = 'nginx'\nburst = 5",
                Config { burst: Some(5), delay: Some(0), ..plain(Algorithm::LeakyBucket) },
            ),
            ("preset = 'haproxy'", plain(Algorithm::FrequencyCounter)),
            ("preset = 'envoy_local'", Config { key: Key::Global, ..fixed.clone() }),
            ("preset = 'envoy_local'\nburst = 50", Config { key: Key::Global, burst: Some(50), ..fixed.clone() }),
            ("preset = 'envoy_global'", fixed.clone()),
            ("preset = 'cloudflare'", sliding.clone()),
            ("preset = 'kong'", Config { charge_rejected: true, ..sliding.clone() }),
            ("preset = 'upstash'", sliding.clone()),
            ("preset = 'redis_cell'\nmax_burst = 15", Config { burst: Some(16), ..gcra.clone() }),
            ("preset = 'governor'", gcra.clone()),
            ("preset = 'throttled'", Config { burst: Some(1), ..gcra.clone() }),
            ("preset = 'throttled'\nmax_burst = 15", Config { burst: Some(16), ..gcra.clone() }),
            ("preset = 'express'", Config { window_start: WindowStart::FirstRequest, ..fixed.clone() }),
        ] {
            assert_eq!(read(written).0, expected, "{written}");
        }
    }

    #[test]
    fn what_is_written_wins_over_the_preset() {
        assert_eq!(read("preset = 'nginx'\nburst = 5\ndelay = 'nodelay'").0.delay, None);
        assert_eq!(read("preset = 'nginx'\nburst = 5\ndelay = 2").0.delay, Some(2));
        assert_eq!(read("preset = 'envoy_local'\nkey = 'client'").0.key, Key::Client);
        assert!(!read("preset = 'kong'\ncharge_rejected = false").0.charge_rejected);
        assert_eq!(read("preset = 'cloudflare'\ncompare = 'after_adding'").0.compare, Compare::AfterAdding);
        assert_eq!(read("preset = 'redis_cell'\nburst = 16").0.burst, Some(16));
        assert_eq!(
            read("preset = 'haproxy'\nalgorithm = 'frequency_counter'").0.algorithm,
            Algorithm::FrequencyCounter
        );
    }

    #[test]
    fn the_store_of_envoys_global_limit_fails_open() {
        let sharing = |preset: &str, rest: &str| {
            let (_, extras) =
                read(&format!("preset = '{preset}'\nshared = {{ gateways = 4, mode = 'store'{rest} }}"));
            let sharing = extras.sharing.unwrap();
            (sharing.on_failure, sharing.timeout)
        };
        let timeout = Span::from_millis(20);
        assert_eq!(sharing("envoy_global", ""), (OnFailure::Open, timeout));
        assert_eq!(sharing("envoy_global", ", on_failure = 'closed'"), (OnFailure::Closed, timeout));
        assert_eq!(sharing("cloudflare", ""), (OnFailure::Local, timeout));
    }

    #[test]
    fn each_of_several_quotas_may_have_a_preset_of_its_own() {
        let (first, extras) =
            read("preset = 'kong'\nalso = [{ preset = 'nginx', limit = 5, window = '1s', burst = 2 }]");
        assert_eq!((first.algorithm, extras.also[0].algorithm), (Algorithm::SlidingWindow, Algorithm::LeakyBucket));
        assert_eq!(extras.also[0].delay, Some(0));
    }
}
