/** Every page: nothing serious for axe, in light and dark, and it fits its screens. */
import { AxeBuilder } from "@axe-core/playwright";
import type { Page } from "@playwright/test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { addresses, screens } from "./screens";
import { cli, expect, plantDir, test } from "./people";

/** The rules of axe that colours decide: all that a change of theme can break. */
const colours = ["color-contrast", "link-in-text-block"];

test("axe finds nothing serious on any page, in light and dark", async ({ people }) => {
  test.setTimeout(600_000);
  const { page } = people.officer1;
  for (const { name, path } of addresses()) {
    await people.officer1.visit(path);
    // A live page is never idle for long.
    await page.waitForLoadState("networkidle", { timeout: 1_500 }).catch(() => {});
    for (const colorScheme of ["light", "dark"] as const) {
      await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
      const axe = new AxeBuilder({ page }).options({ resultTypes: ["violations"] });
      const rules = colorScheme === "light" ? axe.withTags(["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]) : axe.withRules(colours);
      const { violations } = await rules.analyze();
      const serious = violations.filter((v) => v.impact === "serious" || v.impact === "critical");
      const told = serious.map((v) => `${v.id}: ${v.nodes.map((n) => `${n.target.join(" ")} ${n.any[0]?.message ?? ""}`).slice(0, 3).join(" | ")}`);
      expect(told, `${name} in ${colorScheme}`).toEqual([]);
    }
  }
});

/** Approves a program whose names are as long as the ledger takes, with no place to break at. */
function longNames(): void {
  const id = "w".repeat(64);
  const [file, about] = [join(plantDir, "../long.urp"), join(plantDir, "../long-about.json")];
  writeFileSync(file, id);
  const parameter = { title: "W".repeat(100), unit: "W".repeat(20), min: 0, max: 2_000_000_000, default: 1 };
  writeFileSync(about, JSON.stringify({ id, title: "W".repeat(200), cells: ["cell-1"], parameters: { [id]: parameter } }));
  const proposed = cli("integrator", "program", "add", file, "--about", about) as { id: string };
  cli("officer-2", "change", "approve", "--yes", proposed.id);
}

test("every page fits a desk, a tablet and a phone, with the longest names", async ({ people }) => {
  test.setTimeout(600_000);
  longNames();
  const { page } = people.officer1;
  const long = [{ name: "an order with long names", path: `/order?program=${"w".repeat(64)}&part=${"w".repeat(64)}` }];
  for (const { name, path } of [...addresses(), ...long]) {
    await people.officer1.visit(path);
    for (const size of screens) {
      await page.setViewportSize(size);
      // Another day's times have their dates, which today's lack.
      await page.evaluate(() => document.querySelectorAll("time").forEach((time) => { time.textContent = "Sep 30, 2026, 12:52:39 AM"; }));
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

/** Where the keyboard is: whether its place can be seen, and what hides it. */
async function focus(page: Page): Promise<{ what: string; marked: boolean; hidden: string }> {
  return page.evaluate(() => {
    const at = document.activeElement;
    if (!(at instanceof HTMLElement) || at === document.body) return { what: "", marked: true, hidden: "" };
    const label = at.getAttribute("aria-label") ?? at.textContent?.trim() ?? "";
    const style = getComputedStyle(at);
    const box = at.getBoundingClientRect();
    const [x, y] = [box.x + box.width / 2, box.y + Math.min(box.height / 2, innerHeight / 2)];
    const over = document.elementFromPoint(x, y);
    const covered = over === null ? "out of sight" : at.contains(over) || over.contains(at) || over instanceof HTMLLabelElement ? "" : over.outerHTML.slice(0, 120);
    return { what: `${at.tagName.toLowerCase()} ${label.slice(0, 40)}`, marked: style.outlineStyle !== "none" && style.outlineWidth !== "0px", hidden: covered };
  });
}

test("the keyboard reaches every page's controls, and its place is always in sight", async ({ people }) => {
  test.setTimeout(600_000);
  const { page } = people.officer1;
  const told: string[] = [];
  for (const size of [{ width: 1280, height: 800 }, { width: 390, height: 844 }]) {
    await page.setViewportSize(size);
    // A phone is for hold and status.
    const shown = addresses().filter(({ name }) => size.width > 400 || ["plant", "runs", "run"].includes(name));
    for (const { name, path } of shown) {
      await people.officer1.visit(path);
      await page.waitForTimeout(300);
      const stops = new Set<string>();
      for (let press = 0; press < 30; press += 1) {
        await page.keyboard.press("Tab");
        const { what, marked, hidden } = await focus(page);
        if (what === "") break;
        stops.add(what);
        if (!marked || hidden !== "") told.push(`${name} at ${size.width}: ${what} ${marked ? `under ${hidden}` : "is not marked"}`);
      }
      expect(stops.size, name).toBeGreaterThan(5);
    }
  }
  await page.setViewportSize({ width: 1280, height: 800 });
  expect(told).toEqual([]);
});
