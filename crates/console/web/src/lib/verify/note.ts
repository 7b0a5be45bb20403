/** Signed notes, checkpoints and cosignatures (C2SP signed-note, tlog-checkpoint, tlog-cosignature). */
import { Broken, short } from "./broken";
import { equal, fromBase64, fromUtf8, utf8, type Bytes } from "./bytes";
import { sha256, verifyEd25519 } from "./crypto";
import { MAX_LOG_SIZE } from "./merkle";

/** The most bytes of a checkpoint note. */
export const MAX_NOTE_BYTES = 32 * 1024;
const MAX_VKEY_BYTES = 512;
const MAX_NAME_BYTES = 256;
const MAX_SIGNATURES = 100;

/** What a key signs: the note's text, or a time and the text. */
export type KeyKind = "log" | "witness";
const TYPE_BYTES: { [kind in KeyKind]: number } = { log: 1, witness: 4 };

/** The public key of a log or a witness, with its name. */
export interface VKey {
  name: string;
  kind: KeyKind;
  /** The first four bytes of SHA-256(name, newline, type byte, key), which stand in signatures. */
  id: Bytes;
  public: Bytes;
}

// The characters that Unicode calls white space; `\s` is another set.
const SPACE = /[\t-\r \u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]/;
const CONTROL = /\p{Cc}/u;

function isName(name: string): boolean {
  return name !== "" && !SPACE.test(name) && !name.includes("+");
}

/** Reads `name+id+key`. */
export async function readVKey(text: string, what: string): Promise<VKey> {
  const refuse = (): never => {
    throw new Broken(what, "a verifier key `name+id+key` of type 1 or 4 is expected");
  };
  const [first, second] = [text.indexOf("+"), text.indexOf("+", text.indexOf("+") + 1)];
  if (utf8(text).length > MAX_VKEY_BYTES || first < 0 || second <= first) return refuse();
  const name = text.slice(0, first);
  const material = fromBase64(text.slice(second + 1), what);
  const kind = material[0] === 1 ? "log" : material[0] === 4 ? "witness" : refuse();
  const named = isName(name) && !CONTROL.test(name) && utf8(name).length <= MAX_NAME_BYTES;
  if (material.length !== 33 || !named) return refuse();
  const id = await keyId(name, kind, material.slice(1));
  const digits = Array.from(id, (byte) => byte.toString(16).padStart(2, "0")).join("");
  if (text.slice(first + 1, second) !== digits) return refuse();
  return { name, kind, id, public: material.slice(1) };
}

async function keyId(name: string, kind: KeyKind, key: Uint8Array): Promise<Bytes> {
  const hash = await sha256(utf8(`${name}\n`), Uint8Array.of(TYPE_BYTES[kind]), key);
  return hash.slice(0, 4);
}

export interface NoteSignature {
  name: string;
  id: Bytes;
  signature: Bytes;
}

export interface Note {
  text: string;
  signatures: NoteSignature[];
}

/** Takes a note apart; nothing is verified. */
export function readNote(bytes: Uint8Array): Note {
  const refuse = (expected: string): never => {
    throw new Broken("the checkpoint", `malformed: ${expected} expected`);
  };
  if (bytes.length > MAX_NOTE_BYTES) refuse("at most 32 KiB are");
  const whole = fromUtf8(bytes, "the checkpoint");
  if (/[\u0000-\u0009\u000b-\u001f]/.test(whole)) refuse("no control characters are");
  const end = whole.lastIndexOf("\n\n");
  if (end < 0 || !whole.endsWith("\n") || end + 2 >= whole.length) {
    refuse("text and signature lines are");
  }
  const lines = whole.slice(end + 2, -1).split("\n");
  if (lines.length > MAX_SIGNATURES) refuse(`at most ${MAX_SIGNATURES} signatures are`);
  return { text: whole.slice(0, end + 1), signatures: lines.map(readSignature) };
}

function readSignature(line: string): NoteSignature {
  const what = "a signature line of the checkpoint";
  const space = line.indexOf(" ", 2);
  const name = line.slice(2, space);
  if (!line.startsWith("\u2014 ") || space < 0 || !isName(name)) {
    throw new Broken(what, "a dash, a name and base64 are expected");
  }
  const bytes = fromBase64(line.slice(space + 1), what);
  if (bytes.length < 5) throw new Broken(what, "it is too short");
  return { name, id: bytes.slice(0, 4), signature: bytes.slice(4) };
}

/** Origin, size and root of a log, as a checkpoint's text states them. */
export interface Checkpoint {
  origin: string;
  size: number;
  root: Bytes;
}

/** Reads a checkpoint's text: exactly three lines. */
export function readCheckpoint(text: string): Checkpoint {
  const [origin = "", size = "", root = "", end, ...more] = text.split("\n");
  const number = readDecimal(size);
  if (origin === "" || number === null || end !== "" || more.length > 0) {
    throw new Broken("the checkpoint", "exactly the lines origin, size and root are expected");
  }
  return { origin, size: number, root: readHash(root, "the checkpoint's root") };
}

/** A decimal number in its only spelling, at most the largest log. */
export function readDecimal(text: string): number | null {
  if (!/^(?:0|[1-9]\d{0,15})$/.test(text)) return null;
  const number = Number(text);
  return number <= MAX_LOG_SIZE ? number : null;
}

/** A hash in base64. */
export function readHash(text: string, what: string): Bytes {
  const hash = fromBase64(text, what);
  if (hash.length !== 32) throw new Broken(what, "a hash of 32 bytes is expected");
  return hash;
}

/** The time (seconds) and the Ed25519 signature in a witness's signature. */
export function splitCosignature(signature: Bytes): { time: bigint; ed25519: Bytes } | null {
  if (signature.length !== 72) return null;
  const time = new DataView(signature.buffer, signature.byteOffset).getBigUint64(0);
  return time < 1n << 63n ? { time, ed25519: signature.slice(8) } : null;
}

async function verifies(key: VKey, text: string, signature: Bytes): Promise<boolean> {
  if (key.kind === "log") return verifyEd25519(key.public, utf8(text), signature);
  const parts = splitCosignature(signature);
  if (parts === null) return false;
  const message = utf8(`cosignature/v1\ntime ${parts.time}\n${text}`);
  return verifyEd25519(key.public, message, parts.ed25519);
}

const isBy = (signature: NoteSignature, key: VKey): boolean =>
  signature.name === key.name && equal(signature.id, key.id);

/**
 * The verified signatures of `keys` on a note, each key at most once. Signatures of unknown keys
 * are ignored; one of a known key that does not verify fails the whole note.
 */
export async function verifiedSignatures(
  note: Note,
  keys: readonly VKey[],
): Promise<{ key: VKey; signature: Bytes }[]> {
  const found: { key: VKey; signature: Bytes }[] = [];
  for (const signature of note.signatures) {
    const [key, ...others] = keys.filter((one) => isBy(signature, one));
    if (key === undefined || found.some((one) => one.key === key)) continue;
    if (others.length > 0 || !(await verifies(key, note.text, signature.signature))) {
      const whose = key.kind === "log" ? "the log's signature" : "the cosignature";
      throw new Broken(`${whose} \`${short(key.name)}\` on the checkpoint`, "it does not verify");
    }
    found.push({ key, signature: signature.signature });
  }
  return found;
}
