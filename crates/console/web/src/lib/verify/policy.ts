/** Which plant and log are trusted, and how many witnesses must have seen a checkpoint. */
import { Broken } from "./broken";
import { equal, type Bytes } from "./bytes";
import type { Json } from "./jcs";
import {
  readCheckpoint,
  readNote,
  readVKey,
  splitCosignature,
  verifiedSignatures,
  type Checkpoint,
  type VKey,
} from "./note";
import * as shape from "./shape";

const MAX_WITNESSES = 32;

/** A trusted log and its witnesses. */
export interface LogPolicy {
  origin: string;
  logKey: VKey;
  witnesses: VKey[];
  quorum: number;
}

/** What a reader trusts in advance: `anchors.json`. */
export interface Anchors {
  /** The identifier of the plant's first entry. */
  genesis: shape.Digest;
  log: LogPolicy;
  site?: shape.Id;
}

const policyShape = shape.object({
  origin: shape.text,
  log_key: shape.text,
  witnesses: shape.list(shape.text),
  quorum: shape.u64,
});
const anchorsShape = shape.object({ genesis: shape.digest, log: policyShape }, { site: shape.id });

/** Reads the value of `anchors.json`. */
export async function readAnchors(value: Json): Promise<Anchors> {
  const { genesis, log, site } = anchorsShape(value, "the anchors");
  const policy = await makePolicy(log.origin, log.log_key, log.witnesses, log.quorum);
  return { genesis, log: policy, ...(site === undefined ? {} : { site }) };
}

/** A policy from its parts, each a text. */
export async function makePolicy(
  origin: string,
  logKey: string,
  witnessKeys: readonly string[],
  quorum: number,
): Promise<LogPolicy> {
  if (witnessKeys.length > MAX_WITNESSES) {
    throw new Broken("the log policy", "at most 32 witnesses are expected");
  }
  const log = await readVKey(logKey, "the log's key");
  const witnesses = await Promise.all(witnessKeys.map((key) => readVKey(key, "a witness's key")));
  return checked({ origin, logKey: log, witnesses, quorum });
}

/** A policy, once it can hold. */
export function checked(policy: LogPolicy): LogPolicy {
  const { logKey: log, witnesses, quorum } = policy;
  const count = witnesses.length;
  if (quorum < 1 || quorum > count || count > MAX_WITNESSES) {
    throw new Broken("the log policy", `a quorum of 1 to ${count} (at most 32) is expected`);
  }
  if (log.kind !== "log" || witnesses.some((key) => key.kind !== "witness")) {
    throw new Broken("the log policy", "type 1 for the log, type 4 for a witness is expected");
  }
  const twice = witnesses.some((key, at) =>
    witnesses.slice(0, at).some((w) => w.name === key.name || equal(w.public, key.public)),
  );
  if (twice)
    throw new Broken("the log policy", "witnesses with distinct names and keys are expected");
  return policy;
}

/** A checkpoint that its log signed and a quorum of witnesses cosigned. */
export interface WitnessedCheckpoint extends Checkpoint {
  /** Since when a whole quorum vouches that this was the log's newest state. */
  witnessedAt: shape.Millis;
  /** The names of the witnesses that cosigned. */
  witnesses: string[];
}

/** Verifies the log's signature and the witnesses' cosignatures on a note. */
export async function verifyCheckpoint(
  policy: LogPolicy,
  bytes: Uint8Array,
): Promise<WitnessedCheckpoint> {
  const note = readNote(bytes);
  const checkpoint = readCheckpoint(note.text);
  if (checkpoint.origin !== policy.origin) {
    throw new Broken("the checkpoint", `it is another log's: \`${policy.origin}\` is expected`);
  }
  const found = await verifiedSignatures(note, [policy.logKey, ...policy.witnesses]);
  if (!found.some((one) => one.key === policy.logKey)) {
    const what = `the log's signature \`${policy.logKey.name}\` on the checkpoint`;
    throw new Broken(what, "it is absent");
  }
  const cosigned = found.filter((one) => one.key !== policy.logKey);
  const witnessedAt = quorumTime(
    cosigned.map((one) => one.signature),
    policy.quorum,
  );
  return { ...checkpoint, witnessedAt, witnesses: cosigned.map((one) => one.key.name) };
}

/** The quorum-th newest time, so that one wrong clock cannot move it. */
function quorumTime(cosignatures: readonly Bytes[], quorum: number): shape.Millis {
  const times = cosignatures.map((one) => splitCosignature(one)?.time ?? 0n);
  const time = times.sort((a, b) => (a < b ? 1 : a > b ? -1 : 0))[quorum - 1];
  if (time === undefined) {
    const reason = `${times.length} of the trusted witnesses cosigned, ${quorum} are needed`;
    throw new Broken("the witnesses' cosignatures on the checkpoint", reason);
  }
  return Number(time) * 1000;
}
