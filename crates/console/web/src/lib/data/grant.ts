/** Grants as people make them here: the same words as the command line's. */
import type { Digest, Grant, Id, Millis, OrderState, RecordingState, Reported, Term } from "../ledger/types";

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
