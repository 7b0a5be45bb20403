/** A small plant with real keys, a real Merkle log and a real witness, served from memory. */
import { canonical, concat, leafHash, nodeHash, sha256, sha256Hex, toBase64, toBase64Url, utf8, type Json } from "../../src/lib/verify";
import type { LedgerEvent } from "../../src/lib/ledger/types";

interface Key {
  pair: CryptoKeyPair;
  raw: Uint8Array;
}

async function newKey(): Promise<Key> {
  const pair = (await crypto.subtle.generateKey("Ed25519", true, ["sign", "verify"])) as CryptoKeyPair;
  return { pair, raw: new Uint8Array(await crypto.subtle.exportKey("raw", pair.publicKey)) };
}

async function sign(key: Key, message: Uint8Array): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.sign("Ed25519", key.pair.privateKey, message as BufferSource));
}

async function vkey(name: string, kind: 1 | 4, key: Key): Promise<{ text: string; id: Uint8Array }> {
  const id = (await sha256(utf8(`${name}\n`), Uint8Array.of(kind), key.raw)).slice(0, 4);
  const hex = Buffer.from(id).toString("hex");
  return { text: `${name}+${hex}+${toBase64(concat(Uint8Array.of(kind), key.raw))}`, id };
}

const ROLES: Record<string, string[]> = {
  ada: ["security-officer"], bo: ["security-officer"], olga: ["operator"], lab: ["processor"], "cell-1": ["cell"], site: ["site"],
};
const NAMES: Record<string, string> = { ada: "Ada Lund", bo: "Bo Keller", olga: "Olga Roth", lab: "Outside lab", "cell-1": "Cell 1", site: "The site" };

export class TestPlant {
  readonly events: LedgerEvent[] = [];
  readonly leaves: string[] = [];
  readonly manifests = new Map<string, string>();
  readonly blobs = new Map<string, Uint8Array>();
  readonly keys = new Map<string, Key>();
  anchors: { genesis: string; log: Json; site: string } = { genesis: "", log: null, site: "hall-7" };
  now: number;
  private log!: { key: Key; id: Uint8Array };
  private witness!: { key: Key; id: Uint8Array };

  private constructor(now: number) {
    this.now = now;
  }

  static async begin(now = 1_790_000_000_000): Promise<TestPlant> {
    const plant = new TestPlant(now);
    for (const id of Object.keys(ROLES)) plant.keys.set(id, await newKey());
    const [log, witness] = [await newKey(), await newKey()];
    const [logKey, witnessKey] = [await vkey("hall-7.example/log", 1, log), await vkey("w1.example", 4, witness)];
    plant.log = { key: log, id: logKey.id };
    plant.witness = { key: witness, id: witnessKey.id };
    const members = Object.entries(ROLES).map(([id, roles]) => plant.member(id, roles));
    const genesis = await plant.state("ada", {
      genesis: {
        clock_skew_ms: 5000, freshness_ms: 10_000, issuer: "did:web:hall-7.example", log: logKey.text, members, name: "Hall 7",
        origin: "hall-7.example/log", policy: "permit(principal, action, resource);", quorum: 1, vault: toBase64Url(new Uint8Array(32)), witnesses: [witnessKey.text],
      },
    });
    const log2 = { log_key: logKey.text, origin: "hall-7.example/log", quorum: 1, witnesses: [witnessKey.text] };
    plant.anchors = { genesis: genesis.id, log: log2, site: "hall-7" };
    return plant;
  }

  /** Puts a new log key and a new witness in force, and signs with them from that entry on. */
  async rotate(officers: readonly [string, string] = ["ada", "bo"]): Promise<{ keys: Json; retire: () => void }> {
    const [log, witness] = [await newKey(), await newKey()];
    const [logKey, witnessKey] = [await vkey("hall-7.example/log", 1, log), await vkey("w1.example", 4, witness)];
    const keys = { log: logKey.text, vault: toBase64Url(log.raw.slice().reverse()), witnesses: { keys: [witnessKey.text], quorum: 1 } };
    const proposal = await this.state(officers[0], { propose: { keys } });
    await this.state(officers[1], { approve: { proposal: proposal.id } });
    const [oldLog, oldWitness] = [this.log, this.witness];
    this.log = { key: log, id: logKey.id };
    this.witness = { key: witness, id: witnessKey.id };
    // A thief goes on with what was replaced.
    return { keys, retire: () => ([this.log, this.witness] = [oldLog, oldWitness]) };
  }

  member(id: string, roles: string[]): Json {
    const key = this.keys.get(id);
    const seal = id === "lab" ? { seal: toBase64Url(new Uint8Array(32).fill(7)) } : {};
    return { id, keys: [{ ed25519: toBase64Url(key?.raw ?? new Uint8Array()) }], name: NAMES[id] ?? id, roles, ...seal };
  }

  async state(issuer: string, body: Json): Promise<LedgerEvent> {
    const key = this.keys.get(issuer);
    if (key === undefined) throw new Error(issuer);
    const print = await sha256Hex(canonical({ ed25519: toBase64Url(key.raw) }));
    this.now += 1000;
    const nonce = toBase64Url(crypto.getRandomValues(new Uint8Array(16)));
    const statement = { at: this.now, body, issuer, key: print, nonce, site: "hall-7", v: "interlock/1" };
    const bytes = utf8(canonical(statement));
    const signature = toBase64Url(await sign(key, concat(utf8("interlock/entry/v1\0"), bytes)));
    const logged_at = this.now + 20;
    this.leaves.push(canonical({ entry: { signature: { ed25519: signature }, statement }, logged_at }));
    const event: LedgerEvent = { index: this.events.length, id: await sha256Hex(bytes), issuer, logged_at, body: body as unknown as LedgerEvent["body"] };
    this.events.push(event);
    return event;
  }

  /** A whole run: order to report. */
  async run(part: string): Promise<{ order: LedgerEvent; roots: string[]; grant: LedgerEvent; report: LedgerEvent }> {
    const program = { id: "scan", sha256: "ab".repeat(32) };
    const order = await this.state("olga", { order: { cell: "cell-1", max_lag: 100, not_after: this.now + 600_000, not_before: this.now - 1000, parameters: { speed: 60 }, part, program } });
    await this.state("cell-1", { "run-started": { checkpoint: order.index + 1, order: order.id } });
    const roots: string[] = [];
    for (const stream of ["camera", "state"]) {
      const root = `bafybei${part.replace(/[^a-z0-9]/g, "")}${stream}aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa`;
      const manifest = await this.manifest(order.id, root, stream);
      await this.state("cell-1", { recording: { bytes: 1016, commitment: "cd".repeat(32), manifest, order: order.id, root, stream } });
      roots.push(root);
    }
    await this.state("cell-1", { "run-ended": { lost: 0, order: order.id, outcome: "finished", reason: "", samples: 4000, viewpoints: 6 } });
    const terms = [{ enforcement: "enforced", text: "only the named recordings are served, by their CIDs" }, { enforcement: "contractual", text: "the data is used for the stated purpose only" }];
    const grant = await this.state("ada", { grant: { budget: 1 << 20, not_after: this.now + 3_600_000, not_before: this.now - 60_000, order: order.id, processor: "lab", purpose: "identity and inspection of the part", recordings: [...roots].sort(), terms } });
    for (const root of roots) {
      await this.state("site", { read: { bytes: 32, cid: "key", grant: grant.id, root } });
      await this.state("site", { read: { bytes: 1016, cid: root, grant: grant.id, root } });
    }
    const picture = utf8(`picture of ${part}`);
    const sha = await sha256Hex(picture);
    this.blobs.set(sha, picture);
    const report = await this.state("lab", {
      report: {
        analyses: [{ details: { views: [] }, name: "identity", program: "12".repeat(32), score: 1, threshold: 0.25, verdict: "enrolled" }],
        grant: grant.id, inputs: [...roots].sort(), order: order.id, part, pictures: [{ media_type: "image/png", name: "photograph: view-1", sha256: sha }], software: "34".repeat(32),
      },
    });
    return { order, roots, grant, report };
  }

  private async manifest(order: string, root: string, stream: string): Promise<string> {
    const recording = `${stream}-${order.slice(0, 8)}`;
    const claim = {
      recording, run: "run-1", order, stream, media_type: "application/mcap", cell: "cell-1", robot: "ur5e", cameras: stream === "camera" ? ["wrist"] : [], root_cid: root, leaves: 1,
      leaves_root: "ef".repeat(32), plaintext_bytes: 960, ciphertext_bytes: 1016,
      sealing: { template: "AES256_GCM_HKDF_1MB", segment_bytes: 1_048_576, associated_data: recording, key_commitment: "cd".repeat(32) },
      started: this.now, ended: this.now + 9000, samples: 4000, gaps: 0, last_checkpoint: "aa".repeat(32),
    };
    const key = this.keys.get("cell-1");
    if (key === undefined) throw new Error("cell-1");
    const signature = toBase64Url(await sign(key, concat(utf8("interlock/recording-manifest/v1\0"), utf8(canonical(claim)))));
    const text = canonical({ claim, signature });
    this.manifests.set(root, text);
    return sha256Hex(text);
  }

  /** The hash of leaves `from` to `to`, as RFC 6962 §2.1 has it. */
  private async tree(from: number, to: number): Promise<Uint8Array> {
    if (to - from === 1) return leafHash(utf8(this.leaves[from] ?? ""));
    const split = half(to - from);
    return nodeHash(await this.tree(from, from + split), await this.tree(from + split, to));
  }

  private async path(index: number, from: number, to: number): Promise<Uint8Array[]> {
    if (to - from === 1) return [];
    const split = from + half(to - from);
    return index < split ? [...(await this.path(index, from, split)), await this.tree(split, to)] : [...(await this.path(index, split, to)), await this.tree(from, split)];
  }

  async proof(index: number): Promise<string> {
    const size = this.leaves.length;
    const text = `hall-7.example/log\n${size}\n${toBase64(await this.tree(0, size))}\n`;
    const log = toBase64(concat(this.log.id, await sign(this.log.key, utf8(text))));
    const time = BigInt(Math.floor(this.now / 1000));
    const stamp = new Uint8Array(8);
    new DataView(stamp.buffer).setBigUint64(0, time);
    const cosigned = await sign(this.witness.key, utf8(`cosignature/v1\ntime ${time}\n${text}`));
    const witness = toBase64(concat(this.witness.id, stamp, cosigned));
    const hashes = (await this.path(index, 0, size)).map((hash) => `${toBase64(hash)}\n`).join("");
    return `c2sp.org/tlog-proof@v1\nindex ${index}\n${hashes}\n${text}\n\u2014 hall-7.example/log ${log}\n\u2014 w1.example ${witness}\n`;
  }

  private index(ref: string): number {
    return /^\d{1,15}$/.test(ref) ? Number(ref) : this.events.findIndex((event) => event.id === ref);
  }

  /** Answers as the site would; null for what it does not have. */
  async answer(path: string): Promise<string | Uint8Array | null> {
    const url = new URL(path, "https://hall-7.example");
    const [, , , part = "", ref = "", what = ""] = url.pathname.split("/");
    if (part === "entries" && ref === "") return JSON.stringify(this.page(url.searchParams));
    if (part === "entries") {
      const index = this.index(ref);
      const leaf = this.leaves[index];
      if (leaf === undefined) return null;
      return what === "proof" ? this.proof(index) : `{"index":${index},"leaf":${leaf}}`;
    }
    if (part === "recordings") return this.manifests.get(ref) ?? null;
    if (part === "blobs") return this.blobs.get(ref) ?? null;
    if (part === "orders") return JSON.stringify(this.concerning(ref));
    return null;
  }

  private page(query: URLSearchParams): LedgerEvent[] {
    const [before, limit] = [Number(query.get("before") ?? Infinity), Number(query.get("limit") ?? 500)];
    const [word, issuer] = [query.get("word"), query.get("issuer")];
    const fits = (event: LedgerEvent): boolean => event.index < before && (word === null || word in event.body) && (issuer === null || issuer === event.issuer);
    return this.events.filter(fits).reverse().slice(0, limit);
  }

  /** The entries that concern an order. */
  concerning(order: string): LedgerEvent[] {
    const text = (event: LedgerEvent): string => JSON.stringify(event.body);
    const ids = new Set([order]);
    const roots = new Set<string>();
    const found: LedgerEvent[] = [];
    for (const event of this.events) {
      const body = text(event);
      if (event.id !== order && ![...ids, ...roots].some((id) => body.includes(id))) continue;
      found.push(event);
      if ("grant" in event.body || "report" in event.body) ids.add(event.id);
      if ("recording" in event.body) roots.add(event.body.recording.root);
    }
    return found;
  }
}

/** The largest power of two below n. */
function half(n: number): number {
  let split = 1;
  while (split * 2 < n) split *= 2;
  return split;
}
