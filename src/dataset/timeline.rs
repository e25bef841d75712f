//! The timeline of a run as a table.

use std::path::Path;

use polars::prelude::*;

use super::{Error, store};
use crate::record::timeline::{Column as Figure, Timeline};

/// Writes a timeline: `t` \[s\] and every column of `timeline.csv`, values that there are not absent.
pub fn write_timeline(timeline: &Timeline, path: &Path) -> Result<(), Error> {
    let failed = Error::table(path);
    let mut columns = vec![Column::new("t".into(), timeline.t.clone())];
    for figure in Figure::ALL {
        let values: Vec<Option<f64>> = timeline.column(figure).iter().map(|v| v.is_finite().then_some(*v)).collect();
        columns.push(Column::new(figure.name().into(), values));
    }
    let mut frame = DataFrame::new_infer_height(columns).map_err(&failed)?;
    store(&mut frame, path)
}
