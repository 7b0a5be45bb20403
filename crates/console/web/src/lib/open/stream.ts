/**
 * Opening a sealed stream: Tink's streaming AEAD, `AES256_GCM_HKDF_1MB`.
 *
 * ```text
 * header   = 40 ‖ salt (32 bytes) ‖ nonce prefix (7 bytes)
 * key      = HKDF-SHA-256(data key, salt, info = associated data), 32 bytes
 * nonce i  = nonce prefix ‖ i as u32 big endian ‖ (1 when last, else 0)
 * segment  = AES-256-GCM(key, nonce i, plaintext i), with a 16-byte tag
 * ```
 *
 * Each segment opens by itself under its number, so a reader may take them in any
 * order; one that was moved, cut or repeated does not open.
 */
import { concat, equal, utf8, type Bytes } from "../verify/bytes";
import { sha256Hex } from "../verify/crypto";
import { OpenError } from "./errors";

/** Bytes of ciphertext in every segment but the last. */
export const SEGMENT = 1 << 20;
/** Bytes of the header at the start of the first segment. */
export const HEADER = 40;
/** Bytes of the tag that ends each segment. */
export const TAG = 16;
/** Tink's name of this scheme. */
export const TEMPLATE = "AES256_GCM_HKDF_1MB";

const SALT = 32;
const PREFIX = 7;
const COMMITMENT = utf8("interlock/key-commitment/v1");

/** How a ciphertext divides; `null` for a length that no sealed stream has. */
export function layoutOf(ciphertext: number): { segments: number; plaintext: number } | null {
  if (!Number.isSafeInteger(ciphertext) || ciphertext < 0) return null;
  const segments = Math.ceil(ciphertext / SEGMENT);
  if (segments < 1 || segments > 2 ** 32 - 1) return null;
  const last = ciphertext - (segments - 1) * SEGMENT;
  const least = segments === 1 ? HEADER + TAG : TAG + 1;
  return last < least ? null : { segments, plaintext: ciphertext - HEADER - segments * TAG };
}

/**
 * Takes a data key when it is the one that a manifest commits to (GCM itself does not
 * commit), and wipes the bytes: from then on the key opens segments and does no more.
 */
export async function takeKey(bytes: Bytes, commitment: string): Promise<CryptoKey> {
  const found = await sha256Hex(concat(COMMITMENT, bytes));
  if (bytes.length !== 32 || found !== commitment) {
    throw new OpenError("closed", "the key is not the one that the recording's manifest commits to");
  }
  const key = await crypto.subtle.importKey("raw", bytes, "HKDF", false, ["deriveKey"]);
  bytes.fill(0);
  return key;
}

/** Opens the segments of one stream; holds no data. */
export class SegmentOpener {
  private constructor(
    private readonly cipher: CryptoKey,
    private readonly header: Bytes,
  ) {}

  /** An opener for the stream that starts with `first`, under its data key. */
  static async create(key: CryptoKey, associated: Uint8Array, first: Uint8Array): Promise<SegmentOpener> {
    const header = new Uint8Array(first.slice(0, HEADER));
    if (header.length !== HEADER || header[0] !== HEADER) {
      throw new OpenError("format", "not a sealed stream: a 40-byte Tink header is expected at the start");
    }
    const salt = header.slice(1, 1 + SALT);
    const derivation = { name: "HKDF", hash: "SHA-256", salt, info: associated as Bytes };
    const kind = { name: "AES-GCM", length: 256 };
    const cipher = await crypto.subtle.deriveKey(derivation, key, kind, false, ["decrypt"]);
    return new SegmentOpener(cipher, header);
  }

  /** The plaintext of a whole segment; `last` says whether the stream ends with it. */
  async open(index: number, last: boolean, ciphertext: Uint8Array): Promise<Bytes> {
    const start = index === 0 ? HEADER : 0;
    const fits = ciphertext.length <= SEGMENT && (last || ciphertext.length === SEGMENT);
    const begins = index !== 0 || equal(ciphertext.subarray(0, HEADER), this.header);
    if (!fits || !begins || ciphertext.length < start + TAG) throw forged(index);
    const body = ciphertext.subarray(start) as Bytes;
    try {
      const parameters = { name: "AES-GCM", iv: this.nonce(index, last) };
      return new Uint8Array(await crypto.subtle.decrypt(parameters, this.cipher, body));
    } catch (error) {
      throw forged(index, error);
    }
  }

  private nonce(index: number, last: boolean): Bytes {
    const nonce = new Uint8Array(12);
    nonce.set(this.header.subarray(1 + SALT, 1 + SALT + PREFIX));
    const view = new DataView(nonce.buffer);
    view.setUint32(PREFIX, index);
    view.setUint8(11, last ? 1 : 0);
    return nonce;
  }
}

function forged(index: number, cause?: unknown): OpenError {
  const reason = "it was changed, cut, moved, or sealed under another key or recording";
  return new OpenError("forged", `segment ${index} does not open: ${reason}`, { cause });
}
