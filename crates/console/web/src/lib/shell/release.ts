/** The release of a hold; apart from what every page loads, for it brings the verifier along. */
import { evidence } from "../evidence/evidence.svelte";
import { provenName } from "../evidence/proven";
import { foreign } from "../foreign";
import type { Digest, Id } from "../ledger/types";
import type { Wanted } from "../state/signing.svelte";
import { comparable, localTime } from "../words";
import { RELEASES } from "./hold.svelte";

/**
 * What is signed to release a hold. A release names an identifier: what hold that is comes from
 * its entry, so that nobody is shown one hold and releases another.
 */
export async function releaseOf(id: Digest, releases: readonly Id[]): Promise<Wanted> {
  const [{ value: hold, signed }, now] = await Promise.all([evidence.stated(id, "hold"), evidence.inForce()]);
  const where = hold.cell === undefined ? "the whole site" : `cell ${hold.cell}`;
  const who = releases.map((person) => provenName(now, person)).join(", ");
  return {
    title: `Release the hold on ${where}`,
    act: "Release",
    body: { release: { hold: id } },
    words: [
      `${provenName(now, signed.issuer)} placed it (${localTime(signed.loggedAt)}): “${foreign(hold.reason)}”.`,
      `This browser verified that entry ${comparable(id)} is this hold${evidence.basis}.`,
      `The hold ends when ${RELEASES} people have signed its release; orders that still wait may start at once then.`,
    ],
    unverified: [
      releases.length + 1 >= RELEASES
        ? `${who} signed its release already: you are the second person, and with your signature the hold ends.`
        : "Nobody else has signed its release: you are the first of two people.",
    ],
    cautions: ["Look at the cell first: if you are the second person, a waiting order moves the robot."],
  };
}
