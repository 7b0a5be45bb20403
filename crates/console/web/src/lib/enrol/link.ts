/**
 * Enrolment links: `/enrol#member=…&key=…&until=…&anchors=…`. The fragment is the
 * key itself. It never reaches a server, and leaves the address bar at once.
 */
import { isId } from "../ledger/id";
import type { Digest, Id, Millis } from "../ledger/types";
import { fromBase64Url } from "../verify/bytes";

export interface EnrolmentLink {
  member: Id;
  /** The invitation's Ed25519 seed, 32 bytes. */
  seed: Uint8Array;
  /** Until when the invitation may be accepted. */
  until: Millis;
  /** SHA-256 of the canonical bytes of the plant's anchors. */
  anchors: Digest;
}

/** A link that is none, in words for the person who opened it. */
export class BadLink extends Error {
  override readonly name = "BadLink";
}

const DIGEST = /^[0-9a-f]{64}$/;
/** A fragment that is longer than any link is not read. */
const LONGEST = 512;

function once(fields: URLSearchParams, name: string): string {
  const values = fields.getAll(name);
  if (values.length === 1 && values[0] !== undefined) return values[0];
  throw new BadLink(`The link is not whole: it has ${values.length === 0 ? "no" : "more than one"} “${name}”. Copy all of it.`);
}

/** Reads the fragment of a link, with or without its `#`. */
export function readLink(fragment: string): EnrolmentLink {
  if (fragment.length > LONGEST) throw new BadLink("The link is too long to be one of ours.");
  const fields = new URLSearchParams(fragment.replace(/^#/, ""));
  const member = once(fields, "member");
  if (!isId(member)) throw new BadLink("The link names no member. Copy all of it.");
  const anchors = once(fields, "anchors");
  if (!DIGEST.test(anchors)) throw new BadLink("The link names no plant: “anchors” is not 64 hexadecimal digits. Copy all of it.");
  const until = Number(once(fields, "until"));
  if (!Number.isSafeInteger(until) || until <= 0) throw new BadLink("The link has no end: “until” is not a time. Copy all of it.");
  return { member, seed: seedOf(once(fields, "key")), until, anchors };
}

function seedOf(text: string): Uint8Array {
  try {
    const seed = fromBase64Url(text, "key");
    if (seed.length === 32) return seed;
  } catch {
    // Said below: the text is a secret and is not shown.
  }
  throw new BadLink("The key in the link is damaged. Copy all of the link.");
}

/** The link that invites a member. */
export function writeLink(origin: string, member: Id, seed: string, until: Millis, anchors: Digest): string {
  return `${origin}/enrol#member=${member}&key=${seed}&until=${until}&anchors=${anchors}`;
}

/** Takes the fragment out of the address bar; `null` when there is none. */
export function takeFragment(): string | null {
  const { hash, pathname, search } = location;
  if (hash.length < 2) return null;
  history.replaceState(history.state, "", pathname + search);
  return hash;
}
