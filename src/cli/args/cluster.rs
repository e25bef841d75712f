//! What a user types to play shares on a cluster.

use super::named;
use crate::cluster::System;

/// What divides a command for a cluster.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct ClusterArgs {
    /// Play nothing: print what plays this in shares on a cluster, an Indexed Job of Kubernetes or a workflow of Argo; takes --image
    /// and --results
    #[arg(long, value_name = "SYSTEM", value_parser = named(System::ALL))]
    pub job: Option<System>,
    /// Into how many shares --job divides it
    #[arg(long, value_name = "N", requires = "job", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..))]
    pub shards: u32,
    /// The image that --job names; its PATH has wavetank
    #[arg(long, value_name = "IMAGE", requires = "job")]
    pub image: Option<String>,
    /// Scenario and recording are in the image, at the same paths from its WORKDIR; without it, --job puts them into a ConfigMap
    #[arg(long, requires = "job")]
    pub in_image: bool,
}
