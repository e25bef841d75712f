//! A bucket of an object store that speaks S3.

use futures_util::TryStreamExt;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use tokio::runtime::Runtime;

use super::Error;

/// A prefix in a bucket.
#[derive(Debug)]
pub struct Bucket {
    name: String,
    prefix: Path,
    store: AmazonS3,
    runtime: Runtime,
}

impl Bucket {
    /// The bucket of the place `name`, which is `s3://` and `rest`.
    pub fn open(name: &str, rest: &str) -> Result<Bucket, Error> {
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.is_empty() {
            return Err(Error::Name { name: name.to_string(), problem: "which bucket?" });
        }
        let name = name.trim_end_matches('/').to_string();
        let store = AmazonS3Builder::from_env().with_bucket_name(bucket).build();
        let store = store.map_err(|source| Error::Bucket { name: name.clone(), source: Box::new(source) })?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|source| Error::Runtime { name: name.clone(), source })?;
        Ok(Bucket { prefix: Path::from(prefix), name, store, runtime })
    }

    fn failed<'a>(&'a self, file: &'a str) -> impl Fn(object_store::Error) -> Error + 'a {
        let name = if file.is_empty() { self.name.clone() } else { format!("{}/{file}", self.name) };
        move |source| Error::Bucket { name: name.clone(), source: Box::new(source) }
    }

    /// The names of what is below the prefix.
    pub fn list(&self) -> Result<Vec<String>, Error> {
        let all = self.store.list(Some(&self.prefix)).try_collect::<Vec<_>>();
        let all = self.runtime.block_on(all).map_err(self.failed(""))?;
        let name = |object: &object_store::ObjectMeta| object.location.filename().map(str::to_string);
        Ok(all.iter().filter_map(name).collect())
    }

    /// What is in an object.
    pub fn get(&self, file: &str) -> Result<Vec<u8>, Error> {
        let path = self.prefix.clone().join(file);
        let bytes = self.runtime.block_on(async { self.store.get(&path).await?.bytes().await });
        bytes.map(|bytes| bytes.to_vec()).map_err(self.failed(file))
    }

    /// Puts an object there; object stores do that whole or not at all.
    pub fn put(&self, file: &str, contents: Vec<u8>) -> Result<(), Error> {
        let path = self.prefix.clone().join(file);
        self.runtime.block_on(self.store.put(&path, contents.into())).map(|_| ()).map_err(self.failed(file))
    }
}
