/** Entries that are looked up by their identifier, for rows older than the plant's state keeps. */
import { SvelteMap } from "svelte/reactivity";
import { BACKGROUND, get } from "../api/client";
import type { Digest, Leaf, Order } from "../ledger/types";
import { plant } from "../state/plant.svelte";

export interface Known {
  index: number;
  leaf: Leaf;
}

/** The most that are kept; entries never change, so forgetting all is only slower. */
const MOST = 1000;

const kept = new SvelteMap<Digest, Known | null>();
const asked = new Set<Digest>();

/** An entry, `null` until it is there. */
export function entryOf(id: Digest): Known | null {
  const there = kept.get(id);
  if (there === undefined && !asked.has(id)) void ask(id);
  return there ?? null;
}

async function ask(id: Digest): Promise<void> {
  asked.add(id);
  const found = await get<Known>(`/api/v1/entries/${id}`, { headers: BACKGROUND }).catch(() => null);
  if (kept.size >= MOST) {
    kept.clear();
    asked.clear();
  }
  kept.set(id, found);
}

/** What an order says, `null` until it is there. */
export function orderOf(id: Digest): Order | null {
  const state = plant.orders[id];
  if (state !== undefined) return state.order;
  const body = entryOf(id)?.leaf.entry.statement.body;
  return body !== undefined && "order" in body ? body.order : null;
}
