/** The primitives, all WebCrypto's. */
import { concat, toHex, utf8, type Bytes } from "./bytes";

export async function sha256(...parts: Uint8Array[]): Promise<Bytes> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", concat(...parts)));
}

export async function sha256Hex(bytes: Uint8Array | string): Promise<string> {
  return toHex(await sha256(typeof bytes === "string" ? utf8(bytes) : bytes));
}

/** Whether `signature` is the Ed25519 signature of `message` under a 32-byte key. */
export async function verifyEd25519(
  key: Uint8Array,
  message: Uint8Array,
  signature: Uint8Array,
): Promise<boolean> {
  if (key.length !== 32 || signature.length !== 64) return false;
  return verify(key, "Ed25519", "Ed25519", signature, message);
}

/** Whether `signature` (ASN.1 DER) is the ES256 signature of `message` under a P-256 point. */
export async function verifyEs256(
  point: Uint8Array,
  message: Uint8Array,
  signature: Uint8Array,
): Promise<boolean> {
  const raw = rawSignature(signature);
  if (raw === null || point.length !== 65 || point[0] !== 4) return false;
  const curve = { name: "ECDSA", namedCurve: "P-256" };
  return verify(point, curve, { name: "ECDSA", hash: "SHA-256" }, raw, message);
}

async function verify(
  key: Uint8Array,
  curve: AlgorithmIdentifier | EcKeyImportParams,
  scheme: AlgorithmIdentifier | EcdsaParams,
  signature: Uint8Array,
  message: Uint8Array,
): Promise<boolean> {
  try {
    const imported = await crypto.subtle.importKey("raw", concat(key), curve, false, ["verify"]);
    return await crypto.subtle.verify(scheme, imported, concat(signature), concat(message));
  } catch {
    // Bytes that are no point of the curve verify nothing.
    return false;
  }
}

/**
 * The 64 bytes `r || s` of an ECDSA signature in DER, which WebCrypto wants; null when the bytes
 * are not its one DER form.
 */
export function rawSignature(der: Uint8Array): Bytes | null {
  // SEQUENCE of two INTEGERs: always short enough for a length of one byte.
  if (der[0] !== 0x30 || der[1] !== der.length - 2 || der.length > 0x81) return null;
  const r = integer(der, 2);
  const s = r && integer(der, r.end);
  if (!r || !s || s.end !== der.length) return null;
  return concat(r.value, s.value);
}

function integer(der: Uint8Array, at: number): { value: Bytes; end: number } | null {
  const length = der[at + 1] ?? 0;
  const end = at + 2 + length;
  if (der[at] !== 0x02 || length === 0 || end > der.length) return null;
  const digits = der.subarray(at + 2, end);
  const [first = 0, second = 0] = digits;
  const negative = first >= 0x80;
  const padded = first === 0 && length > 1 && second < 0x80;
  const plain = first === 0 ? digits.subarray(1) : digits;
  if (negative || padded || plain.length > 32) return null;
  const value = new Uint8Array(32);
  value.set(plain, 32 - plain.length);
  return { value, end };
}
