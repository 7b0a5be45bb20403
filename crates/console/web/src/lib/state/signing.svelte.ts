/**
 * Signing: from what a person wants to a witnessed entry.
 *
 * The dialog shows the statement in plain words and byte for byte; the passkey's
 * challenge is the SHA-256 of exactly those bytes, which is also the entry's
 * identifier. Nothing changes in the plant without passing here.
 */
import { clock } from "../api/clock.svelte";
import { get, post, Problem } from "../api/client";
import type { Body, Digest, Entry, Statement, Submitted } from "../ledger/types";
import { toBase64Url, toHex } from "../verify/bytes";
import { sha256 } from "../verify/crypto";
import { canonicalBytes, type Json } from "../verify/jcs";
import { assertion } from "./passkey";
import { session } from "./session.svelte";

/** What a person is asked to sign. */
export interface Wanted {
  /** What it does, as a heading: "Grant the camera recording to analyst". */
  title: string;
  /** What will be stated. */
  body: Body;
  /** What it means, one sentence each. */
  words: string[];
  /** What it rests on that only the site says, one sentence each; shown apart, as that. */
  unverified?: string[];
  /** What to think of before, one sentence each. */
  cautions?: string[];
  /** The word on the button; "Sign" when absent. */
  act?: string;
  /** Whether it takes something away for good. */
  grave?: boolean;
}

/** A statement as it will be signed. */
export interface Prepared {
  statement: Statement;
  bytes: Uint8Array;
  id: Digest;
}

/** A statement of the person who is signed in, with the hash that a passkey signs. */
export async function prepare(body: Body, now = clock.now()): Promise<Prepared> {
  const { me, plant } = session;
  if (me === null || plant === null) throw new Error("nobody is signed in");
  const nonce = toBase64Url(crypto.getRandomValues(new Uint8Array(16)));
  // A copy without reactive proxies: what is shown is what is signed.
  const plain = JSON.parse(JSON.stringify(body)) as Body;
  const statement: Statement = {
    at: now, body: plain, issuer: me.member, key: me.key, nonce, site: plant.site, v: "interlock/1",
  };
  const bytes = canonicalBytes(statement as unknown as Json, "statement");
  return { statement, bytes, id: toHex(await sha256(bytes)) };
}

/** An entry with its signature, as it goes to the site: the same bytes however often. */
export interface Signed {
  id: Digest;
  text: string;
}

/** What became of an entry that is on the ledger. */
export interface Done extends Submitted {
  witnessed: boolean;
}

/** The site waits 20 s for the witnesses; after this the network is taken for lost. */
const PATIENCE_MS = 45_000;

/** Signs a prepared statement with the person's passkey. */
export async function sign({ statement, bytes, id }: Prepared): Promise<Signed> {
  const { me } = session;
  if (me === null) throw new Error("nobody is signed in");
  const found = await assertion(await sha256(bytes), me.credential);
  const entry: Entry = { signature: { passkey: found.assertion }, statement };
  return { id, text: new TextDecoder().decode(canonicalBytes(entry as unknown as Json, "entry")) };
}

/** Puts a signed entry on the ledger. Repeating it is harmless: it counts once. */
export async function submit({ id, text }: Signed): Promise<Done> {
  try {
    const signal = AbortSignal.timeout(PATIENCE_MS);
    const done = await post<Submitted>("/api/v1/entries?wait=witnessed", text, "POST", { signal });
    return { ...done, witnessed: true };
  } catch (error) {
    if (!(error instanceof Problem) || error.status !== 504) throw error;
    // Logged, and the witnesses take their time: it counts already. Or it never came to the site.
    const found = await get<{ index: number }>(`/api/v1/entries/${id}`).catch(() => null);
    if (found === null) throw error;
    const { index } = found;
    return { id, index, known: true, witnessed: false };
  }
}

/** Whether an error says for certain that the entry is not on the ledger, and never will be. */
export function refused(error: unknown): boolean {
  return error instanceof Problem && (error.refusal !== null || error.status === 400);
}

/** The one request for a signature that is open, with who waits for it. */
class Signing {
  wanted = $state.raw<Wanted | null>(null);
  /** What was signed and sent, while it is not known whether it is on the ledger. */
  sent = $state.raw<Signed | null>(null);
  private settle: ((done: Submitted | null) => void) | null = null;

  /** Asks for a signature; `null` when the person declines. */
  ask(wanted: Wanted): Promise<Submitted | null> {
    this.end(null);
    this.wanted = wanted;
    return new Promise((resolve) => (this.settle = resolve));
  }

  /** Sends what was signed; signs first when nothing was. */
  async send(prepared: Prepared): Promise<Done> {
    const { wanted } = this;
    const signed = this.sent ?? (await sign(prepared));
    // Somebody else may sit here by now.
    if (this.wanted !== wanted) throw new Error("the request for this signature has ended: nothing was sent");
    this.sent = signed;
    try {
      return await submit(signed);
    } catch (error) {
      if (refused(error) && this.sent === signed) this.sent = null;
      throw error;
    }
  }

  /** Ends the request, from the dialog. */
  end(done: Submitted | null): void {
    const { settle } = this;
    [this.wanted, this.sent, this.settle] = [null, null, null];
    settle?.(done);
  }

  /** Ends it because the person went. */
  leave(): void {
    if (this.sent !== null) session.ended = "Your session ended before the site confirmed what you signed. It may be on the ledger: look there before you sign it again.";
    this.end(null);
  }
}

export const signing = new Signing();
