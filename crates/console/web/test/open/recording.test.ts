import fc from "fast-check";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { asBlob, OpenError, openRecording, SealedRecording, type Options, type Progress, type States } from "../../src/lib/open";
import { parseCid, verifyBlock } from "../../src/lib/open/cid";
import { leavesOf } from "../../src/lib/open/dag";
import { readPictures, readStates } from "../../src/lib/open/mcap";
import { ensureSealKey, findSealKey, forgetSealKey, sealText } from "../../src/lib/open/sealkey";
import { SEGMENT } from "../../src/lib/open/stream";
import { memoryShelf, remove, seal, SEALED, site, truth, type Change } from "./sealed";

type Row = {
  n: number;
  host_ns: string;
  mode: number;
  safety: number;
  runtime: number;
  speed_scaling: number;
  viewpoint: number;
  token: number;
  outcome: number;
} & Record<"q" | "qd" | "current" | "tcp_pose" | "tcp_force", number[]>;
type Shot = {
  host_ns: string;
  camera: string;
  part: string;
  viewpoint: number;
  pose: number[];
  media_type: string;
  width: number;
  height: number;
  sha256: string;
};

const SIX = ["q", "qd", "current", "tcp_pose", "tcp_force"] as const;

type Sealed = Awaited<ReturnType<typeof seal>>;

function options(made: Sealed, stream: "state" | "camera", change?: Change, asked?: string[]): Options {
  const { grant, sealKey, cellKeys } = made;
  return { grant, sealKey, cellKeys, root: made.root[stream], fetch: site(made, change, asked) };
}

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

function flip(bytes: Uint8Array, at: number): Uint8Array {
  return Uint8Array.from(bytes).with(at, (bytes[at] ?? 0) ^ 1);
}

/** The state that holds at a time: the last change before it. */
function stateAt(states: States, t: number) {
  return states.changes.findLast(({ at }) => at <= t);
}

describe("a person's key", () => {
  it("is made once, kept, and does not leave", async () => {
    const shelf = memoryShelf();
    const owner = { site: "hall-7", member: "mara" };
    expect(await findSealKey(owner, shelf)).toBeNull();
    const key = await ensureSealKey(owner, shelf);
    expect(key.public.length).toBe(32);
    expect(sealText(key)).toMatch(/^[A-Za-z0-9_-]{43}$/);
    expect(key.privateKey.extractable).toBe(false);
    await expect(crypto.subtle.exportKey("pkcs8", key.privateKey)).rejects.toThrow();
    expect(await ensureSealKey(owner, shelf)).toBe(key);
    expect((await ensureSealKey({ ...owner, member: "ines" }, shelf)).public).not.toEqual(key.public);
    await forgetSealKey(owner, shelf);
    expect(await findSealKey(owner, shelf)).toBeNull();
  });

  it("says so where there is no database", async () => {
    await expect(findSealKey({ site: "s", member: "m" })).rejects.toMatchObject({ kind: "unsupported" });
  });
});

describe.skipIf(SEALED === "")("a granted recording", () => {
  let made: Sealed;
  beforeAll(async () => {
    made = await seal();
  });
  afterAll(() => remove(made));

  it("opens to the very plaintext, in order and at any place", async () => {
    for (const stream of ["state", "camera"] as const) {
      const recording = await SealedRecording.open(options(made, stream));
      const parts: Uint8Array[] = [];
      for await (const part of recording) parts.push(part);
      const { plain } = truth(made, stream);
      expect(parts.length).toBe(recording.segments);
      expect(sha256(Buffer.concat(parts))).toBe(sha256(plain));
      const again = await SealedRecording.open(options(made, stream));
      const last = again.segments - 1;
      expect(sha256(await again.segment(last))).toBe(sha256(parts[last]!));
      expect(sha256(await again.segment(0))).toBe(sha256(parts[0]!));
      await expect(again.segment(last + 1)).rejects.toMatchObject({ kind: "limit" });
    }
  });

  it("gives every state as it was recorded", async () => {
    const { states, pictures, manifest, checkpoints } = await openRecording(options(made, "state"));
    const { told } = truth<Row>(made, "state");
    expect(pictures).toBeNull();
    expect(checkpoints.at(-1)).toMatchObject({ phase: "final", samples: 1200 });
    expect([states!.bucket, states!.samples, states!.t.length]).toEqual([1, 1200, manifest.samples]);
    expect(told.length).toBeGreaterThan(500);
    for (const row of told) {
      const t = Number(BigInt(row.host_ns) / 1000n) / 1000;
      expect(states!.t[row.n]).toBe(t);
      for (const name of SIX) expect(states![name].map((each) => each[row.n])).toEqual(row[name]);
      expect(states!.speed_scaling[row.n]).toBe(row.speed_scaling);
      const { mode, safety, runtime, viewpoint, token, outcome } = row;
      expect(stateAt(states!, t)).toMatchObject({ mode, safety, runtime, viewpoint, token, outcome });
    }
  });

  it("gives every picture as it was taken", async () => {
    const seen: string[] = [];
    const onPicture: Options["onPicture"] = (picture) => seen.push(sha256(picture.bytes));
    const { states, pictures } = await openRecording({ ...options(made, "camera"), onPicture });
    const { told } = truth<Shot>(made, "camera");
    expect(states).toBeNull();
    expect(pictures!.count).toBe(told.length);
    expect(seen).toEqual(told.map((shot) => shot.sha256));
    for (const [i, shot] of told.entries()) {
      const picture = pictures!.kept[i]!;
      expect(sha256(picture.bytes)).toBe(shot.sha256);
      const { viewpoint, camera, part, pose, width, height } = shot;
      expect(picture).toMatchObject({ viewpoint, camera, part, pose, width, height, mediaType: shot.media_type });
      expect(picture.at).toBe(Number(BigInt(shot.host_ns) / 1000n) / 1000);
      expect(asBlob(picture)).toMatchObject({ type: shot.media_type, size: picture.bytes.length });
    }
  });

  it("tells how far it is, and asks for no more than it needs", async () => {
    const [steps, asked]: [Progress[], string[]] = [[], []];
    const onProgress = (progress: Progress) => void steps.push(progress);
    const { manifest } = await openRecording({ ...options(made, "camera", undefined, asked), onProgress });
    expect([...new Set(steps.map(({ step }) => step))]).toEqual(["manifest", "tree", "checkpoints", "key", "segments"]);
    expect(steps.at(-1)).toEqual({ step: "segments", done: manifest.ciphertext_bytes, total: manifest.ciphertext_bytes });
    // Each read is an entry on the ledger: one for the key, one a node, one a leaf.
    expect(asked.filter((path) => path.startsWith("/ipfs/")).length).toBe(manifest.leaves + 1);
    expect(asked.filter((path) => path.includes("/keys/")).length).toBe(1);
    expect(new Set(asked).size).toBe(asked.length);
  });

  it("is refused in words when what was sealed is not what the manifest counts, or is not whole", async () => {
    const { plain } = truth(made, "state");
    async function* file(bytes: Uint8Array) {
      for (let at = 0; at < bytes.length; at += 100_000) yield bytes.subarray(at, at + 100_000);
    }
    const format = { name: "OpenError", kind: "format" };
    expect((await readStates(file(plain), 1200)).samples).toBe(1200);
    for (const samples of [1199, 1201, 0]) await expect(readStates(file(plain), samples)).rejects.toMatchObject(format);
    await expect(readStates(file(plain.subarray(0, -1)), 1200)).rejects.toMatchObject(format);
    await expect(readStates(file(truth(made, "camera").plain), 5)).rejects.toMatchObject(format);
    await expect(readPictures(file(plain), 1)).rejects.toMatchObject(format);
    const places = fc.array(fc.nat(plain.length - 1), { minLength: 1, maxLength: 3 });
    await fc.assert(
      fc.asyncProperty(places, async (changed) => {
        const bytes = changed.reduce<Uint8Array>(flip, plain);
        const read = await readStates(file(bytes), 1200).catch((error: unknown) => error);
        if (read instanceof Error) expect(read).toBeInstanceOf(OpenError);
      }),
      { numRuns: 60 },
    );
  });

  it("stops when told to", async () => {
    const stop = new AbortController();
    const onProgress = ({ step, done }: Progress) => step === "segments" && done > 0 && stop.abort();
    const opened = openRecording({ ...options(made, "camera"), signal: stop.signal, onProgress: (p) => void onProgress(p) });
    await expect(opened).rejects.toMatchObject({ name: "OpenError", kind: "stopped" });
    await expect(openRecording({ ...options(made, "state"), signal: AbortSignal.abort() })).rejects.toMatchObject({ kind: "stopped" });
  });

  it("reads a tree of three levels", async () => {
    const block = async ({ text }: { text: string }) => readFileSync(join(made.folder, "blocks", text));
    const leaves = await leavesOf(parseCid(made.tree.root)!, 1000, async (cid) => {
      const bytes = await block(cid);
      await verifyBlock(cid, bytes);
      return bytes;
    });
    expect(leaves.map(({ cid }) => cid.text)).toEqual(made.tree.leaves);
    expect(leaves.reduce((sum, { size }) => sum + (size ?? 0), 0)).toBe(made.tree.size);
    await expect(leavesOf(parseCid(made.tree.root)!, 399, block)).rejects.toMatchObject({ kind: "limit" });
  });

  /** What a thief, a liar or an accident could do to the answers. */
  const at = (part: string, change: Change): Change => (path, bytes) => (path.includes(part) ? change(path, bytes) : bytes);
  const edit = (from: string | RegExp, to: string): Change => (_, bytes) => Buffer.from(bytes.toString().replace(from, to));
  const problem = (status: number, body: unknown) => () => new Response(JSON.stringify(body), { status });
  const line = (keep: (lines: string[]) => string[]): Change => (_, bytes) =>
    Buffer.from(keep(bytes.toString().trim().split("\n")).join("\n"));
  const attacks: [string, string, Change][] = [
    ["a byte of ciphertext", "forged", at("/ipfs/bafkrei", (_, bytes) => flip(bytes, 500))],
    ["a byte of a node", "forged", at("/ipfs/bafybei", (_, bytes) => flip(bytes, 50))],
    ["a cut block", "forged", at("/ipfs/bafkrei", (_, bytes) => bytes.subarray(1))],
    ["a block without end", "limit", at("/ipfs/bafkrei", () => new Uint8Array(SEGMENT + 1))],
    ["a manifest without end", "limit", at("/manifest", () => new Uint8Array(70_000).fill(32))],
    ["an edited manifest", "forged", at("/manifest", edit('"samples":5', '"samples":4'))],
    ["a manifest with more in it", "forged", at("/manifest", edit('{"claim":{', '{"claim":{"more":1,'))],
    ["a manifest that says a thing twice", "forged", at("/manifest", edit('{"claim":{', '{"claim":{"samples":5,'))],
    ["another recording's manifest", "forged", at("/manifest", () => readFileSync(join(made.folder, "state", "manifest.json")))],
    ["no manifest", "forged", at("/manifest", () => Buffer.from("null"))],
    ["a manifest that is not text", "forged", at("/manifest", () => Uint8Array.of(0xff, 0xfe))],
    ["an edited checkpoint", "forged", at("/checkpoints", edit('"seq":1', '"seq":2'))],
    ["a dropped checkpoint", "forged", at("/checkpoints", line((lines) => lines.toSpliced(0, 1)))],
    ["checkpoints without their end", "forged", at("/checkpoints", line((lines) => lines.slice(0, -1)))],
    ["checkpoints in another order", "forged", at("/checkpoints", line((lines) => lines.toReversed()))],
    ["a checkpoint twice", "forged", at("/checkpoints", line((lines) => [...lines, ...lines.slice(-1)]))],
    ["no checkpoints", "forged", at("/checkpoints", () => Buffer.from(""))],
    ["another recording's checkpoints", "forged", at("/checkpoints", () => readFileSync(join(made.folder, "state", "checkpoints.jsonl")))],
    ["another recording's key", "closed", at("/keys/", () => readFileSync(join(made.folder, "state", "key.json")))],
    ["a key that the manifest does not commit to", "closed", at("/keys/", () => readFileSync(join(made.folder, "camera", "other-key.json")))],
    ["an edited key", "closed", at("/keys/", (_, bytes) => {
      const key = JSON.parse(bytes.toString()) as { ciphertext: string };
      const first = key.ciphertext.startsWith("A") ? "B" : "A";
      return Buffer.from(JSON.stringify({ ...key, ciphertext: first + key.ciphertext.slice(1) }));
    })],
    ["a key that is none", "forged", at("/keys/", () => Buffer.from('{"enc":"!","ciphertext":""}'))],
    ["a refusal", "refused", at("/keys/", problem(403, { detail: "the grant is spent", accepted: "a new grant" }))],
    ["a refusal without words", "refused", at("/ipfs/", problem(404, {}))],
    ["a failing site", "unreachable", at("/checkpoints", problem(500, { detail: "the disk is full" }))],
    ["a site that is gone", "unreachable", at("/manifest", () => { throw new TypeError("failed to fetch"); })],
  ];
  it.each(attacks)("is not opened with %s", async (_, kind, change) => {
    const opened = openRecording(options(made, "camera", change));
    await expect(opened).rejects.toMatchObject({ name: "OpenError", kind });
  });

  it("waits for a site that logs no more reads in this minute, and stops when told to", async () => {
    const limited = (times: number) => {
      let left = times;
      return at("/ipfs/", (_, bytes) => (left-- > 0 ? new Response("{}", { status: 429 }) : bytes));
    };
    const [later, timer] = [globalThis.setTimeout, vi.spyOn(globalThis, "setTimeout")];
    try {
      timer.mockImplementation((run) => later(run, 0));
      const opened = await openRecording(options(made, "state", limited(3)));
      expect(opened.states).not.toBeNull();
      const never = openRecording(options(made, "state", limited(Infinity)));
      await expect(never).rejects.toMatchObject({ kind: "refused" });

      const stop = new AbortController();
      timer.mockImplementation(() => {
        later(() => stop.abort(), 0);
        return later(() => undefined, 0);
      });
      const stopped = openRecording({ ...options(made, "state", limited(Infinity)), signal: stop.signal });
      await expect(stopped).rejects.toMatchObject({ kind: "stopped" });
    } finally {
      timer.mockRestore();
    }
  });

  it("says what the site said", async () => {
    const change = at("/keys/", problem(403, { detail: "the grant is spent", accepted: "a new grant" }));
    const opened = openRecording(options(made, "state", change));
    await expect(opened).rejects.toThrow("the grant is spent; accepted would be: a new grant");
    const other = at("/keys/", () => readFileSync(join(made.folder, "state", "other-key.json")));
    await expect(openRecording(options(made, "state", other))).rejects.toThrow("manifest commits to");
  });

  it("is not opened with leaves in another order", async () => {
    const { leaves, swap } = await camera();
    const opened = openRecording(options(made, "camera", at("/ipfs/", swap(leaves[1]!, leaves[2]!))));
    await expect(opened).rejects.toMatchObject({ kind: "forged" });
  });

  it.each<[string, string, (made: Sealed) => Partial<Options>]>([
    ["under another cell's key", "forged", () => ({ cellKeys: [new Uint8Array(32).fill(7)] })],
    ["under no key", "forged", () => ({ cellKeys: [] })],
    ["against another manifest on the ledger", "forged", () => ({ manifest: "00".repeat(32) })],
    ["with another person's key", "closed", ({ sealKey }) => ({ sealKey: { ...sealKey, public: sealKey.public.with(0, 1) } })],
    ["under other terms", "closed", ({ grant }) => ({ grant: { ...grant, terms: grant.terms.slice(1) } })],
    ["under a grant that does not name it", "refused", ({ grant }) => ({ grant: { ...grant, recordings: [] } })],
    ["under a grant without a name", "forged", ({ grant }) => ({ grant: { ...grant, id: "../x" } })],
    ["by a name that is no address", "refused", () => ({ root: "../../etc" })],
  ])("is not opened %s", async (_, kind, other) => {
    const opened = openRecording({ ...options(made, "camera"), ...other(made) });
    await expect(opened).rejects.toMatchObject({ name: "OpenError", kind });
  });

  it("is opened under the manifest that the ledger names, by whichever of the cell's keys signed", async () => {
    const manifest = sha256(readFileSync(join(made.folder, "camera", "manifest.json")));
    const cellKeys = [new Uint8Array(32).fill(7), ...made.cellKeys];
    const { pictures } = await openRecording({ ...options(made, "camera"), manifest, cellKeys });
    expect(pictures?.count).toBe(5);
  });

  /** The camera recording's leaves, and a change that answers for one with the other. */
  async function camera() {
    const block = (text: string) => readFileSync(join(made.folder, "blocks", text));
    const found = await leavesOf(parseCid(made.root.camera)!, 100, async ({ text }) => block(text));
    const leaves = found.map(({ cid }) => cid.text);
    const swap = (a: string, b: string): Change => (path, bytes) =>
      path.includes(a) ? block(b) : path.includes(b) ? block(a) : bytes;
    return { leaves, swap };
  }
});

describe.skipIf(SEALED === "")("a long recording", () => {
  let made: Sealed;
  const samples = 45_000;
  beforeAll(async () => {
    made = await seal("--samples", `${samples}`, "--pictures", "150", "--picture-bytes", "20000");
  });
  afterAll(() => remove(made));

  it("keeps every peak in bounded memory", async () => {
    const { states } = await openRecording(options(made, "state"));
    const { told } = truth<Row>(made, "state");
    const { t, q, tcp_force, bucket } = states!;
    expect(states!.samples).toBe(samples);
    expect(t.length).toBeLessThanOrEqual(20_000);
    expect(bucket).toBe(5);
    expect(t.every((at, i) => i === 0 || at >= t[i - 1]!)).toBe(true);
    const millis = (row: Row) => Number(BigInt(row.host_ns) / 1000n) / 1000;
    const stands = (values: Float64Array, value: number) => t[values.indexOf(value)]!;
    const peak = told.find(({ q: [, , third] }) => third === 9)!;
    const pull = told.find(({ tcp_force: [x] }) => x === -250)!;
    // At most a bucket, of 2 ms samples, from its true time.
    expect(Math.abs(stands(q[2]!, 9) - millis(peak))).toBeLessThanOrEqual(bucket * 2);
    expect(Math.abs(stands(tcp_force[0]!, -250) - millis(pull))).toBeLessThanOrEqual(bucket * 2);
    for (const row of told) {
      const bounds = row.n - (row.n % bucket);
      const points = [...t.keys()].slice((bounds / bucket) * 2, (bounds / bucket) * 2 + 2);
      const values = points.map((i) => q[0]![i]!);
      expect(Math.min(...values)).toBeLessThanOrEqual(row.q[0]!);
      expect(Math.max(...values)).toBeGreaterThanOrEqual(row.q[0]!);
      expect(stateAt(states!, millis(row))).toMatchObject({ viewpoint: row.viewpoint, safety: row.safety });
    }
  });

  it("keeps pictures evenly", async () => {
    const { pictures } = await openRecording(options(made, "camera"));
    expect(pictures!.count).toBe(150);
    expect(pictures!.kept.map(({ viewpoint }) => viewpoint)).toEqual(Array.from({ length: 50 }, (_, i) => 3 * i + 1));
  });
});
