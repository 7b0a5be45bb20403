/** JSON as the site writes `PART.json`: keys by their UTF-8 bytes, two spaces, one spelling. */
import { isObject, type Json } from "../jcs";
import { compareText } from "../shape";

export function pretty(value: Json, depth = 0): string {
  const inner = "  ".repeat(depth + 1);
  const end = `\n${"  ".repeat(depth)}`;
  if (Array.isArray(value)) {
    const items = value.map((one) => inner + pretty(one, depth + 1));
    return items.length === 0 ? "[]" : `[\n${items.join(",\n")}${end}]`;
  }
  if (isObject(value)) {
    const keys = Object.keys(value).sort(compareText);
    const items = keys.map(
      (key) => `${inner}${JSON.stringify(key)}: ${pretty(value[key] ?? null, depth + 1)}`,
    );
    return items.length === 0 ? "{}" : `{\n${items.join(",\n")}${end}}`;
  }
  return typeof value === "number" ? number(value) : JSON.stringify(value);
}

/**
 * A number as Rust writes it. Canonical JSON spells whole numbers below 2^64 by their digits,
 * which are read as such; every other number is a float, with an exponent from 1e16 on and below
 * 1e-5.
 */
function number(value: number): string {
  const magnitude = Math.abs(value);
  const whole = Number.isInteger(value) && (value < 0 ? magnitude < 2 ** 63 : magnitude < 2 ** 64);
  if (whole || (magnitude >= 1e-5 && magnitude < 1e16)) return String(value);
  return value.toExponential();
}
