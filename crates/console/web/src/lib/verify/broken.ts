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

/** Text of a foreign hand, short enough for a message. */
export function short(text: string, length = 60): string {
  const letters = [...text.slice(0, 4 * length)];
  return letters.length > length ? `${letters.slice(0, length).join("")}…` : letters.join("");
}
