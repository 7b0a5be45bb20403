/** Verifies a passport, whole: `vc+jwt`, JSON or HTML (`passport/src/{seal,file}.rs`). */
import { Broken, short } from "../broken";
import { fromBase64, fromUtf8, toHex } from "../bytes";
import { sha256, sha256Hex } from "../crypto";
import { canonical, isObject, parse, type Json } from "../jcs";
import { fingerprint, rawEd25519, type PublicKey } from "../keys";
import type { Anchors } from "../policy";
import type { Digest } from "../shape";
import { liveKeys, readChain, type Chain, type Check } from "./chain";
import { credential } from "./credential";
import type { DidWeb } from "./did";
import { FORMAT, readEvidence } from "./evidence";
import { examine } from "./examine";
import { derive, type Facts } from "./facts";
import { MAX_JWT_BYTES, readJwt, verifiesUnder, type Parts } from "./jose";
import { CREDENTIAL_END, CREDENTIAL_START, pictureStart, render, styleIn } from "./page";
import { pretty } from "./pretty";

/** The largest file that is read (128 MiB). */
const MAX_FILE_BYTES = 128 * 1024 * 1024;

export type Form = "jwt" | "json" | "html";

/** One check. `ok` is null where this verifier does not look. */
export interface CheckedStep {
  name: string;
  ok: boolean | null;
  words: string;
}

/** What a passport's trust rests on. */
export interface Trust {
  /** Whether the reader brought the anchors. If not, nothing says which plant this is. */
  pinned: boolean;
  genesis: Digest;
  origin: string;
  witnesses: string[];
  quorum: number;
  size: number;
  root: Digest;
  witnessedAt: number;
}

/** A passport whose every statement was derived from its evidence and whose signature verified. */
export interface Verified {
  jwt: string;
  credential: { [key: string]: Json };
  /** The digest of the credential's text, which the ledger's passport entry names. */
  digest: Digest;
  facts: Facts;
  trust: Trust;
}

export interface PassportReport {
  ok: boolean;
  form: Form | null;
  /** In order; after one that is not ok, nothing was looked at. */
  steps: CheckedStep[];
  /** Only of a passport that holds. */
  facts: Facts | null;
  trust: Trust | null;
  digest: Digest | null;
}

/** Verifies any of the three files against what the reader trusts, or against itself only. */
export async function verifyPassport(
  file: Uint8Array,
  anchors: Anchors | null = null,
): Promise<PassportReport> {
  const steps: CheckedStep[] = [];
  const check: Check = async (name, work, words) => {
    try {
      const made = await work();
      steps.push({ name, ok: true, words: words(made) });
      return made;
    } catch (error) {
      steps.push({ name, ok: false, words: error instanceof Error ? error.message : "failed" });
      throw error;
    }
  };
  const unread = { ok: false, form: null, steps, facts: null, trust: null, digest: null };
  try {
    const { form, verified } = await verifyFile(file, anchors, check);
    steps.push({
      name: "policy",
      ok: null,
      words: "The policy's text is not evaluated here; the site, the cell and the audit do.",
    });
    const { facts, trust, digest } = verified;
    return { ok: true, form, steps, facts, trust, digest };
  } catch (error) {
    // What broke outside of a named check is a file that cannot be read.
    if (steps.at(-1)?.ok !== false) {
      const words = error instanceof Error ? error.message : String(error);
      steps.push({ name: "file", ok: false, words });
    }
    return unread;
  }
}

async function verifyFile(
  file: Uint8Array,
  anchors: Anchors | null,
  check: Check,
): Promise<{ form: Form; verified: Verified }> {
  if (file.length > MAX_FILE_BYTES) {
    throw new Broken("the file", `at most ${MAX_FILE_BYTES} bytes are expected`);
  }
  const text = fromUtf8(file, "the file");
  if (text.startsWith("{"))
    return { form: "json", verified: await verifyJson(text, anchors, check) };
  if (text.startsWith("<"))
    return { form: "html", verified: await verifyHtml(text, anchors, check) };
  return { form: "jwt", verified: await verifyJwt(text, anchors, check) };
}

async function verifyJwt(jwt: string, anchors: Anchors | null, check: Check): Promise<Verified> {
  const parts = await check(
    "credential",
    async () => readJwt(jwt),
    ({ kid }) => `A vc+jwt in its one spelling, signed as ${short(kid, 120)}.`,
  );
  const evidence = readEvidence(parts.payload.evidence);
  const chain = await readChain(evidence, anchors, check);
  const story = await examine(evidence, chain, check);
  const facts = await check(
    "statements",
    async () => {
      const [derived, did] = await derive(evidence, chain, story);
      compare(credential(derived, did, evidence), parts.payload);
      await checkSignature(parts, chain, did);
      return derived;
    },
    () => "Every statement follows from the evidence, and the site's enrolled key signed them.",
  );
  const digest = await sha256Hex(jwt);
  return { jwt, credential: parts.payload, digest, facts, trust: trustOf(chain) };
}

/** Whether `kid` names a member's first key, or one that took its place. */
async function names(kid: string, first: string, live: readonly PublicKey[]): Promise<boolean> {
  if (kid === first) return true;
  const machine = live.filter((key) => rawEd25519(key) !== null);
  const prints = await Promise.all(machine.map(fingerprint));
  return prints.some((print) => kid === `${first}-${print.slice(0, 16)}`);
}

async function checkSignature(parts: Parts, chain: Chain, did: DidWeb): Promise<void> {
  const what = "the signature of the credential";
  const { plant } = chain;
  const sites = [...plant.ring.members.keys()].filter((id) => plant.ring.hasRole(id, "site"));
  const named = await Promise.all(sites.map((id) => names(parts.kid, `${did.text}#${id}`, plant.ring.liveKeys(id))));
  const site = sites.find((_, at) => named[at]);
  if (site === undefined) {
    throw new Broken(what, `\`${short(parts.kid)}\` names no live key of a member with the role \`site\``);
  }
  for (const key of liveKeys(plant, site)) if (await verifiesUnder(parts, key)) return;
  throw new Broken(what, `it does not verify under an enrolled, unrevoked key of \`${site}\``);
}

/** Refuses a credential that says something else than its evidence gives, and says where. */
function compare(derived: Json, stated: Json, place = ""): void {
  if (canonical(derived) === canonical(stated)) return;
  if (Array.isArray(derived) && Array.isArray(stated) && derived.length === stated.length) {
    derived.forEach((one, at) => compare(one, stated[at] ?? null, `${place}/${at}`));
  } else if (isObject(derived) && isObject(stated)) {
    for (const key of new Set([...Object.keys(derived), ...Object.keys(stated)])) {
      compare(derived[key] ?? null, stated[key] ?? null, `${place}/${key.slice(0, 40)}`);
    }
  }
  const reason = `it says ${short(canonical(stated))}, the evidence gives ${short(canonical(derived))}`;
  throw new Broken(`the credential's \`${place}\``, reason);
}

function trustOf({ stated, checkpoint, pinned }: Chain): Trust {
  const { genesis, log } = pinned?.anchors ?? stated;
  const { size, root, witnessedAt } = pinned?.checkpoint ?? checkpoint;
  return {
    pinned: pinned !== undefined,
    genesis,
    origin: log.origin,
    witnesses: log.witnesses.map(({ name }) => name),
    quorum: log.quorum,
    size,
    root: toHex(root),
    witnessedAt,
  };
}

async function verifyJson(text: string, anchors: Anchors | null, check: Check): Promise<Verified> {
  const found = parse(text, "the JSON file");
  const jwt = isObject(found) ? found.jwt : undefined;
  if (typeof jwt !== "string") throw new Broken("the JSON file", "no credential is in it");
  const verified = await verifyJwt(jwt, anchors, check);
  await check(
    "file",
    async () => same("the JSON file", text, toJson(verified)),
    () => "The file says what its credential says, byte for byte.",
  );
  return verified;
}

function toJson({ credential, jwt }: Verified): string {
  const head = `"format": ${JSON.stringify(FORMAT)}`;
  return `{\n  ${head},\n  "credential": ${pretty(credential, 1)},\n  "jwt": ${JSON.stringify(jwt)}\n}\n`;
}

async function verifyHtml(text: string, anchors: Anchors | null, check: Check): Promise<Verified> {
  const start = text.indexOf(CREDENTIAL_START);
  const from = start + CREDENTIAL_START.length;
  const end = text.indexOf(CREDENTIAL_END, from);
  if (start < 0 || end < 0) throw new Broken("the page", "no credential is in it");
  const jwt = text.slice(from, end);
  if (jwt.length > MAX_JWT_BYTES) throw new Broken("the page", "its credential is too long");
  const verified = await verifyJwt(jwt, anchors, check);
  const pictures = await check(
    "pictures",
    () => picturesIn(text.slice(0, start), verified.facts),
    (made) => `${made.length} pictures are those that the report names.`,
  );
  await check(
    "page",
    async () => same("the page", text, render(verified, pictures, await styleIn(text))),
    () => "The page says what its credential says, byte for byte.",
  );
  return verified;
}

/** The pictures' base64 in a page, in order. */
function dataOf(page: string, facts: Facts): string[] {
  let at = 0;
  return facts.pictures.map(({ media_type: type, name }) => {
    const what = `the report's picture \`${short(name)}\``;
    const start = pictureStart(type);
    const found = page.indexOf(start, at);
    const end = found < 0 ? -1 : page.indexOf('"', found + start.length);
    if (end < 0) throw new Broken(what, "it is not in the page");
    at = end + 1;
    return page.slice(found + start.length, end);
  });
}

/** The same, each of them the one that the report names. */
async function picturesIn(page: string, facts: Facts): Promise<string[]> {
  const pictures = dataOf(page, facts);
  for (const [at, data] of pictures.entries()) {
    const { name = "", sha256: named, media_type: type } = facts.pictures[at] ?? {};
    const what = `the report's picture \`${short(name)}\``;
    if (type !== "image/png" && type !== "image/jpeg") {
      throw new Broken(what, "PNG or JPEG is expected");
    }
    const bytes = fromBase64(data, what);
    if (toHex(await sha256(bytes)) !== named) {
      throw new Broken(what, "its digest is not the one that the report names");
    }
  }
  return pictures;
}

/** Refuses a file that is not what it should be, and says where. */
function same(what: string, found: string, expected: string): void {
  if (found === expected) return;
  let at = 0;
  while (at < found.length && found[at] === expected[at]) at += 1;
  const near = (text: string): string => JSON.stringify(text.slice(at, at + 40));
  const reason = `near character ${at} ${near(found)} stands there, ${near(expected)} is expected`;
  throw new Broken(what, reason);
}
