//! Several models together: weights by inverse squared error (Bates & Granger 1969).

/// No weight is below.
const FLOOR: f64 = 0.05;

/// Weights in proportion to 1 / squared error, none below a twentieth, summing to 1. A model without error takes all but the floors.
pub fn weights(mse: &[f64]) -> Vec<f64> {
    let inverse: Vec<f64> = mse.iter().map(|mse| 1.0 / mse.max(1e-300)).collect();
    let total: f64 = inverse.iter().sum();
    if !total.is_finite() {
        return vec![1.0 / mse.len().max(1) as f64; mse.len()];
    }
    let floored: Vec<f64> = inverse.iter().map(|w| (w / total).max(FLOOR)).collect();
    let total: f64 = floored.iter().sum();
    floored.iter().map(|w| w / total).collect()
}
