/** Times, sizes and verdicts in the passport's own words, which are part of its format. */
import type { Verdict } from "../body";
import type { Millis } from "../shape";

const two = (n: number): string => String(n).padStart(2, "0");

/** RFC 3339 with milliseconds, also where `Date` ends. */
export function rfc3339(at: Millis): string {
  const [days, rest] = [Math.floor(at / 86_400_000), at % 86_400_000];
  const z = days + 719_468;
  const era = Math.floor(z / 146_097);
  const doe = z % 146_097;
  const leap = Math.floor(doe / 1460) - Math.floor(doe / 36_524) + Math.floor(doe / 146_096);
  const yoe = Math.floor((doe - leap) / 365);
  const doy = doe - (365 * yoe + Math.floor(yoe / 4) - Math.floor(yoe / 100));
  const mp = Math.floor((5 * doy + 2) / 153);
  const day = doy - Math.floor((153 * mp + 2) / 5) + 1;
  const month = mp < 10 ? mp + 3 : mp - 9;
  const year = yoe + era * 400 + (month <= 2 ? 1 : 0);
  const seconds = Math.floor(rest / 1000);
  const date = `${String(year).padStart(4, "0")}-${two(month)}-${two(day)}`;
  const time = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60].map(two);
  return `${date}T${time.join(":")}.${String(rest % 1000).padStart(3, "0")}Z`;
}

/** A time for people, to the second. */
export function clock(at: Millis): string {
  const text = rfc3339(at);
  return `${text.slice(0, text.indexOf("T"))} ${text.slice(text.indexOf("T") + 1, -5)} UTC`;
}

/** A number of bytes for people, in powers of ten. */
export function size(bytes: number): string {
  const units = [
    ["GB", 1_000_000_000n],
    ["MB", 1_000_000n],
    ["kB", 1000n],
  ] as const;
  const exact = BigInt(bytes);
  for (const [unit, one] of units) {
    if (exact < one) continue;
    const tenths = (exact * 10n) / one;
    return `${tenths / 10n}.${tenths % 10n} ${unit}`;
  }
  return `${bytes} bytes`;
}

/** Text with its first letter in upper case. */
export function capital(text: string): string {
  const [first = "", ...rest] = [...text];
  return first.toUpperCase() + rest.join("");
}

export function verdictWords(verdict: Verdict): string {
  switch (verdict) {
    case "enrolled":
      return "the first scan, by which the part is known from now on";
    case "confirmed":
      return "it is the part that was enrolled";
    case "denied":
      return "it is not the part that was enrolled";
    case "pass":
      return "nothing differs from what it was held against";
    case "fail":
      return "it differs from what it was held against";
    case "undetermined":
      return "the photographs do not allow a verdict";
  }
}
