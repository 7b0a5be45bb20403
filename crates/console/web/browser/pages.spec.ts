/** Every page: nothing serious for axe, in light and dark, and it fits its screens. */
import { AxeBuilder } from "@axe-core/playwright";
import { addresses, screens } from "./screens";
import { expect, test } from "./people";

test("axe finds nothing serious on any page, in light and dark", async ({ people }) => {
  test.setTimeout(600_000);
  const { page } = people.officer1;
  for (const { name, path } of addresses()) {
    await people.officer1.visit(path);
    await page.waitForLoadState("networkidle").catch(() => {});
    for (const colorScheme of ["light", "dark"] as const) {
      await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
      const { violations } = await new AxeBuilder({ page }).withTags(["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]).analyze();
      const serious = violations.filter((v) => v.impact === "serious" || v.impact === "critical");
      const told = serious.map((v) => `${v.id}: ${v.nodes.map((n) => `${n.target.join(" ")} ${n.any[0]?.message ?? ""}`).slice(0, 3).join(" | ")}`);
      expect(told, `${name} in ${colorScheme}`).toEqual([]);
    }
  }
});

test("every page fits a desk, a tablet and a phone", async ({ people }) => {
  test.setTimeout(600_000);
  const { page } = people.officer1;
  for (const { name, path } of addresses()) {
    await people.officer1.visit(path);
    for (const size of screens) {
      await page.setViewportSize(size);
      const over = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      expect(over, `${name} at ${size.width}×${size.height} scrolls sideways`).toBeLessThanOrEqual(0);
    }
  }
  await page.setViewportSize({ width: 1280, height: 800 });
});

test("no page reports an error or a blocked resource", async ({ people }) => {
  test.setTimeout(600_000);
  const { page } = people.officer1;
  const told: string[] = [];
  page.on("console", (message) => { if (message.type() === "error") told.push(`${page.url()}: ${message.text()}`); });
  page.on("pageerror", (error) => told.push(`${page.url()}: ${error.message}`));
  for (const { path } of addresses()) {
    await people.officer1.visit(path);
    await page.waitForTimeout(300);
  }
  expect(told).toEqual([]);
});
