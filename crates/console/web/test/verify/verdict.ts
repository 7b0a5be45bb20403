/** The TypeScript verifier's answers to the questions of `docs/vectors`. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { checkForm, publicKey, type PublicKey } from "../../src/lib/verify/keys";
import * as verify from "../../src/lib/verify";
import type { Json } from "../../src/lib/verify";
import * as shape from "../../src/lib/verify/shape";

export type Input = { [key: string]: Json };
export interface Question {
  kind: string;
  input: Input;
}
export interface Vector extends Question {
  name: string;
  valid: boolean;
  why: string;
}
export interface Verdict {
  ok: boolean;
  error: string | null;
}

export const FILES = [
  "canonical",
  "checkpoints",
  "entries",
  "keys",
  "ledgers",
  "merkle",
  "passports",
] as const;

export function vectors(file: string): Vector[] {
  const path = fileURLToPath(new URL(`../../../../../docs/vectors/${file}.json`, import.meta.url));
  return (JSON.parse(readFileSync(path, "utf8")) as { vectors: Vector[] }).vectors;
}

const bytes = (value: Json | undefined): verify.Bytes =>
  verify.fromBase64Url(shape.text(value ?? null, "the input"), "the input");
const text = (value: Json | undefined): string => verify.fromUtf8(bytes(value), "the input");
const hash = (value: Json | undefined): verify.Bytes =>
  verify.fromHex(shape.digest(value ?? null, "a hash"), "a hash");
const hashes = (value: Json | undefined): verify.Bytes[] =>
  shape
    .list(shape.digest)(value ?? null, "the path")
    .map(hash);
const number = (value: Json | undefined): number => shape.u64(value ?? null, "a number");

const policy = async (value: Json | undefined): Promise<verify.LogPolicy> => {
  const log = verify.parse(text(value), "the policy");
  return (await verify.readAnchors({ genesis: "0".repeat(64), log })).log;
};
const key = (value: Json | undefined): PublicKey =>
  publicKey(verify.parseCanonical(bytes(value), "the key"), "the key");
const holds = (path: boolean): void => {
  if (!path) throw new verify.Broken("the path", "it does not lead there");
};

const kinds: { [kind: string]: (input: Input) => Promise<unknown> } = {
  canonical: async (input) => verify.parseCanonical(bytes(input.bytes), "the value"),
  key: async (input) => checkForm(key(input.key)),
  entry: async (input) => verify.verifyEntry(verify.readEntry(bytes(input.entry)), key(input.key)),
  vkey: async (input) => verify.readVKey(text(input.text), "the key"),
  checkpoint: async (input) =>
    verify.verifyCheckpoint(await policy(input.policy), bytes(input.note)),
  inclusion: async ({ leaf, index, size, path, root }) =>
    holds(
      await verify.verifyInclusion(
        hash(leaf),
        number(index),
        number(size),
        hashes(path),
        hash(root),
      ),
    ),
  consistency: async ({ old, old_root, size, root, path }) =>
    holds(
      await verify.verifyConsistency(
        number(old),
        hash(old_root),
        number(size),
        hash(root),
        hashes(path),
      ),
    ),
  proof: async (input) => {
    const log = await policy(input.policy);
    await verify.verifyTlogProof(() => log, bytes(input.proof), bytes(input.leaf));
  },
  ledger: async (input) => {
    const leaves = shape.list(shape.base64url)(input.leaves ?? null, "the leaves");
    const [first, ...rest] = leaves.map((leaf) => verify.readLeaf(bytes(leaf)));
    if (!first) throw new verify.Broken("the ledger", "no leaves");
    const plant = await verify.Plant.begin(first);
    for (const [at, leaf] of rest.entries()) await plant.append(at + 1, leaf);
  },
  passport: async (input) => {
    const anchors =
      input.anchors === null
        ? null
        : await verify.readAnchors(verify.parse(text(input.anchors), "the anchors"));
    const report = await verify.verifyPassport(bytes(input.file), anchors);
    const broken = report.steps.find(({ ok }) => ok === false);
    if (!report.ok) throw new verify.Broken(broken?.name ?? "nothing", broken?.words ?? "said");
  },
};

/** Answers; an exception that is not a verdict fails the test. */
export async function verdict({ kind, input }: Question): Promise<Verdict> {
  try {
    await kinds[kind]?.(input);
    return { ok: kind in kinds, error: null };
  } catch (error) {
    if (error instanceof verify.Broken) return { ok: false, error: error.message };
    throw error;
  }
}
