/**
 * What this browser trusts: the plant's anchors that its enrolment link pinned, or else the
 * site's own word, which is said wherever it matters.
 */
import { get } from "../api/client";
import { pinnedAnchors } from "../enrol/anchors";
import type { PlantCard } from "../ledger/types";
import { readAnchors, canonical, type Anchors, type Json } from "../verify";

export interface Trusted {
  anchors: Anchors;
  /** The value of `anchors.json`. */
  raw: Json;
  /** Whether they were pinned here, rather than taken from the site now. */
  pinned: boolean;
  /** Whether the site serves other anchors than the pinned ones: a sign of fraud or of another plant. */
  differs: boolean;
}

/** What is trusted, given what the site says of itself. */
export async function trusted(served: Json): Promise<Trusted> {
  const pinned = pinnedAnchors() as unknown as Json | null;
  const raw = pinned ?? served;
  return {
    anchors: await readAnchors(raw),
    raw,
    pinned: pinned !== null,
    differs: pinned !== null && canonical(pinned) !== canonical(served),
  };
}

/** What is trusted in a session with the site. */
export async function currentTrust(): Promise<Trusted> {
  const card = await get<PlantCard>("/console/v1/plant");
  return trusted(card.anchors as unknown as Json);
}
