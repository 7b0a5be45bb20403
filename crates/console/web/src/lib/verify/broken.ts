/** What does not hold, as a reader would point at it, and how. */
export class Broken extends Error {
  constructor(
    readonly what: string,
    readonly reason: string,
  ) {
    super(`${what} does not hold: ${reason}`);
    this.name = "Broken";
  }
}

export type Result<T> = { ok: true; value: T } | { ok: false; broken: Broken };

/**
 * Runs a verification and gives its value, or what broke. A fault of the verifier itself counts as
 * broken too: whoever asks must see red, never nothing.
 */
export async function attempt<T>(work: () => T | Promise<T>): Promise<Result<T>> {
  try {
    return { ok: true, value: await work() };
  } catch (error) {
    if (error instanceof Broken) return { ok: false, broken: error };
    const reason = error instanceof Error ? error.message : String(error);
    return { ok: false, broken: new Broken("the verifier", reason) };
  }
}

/** Text of a foreign hand, short enough for a message. */
export function short(text: string, length = 60): string {
  const letters = [...text.slice(0, 4 * length)];
  return letters.length > length ? `${letters.slice(0, length).join("")}…` : letters.join("");
}
