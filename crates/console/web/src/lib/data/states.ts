/** Recordings and grants as of now, in a word; and the same made from their entries. */
import { stated } from "../evidence/chain";
import type { Digest, GrantState, LedgerEvent, Millis, RecordingState } from "../ledger/types";
import type { Tone } from "../words";

export interface Standing {
  word: string;
  tone: Tone;
}

/** Whether a recording can still be read by anybody. */
export function recordingStanding(state: RecordingState): Standing {
  if (state.shredded) return { word: "destroyed", tone: "bad" };
  if (state.shred !== null) return { word: "being destroyed", tone: "warn" };
  return { word: "readable under a grant", tone: "ok" };
}

/** Whether a grant opens anything now. */
export function grantStanding(state: GrantState, now: Millis): Standing {
  if (state.revoked !== null) return { word: `revoked at ${state.revoked}`, tone: "bad" };
  if (now >= state.grant.not_after) return { word: "ended", tone: "plain" };
  if (now < state.grant.not_before) return { word: "not begun", tone: "info" };
  if (state.used >= state.grant.budget) return { word: "used up", tone: "warn" };
  return { word: "live", tone: "ok" };
}

export function isLive(state: GrantState, now: Millis): boolean {
  return grantStanding(state, now).word === "live";
}

/** A grant's state from the entries of its order. */
export function grantFrom(events: readonly LedgerEvent[], id: Digest): GrantState | null {
  const found = stated(events, "grant").find(({ event }) => event.id === id);
  if (found === undefined) return null;
  const reads = stated(events, "read").filter(({ body }) => body.grant === id);
  const end = stated(events, "revoke-grant").find(({ body }) => body.grant === id);
  return {
    grant: found.body,
    index: found.event.index,
    issuer: found.event.issuer,
    used: reads.reduce((sum, { body }) => sum + body.bytes, 0),
    reads: reads.length,
    revoked: end?.event.index ?? null,
  };
}

/** A recording's state from the entries of its order. */
export function recordingFrom(events: readonly LedgerEvent[], root: string): RecordingState | null {
  const found = stated(events, "recording").find(({ body }) => body.root === root);
  if (found === undefined) return null;
  const asked = stated(events, "shred").find(({ body }) => body.root === root);
  const gone = stated(events, "shredded").some(({ body }) => body.root === root);
  return { recording: found.body, index: found.event.index, shred: asked?.event.id ?? null, shredded: gone };
}
