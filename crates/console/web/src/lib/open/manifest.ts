/** A recording's manifest: what its cell signed about the finished recording. */
import { toHex } from "../verify/bytes";
import { digest, id, list, object, type Read } from "../verify/shape";
import type { Leaf } from "./dag";
import { OpenError } from "./errors";
import { Frontier } from "./merkle";
import { count, short, verify, type Verified } from "./signed";
import { layoutOf, SEGMENT, TEMPLATE } from "./stream";

const DOMAIN = "interlock/recording-manifest/v1\0";
const WHAT = "the recording's manifest";

const manifest = object({
  recording: id,
  run: id,
  order: digest,
  stream: id,
  media_type: short,
  cell: id,
  robot: id,
  cameras: list(id),
  root_cid: short,
  leaves: count,
  leaves_root: digest,
  plaintext_bytes: count,
  ciphertext_bytes: count,
  sealing: object({
    template: short,
    segment_bytes: count,
    associated_data: short,
    key_commitment: digest,
  }),
  started: count,
  ended: count,
  samples: count,
  gaps: count,
  last_checkpoint: digest,
});

/**
 * What a finished recording is: times in ms since 1970, digests in hexadecimal,
 * `stream` is `state` or `camera`, `samples` counts pictures of the latter, `gaps`
 * what the source announced and did not deliver.
 */
export type Manifest = Read<typeof manifest>;

/**
 * Verifies a manifest under its cell's Ed25519 keys and against the address that
 * was asked for; `ledger`, where the caller knows it, is the digest that the ledger names.
 */
export async function verifyManifest(
  text: string,
  keys: readonly Uint8Array[],
  root: string,
  ledger: string | null,
): Promise<Verified<Manifest>> {
  const verified = await verify(text, DOMAIN, keys, WHAT, manifest);
  const { claim } = verified;
  const layout = layoutOf(claim.ciphertext_bytes);
  const { template, segment_bytes, associated_data } = claim.sealing;
  refuseUnless([
    [claim.root_cid === root, "is of another recording"],
    [ledger === null || verified.digest === ledger, "is not the one that the ledger names"],
    [template === TEMPLATE && segment_bytes === SEGMENT, `is sealed in another way than ${TEMPLATE}`],
    [associated_data === claim.recording, "is sealed under another name than the recording's"],
    [layout?.segments === claim.leaves, "states leaves that its bytes do not divide into"],
    [layout?.plaintext === claim.plaintext_bytes, "states more or less plaintext than its ciphertext holds"],
  ]);
  return verified;
}

/** Whether the tree at hand has the leaves that the manifest describes. */
export async function verifyLeaves(claim: Manifest, leaves: readonly Leaf[]): Promise<void> {
  const tree = new Frontier();
  for (const { cid } of leaves) await tree.push(cid.bytes);
  const sizes = leaves.map(({ size }) => size);
  const known = sizes.every((size) => size !== null);
  const total = sizes.reduce<number>((sum, size) => sum + (size ?? 0), 0);
  refuseUnless([
    [leaves.length === claim.leaves, `states ${claim.leaves} leaves and there are ${leaves.length}`],
    [!known || total === claim.ciphertext_bytes, "states another size than the tree has"],
    [toHex(await tree.root()) === claim.leaves_root, "was signed over other leaves"],
  ]);
}

function refuseUnless(checks: [boolean, string][]): void {
  const failed = checks.find(([holds]) => !holds);
  if (failed !== undefined) throw new OpenError("forged", `${WHAT} ${failed[1]}`);
}
