//! The credential: facts and evidence in the shape of the UNTP digital product
//! passport 0.6.1, a verifiable credential of data model 2.0.
//!
//! The mapping stays honest. A verdict of pass, fail, confirmed or denied is a
//! conformity claim; an enrolment or an undetermined analysis claims nothing and
//! stands among the characteristics only. What UNTP asks for and the plant does
//! not know (a product category, emissions, a country) is left out. Version 0.6.1
//! is taken because 0.7.0 demands such fields. Terms of the evidence are covered
//! by the data model's own context for undefined terms.

use crate::{
    did::DidWeb,
    evidence::Evidence,
    facts::{Facts, Finding},
};
use base::Digest;
use plant::body::Verdict;
use serde_json::{Value, json};

const CONTEXTS: [&str; 3] = [
    "https://www.w3.org/ns/credentials/v2",
    "https://test.uncefact.org/vocabulary/untp/dpp/0.6.1/",
    "https://www.w3.org/ns/credentials/undefined-terms/v2",
];

/// The credential that facts and their evidence make: one, and no other.
pub(crate) fn credential(
    facts: &Facts,
    did: &DidWeb,
    evidence: &Evidence,
) -> Result<Value, serde_json::Error> {
    let evidence = serde_json::to_value(evidence)?;
    Ok(json!({
        "@context": CONTEXTS,
        "type": ["DigitalProductPassport", "VerifiableCredential"],
        "id": format!("{}#{}", facts.url, facts.report),
        "name": format!("Digital product passport of {}", facts.part),
        "issuer": {
            "type": ["CredentialIssuer"],
            "id": facts.issuer,
            "name": facts.plant,
        },
        "validFrom": facts.issued_at.to_string(),
        "credentialSubject": subject(facts, did),
        "evidence": [evidence],
    }))
}

fn subject(facts: &Facts, did: &DidWeb) -> Value {
    let findings = facts.findings.iter();
    let claims: Vec<Value> = findings.filter_map(|f| claim(facts, did, f)).collect();
    let mut subject = json!({
        "type": ["ProductPassport"],
        "id": facts.url,
        "granularityLevel": "item",
        "product": product(facts, did),
        "traceabilityInformation": [{
            "type": ["TraceabilityPerformance"],
            "valueChainProcess": "Robotic inspection",
            "verifiedRatio": 1,
            "traceabilityEvent": events(facts, did),
        }],
    });
    if let (false, Some(map)) = (claims.is_empty(), subject.as_object_mut()) {
        map.insert("conformityClaim".into(), claims.into());
    }
    subject
}

fn product(facts: &Facts, did: &DidWeb) -> Value {
    let mut product = json!({
        "type": ["Product"],
        "id": facts.url,
        "name": facts.part,
        "registeredId": facts.part,
        "idScheme": {
            "type": ["IdentifierScheme"],
            "id": facts.issuer,
            "name": format!("Parts of {}", facts.plant),
        },
        "description": format!("A part scanned by a robot at {}", facts.plant),
        "characteristics": {
            "type": ["Characteristics"],
            "verdict": facts.overall,
            "analyses": facts.findings.iter().map(analysis).collect::<Vec<_>>(),
            "pictures": facts.pictures,
        },
    });
    if let (Some(picture), Some(map)) = (facts.pictures.first(), product.as_object_mut()) {
        let link = json!({
            "type": ["Link"],
            "linkURL": did.hash_url(&picture.sha256),
            "linkName": picture.name,
        });
        map.insert("productImage".into(), link);
    }
    product
}

fn analysis(finding: &Finding) -> Value {
    json!({
        "analysis": finding.name,
        "verdict": finding.verdict,
        "meaning": finding.words,
        "heldAgainst": finding.reference_words,
        "score": finding.score,
        "threshold": finding.threshold,
        "program": finding.program,
        "reference": finding.reference,
    })
}

fn claim(facts: &Facts, did: &DidWeb, finding: &Finding) -> Option<Value> {
    let conformance = match finding.verdict {
        Verdict::Confirmed | Verdict::Pass => true,
        Verdict::Denied | Verdict::Fail => false,
        Verdict::Enrolled | Verdict::Undetermined => return None,
    };
    let day: String = facts.issued_at.to_string().chars().take(10).collect();
    Some(json!({
        "type": ["Claim", "Declaration"],
        "id": format!("{}#{}-{}", facts.url, facts.report, finding.name),
        "description": format!("{}: {}; {}.", finding.name, finding.words, finding.reference_words),
        "assessmentDate": day,
        "conformance": conformance,
        "conformityTopic": "governance.compliance",
        "declaredValue": [
            metric("score", finding.score),
            metric("threshold", finding.threshold),
        ],
        "conformityEvidence": secure_link(did, &facts.report, "The report on the ledger", "report"),
    }))
}

fn metric(name: &str, value: f64) -> Value {
    json!({
        "type": ["Metric"],
        "metricName": name,
        // C62 is UNECE Recommendation 20's unit for a plain number.
        "metricValue": { "type": ["Measure"], "value": value, "unit": "C62" },
    })
}

fn events(facts: &Facts, did: &DidWeb) -> Vec<Value> {
    let on_ledger = facts.steps.iter().filter_map(|step| {
        let digest = step.digest.filter(|_| step.kind != "ledger")?;
        Some(secure_link(did, &digest, &step.title, step.kind))
    });
    let recordings = facts.recordings.iter().map(|(stream, root)| {
        json!({
            "type": ["SecureLink", "Link"],
            "linkURL": did.recording_url(root),
            "linkName": format!("Recording of stream {stream}"),
            "linkType": "recording",
            "encryptionMethod": "AES",
        })
    });
    on_ledger.chain(recordings).collect()
}

fn secure_link(did: &DidWeb, digest: &Digest, name: &str, kind: &str) -> Value {
    json!({
        "type": ["SecureLink", "Link"],
        "linkURL": did.hash_url(digest),
        "linkName": name,
        "linkType": kind,
        "hashDigest": digest,
        "hashMethod": "SHA-256",
        "encryptionMethod": "none",
    })
}
