//! Instance-time and its price.
//!
//! Billing starts when an instance is asked for (provisioning is paid), and ends when it is gone (draining is paid
//! too). `billed = max(minimum, ⌈lifetime / granularity⌉ × granularity)`, as the clouds bill.

use serde::{Deserialize, Serialize};

use crate::units::Span;

/// How instances are billed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Billing {
    /// Price of an instance-hour, in the user's currency; ≥ 0.
    pub price_per_hour: f64,
    /// Lifetimes are rounded up to a multiple of this; zero: billed exactly.
    pub granularity: Span,
    /// Shortest lifetime that is billed.
    pub minimum: Span,
}

impl Default for Billing {
    fn default() -> Billing {
        Billing { price_per_hour: 0.0, granularity: Span::ZERO, minimum: Span::ZERO }
    }
}

/// What a fleet cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// Instance-time billed \[h\].
    pub instance_hours: f64,
    /// Its price, in the currency of [`Billing::price_per_hour`].
    pub cost: f64,
}

impl Billing {
    /// The time billed for an instance that existed for `lifetime`.
    pub fn billed(&self, lifetime: Span) -> Span {
        let rounded = match self.granularity.0 {
            0 => lifetime.0,
            g => lifetime.0.div_ceil(g) * g,
        };
        Span(rounded.max(self.minimum.0))
    }

    /// The cost of instances with these lifetimes.
    pub fn cost(&self, lifetimes: impl IntoIterator<Item = Span>) -> Cost {
        let nanos: u128 = lifetimes.into_iter().map(|lifetime| u128::from(self.billed(lifetime).0)).sum();
        let instance_hours = nanos as f64 / 3.6e12;
        Cost { instance_hours, cost: instance_hours * self.price_per_hour }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lifetimes_are_billed_as_clouds_do() {
        let s = Span::from_secs;
        let bill =
            |granularity, minimum, lifetime| Billing { price_per_hour: 0.1, granularity, minimum }.billed(lifetime);
        assert_eq!(bill(s(1), s(60), s(45)), s(60), "C-01");
        assert_eq!(bill(s(1), s(60), s(3601)), s(3601), "C-02");
        assert_eq!(bill(s(3600), s(0), s(3601)), s(7200), "C-02");
        assert_eq!(bill(s(60), s(0), s(61)), s(120), "C-03");
        let cost = Billing { price_per_hour: 0.1, ..Billing::default() }.cost([s(3600); 5]);
        assert!((cost.cost - 0.5).abs() < 1e-12, "C-04");
    }
}
