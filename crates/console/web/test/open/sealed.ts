/**
 * Real sealed recordings, made by the product's own crates: `SEALED` is the path of
 * testkit's `sealed`. A site that serves them stands in for the network alone.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ensureSealKey, type Fetch, type GrantTerms, type Owner, type SealKey } from "../../src/lib/open";
import { browserShelf } from "../../src/lib/open/sealkey";
import { fromHex, toHex, type Bytes } from "../../src/lib/verify/bytes";

export const SEALED = process.env["SEALED"] ?? "";
if (SEALED === "") console.warn("SEALED is not set: opening real recordings is not tested");

/** Keys in memory, where there is no browser. */
export function memoryShelf(): typeof browserShelf {
  const keys = new Map<string, SealKey>();
  const name = ({ site, member }: Owner) => JSON.stringify([site, member]);
  return {
    get: async (owner) => keys.get(name(owner)) ?? null,
    add: async (owner, key) => {
      const there = keys.get(name(owner)) ?? key;
      keys.set(name(owner), there);
      return there;
    },
    remove: async (owner) => void keys.delete(name(owner)),
  };
}

export interface Made {
  folder: string;
  grant: GrantTerms;
  cellKeys: Bytes[];
  root: { state: string; camera: string };
  tree: { root: string; size: number; leaves: string[] };
}

/** Seals recordings for a fresh reader. */
export async function seal(...options: string[]): Promise<Made & { sealKey: SealKey }> {
  const sealKey = await ensureSealKey({ site: "hall-7", member: "mara" }, memoryShelf());
  return { ...sealTo(sealKey.public, ...options), sealKey };
}

/** Seals recordings for the owner of an X25519 key. */
export function sealTo(recipient: Uint8Array, ...options: string[]): Made {
  const folder = mkdtempSync(join(tmpdir(), "sealed-"));
  execFileSync(SEALED, [folder, "--recipient", toHex(recipient), ...options]);
  const made = JSON.parse(readFileSync(join(folder, "sealed.json"), "utf8"));
  const { state, camera, tree, grant } = made;
  return {
    folder,
    grant: { id: grant.id, ...grant.body },
    cellKeys: [fromHex(made.cell_key, "the cell's key")],
    root: { state, camera },
    tree,
  };
}

export function remove(made: Made | undefined): void {
  if (made !== undefined) rmSync(made.folder, { recursive: true });
}

/** The plaintext, and what our own reader says of it. */
export function truth<T>(made: Made, stream: "state" | "camera"): { plain: Buffer; told: T[] } {
  const file = (name: string) => readFileSync(join(made.folder, stream, name));
  return { plain: file("plain.mcap"), told: JSON.parse(file("truth.json").toString()) as T[] };
}

/** What a test does to an answer: other bytes, or another answer. */
export type Change = (path: string, bytes: Buffer) => Uint8Array | Response;

/** The site's routes over a folder; `asked` collects what was asked for. */
export function site(made: Made, change: Change = (_, bytes) => bytes, asked: string[] = []): Fetch {
  const names = ["manifest", "checkpoints", "keys"] as const;
  const files = { manifest: "manifest.json", checkpoints: "checkpoints.jsonl", keys: "key.json" };
  return async (path, init) => {
    init.signal?.throwIfAborted();
    asked.push(path);
    const stream = path.includes(made.root.state) ? "state" : "camera";
    const block = /^\/ipfs\/([a-z0-9]+)\?format=raw$/.exec(path)?.[1];
    const name = names.find((each) => path.includes(`/${each}`));
    if (block !== undefined && new Headers(init.headers).get("interlock-grant") !== made.grant.id) {
      return new Response("", { status: 403 });
    }
    if (name === "keys" && init.method !== "POST") return new Response("", { status: 405 });
    const file = block !== undefined ? join("blocks", block) : join(stream, files[name ?? "manifest"]);
    const changed = change(path, readFileSync(join(made.folder, file)));
    return changed instanceof Response ? changed : new Response(changed as Bytes);
  };
}
