/**
 * Content addresses: CIDv1 with SHA-256, of raw bytes or of a dag-pb node, and
 * nothing else. Their text is base32 in lower case, as `bafkrei…`.
 */
import { equal, type Bytes } from "../verify/bytes";
import { sha256 } from "../verify/crypto";
import { OpenError } from "./errors";

export type Codec = "raw" | "dag-pb";

/** An address. */
export interface Cid {
  text: string;
  codec: Codec;
  /** The binary form: 36 bytes. */
  bytes: Bytes;
}

const ALPHABET = "abcdefghijklmnopqrstuvwxyz234567";
const CODECS: Record<number, Codec> = { 0x55: "raw", 0x70: "dag-pb" };
const LENGTH = 36;
/** `b`, then 36 bytes in letters of 5 bits. */
const TEXT = /^b[a-z2-7]{58}$/;

/** The address of a binary form; `null` for another kind. */
export function cidFromBytes(bytes: Uint8Array): Cid | null {
  const [version, code, hash, length] = bytes;
  const codec = CODECS[code ?? 0];
  if (bytes.length !== LENGTH || version !== 1 || hash !== 0x12 || length !== 32) return null;
  return codec === undefined ? null : { text: textOf(bytes), codec, bytes: new Uint8Array(bytes) };
}

/** The address of a text; `null` for anything but its one spelling. */
export function parseCid(text: string): Cid | null {
  if (!TEXT.test(text)) return null;
  const out = new Uint8Array(LENGTH);
  let [bits, held, at] = [0, 0, 0];
  for (const letter of text.slice(1)) {
    held = (held << 5) | ALPHABET.indexOf(letter);
    bits += 5;
    if (bits >= 8) {
      bits -= 8;
      out[at++] = held >> bits;
      held &= (1 << bits) - 1;
    }
  }
  return held === 0 ? cidFromBytes(out) : null;
}

function textOf(bytes: Uint8Array): string {
  let [text, bits, held] = ["b", 0, 0];
  for (const byte of bytes) {
    held = (held << 8) | byte;
    bits += 8;
    while (bits >= 5) {
      bits -= 5;
      text += ALPHABET[held >> bits];
      held &= (1 << bits) - 1;
    }
  }
  return bits === 0 ? text : text + ALPHABET[held << (5 - bits)];
}

/** Refuses bytes that do not have the address they were sent under. */
export async function verifyBlock(cid: Cid, bytes: Uint8Array): Promise<void> {
  if (!equal(await sha256(bytes), cid.bytes.subarray(4))) {
    throw new OpenError("forged", `${bytes.length} bytes do not hash to \`${cid.text}\``);
  }
}
