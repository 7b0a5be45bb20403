/**
 * The chain of one run as a picture has it: order → proof → motion → recording → grant →
 * read → report → passport. Pure: it takes what stands on the ledger and says what hangs
 * on what, and whether two things that were verified fit together.
 */
import type { Body, Digest, LedgerEvent, Millis } from "../ledger/types";
import { bytes, count } from "../words";

export const STAGES = ["order", "proof", "motion", "recording", "grant", "read", "report", "passport"] as const;
export type Stage = (typeof STAGES)[number];

/** One thing of the chain, with the entries that state it. */
export interface Node {
  id: string;
  stage: Stage;
  title: string;
  detail: string;
  entries: LedgerEvent[];
  /** Why it counts no longer: revoked, destroyed, refused. */
  ended: string;
}

/** Why one thing follows from another. */
export interface Link {
  id: string;
  from: string;
  to: string;
  /** What binds the two. */
  says: string;
}

export interface Chain {
  order: Digest;
  nodes: Node[];
  links: Link[];
}

/** Whether something holds, in words. */
export interface Finding {
  ok: boolean;
  words: string;
}

type Of<W extends string> = Body extends infer B ? (B extends Record<W, infer V> ? V : never) : never;
type Stated<W extends string> = { event: LedgerEvent; body: Of<W> };

/** The events that state one word, with what they state. */
export function stated<W extends string>(events: readonly LedgerEvent[], word: W): Stated<W>[] {
  const found: Stated<W>[] = [];
  for (const event of events) {
    if (word in event.body) found.push({ event, body: (event.body as unknown as Record<W, Of<W>>)[word] });
  }
  return found;
}

const at = (event: LedgerEvent): string => `entry ${event.index}`;

/** The chain of an order from the entries that concern it. */
export function chainOf(events: readonly LedgerEvent[], order: Digest): Chain {
  const nodes = [
    ...orderNodes(events, order),
    ...motionNodes(events, order),
    ...recordingNodes(events, order),
    ...grantNodes(events, order),
    ...reportNodes(events, order),
  ];
  return { order, nodes, links: linksOf(nodes) };
}

function orderNodes(events: readonly LedgerEvent[], order: Digest): Node[] {
  const found = stated(events, "order").find(({ event }) => event.id === order);
  if (found === undefined) return [];
  const { event, body } = found;
  const detail = `${body.part}, by ${event.issuer}`;
  return [
    { id: "order", stage: "order", title: body.program.id, detail, entries: [event], ended: "" },
    { id: "proof", stage: "proof", title: `Entry ${event.index}`, detail: "witnessed log", entries: [event], ended: "" },
  ];
}

function motionNodes(events: readonly LedgerEvent[], order: Digest): Node[] {
  const started = stated(events, "run-started").filter(({ body }) => body.order === order);
  const ended = stated(events, "run-ended").filter(({ body }) => body.order === order);
  // As on the ledger, only the cell that was ordered refuses an order.
  const cell = stated(events, "order").find(({ event }) => event.id === order)?.body.cell;
  const refused = stated(events, "refused").filter(({ event, body }) => body.request === order && event.issuer === cell);
  if (started.length + ended.length > 0) {
    const [end] = ended;
    const title = end === undefined ? "Moving" : end.body.outcome === "finished" ? "Finished" : `Run ${end.body.outcome}`;
    const detail = end === undefined ? "the cell has begun" : `${end.body.samples.toLocaleString()} samples, ${count(end.body.viewpoints, "view")}`;
    const entries = [...started, ...ended].map(({ event }) => event);
    const bad = end !== undefined && end.body.outcome !== "finished" ? end.body.outcome : "";
    return [{ id: "motion", stage: "motion", title, detail, entries, ended: bad }];
  }
  const [refusal] = refused;
  if (refusal === undefined) return [];
  const entries = refused.map(({ event }) => event);
  const { rule } = refusal.body.refusal;
  return [{ id: "motion", stage: "motion", title: "Refused", detail: `by rule ${rule}`, entries, ended: "refused" }];
}

function recordingNodes(events: readonly LedgerEvent[], order: Digest): Node[] {
  const mine = stated(events, "recording").filter(({ body }) => body.order === order);
  return mine.map(({ event, body }) => {
    const ends = events.filter((e) => ("shred" in e.body && e.body.shred.root === body.root) || ("shredded" in e.body && e.body.shredded.root === body.root));
    const ended = ends.length > 0 ? "key destroyed" : "";
    return { id: `recording-${body.root}`, stage: "recording", title: body.stream, detail: bytes(body.bytes), entries: [event, ...ends], ended };
  });
}

function grantNodes(events: readonly LedgerEvent[], order: Digest): Node[] {
  const mine = stated(events, "grant").filter(({ body }) => body.order === order);
  return mine.flatMap(({ event, body }) => {
    const ends = stated(events, "revoke-grant").filter(({ body: end }) => end.grant === event.id);
    const reads = stated(events, "read").filter(({ body: read }) => read.grant === event.id);
    const grant: Node = {
      id: `grant-${event.id}`, stage: "grant", title: `To ${body.processor}`, detail: count(body.recordings.length, "recording"),
      entries: [event, ...ends.map((e) => e.event)], ended: ends.length > 0 ? "revoked" : "",
    };
    if (reads.length === 0) return [grant];
    const sum = reads.reduce((all, read) => all + read.body.bytes, 0);
    const read: Node = {
      id: `read-${event.id}`, stage: "read", title: count(reads.length, "read"), detail: bytes(sum),
      entries: reads.map((r) => r.event), ended: "",
    };
    return [grant, read];
  });
}

function reportNodes(events: readonly LedgerEvent[], order: Digest): Node[] {
  const mine = stated(events, "report").filter(({ body }) => body.order === order);
  return mine.flatMap(({ event, body }) => {
    const verdicts = body.analyses.map((a) => `${a.name} ${a.verdict}`).join(", ");
    const report: Node = { id: `report-${event.id}`, stage: "report", title: `By ${event.issuer}`, detail: verdicts, entries: [event], ended: "" };
    const issued = stated(events, "passport").filter(({ body: p }) => p.report === event.id);
    const passports = issued.map(({ event: e }): Node => ({
      id: `passport-${e.id}`, stage: "passport", title: "Passport", detail: body.part, entries: [e], ended: "",
    }));
    return [report, ...passports];
  });
}

function linksOf(nodes: readonly Node[]): Link[] {
  const links: Link[] = [];
  const join = (from: Node | undefined, to: Node | undefined, says: string): void => {
    if (from !== undefined && to !== undefined) links.push({ id: `${from.id}>${to.id}`, from: from.id, to: to.id, says });
  };
  const of = (stage: Stage): Node[] => nodes.filter((node) => node.stage === stage);
  const named = (id: string): Node | undefined => nodes.find((node) => node.id === id);
  join(named("order"), named("proof"), "The log holds exactly this order, and witnesses cosigned that log.");
  join(named("proof"), named("motion"), "The cell acted on a witnessed log that held the order, within the order's bounds.");
  const started = named("motion");
  for (const recording of of("recording")) join(started, recording, "The cell signed that this recording is of that run.");
  for (const grant of of("grant")) {
    const roots = bodyOf(grant, "grant")?.recordings ?? [];
    const mine = of("recording").filter((node) => roots.includes(bodyOf(node, "recording")?.root ?? ""));
    mine.forEach((recording) => join(recording, grant, "The grant names the recording by its content address."));
    join(grant, named(grant.id.replace("grant-", "read-")), "Each read names the grant, and stays within it.");
  }
  for (const report of of("report")) {
    const id = bodyOf(report, "report")?.grant ?? "";
    join(named(`read-${id}`) ?? named(`grant-${id}`), report, "The report rests on what was read under its grant.");
    for (const passport of of("passport")) {
      if (bodyOf(passport, "passport")?.report === firstId(report)) join(report, passport, "The passport names the report by its hash.");
    }
  }
  return links;
}

/** What the first entry of a node that states `word` states. */
export function bodyOf<W extends string>(node: Node, word: W): Of<W> | undefined {
  return stated(node.entries, word)[0]?.body;
}

function firstId(node: Node): Digest {
  return node.entries[0]?.id ?? "";
}

const yes = (words: string): Finding => ({ ok: true, words });
const no = (words: string): Finding => ({ ok: false, words });

/** Whether a verified entry was signed by a member that had the role `site` there. */
export type BySite = (event: LedgerEvent) => boolean;

/** The nodes on which a link between two rests: who may have signed what stands in these. */
export function behind(chain: Chain, from: Node, to: Node): Node[] {
  return chain.nodes.filter((node) => node === from || node === to || node.stage === "order" || node.stage === "grant");
}

/** Whether two nodes fit together as a link between them says; all that is `behind` them was verified. */
export function fits(chain: Chain, from: Node, to: Node, bySite: BySite): Finding {
  const stranger = strangerIn(chain, to, bySite);
  if (stranger !== null) return no(stranger);
  switch (to.stage) {
    case "proof":
      return firstId(from) === firstId(to) ? yes("The hash of the signed text is the identifier of the entry that is proven.") : no("The proven entry is not the order.");
    case "motion":
      return started(from, to);
    case "recording": {
      const order = bodyOf(to, "recording")?.order;
      const expected = bodyOf(from, "run-started")?.order ?? bodyOf(from, "run-ended")?.order;
      return order !== undefined && order === expected ? yes(`Recording and run name the same order ${order.slice(0, 8)}.`) : no("The recording names another order than the run.");
    }
    case "grant": {
      const root = bodyOf(from, "recording")?.root ?? "";
      const ok = bodyOf(to, "grant")?.recordings.includes(root) ?? false;
      return ok ? yes("The recording's content address stands in the grant.") : no("The grant does not name this recording.");
    }
    case "read":
      return within(from, to);
    case "report":
      return rests(chain, from, to, bySite);
    case "passport": {
      const ok = bodyOf(to, "passport")?.report === firstId(from);
      return ok ? yes("The passport's entry names the report's hash.") : no("The passport names another report.");
    }
    default:
      return no(`nothing leads to ${to.title}`);
  }
}

/** What was signed by another than the one who may: the order's cell, the grant's reader, the site. */
function strangerIn(chain: Chain, node: Node, bySite: BySite): string | null {
  for (const event of node.entries) {
    const [who, ok] = signer(chain, node, event, bySite);
    if (!ok) return `${at(event)} was signed by ${event.issuer}; ${who} is expected.`;
  }
  return null;
}

/** Who is expected to have signed an entry of a node, and whether that is who did. */
function signer(chain: Chain, node: Node, event: LedgerEvent, bySite: BySite): [who: string, ok: boolean] {
  // What ends a recording stands in its node, too: people ask for it, and the site does it.
  if (node.stage === "read" || node.stage === "passport" || "shredded" in event.body) return ["the site", bySite(event)];
  if (node.stage === "motion" || "recording" in event.body) {
    const cell = orderOf(chain)?.cell ?? "";
    return [`the order's cell ${cell}`, event.issuer === cell];
  }
  if (node.stage === "report") {
    const reader = bodyOf(grantOf(chain, node), "grant")?.processor ?? "";
    return [`the grant's reader ${reader}`, event.issuer === reader];
  }
  return ["anybody whom the policy lets", true];
}

function orderOf({ nodes, order }: Chain): Of<"order"> | undefined {
  return stated(nodes.flatMap(({ entries }) => entries), "order").find(({ event }) => event.id === order)?.body;
}

const nothing: Node = { id: "", stage: "grant", title: "", detail: "", entries: [], ended: "" };

/** The grant that a report names. */
function grantOf({ nodes }: Chain, report: Node): Node {
  return nodes.find((node) => node.id === `grant-${bodyOf(report, "report")?.grant ?? ""}`) ?? nothing;
}

/** Where a grant ended by a revocation; none is shown: Infinity. */
function revokedAt(grant: Node): number {
  return Math.min(...stated(grant.entries, "revoke-grant").map(({ event }) => event.index));
}

/** A start must rest on a checkpoint that holds the order, within the order's lag and time. */
function started(proof: Node, motion: Node): Finding {
  const order = stated(proof.entries, "order")[0];
  const start = stated(motion.entries, "run-started")[0];
  if (order === undefined) return no("The order is not there.");
  if (start === undefined) {
    const refusal = bodyOf(motion, "refused");
    if (refusal?.request === order.event.id) return yes("The cell refused this very order; nothing moved.");
    return no("No start of a run names this order.");
  }
  if (start.body.order !== order.event.id) return no("The run names another order.");
  const lag = start.body.checkpoint - (order.event.index + 1);
  if (lag < 0) return no(`The cell rested on ${start.body.checkpoint} entries, among which the order was not.`);
  if (lag > order.body.max_lag) return no(`${lag} entries stood after the order, it allowed ${order.body.max_lag}.`);
  if (start.event.index <= order.event.index) return no("The run began before its order stood on the ledger.");
  return yes(`The cell rested on a witnessed log of ${start.body.checkpoint} entries; the order is ${at(order.event)}, ${count(lag, "entry", "entries")} stood after it, ${order.body.max_lag} were allowed.`);
}

/** Reads must name recordings of the grant, stay in its budget and its time. */
function within(grantNode: Node, readNode: Node): Finding {
  const grant = stated(grantNode.entries, "grant")[0];
  if (grant === undefined) return no("The grant is not there.");
  const end = revokedAt(grantNode);
  const reads = stated(readNode.entries, "read");
  let sum = 0;
  for (const { event, body } of reads) {
    sum += body.bytes;
    if (body.grant !== grant.event.id) return no(`${at(event)} names another grant.`);
    if (!grant.body.recordings.includes(body.root)) return no(`${at(event)} is of a recording that the grant does not name.`);
    if (event.index < grant.event.index || event.index > end) return no(`${at(event)} is from when the grant was not in force.`);
    if (!lasts(grant.body, event.logged_at)) return no(`${at(event)} is from outside the grant's time.`);
  }
  if (sum > grant.body.budget) return no(`${bytes(sum)} were served, the grant allows ${bytes(grant.body.budget)}.`);
  return yes(`${count(reads.length, "read")} of named recordings, ${bytes(sum)} of at most ${bytes(grant.body.budget)}, all while the grant was in force.`);
}

function lasts(grant: { not_before: Millis; not_after: Millis }, now: Millis): boolean {
  return grant.not_before <= now && now < grant.not_after;
}

/** A report must rest on earlier reads of its own grant, and be from before that was revoked. */
function rests(chain: Chain, from: Node, to: Node, bySite: BySite): Finding {
  const report = stated(to.entries, "report")[0];
  if (report === undefined) return no("The report is not there.");
  const { event: filed, body } = report;
  const grant = grantOf(chain, to);
  if (from.stage === "grant") {
    return firstId(from) === body.grant ? no("The report names the grant, but nothing was read under it.") : no("The report names another grant.");
  }
  const earlier = stated(from.entries, "read").filter(({ event, body: read }) => read.grant === body.grant && event.index < filed.index && bySite(event));
  if (earlier.length === 0) return no("Nothing was read under the report's grant before it was filed.");
  if (filed.index > revokedAt(grant)) return no(`The report is ${at(filed)}, its grant was revoked at entry ${revokedAt(grant)}.`);
  const read = new Set(earlier.map(({ body: { root } }) => root));
  const unread = body.inputs.filter((root) => !read.has(root));
  if (unread.length > 0) return no(`The report names ${count(unread.length, "recording")} that nobody had read when it was filed.`);
  return yes(`${filed.issuer}, to whom the grant is, filed it. All ${count(body.inputs.length, "input")} were read under that grant before (${count(earlier.length, "read")}).`);
}
