/** Who may open a run's recordings, from what the ledger has about the run. */
import type { Digest, Grant, Id, LedgerEvent, Millis, Recording } from "../ledger/types";

/** A recording of a run. */
export interface Stored { recording: Recording; index: number; destroyed: boolean }
/** A grant with its entry. */
export interface Granted { id: Digest; grant: Grant; revoked: boolean }

export function recordingsOf(events: readonly LedgerEvent[]): Stored[] {
  const destroyed = new Set(events.flatMap(({ body }) => ("shredded" in body ? [body.shredded.root] : "shred" in body ? [body.shred.root] : [])));
  return events.flatMap(({ body, index }) =>
    "recording" in body ? [{ recording: body.recording, index, destroyed: destroyed.has(body.recording.root) }] : [],
  );
}

/** The grants to a member, newest first. */
export function grantsTo(events: readonly LedgerEvent[], member: Id): Granted[] {
  const revoked = new Set(events.flatMap(({ body }) => ("revoke-grant" in body ? [body["revoke-grant"].grant] : [])));
  return events
    .flatMap(({ body, id }) => ("grant" in body && body.grant.processor === member ? [{ id, grant: body.grant, revoked: revoked.has(id) }] : []))
    .reverse();
}

/** The grant under which a recording opens now, if one does. */
export function liveGrant(grants: readonly Granted[], root: string, now: Millis): Granted | null {
  return grants.find(({ grant, revoked }) =>
    !revoked && grant.recordings.includes(root) && grant.not_before <= now && now < grant.not_after) ?? null;
}
