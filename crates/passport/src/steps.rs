//! The chain of proofs in plain words.
//!
//! The words are part of the passport's format: its page is compared with what
//! they render to. A change of them is a new format version.

use crate::{
    chain::{Chain, Logged},
    evidence::Evidence,
    examine::Case,
    facts::{Step, words},
};
use base::{Id, Millis};
use plant::Body;
use std::collections::BTreeSet;

/// All steps, in the order in which they happened.
pub(crate) fn steps(evidence: &Evidence, chain: &Chain, case: &Case<'_>) -> Vec<Step> {
    let mut steps = Vec::new();
    if let Some(entry) = case.enrolment {
        steps.push(enrolment(chain, case, entry));
    }
    steps.extend([
        order(chain, case),
        ledger(chain, case),
        motion(chain, case),
        capture(chain, case),
        vault(chain, case),
        grant(chain, case),
        analysis(chain, case),
        passport(evidence, chain),
    ]);
    steps
}

fn at_entry(
    kind: &'static str,
    title: impl Into<String>,
    who: String,
    detail: String,
    entry: &Logged,
) -> Step {
    Step {
        kind,
        title: title.into(),
        who,
        detail,
        at: Some(entry.at),
        index: Some(entry.index),
        digest: Some(entry.id),
        names: Vec::new(),
    }
}

/// A member's name for people with its identifier.
fn who(chain: &Chain, member: &Id) -> String {
    match chain.plant.members.get(member) {
        Some(state) if !state.member.name.is_empty() => {
            format!("{} ({member})", state.member.name)
        }
        _ => member.to_string(),
    }
}

fn enrolment(chain: &Chain, case: &Case<'_>, entry: &Logged) -> Step {
    let detail = format!(
        "Part {} was scanned for the first time, and has been known by that scan since.",
        case.report.report.part
    );
    at_entry("enrolment", "Known from an earlier scan", who(chain, &entry.issuer), detail, entry)
}

fn order(chain: &Chain, case: &Case<'_>) -> Step {
    let order = &case.order.order;
    let program = chain.plant.programs.get(&order.program.id);
    let title = program.map_or(order.program.id.as_str(), |p| p.title.as_str());
    let values: Vec<String> = order
        .parameters
        .iter()
        .map(|(name, value)| {
            let unit = program.and_then(|p| p.parameters.get(name)).map_or("", |p| p.unit.as_str());
            format!("{name} {value} {unit}").trim_end().to_owned()
        })
        .collect();
    let with =
        if values.is_empty() { String::new() } else { format!(", with {}", values.join(", ")) };
    let means = if case.order.user_verified {
        "a passkey, which checked the person by PIN or biometrics"
    } else {
        "a key file, which does not check the person"
    };
    let detail = format!(
        "Program “{title}” ({}) on part {} in cell {}{with}; signed with {means}. The plant's roles, policy and approved programs allowed it.",
        order.program.id, order.part, order.cell
    );
    let person = who(chain, &case.order.issuer);
    let mut step =
        at_entry("order", "A scan was ordered and signed", person, detail, case.order_entry);
    step.names.push(("Program SHA-256".into(), order.program.sha256.to_string()));
    step
}

fn ledger(chain: &Chain, case: &Case<'_>) -> Step {
    let (checkpoint, log) = (&chain.checkpoint, &chain.stated.log);
    let witnesses: Vec<&str> = log.witnesses().iter().map(|w| w.name()).collect();
    let detail = format!(
        "The order is entry {} of the log {}. The checkpoint over {} entries was cosigned by at least {} of the witnesses ({}) at {}: they saw no other version of this log.",
        case.order_entry.index,
        checkpoint.origin(),
        checkpoint.size(),
        log.quorum(),
        witnesses.join(", "),
        clock(checkpoint.witnessed_at())
    );
    Step {
        kind: "ledger",
        title: "It went on a witnessed ledger".into(),
        who: format!("Site {} and witnesses", chain.plant.site),
        detail,
        at: Some(case.order_entry.at),
        index: Some(case.order_entry.index),
        digest: Some(checkpoint.root()),
        names: Vec::new(),
    }
}

fn motion(chain: &Chain, case: &Case<'_>) -> Step {
    let rested = match &case.started.body {
        Body::RunStarted(started) => started.checkpoint,
        _ => 0,
    };
    let detail = format!(
        "The cell verified the order by itself, resting on a checkpoint of {rested} entries, used it up, and only then moved the robot. The run finished at {}.",
        clock(case.ended.at)
    );
    let cell = who(chain, &case.started.issuer);
    at_entry("motion", "The robot moved, once", cell, detail, case.started)
}

fn capture(chain: &Chain, case: &Case<'_>) -> Step {
    let run = case.run;
    let robots: BTreeSet<&str> = case.recordings.iter().map(|(_, m)| m.robot.as_str()).collect();
    let lost = match run.lost {
        0 => "none lost".to_owned(),
        lost => format!("{lost} lost"),
    };
    let robots: Vec<&str> = robots.into_iter().collect();
    let detail = format!(
        "Robot {}: {} samples of its state, {lost}; photographs from {} viewpoints.",
        robots.join(", "),
        run.samples,
        run.viewpoints
    );
    let cell = who(chain, &case.ended.issuer);
    at_entry("capture", "State and photographs were recorded", cell, detail, case.ended)
}

fn vault(chain: &Chain, case: &Case<'_>) -> Step {
    let bytes: u64 =
        case.recordings.iter().fold(0, |sum, (state, _)| sum.saturating_add(state.recording.bytes));
    let detail = format!(
        "{} recordings, {} in all, encrypted before they touched a disk and named by their content. The cell signed a manifest of each.",
        case.recordings.len(),
        size(bytes)
    );
    let last = case.recordings.iter().map(|(state, _)| state.index).max();
    let entry = chain.entries.iter().find(|e| Some(e.index) == last);
    let cells: BTreeSet<String> =
        case.recordings.iter().map(|(_, m)| who(chain, &m.cell)).collect();
    Step {
        kind: "vault",
        title: "The recordings were encrypted and kept on site".into(),
        who: cells.into_iter().collect::<Vec<_>>().join(", "),
        detail,
        at: entry.map(|e| e.at),
        index: last,
        digest: entry.map(|e| e.id),
        names: case
            .recordings
            .iter()
            .map(|(state, _)| {
                let recording = &state.recording;
                (format!("Recording `{}`", recording.stream), recording.root.clone())
            })
            .collect(),
    }
}

fn grant(chain: &Chain, case: &Case<'_>) -> Step {
    let grant = &case.grant.grant;
    let revoked = match case.grant.revoked {
        None => String::new(),
        Some(index) => format!(" It was revoked later, at entry {index}."),
    };
    let detail = format!(
        "To {}, for “{}”, from {} until {}, at most {}. {} reads, {} in all, each on the ledger.{revoked}",
        who(chain, &grant.processor),
        grant.purpose,
        clock(grant.not_before),
        clock(grant.not_after),
        size(grant.budget),
        case.grant.reads,
        size(case.grant.used)
    );
    let officer = who(chain, &case.grant.issuer);
    at_entry("grant", "Reading them was granted", officer, detail, case.grant_entry)
}

fn analysis(chain: &Chain, case: &Case<'_>) -> Step {
    let report = &case.report.report;
    let found: Vec<String> = report
        .analyses
        .iter()
        .map(|a| format!("{}: {}.", capital(a.name.as_str()), words(a.verdict)))
        .collect();
    let detail = format!(
        "From {} recordings, {} pictures filed with it. {}",
        report.inputs.len(),
        report.pictures.len(),
        found.join(" ")
    );
    let processor = who(chain, &case.report.issuer);
    let mut step = at_entry(
        "analysis",
        "They were analysed and reported",
        processor,
        detail.trim_end().into(),
        case.report_entry,
    );
    step.names.push(("Software SHA-256".into(), report.software.to_string()));
    step
}

fn passport(evidence: &Evidence, chain: &Chain) -> Step {
    Step {
        kind: "passport",
        title: "This passport was issued".into(),
        who: format!("{} ({})", chain.plant.anchors.name, chain.plant.anchors.issuer),
        detail: "The site's key signed it, an enrolled key that was not revoked. All above is in it and can be verified without the plant.".into(),
        at: Some(evidence.issued_at),
        index: None,
        digest: None,
        names: Vec::new(),
    }
}

/// Text with its first letter in upper case.
pub(crate) fn capital(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().into_iter().flat_map(char::to_uppercase);
    first.chain(chars).collect()
}

/// A time for people, to the second.
pub(crate) fn clock(at: Millis) -> String {
    let text = at.to_string();
    match (text.split_once('T'), text.split_once('.')) {
        (Some((day, time)), Some(_)) => {
            let time = time.split_once('.').map_or(time, |(seconds, _)| seconds);
            format!("{day} {time} UTC")
        }
        _ => text,
    }
}

/// A number of bytes for people, in powers of ten.
pub(crate) fn size(bytes: u64) -> String {
    let units = [("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1000)];
    for (unit, one) in units {
        if bytes >= one {
            let tenths = u128::from(bytes) * 10 / u128::from(one);
            return format!("{}.{} {unit}", tenths / 10, tenths % 10);
        }
    }
    format!("{bytes} bytes")
}
