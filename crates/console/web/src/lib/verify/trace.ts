/**
 * One entry of a live site, verified by its proof: the site is asked for bytes, never for a verdict.
 */
import { readBody, type Body } from "./body";
import { attempt, Broken, type Result } from "./broken";
import { fromUtf8 } from "./bytes";
import { sha256Hex } from "./crypto";
import { entryId, leafBytes, leafShape, wordOf, type Leaf } from "./entry";
import { isObject, parse } from "./jcs";
import { Keyring } from "./keyring";
import { MAX_NOTE_BYTES } from "./note";
import { verifyCheckpoint, type Anchors, type WitnessedCheckpoint } from "./policy";
import type { Digest } from "./shape";
import { verifyTlogProof } from "./tlogproof";

const MAX_LEAF_BYTES = 256 * 1024;
const MAX_PROOF_BYTES = 256 * 1024;

/** Something like `fetch`, on the site's own paths. */
export type Fetcher = (path: string) => Promise<Response>;

/** An entry that stands in the witnessed log. */
export interface ProvenEntry {
  id: Digest;
  index: number;
  leaf: Leaf;
  body: Body;
  checkpoint: WitnessedCheckpoint;
}

async function fetchBytes(fetcher: Fetcher, path: string, max: number): Promise<Uint8Array> {
  let response: Response;
  try {
    response = await fetcher(path);
  } catch {
    throw new Broken("the site", `it does not answer ${path}`);
  }
  if (!response.ok) throw new Broken("the site", `it answers ${path} with ${response.status}`);
  const reader = response.body?.getReader();
  const whole = new Uint8Array(max);
  let length = 0;
  for (;;) {
    const chunk = await reader?.read();
    if (chunk?.value === undefined) break;
    if (length + chunk.value.length > max) {
      await reader?.cancel();
      throw new Broken("the site", `it answers ${path} with more than ${max} bytes`);
    }
    whole.set(chunk.value, length);
    length += chunk.value.length;
  }
  return whole.slice(0, length);
}

/** Fetches an entry with its proof and verifies that the witnessed log holds it. */
export async function proveEntry(
  fetcher: Fetcher,
  anchors: Anchors,
  id: Digest,
): Promise<ProvenEntry> {
  if (!/^[0-9a-f]{64}$/.test(id)) throw new Broken("the identifier", "a digest is expected");
  const answer = await fetchBytes(fetcher, `/api/v1/entries/${id}`, MAX_LEAF_BYTES);
  const stated = parse(fromUtf8(answer, "the entry"), "the entry");
  const leaf = leafShape(isObject(stated) ? (stated.leaf ?? null) : null, "the leaf");
  const found = await entryId(leaf.entry);
  if (found !== id) throw new Broken("the entry", `the site gave entry ${found} instead`);
  const proof = await fetchBytes(fetcher, `/api/v1/entries/${id}/proof`, MAX_PROOF_BYTES);
  const bytes = leafBytes(leaf, "the leaf");
  const { index, checkpoint } = await verifyTlogProof(anchors.log, proof, bytes);
  const name = `entry ${index} (${wordOf(leaf.entry)})`;
  if (index === 0 && id !== anchors.genesis) {
    throw new Broken(name, "the plant began with another entry than the one you trust");
  }
  if (anchors.site !== undefined && leaf.entry.statement.site !== anchors.site) {
    throw new Broken(name, `it is meant for site \`${leaf.entry.statement.site}\``);
  }
  const body = readBody(leaf.entry.statement.body, name);
  return { id, index, leaf, body, checkpoint };
}

/** The newest checkpoint of a site, verified. */
export async function newestCheckpoint(
  fetcher: Fetcher,
  anchors: Anchors,
): Promise<WitnessedCheckpoint> {
  const note = await fetchBytes(fetcher, "/checkpoint", MAX_NOTE_BYTES);
  return verifyCheckpoint(anchors.log, note);
}

/** One thing that was looked at, for a person. */
export interface Finding {
  /** `inclusion`, `signature` or `link`. */
  kind: "inclusion" | "signature" | "link";
  ok: boolean;
  words: string;
}

/** What one entry turned out to be. */
export interface Traced {
  ok: boolean;
  entry: ProvenEntry | null;
  findings: Finding[];
}

/**
 * The keys of a plant from all its entries that change rules: each proven, then folded in the
 * order of the log. A site that holds one back (a revocation, say) is not found out by this; the
 * audit of the whole ledger finds it.
 */
export async function keyringOf(
  fetcher: Fetcher,
  anchors: Anchors,
  rules: readonly Digest[],
): Promise<KeysThen> {
  const proven: ProvenEntry[] = [];
  for (const id of new Set([anchors.genesis, ...rules])) {
    proven.push(await proveEntry(fetcher, anchors, id));
  }
  proven.sort((a, b) => a.index - b.index);
  return new KeysThen(proven.map(({ index, leaf }) => ({ index, leaf })));
}

/** The keyring as it stood before any index. */
export class KeysThen {
  constructor(private readonly rules: readonly { index: number; leaf: Leaf }[]) {}

  async at(index: number): Promise<Keyring> {
    const [first, ...rest] = this.rules;
    if (first?.index !== 0) throw new Broken("the rules", "the genesis must come first");
    const [ring] = await Keyring.begin(first.leaf);
    for (const { index: here, leaf } of rest) {
      if (here >= index) break;
      const name = `entry ${here} (${wordOf(leaf.entry)})`;
      await ring.apply(await ring.verify(leaf, name), here);
    }
    return ring;
  }
}

/** Verifies one entry of a live site: that the log holds it, and that its issuer signed it. */
export async function traceEntry(
  fetcher: Fetcher,
  anchors: Anchors,
  keys: KeysThen,
  id: Digest,
): Promise<Traced> {
  const proven = await attempt(() => proveEntry(fetcher, anchors, id));
  const inclusion = finding("inclusion", proven, ({ index, checkpoint }) => {
    const witnesses = checkpoint.witnesses.join(", ");
    return `It is entry ${index} of ${checkpoint.size}; ${witnesses} saw that log.`;
  });
  if (!proven.ok) return { ok: false, entry: null, findings: [inclusion] };
  const { index, leaf } = proven.value;
  const name = `entry ${index} (${wordOf(leaf.entry)})`;
  const verified = await attempt(async () =>
    index === 0 ? keys.at(0) : (await keys.at(index)).verify(leaf, name),
  );
  const { issuer } = leaf.entry.statement;
  const signature = finding(
    "signature",
    verified,
    () => `${issuer} signed it with an enrolled key.`,
  );
  return { ok: verified.ok, entry: proven.value, findings: [inclusion, signature] };
}

function finding<T>(
  kind: Finding["kind"],
  result: Result<T>,
  words: (value: T) => string,
): Finding {
  return result.ok
    ? { kind, ok: true, words: words(result.value) }
    : { kind, ok: false, words: result.broken.message };
}

/** The entries that an entry's body names, with what each must be. */
export function namedBy(body: Body): { id: Digest; word: Body["word"] }[] {
  switch (body.word) {
    case "approve":
      return [{ id: body.value.proposal, word: "propose" }];
    case "run-started":
    case "run-ended":
    case "recording":
      return [{ id: body.value.order, word: "order" }];
    case "grant":
      return [{ id: body.value.order, word: "order" }];
    case "read":
    case "revoke-grant":
      return [{ id: body.value.grant, word: "grant" }];
    case "shredded":
      return [{ id: body.value.shred, word: "shred" }];
    case "report":
      return [
        { id: body.value.order, word: "order" },
        { id: body.value.grant, word: "grant" },
      ];
    case "passport":
      return [{ id: body.value.report, word: "report" }];
    case "release":
      return [{ id: body.value.hold, word: "hold" }];
    default:
      return [];
  }
}

/** Verifies the link from a later entry to an earlier one: by hash, by kind and by order. */
export function checkLink(later: ProvenEntry, earlier: ProvenEntry): Finding {
  const named = namedBy(later.body).find(({ id }) => id === earlier.id);
  const names = `entry ${later.index} (${later.body.word})`;
  const target = `entry ${earlier.index} (${earlier.body.word})`;
  if (named === undefined) return link(false, `${names} does not name ${target}.`);
  if (named.word !== earlier.body.word)
    return link(false, `${names} takes ${target} for ${named.word}.`);
  if (earlier.index >= later.index) return link(false, `${names} names ${target}, which is later.`);
  return link(true, `${names} names ${target} by its hash.`);
}

const link = (ok: boolean, words: string): Finding => ({ kind: "link", ok, words });

/** Whether the digest of `bytes` is one that an entry names: a manifest, a picture, a credential. */
export async function checkDigest(bytes: Uint8Array | string, named: Digest): Promise<Finding> {
  const found = await sha256Hex(bytes);
  const words =
    found === named ? "Its digest is the one on the ledger." : `Its digest is ${found}.`;
  return link(found === named, words);
}
