/**
 * Everything that an audit of one run needs, in one file: the anchors, each leaf of the run with
 * a C2SP tlog-proof of its own, the leaves that changed the rules up to the newest proof's state, the recordings'
 * manifests and the passports. Each leaf was verified here before it went in.
 */
import type { Digest, LedgerEvent, Millis } from "../ledger/types";
import type { Json, Leaf } from "../verify";
import { stated } from "./chain";
import type { Trusted } from "./trust";
import { inTurn, type Verifier } from "./verifier";

export const FORMAT = "interlock/trace/1";

export interface ProvenLeaf {
  index: number;
  leaf: Leaf;
  /** C2SP tlog-proof: index, path and cosigned checkpoint. */
  proof: string;
}

export interface Bundle {
  format: typeof FORMAT;
  order: Digest;
  exported_at: Millis;
  anchors: Json;
  entries: ProvenLeaf[];
  /** The cells' signed manifests by root CID. */
  manifests: Record<string, Json>;
  /** The `vc+jwt` passports by their report. */
  passports: Record<Digest, string>;
}

/** What is read of the site beside the entries. */
export interface Reader {
  text(path: string): Promise<string>;
}

/** Collects the file. `progress` hears of each entry. @throws Broken when one does not hold. */
export async function bundleOf(
  order: Digest,
  events: readonly LedgerEvent[],
  verifier: Verifier,
  trust: Trusted,
  reader: Reader,
  now: Millis,
  progress: (done: number, total: number) => void,
): Promise<Bundle> {
  const manifests = await manifestsOf(events, reader);
  const all = [...events, ...(await earlier(order, events, manifests, reader))];
  const indexes = [...new Set(all.map((event) => event.index))];
  let done = 0;
  const run = await inTurn(indexes, async (at) => {
    const { index, leaf, proof, checkpoint } = await verifier.entry(at);
    progress(++done, indexes.length);
    return { index, leaf, proof, size: checkpoint.size };
  });
  const rules = await rulesOf(run.map(({ size }) => size), verifier);
  const others = run.filter((leaf) => !rules.some((rule) => rule.index === leaf.index));
  const entries = [...rules, ...others].map(({ index, leaf, proof }): ProvenLeaf => ({ index, leaf, proof }));
  return {
    format: FORMAT,
    order,
    exported_at: now,
    anchors: trust.raw,
    entries: entries.sort((a, b) => a.index - b.index),
    manifests,
    passports: await passportsOf(events, reader),
  };
}

/** The changes of the rules up to the newest state that a proof rests on: they say whose signatures count on it. */
async function rulesOf(sizes: readonly number[], verifier: Verifier): Promise<(ProvenLeaf & { size: number })[]> {
  let newest = Math.max(...sizes);
  for (;;) {
    const rules = await verifier.rulesWithin(newest);
    const size = Math.max(newest, ...rules.map((rule) => rule.size));
    if (size === newest) return rules;
    newest = size;
  }
}

async function manifestsOf(events: readonly LedgerEvent[], reader: Reader): Promise<Record<string, Json>> {
  const roots = new Set(stated(events, "recording").map(({ body }) => body.root));
  stated(events, "grant").forEach(({ body }) => body.recordings.forEach((root) => roots.add(root)));
  const found = await inTurn([...roots], async (root) => [root, JSON.parse(await reader.text(`/api/v1/recordings/${root}/manifest`)) as Json] as const);
  return Object.fromEntries(found);
}

/** What stands behind other runs that were granted together with this one. */
async function earlier(order: Digest, events: readonly LedgerEvent[], manifests: Record<string, Json>, reader: Reader): Promise<LedgerEvent[]> {
  const named = [...Object.values(manifests).map(orderOf), ...stated(events, "grant").map(({ body }) => body.order)];
  const orders = new Set(named.filter((id) => id !== null && id !== order));
  const traces = await inTurn([...orders], async (id) => JSON.parse(await reader.text(`/api/v1/orders/${id}/trace`)) as LedgerEvent[]);
  const wanted = ["order", "run-started", "run-ended", "recording"];
  return traces.flat().filter((event) => wanted.some((word) => word in event.body));
}

function orderOf(manifest: Json): string | null {
  const claim = typeof manifest === "object" && manifest !== null && !Array.isArray(manifest) ? manifest["claim"] : null;
  const order = typeof claim === "object" && claim !== null && !Array.isArray(claim) ? claim["order"] : null;
  return typeof order === "string" && /^[0-9a-f]{64}$/.test(order) ? order : null;
}

async function passportsOf(events: readonly LedgerEvent[], reader: Reader): Promise<Record<Digest, string>> {
  const reports = stated(events, "passport").map(({ body }) => body.report);
  const found = await inTurn(reports, async (report) => [report, await reader.text(`/api/v1/reports/${report}/passport/vc.jwt`)] as const);
  return Object.fromEntries(found);
}
