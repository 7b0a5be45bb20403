/**
 * The newest rows of several columns, in memory that never grows. Views are windows
 * into that memory, so that drawing copies nothing; they hold until the next `push`.
 */
export class Ring {
  private readonly columns: Float64Array[];
  private end = 0;

  constructor(width: number, readonly capacity: number) {
    // Twice the room: rows are moved to the front once for each `capacity` rows.
    this.columns = Array.from({ length: width }, () => new Float64Array(2 * capacity));
  }

  get length(): number {
    return Math.min(this.end, this.capacity);
  }

  push(row: ArrayLike<number>): void {
    if (this.end === 2 * this.capacity) {
      this.columns.forEach((column) => column.copyWithin(0, this.capacity));
      this.end = this.capacity;
    }
    this.columns.forEach((column, i) => (column[this.end] = row[i] ?? Number.NaN));
    this.end += 1;
  }

  /** The kept rows, oldest first. */
  view(): Float64Array[] {
    const begin = Math.max(0, this.end - this.capacity);
    return this.columns.map((column) => column.subarray(begin, this.end));
  }

  clear(): void {
    this.end = 0;
  }
}
