/**
 * The checkpoints that a cell signed while it recorded: a chain over the leaves,
 * so that nothing was cut out, moved or edited later, not even by the cell.
 */
import { toHex } from "../verify/bytes";
import { MAX_CANONICAL_BYTES } from "../verify/jcs";
import { digest, id, object, oneOf, type Read } from "../verify/shape";
import type { Leaf } from "./dag";
import { OpenError } from "./errors";
import type { Manifest } from "./manifest";
import { Frontier } from "./merkle";
import { count, verify, type Verified } from "./signed";

/** The most checkpoints that are read: nine hours at two a second. */
export const MAX_CHECKPOINTS = 1 << 16;

const DOMAIN = "interlock/recording-checkpoint/v1\0";

const checkpoint = object({
  recording: id,
  order: digest,
  seq: count,
  previous: (value, what) => (value === null ? null : digest(value, what)),
  leaves: count,
  root: digest,
  samples: count,
  last: count,
  phase: oneOf("open", "final"),
});

/**
 * What a recording held at one moment: `last` is the host's time of the last sample,
 * ms since 1970.
 */
export type Checkpoint = Read<typeof checkpoint>;

/** What is wrong with `claim` at place `at` after `before`; `null` when nothing is. */
function misfit(claim: Checkpoint, at: number, before: Verified<Checkpoint> | null): string | null {
  if (claim.seq !== at) return `it is number ${claim.seq}: one was dropped or moved`;
  const previous = before?.digest ?? null;
  if (claim.previous !== previous) return "it does not follow the one before: another was edited or dropped";
  if (before === null) return null;
  const earlier = before.claim;
  if (claim.recording !== earlier.recording || claim.order !== earlier.order) return "it is of another recording";
  if (earlier.phase === "final") return "it follows a final one";
  const back = claim.leaves < earlier.leaves || claim.samples < earlier.samples || claim.last < earlier.last;
  return back ? "leaves, samples or time run backwards" : null;
}

/**
 * Verifies all checkpoints of a recording, one JSON text a line, against its leaves
 * and its manifest. Returns them in order.
 */
export async function verifyChain(
  text: string,
  keys: readonly Uint8Array[],
  leaves: readonly Leaf[],
  manifest: Manifest,
): Promise<Checkpoint[]> {
  const chain: Checkpoint[] = [];
  const tree = new Frontier();
  let before: Verified<Checkpoint> | null = null;
  for (const line of lines(text)) {
    const at = chain.length;
    const what = `checkpoint ${at} of the recording`;
    const verified: Verified<Checkpoint> = await verify(line, DOMAIN, keys, what, checkpoint);
    const { claim } = verified;
    const reason = misfit(claim, at, before);
    if (reason !== null) throw new OpenError("forged", `${what}: ${reason}`);
    if (claim.leaves > leaves.length) throw new OpenError("forged", `${what}: only ${leaves.length} leaves are there`);
    for (const { cid } of leaves.slice(tree.size, claim.leaves)) await tree.push(cid.bytes);
    const root = toHex(await tree.root());
    if (root !== claim.root) throw new OpenError("forged", `${what}: it was signed over other leaves`);
    chain.push(claim);
    before = verified;
  }
  return ends(chain, before, manifest);
}

function ends(chain: Checkpoint[], last: Verified<Checkpoint> | null, manifest: Manifest): Checkpoint[] {
  if (last === null || last.claim.phase !== "final") {
    const message = `the checkpoints end after ${chain.length} without a final one: their end was cut off`;
    throw new OpenError("forged", message);
  }
  const { claim } = last;
  const agrees =
    claim.recording === manifest.recording &&
    claim.order === manifest.order &&
    claim.leaves === manifest.leaves &&
    claim.root === manifest.leaves_root &&
    claim.samples === manifest.samples &&
    claim.last <= manifest.ended &&
    last.digest === manifest.last_checkpoint;
  if (!agrees) throw new OpenError("forged", "the manifest and the final checkpoint differ");
  return chain;
}

function* lines(text: string): Generator<string> {
  for (let [at, count] = [0, 0]; at < text.length; count++) {
    const found = text.indexOf("\n", at);
    const end = found === -1 ? text.length : found;
    if (count === MAX_CHECKPOINTS || end - at > MAX_CANONICAL_BYTES) {
      const most = `${MAX_CHECKPOINTS} checkpoints of ${MAX_CANONICAL_BYTES} bytes each`;
      throw new OpenError("limit", `the recording has more checkpoints, or longer ones, than ${most}`);
    }
    if (end > at) yield text.slice(at, end);
    at = end + 1;
  }
}
