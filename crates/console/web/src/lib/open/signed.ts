/**
 * What a cell signs about a recording: canonical JSON (RFC 8785) under Ed25519,
 * each kind of claim with a domain of its own.
 */
import { concat, fromBase64Url, utf8 } from "../verify/bytes";
import { Broken } from "../verify/broken";
import { sha256Hex, verifyEd25519 } from "../verify/crypto";
import { canonical, MAX_CANONICAL_BYTES, parse, type Json } from "../verify/jcs";
import { anything, base64url, object, type Reader } from "../verify/shape";
import { OpenError } from "./errors";

/** A claim that its signer stated. */
export interface Verified<T> {
  claim: T;
  /** SHA-256 of the canonical bytes, signature included: what entries and checkpoints name. */
  digest: string;
}

const signed = object({ claim: anything, signature: base64url });

/** A text that a person may be shown. */
export const short: Reader<string> = (value, what) => {
  if (typeof value === "string" && value.length <= 256) return value;
  throw new Broken(what, "a text of at most 256 characters is expected");
};

/** A whole number that JavaScript holds exactly. */
export const count: Reader<number> = (value, what) => {
  if (typeof value === "number" && Number.isSafeInteger(value) && value >= 0) return value;
  throw new Broken(what, "a whole number below 2^53 is expected");
};

/** The base point: a key like any other to import. */
const SOME_KEY = new Uint8Array(32).fill(0x66).with(0, 0x58);

/** Says so when this browser cannot check signatures, for then every one would look forged. */
export async function demandEd25519(): Promise<void> {
  try {
    await crypto.subtle.importKey("raw", SOME_KEY, "Ed25519", false, ["verify"]);
  } catch (error) {
    const able = "Chromium 137, Firefox 129 or Safari 17, or newer, at an https or localhost address";
    throw new OpenError("unsupported", `this browser cannot check Ed25519 signatures: use ${able}`, { cause: error });
  }
}

/** Parses JSON of the length of one claim. */
export function parseClaim(text: string, what: string): Json {
  if (text.length > MAX_CANONICAL_BYTES) throw new Broken(what, `it has more than ${MAX_CANONICAL_BYTES} bytes`);
  return parse(text, what);
}

/**
 * Verifies `{claim, signature}` under one of a cell's keys and reads the claim.
 *
 * @throws OpenError or Broken when no key signed it or it is not such a claim.
 */
export async function verify<T>(
  text: string,
  domain: string,
  keys: readonly Uint8Array[],
  what: string,
  read: Reader<T>,
): Promise<Verified<T>> {
  const whole = signed(parseClaim(text, what), what);
  const claim = read(whole.claim, what);
  const message = concat(utf8(domain), utf8(canonical(whole.claim)));
  const signature = fromBase64Url(whole.signature, what);
  for (const key of keys) {
    if (await verifyEd25519(key, message, signature)) {
      const digest = await sha256Hex(canonical({ claim: whole.claim, signature: whole.signature }));
      return { claim, digest };
    }
  }
  const reason = `${what}: its signature does not verify: edited, or signed by another key than its cell's`;
  throw new OpenError("forged", reason);
}
