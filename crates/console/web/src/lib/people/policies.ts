/** A policy text, policy by policy, as a page shows it. The site's parser decides; this one only cuts. */

export interface PolicyText { id: string; says: string; permits: boolean; text: string }

/** Cuts a Cedar text into its policies; what stands before the first is left out. */
export function policies(text: string): PolicyText[] {
  const starts = [...text.matchAll(/^@id\(/gm)].map((match) => match.index);
  return starts.map((start, i) => {
    const whole = text.slice(start, starts[i + 1] ?? text.length).trim();
    // A comment that belongs to the next policy stands after the last semicolon.
    const end = whole.lastIndexOf(";");
    const own = end < 0 ? whole : whole.slice(0, end + 1);
    return { id: annotation(own, "id"), says: annotation(own, "says"), permits: !/^forbid\b/m.test(own), text: own };
  });
}

function annotation(text: string, name: string): string {
  const found = new RegExp(`@${name}\\(("(?:[^"\\\\]|\\\\.)*")\\)`).exec(text)?.[1];
  if (found === undefined) return "";
  try {
    return JSON.parse(found) as string;
  } catch {
    return found.slice(1, -1);
  }
}

/** The policies that a decision names, by their sentence or identifier. */
export function deciding(all: PolicyText[], because: readonly string[]): PolicyText[] {
  return all.filter((policy) => because.includes(policy.says === "" ? policy.id : policy.says));
}
