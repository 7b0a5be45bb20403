/** What is signed to give a member other roles, or none. */
import { provenMember } from "../evidence/proven";
import { foreign } from "../foreign";
import type { Member, Role } from "../ledger/types";
import type { Wanted } from "../state/signing.svelte";
import type { InForce } from "./differ";
import { sortedRoles } from "./keys";

/**
 * Roles for a member, held against what the ledger gives that member now. The choice began with
 * the roles that were shown, so other ones are refused: one that the site put there would be kept.
 * `basis` ends the sentence on what was verified.
 * @throws Error when the site shows other roles.
 */
export function rolesOf(now: InForce, shown: Member, wanted: readonly Role[], self: boolean, basis: string): Wanted {
  const { member } = provenMember(now, shown.id);
  const name = foreign(member.name);
  const [before, next] = [sortedRoles(member.roles), sortedRoles(wanted)];
  if (sortedRoles(shown.roles).join() !== before.join()) {
    throw new Error(`The site shows ${shown.id} as ${shown.roles.join(", ") || "nothing"}, its ledger says ${before.join(", ") || "nothing"}. If that has just changed, try again.`);
  }
  const officers = Object.values(now.members).filter((other) => other.member.roles.includes("security-officer"));
  const none = next.length === 0;
  return {
    title: none ? `Take every role from ${name}` : `Roles of ${name}`,
    act: "Propose",
    grave: none,
    body: { propose: { roles: { member: member.id, roles: next } } },
    words: [
      `Now: ${before.join(", ") || "none"}, as this browser verified on the ledger${basis}. Then: ${next.join(", ") || "none"}.`,
      "It takes effect when a second security officer approves it.",
      `Open proposals and releases that ${name} signed have then to be signed anew.`,
      ...(none ? [`What the policy allows to roles, ${name} can then do no more. What it allows to everybody, as a hold, needs the keys revoked, too.`, `What ${name} signed before stays on the ledger.`] : []),
    ],
    cautions: [
      ...(self ? ["This is about yourself."] : []),
      ...(before.includes("security-officer") && !next.includes("security-officer") && officers.length <= 3
        ? ["Fewer than three security officers would remain: when one more loses a key, nobody can change people or policy."]
        : []),
    ],
  };
}
