//! Which entries of a ledger a passport carries.
//!
//! The genesis and all that changed the rules, so that a reader can fold the
//! plant's roles, policy and programs; and the chain of this report: its grant
//! with the reads under it, the recordings that the grant names, the orders that
//! made them, their runs. When an earlier report enrolled the part, that report's
//! chain too, without its reads.

use base::{Digest, Id};
use plant::{Body, body::Verdict};
use proof::entry::Leaf;
use std::collections::{BTreeMap, BTreeSet};

/// Proposals that nobody has approved: they change nothing, and there may be any
/// number of them, so no excerpt need carry one.
#[derive(Debug, Default)]
pub struct Idle(BTreeMap<Digest, u64>);

impl Idle {
    /// Takes the next leaf of the ledger.
    pub fn see(&mut self, index: u64, leaf: &Leaf) {
        match serde_json::from_value(leaf.entry.statement.body.clone()) {
            Ok(Body::Propose(_)) => {
                self.0.extend(leaf.entry.id().ok().map(|id| (id, index)));
            }
            Ok(Body::Approve(approve)) => {
                self.0.remove(&approve.proposal);
            }
            _ => {}
        }
    }

    /// Leaves their indexes out.
    pub fn without(self, indexes: Vec<u64>) -> Vec<u64> {
        let idle: BTreeSet<u64> = self.0.into_values().collect();
        indexes.into_iter().filter(|index| !idle.contains(index)).collect()
    }
}

/// What an entry has to do with others.
enum Link {
    Rule,
    Order(Digest),
    Run(Digest),
    Recording { root: String, order: Digest },
    Grant { id: Digest, order: Digest, roots: BTreeSet<String> },
    Read(Digest),
    GrantEnd(Digest),
    KeyEnd(String),
    Report(Box<Filed>),
}

struct Filed {
    id: Digest,
    part: Id,
    grant: Digest,
    order: Digest,
    enrols: bool,
}

/// The indexes of the entries that may stand in the passport of a report, in order;
/// an issuer leaves out those that are [`Idle`]. `leaves` is the ledger from index 0 to the checkpoint's size; an entry
/// of a kind that this version does not know does not belong.
pub fn excerpt_for<'a>(report: &Digest, leaves: impl Iterator<Item = (u64, &'a Leaf)>) -> Vec<u64> {
    let links: Vec<(u64, Link)> =
        leaves.filter_map(|(index, leaf)| Some((index, link(leaf)?))).collect();
    let filed = || {
        links.iter().filter_map(|(index, link)| match link {
            Link::Report(filed) => Some((*index, filed.as_ref())),
            _ => None,
        })
    };
    let subject = filed().find(|(_, f)| f.id == *report);
    let enrolment = subject
        .and_then(|(index, s)| filed().find(|(at, f)| f.enrols && f.part == s.part && *at < index));
    let subject = subject.map(|(_, filed)| filed);
    let reports: Vec<&Filed> =
        subject.into_iter().chain(enrolment.map(|(_, filed)| filed)).collect();
    let grants: BTreeSet<Digest> = reports.iter().map(|f| f.grant).collect();
    let mut orders: BTreeSet<Digest> = reports.iter().map(|f| f.order).collect();
    let mut roots = BTreeSet::new();
    for (_, link) in &links {
        if let Link::Grant { id, order, roots: named } = link
            && grants.contains(id)
        {
            orders.insert(*order);
            roots.extend(named.iter().cloned());
        }
    }
    // A recording stands behind its order; one more step closes the set, because
    // an order names no recording.
    let ours = orders.clone();
    for (_, link) in &links {
        if let Link::Recording { root, order } = link
            && roots.contains(root)
        {
            orders.insert(*order);
        }
    }
    let belongs = |link: &Link| match link {
        Link::Rule => true,
        Link::Order(id) | Link::Run(id) => orders.contains(id),
        Link::Recording { root, order } => roots.contains(root) || ours.contains(order),
        Link::Grant { id, .. } | Link::GrantEnd(id) => grants.contains(id),
        Link::Read(grant) => subject.is_some_and(|s| s.grant == *grant),
        Link::KeyEnd(root) => roots.contains(root),
        Link::Report(filed) => reports.iter().any(|r| r.id == filed.id),
    };
    links.iter().filter(|(_, link)| belongs(link)).map(|(index, _)| *index).collect()
}

/// Whether a leaf is one of those that a grant rests on, beside the rules: one of
/// the `orders` with its run, one of the recordings (`roots`), the grant or its end.
pub fn rests_on(
    leaf: &Leaf,
    grant: &Digest,
    orders: &BTreeSet<Digest>,
    roots: &BTreeSet<String>,
) -> bool {
    match link(leaf) {
        Some(Link::Rule) => true,
        Some(Link::Order(id) | Link::Run(id)) => orders.contains(&id),
        Some(Link::Recording { root, .. }) => roots.contains(&root),
        Some(Link::Grant { id, .. } | Link::GrantEnd(id)) => id == *grant,
        Some(Link::Read(_) | Link::KeyEnd(_) | Link::Report(_)) | None => false,
    }
}

fn link(leaf: &Leaf) -> Option<Link> {
    let id = || leaf.entry.id().ok();
    let body: Body = serde_json::from_value(leaf.entry.statement.body.clone()).ok()?;
    Some(match body {
        Body::Genesis(_)
        | Body::Propose(_)
        | Body::Approve(_)
        | Body::Accept(_)
        | Body::RevokeKey(_) => Link::Rule,
        Body::Order(_) => Link::Order(id()?),
        Body::RunStarted(started) => Link::Run(started.order),
        Body::RunEnded(ended) => Link::Run(ended.order),
        Body::Recording(r) => Link::Recording { root: r.root, order: r.order },
        Body::Grant(grant) => {
            Link::Grant { id: id()?, order: grant.order, roots: grant.recordings }
        }
        Body::Read(read) => Link::Read(read.grant),
        Body::RevokeGrant(revoke) => Link::GrantEnd(revoke.grant),
        Body::Shred(shred) => Link::KeyEnd(shred.root),
        Body::Shredded(shredded) => Link::KeyEnd(shredded.root),
        Body::Report(report) => Link::Report(Box::new(Filed {
            id: id()?,
            enrols: report.analyses.iter().any(|a| a.verdict == Verdict::Enrolled),
            grant: report.grant,
            order: report.order,
            part: report.part,
        })),
        Body::Refused(_) | Body::Passport(_) | Body::Hold(_) | Body::Release(_) => return None,
    })
}
