//! A run's export, verified offline: the file that a person saves from the
//! console's trace page.
//!
//! It carries the leaves of one order with all that followed from it, and the
//! changes of the rules before, each leaf with a proof of its own; the cells'
//! signed manifests; the passports. Every step is checked that can be checked
//! without the plant. What a step rests on comes first, so a broken one ends the
//! list where nothing after it could be trusted.
//!
//! As every excerpt, it can leave out what the fold does not need. Who has to know
//! that nothing else is on the ledger replays all of it.

use crate::{
    Anchors, Broken,
    chain::{Chain, Logged, Rotated, first_of, include},
    evidence::ProvenLeaf,
    examine::{name, recording, started_in_bounds},
    seal::verify,
    steps::{clock, size},
};
use base::{Digest, Id, Millis};
use plant::{
    Body, GrantState, OrderState, Reported, RunStatus,
    body::{Outcome, RunStarted},
};
use proof::{
    entry::Leaf,
    log::{LogPolicy, TlogProof, WitnessedCheckpoint},
    recording::SignedManifest,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The format of the exports that this crate reads.
pub const TRACE_FORMAT: &str = "interlock/trace/1";

/// The largest export that is read (64 MiB).
pub const MAX_TRACE_BYTES: usize = 64 * 1024 * 1024;

/// The export as the console writes it; nothing in it is verified.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Export {
    format: String,
    order: Digest,
    exported_at: Millis,
    anchors: Stated,
    entries: Vec<Shown>,
    manifests: BTreeMap<String, SignedManifest>,
    passports: BTreeMap<Digest, String>,
}

/// The plant's `anchors.json`, as the exporting browser trusted it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Stated {
    genesis: Digest,
    log: LogPolicy,
    site: Id,
}

/// A leaf with its C2SP tlog-proof.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Shown {
    index: u64,
    leaf: Leaf,
    proof: String,
}

/// One thing that was checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// A word: `anchors`, `ledger`, `rules`, `order`, `motion`, `recording`, `grant`,
    /// `read`, `report`, `passport`.
    pub step: &'static str,
    /// Whether it holds.
    pub ok: bool,
    /// What was found.
    pub words: String,
}

/// What an export came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Trace {
    /// The order's entry.
    pub order: Digest,
    /// The plant's first entry, as the anchors name it.
    pub genesis: Digest,
    /// Whether the reader brought the anchors. If not, the file is consistent with
    /// the plant that it names, which may be anybody's.
    pub pinned: bool,
    /// When the file was written, by the exporting browser's clock. Nobody signed it.
    pub exported_at: Millis,
    /// What was checked, in the order of the chain.
    pub checks: Vec<Check>,
}

/// What holds, in words, or what is broken.
type Found<T> = Result<(T, String), Broken>;

impl Trace {
    /// Whether everything holds.
    pub fn holds(&self) -> bool {
        !self.checks.is_empty() && self.checks.iter().all(|check| check.ok)
    }

    fn take<T>(&mut self, step: &'static str, found: Found<T>) -> Option<T> {
        let (value, ok, words) = match found {
            Ok((value, words)) => (Some(value), true, words),
            Err(broken) => (None, false, broken.to_string()),
        };
        self.checks.push(Check { step, ok, words });
        value
    }

    fn say(&mut self, step: &'static str, found: Result<String, Broken>) {
        self.take(step, found.map(|words| ((), words)));
    }
}

/// Verifies an export, whole. With `pin`, the plant must be the pinned one under the
/// pinned log policy; without, the anchors are the file's own, which must be those
/// that the plant's first entry states.
///
/// # Errors
/// The bytes are no export. What does not hold in one stands in [`Trace::checks`].
pub fn verify_trace(bytes: &[u8], pin: Option<&Anchors>) -> Result<Trace, Broken> {
    let export = Export::read(bytes)?;
    let mut trace = Trace {
        order: export.order,
        genesis: export.anchors.genesis,
        pinned: pin.is_some(),
        exported_at: export.exported_at,
        checks: Vec::new(),
    };
    let Some(anchors) = trace.take("anchors", trusted(&export, pin)) else {
        return Ok(trace);
    };
    trace.genesis = anchors.genesis;
    let Some(ledger) = trace.take("ledger", ledger(&export, &anchors)) else {
        return Ok(trace);
    };
    let Some(chain) = trace.take("rules", fold(&anchors, ledger)) else {
        return Ok(trace);
    };
    if let Some(story) = Story::find(&export, &anchors, &chain, &mut trace) {
        story.tell(&mut trace);
    }
    Ok(trace)
}

impl Export {
    fn read(bytes: &[u8]) -> Result<Self, Broken> {
        let refuse = |reason: String| Err(Broken::unreadable("the export", reason));
        if bytes.len() > MAX_TRACE_BYTES {
            return refuse(format!("{} bytes, at most {MAX_TRACE_BYTES}", bytes.len()));
        }
        let export: Self =
            serde_json::from_slice(bytes).map_err(|e| Broken::unreadable("the export", e))?;
        if export.format != TRACE_FORMAT {
            let found: String = export.format.chars().take(40).collect();
            return refuse(format!("format `{found}`, `{TRACE_FORMAT}` is expected"));
        }
        Ok(export)
    }
}

/// Whom the rest is held against.
fn trusted(export: &Export, pin: Option<&Anchors>) -> Found<Anchors> {
    let Some(first) = export.entries.first() else {
        return Err(Broken::proof("the excerpt of the ledger", "it has no entries"));
    };
    let stated = Anchors::of(&first.leaf)?;
    let own = Anchors { genesis: export.anchors.genesis, log: export.anchors.log.clone() };
    let (anchors, whose) = match pin {
        Some(pin) => (pin.clone(), "yours"),
        None => (own, "the file's own, which prove no more than that it fits together"),
    };
    if stated.genesis != anchors.genesis {
        let reason =
            format!("the file begins with {}, {} is trusted", stated.genesis, anchors.genesis);
        return Err(Broken::untrusted("the plant's first entry", reason));
    }
    if pin.is_none() && stated != anchors {
        let reason = "the plant's first entry states another log or other witnesses";
        return Err(Broken::untrusted("the file's own anchors", reason));
    }
    let site = &first.leaf.entry.statement.site;
    if *site != export.anchors.site {
        let reason = format!("`{}`, the plant's first entry says `{site}`", export.anchors.site);
        return Err(Broken::untrusted("the site in the file's anchors", reason));
    }
    let words = format!("{whose}: plant {} of site `{site}`", anchors.genesis);
    Ok((anchors, words))
}

/// The leaves that a witnessed log was shown to hold, and its newest state.
struct Ledger {
    newest: WitnessedCheckpoint,
    entries: Vec<ProvenLeaf>,
    leaves: Vec<Vec<u8>>,
}

fn ledger(export: &Export, anchors: &Anchors) -> Found<Ledger> {
    let keys = rotated(export, anchors);
    // Proofs that were made together share a checkpoint.
    let mut notes: BTreeMap<Vec<u8>, (WitnessedCheckpoint, LogPolicy)> = BTreeMap::new();
    let mut roots: BTreeMap<u64, Digest> = BTreeMap::new();
    let (mut entries, mut leaves) = (Vec::new(), Vec::new());
    for shown in &export.entries {
        let what = || format!("the proof of entry {}", shown.index);
        let broken = |e: String| Broken::proof(what(), e);
        let TlogProof { index, path, checkpoint: note, .. } =
            TlogProof::parse(shown.proof.as_bytes()).map_err(|e| broken(e.to_string()))?;
        if index != shown.index {
            return Err(broken(format!("it is of entry {index}")));
        }
        let checkpoint = match notes.get(&note) {
            Some((known, _)) => known.clone(),
            None => {
                let (made, log) = keys.open(&note, &anchors.log)?;
                notes.insert(note, (made.clone(), log));
                made
            }
        };
        if *roots.entry(checkpoint.size()).or_insert_with(|| checkpoint.root()) != checkpoint.root()
        {
            let reason = format!("another root of {} entries was cosigned too", checkpoint.size());
            return Err(broken(reason));
        }
        let proven = ProvenLeaf { index, leaf: shown.leaf.clone(), path };
        leaves.push(include(&checkpoint, &proven)?);
        entries.push(proven);
    }
    let newest = notes.into_values().max_by_key(|(c, _)| (c.size(), c.witnessed_at()));
    let (newest, log) = newest.ok_or_else(|| Broken::unreadable("the export", "no entries"))?;
    let words = format!(
        "{} leaves stand in log {}, each by its own path; the newest state has {} entries, seen by {} of {} witnesses at {}",
        entries.len(),
        newest.origin(),
        newest.size(),
        log.quorum(),
        log.witnesses().len(),
        clock(newest.witnessed_at()),
    );
    Ok((Ledger { newest, entries, leaves }, words))
}

/// Whose signatures count on the proofs' checkpoints.
fn rotated(export: &Export, anchors: &Anchors) -> Rotated {
    let bare = |shown: &Shown| ProvenLeaf {
        index: shown.index,
        leaf: shown.leaf.clone(),
        path: Vec::new(),
    };
    let entries: Vec<ProvenLeaf> = export.entries.iter().map(bare).collect();
    Rotated::read(&anchors.genesis, &entries)
}

fn fold(anchors: &Anchors, ledger: Ledger) -> Found<Chain> {
    let Ledger { newest, entries, leaves } = ledger;
    let (first, _) = first_of(&entries)?;
    let stated = Anchors::of(&first.leaf)?;
    let pinned = Some((anchors.clone(), newest.clone()));
    let chain = Chain::of_leaves(stated, newest, pinned, &entries, &leaves)?;
    let words = format!(
        "{} entries fold: each is signed under a key that counted where it stands, and admitted by the roles, policy and rules that the file shows up to there",
        chain.entries.len()
    );
    Ok((chain, words))
}

/// The order with the entries that led to it and followed from it.
struct Story<'a> {
    export: &'a Export,
    anchors: &'a Anchors,
    chain: &'a Chain,
    id: Digest,
    order: &'a OrderState,
}

impl<'a> Story<'a> {
    fn find(
        export: &'a Export,
        anchors: &'a Anchors,
        chain: &'a Chain,
        trace: &mut Trace,
    ) -> Option<Self> {
        let id = export.order;
        let found = chain.plant.orders.get(&id).map(|order| {
            let bounds = &order.order;
            let means = if order.user_verified { "a passkey" } else { "a key file" };
            let words = format!(
                "entry {}: `{}` ordered `{}` on `{}` in cell `{}`, signed with {means}, logged {}",
                order.index,
                order.issuer,
                bounds.program.id,
                bounds.part,
                bounds.cell,
                clock(order.logged_at)
            );
            (order, words)
        });
        let found = found.ok_or_else(|| Broken::proof("the order", format!("no entry {id}")));
        let order = trace.take("order", found)?;
        Some(Self { export, anchors, chain, id, order })
    }

    fn tell(&self, trace: &mut Trace) {
        trace.say("motion", self.motion());
        self.recordings(trace);
        let plant = &self.chain.plant;
        let ours = |grant: &GrantState| {
            let terms = &grant.grant;
            terms.order == self.id || !terms.recordings.is_disjoint(&self.order.recordings)
        };
        for (id, grant) in plant.grants.iter().filter(|(_, grant)| ours(grant)) {
            trace.say("grant", Ok(granted(grant)));
            trace.say("read", Ok(self.reads(id, grant)));
        }
        for (id, report) in plant.reports.iter().filter(|(_, r)| r.report.order == self.id) {
            trace.say("report", self.report(report));
            self.passport(id, report, trace);
        }
        for report in self.export.passports.keys() {
            if plant.reports.get(report).and_then(|r| r.passport).is_none() {
                let what = format!("the passport of report {}", report.short());
                let reason = "no entry says that the site issued it";
                trace.say("passport", Err(Broken::proof(what, reason)));
            }
        }
    }

    /// The first entry that states what is wanted.
    fn stated(&self, wanted: impl Fn(&Body) -> bool) -> Option<&'a Logged> {
        self.chain.entries.iter().find(|entry| wanted(&entry.body))
    }

    /// Start and end of the run, as far as the file shows them.
    fn motion(&self) -> Result<String, Broken> {
        let starts = |body: &Body| matches!(body, Body::RunStarted(s) if s.order == self.id);
        let Some(started) = self.stated(starts) else {
            return match &self.order.status {
                RunStatus::Refused(refusal) => Ok(format!(
                    "the cell refused the order by rule `{}`: {}",
                    refusal.rule, refusal.reason
                )),
                _ => Ok("no entry of the file says that the robot moved".into()),
            };
        };
        started_in_bounds(self.chain, self.order, started)?;
        let rested = match &started.body {
            Body::RunStarted(RunStarted { checkpoint, .. }) => *checkpoint,
            _ => 0,
        };
        let began = format!(
            "entry {}: cell `{}` began {}, resting on a witnessed log of {rested} entries that held the order, within its lag and time",
            started.index,
            started.issuer,
            clock(started.at)
        );
        let Some(run) = &self.order.ended else {
            return Ok(format!("{began}; no entry of the file says how it ended"));
        };
        let outcome = match run.outcome {
            Outcome::Finished => "finished",
            Outcome::Stopped => "was stopped",
            Outcome::Failed => "failed",
        };
        Ok(format!(
            "{began}; it {outcome} with {} samples, {} lost, {} viewpoints",
            run.samples, run.lost, run.viewpoints
        ))
    }

    /// Each recording of the run needs its manifest; every manifest is held against
    /// the ledger, those of other runs that were granted with this one's too.
    fn recordings(&self, trace: &mut Trace) {
        let shown = &self.export.manifests;
        for root in self.order.recordings.iter().filter(|root| !shown.contains_key(*root)) {
            let what = format!("the manifest of recording {root}");
            trace.say("recording", Err(Broken::proof(what, "it is absent")));
        }
        for (root, signed) in shown {
            trace.say("recording", self.recording(root, signed));
        }
    }

    fn recording(&self, root: &str, signed: &SignedManifest) -> Result<String, Broken> {
        if signed.claim.root_cid != root {
            let what = format!("the manifest under {}", shortened(root));
            let reason = format!("it is of recording {}", shortened(&signed.claim.root_cid));
            return Err(Broken::proof(what, reason));
        }
        let state = recording(self.chain, signed)?;
        let logged = &state.recording;
        let run = if logged.order == self.id { "this run" } else { "another run" };
        let key = match (state.shredded, state.shred.is_some()) {
            (true, _) => "; its key was destroyed",
            (false, true) => "; its key is to be destroyed",
            (false, false) => "",
        };
        Ok(format!(
            "entry {}: stream `{}` of {run}, {}, manifest signed by cell `{}`{key}: {root}",
            state.index,
            logged.stream,
            size(logged.bytes),
            signed.claim.cell,
        ))
    }

    /// The fold has held each read against its grant, in the order of the ledger.
    fn reads(&self, id: &Digest, grant: &GrantState) -> String {
        let served = |root: &String| {
            let of_root =
                |b: &Body| matches!(b, Body::Read(r) if r.grant == *id && r.root == *root);
            self.stated(of_root).is_some()
        };
        let roots = grant.grant.recordings.iter().filter(|root| served(root)).count();
        format!(
            "{} reads of {roots} of the {} granted recordings, {} of at most {}, all while the grant was in force",
            grant.reads,
            grant.grant.recordings.len(),
            size(grant.used),
            size(grant.grant.budget)
        )
    }

    /// A report rests on what was read under its grant before it was filed.
    fn report(&self, state: &Reported) -> Result<String, Broken> {
        let report = &state.report;
        let broken =
            |reason: String| Err(Broken::proof(format!("entry {} (report)", state.index), reason));
        let read: BTreeSet<&String> = self
            .chain
            .entries
            .iter()
            .filter(|entry| entry.index < state.index)
            .filter_map(|entry| match &entry.body {
                Body::Read(read) if read.grant == report.grant => Some(&read.root),
                _ => None,
            })
            .collect();
        if let Some(unread) = report.inputs.iter().find(|root| !read.contains(root)) {
            return broken(format!("no read of its input {unread} stands before it"));
        }
        if report.inputs.is_disjoint(&self.order.recordings) {
            return broken("none of its inputs is a recording of the run".into());
        }
        Ok(format!(
            "entry {}: `{}` reported on `{}` with {} analyses; its {} inputs were read under its grant before",
            state.index,
            state.issuer,
            report.part,
            report.analyses.len(),
            report.inputs.len()
        ))
    }

    fn passport(&self, id: &Digest, state: &Reported, trace: &mut Trace) {
        let Some(credential) = state.passport else {
            return;
        };
        let found = match self.export.passports.get(id) {
            Some(jwt) => self.issued(id, &credential, jwt),
            None => {
                let what = format!("the passport of report {}", id.short());
                Err(Broken::proof(what, "the ledger names it, the file lacks it"))
            }
        };
        trace.say("passport", found);
    }

    fn issued(&self, id: &Digest, credential: &Digest, jwt: &str) -> Result<String, Broken> {
        let what = || format!("the passport of report {}", id.short());
        let issues = |body: &Body| matches!(body, Body::Passport(p) if p.report == *id);
        let entry = self.stated(issues);
        let entry = entry.ok_or_else(|| Broken::proof(what(), "no entry issues it"))?;
        let digest = base::sha256(jwt.as_bytes());
        if digest != *credential {
            let reason = format!("its digest is {digest}, {} names {credential}", name(entry));
            return Err(Broken::proof(what(), reason));
        }
        let verified = verify(jwt, Some(self.anchors))?;
        if verified.facts().report != *id {
            let reason = format!("it is issued from report {}", verified.facts().report);
            return Err(Broken::proof(what(), reason));
        }
        Ok(format!(
            "entry {}: the passport of `{}`, {}, verifies by itself and has the digest that the ledger names",
            entry.index,
            verified.facts().part,
            verified.facts().overall.word().to_lowercase()
        ))
    }
}

fn granted(state: &GrantState) -> String {
    let grant = &state.grant;
    let end = state.revoked.map(|index| format!(", revoked at entry {index}"));
    format!(
        "entry {}: `{}` granted {} recordings to `{}` for “{}” until {}{}",
        state.index,
        state.issuer,
        grant.recordings.len(),
        grant.processor,
        grant.purpose,
        clock(grant.not_after),
        end.unwrap_or_default()
    )
}

fn shortened(text: &str) -> String {
    text.chars().take(80).collect()
}
