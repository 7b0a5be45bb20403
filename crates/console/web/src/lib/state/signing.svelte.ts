/**
 * Signing: from what a person wants to a witnessed entry.
 *
 * The dialog shows the statement in plain words and byte for byte; the passkey's
 * challenge is the SHA-256 of exactly those bytes, which is also the entry's
 * identifier. Nothing changes in the plant without passing here.
 */
import { post } from "../api/client";
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
export async function prepare(body: Body, now = Date.now()): Promise<Prepared> {
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

/** Signs a prepared statement with the person's passkey and puts it on the ledger. */
export async function signAndSubmit({ statement, bytes }: Prepared): Promise<Submitted> {
  const { me } = session;
  if (me === null) throw new Error("nobody is signed in");
  const found = await assertion(await sha256(bytes), me.credential);
  const entry: Entry = { signature: { passkey: found.assertion }, statement };
  return post<Submitted>("/api/v1/entries?wait=witnessed", new TextDecoder().decode(canonicalBytes(entry as unknown as Json, "entry")));
}

/** The one request for a signature that is open, with who waits for it. */
class Signing {
  wanted = $state.raw<Wanted | null>(null);
  private settle: ((done: Submitted | null) => void) | null = null;

  /** Asks for a signature; `null` when the person declines. */
  ask(wanted: Wanted): Promise<Submitted | null> {
    this.settle?.(null);
    this.wanted = wanted;
    return new Promise((resolve) => (this.settle = resolve));
  }

  /** Ends the request, from the dialog. */
  end(done: Submitted | null): void {
    this.wanted = null;
    this.settle?.(done);
    this.settle = null;
  }
}

export const signing = new Signing();
