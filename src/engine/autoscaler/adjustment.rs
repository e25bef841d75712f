//! How far an alarm's policy changes the size: by so many, by so many percent, or to so many.
//!
//! Source: EC2 Auto Scaling, "Scaling adjustment types".

/// `AdjustmentType`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AdjustmentType {
    /// `ChangeInCapacity`: so many more, or fewer (default).
    #[default]
    ChangeInCapacity,
    /// `ExactCapacity`: this many.
    ExactCapacity,
    /// `PercentChangeInCapacity`: so many percent more, or fewer.
    PercentChangeInCapacity,
}

impl AdjustmentType {
    /// Every type, with the name used in scenario files.
    pub const ALL: [(&'static str, AdjustmentType); 3] = [
        ("change_in_capacity", AdjustmentType::ChangeInCapacity),
        ("exact_capacity", AdjustmentType::ExactCapacity),
        ("percent_change_in_capacity", AdjustmentType::PercentChangeInCapacity),
    ];

    /// The size that `adjustment` makes of `capacity`. A percentage changes it by `least` at least.
    pub(super) fn apply(self, capacity: u32, adjustment: i32, least: u32) -> u32 {
        let capacity = i64::from(capacity);
        let size = match self {
            AdjustmentType::ChangeInCapacity => capacity + i64::from(adjustment),
            AdjustmentType::ExactCapacity => i64::from(adjustment),
            AdjustmentType::PercentChangeInCapacity => {
                let change = rounded(capacity as f64 * f64::from(adjustment) / 100.0);
                capacity + change.signum() * change.abs().max(i64::from(least))
            }
        };
        size.clamp(0, i64::from(u32::MAX)) as u32
    }
}

/// Towards zero, except that less than one instance is one.
fn rounded(change: f64) -> i64 {
    match change {
        x if x > 0.0 && x < 1.0 => 1,
        x if x < 0.0 && x > -1.0 => -1,
        x => x.trunc() as i64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_are_rounded_towards_zero_but_not_to_it() {
        assert_eq!([12.7, 0.67, -0.58, -6.67, 0.0].map(rounded), [12, 1, -1, -6, 0], "W-01");
        let percent = AdjustmentType::PercentChangeInCapacity;
        assert_eq!(percent.apply(4, 25, 2), 6, "W-06");
        assert_eq!(percent.apply(10, -30, 1), 7);
        assert_eq!(AdjustmentType::ChangeInCapacity.apply(2, -5, 3), 0);
        assert_eq!(AdjustmentType::ExactCapacity.apply(2, 9, 3), 9);
    }
}
