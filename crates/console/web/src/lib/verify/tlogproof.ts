/** Offline proofs of inclusion (C2SP tlog-proof): index, path and witnessed checkpoint. */
import { Broken } from "./broken";
import { fromBase64, fromUtf8, utf8, type Bytes } from "./bytes";
import { leafHash, MAX_PATH, verifyInclusion } from "./merkle";
import { MAX_NOTE_BYTES, readCheckpoint, readDecimal, readHash, readNote } from "./note";
import { verifyCheckpoint, type LogPolicy, type WitnessedCheckpoint } from "./policy";

const HEADER = "c2sp.org/tlog-proof@v1";
const MAX_EXTRA_BYTES = 64 * 1024;
const MAX_PROOF_BYTES = 2 * MAX_EXTRA_BYTES + 4096 + MAX_NOTE_BYTES;

/** The parts of a proof; nothing in it is verified. */
export interface TlogProof {
  index: number;
  path: Bytes[];
  checkpoint: Bytes;
}

export function readTlogProof(bytes: Uint8Array): TlogProof {
  const what = "the proof";
  if (bytes.length > MAX_PROOF_BYTES) throw new Broken(what, "a shorter file is expected");
  const text = fromUtf8(bytes, what);
  const end = text.indexOf("\n\n");
  if (end < 0) throw new Broken(what, "an empty line before the checkpoint is expected");
  const [header, ...lines] = text.slice(0, end).split("\n");
  if (header !== HEADER) throw new Broken(what, `\`${HEADER}\` is expected`);
  if (lines[0]?.startsWith("extra ")) {
    const extra = fromBase64(lines.shift()?.slice("extra ".length) ?? "", what);
    if (extra.length > MAX_EXTRA_BYTES) throw new Broken(what, "at most 64 KiB of extra data");
  }
  const line = lines.shift() ?? "";
  const index = line.startsWith("index ") ? readDecimal(line.slice("index ".length)) : null;
  if (index === null) throw new Broken(what, "`index` and a decimal number are expected");
  if (lines.length > MAX_PATH + 1) throw new Broken(what, "a shorter path is expected");
  const path = lines.map((hash) => readHash(hash, "a hash of the proof"));
  return { index, path, checkpoint: utf8(text.slice(end + 2)) };
}

/** A leaf that stands at an index of a witnessed log. */
export interface Included {
  index: number;
  checkpoint: WitnessedCheckpoint;
}

/**
 * Verifies a proof for the bytes of a leaf: the checkpoint, under the keys in force at its size,
 * then the path.
 */
export async function verifyTlogProof(
  policyAt: (size: number) => LogPolicy,
  proof: Uint8Array,
  leaf: Uint8Array,
): Promise<Included> {
  const { index, path, checkpoint: note } = readTlogProof(proof);
  const { size } = readCheckpoint(readNote(note).text);
  const checkpoint = await verifyCheckpoint(policyAt(size), note);
  await include(checkpoint, index, leaf, path, `entry ${index}`);
  return { index, checkpoint };
}

/** Verifies that a leaf stands at an index of a witnessed log, by its path. */
export async function include(
  checkpoint: WitnessedCheckpoint,
  index: number,
  leaf: Uint8Array,
  path: readonly Uint8Array[],
  name: string,
): Promise<void> {
  const hash = await leafHash(leaf);
  if (await verifyInclusion(hash, index, checkpoint.size, path, checkpoint.root)) return;
  const place = `index ${index} of \`${checkpoint.origin}\` with ${checkpoint.size} entries`;
  throw new Broken(`inclusion of ${name}`, `no proof that this leaf stands at ${place}`);
}
