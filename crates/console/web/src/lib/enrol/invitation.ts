/** Invitations: one-time Ed25519 keys, made for a person and used by that person. */
import type { Body, Digest, Entry, Id, Invitation, Millis, Passkey, Statement } from "../ledger/types";
import { concat, fromBase64Url, toBase64Url, utf8 } from "../verify/bytes";
import { canonical, canonicalBytes, type Json } from "../verify/jcs";
import { fingerprint } from "../verify/keys";

const ED25519 = { name: "Ed25519" };
/** What precedes the 32-byte seed in PKCS#8 (RFC 8410). */
const PKCS8 = Uint8Array.of(0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20);
const DOMAIN = utf8("interlock/entry/v1\0");

/** A new invitation with the seed that its link carries. */
export interface NewInvitation {
  invitation: Invitation;
  /** The seed in base64url: whoever has it may enrol. */
  seed: string;
}

/** Whether this browser can sign with Ed25519. */
export async function canInvite(): Promise<boolean> {
  try {
    await crypto.subtle.generateKey(ED25519, false, ["sign", "verify"]);
    return true;
  } catch {
    return false;
  }
}

/** Makes an invitation that may be accepted until `until`. */
export async function makeInvitation(until: Millis): Promise<NewInvitation> {
  const pair = (await crypto.subtle.generateKey(ED25519, true, ["sign", "verify"])) as CryptoKeyPair;
  const pkcs8 = new Uint8Array(await crypto.subtle.exportKey("pkcs8", pair.privateKey));
  const point = new Uint8Array(await crypto.subtle.exportKey("raw", pair.publicKey));
  const seed = toBase64Url(pkcs8.subarray(PKCS8.length, PKCS8.length + 32));
  return { invitation: { ed25519: toBase64Url(point), not_after: until }, seed };
}

interface Opened { key: CryptoKey; invitation: Invitation }

/** The signing key of a seed, and the invitation as it stands on the ledger. */
async function open(seed: Uint8Array, until: Millis): Promise<Opened> {
  const pkcs8 = concat(PKCS8, seed);
  const key = await crypto.subtle.importKey("pkcs8", pkcs8, ED25519, true, ["sign"]);
  // A JWK of a private key names the public one, which WebCrypto derives.
  const { x } = await crypto.subtle.exportKey("jwk", key);
  const ed25519 = toBase64Url(fromBase64Url(x ?? "", "public key"));
  return { key, invitation: { ed25519, not_after: until } };
}

/** What an acceptance needs. */
export interface Acceptance {
  site: Id;
  member: Id;
  seed: Uint8Array;
  until: Millis;
  passkey: Passkey;
  /** The public half of the browser's reading key. */
  seal: string | null;
}

/** The canonical text of the entry that accepts an invitation, signed by it. */
export async function acceptEntry(wanted: Acceptance, now: Millis): Promise<string> {
  const { site, member, seed, until, passkey, seal } = wanted;
  const { key, invitation } = await open(seed, until);
  const accept = seal === null ? { passkey } : { passkey, seal };
  const body: Body = { accept };
  const print: Digest = await fingerprint({ invitation: { ...invitation } });
  const nonce = toBase64Url(crypto.getRandomValues(new Uint8Array(16)));
  const statement: Statement = { at: now, body, issuer: member, key: print, nonce, site, v: "interlock/1" };
  const message = concat(DOMAIN, canonicalBytes(statement as unknown as Json, "the statement"));
  const signature = new Uint8Array(await crypto.subtle.sign(ED25519, key, message));
  const entry: Entry = { signature: { ed25519: toBase64Url(signature) }, statement };
  return canonical(entry as unknown as Json);
}
