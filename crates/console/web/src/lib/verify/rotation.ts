/**
 * Whose signatures count on a log whose keys change by its own entries
 * (`crates/plant/src/trust.rs`): a checkpoint of n entries counts under the keys in force after n
 * entries.
 */
import type { Genesis, Keys } from "./body";
import { Broken } from "./broken";
import { equal, fromBase64Url, toHex, type Bytes } from "./bytes";
import { readVKey, type VKey } from "./note";
import { checked, makePolicy, type LogPolicy } from "./policy";

const VAULT_BYTES = 32;
const MAX_AUTHORITIES = 4;
const MAX_AUTHORITY_BYTES = 4096;

/** Keys of the plant that took effect at an entry: they count for checkpoints above its index. */
export interface Rotation extends NewKeys {
  index: number;
}

/** A change of keys, its texts read. */
interface NewKeys {
  /** Roots of the plant's TLS certificates; no browser goes by them. */
  authorities?: readonly string[];
  log?: VKey;
  vault?: Bytes;
  witnesses?: { keys: VKey[]; quorum: number };
}

/** The log that a genesis states, with its witnesses. */
export async function statedLog(genesis: Genesis, name: string): Promise<LogPolicy> {
  const { origin, log, witnesses, quorum, vault } = genesis;
  readVault(vault, name);
  return named(await makePolicy(origin, log, witnesses, quorum), name);
}

function readVault(text: string, name: string): Bytes {
  const key = fromBase64Url(text, name);
  if (key.length !== VAULT_BYTES) throw new Broken(name, "a vault key of 32 bytes is expected");
  return key;
}

/** Bounded and distinct; that they are certificates is checked where X.509 is read. */
function checkAuthorities(roots: readonly string[], rotations: readonly Rotation[], name: string): void {
  if (roots.length < 1 || roots.length > MAX_AUTHORITIES) {
    throw new Broken(name, "1 to 4 certificate authorities are expected");
  }
  const sizes = roots.map((root) => fromBase64Url(root, name).length);
  if (sizes.some((size) => size < 1 || size > MAX_AUTHORITY_BYTES)) {
    throw new Broken(name, "root certificates of 1 to 4096 bytes are expected");
  }
  if (new Set(roots).size !== roots.length) throw new Broken(name, "a root certificate stands twice");
  const stated = rotations.flatMap(({ authorities }) => (authorities === undefined ? [] : [authorities]));
  const now = stated.at(-1) ?? [];
  if (roots.some((root) => !now.includes(root) && stated.some((was) => was.includes(root)))) {
    throw new Broken(name, "a root certificate in it was withdrawn before");
  }
}

/** The log's key is named like the log, and is no witness's. */
function named(policy: LogPolicy, name: string): LogPolicy {
  if (policy.logKey.name !== policy.origin) {
    throw new Broken(name, `a log key named \`${policy.origin}\` is expected`);
  }
  if (policy.witnesses.some((key) => equal(key.public, policy.logKey.public))) {
    throw new Broken(name, "the log's key is a witness's too");
  }
  return policy;
}

function changed(before: LogPolicy, keys: NewKeys, name: string): LogPolicy {
  const { keys: witnesses, quorum } = keys.witnesses ?? { keys: before.witnesses, quorum: before.quorum };
  const logKey = keys.log ?? before.logKey;
  return named(checked({ origin: before.origin, logKey, witnesses, quorum }), name);
}

/**
 * Whose signatures count on a checkpoint of `size` entries, for who trusts `first`. Each part that
 * was rotated below `size` takes the place of that part.
 */
export function policyAt(first: LogPolicy, rotations: readonly Rotation[], size: number): LogPolicy {
  const past = rotations.filter(({ index }) => index < size);
  return past.reduce((policy, keys) => changed(policy, keys, "the rotated keys of the log"), first);
}

/** Reads keys that may come into force after these; throws when they may not. */
export async function readKeys(
  keys: Keys,
  first: LogPolicy,
  firstVault: string,
  rotations: readonly Rotation[],
  name: string,
): Promise<NewKeys> {
  const read: NewKeys = {};
  if (keys.log !== undefined) read.log = await readVKey(keys.log, name);
  if (keys.vault !== undefined) read.vault = readVault(keys.vault, name);
  if (keys.witnesses !== undefined) {
    const all = keys.witnesses.keys.map((key) => readVKey(key, name));
    read.witnesses = { keys: await Promise.all(all), quorum: keys.witnesses.quorum };
  }
  if (keys.authorities !== undefined) read.authorities = keys.authorities;
  if (Object.keys(read).length === 0) throw new Broken(name, "it changes no key");
  const now = policyAt(first, rotations, Infinity);
  changed(now, read, name);
  const was = new Set([
    ...[first, ...rotations.map(asPolicy)].flatMap(({ logKey, witnesses }) =>
      [...(logKey ? [logKey] : []), ...witnesses].map((key) => toHex(key.public)),
    ),
    ...[readVault(firstVault, name), ...rotations.flatMap(({ vault }) => vault ?? [])].map(toHex),
  ]);
  const stays = (key: VKey): boolean =>
    now.witnesses.some((one) => one.name === key.name && equal(one.public, key.public));
  const fresh = [
    ...(read.log ? [read.log.public] : []),
    ...(read.witnesses?.keys ?? []).filter((key) => !stays(key)).map((key) => key.public),
    ...(read.vault ? [read.vault] : []),
  ];
  if (fresh.some((key) => was.has(toHex(key)))) {
    throw new Broken(name, "a key in it was in use before");
  }
  if (read.authorities !== undefined) checkAuthorities(read.authorities, rotations, name);
  return read;
}

const asPolicy = ({ log, witnesses }: Rotation): { logKey: VKey | undefined; witnesses: VKey[] } => ({
  logKey: log,
  witnesses: witnesses?.keys ?? [],
});
