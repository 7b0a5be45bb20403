/** From leaves with paths to what happened: checkpoint, inclusion, and the fold. */
import { Broken } from "../broken";
import { fromHex, utf8 } from "../bytes";
import { entryId, leafBytes, wordOf } from "../entry";
import { rawEd25519 } from "../keys";
import { Plant, type Logged } from "../plant";
import { rotationsOf } from "../keyring";
import { readCheckpoint, readNote } from "../note";
import { verifyCheckpoint } from "../policy";
import type { Anchors, WitnessedCheckpoint } from "../policy";
import { policyAt, statedLog } from "../rotation";
import type { Digest } from "../shape";
import { include } from "../tlogproof";
import { readBody } from "../body";
import type { Evidence, ProvenLeaf } from "./evidence";

export interface Chain {
  /**
   * The plant, and what the reader trusts when it brought anchors; each with the log's keys in
   * force at the checkpoint.
   */
  stated: Anchors;
  pinned?: { anchors: Anchors; checkpoint: WitnessedCheckpoint };
  checkpoint: WitnessedCheckpoint;
  plant: Plant;
  entries: readonly Logged[];
  /** The cell's live keys when each recording was registered, by root CID. */
  cellKeys: Map<string, Uint8Array[]>;
}

/** Words to put before each check; what runs inside is what it names. */
export type Check = <T>(
  name: string,
  work: () => Promise<T>,
  words: (made: T) => string,
) => Promise<T>;

const nameOf = ({ index, leaf }: ProvenLeaf): string => `entry ${index} (${wordOf(leaf.entry)})`;

export async function readChain(
  evidence: Evidence,
  pin: Anchors | null,
  check: Check,
): Promise<Chain> {
  const first = evidence.entries[0];
  if (first?.index !== 0) {
    throw new Broken("the excerpt of the ledger", "the first entry must have index 0");
  }
  const stated = await check(
    "plant",
    () => anchorsOf(first, pin),
    ({ log }) => `The plant of log ${log.origin}${pin ? " is the one that you pinned" : ""}.`,
  );
  const note = utf8(evidence.checkpoint);
  const [inForce, checkpoint, pinned] = await check(
    "checkpoint",
    async () => {
      const rotations = await rotationsOf(evidence.entries);
      const { size } = readCheckpoint(readNote(note).text);
      const log = policyAt(stated.log, rotations, size);
      const stands = await verifyCheckpoint(log, note);
      if (pin === null) return [log, stands, null] as const;
      const anchors = { ...pin, log: policyAt(pin.log, rotations, size) };
      const trusted = { anchors, checkpoint: await verifyCheckpoint(anchors.log, note) };
      return [log, stands, trusted] as const;
    },
    ([, made]) => `The log signed ${made.size} entries; ${made.witnesses.join(", ")} cosigned.`,
  );
  await check(
    "inclusion",
    () => includeAll(checkpoint, evidence.entries),
    () => `All ${evidence.entries.length} entries stand in that log.`,
  );
  const { plant, cellKeys } = await check(
    "signatures",
    () => fold(evidence.entries, first),
    () => "Each was signed by a key that was enrolled then, and follows the rules of the ledger.",
  );
  const base = { stated: { ...stated, log: inForce }, checkpoint, plant, entries: plant.entries, cellKeys };
  return pinned ? { ...base, pinned } : base;
}

/** The anchors that a plant's own first leaf states. */
async function anchorsOf(first: ProvenLeaf, pin: Anchors | null): Promise<Anchors> {
  const name = nameOf(first);
  const body = readBody(first.leaf.entry.statement.body, name);
  if (body.word !== "genesis") throw new Broken(name, "a genesis is expected");
  const genesis: Digest = await entryId(first.leaf.entry);
  const log = await statedLog(body.value, name);
  if (pin && pin.genesis !== genesis) {
    const reason = `this passport's plant began with ${genesis}, yours with ${pin.genesis}`;
    throw new Broken("the plant's first entry", reason);
  }
  return { genesis, log };
}

async function includeAll(
  checkpoint: WitnessedCheckpoint,
  entries: readonly ProvenLeaf[],
): Promise<void> {
  for (const proven of entries) {
    const name = nameOf(proven);
    const path = proven.path.map((hash) => fromHex(hash, name));
    await include(checkpoint, proven.index, leafBytes(proven.leaf, name), path, name);
  }
}

async function fold(
  entries: readonly ProvenLeaf[],
  first: ProvenLeaf,
): Promise<Pick<Chain, "plant" | "cellKeys">> {
  const plant = await Plant.begin(first.leaf);
  const cellKeys: Chain["cellKeys"] = new Map();
  for (const { index, leaf } of entries.slice(1)) {
    const { body, issuer } = await plant.append(index, leaf);
    if (body.word === "recording") cellKeys.set(body.value.root, liveKeys(plant, issuer));
  }
  return { plant, cellKeys };
}

/** A member's Ed25519 keys that count now. */
export function liveKeys(plant: Plant, member: string): Uint8Array[] {
  return plant.ring.liveKeys(member).flatMap((key) => rawEd25519(key) ?? []);
}
