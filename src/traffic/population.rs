//! Who asks for what: clients by popularity, their regions, and the mix of endpoints.
//!
//! A request's client is a function of its index, a client's region a function of the client. Popularity is
//! Zipf's: the client of rank k asks with weight 1/kˢ (Breslau et al., "Web Caching and Zipf-like
//! Distributions", INFOCOM 1999). Draws use the alias method (Walker 1977, built as by Vose 1991): one 64-bit
//! number and one look-up, whatever the weights.
//!
//! What is absent: state. Nothing here remembers a request.

use std::ops::Range;
use std::sync::Arc;

use crate::rng::{Dice, Stream, pick};
use crate::traffic::shape::Attack;
use crate::traffic::{FACTOR, Problem};
use crate::units::Span;

/// The largest population: its table takes 80 MB.
pub const MAX_POPULATION: u32 = 10_000_000;

/// What `[clients]` says about who they are.
#[derive(Clone, Debug, PartialEq)]
pub struct ClientsConfig {
    /// Distinct clients, 1 to 10,000,000; default 1.
    pub population: u32,
    /// Zipf's exponent s of their popularity, 0 to 100; default 0: all the same.
    pub zipf: f64,
    /// Where they are; empty: everybody in region 0, without a round-trip time.
    pub regions: Vec<Region>,
    /// Share of the clients that are bots, 0..1; default 0.
    pub bots: f64,
}

/// A place that clients come from.
#[derive(Clone, Debug, PartialEq)]
pub struct Region {
    /// Its name.
    pub name: String,
    /// Its share of the clients, as a weight ≥ 0.
    pub share: f64,
    /// Round-trip time between its clients and the system.
    pub rtt: Span,
}

impl Default for ClientsConfig {
    fn default() -> ClientsConfig {
        ClientsConfig { population: 1, zipf: 0.0, regions: Vec::new(), bots: 0.0 }
    }
}

impl ClientsConfig {
    /// Everything that cannot be meant, in the order of the fields. [`Population::new`] does not panic on it.
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut check = |holds: bool, key: String, found: String, expected| {
            if !holds {
                problems.push(Problem { key, found, expected });
            }
        };
        let n = self.population;
        check((1..=MAX_POPULATION).contains(&n), "population".into(), n.to_string(), "1 to 10000000 clients");
        check((0.0..=100.0).contains(&self.zipf), "zipf".into(), self.zipf.to_string(), "a number from 0 to 100");
        for (i, region) in self.regions.iter().enumerate() {
            let fine = region.share >= 0.0 && region.share.is_finite();
            check(fine, format!("regions[{i}].share"), region.share.to_string(), FACTOR);
        }
        let total: f64 = self.regions.iter().map(|r| r.share).sum();
        let fine = self.regions.is_empty() || total != 0.0;
        check(fine, "regions".into(), "shares that are all 0".into(), "a share above 0 for some region");
        check((0.0..=1.0).contains(&self.bots), "bots".into(), self.bots.to_string(), "a share from 0 to 1");
        problems
    }
}

/// The clients of a run.
#[derive(Clone, Debug)]
pub struct Population {
    size: u32,
    /// `None`: all clients are equally popular.
    popularity: Option<Arc<Alias>>,
    regions: Option<Arc<Alias>>,
    bots: f64,
    client: Dice,
    region: Dice,
}

impl Population {
    /// The population of `config`, its choices keyed by `seed`. A size out of range is brought into it.
    pub fn new(config: &ClientsConfig, seed: u64) -> Population {
        let size = config.population.clamp(1, MAX_POPULATION);
        let skewed = config.zipf > 0.0 && size > 1;
        let weights = || (1..=size).map(|rank| libm::pow(f64::from(rank), -config.zipf.min(100.0)));
        let shares = || config.regions.iter().take(usize::from(u16::MAX)).map(|r| r.share);
        Population {
            size,
            popularity: skewed.then(|| Arc::new(Alias::new(weights().collect()))),
            regions: (config.regions.len() > 1).then(|| Arc::new(Alias::new(shares().collect()))),
            bots: config.bots,
            client: Dice::new(seed, Stream::Client),
            region: Dice::new(seed, Stream::Region),
        }
    }

    /// The same population under another seed; the tables are shared, so replications cost nothing.
    pub fn reseeded(&self, seed: u64) -> Population {
        Population {
            client: Dice::new(seed, Stream::Client),
            region: Dice::new(seed, Stream::Region),
            ..self.clone()
        }
    }

    /// Number of clients, attackers not counted.
    pub fn size(&self) -> u32 {
        self.size
    }

    /// The client that sends request `index`, `0..size`; 0 is the most popular.
    #[inline]
    pub fn client(&self, index: u64) -> u32 {
        match &self.popularity {
            Some(table) => table.draw(self.client.bits(index)),
            None if self.size == 1 => 0,
            None => pick(self.client.bits(index), self.size as usize) as u32,
        }
    }

    /// The region of a client, in the order of the configuration. Attackers have regions as everybody.
    #[inline]
    pub fn region(&self, client: u32) -> u16 {
        match &self.regions {
            Some(table) => table.draw(self.region.bits(u64::from(client))) as u16,
            None => 0,
        }
    }

    /// Whether a client is a bot. Bots are as popular as anybody.
    #[inline]
    pub fn bot(&self, client: u32) -> bool {
        let mut draws = self.region.draws(u64::from(client));
        draws.bits();
        draws.unit() < self.bots
    }

    /// Ids of the clients behind each attack: they follow the population's own.
    pub fn attackers<'a>(&self, attacks: impl Iterator<Item = &'a Attack>) -> Vec<Range<u32>> {
        let mut first = self.size;
        attacks
            .map(|attack| {
                let end = first.saturating_add(attack.clients.max(1));
                std::mem::replace(&mut first, end)..end
            })
            .collect()
    }

    /// The attacker that sends request `index`, each of `ids` equally often.
    #[inline]
    pub fn attacker(&self, index: u64, ids: &Range<u32>) -> u32 {
        ids.start + pick(self.client.bits(index), ids.len()) as u32
    }
}

/// What requests ask for.
#[derive(Clone, Debug)]
pub struct EndpointMix {
    table: Option<Arc<Alias>>,
    dice: Dice,
}

impl EndpointMix {
    /// Endpoints asked for in proportion to `weights`, at most 65,535 of them; keyed by `seed`. Without weights,
    /// or with one, everything asks for endpoint 0.
    pub fn new(weights: &[f64], seed: u64) -> EndpointMix {
        let weights = &weights[..weights.len().min(usize::from(u16::MAX))];
        let table = (weights.len() > 1).then(|| Arc::new(Alias::new(weights.to_vec())));
        EndpointMix { table, dice: Dice::new(seed, Stream::Endpoint) }
    }

    /// The endpoint that request `index` asks for.
    #[inline]
    pub fn endpoint(&self, index: u64) -> u16 {
        self.table.as_ref().map_or(0, |table| table.draw(self.dice.bits(index)) as u16)
    }
}

/// Walker's alias table: column i is i itself below its threshold, and another above.
#[derive(Debug)]
struct Alias {
    columns: Vec<Column>,
}

#[derive(Clone, Copy, Debug)]
struct Column {
    /// In 2⁻³².
    threshold: u32,
    other: u32,
}

impl Alias {
    /// A table for `weights`; those that are no finite positive number count as 0, and if all do, as 1.
    fn new(mut weights: Vec<f64>) -> Alias {
        for w in &mut weights {
            *w = if *w > 0.0 && w.is_finite() { *w } else { 0.0 };
        }
        let mut total: f64 = weights.iter().sum();
        if !(total > 0.0 && total.is_finite()) {
            weights.fill(1.0);
            total = weights.len() as f64;
        }
        let per_column = weights.len() as f64 / total;
        weights.iter_mut().for_each(|w| *w *= per_column);
        let mut columns: Vec<Column> =
            (0..weights.len() as u32).map(|i| Column { threshold: u32::MAX, other: i }).collect();
        // Two cursors in place of Vose's two stacks: the next column in deficit, and the next in surplus.
        let next = |weights: &[f64], from: usize, surplus: bool| {
            (from..weights.len()).find(|&i| (weights[i] >= 1.0) == surplus).unwrap_or(weights.len())
        };
        let mut small = next(&weights, 0, false);
        let mut cursor = small;
        let mut large = next(&weights, 0, true);
        while small < weights.len() && large < weights.len() {
            columns[small] = Column { threshold: (weights[small] * 4_294_967_296.0) as u32, other: large as u32 };
            weights[large] -= 1.0 - weights[small];
            let drained = large;
            if weights[drained] < 1.0 {
                large = next(&weights, large + 1, true);
                // A column that fell into deficit behind the cursor is served at once, or it would be forgotten.
                if drained < cursor {
                    small = drained;
                    continue;
                }
            }
            cursor = next(&weights, cursor + 1, false);
            small = cursor;
        }
        Alias { columns }
    }

    /// The choice for 64 random bits: the high part picks a column, what it leaves over a side of it.
    #[inline]
    fn draw(&self, bits: u64) -> u32 {
        let product = u128::from(bits) * self.columns.len() as u128;
        let i = (product >> 64) as usize;
        let column = self.columns[i];
        if (((product as u64) >> 32) as u32) < column.threshold { i as u32 } else { column.other }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// χ² of counts against weights, and its 4 sd limit (mean k − 1, sd √(2(k − 1))).
    fn assert_fits(name: &str, counts: &[u64], weights: &[f64]) {
        let (n, total) = (counts.iter().sum::<u64>() as f64, weights.iter().sum::<f64>());
        let chi2: f64 = counts
            .iter()
            .zip(weights)
            .map(|(&count, w)| (count as f64, n * w / total))
            .map(|(count, expected)| if expected > 0.0 { (count - expected).powi(2) / expected } else { count * 1e9 })
            .sum();
        let df = weights.iter().filter(|w| **w > 0.0).count() as f64 - 1.0;
        assert!(chi2 < df + 4.0 * (2.0 * df).sqrt(), "{name}: χ² {chi2} with {df} degrees of freedom");
    }

    #[test]
    fn popularity_is_zipfs() {
        for (population, s) in [(10_000u32, 1.1), (10, 0.0), (1000, 0.0), (7, 2.5), (100_000, 0.8)] {
            let config = ClientsConfig { population, zipf: s, ..ClientsConfig::default() };
            let clients = Population::new(&config, 42);
            // The tail is pooled so that every cell expects enough for χ².
            let cells = 200.min(population as usize);
            let mut counts = vec![0u64; cells];
            let mut weights = vec![0.0; cells];
            for rank in 0..population as usize {
                weights[rank.min(cells - 1)] += ((rank + 1) as f64).powf(-s);
            }
            for i in 0..1_000_000 {
                counts[(clients.client(i) as usize).min(cells - 1)] += 1;
            }
            assert_fits(&format!("{population} clients, s = {s}"), &counts, &weights);
        }
    }

    #[test]
    fn alias_tables_fit_any_weights() {
        for weights in [
            vec![1.0],
            vec![0.0, 0.0],
            vec![0.0, 3.0, 0.0, 1.0],
            vec![5.0, 1.0, 1.0, 1.0, 5.0, 0.5],
            vec![0.1, 0.2, 10.0, 0.3],
            vec![f64::NAN, 1.0, f64::INFINITY, -1.0, 1.0],
        ] {
            let mix = EndpointMix::new(&weights, 1);
            let mut counts = vec![0; weights.len()];
            (0..100_000).for_each(|i| counts[usize::from(mix.endpoint(i))] += 1);
            let mut theory: Vec<f64> =
                weights.iter().map(|w| if *w > 0.0 && w.is_finite() { *w } else { 0.0 }).collect();
            if theory.iter().all(|w| *w == 0.0) {
                theory.fill(1.0);
            }
            if theory.len() > 1 {
                assert_fits(&format!("{weights:?}"), &counts, &theory);
            } else {
                assert_eq!(counts, [100_000]);
            }
        }
    }

    #[test]
    fn regions_and_bots_belong_to_the_client() {
        let region = |name: &str, share| Region { name: name.into(), share, rtt: Span::ZERO };
        let config = ClientsConfig {
            population: 100_000,
            regions: vec![region("us", 0.6), region("eu", 0.3), region("ap", 0.1)],
            bots: 0.05,
            ..ClientsConfig::default()
        };
        let clients = Population::new(&config, 9);
        let mut counts = [0u64; 3];
        let mut bots = [0u64; 2];
        let mut bots_of_us = [0u64; 2];
        for client in 0..config.population {
            let region = usize::from(clients.region(client));
            counts[region] += 1;
            bots[usize::from(clients.bot(client))] += 1;
            if region == 0 {
                bots_of_us[usize::from(clients.bot(client))] += 1;
            }
        }
        assert_fits("regions", &counts, &[0.6, 0.3, 0.1]);
        assert_fits("bots", &bots, &[0.95, 0.05]);
        assert_fits("bots whatever the region", &bots_of_us, &[0.95, 0.05]);
    }

    #[test]
    fn a_seed_decides_and_attackers_are_nobody_else() {
        let config = ClientsConfig { population: 1000, zipf: 1.0, ..ClientsConfig::default() };
        let clients = Population::new(&config, 1);
        let of = |p: &Population| (0..100).map(|i| p.client(i)).collect::<Vec<_>>();
        assert_eq!(of(&clients), of(&Population::new(&config, 1)));
        assert_eq!(of(&clients.reseeded(2)), of(&Population::new(&config, 2)));
        assert_ne!(of(&clients), of(&clients.reseeded(2)));

        let attack = |n| Attack { at: Span::ZERO, rate: 1.0, lasts: Span(1), clients: n, endpoint: None };
        let ids = clients.attackers([attack(50), attack(0), attack(3)].iter());
        assert_eq!(ids, [1000..1050, 1050..1051, 1051..1054]);
        let mut seen = [0u64; 3];
        (0..3000).for_each(|i| seen[(clients.attacker(i, &ids[2]) - 1051) as usize] += 1);
        assert_fits("attackers", &seen, &[1.0; 3]);
    }

    #[test]
    fn a_configuration_that_cannot_be_meant_is_told() {
        let region = Region { name: "us".into(), share: 0.0, rtt: Span::ZERO };
        let config = ClientsConfig { population: 0, zipf: -1.0, regions: vec![region], bots: 2.0 };
        let keys: Vec<String> = config.problems().into_iter().map(|p| p.key).collect();
        assert_eq!(keys, ["population", "zipf", "regions", "bots"]);
        assert_eq!(Population::new(&config, 0).client(5), 0);
        assert_eq!(ClientsConfig::default().problems(), []);
    }
}
