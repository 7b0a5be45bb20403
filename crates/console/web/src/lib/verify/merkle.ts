/** The Merkle tree of RFC 6962 §2.1; proofs as RFC 9162 §2.1.3.2 and §2.1.4.2 verify them. */
import { equal, type Bytes } from "./bytes";
import { sha256 } from "./crypto";

/** The largest log: every index is exact in JSON. */
export const MAX_LOG_SIZE = Number.MAX_SAFE_INTEGER;
/** The longest path that is looked at. */
export const MAX_PATH = 64;

const LEAF = Uint8Array.of(0);
const NODE = Uint8Array.of(1);

export function leafHash(leaf: Uint8Array): Promise<Bytes> {
  return sha256(LEAF, leaf);
}

export function nodeHash(left: Uint8Array, right: Uint8Array): Promise<Bytes> {
  return sha256(NODE, left, right);
}

/** Numbers may have 53 bits, so halves are divisions and not shifts. */
const half = (n: number): number => Math.floor(n / 2);
const odd = (n: number): boolean => n % 2 === 1;

/** A place in a level of the tree, and the last place of that level. */
interface Place {
  node: number;
  last: number;
}

function up({ node, last }: Place): Place {
  return { node: half(node), last: half(last) };
}

/** Climbs while the node is a left child with no sibling, for it then is its own parent. */
function skipAbsent(place: Place): Place {
  let here = place;
  while (!odd(here.node) && here.node !== 0) here = up(here);
  return here;
}

/** Whether `path` proves that the tree of `size` leaves with `root` has `leaf` at `index`. */
export async function verifyInclusion(
  leaf: Uint8Array,
  index: number,
  size: number,
  path: readonly Uint8Array[],
  root: Uint8Array,
): Promise<boolean> {
  if (!(index < size) || path.length > MAX_PATH) return false;
  let place: Place = { node: index, last: size - 1 };
  let hash = leaf;
  for (const sibling of path) {
    if (place.last === 0) return false;
    if (odd(place.node) || place.node === place.last) {
      hash = await nodeHash(sibling, hash);
      place = skipAbsent(place);
    } else {
      hash = await nodeHash(hash, sibling);
    }
    place = up(place);
  }
  return place.last === 0 && equal(hash, root);
}

/** Whether `path` proves that the tree of `size` leaves starts with the tree of `old` leaves. */
export async function verifyConsistency(
  old: number,
  oldRoot: Uint8Array,
  size: number,
  root: Uint8Array,
  path: readonly Uint8Array[],
): Promise<boolean> {
  if (old > size || path.length > MAX_PATH) return false;
  if (old === size) return path.length === 0 && equal(oldRoot, root);
  if (old === 0) return path.length === 0 && equal(oldRoot, await sha256());
  let place: Place = { node: old - 1, last: size - 1 };
  while (odd(place.node)) place = up(place);
  // A complete old tree is a node of the new one, so its root is not sent.
  const complete = place.node === 0;
  const [first, rest] = complete ? [oldRoot, path] : [path[0], path.slice(1)];
  if (first === undefined) return false;
  let [before, after] = [first, first];
  for (const sibling of rest) {
    if (place.last === 0) return false;
    if (odd(place.node) || place.node === place.last) {
      before = await nodeHash(sibling, before);
      after = await nodeHash(sibling, after);
      place = skipAbsent(place);
    } else {
      after = await nodeHash(after, sibling);
    }
    place = up(place);
  }
  return place.last === 0 && equal(before, oldRoot) && equal(after, root);
}

/** Where a tree of `n` leaves is split: the largest power of two below `n` (RFC 6962 §2.1). */
export function splitOf(n: number): number {
  let split = 1;
  while (split * 2 < n) split *= 2;
  return split;
}
