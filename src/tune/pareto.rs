//! Trade-offs: which points nothing beats in every objective, how they are ordered, and which of them to look at first.
//!
//! Ranks and crowding distances are those of NSGA-II (Deb et al. 2002). All objectives are minimised.

/// Whether `a` is no worse than `b` in every objective, and better in one.
pub fn dominates(a: &[f64], b: &[f64]) -> bool {
    a.iter().zip(b).all(|(a, b)| a <= b) && a.iter().zip(b).any(|(a, b)| a < b)
}

/// The rank of each point: 0 for those that nothing dominates, 1 for those that only these do, and so on.
pub fn ranks(points: &[Vec<f64>]) -> Vec<usize> {
    let mut ranks = vec![usize::MAX; points.len()];
    let mut rank = 0;
    while ranks.contains(&usize::MAX) {
        let left: Vec<usize> = (0..points.len()).filter(|&i| ranks[i] == usize::MAX).collect();
        for &i in &left {
            if !left.iter().any(|&j| dominates(&points[j], &points[i])) {
                ranks[i] = rank;
            }
        }
        // A point that is not a number is dominated by none and dominates none, so each round ranks something.
        rank += 1;
    }
    ranks
}

/// The points that nothing dominates, in the order of the first objective; of equal ones the first.
pub fn front(points: &[Vec<f64>]) -> Vec<usize> {
    let mut front: Vec<usize> = (0..points.len())
        .filter(|&i| points[i].iter().all(|x| x.is_finite()))
        .filter(|&i| !points.iter().any(|other| dominates(other, &points[i])))
        .filter(|&i| !points[..i].contains(&points[i]))
        .collect();
    front.sort_by(|&a, &b| points[a].partial_cmp(&points[b]).unwrap_or(std::cmp::Ordering::Equal).then(a.cmp(&b)));
    front
}

/// Crowding distance of each of these distinct points among themselves: the sum over objectives of the normalised gap between a point's
/// neighbours, infinite at the ends.
pub fn crowding(points: &[Vec<f64>]) -> Vec<f64> {
    let mut distances = vec![0.0; points.len()];
    for objective in 0..points.first().map_or(0, Vec::len) {
        let mut order: Vec<usize> = (0..points.len()).collect();
        order.sort_by(|&a, &b| points[a][objective].total_cmp(&points[b][objective]));
        let (Some(&first), Some(&last)) = (order.first(), order.last()) else { break };
        let width = points[last][objective] - points[first][objective];
        (distances[first], distances[last]) = (f64::INFINITY, f64::INFINITY);
        for around in order.windows(3).filter(|_| width > 0.0) {
            distances[around[1]] += (points[around[2]][objective] - points[around[0]][objective]) / width;
        }
    }
    distances
}

/// The area that points dominate up to `reference`, with two objectives.
pub fn hypervolume(points: &[[f64; 2]], reference: [f64; 2]) -> f64 {
    let mut inside: Vec<[f64; 2]> =
        points.iter().copied().filter(|p| p[0] < reference[0] && p[1] < reference[1]).collect();
    inside.sort_by(|a, b| a[0].total_cmp(&b[0]));
    let (mut area, mut lowest) = (0.0, reference[1]);
    for [x, y] in inside {
        if y < lowest {
            area += (reference[0] - x) * (lowest - y);
            lowest = y;
        }
    }
    area
}

/// The knee of a front of two objectives: after normalising it to the unit square, the point furthest below the line between its
/// ends, with its distance, (1 − x − y)/√2. `None` with fewer than three points.
pub fn knee(front: &[[f64; 2]]) -> Option<(usize, f64)> {
    if front.len() < 3 {
        return None;
    }
    let range = |k: usize| {
        let all = || front.iter().map(|point| point[k]);
        (all().fold(f64::INFINITY, f64::min), all().fold(f64::NEG_INFINITY, f64::max))
    };
    let (x, y) = (range(0), range(1));
    let normal = |v: f64, (low, high): (f64, f64)| if high > low { (v - low) / (high - low) } else { 0.0 };
    let distance = |point: &[f64; 2]| (1.0 - normal(point[0], x) - normal(point[1], y)) / std::f64::consts::SQRT_2;
    front.iter().map(distance).enumerate().max_by(|a, b| a.1.total_cmp(&b.1).then(b.0.cmp(&a.0)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NAMES: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];
    const POINTS: [[f64; 2]; 8] = [
        [36.0, 420.0],
        [38.0, 300.0],
        [42.0, 200.0],
        [50.0, 120.0],
        [40.0, 310.0],
        [45.0, 250.0],
        [55.0, 119.0],
        [38.0, 300.0],
    ];

    fn points() -> Vec<Vec<f64>> {
        POINTS.iter().map(|point| point.to_vec()).collect()
    }

    #[test]
    fn ranks_are_layers_of_points_that_nothing_left_dominates() {
        // T-17
        let ranks = ranks(&points());
        let of = |rank| (0..8).filter(|&i| ranks[i] == rank).map(|i| NAMES[i]).collect::<String>();
        assert_eq!((of(0), of(1)), ("abcdgh".to_string(), "ef".to_string()));
    }

    #[test]
    fn crowding_prefers_the_lonely() {
        // T-18
        let front: Vec<Vec<f64>> = front(&points()).into_iter().map(|i| points()[i].clone()).collect();
        let shown: Vec<String> = crowding(&front).iter().map(|d| format!("{d:.6}")).collect();
        assert_eq!(shown, ["inf", "1.046686", "1.229586", "0.953314", "inf"]);
    }

    #[test]
    fn hypervolume_and_knee_are_those_of_the_reference() {
        // T-19, T-20
        assert_eq!(hypervolume(&POINTS, [60.0, 500.0]), 7165.0);
        let front = [POINTS[0], POINTS[1], POINTS[2], POINTS[3], POINTS[6]];
        let (at, distance) = knee(&front).unwrap();
        assert_eq!((at, format!("{distance:.6}")), (2, "0.293525".to_string()));
    }

    proptest! {
        #[test]
        fn the_front_dominates_the_rest_and_another_point_never_makes_it_smaller(
            xs in proptest::collection::vec((0.0f64..1.0, 0.0f64..1.0), 1..30),
            (x, y) in (0.0f64..1.0, 0.0f64..1.0),
        ) {
            let mut points: Vec<Vec<f64>> = xs.iter().map(|&(x, y)| vec![x, y]).collect();
            let front = front(&points);
            for i in 0..points.len() {
                let beaten = points.iter().any(|other| dominates(other, &points[i]));
                let twin = points[..i].contains(&points[i]);
                prop_assert_eq!(front.contains(&i), !beaten && !twin);
            }
            let area = |points: &[Vec<f64>]| {
                hypervolume(&points.iter().map(|p| [p[0], p[1]]).collect::<Vec<_>>(), [1.0, 1.0])
            };
            let before = area(&points);
            points.push(vec![x, y]);
            prop_assert!(area(&points) >= before);
        }
    }
}
