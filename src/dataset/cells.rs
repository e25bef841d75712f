//! The cells of a table that somebody else wrote, as text: what columns are recognized by, and read as.

use std::fs::File;
use std::path::Path;

use polars::prelude::*;

/// Columns of a table, all of its rows or some.
#[derive(Debug)]
pub(super) struct Cells {
    /// A column each, in the order of `names`; `None` if it was not asked for or is of a type that is no text, number or time.
    columns: Vec<Option<StringChunked>>,
    /// How many rows there are.
    pub(super) rows: usize,
}

impl Cells {
    /// Reads `rows` rows from row `from` of the columns `wanted`, or of all.
    pub(super) fn read(path: &Path, from: usize, rows: usize, wanted: Option<&[usize]>) -> PolarsResult<Cells> {
        let mut reader = ParquetReader::new(File::open(path)?);
        let schema = reader.schema()?;
        let asked = |i: usize| wanted.is_none_or(|wanted| wanted.contains(&i));
        let known: Vec<bool> =
            schema.iter_values().enumerate().map(|(i, field)| asked(i) && is_readable(&field.dtype)).collect();
        let projection: Vec<usize> = (0..known.len()).filter(|&i| known[i]).collect();
        let rows = rows.min(reader.num_rows()?.saturating_sub(from));
        let mut columns: Vec<Option<StringChunked>> = vec![None; known.len()];
        if !projection.is_empty() && rows > 0 {
            let frame = ParquetReader::new(File::open(path)?)
                .with_projection(Some(projection.clone()))
                .with_slice(Some((from, rows)))
                .read_parallel(ParallelStrategy::None)
                .finish()?;
            for (column, i) in frame.columns().iter().zip(projection) {
                columns[i] = Some(text(column)?);
            }
        }
        Ok(Cells { columns, rows })
    }

    /// The cell of a row in a column; empty if there is none.
    pub(super) fn get(&self, row: usize, column: usize) -> &[u8] {
        self.columns.get(column).and_then(Option::as_ref).and_then(|c| c.get(row)).unwrap_or("").as_bytes()
    }

    /// All cells of a row.
    pub(super) fn row(&self, row: usize) -> Vec<Vec<u8>> {
        (0..self.columns.len()).map(|column| self.get(row, column).to_vec()).collect()
    }
}

/// The names of a table's columns in lower case, in their order; one of a type that is not read says so.
pub(super) fn names(path: &Path) -> PolarsResult<Vec<String>> {
    let mut reader = ParquetReader::new(File::open(path)?);
    let shown = |(name, field): (&PlSmallStr, &ArrowField)| match is_readable(&field.dtype) {
        true => name.to_ascii_lowercase(),
        false => format!("{} ({:?}: not read)", name.to_ascii_lowercase(), field.dtype),
    };
    Ok(reader.schema()?.iter().map(shown).collect())
}

/// Whether cells of a type can be read as text. Small integers, decimals and nested values cost a library twice the size.
fn is_readable(kind: &ArrowDataType) -> bool {
    use ArrowDataType::*;
    match kind {
        Boolean | Int32 | Int64 | UInt32 | UInt64 | Float32 | Float64 => true,
        Utf8 | LargeUtf8 | Utf8View | Date32 | Date64 | Timestamp(..) => true,
        Dictionary(_, values, _) => is_readable(values),
        _ => false,
    }
}

/// A column as text. Moments of a zone are in UTC, and say so.
fn text(column: &Column) -> PolarsResult<StringChunked> {
    let column = column.rechunk();
    let DataType::Datetime(unit, Some(_)) = column.dtype() else {
        return column.cast(&DataType::String)?.str().cloned();
    };
    let plain = column.cast(&DataType::Int64)?.cast(&DataType::Datetime(*unit, None))?.cast(&DataType::String)?;
    Ok(plain.str()?.iter().map(|cell| cell.map(|cell| format!("{cell}Z"))).collect())
}
