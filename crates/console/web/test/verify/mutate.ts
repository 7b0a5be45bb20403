/** Mutations of questions: what an attacker, a careless writer or a bad disk would do to them. */
import { createPrivateKey, createHash, sign } from "node:crypto";
import type { Input, Question, Vector } from "./verdict";

type Json = import("../../src/lib/verify").Json;
type Map = { [key: string]: Json };

/** Draws small numbers; fast-check shrinks them. */
export class Dice {
  private at = 0;
  constructor(private readonly rolls: readonly number[]) {}
  roll(below: number): number {
    const roll = this.rolls[this.at % this.rolls.length] ?? 0;
    this.at += 1;
    return below <= 0 ? 0 : roll % below;
  }
  pick<T>(from: readonly T[]): T {
    const picked = from[this.roll(from.length)];
    if (picked === undefined) throw new Error("nothing to pick from");
    return picked;
  }
}

const isMap = (value: Json | undefined): value is Map =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** RFC 8785, written anew so that the verifier does not check itself. */
export function jcs(value: Json): string {
  if (Array.isArray(value)) return `[${value.map(jcs).join(",")}]`;
  if (!isMap(value)) return JSON.stringify(value);
  const keys = Object.keys(value).sort();
  return `{${keys.map((key) => `${JSON.stringify(key)}:${jcs(value[key] ?? null)}`).join(",")}}`;
}

// --- bytes -----------------------------------------------------------------

function mutateBytes(bytes: Buffer, dice: Dice): Buffer {
  const at = dice.roll(bytes.length + 1);
  const copy = Buffer.from(bytes);
  switch (dice.roll(8)) {
    case 0:
      if (at < copy.length) copy[at] = (copy[at] ?? 0) ^ (1 << dice.roll(8));
      return copy;
    case 1:
      if (at < copy.length) copy[at] = dice.roll(256);
      return copy;
    case 2:
      return Buffer.concat([copy.subarray(0, at), Buffer.of(dice.roll(256)), copy.subarray(at)]);
    case 3:
      return Buffer.concat([copy.subarray(0, at), copy.subarray(at + 1)]);
    case 4:
      return copy.subarray(0, at);
    case 5:
      return Buffer.concat([copy, copy.subarray(at)]);
    case 6:
      return Buffer.concat([copy.subarray(0, at), copy.subarray(at + 1 + dice.roll(20))]);
    default: {
      const other = Math.min(copy.length, at + 1 + dice.roll(20));
      return Buffer.concat([
        copy.subarray(0, at),
        copy.subarray(at, other).reverse(),
        copy.subarray(other),
      ]);
    }
  }
}

// --- text ------------------------------------------------------------------

const OTHER_SPELLINGS: ((text: string, dice: Dice) => string)[] = [
  (text) => text.replace(/:(\d+)/, ":$1.0"),
  (text) => text.replace(/:(\d+)/, ":$1e0"),
  (text) => text.replace(/:(\d+)/, ":0$1"),
  (text) => text.replace(/:(\d+)/, ":-$1"),
  (text) => text.replace(/:(\d+)/, ":$1000000000000000000"),
  (text) => text.replace(/"([^"]+)":/, '"$1":null,"$1":'),
  (text) => text.replace(/"([a-z])/, (_, c: string) => `"\\u00${c.charCodeAt(0).toString(16)}`),
  (text) => text.replace(/,/, ", "),
  (text) => `${text}\n`,
  (text) => `${text} `,
  (text) => `\ufeff${text}`,
  (text) => text.replace(/\n/, "\r\n"),
  (text) => text.replace(/=/, ""),
  (text) => `${text}=`,
  (text) => text.replace(/=\n/, "\n"),
  (text) => text.replaceAll("-", "+"),
  (text) => text.replaceAll("+", "-"),
  (text) => text.replace(/[0-9a-f]{8,}/, (hex) => hex.toUpperCase()),
  (text, dice) => {
    const places = [...text.matchAll(/[A-Za-z0-9+/_-](?==*["\n.]|$)/g)];
    const found = places.length > 0 ? dice.pick(places) : undefined;
    if (!found) return text;
    // The letter beside it differs in its lowest bits, which may belong to no byte.
    const next = String.fromCharCode(found[0].charCodeAt(0) + 1);
    return text.slice(0, found.index) + next + text.slice(found.index + 1);
  },
  (text, dice) => {
    const lines = text.split("\n");
    const at = dice.roll(lines.length);
    const other = dice.roll(lines.length);
    const line = lines[at] ?? "";
    switch (dice.roll(4)) {
      case 0:
        lines.splice(at, 1);
        break;
      case 1:
        lines.splice(other, 0, line);
        break;
      case 2:
        [lines[at], lines[other]] = [lines[other] ?? "", line];
        break;
      default:
        lines[at] = dice.pick([`${line} `, ` ${line}`, line.slice(1), "", `${line}\t`, `0${line}`]);
    }
    return lines.join("\n");
  },
];

// --- JSON ------------------------------------------------------------------

type Place = { holder: Map | Json[]; key: string | number };

function places(value: Json, found: Place[] = []): Place[] {
  if (Array.isArray(value)) {
    value.forEach((one, key) => {
      found.push({ holder: value, key });
      places(one, found);
    });
  } else if (isMap(value)) {
    for (const [key, one] of Object.entries(value)) {
      found.push({ holder: value, key });
      places(one, found);
    }
  }
  return found;
}

const get = ({ holder, key }: Place): Json => (holder as Map)[key as string] ?? null;
const set = ({ holder, key }: Place, value: Json): void => {
  (holder as Map)[key as string] = value;
};

const STRANGERS: Json[] = [
  null,
  true,
  0,
  1,
  -1,
  0.5,
  1e21,
  2 ** 53,
  2 ** 53 + 2,
  2 ** 64,
  1795219200000,
  "",
  "a",
  "\u0000",
  "A",
  "a".repeat(64),
  "a".repeat(65),
  "0".repeat(64),
  "é",
  [],
  {},
  "__proto__",
  "olga",
  "ada",
  "cell-1",
  "AA",
  "AB",
  "security-officer",
  "finished",
];

/** Changes a value somewhere, and says whether there was anything to change. */
export function mutateJson(value: Json, dice: Dice): void {
  const all = places(value);
  if (all.length === 0) return;
  const place = dice.pick(all);
  const here = get(place);
  switch (dice.roll(8)) {
    case 0:
      set(place, dice.pick(STRANGERS));
      return;
    case 1:
      if (Array.isArray(place.holder)) place.holder.splice(Number(place.key), 1);
      else delete place.holder[String(place.key)];
      return;
    case 2: {
      const other = dice.pick(all);
      set(place, structuredClone(get(other)));
      return;
    }
    case 3: {
      const other = dice.pick(all);
      const theirs = structuredClone(get(other));
      set(other, structuredClone(here));
      set(place, theirs);
      return;
    }
    case 4:
      if (Array.isArray(place.holder)) place.holder.push(structuredClone(here));
      else
        place.holder[dice.pick(["more", "a", "z", "__proto_", "seal", "cell", "request"])] =
          structuredClone(here);
      return;
    case 5:
      if (typeof here === "number")
        set(place, here + dice.pick([1, -1, 0.5, 1000, -1000, 86_400_001]));
      else if (typeof here === "string")
        set(place, mutateBytes(Buffer.from(here), dice).toString());
      else if (Array.isArray(here)) here.reverse();
      return;
    case 6:
      if (typeof here === "string" && /^[A-Za-z0-9_-]{20,}$/.test(here)) {
        set(place, mutateBytes(Buffer.from(here, "base64url"), dice).toString("base64url"));
      } else if (typeof here === "boolean") set(place, !here);
      return;
    default:
      set(place, [here]);
  }
}

// --- signatures ------------------------------------------------------------

const sha256 = (data: string | Buffer): Buffer => createHash("sha256").update(data).digest();

/** Signs as the fixture's members do: their seed is the digest of their name. */
function signAs(name: string, message: Buffer): Buffer {
  const prefix = Buffer.from("302e020100300506032b657004220420", "hex");
  const key = createPrivateKey({
    key: Buffer.concat([prefix, sha256(name)]),
    format: "der",
    type: "pkcs8",
  });
  return sign(null, message, key);
}

const DOMAIN = Buffer.from("interlock/entry/v1\0");

/** Signs an entry's statement again, as its issuer. */
function resignEntry(entry: Map): void {
  const { statement } = entry;
  if (!isMap(statement) || typeof statement.issuer !== "string") return;
  const name =
    isMap(statement.body) && "accept" in statement.body ? "invitation" : statement.issuer;
  const message = Buffer.concat([DOMAIN, Buffer.from(jcs(statement))]);
  entry.signature = { ed25519: signAs(name, message).toString("base64url") };
}

const L = 2n ** 252n + 27742317777372353535851937790883648493n;

/** The signature with another spelling of S, which a lax verifier takes. */
function malleate(signature: Buffer): Buffer {
  if (signature.length !== 64) return signature;
  const s = BigInt(`0x${Buffer.from(signature.subarray(32)).reverse().toString("hex")}`) + L;
  const digits = Buffer.from(s.toString(16).padStart(64, "0").slice(-64), "hex").reverse();
  return Buffer.concat([signature.subarray(0, 32), digits]);
}

/** Signs a checkpoint's text again, as the log and both witnesses. */
function resignNote(note: string, dice: Dice): string {
  const end = note.lastIndexOf("\n\n");
  const lines = note.slice(0, Math.max(0, end)).split("\n");
  const at = dice.roll(lines.length);
  const line = lines[at] ?? "";
  lines[at] = dice.pick([
    `${line}0`,
    `0${line}`,
    line.slice(0, -1),
    `${line}\nmore`,
    `${line} `,
    "0",
    "9007199254740991",
    "9007199254740992",
    `+${line}`,
  ]);
  const text = `${lines.join("\n")}\n`;
  const signatures = note
    .slice(end + 2)
    .split("\n")
    .map((signature) => {
      const [dash, name = "", data = ""] = signature.split(" ");
      const bytes = Buffer.from(data, "base64");
      if (bytes.length === 68) {
        const made = signAs("log", Buffer.from(text));
        return `${dash} ${name} ${Buffer.concat([bytes.subarray(0, 4), made]).toString("base64")}`;
      }
      if (bytes.length !== 76) return signature;
      const time = dice.pick([bytes.readBigUInt64BE(4), 0n, 1n << 63n, (1n << 63n) - 1n]);
      const clock = Buffer.alloc(8);
      clock.writeBigUInt64BE(time);
      const made = signAs(name, Buffer.from(`cosignature/v1\ntime ${time}\n${text}`));
      return `${dash} ${name} ${Buffer.concat([bytes.subarray(0, 4), clock, made]).toString("base64")}`;
    });
  return `${text}\n${signatures.join("\n")}`;
}

/** Signs a credential's changed payload again, as the site. */
function resignJwt(jwt: string, dice: Dice): string {
  const [header = "", payload = ""] = jwt.split(".");
  const value = JSON.parse(Buffer.from(payload, "base64url").toString()) as Json;
  mutateJson(value, dice);
  const signed = `${header}.${Buffer.from(jcs(value)).toString("base64url")}`;
  return `${signed}.${signAs("site", Buffer.from(signed)).toString("base64url")}`;
}

// --- questions -------------------------------------------------------------

const encoded = (input: Input): string[] =>
  Object.keys(input).filter(
    (key) => typeof input[key] === "string" && !/^[0-9a-f]{64}$/.test(String(input[key])),
  );

/** Changes what is inside: parses, mutates, and writes (and signs) it anew. */
function mutateInside(kind: string, field: string, bytes: Buffer, dice: Dice): Buffer {
  const text = bytes.toString();
  if (field === "note") return Buffer.from(resignNote(text, dice));
  if (field === "proof") {
    const [head = "", ...rest] = text.split("\n\n");
    return Buffer.from(
      `${head}\n\n${dice.roll(2) ? resignNote(rest.join("\n\n"), dice) : rest.join("\n\n")}`,
    );
  }
  if (field === "file" && !/^[{<]/.test(text) && text.split(".").length === 3) {
    return Buffer.from(resignJwt(text, dice));
  }
  let value: Json;
  try {
    value = JSON.parse(text) as Json;
  } catch {
    return mutateBytes(bytes, dice);
  }
  if (
    isMap(value) &&
    isMap(value.signature) &&
    typeof value.signature.ed25519 === "string" &&
    dice.roll(6) === 0
  ) {
    const raw = Buffer.from(value.signature.ed25519, "base64url");
    value.signature.ed25519 = malleate(raw).toString("base64url");
    return Buffer.from(jcs(value));
  }
  mutateJson(value, dice);
  if (kind === "entry" && isMap(value) && dice.roll(2) === 0) resignEntry(value);
  return Buffer.from(jcs(value));
}

function mutateField(kind: string, field: string, text: string, dice: Dice): string {
  const bytes = Buffer.from(text, "base64url");
  switch (dice.roll(4)) {
    case 0:
      return mutateBytes(bytes, dice).toString("base64url");
    case 1:
      return Buffer.from(dice.pick(OTHER_SPELLINGS)(bytes.toString(), dice)).toString("base64url");
    default:
      return mutateInside(kind, field, bytes, dice).toString("base64url");
  }
}

/** Changes one leaf of a ledger, mostly with a signature that verifies. */
function mutateLedger(leaves: string[], dice: Dice): string[] {
  const copy = [...leaves];
  if (copy.length === 0) return copy;
  const at = dice.roll(copy.length);
  const leaf = Buffer.from(copy[at] ?? "", "base64url");
  switch (dice.roll(6)) {
    case 0:
      copy.splice(at, 1);
      return copy;
    case 1:
      copy.splice(dice.roll(copy.length), 0, copy[at] ?? "");
      return copy;
    case 2:
      copy[at] = mutateBytes(leaf, dice).toString("base64url");
      return copy;
    default: {
      const value = JSON.parse(leaf.toString()) as Map;
      if (!isMap(value.entry)) return copy;
      const { statement } = value.entry;
      mutateJson(dice.roll(3) === 0 || !isMap(statement) ? value : statement, dice);
      if (isMap(value.entry)) resignEntry(value.entry);
      copy[at] = Buffer.from(jcs(value)).toString("base64url");
      return copy;
    }
  }
}

/** A question that differs from a vector's. */
export function mutate(vector: Vector, dice: Dice): Question {
  const input = structuredClone(vector.input);
  const { kind } = vector;
  if (kind === "ledger") {
    input.leaves = mutateLedger(input.leaves as string[], dice);
  } else if (kind === "inclusion" || kind === "consistency") {
    const path = input.path as string[];
    const sizes = ["index", "size", "old"].filter((key) => key in input);
    switch (dice.roll(4)) {
      case 0:
        input[dice.pick(sizes)] = dice.pick([0, 1, 2, 3, 5, 8, 13, 40, 2 ** 32, 2 ** 53 - 1]);
        break;
      case 1:
        path.splice(dice.roll(path.length + 1), 1);
        break;
      case 2:
        path.splice(
          dice.roll(path.length + 1),
          0,
          dice.pick([...path, sha256("x").toString("hex")]),
        );
        break;
      default: {
        const key = dice.pick(sizes);
        input[key] = Math.max(0, Number(input[key]) + dice.pick([1, -1, 2, -2]));
      }
    }
  } else {
    const field = dice.pick(encoded(input));
    input[field] = mutateField(kind, field, String(input[field]), dice);
  }
  return { kind, input };
}
