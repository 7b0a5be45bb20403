/** What is signed to take a key away, and what follows from it. */
import { provenMember, type Tried } from "../evidence/proven";
import { foreign } from "../foreign";
import type { Digest, Id, Member } from "../ledger/types";
import type { Wanted } from "../state/signing.svelte";
import { short } from "../words";
import { keyName, type InForce } from "./differ";
import { keysOf, signs, type KeyView } from "./keys";

/** A key with what a revocation of it depends on. */
export interface Revocable {
  member: Member;
  key: KeyView;
  /** How many other keys of the member sign. */
  others: number;
  /** How many security officers the plant has. */
  officers: number;
}

/** A member's key as the ledger has it. @throws Error when the ledger gives that member no such key. */
export async function revocable(now: InForce, id: Id, print: Digest): Promise<Revocable> {
  const state = provenMember(now, id);
  const keys = await keysOf(state);
  const key = keys.find(({ fingerprint }) => fingerprint === print);
  if (key === undefined) throw new Error(`No entry that the site proves gives ${id} a key ${print.slice(0, 16)}.`);
  const others = keys.filter((other) => other !== key && signs(other)).length;
  const officers = Object.values(now.members).filter(({ member }) => member.roles.includes("security-officer")).length;
  return { member: state.member, key, others, officers };
}

/** What follows from a revocation, one sentence each. */
export function consequences({ member, key, others }: Revocable): string[] {
  const name = foreign(member.name);
  return [
    `From this entry on, every gate refuses what ${key.kind} ${short(key.fingerprint)} signs, and sessions that it signed in end.`,
    "Orders that it signed and that have not started do not start.",
    `Open proposals and releases that ${name} signed have to be signed anew.`,
    key.until !== null ? "The link no longer works." : others === 0 ? `${name} has no other key that signs, and needs a new invitation.` : `${name} can still sign with another key.`,
    "A run that moves now goes on: stop it, or place a hold.",
  ];
}

/**
 * What is signed. A revocation only protects, so a key that could not be verified is revoked all
 * the same, and what is shown of it stands there as the site's word. `own` is the fingerprint
 * that the person signs with, `basis` ends the sentence on what was verified.
 */
export function revocationOf(shown: Revocable, tried: Tried<Revocable>, reason: string, own: Digest | undefined, basis: string): Wanted {
  const about = "found" in tried ? tried.found : shown;
  const { member, key, others, officers } = about;
  const last = key.until === null && others === 0 && member.roles.includes("security-officer");
  const whose = `${keyName(key)} is a key of ${foreign(member.name)} (${member.id})`;
  return {
    title: `Revoke a key of ${foreign(member.name)}`,
    act: "Revoke",
    grave: true,
    body: { "revoke-key": { key: key.fingerprint, member: member.id, reason } },
    words: [
      `Reason: “${foreign(reason)}”.`,
      ...("found" in tried ? [`${whose}: this browser verified that on the ledger${basis}.`] : []),
      ...consequences(about),
    ],
    unverified: "why" in tried ? [`${whose}.`, tried.why] : [],
    cautions: [
      "It cannot be undone: this key is never accepted again.",
      ...(key.fingerprint === own ? ["It is the key that you are signed in with: you are signed out."] : []),
      ...(last && officers <= 3 ? ["Then fewer than three security officers can sign. With fewer than two, nobody can change people or policy any more."] : []),
    ],
  };
}
