/** The link of an invitation, which is shown once. */
import type { Id, Millis } from "../ledger/types";

/** A link that was just made. It stands nowhere else and is gone with the dialog. */
export interface Offer { member: Id; name: string; link: string; until: Millis; proposal: string }

class Offers {
  latest = $state.raw<Offer | null>(null);
}
export const offers = new Offers();
