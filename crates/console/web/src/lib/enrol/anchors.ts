/**
 * The trust anchors that this browser pinned when its person enrolled. Everything
 * that the browser verifies, it verifies from these and not from what the site says
 * later.
 */
import type { Anchors, Digest } from "../ledger/types";
import { sha256Hex } from "../verify/crypto";
import { canonical, type Json } from "../verify/jcs";

const KEY = "interlock.anchors";

/** SHA-256 of the canonical bytes of anchors. */
export function anchorsDigest(anchors: Anchors): Promise<Digest> {
  return sha256Hex(canonical(anchors as unknown as Json));
}

/** The words when a site's anchors are not those of a link. */
export const OTHER_PLANT = "This site is not the plant that the link was made for: its trust anchors have another hash. Go no further, and tell whoever gave you the link.";

/** Refuses anchors other than a link's; when they cannot be hashed, too. */
export async function mustBeAnchors(anchors: Anchors, expected: Digest): Promise<void> {
  if ((await anchorsDigest(anchors)) !== expected) throw new Error(OTHER_PLANT);
}

/** The pinned anchors; `null` when this browser has none. */
export function pinnedAnchors(): Anchors | null {
  try {
    const kept: unknown = JSON.parse(localStorage.getItem(KEY) ?? "null");
    const whole = typeof kept === "object" && kept !== null && "genesis" in kept && "log" in kept && "site" in kept;
    return whole ? (kept as Anchors) : null;
  } catch {
    return null;
  }
}

/** Pins anchors in this browser; false when the browser keeps nothing. */
export function pinAnchors(anchors: Anchors): boolean {
  try {
    localStorage.setItem(KEY, canonical(anchors as unknown as Json));
    return true;
  } catch {
    return false;
  }
}

/** Whether the site shows other anchors than the pinned ones. */
export function anchorsDiffer(shown: Anchors): boolean {
  const pinned = pinnedAnchors();
  return pinned !== null && canonical(pinned as unknown as Json) !== canonical(shown as unknown as Json);
}
