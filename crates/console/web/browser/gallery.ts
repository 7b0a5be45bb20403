/** Each screen as a picture, in light and dark, on a desk and on a phone. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { addresses } from "./screens";
import { expect, test } from "./people";

const out = process.env["INTERLOCK_GALLERY"] ?? "gallery";

test("draw every screen", async ({ people }) => {
  test.setTimeout(600_000);
  mkdirSync(out, { recursive: true });
  const { page } = people.officer1;
  for (const { name, path } of addresses()) {
    await people.officer1.visit(path);
    await page.waitForTimeout(1500);
    for (const colorScheme of ["light", "dark"] as const) {
      await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
      await page.waitForTimeout(200);
      await page.screenshot({ path: join(out, `${name}-${colorScheme}.png`) });
    }
  }
  await page.setViewportSize({ width: 390, height: 844 });
  for (const [name, path] of [["plant", "/"], ["run", addresses()[3]?.path ?? "/runs"]] as const) {
    await people.officer1.visit(path);
    await page.waitForTimeout(1000);
    await page.screenshot({ path: join(out, `${name}-phone.png`) });
  }
  expect(true).toBe(true);
});
