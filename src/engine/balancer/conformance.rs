//! Tables of the reference implementations of ring hash and Maglev.

use super::hashing::xxhash64;
use super::maglev::Maglev;
use super::ring::{Host, Ring, Size};

fn rows(file: &str) -> Option<Vec<csv::StringRecord>> {
    let path = format!("{}/../shared/data/conformance/{file}", env!("CARGO_MANIFEST_DIR"));
    let Ok(mut reader) = csv::Reader::from_path(path) else {
        eprintln!("skipped: ../shared/data/conformance is not there");
        return None;
    };
    Some(reader.records().map(|row| row.expect("a table of text")).collect())
}

fn host(key: &str) -> Host {
    Host { key: key.to_string(), weight: 1 }
}

#[test]
fn maglev_tables_are_filled_as_in_the_reference() {
    let Some(rows) = rows("maglev_table.csv") else { return };
    for row in &rows {
        let hosts: Vec<Host> = row[1].split(';').map(host).collect();
        let table = Maglev::new(&hosts, row[2].parse().unwrap());
        let slot: usize = row[3].parse().unwrap();
        assert_eq!(table.slots()[slot].to_string(), row[4], "{} slot {slot}", &row[0]);
    }
    assert!(!rows.is_empty());
}

#[test]
fn points_of_a_ring_lie_where_the_reference_puts_them() {
    let Some(positions) = rows("ring_hash_positions.csv") else { return };
    let mut checked = 0;
    for row in positions.iter().filter(|row| row[0].starts_with("xxhash64")) {
        let point = xxhash64(format!("{}_{}", &row[1], &row[2]).as_bytes(), 0);
        assert_eq!(point.to_string(), row[3], "{} {}", &row[0], &row[1]);
        checked += 1;
    }
    assert!(checked > 0);
}

#[test]
fn lookups_find_the_host_that_the_reference_finds() {
    let (Some(positions), Some(lookups)) = (rows("ring_hash_positions.csv"), rows("ring_hash_lookups.csv")) else {
        return;
    };
    let mut checked = 0;
    for row in lookups.iter().filter(|row| row[0].starts_with("xxhash64")) {
        let mut keys: Vec<&str> = positions.iter().filter(|p| p[0] == row[0]).map(|p| &p[1]).collect();
        let points = keys.len() as u32;
        keys.sort_unstable();
        keys.dedup();
        let hosts: Vec<Host> = keys.iter().map(|key| host(key)).collect();
        let ring = Ring::new(&hosts, Size { min: points, max: points });
        assert_eq!(ring.len(), points as usize, "{}", &row[0]);
        let found = ring.lookup(row[1].parse().unwrap(), 0).unwrap();
        assert_eq!(hosts[found as usize].key, row[2], "{} {}", &row[0], &row[1]);
        checked += 1;
    }
    assert!(checked > 0);
}
