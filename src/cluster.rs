//! Manifests by which a cluster plays the shares of a study, or of the replications of a simulation: an Indexed Job of Kubernetes, or a workflow
//! of Argo. Wavetank is no cluster of its own; it makes one process a well-behaved piece of other people's.
//!
//! Every share is the same command with another index. It leaves its runs in a place that all of them see, and needs nobody to be alive at the
//! same time. What a share reads comes in a ConfigMap, if it is small enough for one, or is in the image.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use crate::manifest::yaml_document;

/// Bytes of a ConfigMap that the API server takes (Kubernetes documentation, "ConfigMaps"), less what its own text takes.
const CONFIG_MAP: usize = (1 << 20) - (8 << 10);
/// Where files of a ConfigMap are mounted.
const FILES: &str = "/wavetank";
/// The Secret whose keys are the environment of the shares, if there is one of that name: how a bucket is reached.
const SECRET: &str = "wavetank-results";
/// The claim that is mounted if results are left in a folder.
const CLAIM: &str = "wavetank-results";
/// How often a share is started again before it is given up.
const RETRIES: u32 = 3;
/// A name of an object has at most so many letters (RFC 1123), and a Job leaves room for the names of its pods.
const NAME: usize = 52;

/// Who plays it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum System {
    /// An Indexed Job (`batch/v1`, stable since 1.24).
    Kubernetes,
    /// A workflow of Argo (`argoproj.io/v1alpha1`).
    Argo,
}

impl System {
    /// By name.
    pub const ALL: [(&'static str, System); 2] = [("kubernetes", System::Kubernetes), ("argo", System::Argo)];
}

/// A file that shares read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Its path from the folder that the command is typed in.
    pub path: String,
    /// What is in it.
    pub contents: Vec<u8>,
}

/// What is divided.
#[derive(Clone, Debug)]
pub struct Work {
    /// What it is called; made fit for a name.
    pub name: String,
    /// The command of a share without `wavetank`, `--shard` and `--results`.
    pub command: Vec<String>,
    /// The command that joins the shares without `wavetank` and the place; it leaves its files in `/tmp/report`.
    pub join: Vec<String>,
    /// Into how many shares.
    pub shares: u32,
    /// The image that has wavetank.
    pub image: String,
    /// Where results are left: a bucket, or a folder on a volume that all shares see.
    pub results: String,
    /// What shares read; `None`: it is in the image.
    pub files: Option<Vec<File>>,
}

/// Why there is no manifest.
#[derive(Debug, PartialEq, Eq)]
pub enum Error {
    /// More than a ConfigMap holds.
    TooLarge {
        /// Bytes in all.
        bytes: usize,
        /// The largest of them.
        largest: String,
    },
    /// A file is not below the folder that the command is typed in.
    Outside(String),
    /// Shares on several nodes do not see a folder of the current one.
    Relative(String),
}

impl std::error::Error for Error {}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Error::TooLarge { bytes, largest } => write!(
                f,
                "what shares read has {bytes} bytes, most of them in {largest}, and a ConfigMap holds 1 MiB: \
                 put the files into the image, at the same paths from its WORKDIR, and say --in-image"
            ),
            Error::Outside(path) => write!(
                f,
                "{path}: not below the current folder, so that it has no place in the pods; \
                 type the command in a folder that has all it reads, or say --in-image"
            ),
            Error::Relative(place) => write!(
                f,
                "--results {place}: shares on several nodes do not see this folder; expected s3://BUCKET/PREFIX, \
                 or the absolute path at which the claim {CLAIM} is mounted"
            ),
        }
    }
}

/// The manifest, ready to be applied.
pub fn manifest(work: &Work, system: System) -> Result<String, Error> {
    let in_bucket = crate::store::Store::is_bucket(&work.results);
    if !in_bucket && !work.results.starts_with('/') {
        return Err(Error::Relative(work.results.clone()));
    }
    let files = work.files.as_deref().map(|files| config_map(work, files)).transpose()?;
    let body = match system {
        System::Kubernetes => job(work),
        System::Argo => workflow(work),
    };
    let mut text = head(work, system);
    for document in files.iter().chain([&body]) {
        text.push_str("---\n");
        text.push_str(&yaml_document(document));
    }
    Ok(text)
}

/// What to do with it, as comments.
fn head(work: &Work, system: System) -> String {
    let name = name(work);
    let wait = match system {
        System::Kubernetes => format!("kubectl wait --for=condition=complete --timeout=-1s job/{name}"),
        System::Argo => format!("argo wait {name}"),
    };
    let mut text = format!("# {} shares of: wavetank {}\n", work.shares, shown(&work.command));
    text.push_str(&format!("# kubectl apply -f THIS\n# {wait}\n"));
    let join = shown(&work.join).replace("/tmp/report", "report");
    text.push_str(&format!("# wavetank {join} {}\n", work.results));
    if crate::store::Store::is_bucket(&work.results) {
        text.push_str(&format!(
            "# The Secret {SECRET} has AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_REGION.\n"
        ));
    } else {
        text.push_str(&format!("# The claim {CLAIM} is a volume that many pods write (ReadWriteMany).\n"));
    }
    text
}

fn shown(words: &[String]) -> String {
    let quoted = |word: &String| match word.chars().all(|c| c.is_ascii_alphanumeric() || "-_./=:,+%@".contains(c)) {
        true => word.clone(),
        false => format!("'{word}'"),
    };
    words.iter().map(quoted).collect::<Vec<_>>().join(" ")
}

/// A name that RFC 1123 takes.
fn name(work: &Work) -> String {
    let lower = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let name: String = format!("wavetank-{}", work.name).chars().map(lower).take(NAME).collect();
    name.trim_end_matches('-').to_string()
}

fn config_map(work: &Work, files: &[File]) -> Result<Value, Error> {
    let bytes = files.iter().map(|file| file.contents.len()).sum();
    if bytes > CONFIG_MAP {
        let largest = files.iter().max_by_key(|file| file.contents.len()).map_or("", |file| &file.path);
        return Err(Error::TooLarge { bytes, largest: largest.to_string() });
    }
    if let Some(outside) = files.iter().find(|file| file.path.starts_with("..") || file.path.starts_with('/')) {
        return Err(Error::Outside(outside.path.clone()));
    }
    let (mut data, mut binary) = (Map::new(), Map::new());
    for (i, file) in files.iter().enumerate() {
        match std::str::from_utf8(&file.contents) {
            Ok(text) => data.insert(key(i, &file.path), text.into()),
            Err(_) => binary.insert(key(i, &file.path), STANDARD.encode(&file.contents).into()),
        };
    }
    let mut map = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name(work) } });
    for (part, entries) in [("data", data), ("binaryData", binary)] {
        if !entries.is_empty() {
            map[part] = entries.into();
        }
    }
    Ok(map)
}

/// The key of a file in the ConfigMap: its place and its last name, of letters that keys may have.
fn key(i: usize, path: &str) -> String {
    let last = path.rsplit('/').next().unwrap_or(path);
    let fit = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' };
    format!("{i}-{}", last.chars().map(fit).collect::<String>())
}

fn container(work: &Work, args: &[String]) -> Value {
    let mut container = json!({
        "name": "wavetank",
        "image": work.image,
        "command": ["wavetank"],
        "args": args,
        "envFrom": [{ "secretRef": { "name": SECRET, "optional": true } }],
        "resources": { "requests": { "cpu": "1", "memory": "256Mi" } },
    });
    let mut mounts = Vec::new();
    if work.files.is_some() {
        container["workingDir"] = FILES.into();
        mounts.push(json!({ "name": "files", "mountPath": FILES, "readOnly": true }));
    }
    if !crate::store::Store::is_bucket(&work.results) {
        mounts.push(json!({ "name": "results", "mountPath": work.results }));
    }
    if !mounts.is_empty() {
        container["volumeMounts"] = mounts.into();
    }
    container
}

fn volumes(work: &Work) -> Vec<Value> {
    let mut volumes = Vec::new();
    if let Some(files) = &work.files {
        let item = |(i, file): (usize, &File)| json!({ "key": key(i, &file.path), "path": file.path });
        let items: Vec<Value> = files.iter().enumerate().map(item).collect();
        volumes.push(json!({ "name": "files", "configMap": { "name": name(work), "items": items } }));
    }
    if !crate::store::Store::is_bucket(&work.results) {
        volumes.push(json!({ "name": "results", "persistentVolumeClaim": { "claimName": CLAIM } }));
    }
    volumes
}

fn of_share(work: &Work, shard: String) -> Vec<String> {
    let place = ["--shard".to_string(), shard, "--results".to_string(), work.results.clone()];
    work.command.iter().cloned().chain(place).collect()
}

fn job(work: &Work) -> Value {
    let mut pod = json!({
        "restartPolicy": "Never",
        "containers": [container(work, &of_share(work, format!("/{}", work.shares)))],
    });
    let volumes = volumes(work);
    if !volumes.is_empty() {
        pod["volumes"] = volumes.into();
    }
    json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": { "name": name(work) },
        "spec": {
            "completionMode": "Indexed",
            "completions": work.shares,
            "parallelism": work.shares,
            "backoffLimitPerIndex": RETRIES,
            "template": { "spec": pod },
        },
    })
}

fn workflow(work: &Work) -> Value {
    let index = of_share(work, format!("{{{{inputs.parameters.index}}}}/{}", work.shares));
    let join: Vec<String> = work.join.iter().cloned().chain([work.results.clone()]).collect();
    let mut spec = json!({
        "entrypoint": "main",
        "templates": [
            {
                "name": "main",
                "steps": [
                    [{
                        "name": "share",
                        "template": "share",
                        "arguments": { "parameters": [{ "name": "index", "value": "{{item}}" }] },
                        "withSequence": { "count": work.shares.to_string() },
                    }],
                    [{ "name": "join", "template": "join" }],
                ],
            },
            {
                "name": "share",
                "inputs": { "parameters": [{ "name": "index" }] },
                "retryStrategy": { "limit": RETRIES.to_string() },
                "container": container(work, &index),
            },
            {
                "name": "join",
                "container": container(work, &join),
                "outputs": { "artifacts": [{ "name": "report", "path": "/tmp/report", "optional": true }] },
            },
        ],
    });
    let volumes = volumes(work);
    if !volumes.is_empty() {
        spec["volumes"] = volumes.into();
    }
    json!({
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": { "name": name(work) },
        "spec": spec,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn work() -> Work {
        let words = |text: &str| text.split(' ').map(str::to_string).collect::<Vec<_>>();
        let file = |path: &str, contents: &[u8]| File { path: path.to_string(), contents: contents.to_vec() };
        Work {
            name: "Check out_2".to_string(),
            command: words("tune scenarios/checkout.toml --wait 1h"),
            join: words("merge --into /tmp/report/study.db"),
            shares: 4,
            image: "registry.example/wavetank:1".to_string(),
            results: "s3://tuning/checkout".to_string(),
            files: Some(vec![
                file("scenarios/checkout.toml", b"[traffic]\nreplay = \"x\"\n"),
                file("data/x.csv.gz", &[0x1f, 0x8b, 0xff]),
            ]),
        }
    }

    /// Every key of the manifest is one that the types of Kubernetes have: they read it, and write the same again.
    fn is_what_kubernetes_reads<T: serde::de::DeserializeOwned + serde::Serialize>(document: &Value) {
        let read: T = serde_json::from_value(document.clone()).expect("its type reads it");
        assert_eq!(&serde_json::to_value(read).unwrap(), document);
    }

    #[test]
    fn a_job_is_one_that_kubernetes_reads() {
        let mut work = work();
        is_what_kubernetes_reads::<k8s_openapi::api::core::v1::ConfigMap>(
            &config_map(&work, work.files.as_ref().unwrap()).unwrap(),
        );
        is_what_kubernetes_reads::<k8s_openapi::api::batch::v1::Job>(&job(&work));
        (work.files, work.results) = (None, "/results".to_string());
        is_what_kubernetes_reads::<k8s_openapi::api::batch::v1::Job>(&job(&work));
        insta::assert_snapshot!(manifest(&work, System::Kubernetes).unwrap(), @r#"
        # 4 shares of: wavetank tune scenarios/checkout.toml --wait 1h
        # kubectl apply -f THIS
        # kubectl wait --for=condition=complete --timeout=-1s job/wavetank-check-out-2
        # wavetank merge --into report/study.db /results
        # The claim wavetank-results is a volume that many pods write (ReadWriteMany).
        ---
        apiVersion: batch/v1
        kind: Job
        metadata:
          name: wavetank-check-out-2
        spec:
          completionMode: Indexed
          completions: 4
          parallelism: 4
          backoffLimitPerIndex: 3
          template:
            spec:
              restartPolicy: Never
              containers:
                - name: wavetank
                  image: "registry.example/wavetank:1"
                  command:
                    - wavetank
                  args:
                    - tune
                    - scenarios/checkout.toml
                    - "--wait"
                    - 1h
                    - "--shard"
                    - /4
                    - "--results"
                    - /results
                  envFrom:
                    - secretRef:
                        name: wavetank-results
                        optional: true
                  resources:
                    requests:
                      cpu: "1"
                      memory: 256Mi
                  volumeMounts:
                    - name: results
                      mountPath: /results
              volumes:
                - name: results
                  persistentVolumeClaim:
                    claimName: wavetank-results
        "#);
    }

    #[test]
    fn a_workflow_starts_every_share_and_joins_them() {
        insta::assert_snapshot!(manifest(&work(), System::Argo).unwrap(), @r#"
        # 4 shares of: wavetank tune scenarios/checkout.toml --wait 1h
        # kubectl apply -f THIS
        # argo wait wavetank-check-out-2
        # wavetank merge --into report/study.db s3://tuning/checkout
        # The Secret wavetank-results has AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_REGION.
        ---
        apiVersion: v1
        kind: ConfigMap
        metadata:
          name: wavetank-check-out-2
        data:
          0-checkout.toml: "[traffic]\nreplay = \"x\"\n"
        binaryData:
          1-x.csv.gz: H4v/
        ---
        apiVersion: argoproj.io/v1alpha1
        kind: Workflow
        metadata:
          name: wavetank-check-out-2
        spec:
          entrypoint: main
          templates:
            - name: main
              steps:
                - - name: share
                    template: share
                    arguments:
                      parameters:
                        - name: index
                          value: "{{item}}"
                    withSequence:
                      count: "4"
                - - name: join
                    template: join
            - name: share
              inputs:
                parameters:
                  - name: index
              retryStrategy:
                limit: "3"
              container:
                name: wavetank
                image: "registry.example/wavetank:1"
                command:
                  - wavetank
                args:
                  - tune
                  - scenarios/checkout.toml
                  - "--wait"
                  - 1h
                  - "--shard"
                  - "{{inputs.parameters.index}}/4"
                  - "--results"
                  - "s3://tuning/checkout"
                envFrom:
                  - secretRef:
                      name: wavetank-results
                      optional: true
                resources:
                  requests:
                    cpu: "1"
                    memory: 256Mi
                workingDir: /wavetank
                volumeMounts:
                  - name: files
                    mountPath: /wavetank
                    readOnly: true
            - name: join
              container:
                name: wavetank
                image: "registry.example/wavetank:1"
                command:
                  - wavetank
                args:
                  - merge
                  - "--into"
                  - /tmp/report/study.db
                  - "s3://tuning/checkout"
                envFrom:
                  - secretRef:
                      name: wavetank-results
                      optional: true
                resources:
                  requests:
                    cpu: "1"
                    memory: 256Mi
                workingDir: /wavetank
                volumeMounts:
                  - name: files
                    mountPath: /wavetank
                    readOnly: true
              outputs:
                artifacts:
                  - name: report
                    path: /tmp/report
                    optional: true
          volumes:
            - name: files
              configMap:
                name: wavetank-check-out-2
                items:
                  - key: 0-checkout.toml
                    path: scenarios/checkout.toml
                  - key: 1-x.csv.gz
                    path: data/x.csv.gz
        "#);
        for template in [1, 2] {
            let container = &workflow(&work())["spec"]["templates"][template]["container"];
            is_what_kubernetes_reads::<k8s_openapi::api::core::v1::Container>(container);
        }
    }

    #[test]
    fn what_would_not_work_in_a_pod_is_told_before() {
        let mut large = work();
        large.files.as_mut().unwrap()[1].contents = vec![0; 2 << 20];
        let told = manifest(&large, System::Argo).unwrap_err().to_string();
        assert!(told.contains("2097175 bytes, most of them in data/x.csv.gz"), "{told}");
        let mut outside = work();
        outside.files.as_mut().unwrap()[1].path = "../x.csv.gz".to_string();
        assert_eq!(manifest(&outside, System::Argo), Err(Error::Outside("../x.csv.gz".to_string())));
        let relative = Work { results: "results".to_string(), ..work() };
        assert_eq!(manifest(&relative, System::Kubernetes), Err(Error::Relative("results".to_string())));
    }
}
