//! Fixed windows, aligned to multiples of their length.

use super::Counter;
use crate::units::{Span, Time};

#[derive(Clone, Copy, Debug, Default)]
struct Cell {
    /// When the window began.
    began: u64,
    count: u32,
    newest: u64,
}

#[derive(Clone, Debug)]
pub(super) struct FixedWindow {
    limit: u32,
    window: u64,
    cells: Vec<Cell>,
}

impl FixedWindow {
    pub(super) fn new(limit: u32, window: Span) -> FixedWindow {
        FixedWindow { limit, window: window.0, cells: Vec::new() }
    }

    /// The cell of `key` as it stands at `now`, and the time that counts.
    fn at(&self, now: Time, key: usize) -> (Cell, u64) {
        let mut cell = self.cells[key];
        let now = now.0.max(cell.newest);
        if now - cell.began >= self.window {
            cell = Cell { began: now - now % self.window, count: 0, newest: now };
        }
        (cell, now)
    }
}

impl Counter for FixedWindow {
    fn grow(&mut self, keys: usize) {
        self.cells.resize(keys, Cell::default());
    }

    #[inline]
    fn admit(&mut self, now: Time, key: usize, cost: u32) -> Result<(), Span> {
        let (cell, now) = self.at(now, key);
        if cost > self.limit - cell.count {
            return Err(Span(cell.began + self.window - now));
        }
        self.cells[key] = Cell { count: cell.count + cost, newest: now, ..cell };
        Ok(())
    }

    fn remaining(&self, now: Time, key: usize) -> u32 {
        self.limit - self.at(now, key).0.count
    }

    fn reset_after(&self, now: Time, key: usize) -> Span {
        let (cell, now) = self.at(now, key);
        if cell.count == 0 { Span::ZERO } else { Span(cell.began + self.window - now) }
    }
}
