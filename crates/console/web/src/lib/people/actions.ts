/** What can be asked of the policy, in words, with what each question needs to know. */
export interface Action {
  action: string;
  words: string;
  /** What it is done to. */
  on: "cell" | "site" | "either";
  /** What else the policy sees. */
  subject?: "program" | "kind";
}

export const ACTIONS: readonly Action[] = [
  { action: "order.place", words: "order a run", on: "cell", subject: "program" },
  { action: "run.watch", words: "watch a run", on: "cell" },
  { action: "hold.place", words: "place a hold", on: "either" },
  { action: "hold.release", words: "release a hold", on: "either" },
  { action: "change.propose", words: "propose a change", on: "site", subject: "kind" },
  { action: "change.approve", words: "approve a change", on: "site", subject: "kind" },
  { action: "key.revoke", words: "revoke a key", on: "site" },
  { action: "grant.issue", words: "grant recordings", on: "site" },
  { action: "grant.revoke", words: "revoke a grant", on: "site" },
  { action: "recording.read", words: "be granted recordings", on: "site" },
  { action: "recording.shred", words: "destroy a recording's key", on: "site" },
  { action: "report.file", words: "file a report", on: "site" },
  { action: "plant.read", words: "read the ledger and the plant's state", on: "site" },
  { action: "run.record", words: "record a run", on: "cell" },
  { action: "site.record", words: "record what the site did", on: "site" },
  { action: "refusal.record", words: "record a refusal", on: "site" },
];

/** What an action is called in a sentence. */
export function actionWords(action: string): string {
  return ACTIONS.find((known) => known.action === action)?.words ?? action;
}

/** The kinds of change that a policy can tell apart. */
export const KINDS = ["member", "roles", "policy", "program", "template"] as const;
