/** What waits for the person who is signed in. */
import type { Digest, HoldState, Id, Proposal } from "../ledger/types";
import { plant } from "../state/plant.svelte";
import { session } from "../state/session.svelte";

/** Whether a proposal waits for this security officer's approval. */
export function awaits(proposal: Proposal, me: Id): boolean {
  return !proposal.effective && proposal.proposer !== me && !proposal.officers.includes(me);
}

class Waiting {
  /** Proposals that the person can approve. */
  get approvals(): [Digest, Proposal][] {
    const { me } = session;
    if (me === null || !session.has("security-officer")) return [];
    return Object.entries(plant.proposals).filter(([, p]) => awaits(p, me.member));
  }

  /** Holds that the person can help to release. */
  get releases(): [Digest, HoldState][] {
    const { me } = session;
    if (me === null || !session.has("operator", "security-officer")) return [];
    return Object.entries(plant.holds).filter(([, h]) => !h.releases.includes(me.member));
  }
}

export const waiting = new Waiting();
