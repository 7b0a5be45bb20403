/**
 * Whether the ledger only grew since this browser last saw it. The newest checkpoint that was
 * verified is kept here, per plant; a ledger that is shorter or another one is noticed, even
 * when its log and a quorum of witnesses signed it.
 */
import { Broken, fromHex, nodeHash, splitOf, toHex, verifyConsistency, type Bytes } from "../verify";

/** A state of a log. */
export interface State {
  size: number;
  root: Uint8Array;
}

/** How a state follows from the one that was seen before: `unproven` when the site lacks tiles. */
export type Growth = "first" | "same" | "grown" | "unproven";

/** Reads a tile (C2SP tlog-tiles) of the log. */
export type Tiles = (path: string) => Promise<Uint8Array>;

const HASH = 32;
const WIDTH = 256;
/** The most tiles that one comparison reads: a log of 2^40 entries needs fewer. */
const MOST_TILES = 64;

const keyOf = (genesis: string): string => `interlock.checkpoint.${genesis}`;

/** The state that this browser saw last; `null` when it keeps none. */
export function lastSeen(genesis: string): State | null {
  try {
    const [size, root] = (localStorage.getItem(keyOf(genesis)) ?? "").split(" ");
    const bytes = fromHex(root ?? "", "the kept root");
    return Number.isSafeInteger(Number(size)) && bytes.length === HASH ? { size: Number(size), root: bytes } : null;
  } catch {
    return null;
  }
}

/** Keeps a state unless a newer one is kept already, by another page. */
export function keepSeen(genesis: string, { size, root }: State): void {
  if (size < (lastSeen(genesis)?.size ?? 0)) return;
  try {
    localStorage.setItem(keyOf(genesis), `${size} ${toHex(root)}`);
  } catch {
    // A browser that keeps nothing sees each state for the first time.
  }
}

/** Compares a verified state with the one seen before. @throws Broken when the ledger was cut or rewritten. */
export async function grew(seen: State | null, now: State, tiles: Tiles): Promise<Growth> {
  if (seen === null) return "first";
  if (now.size < seen.size) {
    throw new Broken("the ledger", `the site shows ${now.size} entries, this browser saw ${seen.size} before: entries were taken back, or an old state is shown`);
  }
  let path: Bytes[];
  try {
    path = await consistencyPath(seen.size, now.size, tiles);
  } catch {
    return "unproven";
  }
  if (await verifyConsistency(seen.size, seen.root, now.size, now.root, path)) return now.size === seen.size ? "same" : "grown";
  throw new Broken("the ledger", `its ${now.size} entries do not begin with the ${seen.size} that this browser saw before: its past was rewritten, or it was forked`);
}

/** The proof that a log only grew (RFC 6962 §2.1.2), made of its tiles. */
async function consistencyPath(old: number, size: number, tiles: Tiles): Promise<Bytes[]> {
  const hashes = new Hashes(size, tiles);
  const path = async (from: number, to: number, whole: boolean): Promise<Bytes[]> => {
    if (old === to) return whole ? [] : [await hashes.range(from, to)];
    const split = from + splitOf(to - from);
    return old <= split
      ? [...(await path(from, split, whole)), await hashes.range(split, to)]
      : [...(await path(split, to, false)), await hashes.range(from, split)];
  };
  return path(0, size, true);
}

/** The hashes of a log of some size, computed from its tiles. */
class Hashes {
  private read = new Map<string, Promise<Uint8Array>>();

  constructor(
    private readonly size: number,
    private readonly tiles: Tiles,
  ) {}

  /** The hash of the subtree over the entries `from` to `to`. */
  async range(from: number, to: number): Promise<Bytes> {
    const count = to - from;
    if (Number.isInteger(Math.log2(count))) return this.complete(Math.log2(count), from / count);
    const split = from + splitOf(count);
    return nodeHash(await this.range(from, split), await this.range(split, to));
  }

  /** The `index`-th hash at a height of complete subtrees: of what stands in the tile below it. */
  private async complete(height: number, index: number): Promise<Bytes> {
    const level = Math.floor(height / 8);
    const count = 2 ** (height % 8);
    const first = index * count;
    const tile = await this.tile(level, Math.floor(first / WIDTH));
    const at = (first % WIDTH) * HASH;
    let row = Array.from({ length: count }, (_, i): Bytes => tile.slice(at + i * HASH, at + (i + 1) * HASH));
    while (row.length > 1) row = await Promise.all(row.filter((_, i) => i % 2 === 0).map((left, i) => nodeHash(left, row[2 * i + 1] ?? left)));
    const [hash] = row;
    if (hash === undefined) throw new Broken("a tile", "it is empty");
    return hash;
  }

  private tile(level: number, index: number): Promise<Uint8Array> {
    const width = Math.min(WIDTH, Math.floor(this.size / WIDTH ** level) - index * WIDTH);
    const name = `/tile/${level}/${indexPath(index)}${width < WIDTH ? `.p/${width}` : ""}`;
    const read = this.read.get(name) ?? this.tiles(name);
    this.read.set(name, read);
    if (this.read.size > MOST_TILES) throw new Broken("the tiles", `at most ${MOST_TILES} are read`);
    return read.then((bytes) => {
      if (bytes.length === width * HASH) return bytes;
      throw new Broken(`tile ${name}`, `${width * HASH} bytes are expected`);
    });
  }
}

/** `1234067` as `x001/x234/067`. */
function indexPath(index: number): string {
  const digits = String(index);
  const groups = digits.padStart(Math.ceil(digits.length / 3) * 3, "0").match(/\d{3}/g) ?? [];
  return groups.map((group, i) => (i < groups.length - 1 ? `x${group}` : group)).join("/");
}
