//! Which analyses are made of what photographs.

use anyhow::{Context, Result};
use base::{Digest, Id, sha256, to_canonical};
use capture::reader::read_images;
use inspect::{Analysis, Finding, Input, Photograph, identity::Identity, inspection};
use plant::body;

/// The most pictures in one recording, and their bytes together.
const MAX_IMAGES: usize = 512;
const MAX_IMAGE_BYTES: usize = 2 << 30;
/// The most bytes of an analysis' account in a report.
const MAX_DETAILS: usize = 12 * 1024;

/// One photograph of a recording: decoded, with its original bytes.
pub struct Shot {
    /// What the analyses see.
    pub photograph: Photograph,
    /// `image/png` or `image/jpeg`.
    pub media_type: &'static str,
    /// The bytes as the camera gave them.
    pub bytes: Vec<u8>,
}

/// An analysis' part of the report, with its pictures.
pub struct Done {
    /// For the report.
    pub analysis: body::Analysis,
    /// PNG pictures by name.
    pub pictures: Vec<(String, Vec<u8>)>,
}

/// The analyses of this program.
pub fn analyses() -> Result<[Box<dyn Analysis>; 2]> {
    let inspection = inspection::Inspection::new(inspection::Settings::default())?;
    Ok([Box::new(Identity), Box::new(inspection)])
}

/// The photographs of a decrypted camera recording, by viewpoint.
pub fn photographs(mcap: &[u8]) -> Result<Vec<Shot>> {
    let mut shots = Vec::new();
    for message in read_images(mcap, MAX_IMAGES, MAX_IMAGE_BYTES)? {
        let view = format!("view-{}", message.viewpoint);
        let bytes = message.image.bytes;
        let photograph =
            Photograph::decode(view, &bytes).context("a photograph of the recording")?;
        let media_type = if bytes.starts_with(b"\x89PNG") { "image/png" } else { "image/jpeg" };
        shots.push(Shot { photograph, media_type, bytes });
    }
    Ok(shots)
}

/// How a viewpoint is named in an analysis.
pub fn view(viewpoint: u32) -> String {
    format!("view-{viewpoint}")
}

/// Runs one analysis. `reference` is what the photographs are held against, with
/// the digest that the report names it by.
pub fn run(
    analysis: &dyn Analysis,
    photographs: &[Photograph],
    reference: &[Photograph],
    named: Option<Digest>,
) -> Result<Done> {
    let finding = analysis.analyse(&Input { photographs, reference })?;
    let verdict = verdict(&finding);
    let name: Id = analysis.id().parse()?;
    let pictures =
        finding.pictures.into_iter().map(|p| (format!("{name}: {}", p.name), p.png)).collect();
    let analysis = body::Analysis {
        details: bounded(finding.details),
        program: sha256(analysis.program().as_bytes()),
        name,
        reference: named,
        score: finding.score,
        threshold: finding.threshold,
        verdict,
    };
    Ok(Done { analysis, pictures })
}

fn verdict(finding: &Finding) -> body::Verdict {
    use inspect::Verdict as From;
    match finding.verdict {
        From::Confirmed => body::Verdict::Confirmed,
        From::Denied => body::Verdict::Denied,
        From::Pass => body::Verdict::Pass,
        From::Fail => body::Verdict::Fail,
        From::Undetermined => body::Verdict::Undetermined,
        From::Enrolled => body::Verdict::Enrolled,
    }
}

/// An account that is too long for an entry is named by its digest alone.
fn bounded(details: serde_json::Value) -> serde_json::Value {
    match to_canonical(&details) {
        Ok(bytes) if bytes.len() <= MAX_DETAILS => details,
        Ok(bytes) => serde_json::json!({ "bytes": bytes.len(), "sha256": sha256(&bytes) }),
        Err(_) => serde_json::json!({ "left_out": "longer than an entry" }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use capture::{
        Camera, Rendered,
        camera::{CaptureRequest, Defect, DefectKind, Wear},
    };
    use plant::body::Verdict;

    fn scan(seed: u64, seq: u64, part: &str, announced: &str) -> Vec<Photograph> {
        let part: Id = part.parse().unwrap();
        let announced: Id = announced.parse().unwrap();
        let mut camera = Rendered::new("wrist".parse().unwrap(), seed);
        camera.substitute(announced.clone(), 0, part.clone());
        let kind = DefectKind::Scratch;
        let defect = Defect { kind, x: 0.55, y: 0.45, size: 180.0, angle: 0.6 };
        camera.wear("worn".parse().unwrap(), Wear { since: 1, viewpoint: 1, defect });
        let shot = |viewpoint: u32| {
            let pose = [0.0; 6];
            let request = CaptureRequest { part: &announced, viewpoint, pose, seq, host_ns: 0 };
            let image = camera.capture(&request).unwrap();
            Photograph::decode(view(viewpoint), &image.bytes).unwrap()
        };
        [1, 2].map(shot).to_vec()
    }

    /// The verdicts of both analyses on a later scan of what was announced.
    fn verdicts(seed: u64, seq: u64, actual: &str, announced: &str) -> (Verdict, Verdict) {
        let enrolled = scan(1, 0, announced, announced);
        let later = scan(seed, seq, actual, announced);
        let [identity, inspection] = analyses().unwrap();
        let verdict = |a: &dyn Analysis| run(a, &later, &enrolled, None).unwrap().analysis.verdict;
        (verdict(identity.as_ref()), verdict(inspection.as_ref()))
    }

    #[test]
    fn the_same_part_under_other_light_is_confirmed_and_unchanged() {
        for seed in 2..8 {
            let found = verdicts(seed, 1, "flange-1", "flange-1");
            assert_eq!(found, (Verdict::Confirmed, Verdict::Pass), "seed {seed}");
        }
    }

    #[test]
    fn a_scratched_part_is_confirmed_and_fails() {
        for seed in 2..5 {
            let found = verdicts(seed, 1, "worn", "worn");
            assert_eq!(found, (Verdict::Confirmed, Verdict::Fail), "seed {seed}");
        }
    }

    #[test]
    fn another_part_in_its_place_is_denied() {
        for seed in 2..5 {
            assert_eq!(verdicts(seed, 1, "flange-2", "flange-1").0, Verdict::Denied, "seed {seed}");
        }
    }
}
