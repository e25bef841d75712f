//! Patterns: how load goes over the hours and the week, and where it comes from and goes to.

use crate::engine::analyzer::diversity::wilson;
use crate::units::{Span, Time};

/// Keys counted apart; the last takes all others.
const KEYS: usize = 256;
/// Where time zero lies: midnight on a Monday. Days are numbered from Sunday.
const MONDAY: usize = 1;

/// Means and shares of all that was offered.
#[derive(Clone, Debug)]
pub struct Patterns {
    /// Requests and seconds in each hour of the day.
    hours: [(f64, f64); 24],
    /// The same for days, from Sunday.
    days: [(f64, f64); 7],
    endpoints: Vec<u64>,
    regions: Vec<u64>,
    total: u64,
}

/// A share, with its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Share {
    /// Which endpoint or region, by its number.
    pub key: usize,
    /// Its share of all requests, 0..1.
    pub share: f64,
    /// Wilson's interval.
    pub interval: (f64, f64),
}

impl Default for Patterns {
    fn default() -> Patterns {
        Patterns {
            hours: [(0.0, 0.0); 24],
            days: [(0.0, 0.0); 7],
            endpoints: vec![0; KEYS],
            regions: vec![0; KEYS],
            total: 0,
        }
    }
}

impl Patterns {
    /// A request.
    #[inline]
    pub fn visit(&mut self, endpoint: u32, region: u32) {
        self.endpoints[(endpoint as usize).min(KEYS - 1)] += 1;
        self.regions[(region as usize).min(KEYS - 1)] += 1;
        self.total += 1;
    }

    /// A bin that began at `began` had `count` requests.
    pub fn close_bin(&mut self, began: Time, bin: Span, count: f64) {
        let hour = (began.0 / Span::from_mins(60).0) as usize;
        let day = (hour / 24 + MONDAY) % 7;
        for (requests, seconds) in [&mut self.hours[hour % 24], &mut self.days[day]] {
            *requests += count;
            *seconds += bin.as_secs_f64();
        }
    }

    /// Mean rate in each hour of the day \[1/s\]; `None` where nothing was seen.
    pub fn hourly(&self) -> [Option<f64>; 24] {
        self.hours.map(|(requests, seconds)| (seconds > 0.0).then(|| requests / seconds))
    }

    /// Mean rate on each day of the week, from Sunday \[1/s\]; `None` where nothing was seen.
    pub fn daily(&self) -> [Option<f64>; 7] {
        self.days.map(|(requests, seconds)| (seconds > 0.0).then(|| requests / seconds))
    }

    /// The busiest hour and the quietest, of those seen, with their rates \[1/s\]; `None` before two hours were seen.
    pub fn extremes(&self) -> Option<Extremes> {
        let seen: Vec<(usize, f64)> =
            self.hourly().into_iter().enumerate().filter_map(|(hour, rate)| Some((hour, rate?))).collect();
        let busiest = seen.iter().copied().max_by(|a, b| a.1.total_cmp(&b.1))?;
        let quietest = seen.iter().copied().min_by(|a, b| a.1.total_cmp(&b.1))?;
        (seen.len() > 1).then_some(Extremes { busiest, quietest })
    }

    /// Endpoints by their share, the largest first.
    pub fn endpoints(&self) -> Vec<Share> {
        self.shares(&self.endpoints)
    }

    /// Regions by their share, the largest first.
    pub fn regions(&self) -> Vec<Share> {
        self.shares(&self.regions)
    }

    fn shares(&self, counts: &[u64]) -> Vec<Share> {
        let n = self.total as f64;
        let mut shares: Vec<Share> = counts
            .iter()
            .enumerate()
            .filter(|(_, count)| **count > 0)
            .map(|(key, &count)| Share { key, share: count as f64 / n, interval: wilson(count as f64, n) })
            .collect();
        shares.sort_by(|a, b| b.share.total_cmp(&a.share).then(a.key.cmp(&b.key)));
        shares
    }
}

/// Hours of the day, with their mean rates \[1/s\].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Extremes {
    /// The busiest.
    pub busiest: (usize, f64),
    /// The quietest.
    pub quietest: (usize, f64),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_and_days_have_mean_rates_and_shares_sum_to_one() {
        let mut patterns = Patterns::default();
        let bin = Span::from_mins(60);
        for hour in 0..24 * 8 {
            patterns.close_bin(Time(hour * bin.0), bin, if hour % 24 == 20 { 7200.0 } else { 3600.0 });
        }
        assert_eq!((patterns.hourly()[20], patterns.hourly()[3]), (Some(2.0), Some(1.0)));
        assert_eq!(patterns.daily()[MONDAY], Some(25.0 / 24.0));
        let extremes = patterns.extremes().unwrap();
        assert_eq!((extremes.busiest, extremes.quietest.1), ((20, 2.0), 1.0));
        (0..10).for_each(|i| patterns.visit(i % 3, 1000));
        let shares = patterns.endpoints();
        assert_eq!((shares[0].key, shares[0].share), (0, 0.4));
        assert!((shares.iter().map(|s| s.share).sum::<f64>() - 1.0).abs() < 1e-12);
        assert_eq!(patterns.regions()[0].key, KEYS - 1, "beyond the last, all others");
    }
}
