/** A policy text, policy by policy, as a page shows it. The site's parser decides; this one only cuts. */

import type { Wanted } from "../state/signing.svelte";
import { count } from "../words";
import { lineDiff } from "./differ";

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

/**
 * What is signed to propose a policy text: `began` is the text that the draft was made from,
 * `inForce` the one that the ledger has now, `basis` ends the sentence on what was verified.
 * @throws Error when the two differ: the comparison that the person read is no longer true.
 */
export function policyOf(text: string, began: string, inForce: string, basis: string): Wanted {
  if (began !== inForce) throw new Error("Another text took effect since the draft was begun: give it up and begin anew.");
  const lines = lineDiff(inForce, text);
  const of = (kind: "added" | "removed"): string => count(lines.filter((line) => line.kind === kind).length, "line");
  return {
    title: "Propose a new policy text",
    act: "Propose",
    body: { propose: { policy: { text } } },
    words: [
      `Against the text in force it adds ${of("added")} and removes ${of("removed")}. This browser verified that text on the ledger${basis}.`,
      "The site checks the text now: one that names an unknown role, action or attribute is refused.",
      "It replaces the whole text in force when a second security officer approves it.",
    ],
    cautions: ["A policy that forbids too much can stop the plant. That two people change the rules is no policy and stays."],
  };
}
