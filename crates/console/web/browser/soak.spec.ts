/** A shift of runs on one page: it stays within memory. */
import { cli, expect, test } from "./people";

/** How many runs; `cargo xtask console browser --soak` asks for more. */
const RUNS = Number(process.env["INTERLOCK_SOAK"] ?? "6");

// A trace of a whole shift would itself be what fills the memory.
test.use({ trace: "off" });

test("the run page stays within memory over many runs", async ({ people }) => {
  test.setTimeout(60_000 * RUNS);
  const { page, devtools } = people.operator;
  await devtools.send("Performance.enable");
  const heap = async (): Promise<{ bytes: number; nodes: number; listeners: number }> => {
    await devtools.send("HeapProfiler.collectGarbage");
    const { metrics } = await devtools.send("Performance.getMetrics");
    const value = (name: string): number => metrics.find((m) => m.name === name)?.value ?? Number.NaN;
    return { bytes: value("JSHeapUsedSize"), nodes: value("Nodes"), listeners: value("JSEventListeners") };
  };
  const seen: { bytes: number; nodes: number; listeners: number }[] = [];
  for (let run = 0; run < RUNS; run += 1) {
    const { id } = cli("operator", "order", "sign", "--cell", "cell-1", "--program", "scan", "--part", `soak-${run}`, "--yes") as { id: string };
    await page.evaluate((path) => { history.pushState(null, "", path); dispatchEvent(new PopStateEvent("popstate")); }, `/runs/${id}`);
    // On a busy machine the controller may fall silent, and the run fails: that is as much to hold in memory.
    await expect(page.getByRole("heading", { name: /^(Finished|Failed)$/ })).toBeVisible({ timeout: 120_000 });
    seen.push(await heap());
  }
  const [warm, last] = [seen[Math.min(2, seen.length - 1)], seen.at(-1)];
  if (warm === undefined || last === undefined) throw new Error("nothing was measured");
  const rows = seen.flatMap(({ bytes, nodes, listeners }, i) =>
    [1, 3].includes(i + 1) || (i + 1) % 10 === 0 || i + 1 === RUNS ? [`| ${i + 1} | ${(bytes / 1e6).toFixed(1)} | ${nodes} | ${listeners} |`] : []);
  console.log(["| runs | heap, MB | DOM nodes | listeners |", "|---|---|---|---|", ...rows].join("\n"));
  // Each run leaves its entries (kept to the newest 200), nothing that grows with time.
  expect(last.bytes).toBeLessThan(warm.bytes + 3e6 + 0.4e6 * RUNS);
  expect(last.nodes).toBeLessThan(warm.nodes * 2 + 2000);
});
