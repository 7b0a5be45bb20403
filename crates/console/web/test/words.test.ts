import { expect, it } from "vitest";
import { humane, localTime } from "../src/lib/words";

it("says what machines say as people read it", () => {
  const at = "2026-11-21T14:09:06.449Z";
  expect(humane(`it is valid until ${at}, for \`cell-1\``)).toBe(`it is valid until ${localTime(Date.parse(at))}, for cell-1`);
  expect(humane(`run ${"ab".repeat(32)} of scan`)).toBe("run abababab of scan");
  // What only looks like a time, or a pair of backticks, stays as it is.
  expect(humane("2026-11-21 and a ` alone")).toBe("2026-11-21 and a ` alone");
});
