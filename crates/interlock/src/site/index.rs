//! Where things stand on the ledger: what each entry states and who stated it, and
//! which entries concern an order. Held in memory beside the plant, so that a list
//! or a trace never reads the whole ledger.

use base::{Digest, Id};
use plant::{
    Body, Plant,
    body::{Grant, Refused},
};
use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard},
};

/// One entry: the positions of its word and issuer in [`Index::names`].
struct Row {
    word: u32,
    issuer: u32,
}

/// Which entries to list.
#[derive(Clone, Debug, Default)]
pub struct Filter<'a> {
    /// Only those that state this.
    pub word: Option<&'a str>,
    /// Only those that this member stated.
    pub issuer: Option<&'a str>,
}

/// The index of a ledger.
#[derive(Default)]
pub struct Index {
    rows: Vec<Row>,
    names: HashMap<String, u32>,
    orders: HashMap<Digest, Vec<u64>>,
}

impl Index {
    /// Takes the next entry in; `plant` has applied it already.
    pub fn add(&mut self, plant: &Plant, id: &Digest, issuer: &Id, body: &Body) {
        let index = self.rows.len() as u64;
        let row = Row { word: self.name(body.word()), issuer: self.name(issuer.as_str()) };
        self.rows.push(row);
        for order in concerned(plant, id, body) {
            self.orders.entry(order).or_default().push(index);
        }
    }

    fn name(&mut self, text: &str) -> u32 {
        if let Some(known) = self.names.get(text) {
            return *known;
        }
        let next = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        *self.names.entry(text.to_owned()).or_insert(next)
    }

    /// The newest `limit` entries below `before` that pass the filter, newest first.
    pub fn newest(&self, before: u64, limit: usize, filter: &Filter<'_>) -> Vec<u64> {
        let known = |text: Option<&str>| match text {
            None => Some(None),
            Some(text) => self.names.get(text).copied().map(Some),
        };
        let (Some(word), Some(issuer)) = (known(filter.word), known(filter.issuer)) else {
            return Vec::new();
        };
        let below = usize::try_from(before).unwrap_or(usize::MAX).min(self.rows.len());
        let rows = self.rows.iter().enumerate().take(below).rev();
        rows.filter(|(_, r)| word.is_none_or(|w| w == r.word))
            .filter(|(_, r)| issuer.is_none_or(|i| i == r.issuer))
            .map(|(index, _)| index as u64)
            .take(limit)
            .collect()
    }

    /// Whether the entry at an index states this word.
    pub fn states(&self, index: u64, word: &str) -> bool {
        let row = usize::try_from(index).ok().and_then(|at| self.rows.get(at));
        row.is_some_and(|row| self.names.get(word) == Some(&row.word))
    }

    /// The entries that concern an order, in the order of the ledger.
    pub fn of_order(&self, order: &Digest) -> &[u64] {
        self.orders.get(order).map_or(&[], Vec::as_slice)
    }
}

/// The orders that an entry concerns.
fn concerned(plant: &Plant, id: &Digest, body: &Body) -> BTreeSet<Digest> {
    let of_root = |root: &String| plant.recordings.get(root).map(|r| r.recording.order);
    let of_grant = |grant: &Grant| -> BTreeSet<Digest> {
        grant.recordings.iter().filter_map(of_root).chain([grant.order]).collect()
    };
    match body {
        Body::Order(_) => [*id].into(),
        Body::RunStarted(started) => [started.order].into(),
        Body::RunEnded(ended) => [ended.order].into(),
        Body::Recording(recording) => [recording.order].into(),
        Body::Refused(Refused { request, .. }) => {
            request.iter().filter(|id| plant.orders.contains_key(id)).copied().collect()
        }
        Body::Grant(grant) => of_grant(grant),
        Body::RevokeGrant(revoke) => {
            plant.grants.get(&revoke.grant).map(|g| of_grant(&g.grant)).unwrap_or_default()
        }
        Body::Read(read) => {
            let granted = plant.grants.get(&read.grant).map(|g| g.grant.order);
            of_root(&read.root).into_iter().chain(granted).collect()
        }
        Body::Shred(shred) => of_root(&shred.root).into_iter().collect(),
        Body::Shredded(shredded) => of_root(&shredded.root).into_iter().collect(),
        Body::Report(report) => [report.order].into(),
        Body::Passport(passport) => {
            plant.reports.get(&passport.report).map(|r| r.report.order).into_iter().collect()
        }
        _ => BTreeSet::new(),
    }
}

/// An index that the sequencer extends while requests read it.
#[derive(Clone, Default)]
pub struct Indexed(Arc<RwLock<Index>>);

impl Indexed {
    /// Shares an index.
    pub fn new(index: Index) -> Self {
        Self(Arc::new(RwLock::new(index)))
    }

    /// Reads it; keep it short, the sequencer waits.
    pub fn read(&self) -> RwLockReadGuard<'_, Index> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the next entry in.
    pub fn add(&self, plant: &Plant, id: &Digest, issuer: &Id, body: &Body) {
        let mut index = self.0.write().unwrap_or_else(PoisonError::into_inner);
        index.add(plant, id, issuer, body);
    }
}
