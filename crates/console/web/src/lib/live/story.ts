/**
 * The proofs of one order as a story: what is on the ledger, in its order, and what
 * is still to come. Pure: entries in, steps out.
 */
import { foreign } from "../foreign";
import { wordOf, type Digest, type Id, type LedgerEvent, type Millis, type Word } from "../ledger/types";
import { bytes, count, sentence, short } from "../words";

/** How a step stands. */
export type Standing = "done" | "bad" | "next" | "later";

export interface Step {
  /** Stable, for lists. */
  key: string;
  title: string;
  words: string;
  standing: Standing;
  /** `null` for what is still to come, or is no entry of its own. */
  index: number | null;
  /** The last entry of several that are told as one step. */
  lastIndex: number | null;
  at: Millis | null;
  /** When the last of several was logged. */
  until: Millis | null;
  issuer: Id | null;
  id: Digest | null;
}

const titles: Partial<Record<Word, string>> = {
  order: "Order signed", "run-started": "Cell started", "run-ended": "Run ended", recording: "Recorded",
  refused: "Refused", grant: "Granted", "revoke-grant": "Grant revoked", read: "Read", report: "Report",
  passport: "Passport", shred: "Destruction asked for", shredded: "Key destroyed",
};

/** What follows, when all goes its way. */
const usual: { word: Word; words: string }[] = [
  { word: "run-started", words: "the cell verifies everything by itself, then moves" },
  { word: "run-ended", words: "the cell states how the run ended" },
  { word: "recording", words: "the cell delivers what it recorded, encrypted" },
  { word: "grant", words: "a security officer grants the recordings to a reader" },
  { word: "read", words: "each byte that is served becomes an entry" },
  { word: "report", words: "the reader files a signed report" },
  { word: "passport", words: "the site issues the part's passport" },
];

/** The story of an order. `witnessed` is the size of the newest witnessed checkpoint. */
export function story(events: readonly LedgerEvent[], witnessed: number, expired: boolean): Step[] {
  const sorted = [...events].sort((a, b) => a.index - b.index);
  const steps: Step[] = [];
  for (const event of sorted) {
    const before = steps.at(-1);
    if (before !== undefined && joins(before, event)) extend(before, event);
    else steps.push(told(event));
    if (wordOf(event.body) === "order") steps.push(witness(event, witnessed));
  }
  return [...steps, ...coming(sorted, steps, expired)];
}

/** How many bytes and reads a joined step has, beside what is shown. */
const sums = new WeakMap<Step, { grant: Digest; reads: number; bytes: number }>();

function told(event: LedgerEvent): Step {
  const { body, index, id, issuer, logged_at } = event;
  const word = wordOf(body);
  const step: Step = {
    key: id, title: titles[word] ?? word, words: sentence(body), standing: "done", index, lastIndex: index,
    at: logged_at, until: logged_at, issuer, id,
  };
  if ("read" in body) {
    sums.set(step, { grant: body.read.grant, reads: 0, bytes: 0 });
    extend(step, event);
  }
  const failed = "run-ended" in body && body["run-ended"].outcome !== "finished";
  if (failed || word === "refused" || word === "revoke-grant" || word === "shredded") step.standing = "bad";
  if ("run-ended" in body) {
    const { outcome, samples, lost, viewpoints, reason } = body["run-ended"];
    const facts = `${count(samples, "sample")}, ${lost} lost, ${count(viewpoints, "viewpoint")}`;
    step.words = `${outcome}${reason === "" ? "" : `: ${foreign(reason)}`}; ${facts}`;
  }
  return step;
}

function joins(step: Step, event: LedgerEvent): boolean {
  return "read" in event.body && sums.get(step)?.grant === event.body.read.grant;
}

function extend(step: Step, event: LedgerEvent): void {
  const sum = sums.get(step);
  if (sum === undefined || !("read" in event.body)) return;
  sum.reads += 1;
  sum.bytes += event.body.read.bytes;
  step.lastIndex = event.index;
  step.until = event.logged_at;
  step.words = `${count(sum.reads, "read")}, ${bytes(sum.bytes)} under grant ${short(sum.grant)}`;
}

function witness(order: LedgerEvent, witnessed: number): Step {
  const done = witnessed > order.index;
  return {
    key: `${order.id}-witnessed`, title: "Witnessed", standing: done ? "done" : "next", index: null, lastIndex: null,
    at: null, until: null, issuer: null, id: null,
    words: done ? `a checkpoint over ${witnessed} entries is cosigned` : "the witnesses cosign the next checkpoint",
  };
}

function coming(events: readonly LedgerEvent[], steps: readonly Step[], expired: boolean): Step[] {
  const over = events.some(({ body }) => {
    const failed = "run-ended" in body && body["run-ended"].outcome !== "finished";
    return failed || "refused" in body;
  });
  const words = new Set(events.map(({ body }) => wordOf(body)));
  if (over || (expired && !words.has("run-started")) || events.length === 0) return [];
  const last = usual.findLastIndex(({ word }) => words.has(word));
  let waits = steps.some(({ standing }) => standing === "next");
  return usual.slice(last + 1).map(({ word, words: what }) => {
    const standing: Standing = waits ? "later" : "next";
    waits = true;
    return {
      key: word, title: titles[word] ?? word, words: what, standing, index: null, lastIndex: null,
      at: null, until: null, issuer: null, id: null,
    };
  });
}

/** The step that a moment belongs to: the last one that was logged by then. */
export function momentOf(steps: readonly Step[], at: Millis): Step | null {
  const logged = steps.filter((step) => step.at !== null && step.at <= at);
  return logged.at(-1) ?? steps.find((step) => step.at !== null) ?? null;
}
