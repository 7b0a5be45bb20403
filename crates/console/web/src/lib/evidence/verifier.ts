/**
 * Verifies entries of a live site in this browser: each leaf by its inclusion proof under a
 * cosigned checkpoint, its signature under the key that was enrolled where it stands. The site
 * delivers bytes; it is never asked whether they hold.
 *
 * What changed the keys is read from the site and proven like all else. A proof says that an entry
 * stands on the ledger, not that none was left out: a site can hide a revocation or a read here.
 * `interlock audit replay` finds that, for it reads the whole ledger. It evaluates the policy
 * (Cedar), too, which nothing here does.
 */
import type { Change, Id, Keys, LedgerEvent, Member, MemberState, PlantKeys, Role, Word } from "../ledger/types";
import type { InForce } from "../people/differ";
import { Broken, canonical, Keyring, policyAt, rotationsOf, sha256Hex, toHex, utf8, verifyTlogProof, type Anchors, type Bytes, type Json, type Leaf, type LogPolicy, type PublicKey, type Rotation, type Signed, type WitnessedCheckpoint } from "../verify";
import type { Body } from "../verify/body";
import { entryId, leafBytes, leafShape } from "../verify/entry";
import { isObject, parse } from "../verify/jcs";
import type { Applied } from "../verify/keyring";
import { Steps } from "./steps";

/** Where bytes come from: the site, or a test. */
export interface Source {
  text(path: string): Promise<string>;
}

/** An entry that holds. */
export interface Proven {
  index: number;
  id: string;
  leaf: Leaf;
  signed: Signed;
  checkpoint: WitnessedCheckpoint;
  proof: string;
}

/** An entry that holds, with what it states. */
export type Stated<W extends Body["word"]> = Proven & { value: Extract<Body, { word: W }>["value"] };

interface Included {
  index: number;
  id: string;
  leaf: Leaf;
  checkpoint: WitnessedCheckpoint;
  proof: string;
}

/** The members as they are after some rules, and the changes that took effect, in order. */
interface Fold {
  ring: Keyring;
  changes: Applied["change"][];
}

const RULES: readonly Word[] = ["genesis", "propose", "approve", "accept", "revoke-key"];
const PAGE = 500;
/** The most changes of the rules that are folded here. */
const MOST_RULES = 4000;
/** Entries never change: what was verified once is kept, within bounds. */
const MOST_KEPT = 2000;
const LAST = Number.MAX_SAFE_INTEGER;

export class Verifier {
  /** Keys of the log that took the place of the anchors'. */
  private rotations: readonly Rotation[] = [];
  private rotating: Promise<void> | null = null;
  private rules: Included[] = [];
  /** The newest index that was there when the rules were read. */
  private scanned = -1;
  private scanning: Promise<void> | null = null;
  private rings = new Map<number, Promise<Fold>>();
  private kept = new Map<string, Promise<Proven>>();

  constructor(
    readonly anchors: Anchors,
    private readonly source: Source,
  ) {}

  /** Verifies an entry, by index or identifier. @throws Broken when it does not hold. */
  entry(wanted: number | string, steps = new Steps()): Promise<Proven> {
    const key = String(wanted);
    const there = this.kept.get(key);
    if (there !== undefined && steps.list.length === 0) {
      return there.then((proven) => {
        steps.list.push(...wordsOf(proven, this.needed(proven)));
        return proven;
      });
    }
    if (this.kept.size >= MOST_KEPT) this.kept.clear();
    const made = this.verify(wanted, steps);
    this.kept.set(key, made);
    // What failed may have failed by the network: it is tried anew.
    made.catch(() => this.kept.delete(key));
    return made;
  }

  private async verify(wanted: number | string, steps: Steps): Promise<Proven> {
    const found = await steps.check(
      "ledger",
      async () => {
        const made = await this.included(wanted);
        await this.covers(made.index);
        await this.again(made);
        return made;
      },
      (made) => ledgerWords(made, this.needed(made)),
    );
    const signed = await steps.check("signature", () => this.signed(found), signatureWords);
    return { ...found, signed };
  }

  private async signed(found: Included): Promise<Signed> {
    await this.covers(found.index);
    if (found.index === 0) {
      const [ring, signed] = await Keyring.begin(found.leaf);
      this.checkGenesis(ring);
      return signed;
    }
    return (await this.foldAt(found.index)).ring.verify(found.leaf, nameOf(found.index, found.leaf));
  }

  /** The newest state of the log that the site proves. */
  async newest(): Promise<WitnessedCheckpoint> {
    return (await this.included(0)).checkpoint;
  }

  /** The keys of a member that counted just before an index. */
  async keysAt(member: string, index: number): Promise<PublicKey[]> {
    await this.covers(index);
    return (await this.foldAt(index)).ring.liveKeys(member);
  }

  /** Whether a member had a role just before an index. */
  async hadRole(member: Id, role: Role, index: number): Promise<boolean> {
    await this.covers(index);
    return (await this.foldAt(index)).ring.hasRole(member, role);
  }

  /**
   * Verifies that an entry proposes exactly a change, as it is shown, and gives what is in force now.
   * @throws Broken when it proposes something else.
   */
  async proposal(id: string, shown: { change: Change; proposer: Id }): Promise<InForce> {
    const { leaf, signed } = await this.entry(id);
    const proposes = canonical({ propose: shown.change } as unknown as Json);
    if (canonical(leaf.entry.statement.body) !== proposes || signed.issuer !== shown.proposer) {
      throw new Broken(`proposal ${id.slice(0, 8)}`, "the site shows another change than its entry proposes: approve nothing here, and tell the other security officers");
    }
    return this.inForce();
  }

  /** What took effect on the ledger, read anew: nothing in it is the site's word. */
  async inForce(): Promise<InForce> {
    // A look that began before this call may have missed what was there by then.
    while (this.scanning !== null) await this.scanning.catch(() => {});
    await this.look();
    return inForce(await this.foldAt(LAST));
  }

  /** Verifies an entry and gives what it states. @throws Broken when it states another word. */
  async stated<W extends Body["word"]>(wanted: number | string, word: W): Promise<Stated<W>> {
    const proven = await this.entry(wanted);
    const { body } = proven.signed;
    if (body.word !== word) throw new Broken(`entry ${proven.index}`, `it states \`${body.word}\`, \`${word}\` is expected`);
    return { ...proven, value: body.value as Stated<W>["value"] };
  }

  /** The leaves of all changes of the rules among the first entries: what an audit folds. */
  async rulesWithin(size: number): Promise<{ index: number; leaf: Leaf; proof: string; size: number }[]> {
    await this.covers(size - 1);
    const within = this.rules.filter((rule) => rule.index < size);
    return within.map(({ index, leaf, proof, checkpoint }) => ({ index, leaf, proof, size: checkpoint.size }));
  }

  /** A leaf that stands in a witnessed log. */
  private async included(wanted: number | string): Promise<Included> {
    const what = typeof wanted === "number" ? `entry ${wanted}` : `entry ${wanted.slice(0, 8)}`;
    const [answer, proof] = await Promise.all([
      this.source.text(`/api/v1/entries/${wanted}`),
      this.source.text(`/api/v1/entries/${wanted}/proof`),
    ]);
    const value = parse(answer, what);
    if (!isObject(value)) throw new Broken(what, "an object is expected");
    const leaf = leafShape(value["leaf"] ?? null, what);
    const { index, checkpoint } = await this.witnessed(utf8(proof), leafBytes(leaf, what));
    const id = await entryId(leaf.entry);
    const same = typeof wanted === "number" ? wanted === index : wanted === id;
    if (!same) throw new Broken(what, `the site proves entry ${index} (${id.slice(0, 8)}) instead`);
    return { index, id, leaf, checkpoint, proof };
  }

  /** Verifies a proof under the keys in force, and looks for new ones when these did not sign it. */
  private async witnessed(proof: Bytes, leaf: Bytes): Promise<{ index: number; checkpoint: WitnessedCheckpoint }> {
    const verify = (): ReturnType<typeof verifyTlogProof> => verifyTlogProof((size) => policyAt(this.anchors.log, this.rotations, size), proof, leaf);
    const known = this.rotations;
    try {
      return await verify();
    } catch (error) {
      if (!(error instanceof Broken)) throw error;
      // Several proofs come at once after a rotation: one look is enough for all.
      this.rotating ??= this.rotated().finally(() => (this.rotating = null));
      await this.rotating;
      if (this.rotations === known) throw error;
      return verify();
    }
  }

  /** What was proven before a rotation was known must hold by the keys after it, too. */
  private async again({ leaf, index, proof }: Included): Promise<void> {
    const log = (size: number): LogPolicy => policyAt(this.anchors.log, this.rotations, size);
    if (this.rotations.length > 0) await verifyTlogProof(log, utf8(proof), leafBytes(leaf, `entry ${index}`));
  }

  /**
   * Reads which keys officers put in the place of the anchors'. Their signatures are verified here;
   * that the entries stand on the ledger is proven by a checkpoint under those keys, as they are used.
   */
  private async rotated(): Promise<void> {
    const indexes: number[] = [];
    for (const word of RULES) indexes.push(...(await this.indexesOf(word, new Set())));
    const told = await inTurn(indexes.sort((a, b) => a - b), async (index) => {
      const value = parse(await this.source.text(`/api/v1/entries/${index}`), `entry ${index}`);
      return { index, leaf: leafShape((isObject(value) ? value["leaf"] : null) ?? null, `entry ${index}`) };
    });
    const [first] = told;
    if (first === undefined || (await entryId(first.leaf.entry)) !== this.anchors.genesis) return;
    const rotations = await rotationsOf(told);
    if (rotations.length > this.rotations.length) this.rotations = rotations;
  }

  /** How many witnesses had to cosign what an entry was proven with. */
  private needed({ checkpoint }: Included): number {
    return policyAt(this.anchors.log, this.rotations, checkpoint.size).quorum;
  }

  private checkGenesis(ring: Keyring): void {
    if (ring.genesis === this.anchors.genesis) return;
    throw new Broken("the plant", `its first entry is ${ring.genesis.slice(0, 8)}, ${this.anchors.genesis.slice(0, 8)} is trusted`);
  }

  /** Reads what changed the rules up to an index. */
  private async covers(index: number): Promise<void> {
    // Another page's look may have begun before that entry was there.
    for (let looks = 0; looks < 2 && index > this.scanned; looks += 1) await (this.scanning ?? this.look());
    if (index > this.scanned) throw new Broken("the ledger", `the site lists ${this.scanned + 1} entries and proves entry ${index}`);
  }

  /** Reads the rules anew; one look ends before the next begins, for each adds to what is known. */
  private look(): Promise<void> {
    return (this.scanning = this.scan().finally(() => (this.scanning = null)));
  }

  private async scan(): Promise<void> {
    const [newest] = await this.list(`before=${LAST}&limit=1`);
    if (newest === undefined) throw new Broken("the ledger", "it is empty");
    const known = new Set(this.rules.map((rule) => rule.index));
    const indexes: number[] = [];
    for (const word of RULES) indexes.push(...(await this.indexesOf(word, known)));
    if (indexes.length + known.size > MOST_RULES) throw new Broken("the rules", `at most ${MOST_RULES} changes are folded here`);
    const added = await inTurn(indexes, (index) => this.included(index));
    const rules = [...this.rules, ...added].sort((a, b) => a.index - b.index);
    const rotations = await rotationsOf(rules);
    if (rotations.length > this.rotations.length) {
      this.rotations = rotations;
      await inTurn(rules, (rule) => this.again(rule));
    }
    this.rules = rules;
    // Rings of fewer rules stay what they are: only later ones changed.
    this.scanned = newest.index;
  }

  /** Where entries of a word stand that are not known yet, newest first. */
  private async indexesOf(word: Word, known: ReadonlySet<number>): Promise<number[]> {
    const found: number[] = [];
    let before = LAST;
    for (;;) {
      const page = await this.list(`word=${word}&before=${before}&limit=${PAGE}`);
      const fresh = page.map((event) => event.index).filter((index) => index < before && !known.has(index));
      found.push(...fresh);
      if (page.length < PAGE || fresh.length < page.length || found.length > MOST_RULES) return found;
      before = Math.min(...fresh);
    }
  }

  private async list(query: string): Promise<LedgerEvent[]> {
    return JSON.parse(await this.source.text(`/api/v1/entries?${query}`)) as LedgerEvent[];
  }

  /** The keys as they were just before an index. */
  private foldAt(index: number): Promise<Fold> {
    const before = this.rules.filter((rule) => rule.index < index);
    const last = before.at(-1)?.index ?? -1;
    const there = this.rings.get(last);
    if (there !== undefined) return there;
    const made = this.fold(before);
    if (this.rings.size >= 64) this.rings.clear();
    this.rings.set(last, made);
    made.catch(() => this.rings.delete(last));
    return made;
  }

  private async fold(rules: readonly Included[]): Promise<Fold> {
    const [first, ...rest] = rules;
    if (first?.index !== 0) throw new Broken("the plant", "its first entry is not shown");
    const [ring] = await Keyring.begin(first.leaf);
    this.checkGenesis(ring);
    const changes: Applied["change"][] = [];
    for (const { index, leaf } of rest) changes.push((await ring.apply(await ring.verify(leaf, nameOf(index, leaf)), index)).change);
    return { ring, changes };
  }
}

/** What took effect, as a page compares changes with it. */
function inForce({ ring, changes }: Fold): InForce {
  const members = [...ring.members].map(([id, { member, keys, accepted, revoked }]): [Id, MemberState] => [
    id, { member: { ...(member as Member), keys: keys.map(({ key }) => key) }, accepted: Object.fromEntries(accepted), revoked: Object.fromEntries(revoked) },
  ]);
  const now: InForce = { members: Object.fromEntries(members), programs: {}, templates: {}, policy: ring.anchors.policy, keys: firstKeys(ring) };
  for (const change of changes) {
    if (change?.word === "policy") now.policy = change.value.text;
    if (change?.word === "program") now.programs[change.value.id] = change.value;
    if (change?.word === "keys") now.keys = newKeys(now.keys ?? firstKeys(ring), change.value);
    if (change?.word === "template") now.templates[change.value.id] = change.value;
  }
  return now;
}

/** The plant's own keys as its genesis states them. */
function firstKeys({ anchors: { log, origin, witnesses, quorum, vault } }: Keyring): PlantKeys {
  return { log: { origin, log_key: log, witnesses, quorum }, vault };
}

function newKeys({ log, vault, authorities }: PlantKeys, keys: Keys): PlantKeys {
  const { keys: witnesses, quorum } = keys.witnesses ?? { keys: log.witnesses, quorum: log.quorum };
  return {
    log: { ...log, log_key: keys.log ?? log.log_key, witnesses, quorum },
    vault: keys.vault ?? vault,
    authorities: keys.authorities ?? authorities ?? null,
  };
}

function nameOf(index: number, leaf: Leaf): string {
  const body = leaf.entry.statement.body;
  const [word] = isObject(body) ? Object.keys(body) : [];
  return `entry ${index} (${word ?? "unknown"})`;
}

function ledgerWords({ index, id, checkpoint }: Included, needed: number): string {
  const { origin, size, root, witnesses, witnessedAt } = checkpoint;
  const time = new Date(witnessedAt).toISOString().slice(0, 19).replace("T", " ");
  return (
    `Its text hashes to ${id.slice(0, 8)}…; that leaf stands at index ${index} of log ${origin} with ${size} entries (root ${toHex(root).slice(0, 8)}…). ` +
    `The log signed that state, and ${witnesses.join(", ")} cosigned it by ${time} UTC (${needed} needed).`
  );
}

function signatureWords(signed: Signed): string {
  const means = signed.userVerified ? "with a passkey that checked the person" : "with a key file";
  return `${signed.issuer} signed exactly this text ${means}; key ${signed.key.slice(0, 8)}… was enrolled at that place of the ledger, and no revocation before it was shown.`;
}

function wordsOf(proven: Proven, needed: number): { name: string; ok: true; words: string }[] {
  return [
    { name: "ledger", ok: true, words: ledgerWords(proven, needed) },
    { name: "signature", ok: true, words: signatureWords(proven.signed) },
  ];
}

/** Maps with a few at a time, so that neither browser nor site is flooded. */
export async function inTurn<T, R>(items: readonly T[], work: (item: T) => Promise<R>, abreast = 6): Promise<R[]> {
  const made: R[] = new Array<R>(items.length);
  let next = 0;
  const lane = async (): Promise<void> => {
    for (let at = next++; at < items.length; at = next++) made[at] = await work(items[at] as T);
  };
  await Promise.all(Array.from({ length: Math.min(abreast, items.length) }, lane));
  return made;
}

/** Refuses bytes that are not those of a digest. */
export async function mustBe(what: string, bytes: Uint8Array | string, digest: string): Promise<void> {
  const found = await sha256Hex(bytes);
  if (found !== digest) throw new Broken(what, `its SHA-256 is ${found.slice(0, 12)}…, ${digest.slice(0, 12)}… stands on the ledger`);
}
