//! The file that the console's trace page saves of an order, made from a [`World`].

use super::*;
use plant::body::PassportIssued;
use proof::log::TlogProof;
use serde_json::{Value, json};
use std::collections::BTreeSet;

impl World {
    /// Issues a report's passport and logs it, as a site does; returns the `vc+jwt`.
    pub fn issue(&mut self, report: Digest) -> String {
        let issued = passport::issue(self.draft(&report), &*key("site")).unwrap();
        let part = self.plant.reports[&report].report.part.clone();
        let credential = issued.digest();
        self.log("site", Body::Passport(PassportIssued { credential, part, report }));
        issued.jwt().to_owned()
    }

    /// The export of an order's trace, with these passports by their report.
    pub fn export(&self, order: Digest, passports: &[(Digest, String)]) -> Value {
        let roots = self.granted_with(&order);
        let indexes = self.traced(&order, &roots);
        let manifests: BTreeMap<_, _> = roots.iter().map(|r| (r, &self.manifests[r])).collect();
        let passports: BTreeMap<_, _> = passports.iter().map(|(id, jwt)| (id, jwt)).collect();
        let note = self.checkpoint();
        let shown = |index: u64| {
            let proven = self.proven(index);
            let (path, checkpoint) = (proven.path, note.clone());
            let proof = TlogProof { extra: None, index, path, checkpoint }.to_string();
            json!({ "index": index, "leaf": proven.leaf, "proof": proof })
        };
        json!({
            "format": passport::TRACE_FORMAT,
            "order": order,
            "exported_at": self.now.plus(9000),
            "anchors": { "genesis": self.plant.genesis, "log": self.anchors().log, "site": "plant" },
            "entries": indexes.into_iter().map(shown).collect::<Vec<_>>(),
            "manifests": manifests,
            "passports": passports,
        })
    }

    /// The run's recordings and all that were granted together with one of them.
    fn granted_with(&self, order: &Digest) -> BTreeSet<String> {
        let own = &self.plant.orders[order].recordings;
        let grants = self.plant.grants.values().map(|g| &g.grant.recordings);
        let with = grants.filter(|roots| !roots.is_disjoint(own)).flatten();
        own.iter().chain(with).cloned().collect()
    }

    fn traced(&self, order: &Digest, roots: &BTreeSet<String>) -> Vec<u64> {
        let plant = &self.plant;
        let own = &plant.orders[order].recordings;
        let behind: BTreeSet<Digest> =
            roots.iter().map(|r| plant.recordings[r].recording.order).collect();
        let granted = |id: &Digest| {
            let grant = &plant.grants[id].grant;
            grant.order == *order || !grant.recordings.is_disjoint(own)
        };
        let belongs = |id: Digest, body: &Body| match body {
            Body::Genesis(_)
            | Body::Propose(_)
            | Body::Approve(_)
            | Body::Accept(_)
            | Body::RevokeKey(_) => true,
            Body::Order(_) => behind.contains(&id) || id == *order,
            Body::RunStarted(s) => behind.contains(&s.order) || s.order == *order,
            Body::RunEnded(e) => behind.contains(&e.order) || e.order == *order,
            Body::Refused(r) => r.request == Some(*order),
            Body::Recording(r) => roots.contains(&r.root),
            Body::Grant(_) => granted(&id),
            Body::RevokeGrant(r) => granted(&r.grant),
            Body::Read(r) => granted(&r.grant),
            Body::Report(r) => r.order == *order,
            Body::Passport(p) => plant.reports[&p.report].report.order == *order,
            Body::Shred(s) => own.contains(&s.root),
            Body::Shredded(s) => own.contains(&s.root),
            Body::Hold(_) | Body::Release(_) => false,
        };
        let stated = |leaf: &Leaf| {
            let body = serde_json::from_value(leaf.entry.statement.body.clone()).unwrap();
            belongs(leaf.entry.id().unwrap(), &body)
        };
        (0..).zip(&self.leaves).filter(|(_, leaf)| stated(leaf)).map(|(index, _)| index).collect()
    }
}

/// A whole job with its passport: the plant, the order and the export.
pub fn exported() -> (World, Scan, Value) {
    let (mut world, scan) = sample();
    let jwt = world.issue(scan.report);
    let export = world.export(scan.order, &[(scan.report, jwt)]);
    (world, scan, export)
}
