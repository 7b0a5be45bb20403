/** Bytes and their spellings. Each value has one spelling; every other is refused. */
import { Broken } from "./broken";

export type Bytes = Uint8Array<ArrayBuffer>;

const encoder = new TextEncoder();
// A byte order mark is a character like any other here: it must not vanish.
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

export function utf8(text: string): Bytes {
  return encoder.encode(text);
}

export function fromUtf8(bytes: Uint8Array, what: string): string {
  try {
    return decoder.decode(bytes);
  } catch {
    throw new Broken(what, "it is no UTF-8 text");
  }
}

export function concat(...parts: Uint8Array[]): Bytes {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

export function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, at) => byte === b[at]);
}

export function toHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Lower-case hexadecimal digits. */
export function fromHex(text: string, what: string): Bytes {
  if (text.length % 2 !== 0 || !/^[0-9a-f]*$/.test(text)) {
    throw new Broken(what, "lower-case hexadecimal digits are expected");
  }
  return Uint8Array.from({ length: text.length / 2 }, (_, at) =>
    parseInt(text.slice(2 * at, 2 * at + 2), 16),
  );
}

const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

interface Alphabet {
  letters: string;
  values: Int8Array;
  padded: boolean;
}

function alphabet(last: string, padded: boolean): Alphabet {
  const letters = LETTERS + last;
  const values = new Int8Array(128).fill(-1);
  [...letters].forEach((letter, value) => (values[letter.charCodeAt(0)] = value));
  return { letters, values, padded };
}

const STANDARD = alphabet("+/", true);
const URL_SAFE = alphabet("-_", false);

/** Base64 with padding (RFC 4648 §4), without loose bits. */
export function fromBase64(text: string, what: string): Bytes {
  return decode(text, STANDARD, what);
}

/** Base64url without padding (RFC 4648 §5), without loose bits. */
export function fromBase64Url(text: string, what: string): Bytes {
  return decode(text, URL_SAFE, what);
}

export function toBase64(bytes: Uint8Array): string {
  return encode(bytes, STANDARD);
}

export function toBase64Url(bytes: Uint8Array): string {
  return encode(bytes, URL_SAFE);
}

function decode(text: string, { values, padded }: Alphabet, what: string): Bytes {
  const refuse = (): never => {
    throw new Broken(what, `strict base64${padded ? "" : "url without padding"} is expected`);
  };
  let end = text.length;
  if (padded) {
    if (end % 4 !== 0) refuse();
    if (text.endsWith("==")) end -= 2;
    else if (text.endsWith("=")) end -= 1;
  }
  if (end % 4 === 1) refuse();
  const out = new Uint8Array(Math.floor((end * 3) / 4));
  let bits = 0;
  let held = 0;
  let to = 0;
  for (let at = 0; at < end; at += 1) {
    const value = values[text.charCodeAt(at)] ?? -1;
    if (value < 0) refuse();
    held = ((held << 6) | value) & 0xffff;
    bits += 6;
    if (bits >= 8) {
      bits -= 8;
      out[to] = (held >> bits) & 0xff;
      to += 1;
    }
  }
  // Bits that are left over belong to no byte: another text would mean the same.
  if ((held & ((1 << bits) - 1)) !== 0) refuse();
  return out;
}

function encode(bytes: Uint8Array, { letters, padded }: Alphabet): string {
  const parts: string[] = [];
  for (let at = 0; at < bytes.length; at += 3) {
    const [a = 0, b = 0, c = 0] = [bytes[at], bytes[at + 1], bytes[at + 2]];
    const group = (a << 16) | (b << 8) | c;
    const count = Math.min(3, bytes.length - at) + 1;
    for (let place = 0; place < count; place += 1) {
      parts.push(letters.charAt((group >> (18 - 6 * place)) & 63));
    }
    if (padded) parts.push("=".repeat(4 - count));
  }
  return parts.join("");
}
