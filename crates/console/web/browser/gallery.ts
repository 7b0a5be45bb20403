/** Each screen as a picture, in light and dark, on a desk and on a phone. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Page } from "@playwright/test";
import { small } from "./palette";
import { addresses } from "./screens";
import { browserOf, freshLink, freshPlant } from "./fresh";
import { cli, enrol, linkOf, pageWithAuthenticator, test } from "./people";

const out = process.env["INTERLOCK_GALLERY"] ?? "gallery";

async function draw(page: Page, name: string): Promise<void> {
  for (const colorScheme of ["light", "dark"] as const) {
    await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
    await page.waitForTimeout(400);
    writeFileSync(join(out, `${name}-${colorScheme}.png`), small(await page.screenshot()));
  }
}

test.beforeAll(() => mkdirSync(out, { recursive: true }));

test("draw what is seen before anybody is signed in", async ({ browser }) => {
  const { page } = await pageWithAuthenticator(browser);
  await page.goto("/");
  await page.waitForTimeout(500);
  await draw(page, "sign-in");
  await page.goto(linkOf("integrator"));
  await page.waitForTimeout(500);
  await draw(page, "enrol");
  await page.context().close();
});

test("draw a plant that was just made", async () => {
  test.setTimeout(300_000);
  const plant = await freshPlant();
  const browser = await browserOf(plant);
  try {
    const { page } = await enrol(browser, "officer-1", freshLink(plant, "officer-1"), plant.origin);
    await page.getByRole("region", { name: "First steps" }).waitFor();
    await draw(page, "first");
    const integrator = await enrol(browser, "integrator", freshLink(plant, "integrator"), plant.origin);
    await integrator.visit("/changes?propose=program");
    await integrator.page.getByLabel("Program file").setInputFiles(plant.program);
    await draw(integrator.page, "propose");
  } finally {
    await browser.close();
    await plant.end();
  }
});

test("draw every screen", async ({ people }) => {
  test.setTimeout(600_000);
  const { page } = people.officer1;
  for (const { name, path } of addresses()) {
    await people.officer1.visit(path);
    if (name === "trace") {
      await page.getByRole("button", { name: "Verify all" }).click();
      await page.getByText("every node and link verified").waitFor();
    }
    await page.waitForTimeout(1500);
    await draw(page, name);
  }
});

test("draw an order, its signature, its run and a hold", async ({ people }) => {
  test.setTimeout(300_000);
  const { page } = people.operator;
  await people.operator.visit("/order");
  await page.getByLabel("Part").fill("flange-2");
  await page.getByText("Yes: every rule is satisfied now.").waitFor();
  await draw(page, "order");
  await page.getByRole("button", { name: "Sign and launch…" }).click();
  await page.getByTestId("entry-id").waitFor();
  await draw(page, "sign");
  await page.keyboard.press("Escape");
  const slow = ["--set", "speed_percent=10", "--set", "viewpoints=6"];
  const { id } = cli("operator", "order", "sign", "--cell", "cell-1", "--program", "scan", "--part", "flange-2", ...slow, "--yes") as { id: string };
  await people.operator.visit(`/runs/${id}`);
  await page.waitForTimeout(6000);
  await draw(page, "live");
  await page.setViewportSize({ width: 390, height: 844 });
  await draw(page, "live-phone");
  await people.operator.visit("/");
  await page.waitForTimeout(1500);
  await draw(page, "plant-phone");
  await page.setViewportSize({ width: 820, height: 1180 });
  await people.operator.visit(`/runs/${id}`);
  await page.waitForTimeout(2000);
  await draw(page, "live-tablet");
  await page.setViewportSize({ width: 1280, height: 800 });
  await people.operator.visit("/");
  await page.keyboard.press("Shift+H");
  await draw(page, "hold");
});
