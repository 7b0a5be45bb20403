/** Inviting: a proposal with a one-time key, and the link that is shown once. */
import { clock } from "../api/clock.svelte";
import { anchorsDigest, pinnedAnchors } from "../enrol/anchors";
import { makeInvitation } from "../enrol/invitation";
import { writeLink } from "../enrol/link";
import { foreign } from "../foreign";
import type { Id, Member, MemberState, Millis, Role } from "../ledger/types";
import { session } from "../state/session.svelte";
import { signing } from "../state/signing.svelte";
import { localTime } from "../words";
import { invited, keysOf, sortedRoles } from "./keys";

export const DAY_MS = 86_400_000;
/** For how many days an invitation can last; the ledger takes at most 14. */
export const VALID_DAYS = [1, 3, 7, 14] as const;

/** A link that was just made. It stands nowhere else and is gone with the dialog. */
export interface Offer { member: Id; name: string; link: string; until: Millis; proposal: string }

class Offers {
  latest = $state.raw<Offer | null>(null);
}
export const offers = new Offers();

async function propose(make: (invitation: { ed25519: string; not_after: Millis }) => Member, days: number, words: string[]): Promise<boolean> {
  const card = session.plant;
  if (card === null) return false;
  const until = clock.now() + days * DAY_MS;
  const { invitation, seed } = await makeInvitation(until);
  const member = make(invitation);
  const done = await signing.ask({
    title: `Invite ${foreign(member.name)} (${member.id})`,
    act: "Propose",
    body: { propose: { member } },
    words: [...words, `The invitation can be used once, until ${localTime(until)}.`, "It works when a second security officer has approved this proposal."],
    cautions: ["Whoever has the link becomes this person. Hand it over yourself, or by a channel that you trust."],
  });
  if (done === null) return false;
  const digest = await anchorsDigest(pinnedAnchors() ?? card.anchors);
  const link = writeLink(location.origin, member.id, seed, until, digest);
  offers.latest = { member: member.id, name: member.name, link, until, proposal: done.id };
  return true;
}

/** Proposes a new person. */
export function inviteNew(id: Id, name: string, roles: Role[], days: number): Promise<boolean> {
  return propose(
    (invitation) => ({ id, keys: [{ invitation }], name, roles: sortedRoles(roles) }), days,
    [`${foreign(name)} becomes a member of this plant as ${sortedRoles(roles).join(", ")}.`],
  );
}

/** Proposes one more passkey for a member. */
export async function inviteAgain(state: MemberState, days: number): Promise<boolean> {
  const keys = await keysOf(state);
  const { member } = state;
  const name = foreign(member.name);
  return propose(
    (invitation) => invited(JSON.parse(JSON.stringify(member)) as Member, keys, invitation, clock.now()), days,
    [
      `${name} may enrol one more passkey. Keys that are in use now stay.`,
      `If ${name} enrols another key or browser before it is approved, propose it anew: an approval puts the keys back as they are now.`,
      `When it takes effect, open proposals and releases that ${name} signed have to be signed anew.`,
    ],
  );
}
