//! Who may be chosen from: panic, tiers and zones.
//!
//! ```text
//! members ─▶ initialised ─▶ healthy ─▶ candidates of a tier (all of it in panic) ─▶ its zones
//! ```
//!
//! **Panic** (Envoy): if fewer than a share of the initialised members are healthy, all of those get traffic, for full load on a few
//! survivors kills them too. Members that are still starting are in neither number: a scale-up is no disaster.
//!
//! **Tiers**: with an over-provisioning factor f, `health = min(100, f · healthy / total)` percent; a tier gets its health's share of
//! what the ones before it left. A tier panics only if all of them together have less than 100.
//!
//! **Zones**: with a share l of callers and u of instances in a zone, all of its traffic stays where u ≥ l, else u/l of it, and the
//! rest goes to the zones with room, in proportion to u − l.

/// How traffic stays in its zone.
#[derive(Clone, Debug, PartialEq)]
pub struct ZoneAware {
    /// Number of zones; the instance with launch ordinal i is in zone i mod zones.
    pub zones: u32,
    /// Share of the traffic that comes from each zone; as many as zones, with sum 1.
    pub callers: Vec<f64>,
    /// With fewer candidates zones are not looked at. Default 6 (Envoy).
    pub min_instances: u32,
}

/// Healthy and all initialised members of a tier.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TierHealth {
    /// Those that nothing speaks against.
    pub healthy: u32,
    /// Those that were healthy at some time; starting ones are not counted.
    pub initialised: u32,
}

/// What each tier gets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TierLoads {
    /// Percent of the traffic; sums to 100 unless there are no tiers.
    pub loads: Vec<u32>,
    /// Whether the tier is in panic.
    pub panics: Vec<bool>,
}

/// Spreads 100 percent over tiers by their health; `factor` in percent, `threshold` of panic 0..1.
pub fn spread(tiers: &[TierHealth], factor: u32, threshold: f64) -> TierLoads {
    let health: Vec<u32> = tiers
        .iter()
        .map(|tier| match tier.initialised {
            0 => 0,
            total => (u64::from(factor) * u64::from(tier.healthy) / u64::from(total)).min(100) as u32,
        })
        .collect();
    let norm = health.iter().sum::<u32>().min(100);
    // A tier alone has nobody to lean on: over-provisioning or not, its share of healthy members decides.
    let is_short = norm < 100 || tiers.len() == 1;
    let panics = tiers
        .iter()
        .map(|tier| is_short && f64::from(tier.healthy) < threshold * f64::from(tier.initialised))
        .collect();
    let mut loads = vec![0; tiers.len()];
    if norm == 0 {
        if let Some(first) = tiers.iter().position(|tier| tier.initialised > 0) {
            loads[first] = 100;
        }
        return TierLoads { loads, panics };
    }
    let mut left = 100;
    for (load, health) in loads.iter_mut().zip(&health) {
        *load = (health * 100 / norm).min(left);
        left -= *load;
    }
    if let Some(first) = health.iter().position(|&health| health > 0) {
        loads[first] += left;
    }
    TierLoads { loads, panics }
}

/// Where the traffic of each zone goes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ZoneSplit {
    /// Share that stays, by zone.
    pub stays: Vec<f64>,
    /// Running sum of room over zones, for the rest.
    pub room: Vec<f64>,
}

impl ZoneSplit {
    /// The split for shares of callers and candidates by zone.
    pub fn new(callers: &[f64], candidates: &[u32]) -> ZoneSplit {
        let total: u32 = candidates.iter().sum();
        let share = |n: u32| if total == 0 { 0.0 } else { f64::from(n) / f64::from(total) };
        let stays = callers
            .iter()
            .zip(candidates)
            .map(|(&l, &n)| {
                if n == 0 {
                    0.0
                } else if share(n) >= l {
                    1.0
                } else {
                    share(n) / l
                }
            })
            .collect();
        let mut sum = 0.0;
        let room = callers
            .iter()
            .zip(candidates)
            .map(|(&l, &n)| {
                sum += (share(n) - l).max(0.0);
                sum
            })
            .collect();
        ZoneSplit { stays, room }
    }

    /// The zone for a request from `zone`; `stay` and `other` are uniform in (0, 1).
    pub fn route(&self, zone: usize, stay: f64, other: f64) -> usize {
        let total = self.room.last().copied().unwrap_or(0.0);
        if stay < self.stays[zone] || total <= 0.0 {
            return zone;
        }
        self.room.partition_point(|&sum| sum <= other * total).min(self.room.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tier(percent: u32) -> TierHealth {
        TierHealth { healthy: percent, initialised: 100 }
    }

    #[test]
    fn tiers_take_what_the_ones_before_left() {
        for (id, healthy, loads, panics) in [
            ("LB-113", [72, 100], [100, 0], [false, false]),
            ("LB-114", [71, 100], [99, 1], [false, false]),
            ("LB-115", [50, 100], [70, 30], [false, false]),
            ("LB-116", [25, 100], [35, 65], [false, false]),
            ("LB-117", [0, 100], [0, 100], [false, false]),
            ("LB-118", [25, 25], [50, 50], [true, true]),
        ] {
            let spread = spread(&healthy.map(tier), 140, 0.5);
            assert_eq!((spread.loads, spread.panics), (loads.to_vec(), panics.to_vec()), "{id}");
        }
    }

    #[test]
    fn panic_begins_below_the_threshold_and_ignores_the_starting() {
        let panics = |healthy, initialised, threshold| {
            spread(&[TierHealth { healthy, initialised }], 140, threshold).panics[0]
        };
        assert!(!panics(2, 4, 0.5), "LB-109");
        assert!(panics(1, 4, 0.5), "LB-110");
        assert!(!panics(3, 3, 0.5), "LB-111");
        assert!(!panics(0, 4, 0.0), "LB-112");
        assert!(!panics(0, 0, 0.5), "nobody is there to panic");
    }

    #[test]
    fn a_zone_keeps_what_it_has_instances_for() {
        let split = ZoneSplit::new(&[0.5, 0.5], &[1, 2]);
        assert!((split.stays[0] - 2.0 / 3.0).abs() < 1e-12 && split.stays[1] == 1.0, "LB-119");
        assert_eq!(split.route(0, 0.6, 0.5), 0, "LB-119");
        assert_eq!(split.route(0, 0.7, 0.5), 1, "LB-119");
        assert_eq!(split.route(1, 0.999, 0.001), 1, "LB-119");
    }

    #[test]
    fn a_zone_without_instances_sends_everything_away() {
        let split = ZoneSplit::new(&[0.4, 0.3, 0.3], &[0, 2, 6]);
        let mut counts = [0u32; 3];
        for i in 0..1000 {
            let other = (f64::from(i) + 0.5) / 1000.0;
            counts[split.route(0, 1e-9, other)] += 1;
        }
        assert_eq!(counts, [0, 0, 1000], "zone 1 has no room: a quarter of the instances, 0.3 of the callers");
    }
}
