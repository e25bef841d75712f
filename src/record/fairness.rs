//! How evenly clients were served: Jain's index (Jain, Chiu, Hawe 1984).
//!
//! ```text
//! (Σ x)² / (n · Σ x²)        1: all have the same; 1/n: one has everything
//! ```
//!
//! A quota that all clients share lets one of them starve the others, and no figure on all requests shows it.

/// Jain's index of what each got; `None` of nothing.
pub fn jain(shares: impl Iterator<Item = u64>) -> Option<f64> {
    let (n, sum, squares) = shares.fold((0u64, 0u128, 0u128), |(n, sum, squares), x| {
        (n + 1, sum + u128::from(x), squares + u128::from(x) * u128::from(x))
    });
    (squares > 0).then(|| sum as f64 * sum as f64 / (n as f64 * squares as f64))
}

/// What became of each client's requests.
#[derive(Clone, Debug, Default)]
pub struct Fairness {
    /// By client; `None`: it asked for nothing.
    served: Vec<Option<u32>>,
}

impl Fairness {
    /// A client asks.
    pub fn asked(&mut self, client: u32) {
        let place = client as usize;
        if place >= self.served.len() {
            self.served.resize(place + 1, None);
        }
        self.served[place].get_or_insert(0);
    }

    /// A client is served.
    pub fn served(&mut self, client: u32) {
        if let Some(Some(served)) = self.served.get_mut(client as usize) {
            *served = served.saturating_add(1);
        }
    }

    /// Jain's index of served requests, over the clients that asked; `None` if nobody was served.
    pub fn index(&self) -> Option<f64> {
        jain(self.served.iter().flatten().map(|&served| u64::from(served)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_index_is_the_share_of_clients_that_could_have_been_served_alike() {
        for (got, expected) in [([10, 10, 10, 10], 1.0), ([40, 0, 0, 0], 0.25), ([20, 10, 10, 0], 0.6667)] {
            let mut fairness = Fairness::default();
            for (client, &n) in (0..).zip(&got) {
                fairness.asked(client);
                (0..n).for_each(|_| fairness.served(client));
            }
            assert!((fairness.index().unwrap() - expected).abs() < 1e-4, "RL-56: {got:?}");
        }
        assert_eq!(Fairness::default().index(), None);
    }
}
