/** Inviting: a proposal with a one-time key. */
import { clock } from "../api/clock.svelte";
import { anchorsDigest, pinnedAnchors } from "../enrol/anchors";
import { makeInvitation } from "../enrol/invitation";
import { writeLink } from "../enrol/link";
import { evidence } from "../evidence/evidence.svelte";
import { provenMember } from "../evidence/proven";
import { foreign } from "../foreign";
import type { Id, Invitation, Member, Role } from "../ledger/types";
import type { Ask } from "../state/asking.svelte";
import { session } from "../state/session.svelte";
import { Broken } from "../verify";
import { comparable, localTime } from "../words";
import { keyName } from "./differ";
import { counts, invited, keysOf, sortedRoles } from "./keys";
import { offers } from "./offers.svelte";

export const DAY_MS = 86_400_000;
/** For how many days an invitation can last; the ledger takes at most 14. */
export const VALID_DAYS = [1, 3, 7, 14] as const;

/** What an invitation proposes, and what its dialog says of that. */
interface Proposed { member: (invitation: Invitation) => Member; words: string[] }

async function propose(ask: Ask, days: number, make: () => Promise<Proposed>): Promise<boolean> {
  const card = session.plant;
  if (card === null) return false;
  const until = clock.now() + days * DAY_MS;
  const made: { member?: Member; seed?: string } = {};
  const done = await ask(async () => {
    const { words, member: propose } = await make();
    const { invitation, seed } = await makeInvitation(until);
    const member = propose(invitation);
    Object.assign(made, { member, seed });
    return {
      title: `Invite ${foreign(member.name)} (${member.id})`,
      act: "Propose",
      body: { propose: { member } },
      words: [...words, `The invitation can be used once, until ${localTime(until)}.`, "It works when a second security officer has approved this proposal."],
      cautions: ["Whoever has the link becomes this person. Hand it over yourself, or by a channel that you trust."],
    };
  });
  const { member, seed } = made;
  if (done === null || member === undefined || seed === undefined) return false;
  const digest = await anchorsDigest(pinnedAnchors() ?? card.anchors);
  offers.latest = { member: member.id, name: member.name, link: writeLink(location.origin, member.id, seed, until, digest), until, proposal: done.id };
  return true;
}

/** Proposes a new person. One whose identifier the ledger has already is refused: it would lose its keys. */
export function inviteNew(ask: Ask, id: Id, name: string, roles: Role[], days: number): Promise<boolean> {
  return propose(ask, days, async () => {
    const { members } = await evidence.inForce();
    if (Object.hasOwn(members, id)) throw new Broken(`a new member ${id}`, "the ledger has one already, whatever the site shows: choose another identifier");
    return {
      member: (invitation) => ({ id, keys: [{ invitation }], name, roles: sortedRoles(roles) }),
      words: [`${foreign(name)} becomes a member of this plant as ${sortedRoles(roles).join(", ")}.`],
    };
  });
}

/**
 * Proposes one more passkey for a member. What the proposal repeats of the member comes from
 * verified entries alone: a key that only the site shows would sign as that person.
 */
export function inviteAgain(ask: Ask, id: Id, days: number): Promise<boolean> {
  return propose(ask, days, async () => {
    const state = provenMember(await evidence.inForce(), id);
    const { member } = state;
    const [keys, name, now] = [await keysOf(state), foreign(member.name), clock.now()];
    const stay = keys.filter((key) => counts(key, now)).map(keyName);
    return {
      member: (invitation) => invited(member, keys, invitation, now),
      words: [
        `${name} may enrol one more passkey. Keys that are in use now stay: ${stay.join(", ") || "none"}.`,
        `Roles stay: ${sortedRoles(member.roles).join(", ") || "none"}. Reading key: ${member.seal === undefined ? "none" : comparable(member.seal)}.`,
        `This browser verified name, roles and each of these keys on the ledger${evidence.basis}.`,
        `If ${name} enrols another key or browser before it is approved, propose it anew: an approval puts the keys back as they are now.`,
        `When it takes effect, open proposals and releases that ${name} signed have to be signed anew.`,
      ],
    };
  });
}
