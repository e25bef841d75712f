//! Counting over the recent past: buckets of a time window.
