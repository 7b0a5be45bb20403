/** Members and their keys, as people read them. */
import type { Digest, Id, Member, MemberState, Millis, PublicKey, Role } from "../ledger/types";
import { isId } from "../ledger/id";
import { fingerprint } from "../verify/keys";

/** The roles that a person can have, in the order in which an entry lists roles. */
export const PERSON_ROLES = ["operator", "integrator", "ml-engineer", "security-officer", "auditor"] as const;
const ORDER: readonly Role[] = [...PERSON_ROLES, "processor", "cell", "site"];

/** What each role is for. */
export const ROLE_WORDS: Record<(typeof PERSON_ROLES)[number], string> = {
  operator: "orders runs",
  integrator: "proposes programs and templates",
  "ml-engineer": "reads granted recordings, proposes templates",
  "security-officer": "governs people, policy, keys and data",
  auditor: "reads everything, changes nothing",
};

/** Roles as an entry has them: each once, in the one order that is accepted. */
export function sortedRoles(roles: readonly Role[]): Role[] {
  return ORDER.filter((role) => roles.includes(role));
}

export type Kind = "passkey" | "key file" | "invitation";

export interface KeyView {
  key: PublicKey;
  fingerprint: Digest;
  kind: Kind;
  /** The index of the entry that revoked it. */
  revoked: number | null;
  /** Until when an invitation may be accepted. */
  until: Millis | null;
}

function kindOf(key: PublicKey): Kind {
  if ("passkey" in key) return "passkey";
  return "invitation" in key ? "invitation" : "key file";
}

/** Every key of a member with its fingerprint. */
export function keysOf({ member, revoked }: MemberState): Promise<KeyView[]> {
  return Promise.all(
    member.keys.map(async (key) => {
      const print = await fingerprint(JSON.parse(JSON.stringify(key)) as typeof key);
      const until = "invitation" in key ? key.invitation.not_after : null;
      return { key, fingerprint: print, kind: kindOf(key), revoked: revoked[print] ?? null, until };
    }),
  );
}

/** Whether a key signs for its member: no invitation, not revoked. */
export function signs({ kind, revoked }: KeyView): boolean {
  return kind !== "invitation" && revoked === null;
}

/** Whether a key may still be of use: neither revoked nor an invitation that ended. */
export function counts({ revoked, until }: KeyView, now: Millis): boolean {
  return revoked === null && (until === null || until > now);
}

/** A member with one more invitation. What no longer counts goes: it may not be enrolled again. */
export function invited(member: Member, keys: KeyView[], invitation: { ed25519: string; not_after: Millis }, now: Millis): Member {
  const live = keys.filter((k) => counts(k, now)).map((k) => k.key);
  return { ...member, keys: [...live, { invitation }], roles: sortedRoles(member.roles) };
}

const MACHINE: readonly Role[] = ["cell", "site", "processor"];

/** Whether a member is a machine or an outside processor. */
export function isMachine({ member }: MemberState): boolean {
  return member.roles.some((role) => MACHINE.includes(role));
}

/** What is wrong with a new identifier; empty when nothing is. */
export function wrongId(id: string, taken: Iterable<Id>): string {
  if (id === "") return "";
  if (!isId(id)) return "Use 1 to 64 of a-z, 0-9, “-”, “.” and “_”; begin with a letter or digit.";
  return [...taken].includes(id) ? `“${id}” is taken.` : "";
}

/** What two or fewer security officers mean for a plant; empty with three and more. */
export function officerWarning(officers: number): string {
  if (officers >= 3) return "";
  if (officers === 2) {
    return "There are two security officers. When one loses a key, nobody can change people or policy any more: two must sign. Invite a third.";
  }
  return `Only ${officers === 1 ? "one security officer has" : "no security officer has"} a key that signs. People and policy cannot be changed: two must sign.`;
}
