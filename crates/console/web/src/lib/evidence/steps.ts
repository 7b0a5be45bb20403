/** Checks one after another, each green or red with its reason. */
import type { CheckedStep } from "../verify";

export type Step = CheckedStep;

/** What a row of checks came to. */
export interface Outcome {
  ok: boolean;
  steps: Step[];
}

/** Collects steps; the first that fails ends the row. */
export class Steps {
  readonly list: Step[] = [];

  /** Runs one check. Its words come from what it found, or from why it failed. */
  async check<T>(name: string, work: () => T | Promise<T>, words: (made: T) => string): Promise<T> {
    try {
      const made = await work();
      this.list.push({ name, ok: true, words: words(made) });
      return made;
    } catch (error) {
      this.list.push({ name, ok: false, words: error instanceof Error ? error.message : String(error) });
      throw error;
    }
  }
}

/** Runs a row of checks to its end or its first failure. */
export async function outcome(work: (steps: Steps) => Promise<void>): Promise<Outcome> {
  const steps = new Steps();
  try {
    await work(steps);
    return { ok: true, steps: steps.list };
  } catch (error) {
    const told = steps.list.at(-1)?.ok === false;
    const words = error instanceof Error ? error.message : String(error);
    return { ok: false, steps: told ? steps.list : [...steps.list, { name: "check", ok: false, words }] };
  }
}
