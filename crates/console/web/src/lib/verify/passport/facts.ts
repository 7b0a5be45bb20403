/** What a passport says, derived from its evidence alone (`passport/src/{facts,steps}.rs`). */
import type { Analysis, Picture, Verdict } from "../body";
import { sha256Hex } from "../crypto";
import type { Logged } from "../plant";
import { compareText, type Digest, type Id, type Millis } from "../shape";
import type { Chain } from "./chain";
import { passportUrl, readDid, type DidWeb } from "./did";
import type { Evidence } from "./evidence";
import type { Case } from "./examine";
import { capital, clock, size, verdictWords } from "./words";

export type Overall = "passed" | "failed" | "undetermined" | "enrolled";

/** One analysis of the report. */
export interface Finding {
  name: Id;
  verdict: Verdict;
  words: string;
  score: number;
  threshold: number;
  program: Digest;
  reference: Digest | null;
  referenceWords: string;
}

/** One step of the chain of proofs, in the passport's words. */
export interface Step {
  kind: string;
  title: string;
  who: string;
  detail: string;
  at: Millis | null;
  index: number | null;
  digest: Digest | null;
  names: [string, string][];
}

/** All that a verified passport says. */
export interface Facts {
  part: Id;
  site: Id;
  plant: string;
  issuer: string;
  url: string;
  issuedAt: Millis;
  report: Digest;
  overall: Overall;
  findings: Finding[];
  pictures: Picture[];
  /** Stream and root CID. */
  recordings: [Id, string][];
  steps: Step[];
}

export async function derive(
  evidence: Evidence,
  chain: Chain,
  story: Case,
): Promise<[Facts, DidWeb]> {
  const { anchors, site } = chain.plant.ring;
  const did = readDid(anchors.issuer);
  const { report } = story;
  const findings: Finding[] = [];
  for (const analysis of report.analyses) findings.push(await finding(analysis, chain, story));
  const facts: Facts = {
    part: report.part,
    site,
    plant: anchors.name,
    issuer: did.text,
    url: passportUrl(did, report.part),
    issuedAt: evidence.issued_at,
    report: evidence.report,
    overall: overallOf(report.analyses),
    findings,
    pictures: report.pictures,
    recordings: story.recordings.map(({ state }) => [state.recording.stream, state.recording.root]),
    steps: stepsOf(evidence, chain, story),
  };
  return [facts, did];
}

function overallOf(analyses: readonly Analysis[]): Overall {
  const has = (...wanted: Verdict[]): boolean =>
    analyses.some(({ verdict }) => wanted.includes(verdict));
  if (has("denied", "fail")) return "failed";
  if (analyses.length === 0 || has("undetermined")) return "undetermined";
  return has("confirmed", "pass") ? "passed" : "enrolled";
}

async function finding(analysis: Analysis, chain: Chain, story: Case): Promise<Finding> {
  const { name, verdict, score, threshold, program, reference = null } = analysis;
  const words = verdictWords(verdict);
  const referenceWords = await wordsOfReference(reference, chain, story);
  return { name, verdict, words, score, threshold, program, reference, referenceWords };
}

/** What the ledger knows of the thing that an analysis held the part against. */
async function wordsOfReference(
  reference: Digest | null,
  chain: Chain,
  { enrolment }: Case,
): Promise<string> {
  if (reference === null) return "held against nothing";
  const templates = [...chain.plant.templates.values()].sort((a, b) => compareText(a.id, b.id));
  const template = templates.find(({ sha256 }) => sha256 === reference);
  if (template) return `held against the approved template “${template.title}”`;
  if (enrolment && (await names(enrolment, chain, reference))) {
    return `held against the scan that enrolled the part, entry ${enrolment.index}`;
  }
  return "held against a reference that this ledger does not name";
}

/** Whether a digest is the enrolling report, one of its pictures, or one of its inputs. */
async function names(entry: Logged, chain: Chain, digest: Digest): Promise<boolean> {
  if (entry.body.word !== "report") return false;
  const { pictures, inputs } = entry.body.value;
  if (entry.id === digest || pictures.some(({ sha256 }) => sha256 === digest)) return true;
  for (const root of inputs) {
    if (chain.plant.recordings.get(root)?.recording.manifest === digest) return true;
    if ((await sha256Hex(root)) === digest) return true;
  }
  return false;
}

function stepsOf(evidence: Evidence, chain: Chain, story: Case): Step[] {
  return [
    ...(story.enrolment ? [enrolment(chain, story, story.enrolment)] : []),
    order(chain, story),
    ledger(chain, story),
    motion(chain, story),
    capture(chain, story),
    vault(chain, story),
    grant(chain, story),
    analysis(chain, story),
    issue(evidence, chain),
  ];
}

function atEntry(kind: string, title: string, who: string, detail: string, entry: Logged): Step {
  const { loggedAt: at, index, id: digest } = entry;
  return { kind, title, who, detail, at, index, digest, names: [] };
}

/** A member's name for people with its identifier. */
function who(chain: Chain, member: Id): string {
  const name = chain.plant.ring.nameOf(member);
  return name === "" ? member : `${name} (${member})`;
}

function enrolment(chain: Chain, { report }: Case, entry: Logged): Step {
  const detail = `Part ${report.part} was scanned for the first time, and has been known by that scan since.`;
  return atEntry(
    "enrolment",
    "Known from an earlier scan",
    who(chain, entry.issuer),
    detail,
    entry,
  );
}

function order(chain: Chain, { order: state }: Case): Step {
  const { order: wanted, entry } = state;
  const program = chain.plant.programs.get(wanted.program.id);
  const title = program?.title ?? wanted.program.id;
  const values = Object.entries(wanted.parameters)
    .sort(([a], [b]) => compareText(a, b))
    .map(([name, value]) => trimEnd(`${name} ${value} ${program?.parameters[name]?.unit ?? ""}`));
  const means = entry.userVerified
    ? "a passkey, which checked the person by PIN or biometrics"
    : "a key file, which does not check the person";
  const settings = values.length === 0 ? "" : `, with ${values.join(", ")}`;
  const detail =
    `Program “${title}” (${wanted.program.id}) on part ${wanted.part} in cell ${wanted.cell}${settings}; ` +
    `signed with ${means}. The plant's roles, policy and approved programs allowed it.`;
  const person = who(chain, entry.issuer);
  const step = atEntry("order", "A scan was ordered and signed", person, detail, entry);
  step.names.push(["Program SHA-256", wanted.program.sha256]);
  return step;
}

/** Trims what Unicode calls white space, which is not quite what `trimEnd` trims. */
function trimEnd(text: string): string {
  return text.replace(
    /[\t-\r \u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+$/,
    "",
  );
}

function ledger(chain: Chain, { order: { entry } }: Case): Step {
  const { checkpoint, stated } = chain;
  const witnesses = stated.log.witnesses.map(({ name }) => name).join(", ");
  const detail =
    `The order is entry ${entry.index} of the log ${checkpoint.origin}. The checkpoint over ${checkpoint.size} entries ` +
    `was cosigned by at least ${stated.log.quorum} of the witnesses (${witnesses}) at ${clock(checkpoint.witnessedAt)}: ` +
    `they saw no other version of this log.`;
  return {
    kind: "ledger",
    title: "It went on a witnessed ledger",
    who: `Site ${chain.plant.ring.site} and witnesses`,
    detail,
    at: entry.loggedAt,
    index: entry.index,
    digest: Array.from(checkpoint.root, (byte) => byte.toString(16).padStart(2, "0")).join(""),
    names: [],
  };
}

function motion(chain: Chain, { started, rested, ended }: Case): Step {
  const detail =
    `The cell verified the order by itself, resting on a checkpoint of ${rested} entries, used it up, ` +
    `and only then moved the robot. The run finished at ${clock(ended.loggedAt)}.`;
  return atEntry("motion", "The robot moved, once", who(chain, started.issuer), detail, started);
}

function capture(chain: Chain, { run, recordings, ended }: Case): Step {
  const robots = [...new Set(recordings.map(({ manifest }) => manifest.robot))].sort(compareText);
  const lost = run.lost === 0 ? "none lost" : `${run.lost} lost`;
  const detail =
    `Robot ${robots.join(", ")}: ${run.samples} samples of its state, ${lost}; ` +
    `photographs from ${run.viewpoints} viewpoints.`;
  const cell = who(chain, ended.issuer);
  return atEntry("capture", "State and photographs were recorded", cell, detail, ended);
}

function vault(chain: Chain, { recordings }: Case): Step {
  const bytes = recordings.reduce((sum, { state }) => sum + state.recording.bytes, 0);
  const last = recordings.reduce((index, { state }) => Math.max(index, state.index), 0);
  const entry = chain.entries.find(({ index }) => index === last);
  const cells = new Set(recordings.map(({ manifest }) => who(chain, manifest.cell)));
  return {
    kind: "vault",
    title: "The recordings were encrypted and kept on site",
    who: [...cells].sort(compareText).join(", "),
    detail:
      `${recordings.length} recordings, ${size(bytes)} in all, encrypted before they touched a disk ` +
      `and named by their content. The cell signed a manifest of each.`,
    at: entry?.loggedAt ?? null,
    index: last,
    digest: entry?.id ?? null,
    names: recordings.map(({ state: { recording } }) => [
      `Recording \`${recording.stream}\``,
      recording.root,
    ]),
  };
}

function grant(chain: Chain, { grant: state }: Case): Step {
  const { grant: terms, revoked, entry } = state;
  const end = revoked === undefined ? "" : ` It was revoked later, at entry ${revoked}.`;
  const detail =
    `To ${who(chain, terms.processor)}, for “${terms.purpose}”, from ${clock(terms.not_before)} until ` +
    `${clock(terms.not_after)}, at most ${size(terms.budget)}. ${state.reads} reads, ${size(state.used)} in all, ` +
    `each on the ledger.${end}`;
  return atEntry("grant", "Reading them was granted", who(chain, entry.issuer), detail, entry);
}

function analysis(chain: Chain, { report, reportEntry }: Case): Step {
  const found = report.analyses.map(
    ({ name, verdict }) => `${capital(name)}: ${verdictWords(verdict)}.`,
  );
  const detail =
    `From ${report.inputs.length} recordings, ${report.pictures.length} pictures filed with it. ` +
    found.join(" ");
  const processor = who(chain, reportEntry.issuer);
  const title = "They were analysed and reported";
  const step = atEntry("analysis", title, processor, trimEnd(detail), reportEntry);
  step.names.push(["Software SHA-256", report.software]);
  return step;
}

function issue(evidence: Evidence, chain: Chain): Step {
  const { name, issuer } = chain.plant.ring.anchors;
  return {
    kind: "passport",
    title: "This passport was issued",
    who: `${name} (${issuer})`,
    detail:
      "The site's key signed it, an enrolled key that was not revoked. All above is in it and can be verified without the plant.",
    at: evidence.issued_at,
    index: null,
    digest: null,
    names: [],
  };
}
