//! The sliding counter: two fixed windows, the older one weighted by how much of it is still in view.
//!
//! With e the time into the current window, `estimate · W = previous · (W − e) + current · W`, and a request passes if the
//! estimate after adding it is at most the limit. All in units of request · ns, so nothing is rounded.

use super::Counter;
use crate::units::{Span, Time};

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cell {
    pub(super) began: u64,
    pub(super) newest: u64,
    pub(super) previous: u32,
    pub(super) current: u32,
}

#[derive(Clone, Debug)]
pub(super) struct SlidingWindow {
    pub(super) limit: u32,
    window: u64,
    pub(super) cells: Vec<Cell>,
}

impl SlidingWindow {
    pub(super) fn new(limit: u32, window: Span) -> SlidingWindow {
        SlidingWindow { limit, window: window.0, cells: Vec::new() }
    }

    #[inline]
    fn at(&self, now: Time, key: usize) -> (Cell, u64) {
        let mut cell = self.cells[key];
        let now = now.0.max(cell.newest);
        if now - cell.began >= self.window {
            let began = now - now % self.window;
            let previous = if began - cell.began == self.window { cell.current } else { 0 };
            cell = Cell { began, newest: now, previous, current: 0 };
        }
        cell.newest = now;
        (cell, now)
    }

    /// Requests · ns still free at `now`; negative when over.
    #[inline]
    fn room(&self, cell: &Cell, now: u64) -> i128 {
        let left = self.window - (now - cell.began);
        let free = i128::from(self.limit) - i128::from(cell.current);
        free * i128::from(self.window) - i128::from(cell.previous) * i128::from(left)
    }

    fn wait(&self, cell: &Cell, now: u64, cost: u32) -> Span {
        let (limit, window, cost) = (u128::from(self.limit), u128::from(self.window), u128::from(cost));
        let (previous, current) = (u128::from(cell.previous), u128::from(cell.current));
        let elapsed = u128::from(now - cell.began);
        if previous > 0 && limit >= current + cost {
            let needed = window.saturating_sub((limit - current - cost) * window / previous);
            if needed <= window {
                return Span(needed.saturating_sub(elapsed) as u64);
            }
        }
        // In the next window, what is current now will be the previous one.
        let free_at = ((limit - cost) * window).checked_div(current);
        let needed = free_at.map_or(0, |free_at| window.saturating_sub(free_at));
        Span((window - elapsed + needed) as u64)
    }
}

impl Counter for SlidingWindow {
    fn grow(&mut self, keys: usize) {
        self.cells.resize(keys, Cell::default());
    }

    #[inline]
    fn admit(&mut self, now: Time, key: usize, cost: u32) -> Result<(), Span> {
        let (cell, now) = self.at(now, key);
        if self.room(&cell, now) < i128::from(cost) * i128::from(self.window) {
            return Err(self.wait(&cell, now, cost));
        }
        self.cells[key] = Cell { current: cell.current + cost, ..cell };
        Ok(())
    }

    fn remaining(&self, now: Time, key: usize) -> u32 {
        let (cell, now) = self.at(now, key);
        (self.room(&cell, now).max(0) / i128::from(self.window)) as u32
    }

    fn reset_after(&self, now: Time, key: usize) -> Span {
        let (cell, now) = self.at(now, key);
        let end = cell.began + self.window;
        match (cell.previous, cell.current) {
            (0, 0) => Span::ZERO,
            (_, 0) => Span(end - now),
            _ => Span(end + self.window - now),
        }
    }
}
