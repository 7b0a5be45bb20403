/** What a proposed change would change, compared with what is in force now. */
import type { Change, Id, Member, MemberState, Program, PublicKey, Role, Template } from "../ledger/types";
import { count, short } from "../words";
import { sortedRoles } from "./keys";

/** One difference; `null` where there is nothing on that side. */
export interface Difference { what: string; before: string | null; after: string | null }

export interface InForce {
  members: Record<Id, MemberState>;
  programs: Record<Id, Program>;
  templates: Record<Id, Template>;
  policy: string;
}

function differs(what: string, before: string | null, after: string | null): Difference[] {
  return before === after ? [] : [{ what, before, after }];
}

const list = (words: readonly string[]): string => (words.length === 0 ? "none" : words.join(", "));
const roleWords = (roles: readonly Role[]): string => list(sortedRoles(roles));

function keyWords(keys: readonly PublicKey[]): string {
  const kinds = { passkey: 0, "key file": 0, invitation: 0 };
  for (const key of keys) kinds["passkey" in key ? "passkey" : "invitation" in key ? "invitation" : "key file"] += 1;
  return list(Object.entries(kinds).filter(([, n]) => n > 0).map(([kind, n]) => count(n, kind)));
}

/** A key by what makes it that key. */
const material = (key: PublicKey): string => JSON.stringify("passkey" in key ? key.passkey.es256 : "invitation" in key ? key.invitation.ed25519 : key.ed25519);

function memberDiff(before: Member | undefined, after: Member): Difference[] {
  const had = new Set(before?.keys.map(material));
  const has = new Set(after.keys.map(material));
  const keysChange = had.size !== has.size || [...has].some((key) => !had.has(key));
  return [
    ...differs("name", before?.name ?? null, after.name),
    ...differs("roles", before ? roleWords(before.roles) : null, roleWords(after.roles)),
    ...(keysChange ? [{ what: "keys", before: before ? keyWords(before.keys) : null, after: keyWords(after.keys) }] : []),
    ...differs("reading key", before ? (before.seal ?? "none") : null, after.seal ?? "none"),
  ];
}

function programDiff(before: Program | undefined, after: Program): Difference[] {
  const names = new Set([...Object.keys(before?.parameters ?? {}), ...Object.keys(after.parameters)]);
  const bounds = (program: Program | undefined, name: string): string | null => {
    const p = program?.parameters[name];
    return p === undefined ? null : `${p.min} to ${p.max} ${p.unit}, ${p.default} when not said (${p.title})`;
  };
  return [
    ...differs("title", before?.title ?? null, after.title),
    ...differs("hash", before ? short(before.sha256) : null, short(after.sha256)),
    ...differs("cells", before ? list(before.cells) : null, list(after.cells)),
    ...[...names].flatMap((name) => differs(`parameter ${name}`, bounds(before, name), bounds(after, name))),
  ];
}

/** What differs, fact by fact. A new policy text is compared by lines instead: `lineDiff`. */
export function differences(change: Change, now: InForce): Difference[] {
  if ("member" in change) return memberDiff(now.members[change.member.id]?.member, change.member);
  if ("roles" in change) {
    const before = now.members[change.roles.member]?.member.roles;
    return differs("roles", before === undefined ? null : roleWords(before), roleWords(change.roles.roles));
  }
  if ("program" in change) return programDiff(now.programs[change.program.id], change.program);
  if ("template" in change) {
    const [before, after] = [now.templates[change.template.id], change.template];
    return [
      ...differs("title", before?.title ?? null, after.title),
      ...differs("picture", before ? short(before.sha256) : null, short(after.sha256)),
      ...differs("viewpoint", before ? String(before.view) : null, String(after.view)),
    ];
  }
  return [];
}

/** The kind of a change, as policies see it. */
export function kindOf(change: Change): "member" | "roles" | "policy" | "program" | "template" {
  if ("member" in change) return "member";
  if ("roles" in change) return "roles";
  if ("policy" in change) return "policy";
  return "program" in change ? "program" : "template";
}

/** How many security officers must sign it. */
export function officersNeeded(change: Change): number {
  return ["member", "roles", "policy"].includes(kindOf(change)) ? 2 : 1;
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
