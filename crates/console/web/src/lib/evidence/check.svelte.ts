/** What this browser verified of a chain: a mark on each node and link, with reasons. */
import type { Chain, Link, Node } from "./chain";
import { evidence } from "./evidence.svelte";
import type { Step } from "./steps";

export interface Mark {
  state: "busy" | "ok" | "bad";
  steps: Step[];
}

export class ChainCheck {
  private marks = $state.raw<Record<string, Mark>>({});
  /** Entries verified of how many, while all are. */
  done = $state(0);
  total = $state(0);
  running = $state(false);
  private generation = 0;

  /** What stands on a node: a mark for other entries than it has now is none. */
  of(item: Node | Link): Mark | null {
    return this.marks[keyOf(item)] ?? null;
  }

  /** How the whole chain stands. */
  overall(chain: Chain): "ok" | "bad" | "open" {
    const all = [...chain.nodes, ...chain.links].map((item) => this.of(item)?.state);
    if (all.includes("bad")) return "bad";
    return all.length > 0 && all.every((state) => state === "ok") ? "ok" : "open";
  }

  forget(): void {
    this.generation += 1;
    this.marks = {};
    this.running = false;
  }

  async node(node: Node): Promise<void> {
    const before = this.done;
    await this.mark(node, () => evidence.node(node, (done) => (this.done = before + done)));
  }

  async link(link: Link, chain: Chain): Promise<void> {
    await this.mark(link, async () => {
      const { ok, words } = await evidence.link(link, chain);
      return { ok, steps: [{ name: ok ? "fits" : "does not fit", ok, words }] };
    });
  }

  async all(chain: Chain): Promise<void> {
    const mine = ++this.generation;
    this.running = true;
    this.done = 0;
    this.total = chain.nodes.reduce((sum, node) => sum + node.entries.length, 0);
    let before = 0;
    for (const node of chain.nodes) {
      await this.node(node);
      if (mine !== this.generation) return;
      before += node.entries.length;
      this.done = before;
    }
    for (const link of chain.links) {
      await this.link(link, chain);
      if (mine !== this.generation) return;
    }
    this.running = false;
  }

  private async mark(item: Node | Link, work: () => Promise<{ ok: boolean; steps: Step[] }>): Promise<void> {
    const key = keyOf(item);
    const mine = this.generation;
    this.marks = { ...this.marks, [key]: { state: "busy", steps: [] } };
    const { ok, steps } = await work();
    if (mine === this.generation) this.marks = { ...this.marks, [key]: { state: ok ? "ok" : "bad", steps } };
  }
}

function keyOf(item: Node | Link): string {
  return "entries" in item ? `${item.id}@${item.entries.map((event) => event.index).join()}` : item.id;
}
