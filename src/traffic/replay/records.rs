//! The requests of one or several recordings, merged in order of time.
//!
//! Files are opened when the merge comes to their first request and closed at their end, so that a year of daily logs costs one
//! block of memory and not a year of them. Where two overlap, a line is read twice: once to learn its time, and again when
//! it is its turn.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Error, failed};
use crate::traffic::formats::input::{self, Lines};
use crate::traffic::formats::{Fault, LogParser, Record, is_blank};

/// Requests that are not lines of text: the rows of a table that somebody else reads.
pub trait RequestTable: fmt::Debug + Send + Sync {
    /// Begins to read it, from its first row.
    fn open(&self) -> io::Result<Box<dyn TableRows>>;

    /// What it is, in words.
    fn describe(&self) -> String;

    /// Whether times are moments of history, and not offsets.
    fn dated(&self) -> bool;
}

/// The rows of a [`RequestTable`], one after the other.
pub trait TableRows: Send {
    /// The next row, or what is wrong with it; `None` at the end.
    fn next_row(&mut self) -> io::Result<Option<Result<Record<'_>, Fault>>>;
}

/// Where requests are read from.
#[derive(Clone, Debug)]
pub(super) enum Source {
    /// Files of text, in order of their first requests, each with its parser.
    Files(Arc<[LogFile]>),
    /// A table.
    Table(PathBuf, Arc<dyn RequestTable>),
}

/// A file of lines.
#[derive(Clone, Debug)]
pub(super) struct LogFile {
    pub(super) path: PathBuf,
    pub(super) parser: LogParser,
    /// Time of the first request \[s\].
    pub(super) first: i64,
}

impl Source {
    /// What was recognized, in words.
    pub(super) fn describe(&self) -> String {
        match self {
            Source::Files(files) => {
                let mut words: Vec<String> = files.iter().map(|file| file.parser.describe()).collect();
                words.dedup();
                words.truncate(3);
                let words = words.join(" and ");
                if files.len() > 1 { format!("{words}, {} files", files.len()) } else { words }
            }
            Source::Table(_, table) => table.describe(),
        }
    }

    /// Whether times are moments of history, and not offsets.
    pub(super) fn dated(&self) -> bool {
        match self {
            Source::Files(files) => files.iter().all(|file| file.parser.dated()),
            Source::Table(_, table) => table.dated(),
        }
    }
}

/// What a line is.
#[derive(Debug)]
pub(super) enum Item<'a> {
    /// A request.
    Request(Record<'a>),
    /// No request by design: a comment, a heading, a message.
    Other,
    /// A request that cannot be read.
    Bad(Fault, &'a [u8]),
}

/// The stream of lines.
pub(super) struct Records {
    source: Source,
    /// Files that are being read.
    open: Vec<Reader>,
    /// Files that come later, from this one.
    later: usize,
    table: Option<Box<dyn TableRows>>,
    /// File and line of the last item.
    at: (usize, u64),
}

struct Reader {
    file: usize,
    lines: Lines,
    parser: LogParser,
    /// Second of the request in the last line, whose turn has not come.
    waiting: Option<i64>,
}

impl fmt::Debug for Records {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Records").field("at", &self.at).finish_non_exhaustive()
    }
}

impl Reader {
    fn open(file: usize, log: &LogFile) -> Result<Reader, Error> {
        let lines = Lines::new(input::open(&log.path)?);
        Ok(Reader { file, lines, parser: log.parser.clone(), waiting: None })
    }
}

/// Reads a line that is in memory.
#[inline]
fn read<'a>(parser: &'a mut LogParser, line: input::Line<'a>) -> Item<'a> {
    if line.too_long {
        return Item::Bad(Fault::TooLong, line.text);
    }
    match parser.record(line.text) {
        Ok(Some(record)) => Item::Request(record),
        Ok(None) => Item::Other,
        Err(_) if is_blank(line.text) => Item::Other,
        Err(fault) => Item::Bad(fault, line.text),
    }
}

/// Time of the first request of a file \[s\]; `None` if it has none.
pub(super) fn first_second(path: &Path, parser: &LogParser) -> Result<Option<i64>, Error> {
    let mut lines = Lines::new(input::open(path)?);
    let mut parser = parser.clone();
    loop {
        let number = lines.number();
        match lines.next_line() {
            Ok(None) => return Ok(None),
            Ok(Some(line)) => {
                if let Item::Request(record) = read(&mut parser, line) {
                    return Ok(Some(record.second));
                }
            }
            Err(source) => return Err(failed(path, number, source)),
        }
    }
}

impl Records {
    pub(super) fn open(source: &Source) -> Result<Records, Error> {
        let mut records = Records { source: source.clone(), open: Vec::new(), later: 0, table: None, at: (0, 0) };
        match source {
            Source::Files(files) => {
                if let Some(file) = files.first() {
                    records.open.push(Reader::open(0, file)?);
                    records.later = 1;
                }
            }
            Source::Table(path, table) => {
                records.table = Some(table.open().map_err(|e| failed(path, 0, e))?);
            }
        }
        Ok(records)
    }

    /// The line of the last item, from 1, and its file.
    pub(super) fn position(&self) -> (&PathBuf, u64) {
        let path = match &self.source {
            Source::Files(files) => &files[self.at.0].path,
            Source::Table(path, _) => path,
        };
        (path, self.at.1)
    }

    /// The next line of all; `None` at the end.
    #[inline]
    pub(super) fn next(&mut self) -> Result<Option<Item<'_>>, Error> {
        let files = match &self.source {
            Source::Files(files) => files,
            Source::Table(path, _) => {
                let number = self.at.1;
                self.at.1 += 1;
                let table = self.table.as_mut().expect("a table is open");
                return match table.next_row() {
                    Ok(Some(Ok(record))) => Ok(Some(Item::Request(record))),
                    Ok(Some(Err(fault))) => Ok(Some(Item::Bad(fault, b""))),
                    Ok(None) => Ok(None),
                    Err(source) => Err(failed(path, number, source)),
                };
            }
        };
        // One file, and nothing to merge it with: by far the commonest.
        if self.open.len() == 1 && self.later == files.len() && self.open[0].waiting.is_none() {
            let reader = &mut self.open[0];
            self.at = (reader.file, reader.lines.number() + 1);
            let path = &files[reader.file].path;
            return match reader.lines.next_line() {
                Ok(line) => Ok(line.map(|line| read(&mut reader.parser, line))),
                Err(source) => Err(failed(path, self.at.1 - 1, source)),
            };
        }
        self.merge()
    }

    fn merge(&mut self) -> Result<Option<Item<'_>>, Error> {
        let Source::Files(files) = &self.source else { unreachable!("tables are not merged") };
        let files = files.clone();
        loop {
            // Every open file shows its next request, and gives out what is before it.
            let mut ended = None;
            for i in 0..self.open.len() {
                let reader = &mut self.open[i];
                if reader.waiting.is_some() {
                    continue;
                }
                let number = reader.lines.number();
                self.at = (reader.file, number + 1);
                let failed = |source| failed(&files[reader.file].path, number, source);
                let Some(line) = reader.lines.next_line().map_err(failed)? else {
                    ended = Some(i);
                    break;
                };
                match read(&mut reader.parser, line) {
                    Item::Request(record) => reader.waiting = Some(record.second),
                    Item::Other => return Ok(Some(Item::Other)),
                    Item::Bad(fault, _) => return Ok(Some(Item::Bad(fault, self.open[i].lines.last().text))),
                }
            }
            if let Some(i) = ended {
                self.open.swap_remove(i);
                continue;
            }
            let earliest = (0..self.open.len()).min_by_key(|&i| (self.open[i].waiting, self.open[i].file));
            let due = earliest.and_then(|i| self.open[i].waiting);
            if let Some(next) = files.get(self.later)
                && due.is_none_or(|due| next.first <= due)
            {
                self.open.push(Reader::open(self.later, next)?);
                self.later += 1;
                continue;
            }
            let Some(i) = earliest else { return Ok(None) };
            let reader = &mut self.open[i];
            reader.waiting = None;
            self.at = (reader.file, reader.lines.number());
            return Ok(Some(read(&mut reader.parser, reader.lines.last())));
        }
    }
}
