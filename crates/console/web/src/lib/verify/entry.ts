/** One signed statement, as it goes on the ledger, and the leaf that the log holds for it. */
import { Broken } from "./broken";
import { concat, fromBase64Url, toHex, utf8, type Bytes } from "./bytes";
import { sha256, verifyEd25519 } from "./crypto";
import { canonicalBytes, checkNumbers, parseCanonical, type Json } from "./jcs";
import { fingerprint, type PublicKey } from "./keys";
import { assertion, verifyAssertion } from "./webauthn";
import * as shape from "./shape";

export const VERSION = "interlock/1";
const DOMAIN = utf8("interlock/entry/v1\0");
const NONCE_BYTES = 16;

const statement = shape.object({
  at: shape.millis,
  body: shape.anything,
  issuer: shape.id,
  key: shape.digest,
  nonce: shape.base64url,
  site: shape.id,
  v: shape.text,
});
export type Statement = shape.Read<typeof statement>;

const signatureKinds = shape.tagged({ ed25519: shape.base64url, passkey: assertion });
/** `{"ed25519": …}` or `{"passkey": …}`. */
const signature: shape.Reader<Json> = (value, what) => {
  signatureKinds(value, what);
  return value;
};

/** A statement with its signature, not verified. */
export const entryShape = shape.object({ signature, statement });
export type Entry = shape.Read<typeof entryShape>;

/** What the log holds: an entry and when the site logged it. */
export const leafShape = shape.object({ entry: entryShape, logged_at: shape.millis });
export type Leaf = shape.Read<typeof leafShape>;

/** A canonical value whose numbers every reader counts alike. */
function counted(bytes: Uint8Array, what: string): Json {
  const value = parseCanonical(bytes, what);
  checkNumbers(value, what);
  return value;
}

/** Reads canonical bytes. */
export function readEntry(bytes: Uint8Array): Entry {
  return entryShape(counted(bytes, "the entry"), "the entry");
}

/** Reads the canonical bytes of a log leaf. */
export function readLeaf(bytes: Uint8Array): Leaf {
  return leafShape(counted(bytes, "the leaf"), "the leaf");
}

/** The bytes of a leaf, which the log hashes. */
export function leafBytes(leaf: Leaf, what: string): Bytes {
  return canonicalBytes(leaf as Json, what);
}

/** The bytes that are signed. */
export function statementBytes(entry: Entry): Bytes {
  return canonicalBytes(entry.statement as Json, "the statement");
}

/** The entry's identifier: the digest of its statement. */
export async function entryId(entry: Entry): Promise<shape.Digest> {
  return toHex(await sha256(statementBytes(entry)));
}

/** The word of an entry's body: `order`, `grant` and so on. */
export function wordOf(entry: Entry): string {
  const body = entry.statement.body;
  const [word] = typeof body === "object" && body !== null ? Object.keys(body) : [];
  return word ?? "unknown";
}

/** What a verified signature says. */
export interface VerifiedEntry {
  id: shape.Digest;
  /** Whether an authenticator verified the person. */
  userVerified: boolean;
}

/** Verifies the signature under the issuer's enrolled key that the statement names. */
export async function verifyEntry(entry: Entry, key: PublicKey): Promise<VerifiedEntry> {
  const stated = entry.statement;
  const what = `the signature of \`${stated.issuer}\``;
  if (stated.v !== VERSION) throw new Broken("the entry", `version \`${VERSION}\` is expected`);
  if ((await fingerprint(key)) !== stated.key) throw new Broken(what, "it names another key");
  if (fromBase64Url(stated.nonce, "the nonce").length !== NONCE_BYTES) {
    throw new Broken(what, "a nonce of 16 bytes is expected");
  }
  const bytes = statementBytes(entry);
  const id = await sha256(bytes);
  const userVerified = await verifySignature(entry, key, bytes, id, what);
  return { id: toHex(id), userVerified };
}

async function verifySignature(
  entry: Entry,
  key: PublicKey,
  bytes: Bytes,
  id: Bytes,
  what: string,
): Promise<boolean> {
  const by = signatureKinds(entry.signature, what);
  if (by.word === "passkey" && "passkey" in key) {
    await verifyAssertion(by.value, key.passkey, id);
    return true;
  }
  const raw = "passkey" in key ? null : rawKey(key);
  if (by.word !== "ed25519" || raw === null) {
    throw new Broken(what, "it is of another kind than the enrolled key");
  }
  const signed = fromBase64Url(by.value, what);
  if (!(await verifyEd25519(raw, concat(DOMAIN, bytes), signed))) {
    throw new Broken(what, "it does not verify over this statement");
  }
  return false;
}

/** The raw key of a key file or an invitation; what an invitation may sign is the fold's rule. */
function rawKey(key: Exclude<PublicKey, { passkey: unknown }>): Bytes | null {
  const text = "invitation" in key ? key.invitation.ed25519 : key.ed25519;
  const raw = fromBase64Url(text, "a key");
  return raw.length === 32 ? raw : null;
}
