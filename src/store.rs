//! A place where machines that share a piece of work leave results for each other: a folder, or a bucket of an S3-compatible object store.
//!
//! A place holds files by name, each written whole and never changed: whoever lists them sees no half of one, and a share that is
//! started again puts the same bytes under the same name.

#[cfg(feature = "s3")]
mod bucket;
mod folder;

use std::fmt;
use std::path::PathBuf;

/// Where results are left.
#[derive(Debug)]
pub struct Store {
    name: String,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Folder(PathBuf),
    #[cfg(feature = "s3")]
    Bucket(bucket::Bucket),
}

/// Why a place does not give, or take, a file.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system refuses.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which file or folder.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The name of a place says nothing.
    #[error("{name:?}: {problem}; expected a folder, or s3://BUCKET/PREFIX")]
    Name {
        /// What was written.
        name: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// This program was built without what reaches it.
    #[error("{0}: buckets are reached by the feature s3, which this program was built without")]
    NoBuckets(String),
    /// The object store refuses, or is not there.
    #[cfg(feature = "s3")]
    #[error("{name}: {source}")]
    Bucket {
        /// Which place, with the file if it is one.
        name: String,
        /// What it says.
        source: Box<object_store::Error>,
    },
    /// No runtime could be started to speak with an object store.
    #[cfg(feature = "s3")]
    #[error("{name}: {source}")]
    Runtime {
        /// Which place.
        name: String,
        /// What the operating system says.
        source: std::io::Error,
    },
}

impl Store {
    /// The place called `name`: `s3://BUCKET/PREFIX`, else a folder, which is made when something is put there. How a bucket is reached is in
    /// the environment, as other programs have it: `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_REGION`, `AWS_ENDPOINT_URL`, and
    /// `AWS_ALLOW_HTTP=true` for one without TLS.
    pub fn open(name: &str) -> Result<Store, Error> {
        let kind = match name.split_once("://") {
            None if name.is_empty() => {
                return Err(Error::Name { name: name.to_string(), problem: "found nothing" });
            }
            None => Kind::Folder(PathBuf::from(name)),
            #[cfg(feature = "s3")]
            Some(("s3", rest)) => Kind::Bucket(bucket::Bucket::open(name, rest)?),
            #[cfg(not(feature = "s3"))]
            Some(("s3", _)) => return Err(Error::NoBuckets(name.to_string())),
            Some(_) => return Err(Error::Name { name: name.to_string(), problem: "no such kind of place" }),
        };
        Ok(Store { name: name.trim_end_matches('/').to_string(), kind })
    }

    /// Whether a name is that of a bucket.
    pub fn is_bucket(name: &str) -> bool {
        name.starts_with("s3://")
    }

    /// The names of all files that end in `ending`, in their order; none where there is no such place yet.
    pub fn list(&self, ending: &str) -> Result<Vec<String>, Error> {
        let mut names = match &self.kind {
            Kind::Folder(path) => folder::list(path)?,
            #[cfg(feature = "s3")]
            Kind::Bucket(bucket) => bucket.list()?,
        };
        names.retain(|name| name.ends_with(ending));
        names.sort_unstable();
        Ok(names)
    }

    /// The contents of a file.
    pub fn get(&self, file: &str) -> Result<Vec<u8>, Error> {
        match &self.kind {
            Kind::Folder(path) => folder::get(&path.join(file)),
            #[cfg(feature = "s3")]
            Kind::Bucket(bucket) => bucket.get(file),
        }
    }

    /// Puts a file there, whole, in the place of one that has its name.
    pub fn put(&self, file: &str, contents: Vec<u8>) -> Result<(), Error> {
        match &self.kind {
            Kind::Folder(path) => folder::put(path, file, &contents),
            #[cfg(feature = "s3")]
            Kind::Bucket(bucket) => bucket.put(file, contents),
        }
    }

    /// How a file of it is called in messages.
    pub fn called(&self, file: &str) -> String {
        format!("{self}/{file}")
    }
}

impl fmt::Display for Store {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.name)
    }
}
