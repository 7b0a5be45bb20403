/** Things to do soon, each once however often it is asked for meanwhile. */
export class Settle<T> {
  private readonly due = new Map<T, number>();
  private timer: ReturnType<typeof setTimeout> | null = null;
  private busy = false;

  /** `run` does all that is due; it is not called again before it has ended. */
  constructor(private readonly run: (due: T[]) => Promise<void>) {}

  /** Asks for something within `wait` ms; what is due earlier stays so. */
  ask(wait: number, ...wanted: T[]): void {
    const at = Date.now() + wait;
    for (const one of wanted) this.due.set(one, Math.min(at, this.due.get(one) ?? at));
    this.plan();
  }

  private plan(): void {
    if (this.timer !== null) clearTimeout(this.timer);
    this.timer = null;
    if (this.busy || this.due.size === 0) return;
    const wait = Math.max(0, Math.min(...this.due.values()) - Date.now());
    this.timer = setTimeout(() => void this.go(), wait);
  }

  private async go(): Promise<void> {
    const now = Date.now();
    const due = [...this.due].filter(([, at]) => at <= now).map(([one]) => one);
    due.forEach((one) => this.due.delete(one));
    this.busy = true;
    try {
      if (due.length > 0) await this.run(due);
    } finally {
      this.busy = false;
      this.plan();
    }
  }

  /** Forgets all that was asked for. */
  clear(): void {
    this.due.clear();
    this.plan();
  }
}
