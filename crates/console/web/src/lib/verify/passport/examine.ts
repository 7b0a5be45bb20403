/** Order, run, recordings, manifests, grant and report must tell one story. */
import { Broken } from "../broken";
import type { Report, RunEnded } from "../body";
import { concat, fromBase64Url, utf8 } from "../bytes";
import { sha256Hex, verifyEd25519 } from "../crypto";
import { canonicalBytes, type Json } from "../jcs";
import type { GrantState, Logged, OrderState, RecordingState } from "../plant";
import { compareText } from "../shape";
import type { Chain, Check } from "./chain";
import type { Evidence, Manifest, SignedManifest } from "./evidence";
import { excerptOf } from "./excerpt";

const MANIFEST_DOMAIN = utf8("interlock/recording-manifest/v1\0");

/** One report with all that it rests on. */
export interface Case {
  report: Report;
  reportEntry: Logged;
  order: OrderState;
  started: Logged;
  /** The size of the checkpoint that the cell rested on. */
  rested: number;
  ended: Logged;
  run: RunEnded;
  grant: GrantState;
  /** The run's recordings and all inputs, by root CID. */
  recordings: { state: RecordingState; manifest: Manifest }[];
  /** The earlier report that enrolled the part. */
  enrolment?: Logged;
}

export const nameOf = (entry: Logged): string => `entry ${entry.index} (${entry.body.word})`;

function found<T>(value: T | undefined, what: string): T {
  if (value === undefined) throw new Broken(what, "no such entry is in the excerpt");
  return value;
}

export async function examine(evidence: Evidence, chain: Chain, check: Check): Promise<Case> {
  const story = await check(
    "links",
    async () => tellStory(evidence, chain),
    ({ order, started, ended, grant, reportEntry }) =>
      `Order ${order.entry.index} → start ${started.index} → end ${ended.index} → ` +
      `grant ${grant.entry.index} → report ${reportEntry.index} name one another.`,
  );
  const recordings = await check(
    "recordings",
    () => readRecordings(evidence, chain, story.order, story.report),
    (made) => `${made.length} manifests are those that the cell signed and the ledger names.`,
  );
  return { ...story, recordings };
}

function tellStory(evidence: Evidence, chain: Chain): Omit<Case, "recordings"> {
  const { plant } = chain;
  const reported = found(plant.reports.get(evidence.report), "the report");
  const { report, entry: reportEntry } = reported;
  nothingElse(evidence, chain);
  const order = found(plant.orders.get(report.order), "the order");
  const started = chain.entries.find(
    ({ body }) => body.word === "run-started" && body.value.order === report.order,
  );
  const start = found(started, "the start of the run");
  if (order.status !== "finished" || order.ended === undefined) {
    throw new Broken("the end of the run", `it is ${order.status}, a finished run is expected`);
  }
  const grant = found(plant.grants.get(report.grant), "the grant");
  const rested = start.body.word === "run-started" ? start.body.value.checkpoint : 0;
  startedInBounds(chain, order, start, rested);
  if (!report.inputs.some((root) => order.recordings.has(root))) {
    throw new Broken(nameOf(reportEntry), "none of its inputs is a recording of the run");
  }
  if (evidence.issued_at < reportEntry.loggedAt) {
    throw new Broken("the time of issue", "it is before the report was logged");
  }
  const id = plant.enrolments.get(report.part);
  const enrolment = id === undefined || id === evidence.report ? undefined : plant.entry(id);
  const { run, entry: ended } = order.ended;
  const story = { report, reportEntry, order, started: start, rested, ended, run, grant };
  return enrolment ? { ...story, enrolment } : story;
}

/** An entry that has no part in the story would make a passport say more than it derives. */
function nothingElse(evidence: Evidence, chain: Chain): void {
  const belong = excerptOf(evidence.report, chain.entries);
  const stranger = chain.entries.find(({ index }) => !belong.has(index));
  if (stranger) throw new Broken(nameOf(stranger), "it has no part in this report");
}

/** Whether the run began as its order allows: within its lag and time. */
function startedInBounds(chain: Chain, state: OrderState, started: Logged, rested: number): void {
  const { order, entry } = state;
  const lag = rested - (entry.index + 1);
  if (lag < 0 || lag > order.max_lag) {
    const reason = `it rests on a checkpoint of ${rested} entries, its order is entry ${entry.index}`;
    throw new Broken(nameOf(started), reason);
  }
  const latest = order.not_after + chain.plant.ring.anchors.clock_skew_ms;
  if (started.signedAt < order.not_before || started.signedAt > latest) {
    throw new Broken(nameOf(started), "it began outside the time that its order allows");
  }
}

async function readRecordings(
  evidence: Evidence,
  chain: Chain,
  order: OrderState,
  report: Report,
): Promise<Case["recordings"]> {
  const roots = [...new Set([...order.recordings, ...report.inputs])].sort(compareText);
  const stated = evidence.manifests.map(({ claim }) => claim.root_cid);
  if (stated.length !== roots.length || stated.some((root, at) => root !== roots[at])) {
    const reason = "one manifest for each recording, ordered by root, is expected";
    throw new Broken("the list of manifests", reason);
  }
  const recordings: Case["recordings"] = [];
  for (const signed of evidence.manifests) {
    recordings.push({ state: await recordingOf(chain, signed), manifest: signed.claim });
  }
  return recordings;
}

/** The ledger's recording that a manifest describes. */
async function recordingOf(chain: Chain, signed: SignedManifest): Promise<RecordingState> {
  const { claim, signature } = signed;
  const what = `the manifest of recording ${claim.root_cid} (${claim.stream})`;
  const state = chain.plant.recordings.get(claim.root_cid);
  if (state === undefined) throw new Broken(what, "no entry registers that recording");
  const logged = state.recording;
  if ((await sha256Hex(canonicalBytes(signed as Json, what))) !== logged.manifest) {
    throw new Broken(what, `its digest is not the one that entry ${state.index} names`);
  }
  const message = concat(MANIFEST_DOMAIN, canonicalBytes(claim as Json, what));
  const bytes = fromBase64Url(signature, what);
  const keys = chain.cellKeys.get(claim.root_cid) ?? [];
  const verified = await Promise.all(keys.map((key) => verifyEd25519(key, message, bytes)));
  if (!verified.includes(true)) {
    throw new Broken(what, "its signature does not verify under the cell's key");
  }
  const agrees =
    claim.order === logged.order &&
    claim.stream === logged.stream &&
    claim.ciphertext_bytes === logged.bytes &&
    claim.sealing.key_commitment === logged.commitment &&
    claim.cell === chain.plant.orders.get(logged.order)?.order.cell;
  if (!agrees) throw new Broken(what, `it differs from entry ${state.index}`);
  return state;
}
