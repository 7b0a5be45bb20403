/**
 * HPKE (RFC 9180), base mode, the recipient's side: DHKEM(X25519, HKDF-SHA256),
 * HKDF-SHA256, AES-256-GCM, one message.
 *
 * WebCrypto's HKDF extracts and expands in one step and HPKE needs them apart, so
 * both are made of HMAC here, as RFC 5869 writes them.
 */
import { concat, utf8, type Bytes } from "../verify/bytes";
import { OpenError } from "./errors";

/** An AEAD of RFC 9180 §7.3. */
export interface Aead {
  id: number;
  /** Bytes of its key. */
  key: number;
}

/** The AEAD of every key that a grant carries. */
export const AES_256_GCM: Aead = { id: 2, key: 32 };
/** The AEAD of the RFC's own test vectors. */
export const AES_128_GCM: Aead = { id: 1, key: 16 };

/** The recipient: WebCrypto does not tell the public half of a private key. */
export interface Recipient {
  /** An X25519 key that may derive bits; need not be extractable. */
  privateKey: CryptoKey;
  /** 32 bytes. */
  public: Uint8Array;
}

/** A sealed message and what it is bound to. */
export interface Sealed {
  /** The encapsulated key: 32 bytes. */
  enc: Uint8Array;
  /** Ciphertext and its 16-byte tag. */
  ciphertext: Uint8Array;
  info: Uint8Array;
  aad: Uint8Array;
}

const NONE = new Uint8Array(0);
const VERSION = utf8("HPKE-v1");
const BASE_MODE = Uint8Array.of(0);
/** DHKEM(X25519, HKDF-SHA256). */
const KEM = 0x0020;
/** HKDF-SHA256. */
const KDF = 0x0001;
const HASH = 32;
const NONCE = 12;

const KEM_SUITE = concat(utf8("KEM"), u16(KEM));

function u16(value: number): Bytes {
  return Uint8Array.of(value >> 8, value & 0xff);
}

async function hmac(key: Uint8Array, message: Uint8Array): Promise<Bytes> {
  // An empty HMAC key is a block of zeros, which every WebCrypto takes.
  const bytes = key.length === 0 ? new Uint8Array(HASH) : (key as Bytes);
  const algorithm = { name: "HMAC", hash: "SHA-256" };
  const imported = await crypto.subtle.importKey("raw", bytes, algorithm, false, ["sign"]);
  return new Uint8Array(await crypto.subtle.sign("HMAC", imported, message as Bytes));
}

/** LabeledExtract and LabeledExpand of RFC 9180 §4 for one suite. */
function labeled(suite: Uint8Array) {
  return {
    extract: (salt: Uint8Array, label: string, ikm: Uint8Array): Promise<Bytes> =>
      hmac(salt, concat(VERSION, suite, utf8(label), ikm)),
    /** At most one hash long, which is all that is needed here. */
    expand: async (prk: Uint8Array, label: string, info: Uint8Array, length: number): Promise<Bytes> => {
      const text = concat(u16(length), VERSION, suite, utf8(label), info, Uint8Array.of(1));
      return (await hmac(prk, text)).slice(0, length);
    },
  };
}

/** Decap of RFC 9180 §4.1. */
async function sharedSecret(recipient: Recipient, enc: Uint8Array): Promise<Bytes> {
  const theirs = await crypto.subtle.importKey("raw", enc as Bytes, { name: "X25519" }, false, []);
  const parameters = { name: "X25519", public: theirs };
  const dh = new Uint8Array(await crypto.subtle.deriveBits(parameters, recipient.privateKey, 256));
  if (dh.every((byte) => byte === 0)) throw new Error("a point of small order");
  const kem = labeled(KEM_SUITE);
  const prk = await kem.extract(NONE, "eae_prk", dh);
  return kem.expand(prk, "shared_secret", concat(enc, recipient.public), HASH);
}

/** Key and nonce of the first message (RFC 9180 §5.1, base mode: no pre-shared key). */
async function schedule(secret: Uint8Array, info: Uint8Array, aead: Aead) {
  const suite = labeled(concat(utf8("HPKE"), u16(KEM), u16(KDF), u16(aead.id)));
  const psk = await suite.extract(NONE, "psk_id_hash", NONE);
  const context = concat(BASE_MODE, psk, await suite.extract(NONE, "info_hash", info));
  const prk = await suite.extract(secret, "secret", NONE);
  return {
    key: await suite.expand(prk, "key", context, aead.key),
    nonce: await suite.expand(prk, "base_nonce", context, NONCE),
  };
}

/**
 * Opens a sealed message.
 *
 * @throws OpenError `closed` when it was sealed to somebody else, for something else, or changed.
 */
export async function open(recipient: Recipient, sealed: Sealed, aead = AES_256_GCM): Promise<Bytes> {
  try {
    const secret = await sharedSecret(recipient, sealed.enc);
    const { key, nonce } = await schedule(secret, sealed.info, aead);
    const cipher = await crypto.subtle.importKey("raw", key, "AES-GCM", false, ["decrypt"]);
    const parameters = { name: "AES-GCM", iv: nonce, additionalData: sealed.aad as Bytes };
    const plain = await crypto.subtle.decrypt(parameters, cipher, sealed.ciphertext as Bytes);
    return new Uint8Array(plain);
  } catch (error) {
    const message =
      "the sealed key does not open: it was changed, or is for another person, browser, grant or recording";
    throw new OpenError("closed", message, { cause: error });
  }
}
