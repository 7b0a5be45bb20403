/** Short words on what was just done, at the edge of the page. */
interface Toast { id: number; words: string; href?: string }

class Toasts {
  list = $state<Toast[]>([]);
  private last = 0;

  /** Says something for a few seconds. */
  say(words: string, href?: string): void {
    const id = ++this.last;
    this.list.push(href === undefined ? { id, words } : { id, words, href });
    setTimeout(() => (this.list = this.list.filter((t) => t.id !== id)), 6000);
  }
}

export const toasts = new Toasts();
