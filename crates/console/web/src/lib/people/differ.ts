/** What a proposed change would change, compared with what is in force now. */
import { foreign } from "../foreign";
import type { Change, Id, Keys, Member, MemberState, Millis, PlantKeys, Program, Role, Template } from "../ledger/types";
import { comparable, utc } from "../words";
import { fromBase64Url } from "../verify/bytes";
import { sha256Hex } from "../verify/crypto";
import { keysOf, sortedRoles, type KeyView } from "./keys";

/** One difference; `null` where there is nothing on that side. */
export interface Difference { what: string; before: string | null; after: string | null }

export interface InForce {
  members: Record<Id, MemberState>;
  programs: Record<Id, Program>;
  templates: Record<Id, Template>;
  policy: string;
  /** The plant's own keys. */
  keys?: PlantKeys;
}

function differs(what: string, before: string | null, after: string | null): Difference[] {
  return before === after ? [] : [{ what, before, after }];
}

/** What somebody else wrote, when there is any. */
const said = (text: string | undefined): string | null => (text === undefined ? null : foreign(text));
const list = (words: readonly string[]): string => (words.length === 0 ? "none" : words.join(", "));
const roleWords = (roles: readonly Role[]): string => list(sortedRoles(roles));

/** How a key is called where people compare keys: its kind and 16 digits of its fingerprint. */
export const keyName = ({ kind, fingerprint }: KeyView): string => `${kind} ${comparable(fingerprint)}`;

/** Where a key works, or that it does not. */
function keyWords({ key, revoked }: KeyView): string {
  if (revoked !== null) return `revoked at entry ${revoked}`;
  if ("passkey" in key) return `passkey of ${foreign(key.passkey.origin)}, credential ${comparable(key.passkey.credential)}`;
  return "invitation" in key ? `one-time link until ${utc(key.invitation.not_after)}` : "key file";
}

interface KeyChange { added: KeyView[]; removed: KeyView[] }

/** Keys by their fingerprint, which names everything of a key: two that differ in anything are two. */
async function keyChange(before: MemberState | undefined, after: Member): Promise<KeyChange> {
  const had = before === undefined ? [] : await keysOf(before);
  const has = await keysOf({ member: after, accepted: {}, revoked: before?.revoked ?? {} });
  const without = (keys: KeyView[], others: KeyView[]): KeyView[] => keys.filter((k) => others.every((o) => o.fingerprint !== k.fingerprint));
  return { added: without(has, had), removed: without(had, has) };
}

async function memberDiff(state: MemberState | undefined, after: Member): Promise<Difference[]> {
  const before = state?.member;
  const { added, removed } = await keyChange(state, after);
  return [
    ...differs("name", said(before?.name), said(after.name)),
    ...differs("roles", before ? roleWords(before.roles) : null, roleWords(after.roles)),
    ...removed.map((key) => ({ what: keyName(key), before: keyWords(key), after: null })),
    ...added.map((key) => ({ what: keyName(key), before: null, after: keyWords(key) })),
    ...differs("reading key", before ? sealWords(before.seal) : null, sealWords(after.seal)),
  ];
}

const sealWords = (seal: string | undefined): string => (seal === undefined ? "none" : comparable(seal));

function programDiff(before: Program | undefined, after: Program): Difference[] {
  const names = new Set([...Object.keys(before?.parameters ?? {}), ...Object.keys(after.parameters)]);
  const bounds = (program: Program | undefined, name: string): string | null => {
    const p = program?.parameters[name];
    return p === undefined ? null : `${p.min} to ${p.max} ${foreign(p.unit)}, ${p.default} when not said (${foreign(p.title)})`;
  };
  return [
    ...differs("title", said(before?.title), said(after.title)),
    ...differs("hash", before ? comparable(before.sha256) : null, comparable(after.sha256)),
    ...differs("cells", before ? list(before.cells) : null, list(after.cells)),
    ...[...names].flatMap((name) => differs(`parameter ${name}`, bounds(before, name), bounds(after, name))),
  ];
}

/** A verifier key as people compare it: its name, and its material whole. */
const vkeyWords = (key: string): string => key.replace("+", " ");

/** A root as people compare it: SHA-256 of the certificate, as `openssl x509 -fingerprint` prints it. */
async function rootWords(root: string): Promise<string> {
  return sha256Hex(fromBase64Url(root, "root"));
}

async function rootsDiff(before: readonly string[], after: readonly string[] | undefined): Promise<Difference[]> {
  if (after === undefined) return [];
  const gone = before.filter((root) => !after.includes(root));
  const fresh = after.filter((root) => !before.includes(root));
  return Promise.all([
    ...gone.map(async (root) => ({ what: "certificate authority", before: await rootWords(root), after: null })),
    ...fresh.map(async (root) => ({ what: "certificate authority", before: null, after: await rootWords(root) })),
  ]);
}

async function keysDiff(before: PlantKeys | undefined, after: Keys): Promise<Difference[]> {
  const had = before?.log.witnesses;
  const has = after.witnesses?.keys;
  const gone = had?.filter((key) => has !== undefined && !has.includes(key)) ?? [];
  const fresh = has?.filter((key) => !(had ?? []).includes(key)) ?? [];
  return [
    ...(after.log === undefined ? [] : differs("log key", before ? vkeyWords(before.log.log_key) : null, vkeyWords(after.log))),
    ...gone.map((key) => ({ what: "witness", before: vkeyWords(key), after: null })),
    ...fresh.map((key) => ({ what: "witness", before: null, after: vkeyWords(key) })),
    ...(after.witnesses === undefined ? [] : differs("quorum", before ? String(before.log.quorum) : null, String(after.witnesses.quorum))),
    ...(after.vault === undefined ? [] : differs("vault key", before ? before.vault : null, after.vault)),
    ...(await rootsDiff(before?.authorities ?? [], after.authorities)),
  ];
}

/** What differs, fact by fact. A new policy text is compared by lines instead: `lineDiff`. */
export async function differences(change: Change, now: InForce): Promise<Difference[]> {
  if ("member" in change) return memberDiff(now.members[change.member.id], change.member);
  if ("roles" in change) {
    const before = now.members[change.roles.member]?.member.roles;
    return differs("roles", before === undefined ? null : roleWords(before), roleWords(change.roles.roles));
  }
  if ("program" in change) return programDiff(now.programs[change.program.id], change.program);
  if ("keys" in change) return keysDiff(now.keys, change.keys);
  if ("template" in change) {
    const [before, after] = [now.templates[change.template.id], change.template];
    return [
      ...differs("title", said(before?.title), said(after.title)),
      ...differs("picture", before ? comparable(before.sha256) : null, comparable(after.sha256)),
      ...differs("viewpoint", before ? String(before.view) : null, String(after.view)),
    ];
  }
  return [];
}

/** A difference as a sentence of the dialog in which it is signed. */
export function differenceWords({ what, before, after }: Difference): string {
  if (before === null) return `${what}, new: ${after ?? "nothing"}`;
  return after === null ? `${what}, removed: ${before}` : `${what}: ${before} → ${after}`;
}

/** Whether the shown state is the one that was proven, as far as a change concerns it. */
export async function sameBase(change: Change, shown: InForce, proven: InForce): Promise<boolean> {
  if ("policy" in change) return shown.policy === proven.policy;
  const [told, found] = await Promise.all([differences(change, shown), differences(change, proven)]);
  return JSON.stringify(told) === JSON.stringify(found);
}

/** What governs a plant, or speaks for it: given, it is pointed at. */
const GOVERNS: Partial<Record<Role, string>> = {
  "security-officer": "governs people, policy, keys and data",
  site: "signs passports and reads in the name of the site",
};

function roleCautions(name: string, before: readonly Role[], after: readonly Role[]): string[] {
  return after.filter((role) => !before.includes(role)).flatMap((role) => {
    const what = GOVERNS[role];
    return what === undefined ? [] : [`It makes ${name} ${role}, who ${what}.`];
  });
}

async function memberCautions(state: MemberState | undefined, after: Member, now: Millis): Promise<string[]> {
  const name = `${foreign(after.name)} (${after.id})`;
  const { added, removed } = await keyChange(state, after);
  const live = removed.filter(({ revoked, until }) => revoked === null && (until === null || until > now));
  const sealed = state !== undefined && state.member.seal !== after.seal;
  return [
    ...live.map((key) => `${keyName(key)} of ${name} is in use and is dropped at once. If it was enrolled after this was proposed, do not approve: let the change be proposed anew.`),
    ...added.filter(({ kind }) => kind !== "invitation").map((key) => `${keyName(key)} is put in without an invitation: whoever holds it signs as ${name}. Ask ${foreign(after.name)} in person whether it is theirs.`),
    ...(added.some(({ kind }) => kind === "invitation") ? ["It lets whoever has the link become this person. Ask the proposer how the link is handed over."] : []),
    ...(sealed ? [`The reading key of ${name} changes: keys of recordings are then sealed to the other one, and the browser that reads now reads no more. If a browser was enrolled after this was proposed, this brings the old key back: let it be proposed anew.`] : []),
    ...roleCautions(name, state?.member.roles ?? [], after.roles),
  ];
}

/** What to think of before one approves a change. */
export async function cautions(change: Change, now: InForce, at: Millis): Promise<string[]> {
  if ("member" in change) return memberCautions(now.members[change.member.id], change.member, at);
  if ("roles" in change) {
    const before = now.members[change.roles.member]?.member;
    return roleCautions(before === undefined ? change.roles.member : `${foreign(before.name)} (${before.id})`, before?.roles ?? [], change.roles.roles);
  }
  if ("policy" in change) return ["A policy decides who may do what: read every line of the difference first."];
  if ("program" in change) return ["An approved program moves a robot whenever an operator orders it: has somebody tried this file, with this hash?"];
  if ("keys" in change) return keysCautions(change.keys);
  return [];
}

function keysCautions({ log, witnesses, vault, authorities }: Keys): string[] {
  return [
    ...(log === undefined ? [] : ["From this signature on the ledger is signed with the new key. The site must hold it, and a quorum of the witnesses must trust it already, or the plant stands still until they do."]),
    ...(witnesses === undefined ? [] : ["Whoever holds these witnesses' keys vouches for the ledger from then on: compare each key with the person who runs that witness, by another way than this page."]),
    ...(authorities === undefined ? [] : ["Machines take certificates of these authorities only, from this signature on: compare each digest with the person who keeps its key, and ask whether every machine has a certificate of one of them. A machine without one is shut out until it gets one."]),
    ...(vault === undefined ? [] : ["Cells seal recordings to this key from then on: whoever holds it can open them."]),
  ];
}

/** The kind of a change, as policies see it. */
export function kindOf(change: Change): "member" | "roles" | "policy" | "program" | "template" | "keys" {
  if ("member" in change) return "member";
  if ("roles" in change) return "roles";
  if ("policy" in change) return "policy";
  if ("keys" in change) return "keys";
  return "program" in change ? "program" : "template";
}

/** How many security officers must sign it. */
export function officersNeeded(change: Change): number {
  return ["member", "roles", "policy", "keys"].includes(kindOf(change)) ? 2 : 1;
}

export interface Line { kind: "same" | "added" | "removed"; text: string }

/** The most lines that are compared one by one; a policy has at most 32 KiB. */
const MOST = 2000;

/** The difference of two texts by lines: a longest common subsequence. */
export function lineDiff(before: string, after: string): Line[] {
  const [a, b] = [before.split("\n"), after.split("\n")];
  let head = 0;
  while (head < a.length && head < b.length && a[head] === b[head]) head += 1;
  let tail = 0;
  while (tail < a.length - head && tail < b.length - head && a[a.length - 1 - tail] === b[b.length - 1 - tail]) tail += 1;
  const same = (lines: string[]): Line[] => lines.map((text) => ({ kind: "same", text }));
  const middle = between(a.slice(head, a.length - tail), b.slice(head, b.length - tail));
  return [...same(a.slice(0, head)), ...middle, ...same(a.slice(a.length - tail))];
}

function between(a: string[], b: string[]): Line[] {
  const removed = a.map((text): Line => ({ kind: "removed", text }));
  const added = b.map((text): Line => ({ kind: "added", text }));
  if (a.length === 0 || b.length === 0 || a.length > MOST || b.length > MOST) return [...removed, ...added];
  const width = b.length + 1;
  const longest = new Uint16Array((a.length + 1) * width);
  const at = (i: number, j: number): number => longest[i * width + j] ?? 0;
  for (let i = a.length - 1; i >= 0; i -= 1) {
    for (let j = b.length - 1; j >= 0; j -= 1) {
      longest[i * width + j] = a[i] === b[j] ? at(i + 1, j + 1) + 1 : Math.max(at(i + 1, j), at(i, j + 1));
    }
  }
  const lines: Line[] = [];
  let [i, j] = [0, 0];
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) {
      lines.push({ kind: "same", text: a[i] ?? "" });
      i += 1;
      j += 1;
    } else if (j >= b.length || (i < a.length && at(i + 1, j) >= at(i, j + 1))) {
      lines.push({ kind: "removed", text: a[i] ?? "" });
      i += 1;
    } else {
      lines.push({ kind: "added", text: b[j] ?? "" });
      j += 1;
    }
  }
  return lines;
}
