/** What a passport rests on, as it stands under `evidence` in the credential. */
import { Broken } from "../broken";
import { leafShape } from "../entry";
import type { Json } from "../jcs";
import * as shape from "../shape";

export const FORMAT = "interlock/passport/1";
const TYPE = "InterlockEvidence";
const MAX_ENTRIES = 8 * 1024;
const MAX_MANIFESTS = 128;

const manifest = shape.object({
  recording: shape.id,
  run: shape.id,
  order: shape.digest,
  stream: shape.id,
  media_type: shape.text,
  cell: shape.id,
  robot: shape.id,
  cameras: shape.list(shape.id),
  root_cid: shape.text,
  leaves: shape.u64,
  leaves_root: shape.digest,
  plaintext_bytes: shape.u64,
  ciphertext_bytes: shape.u64,
  sealing: shape.object({
    template: shape.text,
    segment_bytes: shape.u32,
    associated_data: shape.text,
    key_commitment: shape.digest,
  }),
  started: shape.millis,
  ended: shape.millis,
  samples: shape.u64,
  gaps: shape.u64,
  last_checkpoint: shape.digest,
});
/** What a finished recording is. */
export type Manifest = shape.Read<typeof manifest>;

const signedManifest = shape.object({ claim: manifest, signature: shape.base64url });
export type SignedManifest = shape.Read<typeof signedManifest>;

const provenLeaf = shape.object({
  index: shape.u64,
  leaf: leafShape,
  path: shape.list(shape.digest),
});
/** A leaf with the proof that the log holds it. */
export type ProvenLeaf = shape.Read<typeof provenLeaf>;

const evidence = shape.object({
  checkpoint: shape.text,
  entries: shape.list(provenLeaf),
  format: shape.oneOf(FORMAT),
  issued_at: shape.millis,
  manifests: shape.list(signedManifest),
  report: shape.digest,
  type: shape.list(shape.oneOf(TYPE)),
});
export type Evidence = shape.Read<typeof evidence>;

/** The one piece of evidence in a credential; nothing in it is verified. */
export function readEvidence(stated: Json | undefined): Evidence {
  const what = "the evidence";
  const [one, ...more] = Array.isArray(stated) ? stated : [];
  if (one === undefined || more.length > 0) throw new Broken(what, "one element is expected");
  const found = evidence(one, what);
  if (found.type.length !== 1) throw new Broken(what, `the type \`${TYPE}\` is expected`);
  const { length } = found.entries;
  if (length < 1 || length > MAX_ENTRIES || found.manifests.length > MAX_MANIFESTS) {
    throw new Broken(what, `1 to ${MAX_ENTRIES} entries and ${MAX_MANIFESTS} manifests at most`);
  }
  return found;
}
