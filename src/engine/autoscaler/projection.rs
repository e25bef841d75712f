//! What a load-proportional metric would be on a fleet of another size: `value × ready / ready after the change`.
//!
//! Two guards use it. Scaling up while instances boot, the value is spread over those that are coming too, so that
//! one shortage is not answered twice. Scaling down, a size at which the value would trip a scale-up rule is
//! avoided (anti-flapping of Azure Monitor): the sizes in between are tried, smallest first.

/// `value` per instance when the load of `ready` instances is spread over `after` of them.
pub(super) fn project(value: f64, ready: u32, after: u32) -> f64 {
    value * f64::from(ready) / f64::from(after)
}

/// The smallest size in `to..existing` at which no projected value trips; `None` if all do.
///
/// `trips` is asked with the number of ready instances at a size: those that are not ready leave first.
pub(super) fn smallest_calm_size(existing: u32, ready: u32, to: u32, trips: impl Fn(u32) -> bool) -> Option<u32> {
    (to..existing).find(|&size| !trips(ready.min(size)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scale_down_stops_where_a_scale_up_would_begin() {
        for (id, out, n, value, step, expected) in [
            ("Z-01", 80.0, 3, 60.0, 1, None),
            ("Z-02", 80.0, 3, 50.0, 1, Some(2)),
            ("Z-03", 600.0, 3, 575.0, 1, None),
            ("Z-04", 50.0, 6, 30.0, 3, Some(4)),
            ("to zero", 50.0, 1, 0.0, 1, Some(0)),
            ("to zero under load", 50.0, 1, 0.1, 1, None),
        ] {
            let size = smallest_calm_size(n, n, n - step, |after| project(value, n, after) >= out);
            assert_eq!(size, expected, "{id}");
        }
    }

    #[test]
    fn thresholds_far_enough_apart_never_flap() {
        let worst: Vec<f64> = (2..=5).map(|n| (project(20.0, n, n - 1) * 10.0).round() / 10.0).collect();
        assert_eq!(worst, [40.0, 30.0, 26.7, 25.0], "Z-05");
    }

    #[test]
    fn removing_what_is_not_ready_moves_no_load() {
        let size = smallest_calm_size(5, 4, 4, |after| project(69.0, 4, after) > 70.0);
        assert_eq!(size, Some(4));
    }
}
