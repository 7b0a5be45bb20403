/** One request for a signature, made of what this browser verifies first. */
import type { Submitted } from "../ledger/types";
import { session } from "./session.svelte";
import { signing, type Wanted } from "./signing.svelte";

/** Asks for the signature under what is made, and verified, first. */
export type Ask = (make: () => Promise<Wanted>) => Promise<Submitted | null>;

/** A button's state between the click and the dialog. */
export class Asking {
  busy = $state(false);
  /** Why the last click led to no dialog. */
  trouble = $state.raw<unknown>(null);
  private gone = false;

  /** Call it while a component is made: who left its page is asked nothing more. */
  constructor() {
    $effect(() => () => (this.gone = true));
  }

  /**
   * Asks for the signature under what `make` gives, and calls `before` first; `null` when the
   * person declines or nothing could be verified.
   */
  async run(make: () => Promise<Wanted>, before: () => void = () => {}): Promise<Submitted | null> {
    if (this.busy) return null;
    const me = session.me?.member;
    this.busy = true;
    this.trouble = null;
    let wanted: Wanted;
    try {
      wanted = await make();
    } catch (error) {
      this.trouble = notAsked(error);
      return null;
    } finally {
      this.busy = false;
    }
    if (this.gone || session.me?.member !== me) return null;
    before();
    return signing.ask(wanted);
  }
}

/** Says that a person is asked to sign nothing, and why. */
export function notAsked(error: unknown): Error {
  return new Error(`You are not asked to sign, because this browser could not verify what you would sign: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
}
