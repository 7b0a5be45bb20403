/** Moments of a recording: finding them, and what lies between two samples. */

/** The last place whose time is at most `t`; -1 when all are later. */
export function lastAt(times: ArrayLike<number>, t: number): number {
  let [low, high] = [0, times.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((times[middle] ?? Infinity) <= t) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

/** The channels' values at `t`, straight between samples and constant beyond the ends. */
export function valuesAt(times: ArrayLike<number>, channels: readonly ArrayLike<number>[], t: number): number[] {
  const before = Math.max(0, lastAt(times, t));
  const after = Math.min(times.length - 1, before + 1);
  const [t0, t1] = [times[before] ?? 0, times[after] ?? 0];
  const part = t1 > t0 ? Math.min(1, Math.max(0, (t - t0) / (t1 - t0))) : 0;
  return channels.map((values) => {
    const [from, to] = [values[before] ?? 0, values[after] ?? 0];
    return from + part * (to - from);
  });
}

/** The length of a vector of three channels, sample by sample. */
export function sizes(channels: readonly ArrayLike<number>[]): Float64Array {
  const [x = [], y = [], z = []] = channels;
  return Float64Array.from({ length: x.length }, (_, i) => Math.hypot(x[i] ?? 0, y[i] ?? 0, z[i] ?? 0));
}

/**
 * Speed of a point, per second, from its places: the mean over at least `span` ms
 * before each sample, because two neighbours are too near for a quotient.
 */
export function speeds(times: ArrayLike<number>, places: readonly ArrayLike<number>[], span: number): Float64Array {
  let from = 0;
  return Float64Array.from({ length: times.length }, (_, i) => {
    const now = times[i] ?? 0;
    while (from + 1 < i && now - (times[from + 1] ?? 0) >= span) from += 1;
    const seconds = (now - (times[from] ?? 0)) / 1000;
    if (seconds <= 0) return 0;
    return Math.hypot(...places.slice(0, 3).map((p) => (p[i] ?? 0) - (p[from] ?? 0))) / seconds;
  });
}
