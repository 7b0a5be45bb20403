/**
 * A plant as it was just made, over https: people who never saw Interlock follow what the
 * pages say from the first link to a finished run.
 */
import { expect, test as base, type Locator, type Page } from "@playwright/test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { connect } from "node:tls";
import { browserOf, freshLink, freshPlant, HOST, type Fresh } from "./fresh";
import { enrol, type Person } from "./people";

/** What a client that trusts the plant's authority alone is told. */
function handshake({ dir, port }: Fresh): Promise<{ authorized: boolean; protocol: string | null; alpn: string | false | null }> {
  return new Promise((resolve, reject) => {
    const ca = readFileSync(join(dir, "site/tls/ca.pem"));
    const socket = connect({ host: "127.0.0.1", port, servername: HOST, ca, ALPNProtocols: ["h2", "http/1.1"] }, () => {
      resolve({ authorized: socket.authorized, protocol: socket.getProtocol(), alpn: socket.alpnProtocol });
      socket.destroy();
    });
    socket.on("error", reject);
  });
}

base("from the first link to a finished run, over https, by what the pages say", async () => {
  base.setTimeout(480_000);
  const plant = await freshPlant();
  const browser = await browserOf(plant);
  try {
    expect(await handshake(plant)).toEqual({ authorized: true, protocol: "TLSv1.3", alpn: "h2" });
    const person = (member: string): Promise<Person> => enrol(browser, member, freshLink(plant, member), plant.origin);
    const steps = (page: Page): Locator => page.getByRole("region", { name: "First steps" });
    const next = (page: Page): Locator => steps(page).locator("[aria-current=step]");

    const officer = await person("officer-1");
    const { page } = officer;
    await expect(next(page)).toContainText(/Second security officer or Recovery officer \(offline\) opens the one-time link/);
    // The cookie came over TLS, and stays with it.
    const [cookie] = await page.context().cookies();
    expect(cookie).toMatchObject({ name: "__Host-interlock", secure: true, httpOnly: true, sameSite: "Strict", domain: HOST, path: "/" });
    expect(await page.evaluate(() => [isSecureContext, document.cookie, (performance.getEntriesByType("navigation")[0] as PerformanceNavigationTiming).nextHopProtocol])).toEqual([true, "", "h2"]);
    expect((await page.goto("/"))?.headers()["strict-transport-security"]).toContain("max-age=");

    const officer2 = await person("officer-2");
    await expect(next(page)).toContainText("Operator opens the one-time link");
    const operator = await person("operator");
    await expect(next(operator.page)).toContainText("A robot program is approved");
    await operator.visit("/order");
    await expect(operator.page.getByText(/An integrator proposes the program's file.*Integrator/)).toBeVisible();

    // The integrator is led to the form, and fills it in.
    const integrator = await person("integrator");
    await next(integrator.page).getByRole("link", { name: "Propose a program" }).click();
    const form = integrator.page.getByRole("dialog", { name: "Propose a robot program" });
    await form.getByLabel("Program file").setInputFiles(plant.program);
    await expect(form.getByLabel("Identifier", { exact: true }).first()).toHaveValue("scan");
    await expect(form.getByRole("checkbox", { name: "cell-1" })).toBeChecked();
    await form.getByLabel("What it does").fill("photograph a part from several sides");
    for (const [id, title, unit, min, max, standard] of [
      ["speed_percent", "speed of the arm", "%", "10", "100", "100"], ["standoff_mm", "distance of the camera", "mm", "150", "240", "200"],
      ["viewpoints", "sides to photograph", "", "1", "6", "2"],
    ] as const) {
      await form.getByRole("button", { name: "Add a parameter" }).click();
      const row = form.getByRole("group", { name: /^parameter/ }).last();
      await row.getByLabel("Identifier").fill(id);
      await row.getByLabel("What it is").fill(title);
      await row.getByLabel("Unit").fill(unit);
      await row.getByLabel("Least").fill(min);
      await row.getByLabel("Most").fill(max);
      await row.getByLabel("Default").fill(standard);
    }
    await form.getByRole("button", { name: "Store the file and propose" }).click();
    await integrator.sign();

    // An officer is led to the proposal.
    await expect(next(officer2.page)).toContainText("It is proposed.");
    await next(officer2.page).getByRole("link", { name: "The proposal" }).click();
    await officer2.page.getByRole("button", { name: "Approve…" }).click();
    await officer2.sign();

    // The operator is led to the order, and the steps are gone when its run has finished.
    await operator.visit("/");
    await next(operator.page).getByRole("link", { name: "Order a run" }).click();
    await operator.page.getByLabel("Part").fill("first-part");
    await expect(operator.page.getByText("Yes: every rule is satisfied now.")).toBeVisible();
    await operator.page.getByRole("button", { name: "Sign and launch…" }).click();
    await operator.sign();
    await expect(operator.page.getByRole("heading", { name: "Finished", exact: true })).toBeVisible({ timeout: 90_000 });
    await operator.visit("/");
    await expect(operator.page.getByRole("navigation", { name: "to begin with" })).toBeVisible();
    await expect(steps(operator.page)).toHaveCount(0);
  } finally {
    await browser.close();
    await plant.end();
  }
});
