/** Enrolled public keys. */
import { Broken } from "./broken";
import { fromBase64Url, toHex, type Bytes } from "./bytes";
import { sha256Hex } from "./crypto";
import { canonical, type Json } from "./jcs";
import * as shape from "./shape";

const MAX_CREDENTIAL = 1023;

export const passkey = shape.object({
  credential: shape.base64url,
  es256: shape.base64url,
  origin: shape.text,
  rp_id: shape.text,
});
/** A WebAuthn credential with the relying party that it is bound to. */
export type Passkey = shape.Read<typeof passkey>;

const invitation = shape.object({ ed25519: shape.base64url, not_after: shape.millis });
/** A one-time key that only enrols a passkey. */
export type Invitation = shape.Read<typeof invitation>;

export type PublicKey = { ed25519: string } | { passkey: Passkey } | { invitation: Invitation };

const kinds = shape.tagged({ ed25519: shape.base64url, passkey, invitation });

/** Reads a public key; it stays the JSON that it was. */
export const publicKey: shape.Reader<PublicKey> = (value, what) => {
  kinds(value, what);
  return value as PublicKey;
};

/** SHA-256 of the key's canonical JSON. */
export function fingerprint(key: PublicKey): Promise<shape.Digest> {
  return sha256Hex(canonical(key as Json));
}

/** The raw key of a machine or a key file; null for every other kind. */
export function rawEd25519(key: PublicKey): Bytes | null {
  if (!("ed25519" in key)) return null;
  const bytes = material(key);
  return bytes.length === 32 ? bytes : null;
}

function material(key: PublicKey): Bytes {
  const text =
    "ed25519" in key ? key.ed25519 : "passkey" in key ? key.passkey.es256 : key.invitation.ed25519;
  return fromBase64Url(text, "a key");
}

/** The raw key as text. Two keys of one material have one owner. */
export function materialOf(key: PublicKey): string {
  return toHex(material(key));
}

/** Refuses a key that has not the form which its kind demands. */
export function checkForm(key: PublicKey): void {
  const bytes = material(key);
  if (!("passkey" in key)) {
    if (bytes.length !== 32) throw new Broken("a key", "32 bytes are expected");
    return;
  }
  const { credential, origin, rp_id: rp } = key.passkey;
  const length = fromBase64Url(credential, "a passkey").length;
  if (length < 1 || length > MAX_CREDENTIAL || bytes.length !== 65 || bytes[0] !== 4) {
    throw new Broken("a passkey", "a credential and an uncompressed P-256 point are expected");
  }
  const host = originHost(origin);
  if (!isHost(rp) || host === null || !(host === rp || host.endsWith(`.${rp}`))) {
    throw new Broken("a passkey", "an origin within its relying party is expected");
  }
}

/** The host of `https://HOST[:PORT]` or `http://localhost[:PORT]`; null for any other text. */
function originHost(origin: string): string | null {
  const parts = /^(https?):\/\/([^:]*)(?::([1-9]\d{0,4}))?$/.exec(origin);
  const [, scheme, host = "", port] = parts ?? [];
  const allowed = parts !== null && (scheme === "https" || host === "localhost");
  return allowed && isHost(host) && Number(port ?? 1) <= 65535 ? host : null;
}

function isHost(text: string): boolean {
  const labels = text.split(".");
  const label = /^(?!-)[a-z0-9-]{1,63}(?<!-)$/;
  return text.length <= 253 && labels.every((one) => label.test(one)) && !/(?:^|\.)\d+$/.test(text);
}
