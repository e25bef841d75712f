//! The integration tests, in reading order: one binary, so that everything links once.

mod theory;
mod world;
