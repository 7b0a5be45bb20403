/** A passkey's assertion (WebAuthn level 3, §7.2), verified long after it was made. */
import { Broken, short } from "./broken";
import { concat, fromBase64Url, fromUtf8, toBase64Url, toHex } from "./bytes";
import { sha256, sha256Hex, verifyEs256 } from "./crypto";
import { isObject, parse } from "./jcs";
import type { Passkey } from "./keys";
import * as shape from "./shape";

const MAX_CLIENT_DATA = 4096;
const MAX_AUTHENTICATOR_DATA = 1024;
const PRESENT_AND_VERIFIED = 0x01 | 0x04;

/** What `navigator.credentials.get()` returned, byte for byte. */
export const assertion = shape.object({
  authenticator_data: shape.base64url,
  client_data: shape.base64url,
  signature: shape.base64url,
});
export type Assertion = shape.Read<typeof assertion>;

/**
 * Verifies that a passkey signed this challenge, on its own origin, with the person present and
 * verified.
 */
export async function verifyAssertion(
  made: Assertion,
  passkey: Passkey,
  challenge: Uint8Array,
): Promise<void> {
  const clientData = fromBase64Url(made.client_data, "the client data");
  const data = fromBase64Url(made.authenticator_data, "the authenticator data");
  if (clientData.length > MAX_CLIENT_DATA || data.length > MAX_AUTHENTICATOR_DATA) {
    throw new Broken("the assertion", "client data or authenticator data is too long");
  }
  const client = parse(fromUtf8(clientData, "the client data"), "the client data");
  if (!isObject(client)) throw new Broken("the client data", "an object is expected");
  same("type", client.type, "webauthn.get");
  same("challenge", client.challenge, toBase64Url(challenge));
  same("origin", client.origin, passkey.origin);
  same("crossOrigin", client.crossOrigin ?? absent(client, "crossOrigin", false), false);

  if (data.length < 37) throw new Broken("the authenticator data", "it is shorter than 37 bytes");
  same("relying party", toHex(data.subarray(0, 32)), await sha256Hex(passkey.rp_id));
  same("flags (present, verified)", (data[32] ?? 0) & PRESENT_AND_VERIFIED, PRESENT_AND_VERIFIED);

  const signed = concat(data, await sha256(clientData));
  const key = fromBase64Url(passkey.es256, "the passkey");
  const signature = fromBase64Url(made.signature, "the signature");
  if (!(await verifyEs256(key, signed, signature))) {
    throw new Broken("the assertion", "its signature does not verify under the enrolled passkey");
  }
}

/** The value of a key that is not there; null is there, and is something else. */
function absent(client: object, key: string, value: boolean): boolean | null {
  return key in client ? null : value;
}

function same(what: string, found: unknown, expected: unknown): void {
  if (found === expected) return;
  const words = `it is \`${short(String(found))}\`, \`${short(String(expected))}\` is expected`;
  throw new Broken(`the assertion's ${what}`, words);
}
