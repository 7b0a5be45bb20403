/**
 * What a person is about to sign about, from entries that this browser verified. A site that
 * was taken over may show what it likes; what it shows must not get into a signature.
 */
import { foreign } from "../foreign";
import type { Id, MemberState, Order, Program, Recording } from "../ledger/types";
import type { InForce } from "../people/differ";
import { Broken, canonical, type Json } from "../verify";
import { shortCid } from "../words";
import type { Verifier } from "./verifier";

/** What was verified, or in words why it could not be. */
export type Tried<T> = { found: T } | { why: string };

/** Verifies if it can: for acts that only protect, which no site may hold up by proving nothing. */
export async function tried<T>(work: () => Promise<T>): Promise<Tried<T>> {
  try {
    return { found: await work() };
  } catch (error) {
    return { why: error instanceof Error ? error.message : String(error) };
  }
}

/** What a record holds under a name that others chose: "constructor" is one, too. */
function own<T>(record: Record<string, T>, name: string): T | undefined {
  return Object.hasOwn(record, name) ? record[name] : undefined;
}

/** A member as the ledger has it. @throws Broken when no verified entry enrols it. */
export function provenMember({ members }: InForce, id: Id): MemberState {
  const found = own(members, id);
  if (found === undefined) throw new Broken(`member ${id}`, "no entry that the site proves enrols it");
  return found;
}

/** A member's name with its identifier, as the ledger has them; the identifier alone when it has no such member. */
export function provenName({ members }: InForce, id: Id): string {
  const found = own(members, id);
  return found === undefined ? id : `${foreign(found.member.name)} (${id})`;
}

/** The program that a new one of this name replaces, if any. */
export function replaced({ programs }: InForce, id: Id): Program | undefined {
  return own(programs, id);
}

/** The program of an order. @throws Broken when another one is in force than was shown, or it is not for that cell. */
export function provenProgram(now: InForce, shown: Program, cell: Id): Program {
  const found = own(now.programs, shown.id);
  const what = `program ${shown.id}`;
  if (found === undefined) throw new Broken(what, "no entry that the site proves approves it");
  if (canonical(found as unknown as Json) !== canonical(shown as unknown as Json)) {
    throw new Broken(what, "the site shows another file, other cells or other bounds than security officers approved; if it has just been changed, look at the order again");
  }
  if (!found.cells.includes(cell)) throw new Broken(what, `it is not approved for cell ${cell}`);
  if (!provenMember(now, cell).member.roles.includes("cell")) throw new Broken(`cell ${cell}`, "it is no cell of this plant");
  return found;
}

/** A recording as its cell registered it, with the order of its run. */
export interface ProvenRecording {
  recording: Recording;
  order: Order;
  cell: Id;
}

/** The recording that the entry at an index registers. @throws Broken when that is another one, or its cell did not sign it. */
export async function provenRecording(verifier: Verifier, index: number, root: string): Promise<ProvenRecording> {
  const what = `recording ${shortCid(root)}`;
  const { value: recording, signed } = await verifier.stated(index, "recording");
  if (recording.root !== root) throw new Broken(what, `entry ${index} registers ${shortCid(recording.root)} instead`);
  const { value: order } = await verifier.stated(recording.order, "order");
  const cell = signed.issuer;
  if (order.cell !== cell) throw new Broken(what, `${cell} registered it, and its run was ordered from ${order.cell}`);
  if (!(await verifier.hadRole(cell, "cell", index))) throw new Broken(what, `${cell}, who registered it, is no cell`);
  return { recording, order, cell };
}

/** Who is granted recordings. @throws Broken when the ledger has no such member, or none with a reading key. */
export function provenReader(now: InForce, id: Id): MemberState {
  const found = provenMember(now, id);
  if (found.member.seal === undefined) throw new Broken(`reader ${id}`, "no entry that the site proves gives it a reading key");
  return found;
}
