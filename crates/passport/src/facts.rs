//! What a passport says, derived from its evidence alone.

use crate::{
    Broken,
    chain::{Chain, Logged},
    did::DidWeb,
    evidence::Evidence,
    examine::{Case, examine},
    steps,
};
use base::{Digest, Id, Millis, sha256};
use plant::{
    Body,
    body::{Analysis, Picture, Verdict},
};
use serde::Serialize;

/// All analyses of a report taken together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Overall {
    /// Every analysis that compared agrees.
    Passed,
    /// At least one analysis found a difference or another part.
    Failed,
    /// At least one analysis could not tell, and none failed.
    Undetermined,
    /// The part is known from now on, and nothing was compared.
    Enrolled,
}

impl Overall {
    fn of(analyses: &[Analysis]) -> Self {
        let has = |wanted: &[Verdict]| analyses.iter().any(|a| wanted.contains(&a.verdict));
        if has(&[Verdict::Denied, Verdict::Fail]) {
            Self::Failed
        } else if analyses.is_empty() || has(&[Verdict::Undetermined]) {
            Self::Undetermined
        } else if has(&[Verdict::Confirmed, Verdict::Pass]) {
            Self::Passed
        } else {
            Self::Enrolled
        }
    }

    /// One word for people.
    pub fn word(self) -> &'static str {
        match self {
            Self::Passed => "Passed",
            Self::Failed => "Failed",
            Self::Undetermined => "Undetermined",
            Self::Enrolled => "Enrolled",
        }
    }
}

/// One analysis of the report.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    /// `identity` or `inspection`.
    pub name: Id,
    /// The verdict.
    pub verdict: Verdict,
    /// The verdict in words.
    pub words: &'static str,
    /// The score, in the analysis' own unit.
    pub score: f64,
    /// The score at which the verdict turns.
    pub threshold: f64,
    /// The digest of the program text: version and parameters.
    pub program: Digest,
    /// The digest of what the part was held against.
    pub reference: Option<Digest>,
    /// What is known of that reference.
    pub reference_words: String,
}

/// One step of the chain of proofs, for people.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Step {
    /// A word: `order`, `ledger`, `motion`, `capture`, `vault`, `grant`,
    /// `analysis`, `passport`; `enrolment` before them where there is one.
    pub kind: &'static str,
    /// What happened.
    pub title: String,
    /// Who did it, by name.
    pub who: String,
    /// More, in whole sentences.
    pub detail: String,
    /// When, by the site's clock, or the witnesses' for the ledger.
    pub at: Option<Millis>,
    /// The entry's index on the ledger.
    pub index: Option<u64>,
    /// The entry's identifier, or the checkpoint's root.
    pub digest: Option<Digest>,
    /// Names worth keeping, such as root CIDs: what it is, and its value.
    pub names: Vec<(String, String)>,
}

/// What the passport's trust rests on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Trust {
    /// Whether the reader brought the anchors. If not, the passport proves that it
    /// is consistent with the plant that it names, not which plant that is.
    pub pinned: bool,
    /// The identifier of the plant's first entry.
    pub genesis: Digest,
    /// The log's name.
    pub origin: String,
    /// The names of the witnesses that count.
    pub witnesses: Vec<String>,
    /// How many of them must have cosigned.
    pub quorum: usize,
    /// The size of the checkpoint.
    pub size: u64,
    /// The root of the checkpoint.
    pub root: Digest,
    /// Since when a quorum vouches for that checkpoint.
    pub witnessed_at: Millis,
}

/// All that a passport says. Whoever holds it inside a [`crate::Verified`] knows
/// that it was derived from verified evidence.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Facts {
    /// The part.
    pub part: Id,
    /// The site.
    pub site: Id,
    /// The plant's name for people.
    pub plant: String,
    /// The decentralised identifier of the issuer.
    pub issuer: String,
    /// Where the passport is published.
    pub url: String,
    /// When it was issued, by the site's clock.
    pub issued_at: Millis,
    /// The entry of the report.
    pub report: Digest,
    /// All analyses together.
    pub overall: Overall,
    /// The analyses.
    pub findings: Vec<Finding>,
    /// The pictures that explain them.
    pub pictures: Vec<Picture>,
    /// The recordings' root CIDs with their streams.
    pub recordings: Vec<(Id, String)>,
    /// The chain of proofs.
    pub steps: Vec<Step>,
}

/// Derives everything from evidence.
pub(crate) fn derive(evidence: &Evidence, chain: &Chain) -> Result<(Facts, DidWeb), Broken> {
    let case = examine(evidence, chain)?;
    let plant = &chain.plant;
    let did: DidWeb =
        plant.anchors.issuer.parse().map_err(|e| Broken::proof("entry 0 (genesis)", e))?;
    let report = &case.report.report;
    let facts = Facts {
        part: report.part.clone(),
        site: plant.site.clone(),
        plant: plant.anchors.name.clone(),
        issuer: did.to_string(),
        url: did.passport_url(&report.part),
        issued_at: evidence.issued_at,
        report: evidence.report,
        overall: Overall::of(&report.analyses),
        findings: report.analyses.iter().map(|analysis| finding(analysis, chain, &case)).collect(),
        pictures: report.pictures.clone(),
        recordings: case
            .recordings
            .iter()
            .map(|(state, _)| (state.recording.stream.clone(), state.recording.root.clone()))
            .collect(),
        steps: steps::steps(evidence, chain, &case),
    };
    Ok((facts, did))
}

pub(crate) fn trust(chain: &Chain) -> Trust {
    let (anchors, checkpoint) = match &chain.pinned {
        Some((anchors, checkpoint)) => (anchors, checkpoint),
        None => (&chain.stated, &chain.checkpoint),
    };
    let log = &anchors.log;
    Trust {
        pinned: chain.pinned.is_some(),
        genesis: anchors.genesis,
        origin: log.origin().into(),
        witnesses: log.witnesses().iter().map(|w| w.name().into()).collect(),
        quorum: log.quorum(),
        size: checkpoint.size(),
        root: checkpoint.root(),
        witnessed_at: checkpoint.witnessed_at(),
    }
}

fn finding(analysis: &Analysis, chain: &Chain, case: &Case<'_>) -> Finding {
    Finding {
        name: analysis.name.clone(),
        verdict: analysis.verdict,
        words: words(analysis.verdict),
        score: analysis.score,
        threshold: analysis.threshold,
        program: analysis.program,
        reference: analysis.reference,
        reference_words: reference_words(analysis, chain, case),
    }
}

/// A verdict in words.
pub(crate) fn words(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Enrolled => "the first scan, by which the part is known from now on",
        Verdict::Confirmed => "it is the part that was enrolled",
        Verdict::Denied => "it is not the part that was enrolled",
        Verdict::Pass => "nothing differs from what it was held against",
        Verdict::Fail => "it differs from what it was held against",
        Verdict::Undetermined => "the photographs do not allow a verdict",
    }
}

/// What the ledger knows of the thing that an analysis held the part against.
fn reference_words(analysis: &Analysis, chain: &Chain, case: &Case<'_>) -> String {
    let Some(reference) = analysis.reference else {
        return "held against nothing".into();
    };
    let mut templates = chain.plant.templates.values();
    if let Some(template) = templates.find(|t| t.sha256 == reference) {
        return format!("held against the approved template “{}”", template.title);
    }
    match case.enrolment {
        Some(entry) if names(entry, chain, &reference) => {
            format!("held against the scan that enrolled the part, entry {}", entry.index)
        }
        _ => "held against a reference that this ledger does not name".into(),
    }
}

/// Whether a digest is the enrolling report, one of its pictures, or one of its
/// inputs: a manifest, or the text of a root CID.
fn names(entry: &Logged, chain: &Chain, digest: &Digest) -> bool {
    let Body::Report(report) = &entry.body else {
        return false;
    };
    let input = |root: &String| {
        let state = chain.plant.recordings.get(root);
        sha256(root.as_bytes()) == *digest || state.is_some_and(|s| s.recording.manifest == *digest)
    };
    entry.id == *digest
        || report.pictures.iter().any(|p| p.sha256 == *digest)
        || report.inputs.iter().any(input)
}
