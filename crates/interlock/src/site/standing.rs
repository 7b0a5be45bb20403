//! Whether this ledger is whole: no entry is taken before the witnesses have said
//! so, and none any more once they know a longer one.
//!
//! A site that was restored from a backup has a ledger with good signatures that
//! lacks its newest entries. Appending to it would be a second history under the
//! same key. The witnesses refuse to cosign it; here nothing is even acknowledged.

use super::Site;
use ledger::{AppendError, Standing};
use std::time::Duration;

/// How long an entry waits for the witnesses' first word after a start.
const PATIENCE: Duration = Duration::from_secs(5);

impl Site {
    /// Waits until a quorum of witnesses has confirmed this ledger.
    pub(super) async fn whole(&self) -> Result<(), AppendError> {
        let mut standing = self.publisher.standing();
        let known = standing.wait_for(|standing| *standing != Standing::Unconfirmed);
        let known = tokio::time::timeout(PATIENCE, known).await;
        let standing = known.ok().and_then(Result::ok).map(|standing| standing.clone());
        match standing {
            Some(Standing::Confirmed) => Ok(()),
            Some(behind @ Standing::Behind { .. }) => Err(AppendError::Stopped(said(&behind))),
            Some(Standing::Unconfirmed) | None => Err(AppendError::Stopped(
                "no quorum of witnesses has confirmed since the start that this ledger is whole; \
                 are they reachable?"
                    .into(),
            )),
        }
    }

    /// Completes when the witnesses know a longer ledger than this one.
    pub(super) async fn fell_behind(&self) {
        let mut standing = self.publisher.standing();
        let behind = |standing: &Standing| matches!(standing, Standing::Behind { .. });
        if standing.wait_for(behind).await.is_err() {
            // The publisher is gone, and with it the ledger; the end comes from there.
            std::future::pending::<()>().await;
        }
    }

    /// What to do, when the witnesses know a longer ledger than this one.
    pub fn behind(&self) -> Option<String> {
        match &*self.publisher.standing().borrow() {
            behind @ Standing::Behind { .. } => Some(said(behind)),
            _ => None,
        }
    }
}

fn said(standing: &Standing) -> String {
    let Standing::Behind { witness, cosigned, here } = standing else {
        return String::new();
    };
    format!(
        "this ledger has {here} entries and witness `{witness}` has cosigned {cosigned}: it is an \
         old copy, from a backup perhaps, and going on would make a second history. Nothing was \
         accepted. Fetch entries {here} to {} from the newest copy (the old disk's \
         `data/ledger`, or what an auditor keeps with `interlock ledger copy`): \
         `interlock ledger extend SITE --from FOLDER`, then start again",
        cosigned.saturating_sub(1)
    )
}
