/** The credential that facts and their evidence make: one, and no other. */
import type { Json } from "../jcs";
import { hashUrl, recordingUrl, type DidWeb } from "./did";
import type { Evidence } from "./evidence";
import type { Facts, Finding } from "./facts";
import { rfc3339 } from "./words";

type Map = { [key: string]: Json };

const CONTEXTS = [
  "https://www.w3.org/ns/credentials/v2",
  "https://test.uncefact.org/vocabulary/untp/dpp/0.6.1/",
  "https://www.w3.org/ns/credentials/undefined-terms/v2",
];

export function credential(facts: Facts, did: DidWeb, evidence: Evidence): Map {
  return {
    "@context": CONTEXTS,
    type: ["DigitalProductPassport", "VerifiableCredential"],
    id: `${facts.url}#${facts.report}`,
    name: `Digital product passport of ${facts.part}`,
    issuer: { type: ["CredentialIssuer"], id: facts.issuer, name: facts.plant },
    validFrom: rfc3339(facts.issuedAt),
    credentialSubject: subject(facts, did),
    evidence: [evidence as unknown as Json],
  };
}

function subject(facts: Facts, did: DidWeb): Map {
  const claims = facts.findings.flatMap((finding) => claim(facts, did, finding) ?? []);
  return {
    type: ["ProductPassport"],
    id: facts.url,
    granularityLevel: "item",
    product: product(facts, did),
    traceabilityInformation: [
      {
        type: ["TraceabilityPerformance"],
        valueChainProcess: "Robotic inspection",
        verifiedRatio: 1,
        traceabilityEvent: events(facts, did),
      },
    ],
    ...(claims.length > 0 ? { conformityClaim: claims } : {}),
  };
}

function product(facts: Facts, did: DidWeb): Map {
  const [picture] = facts.pictures;
  const image = picture && {
    type: ["Link"],
    linkURL: hashUrl(did, picture.sha256),
    linkName: picture.name,
  };
  return {
    type: ["Product"],
    id: facts.url,
    name: facts.part,
    registeredId: facts.part,
    idScheme: { type: ["IdentifierScheme"], id: facts.issuer, name: `Parts of ${facts.plant}` },
    description: `A part scanned by a robot at ${facts.plant}`,
    characteristics: {
      type: ["Characteristics"],
      verdict: facts.overall,
      analyses: facts.findings.map(analysis),
      pictures: facts.pictures as unknown as Json,
    },
    ...(image ? { productImage: image } : {}),
  };
}

function analysis(finding: Finding): Map {
  return {
    analysis: finding.name,
    verdict: finding.verdict,
    meaning: finding.words,
    heldAgainst: finding.referenceWords,
    score: finding.score,
    threshold: finding.threshold,
    program: finding.program,
    reference: finding.reference,
  };
}

function claim(facts: Facts, did: DidWeb, finding: Finding): Map | null {
  const { name, verdict } = finding;
  if (verdict === "enrolled" || verdict === "undetermined") return null;
  return {
    type: ["Claim", "Declaration"],
    id: `${facts.url}#${facts.report}-${name}`,
    description: `${name}: ${finding.words}; ${finding.referenceWords}.`,
    assessmentDate: rfc3339(facts.issuedAt).slice(0, 10),
    conformance: verdict === "confirmed" || verdict === "pass",
    conformityTopic: "governance.compliance",
    declaredValue: [metric("score", finding.score), metric("threshold", finding.threshold)],
    conformityEvidence: secureLink(did, facts.report, "The report on the ledger", "report"),
  };
}

function metric(name: string, value: number): Map {
  return {
    type: ["Metric"],
    metricName: name,
    metricValue: { type: ["Measure"], value, unit: "C62" },
  };
}

function events(facts: Facts, did: DidWeb): Json[] {
  const onLedger = facts.steps.flatMap(({ kind, digest, title }) =>
    digest === null || kind === "ledger" ? [] : [secureLink(did, digest, title, kind)],
  );
  const recordings = facts.recordings.map(([stream, root]) => ({
    type: ["SecureLink", "Link"],
    linkURL: recordingUrl(did, root),
    linkName: `Recording of stream ${stream}`,
    linkType: "recording",
    encryptionMethod: "AES",
  }));
  return [...onLedger, ...recordings];
}

function secureLink(did: DidWeb, digest: string, name: string, kind: string): Map {
  return {
    type: ["SecureLink", "Link"],
    linkURL: hashUrl(did, digest),
    linkName: name,
    linkType: kind,
    hashDigest: digest,
    hashMethod: "SHA-256",
    encryptionMethod: "none",
  };
}
