/** Entries as they come, filtered and kept within bounds. Pure. */
import { plain } from "../foreign";
import { wordOf, type Id, type LedgerEvent, type Word } from "../ledger/types";
import { sentence } from "../words";

export const WORDS: readonly Word[] = [
  "order", "run-started", "run-ended", "recording", "grant", "revoke-grant", "read", "report", "passport", "refused",
  "hold", "release", "propose", "approve", "accept", "revoke-key", "shred", "shredded", "genesis",
];

/** The most rows that are kept. */
export const MOST = 2000;

interface Filter {
  word: Word | "";
  issuer: Id;
  text: string;
}

/** Both lists as one, newest first, each entry once. */
export function merge(news: readonly LedgerEvent[], read: readonly LedgerEvent[]): LedgerEvent[] {
  const found = new Map<number, LedgerEvent>();
  for (const event of [...read, ...news]) found.set(event.index, event);
  return [...found.values()].sort((a, b) => b.index - a.index).slice(0, MOST);
}

/** Whether an entry is one of those wanted. */
export function matches(event: LedgerEvent, { word, issuer, text }: Filter): boolean {
  if (word !== "" && wordOf(event.body) !== word) return false;
  if (issuer !== "" && event.issuer !== issuer) return false;
  const wanted = text.trim().toLowerCase();
  if (wanted === "") return true;
  const shown = `${event.index} ${event.id} ${event.issuer} ${plain(sentence(event.body))} ${JSON.stringify(event.body)}`;
  return shown.toLowerCase().includes(wanted);
}
