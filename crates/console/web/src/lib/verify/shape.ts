/**
 * Readers of typed JSON. A reader gives the very value that it was given, or says what does not
 * fit; an unknown key, a missing key and a second spelling do not fit.
 */
import { Broken } from "./broken";
import { fromBase64Url } from "./bytes";
import { isObject, type Json } from "./jcs";

export type Reader<T> = (value: Json, what: string) => T;
/** The type that a reader gives. */
export type Read<R> = R extends Reader<infer T> ? T : never;

/** A SHA-256 digest: 64 lower-case hexadecimal digits. */
export type Digest = string;
/** A name: 1 to 64 of a-z, 0-9, `-`, `.` and `_`, starting with a letter or digit. */
export type Id = string;
/** Milliseconds since the Unix epoch. */
export type Millis = number;

function refuse(what: string, expected: string): never {
  throw new Broken(what, `${expected} is expected`);
}

export const text: Reader<string> = (value, what) =>
  typeof value === "string" ? value : refuse(what, "a text");

export const anything: Reader<Json> = (value) => value;

const pattern =
  (fits: RegExp, expected: string): Reader<string> =>
  (value, what) =>
    typeof value === "string" && fits.test(value) ? value : refuse(what, expected);

export const digest: Reader<Digest> = pattern(/^[0-9a-f]{64}$/, "a SHA-256 digest in hexadecimal");
export const id: Reader<Id> = pattern(/^[a-z0-9][a-z0-9._-]{0,63}$/, "an identifier");

/** Base64url without padding; it stays text. */
export const base64url: Reader<string> = (value, what) => {
  const letters = text(value, what);
  fromBase64Url(letters, what);
  return letters;
};

const whole =
  (from: number, below: number): Reader<number> =>
  (value, what) =>
    typeof value === "number" && Number.isInteger(value) && from <= value && value < below
      ? value
      : refuse(what, `a whole number within bounds`);

export const u32 = whole(0, 2 ** 32);
export const u64 = whole(0, 2 ** 64);
/** The ends of the range have no exact spelling in JSON, so they are outside. */
export const i64 = whole(-(2 ** 63) + 1, 2 ** 63);
export const millis: Reader<Millis> = u64;
export const number: Reader<number> = (value, what) =>
  typeof value === "number" ? value : refuse(what, "a number");

export function oneOf<const W extends string>(...words: readonly W[]): Reader<W> {
  return (value, what) =>
    words.find((word) => word === value) ?? refuse(what, `one of ${words.join(", ")}`);
}

export function list<T>(item: Reader<T>): Reader<T[]> {
  return (value, what) =>
    Array.isArray(value)
      ? value.map((one, at) => item(one, `${what}/${at}`))
      : refuse(what, "a list");
}

/** A list without repetition in the one order that a set is written in. */
export function set<T extends string>(
  item: Reader<T>,
  compare: (a: T, b: T) => number = compareText,
): Reader<T[]> {
  const items = list(item);
  return (value, what) => {
    const found = items(value, what);
    const ordered = found.every((one, at) => {
      const before = found[at - 1];
      return before === undefined || compare(before, one) < 0;
    });
    return ordered ? found : refuse(what, "a sorted list without repetition");
  };
}

export function map<T>(item: Reader<T>): Reader<{ [key: string]: T }> {
  return (value, what) => {
    if (!isObject(value)) return refuse(what, "an object");
    for (const [key, one] of Object.entries(value)) {
      id(key, `${what}/${key.slice(0, 40)}`);
      item(one, `${what}/${key}`);
    }
    return value as { [key: string]: T };
  };
}

type Fields = { [key: string]: Reader<unknown> };
type Required<F extends Fields> = { [K in keyof F]: Read<F[K]> };
type Optional<F extends Fields> = { [K in keyof F]?: Read<F[K]> };

/** An object with exactly these keys, of which `optional` ones may be absent. */
export function object<F extends Fields>(required: F): Reader<Required<F>>;
export function object<F extends Fields, O extends Fields>(
  required: F,
  optional: O,
): Reader<Required<F> & Optional<O>>;
export function object<F extends Fields>(required: F, optional: Fields = {}): Reader<Required<F>> {
  return (value, what) => {
    if (!isObject(value)) return refuse(what, "an object");
    for (const [key, reader] of Object.entries(required)) {
      const found = value[key];
      if (found === undefined) refuse(what, `the key \`${key}\``);
      else reader(found, `${what}/${key}`);
    }
    for (const [key, found] of Object.entries(value)) {
      if (Object.hasOwn(required, key)) continue;
      const reader = Object.hasOwn(optional, key) ? optional[key] : undefined;
      if (reader === undefined) refuse(what, `no key \`${key.slice(0, 40)}\``);
      else reader(found, `${what}/${key}`);
    }
    return value as Required<F>;
  };
}

/** `{"word": …}`: one of several kinds, named by its key. */
export function tagged<F extends Fields>(
  kinds: F,
): Reader<{ [K in keyof F & string]: { word: K; value: Read<F[K]> } }[keyof F & string]> {
  type Kind = { [K in keyof F & string]: { word: K; value: Read<F[K]> } }[keyof F & string];
  return (value, what) => {
    const [entry, ...rest] = isObject(value) ? Object.entries(value) : [];
    if (entry === undefined || rest.length > 0) return refuse(what, "an object with one key");
    const [word, inner] = entry;
    const reader = Object.hasOwn(kinds, word) ? kinds[word] : undefined;
    if (reader === undefined) return refuse(what, `one of ${Object.keys(kinds).join(", ")}`);
    return { word, value: reader(inner, `${what}/${word}`) } as Kind;
  };
}

/** The order of UTF-8 bytes, which is that of code points and not that of UTF-16. */
export function compareText(a: string, b: string): number {
  const [left, right] = [a[Symbol.iterator](), b[Symbol.iterator]()];
  for (;;) {
    const [x, y] = [left.next(), right.next()];
    if (x.done || y.done) return (x.done ? 0 : 1) - (y.done ? 0 : 1);
    const difference = (x.value.codePointAt(0) ?? 0) - (y.value.codePointAt(0) ?? 0);
    if (difference !== 0) return difference;
  }
}
