/** Grants as people make them here: the same words as the command line's. */
import { provenReader, type ProvenRecording, type Tried } from "../evidence/proven";
import { foreign } from "../foreign";
import type { Digest, Grant, GrantState, Id, Millis, Order, OrderState, RecordingState, Reported, Term } from "../ledger/types";
import type { InForce } from "../people/differ";
import type { Wanted } from "../state/signing.svelte";
import { Broken } from "../verify";
import { bytes, count, short, shortCid, span } from "../words";

/** What every grant says, and how each point holds. */
export const TERMS: readonly Term[] = [
  { enforcement: "enforced", text: "only the named recordings are served, by their CIDs" },
  { enforcement: "enforced", text: "keys are sealed to the named processor alone" },
  { enforcement: "enforced", text: "nothing is served after the end, after a revocation or beyond the byte budget" },
  { enforcement: "enforced", text: "each served read is an entry on the ledger" },
  { enforcement: "contractual", text: "pictures in the report become part of the passport and are not secret any more" },
  { enforcement: "contractual", text: "the data is used for the stated purpose only" },
  { enforcement: "contractual", text: "the data is not passed on, and is deleted after the report" },
];

export const PURPOSE = "identity and inspection of the part";
export const MIB = 1024 * 1024;
/** The longest that a grant may last. */
export const MAX_LAST_MS = 90 * 24 * 60 * 60 * 1000;
/** The most recordings that one grant names. */
export const MAX_RECORDINGS = 64;

export interface Wish {
  order: Digest;
  reader: Id;
  purpose: string;
  lastsMs: number;
  budget: number;
  roots: readonly string[];
}

/** The grant's body, as of a time. */
export function grantOf(wish: Wish, now: Millis): Grant {
  return {
    budget: wish.budget,
    not_after: now + wish.lastsMs,
    // The site's clock may be a little behind this one.
    not_before: now - 60_000,
    order: wish.order,
    processor: wish.reader,
    purpose: wish.purpose.trim(),
    // A set is written in the order of its bytes.
    recordings: [...new Set(wish.roots)].sort(),
    terms: [...TERMS],
  };
}

/** What a grant rests on, from verified entries. */
export interface Basis {
  inForce: InForce;
  /** The order whose recordings are granted. */
  order: Order;
  recordings: readonly ProvenRecording[];
}

/**
 * What is signed for a grant. `basis` ends the sentence on what was verified.
 * @throws Broken when a recording is of another part than the run, or the reader is none.
 */
export function grantWanted(wish: Wish, { inForce, order, recordings }: Basis, now: Millis, basis: string): Wanted {
  const { member } = provenReader(inForce, wish.reader);
  const name = foreign(member.name);
  const grant = grantOf({ ...wish, roots: recordings.map(({ recording }) => recording.root) }, now);
  for (const { recording, order: own } of recordings) {
    if (own.part !== order.part) throw new Broken(`recording ${shortCid(recording.root)}`, `it is of part ${own.part}, not of ${order.part}`);
  }
  const one = recordings.length === 1;
  return {
    title: `Grant ${one ? "a recording" : `${recordings.length} recordings`} to ${name}`,
    body: { grant },
    words: [
      `${name} (${wish.reader}; ${member.roles.join(", ") || "no role"}) may read ${one ? "this recording" : "these recordings"} of ${order.part}:`,
      ...recordings.map(({ recording, cell }) => `${recording.stream}, ${bytes(recording.bytes)} (${shortCid(recording.root)}), of ${recording.order === wish.order ? "this run" : `the earlier run ${short(recording.order)}`} in ${cell}.`),
      `This browser verified the reader, the run and each recording's entry on the ledger${basis}.`,
      `For: ${foreign(grant.purpose)}. For ${span(wish.lastsMs)} from now, at most ${bytes(wish.budget)}.`,
      "Every read becomes an entry on the ledger before a byte leaves.",
    ],
    cautions: [
      "You can revoke it at any time: keys and bytes stop at once. What was read until then stays with the reader; that the reader deletes it is agreed, not enforced.",
    ],
    act: "Grant",
  };
}

/**
 * What is signed to revoke a grant. It only protects, so a grant that could not be verified is
 * revoked all the same, and what it is stands there as the site's word.
 */
export function revocationWanted(id: Digest, tried: Tried<Grant>, shown: GrantState, reason: string, basis: string): Wanted {
  const grant = "found" in tried ? tried.found : shown.grant;
  const what = `Grant ${short(id)} lets ${grant.processor} read ${count(grant.recordings.length, "recording")} for ${foreign(grant.purpose)}.`;
  return {
    title: `Revoke the grant to ${grant.processor}`,
    body: { "revoke-grant": { grant: id, reason } },
    words: [
      ...("found" in tried ? [`${what} This browser verified that on the ledger${basis}.`] : []),
      `From the revocation's place on the ledger on, nothing more is served under grant ${short(id)}: no key, no byte.`,
      `Reason: ${foreign(reason)}`,
    ],
    unverified: [
      ...("why" in tried ? [what, tried.why] : []),
      shown.reads === 0
        ? "Nothing was read under it yet."
        : `${count(shown.reads, "read")} (${bytes(shown.used)}) were served already. What was read stays with ${grant.processor}: deleting it is agreed in the terms, and no software can enforce that.`,
    ],
    cautions: ["A revocation is not undone; a new grant can be made."],
    act: "Revoke",
    grave: true,
  };
}

/** What is signed to destroy a recording's key; `reads` of it were served, as the site says. */
export function shredWanted({ recording, order, cell }: ProvenRecording, reads: number, reason: string, basis: string): Wanted {
  return {
    title: `Destroy the key of ${recording.stream} of ${order.part}`,
    body: { shred: { reason, root: recording.root } },
    words: [
      `The site destroys the only key of recording ${shortCid(recording.root)} (${bytes(recording.bytes)}) and states that on the ledger.`,
      `It is the ${recording.stream} of ${order.part}, from run ${short(recording.order)} in ${cell}: this browser verified its entry on the ledger${basis}.`,
      "The encrypted bytes may stay; without the key nobody can ever read them, the plant neither.",
      `Reason: ${foreign(reason)}`,
    ],
    unverified: [
      reads > 0
        ? `${count(reads, "read")} under grants that name this recording were served: what was read and decrypted stays with the readers.`
        : "Nobody was served anything under a grant yet, so no copy is known outside.",
    ],
    cautions: ["This cannot be undone, by anybody.", "Reports, their pictures and passports made from it stay."],
    act: "Destroy",
    grave: true,
  };
}

/** What is wrong with a wish; empty when nothing is. */
export function wrongWith(wish: Wish): string {
  if (wish.reader === "") return "Choose who may read.";
  if (wish.roots.length === 0) return "Choose at least one recording.";
  if (wish.roots.length > MAX_RECORDINGS) return `One grant names at most ${MAX_RECORDINGS} recordings.`;
  if (wish.purpose.trim() === "") return "Say what the data is for.";
  if (!(wish.lastsMs > 0 && wish.lastsMs + 60_000 <= MAX_LAST_MS)) return "A grant lasts between a minute and 90 days.";
  if (!(Number.isSafeInteger(wish.budget) && wish.budget > 0)) return "The budget is a number of bytes above zero.";
  return "";
}

/** The readable camera recordings of the run that enrolled a part: a comparison needs them. */
export function enrolledRoots(
  part: Id,
  of: Digest,
  enrolments: Record<Id, Digest>,
  reports: Record<Digest, Reported>,
  recordings: Record<string, RecordingState>,
): string[] {
  const first = reports[enrolments[part] ?? ""]?.report.order;
  if (first === undefined || first === of) return [];
  return Object.values(recordings)
    .filter((r) => r.recording.order === first && r.recording.stream === "camera" && r.shred === null)
    .map((r) => r.recording.root);
}

/** Why an order's recordings cannot be granted; empty when they can. */
export function notGrantable(order: OrderState | undefined): string {
  if (order === undefined) return "its order is not at hand";
  const { status } = order;
  if (typeof status === "object" && "ended" in status && status.ended === "finished") return "";
  return "only recordings of a run that finished can be granted";
}
