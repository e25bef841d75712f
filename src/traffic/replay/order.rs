//! The rule of order, for seconds of a log and steps of a series alike.

/// Lines in a row by which a clock that was set back is known from a few that are late.
const SETTLED: u32 = 64;

/// Puts moments where they belong.
#[derive(Clone, Copy, Debug)]
pub(super) struct Order {
    /// How late a line may be.
    window: i64,
    /// The most that a clock may be set back; 0: it never is.
    setback: i64,
    newest: Option<i64>,
    /// What is added to what the clock shows since it was set back.
    shift: i64,
    /// Lines in a row that were too late, the first and the last of them.
    behind: u32,
    first: i64,
    last: i64,
    /// Times that the clock was set back.
    pub(super) setbacks: u64,
}

/// Where a moment belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) at: i64,
    /// Whether it was moved because it is too late.
    pub(super) late: bool,
    /// Moments before it that were taken for late, and were early after the clock was set back.
    pub(super) forgiven: u64,
}

impl Order {
    pub(super) fn new(window: i64, setback: i64) -> Order {
        Order { window, setback, newest: None, shift: 0, behind: 0, first: 0, last: 0, setbacks: 0 }
    }

    /// The earliest moment that is not too late.
    pub(super) fn open(&self) -> i64 {
        self.newest.map_or(i64::MIN, |newest| newest.saturating_sub(self.window))
    }

    /// Takes note of a moment and answers where it belongs: there, or at the start of the window.
    #[inline]
    pub(super) fn place(&mut self, shown: i64) -> Place {
        let at = shown.saturating_add(self.shift);
        let newest = self.newest.map_or(at, |newest| newest.max(at));
        if at >= newest.saturating_sub(self.window) {
            (self.newest, self.behind) = (Some(newest), 0);
            return Place { at, late: false, forgiven: 0 };
        }
        self.late(at, newest)
    }

    #[cold]
    fn late(&mut self, at: i64, newest: i64) -> Place {
        let back = newest - at;
        // In order among themselves but for the window, as lines of a clock are.
        let in_order = self.behind == 0 || at >= self.last.saturating_sub(self.window);
        self.behind = if in_order && back <= self.setback { self.behind + 1 } else { 0 };
        self.first = if self.behind <= 1 { at } else { self.first };
        self.last = at;
        if self.behind == SETTLED && at < self.first {
            self.behind = 0;
        }
        if self.behind == SETTLED {
            self.behind = 0;
            self.setbacks += 1;
            // The first of them came when the newest before them had come.
            let back = newest - self.first;
            self.shift = self.shift.saturating_add(back);
            let at = at + back;
            self.newest = Some(at);
            return Place { at, late: false, forgiven: u64::from(SETTLED - 1) };
        }
        Place { at: newest.saturating_sub(self.window), late: true, forgiven: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_lines_are_late_and_many_are_a_clock_that_was_set_back() {
        let mut order = Order::new(60, 7200);
        let mut place = |at| order.place(at);
        assert_eq!(place(10_000), Place { at: 10_000, late: false, forgiven: 0 });
        assert_eq!(place(9_950), Place { at: 9_950, late: false, forgiven: 0 });
        assert_eq!(place(9_000), Place { at: 9_940, late: true, forgiven: 0 });
        assert_eq!(place(10_001).at, 10_001);
        for second in 0..63 {
            assert!(place(6_401 + second).late);
        }
        assert_eq!(place(6_464), Place { at: 10_064, late: false, forgiven: 63 });
        assert_eq!(place(6_465), Place { at: 10_065, late: false, forgiven: 0 });
        assert_eq!(order.setbacks, 1);
        let mut order = Order::new(60, 7200);
        order.place(100_000);
        assert!((0..500).all(|second| order.place(second).late), "a day back is no clock but another file");
        let mut order = Order::new(60, 7200);
        order.place(5000);
        assert!((0..1000).all(|n| order.place(4900 - n).late), "time that runs backwards is no clock either");
    }
}
