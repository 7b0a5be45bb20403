/** How soon the console is there, on loopback: what `cargo xtask bench` reports. */
import { writeFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { expect, test } from "./people";

const ROUNDS = 5;

interface Timing { first_paint_ms: number; largest_paint_ms: number; blocked_ms: number; gzip_bytes: number }

/** Runs in the page: when something was first painted; waits for it. */
async function firstPaint(): Promise<number> {
  for (;;) {
    const found = performance.getEntriesByName("first-contentful-paint")[0];
    if (found !== undefined) return found.startTime;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

test("measure the first load of the plant's page", async ({ people }) => {
  const { page, devtools } = people.operator;
  await devtools.send("Network.enable");
  await devtools.send("Network.setCacheDisabled", { cacheDisabled: true });
  const rounds: Timing[] = [];
  const plain: number[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    // A page of the same site without any script, for comparison.
    await page.goto("/passports/flange-1");
    plain.push(await page.evaluate(firstPaint));
    const loaded = new Set<string>();
    const listener = (response: import("@playwright/test").Response): void => {
      const { pathname } = new URL(response.url());
      if (pathname === "/" || pathname.startsWith("/assets/")) loaded.add(response.url());
    };
    page.on("response", listener);
    await page.goto("/");
    await expect(page.getByRole("heading", { level: 1 })).toBeVisible();
    await page.waitForTimeout(1500);
    page.off("response", listener);
    // Fetched once more: the browser need not keep the bodies of what it has used.
    let bytes = 0;
    for (const url of loaded) bytes += gzipSync(await (await page.request.get(url)).body()).length;
    const found = await page.evaluate(async () => {
      const last = (type: string): Promise<number> => new Promise((resolve) => {
        new PerformanceObserver((list) => resolve(list.getEntries().at(-1)?.startTime ?? 0)).observe({ type, buffered: true });
        setTimeout(() => resolve(0), 500);
      });
      const blocked = await new Promise<number>((resolve) => {
        new PerformanceObserver((list) => resolve(list.getEntries().reduce((sum, e) => sum + Math.max(0, e.duration - 50), 0))).observe({ type: "longtask", buffered: true });
        setTimeout(() => resolve(0), 500);
      });
      return {
        first_paint_ms: performance.getEntriesByName("first-contentful-paint")[0]?.startTime ?? 0,
        largest_paint_ms: await last("largest-contentful-paint"),
        blocked_ms: blocked,
      };
    });
    rounds.push({ ...found, gzip_bytes: bytes });
  }
  const middle = (of: keyof Timing): number => rounds.map((r) => r[of]).sort((a, b) => a - b)[Math.floor(ROUNDS / 2)] ?? 0;
  const report = {
    plain_first_paint_ms: plain.sort((a, b) => a - b)[Math.floor(ROUNDS / 2)] ?? 0,
    first_paint_ms: middle("first_paint_ms"), largest_paint_ms: middle("largest_paint_ms"),
    blocked_ms: middle("blocked_ms"), gzip_bytes: middle("gzip_bytes"), rounds,
  };
  const path = process.env["INTERLOCK_TIMINGS"];
  if (path !== undefined) writeFileSync(path, JSON.stringify(report));
  console.log(report);
  expect(report.first_paint_ms).toBeGreaterThan(0);
});
