/** Who can sign in: everybody with a passkey that is not revoked. */
import type { Id, MemberState } from "../ledger/types";
import { keysOf, signs } from "./keys";

export async function ableOf(members: Record<Id, MemberState>): Promise<Set<Id>> {
  const found = await Promise.all(Object.entries(members).map(async ([id, state]) => {
    const keys = await keysOf(state);
    return keys.some((key) => key.kind === "passkey" && signs(key)) ? [id] : [];
  }));
  return new Set(found.flat());
}
