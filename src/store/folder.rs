//! A folder, which may be on a file system that several machines see.

use std::io::{ErrorKind, Write};
use std::path::Path;

use super::Error;

/// What files that are being written begin with.
const UNFINISHED: &str = ".unfinished-";

/// The names of the files in a folder; none if there is no folder.
pub fn list(path: &Path) -> Result<Vec<String>, Error> {
    let failed = |source| Error::Io { path: path.to_path_buf(), source };
    let entries = match std::fs::read_dir(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(failed)?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry.map_err(failed)?.file_name().to_string_lossy().into_owned();
        if !name.starts_with(UNFINISHED) {
            names.push(name);
        }
    }
    Ok(names)
}

/// What is in a file.
pub fn get(path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|source| Error::Io { path: path.to_path_buf(), source })
}

/// Writes aside and renames, so that nobody sees half of it.
pub fn put(folder: &Path, file: &str, contents: &[u8]) -> Result<(), Error> {
    let path = folder.join(file);
    let failed = |source| Error::Io { path: path.clone(), source };
    std::fs::create_dir_all(folder).map_err(failed)?;
    let mut aside = tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(folder).map_err(failed)?;
    aside.write_all(contents).map_err(failed)?;
    aside.persist(&path).map(|_| ()).map_err(|error| failed(error.error))
}

#[cfg(test)]
mod tests {
    use crate::store::{Error, Store};

    #[test]
    fn files_are_there_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path().join("results/new").to_str().unwrap()).unwrap();
        assert_eq!(store.list("").unwrap(), Vec::<String>::new(), "what is not there yet is empty");
        store.put("b.runs", vec![1, 2]).unwrap();
        store.put("a.runs", vec![3]).unwrap();
        store.put("b.runs", vec![4]).unwrap();
        std::fs::write(folder.path().join("results/new/.unfinished-x.runs"), "half").unwrap();
        store.put("notes.txt", vec![]).unwrap();
        assert_eq!(store.list(".runs").unwrap(), ["a.runs", "b.runs"]);
        assert_eq!(store.get("b.runs").unwrap(), [4]);
        assert!(matches!(store.get("c.runs"), Err(Error::Io { .. })));
    }

    #[test]
    fn a_place_that_is_none_is_refused_by_name() {
        let told = Store::open("ftp://x/y").unwrap_err().to_string();
        assert_eq!(told, "\"ftp://x/y\": no such kind of place; expected a folder, or s3://BUCKET/PREFIX");
        #[cfg(not(feature = "s3"))]
        assert_eq!(
            Store::open("s3://bucket/x").unwrap_err().to_string(),
            "s3://bucket/x: buckets are reached by the feature s3, which this program was built without"
        );
    }
}
