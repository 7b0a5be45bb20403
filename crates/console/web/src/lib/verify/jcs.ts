/** Strict JSON, and its canonical form (RFC 8785): the bytes that are signed and logged. */
import { Broken } from "./broken";
import { fromUtf8, utf8, type Bytes } from "./bytes";

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** The most canonical bytes an entry may have. */
export const MAX_CANONICAL_BYTES = 64 * 1024;

/** Arrays and objects may nest so deep, as in the Rust reader. */
const MAX_DEPTH = 127;

const LONE_SURROGATE = /\p{Surrogate}/u;

export function isObject(value: Json | undefined): value is { [key: string]: Json } {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Parses JSON and refuses a repeated key, whatever its place. */
export function parse(text: string, what: string): Json {
  return new Parser(text, what).whole();
}

/** The canonical text of a value. */
export function canonical(value: Json): string {
  if (value === null || typeof value === "boolean") return String(value);
  if (typeof value === "number") {
    if (!Number.isFinite(value)) throw new Broken("a number", "a finite one is expected");
    // The number format of RFC 8785 is that of ECMAScript; -0 is spelled 0.
    return String(value === 0 ? 0 : value);
  }
  if (typeof value === "string") {
    if (LONE_SURROGATE.test(value)) throw new Broken("a text", "half a character is in it");
    return JSON.stringify(value);
  }
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  // Keys sort by UTF-16 code units, which is what `sort` does.
  const keys = Object.keys(value).sort();
  return `{${keys.map((key) => `${canonical(key)}:${canonical(value[key] ?? null)}`).join(",")}}`;
}

/** The canonical bytes of a value of bounded size. */
export function canonicalBytes(value: Json, what: string): Bytes {
  const bytes = utf8(canonical(value));
  if (bytes.length > MAX_CANONICAL_BYTES) {
    throw new Broken(what, `${bytes.length} bytes, at most ${MAX_CANONICAL_BYTES} are allowed`);
  }
  return bytes;
}

/** Parses a value and refuses bytes that are not its canonical form. */
export function parseCanonical(bytes: Uint8Array, what: string, max = MAX_CANONICAL_BYTES): Json {
  if (bytes.length > max) {
    throw new Broken(what, `${bytes.length} bytes, at most ${max} are allowed`);
  }
  const text = fromUtf8(bytes, what);
  const value = parse(text, what);
  if (canonical(value) !== text) throw new Broken(what, "it is not in canonical form (RFC 8785)");
  return value;
}

/** Refuses numbers that not every reader counts alike: beyond 2^53 − 1, as the Rust reader does. */
export function checkNumbers(value: Json, what: string): void {
  if (typeof value === "number") {
    if (Math.abs(value) > Number.MAX_SAFE_INTEGER) throw new Broken(what, `the number ${value} is beyond 2^53 − 1`);
  } else if (Array.isArray(value)) {
    value.forEach((item) => checkNumbers(item, what));
  } else if (isObject(value)) {
    Object.values(value).forEach((item) => checkNumbers(item, what));
  }
}

class Parser {
  private at = 0;
  private depth = 0;

  constructor(
    private readonly text: string,
    private readonly what: string,
  ) {}

  whole(): Json {
    const value = this.value();
    this.space();
    if (this.at < this.text.length) this.refuse("nothing after the value");
    return value;
  }

  private refuse(expected: string): never {
    throw new Broken(this.what, `not JSON at character ${this.at}: ${expected} is expected`);
  }

  private space(): void {
    for (;;) {
      const code = this.text.charCodeAt(this.at);
      if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) return;
      this.at += 1;
    }
  }

  private take(token: string): boolean {
    if (!this.text.startsWith(token, this.at)) return false;
    this.at += token.length;
    return true;
  }

  private value(): Json {
    this.space();
    if (this.text[this.at] === '"') return this.string();
    if (this.take("{")) return this.nested(() => this.object());
    if (this.take("[")) return this.nested(() => this.array());
    if (this.take("true")) return true;
    if (this.take("false")) return false;
    if (this.take("null")) return null;
    return this.number();
  }

  private nested<T>(read: () => T): T {
    this.depth += 1;
    if (this.depth > MAX_DEPTH) this.refuse(`a nesting of at most ${MAX_DEPTH}`);
    const value = read();
    this.depth -= 1;
    return value;
  }

  private object(): Json {
    // Without a prototype, `__proto__` is a key like any other.
    const object = Object.create(null) as { [key: string]: Json };
    this.space();
    if (this.take("}")) return object;
    do {
      this.space();
      if (this.text[this.at] !== '"') this.refuse("a key");
      const key = this.string();
      if (key in object) this.refuse("each key once");
      this.space();
      if (!this.take(":")) this.refuse("a colon");
      object[key] = this.value();
      this.space();
    } while (this.take(","));
    if (!this.take("}")) this.refuse("a comma or a closing brace");
    return object;
  }

  private array(): Json {
    const array: Json[] = [];
    this.space();
    if (this.take("]")) return array;
    do {
      array.push(this.value());
      this.space();
    } while (this.take(","));
    if (!this.take("]")) this.refuse("a comma or a closing bracket");
    return array;
  }

  private number(): number {
    const spelling = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
    spelling.lastIndex = this.at;
    const found = spelling.exec(this.text);
    const value = found ? Number(found[0]) : NaN;
    if (!Number.isFinite(value)) this.refuse("a value");
    // `2.0` and `2e0` are floats to the Rust reader, which takes none for a whole number.
    if (Number.isSafeInteger(value) && !/^-?\d+$/.test(found?.[0] ?? "")) {
      this.refuse("a whole number in plain digits");
    }
    this.at = spelling.lastIndex;
    return value;
  }

  private string(): string {
    const start = this.at;
    let end = start + 1;
    for (;;) {
      const code = this.text.charCodeAt(end);
      if (code === 0x22) break;
      // Past the end, the code is not a number.
      if (!(code >= 0x20)) this.refuse("the end of a text");
      end += code === 0x5c ? 2 : 1;
    }
    let value: unknown;
    try {
      value = JSON.parse(this.text.slice(start, end + 1));
    } catch {
      this.refuse("a text");
    }
    if (typeof value !== "string" || LONE_SURROGATE.test(value)) this.refuse("whole characters");
    this.at = end + 1;
    return value;
  }
}
