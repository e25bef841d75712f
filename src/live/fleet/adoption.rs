//! Adoption: instances outlive a gateway that was killed, where its provider lets them; the next one takes over those that are well.
//!
//! ```text
//! the provider lists what there is ─▶ well in time ─▶ there is room ─▶ adopted: it serves, under a new id
//!                                        not well        too many   ─▶ dismissed: it is stopped, and that is told
//! ```
//!
//! Nothing is launched before this is done, so that nothing runs twice.

use std::sync::Arc;
use std::time::Duration;

use super::{Error, Terms, is_well};
use crate::engine::request::InstanceId;
use crate::live::gateway::upstream::Upstream;
use crate::live::provider::{Orphan, Provider};

/// Health checks that an orphan may take to pass: it was serving a moment ago, and clients wait meanwhile.
const CHECKS: u32 = 3;

/// What became of the instances that an earlier gateway had left behind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Adoption {
    /// Those that serve again, in the order of their ids here.
    pub adopted: Vec<Orphan>,
    /// Those that were stopped.
    pub dismissed: Vec<Dismissed>,
}

/// An orphan that was stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dismissed {
    /// Which.
    pub orphan: Orphan,
    /// Why, and whether that worked.
    pub reason: String,
}

/// Adopts at most `most` of the provider's orphans, which are well, and dismisses the others.
pub(super) async fn adopt(
    provider: &dyn Provider,
    terms: &Terms,
    most: u32,
) -> Result<(Adoption, Vec<(InstanceId, Arc<Upstream>)>), Error> {
    let mut asked = tokio::task::JoinSet::new();
    for orphan in provider.orphans().await.map_err(Error::Orphans)? {
        let upstream = Arc::new(Upstream::new(orphan.address, terms.timeouts));
        let (path, check) = (terms.health_path.clone(), terms.check);
        asked.spawn(async move {
            let well = is_well_in_time(&upstream, &path, check).await;
            (orphan, upstream, well)
        });
    }
    let mut answers = asked.join_all().await;
    answers.sort_by_key(|(orphan, ..)| orphan.number);
    let mut adoption = Adoption::default();
    let mut first = Vec::new();
    for (orphan, upstream, well) in answers {
        let reason = match well {
            true if (first.len() as u32) < most => {
                let id = InstanceId(first.len() as u32);
                provider.adopt(id, orphan);
                adoption.adopted.push(orphan);
                first.push((id, upstream));
                continue;
            }
            true => format!("there is room for {most}"),
            false => format!("it does not answer well at http://{}{}", orphan.address, terms.health_path),
        };
        let reason = match provider.dismiss(orphan).await {
            Ok(()) => reason,
            Err(error) => format!("{reason}; it may still be there: {error}"),
        };
        adoption.dismissed.push(Dismissed { orphan, reason });
    }
    Ok((adoption, first))
}

async fn is_well_in_time(upstream: &Upstream, path: &str, check: Duration) -> bool {
    let well = async {
        while !is_well(upstream, path, check).await {
            tokio::time::sleep(super::ASK_EVERY).await;
        }
    };
    tokio::time::timeout(check * CHECKS, well).await.is_ok()
}
