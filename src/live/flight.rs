//! The flight recorder: everything that a live engine is told, and what it answered, a line each; and the proof that an engine that is
//! told the same answers the same.
//!
//! ```text
//! {"flight":1,"seed":42,"clients":500,"name":"shop.toml","scenario":"…","overrides":[]}
//! [1204511,["admit",17,1,3,0,0,null],[["forward",1,0]]]
//! [2000004113,["tick",{"instances":[[0,"88.25",null,"3.5","0.0","0.4"]],…}],[["launch",2]]]
//! [2000004113,["events"],[[2000004113,"scaled_up","cpu_utilization 88.3% > 70% (rule busy)"]]]
//! ```
//!
//! Times are nanoseconds since the run began; numbers that are not whole are written so that they are read back as they were.

mod line;

use std::io::{self, BufRead, Write};

use serde_json::{Value, json};

use crate::engine::Engine;
use crate::engine::events::Event;
use crate::engine::input::{Input, Output};
use crate::scenario::{self, Scenario};
use crate::units::Time;

/// What a recording begins with: all that it takes to build the engine again.
#[derive(Clone, Debug, PartialEq)]
pub struct Header {
    /// Name of the scenario's file.
    pub name: String,
    /// Its text.
    pub scenario: String,
    /// What was put into it.
    pub overrides: Vec<String>,
    /// Seed of the engine.
    pub seed: u64,
    /// Clients that the engine was built for.
    pub clients: usize,
}

/// Writes lines into memory; whoever has time for it takes them away.
#[derive(Debug, Default)]
pub struct Tape {
    lines: Vec<u8>,
}

impl Tape {
    /// Begins with `header`.
    pub fn new(header: &Header) -> Tape {
        let mut tape = Tape::default();
        tape.push(&json!({
            "flight": 1,
            "seed": header.seed,
            "clients": header.clients,
            "name": header.name,
            "scenario": header.scenario,
            "overrides": header.overrides,
        }));
        tape
    }

    fn push(&mut self, line: &Value) {
        // Writing to memory cannot fail.
        let _ = serde_json::to_writer(&mut self.lines, line);
        self.lines.push(b'\n');
    }

    /// The engine was told something, and answered.
    pub fn told(&mut self, now: Time, input: &Input, output: &Output) {
        self.push(&json!([now.0, line::input(input), line::output(output)]));
    }

    /// The engine was asked what happened.
    pub fn happened(&mut self, now: Time, events: &[Event]) {
        if !events.is_empty() {
            self.push(&json!([now.0, ["events"], line::events(events)]));
        }
    }

    /// What was written since this was asked last.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.lines)
    }
}

/// Why a recording cannot be played.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be read.
    #[error("cannot read the recording: {0}")]
    Read(#[from] io::Error),
    /// Its first line is none.
    #[error("line 1 is not the head of a flight recording")]
    Header,
    /// Its scenario cannot be used.
    #[error("the scenario in it: {0}")]
    Scenario(#[from] scenario::problem::Problems),
    /// A line says nothing that an engine can be told.
    #[error("line {0} is not what an engine can be told")]
    Line(u64),
}

/// What became of a recording that was played.
#[derive(Clone, Debug, PartialEq)]
pub struct Replay {
    /// Inputs that the engine was told.
    pub inputs: u64,
    /// Answers and events that were compared.
    pub compared: u64,
    /// The first that differs; `None`: none does.
    pub difference: Option<Difference>,
    /// Whether the last line is only half there: the recording was cut off.
    pub cut_off: bool,
}

/// Where a recording and its replay part.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// The line.
    pub line: u64,
    /// When.
    pub at: Time,
    /// What the engine was told.
    pub input: String,
    /// What it answered when it was recorded.
    pub recorded: String,
    /// What it answers.
    pub replayed: String,
}

/// Tells an engine what a recording says, and compares what it answers.
pub fn replay(reader: impl BufRead) -> Result<Replay, Error> {
    let mut lines = reader.lines();
    let header = lines.next().ok_or(Error::Header)??;
    let (scenario, header) = read_header(&header)?;
    let config = scenario.engine_config(header.seed, &scenario.service.endpoints, header.clients);
    let mut engine = Engine::new(&config);
    let mut played = Replay { inputs: 0, compared: 0, difference: None, cut_off: false };
    let mut lines = lines.zip(2..).peekable();
    while let Some((text, number)) = lines.next() {
        let text = text?;
        let Ok(line) = serde_json::from_str::<Value>(&text) else {
            if lines.peek().is_none() {
                played.cut_off = true;
                break;
            }
            return Err(Error::Line(number));
        };
        let now = line[0].as_u64().map(Time).ok_or(Error::Line(number))?;
        let replayed = if line[1][0] == "events" {
            let mut events = Vec::new();
            engine.drain_events(&mut events);
            line::events(&events)
        } else {
            let input = line::read_input(&line[1], &scenario).ok_or(Error::Line(number))?;
            if engine.probes() && matches!(input, Input::Probed(..)) {
                let _ = engine.next_probe();
            }
            played.inputs += 1;
            line::output(&input.apply(now, &mut engine))
        };
        played.compared += 1;
        if replayed != line[2] {
            played.difference = Some(Difference {
                line: number,
                at: now,
                input: line[1].to_string(),
                recorded: line[2].to_string(),
                replayed: replayed.to_string(),
            });
            break;
        }
    }
    Ok(played)
}

fn read_header(text: &str) -> Result<(Scenario, Header), Error> {
    let head: Value = serde_json::from_str(text).map_err(|_| Error::Header)?;
    let read = || {
        let overrides = head["overrides"].as_array()?.iter().filter_map(|each| each.as_str().map(String::from));
        Some(Header {
            name: head["name"].as_str()?.to_string(),
            scenario: head["scenario"].as_str()?.to_string(),
            overrides: overrides.collect(),
            seed: head["seed"].as_u64()?,
            clients: usize::try_from(head["clients"].as_u64()?).ok()?,
        })
    };
    let header = read().filter(|_| head["flight"] == 1).ok_or(Error::Header)?;
    let scenario = scenario::parse(&header.scenario, &header.name, "".as_ref(), &header.overrides)?;
    Ok((scenario, header))
}

/// Writes what a tape holds to `sink`.
pub fn pour(lines: &[u8], sink: &mut dyn Write) -> io::Result<()> {
    if lines.is_empty() {
        return Ok(());
    }
    sink.write_all(lines)?;
    sink.flush()
}
