/**
 * A person's key for reading: X25519, made in the browser and kept there.
 *
 * The private half cannot be exported, not even by this page: it stays in the
 * browser's own database, by site and member. Whoever clears that database makes
 * a new one and has it enrolled; what was sealed to the old one does not open any
 * more, but a live grant seals to the new one on request.
 */
import { toBase64Url, type Bytes } from "../verify/bytes";
import { asOpenError, OpenError } from "./errors";
import type { Recipient } from "./hpke";

/** Whose key it is. */
export interface Owner {
  site: string;
  member: string;
}

/** The key as it is kept. */
export interface SealKey extends Recipient {
  public: Bytes;
}

/** Where keys are kept. */
export interface Shelf {
  get(owner: Owner): Promise<SealKey | null>;
  /** Keeps a key unless one is there; returns the one that is kept then. */
  add(owner: Owner, key: SealKey): Promise<SealKey>;
  remove(owner: Owner): Promise<void>;
}

const DATABASE = "interlock";
const STORE = "seal-keys";

function done<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error ?? new Error("the browser's database failed"));
  });
}

function database(): Promise<IDBDatabase> {
  if (globalThis.indexedDB === undefined) {
    const message = "this browser has no database for keys here: leave private browsing, or allow site data";
    return Promise.reject(new OpenError("unsupported", message));
  }
  const request = indexedDB.open(DATABASE, 1);
  request.onupgradeneeded = () => request.result.createObjectStore(STORE);
  return done(request);
}

async function within<T>(mode: IDBTransactionMode, act: (store: IDBObjectStore) => Promise<T>): Promise<T> {
  const opened = await database();
  try {
    const transaction = opened.transaction(STORE, mode, { durability: "strict" });
    const committed = new Promise<void>((resolve, reject) => {
      transaction.oncomplete = () => resolve();
      transaction.onabort = () => reject(transaction.error ?? new Error("it was given up"));
    });
    const [result] = await Promise.all([act(transaction.objectStore(STORE)), committed]);
    return result;
  } finally {
    opened.close();
  }
}

/** Keys in the browser's database. */
export const browserShelf: Shelf = {
  get: (owner) =>
    within("readonly", async (store) => kept(await done(store.get([owner.site, owner.member])))),
  add: (owner, key) =>
    within("readwrite", async (store) => {
      // One transaction: two tabs cannot each keep a key of their own.
      const there = kept(await done(store.get([owner.site, owner.member])));
      if (there !== null) return there;
      await done(store.add(key, [owner.site, owner.member]));
      return key;
    }),
  remove: (owner) =>
    within("readwrite", async (store) => {
      await done(store.delete([owner.site, owner.member]));
    }),
};

function kept(value: unknown): SealKey | null {
  if (typeof value !== "object" || value === null) return null;
  const { privateKey, public: point } = value as Partial<SealKey>;
  const whole = privateKey instanceof CryptoKey && point instanceof Uint8Array && point.length === 32;
  return whole ? { privateKey, public: new Uint8Array(point) } : null;
}

async function generate(): Promise<SealKey> {
  try {
    const pair = await crypto.subtle.generateKey({ name: "X25519" }, false, ["deriveBits"]);
    const { privateKey, publicKey } = pair as CryptoKeyPair;
    const point = await crypto.subtle.exportKey("raw", publicKey);
    return { privateKey, public: new Uint8Array(point) };
  } catch (error) {
    const able = "Chromium 133, Firefox 130 or Safari 17, or newer, at an https or localhost address";
    throw new OpenError("unsupported", `this browser cannot make X25519 keys: use ${able}`, { cause: error });
  }
}

/** The person's key in this browser; `null` when it was never made here. */
export async function findSealKey(owner: Owner, shelf: Shelf = browserShelf): Promise<SealKey | null> {
  try {
    return await shelf.get(owner);
  } catch (error) {
    throw asOpenError(error, "unsupported", "the reading key could not be looked up in this browser");
  }
}

/** The person's key in this browser, made now unless it is there. */
export async function ensureSealKey(owner: Owner, shelf: Shelf = browserShelf): Promise<SealKey> {
  const there = await findSealKey(owner, shelf);
  if (there !== null) return there;
  const made = await generate();
  try {
    // Best effort: without it the browser may clear the key when its disk is full.
    await globalThis.navigator?.storage?.persist?.();
    return await shelf.add(owner, made);
  } catch (error) {
    throw asOpenError(error, "unsupported", "the reading key could not be kept in this browser");
  }
}

/** Forgets the person's key in this browser, for good. */
export async function forgetSealKey(owner: Owner, shelf: Shelf = browserShelf): Promise<void> {
  try {
    await shelf.remove(owner);
  } catch (error) {
    throw asOpenError(error, "unsupported", "the reading key could not be removed from this browser");
  }
}

/** The public half as an entry states it: 32 bytes in base64url. */
export function sealText(key: SealKey): string {
  return toBase64Url(key.public);
}
