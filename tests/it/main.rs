//! Everything that is tested from outside, in one binary: each further file in `tests/` would link the library again.

mod scenario_problems;
