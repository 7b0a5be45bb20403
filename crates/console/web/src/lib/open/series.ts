/**
 * Many channels over one time, in bounded memory.
 *
 * A plot has some thousand pixels and a shift has a million samples. Samples go
 * into buckets of equal number, and of each bucket every channel keeps its least
 * and its greatest value in the order in which they came: no peak is lost, and a
 * value stands at most one bucket from its true time. Few enough samples are kept
 * as they are.
 */

/** Channels over time: `values[channel][i]` at `t[i]`, ms since 1970, never running backwards. */
export interface Series {
  t: Float64Array;
  values: Float64Array[];
  /** Samples behind two points; 1 when each point is a sample. */
  bucket: number;
}

/** Takes samples one by one. */
export class SeriesBuilder {
  /** Samples of one bucket. */
  readonly bucket: number;
  private readonly t: Float64Array;
  private readonly values: Float64Array[];
  private points = 0;
  private latest = -Infinity;
  /** The open bucket: samples in it, its first time, and per channel its extremes. */
  private filled = 0;
  private begin = 0;
  private readonly least: Float64Array;
  private readonly greatest: Float64Array;
  private readonly rising: Uint8Array;

  /** For `samples` samples of `channels` values, kept as at most `most` points. */
  constructor(samples: number, channels: number, most: number) {
    this.bucket = samples <= most ? 1 : Math.ceil(samples / Math.floor(most / 2));
    const points = this.bucket === 1 ? samples : 2 * Math.ceil(samples / this.bucket);
    this.t = new Float64Array(points);
    this.values = Array.from({ length: channels }, () => new Float64Array(points));
    this.least = new Float64Array(channels);
    this.greatest = new Float64Array(channels);
    this.rising = new Uint8Array(channels);
  }

  /** Adds a sample: a time, and a value for each channel. */
  push(t: number, row: Float64Array): void {
    // A clock that was set back does not turn the plot back.
    this.latest = Math.max(this.latest, t);
    if (this.filled === 0) {
      this.begin = this.latest;
      this.least.set(row);
      this.greatest.set(row);
      this.rising.fill(1);
    } else {
      this.widen(row);
    }
    this.filled += 1;
    if (this.filled === this.bucket) this.close();
  }

  /** What was taken. */
  finish(): Series {
    if (this.filled > 0) this.close();
    const cut = (all: Float64Array) => all.subarray(0, this.points);
    return { t: cut(this.t), values: this.values.map(cut), bucket: this.bucket };
  }

  private widen(row: Float64Array): void {
    for (let channel = 0; channel < row.length; channel++) {
      const value = row[channel] as number;
      // Not a number gives way to any number.
      if (!(value >= (this.least[channel] as number)) && !Number.isNaN(value)) {
        this.least[channel] = value;
        this.rising[channel] = 0;
      }
      if (!(value <= (this.greatest[channel] as number)) && !Number.isNaN(value)) {
        this.greatest[channel] = value;
        this.rising[channel] = 1;
      }
    }
  }

  private close(): void {
    if (this.filled === 1) {
      this.point(this.begin, this.least, this.least);
    } else {
      this.point(this.begin, this.least, this.greatest);
      this.point(this.latest, this.greatest, this.least);
    }
    this.filled = 0;
  }

  private point(t: number, rising: Float64Array, falling: Float64Array): void {
    const at = this.points++;
    this.t[at] = t;
    for (const [channel, values] of this.values.entries()) {
      values[at] = (this.rising[channel] === 1 ? rising : falling)[channel] as number;
    }
  }
}
