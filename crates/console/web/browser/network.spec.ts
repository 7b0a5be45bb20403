/** A network that loses answers, and a browser with many windows. */
import { chromium, type Browser, type Page } from "@playwright/test";
import { launchedWith } from "./chromium";
import { cli, expect, origin, pageWithAuthenticator, Person, robot, test } from "./people";
import { Relay, type Way } from "./relay";

/** The same person and passkey in another browser. */
async function elsewhere(browser: Browser, who: Person): Promise<Person> {
  const { credentials } = await who.devtools.send("WebAuthn.getCredentials", { authenticatorId: who.authenticator });
  const { page, devtools, authenticator } = await pageWithAuthenticator(browser);
  for (const credential of credentials) await devtools.send("WebAuthn.addCredential", { authenticatorId: authenticator, credential });
  await page.goto("/");
  await page.getByRole("button", { name: "Sign in with a passkey" }).click();
  await expect(page.getByRole("navigation", { name: "pages" })).toBeVisible();
  return new Person(who.id, page, devtools, authenticator);
}

const ordersOf = (part: string): unknown[] =>
  Object.values(cli("auditor", "order", "list") as Record<string, { order: { part: string } }>).filter((o) => o.order.part === part);

for (const [way, what] of [["swallow", "its answer was lost"], ["timeout", "a gateway gave up"]] as [Way, string][]) {
  test(`an order is repeated, not signed again, when ${what}`, async ({ people }) => {
    const port = Number(new URL(origin).port);
    const relay = await Relay.to(port);
    const browser = await chromium.launch(launchedWith(`--host-resolver-rules=MAP localhost:${port} 127.0.0.1:${relay.port}`));
    try {
      const { page, devtools, authenticator } = await elsewhere(browser, people.operator);
      const signed = async (): Promise<number> => {
        const { credentials } = await devtools.send("WebAuthn.getCredentials", { authenticatorId: authenticator });
        return Math.max(...credentials.map((c) => c.signCount));
      };
      const [before, starts] = [await signed(), (await robot("motions"))["starts"] as number];
      const part = `lost-${way}`;
      await page.goto("/order");
      await page.getByLabel("Part").fill(part);
      await expect(page.getByText("Yes: every rule is satisfied now.")).toBeVisible();
      await page.getByRole("button", { name: "Sign and launch…" }).click();
      const dialog = page.getByRole("dialog");
      relay.way = way;
      await dialog.getByRole("button", { name: "Order with passkey" }).click();
      await expect(dialog.getByText(/It may be on the ledger/)).toBeVisible();
      expect(ordersOf(part)).toHaveLength(way === "swallow" ? 1 : 0);
      relay.way = "pass";
      await dialog.getByRole("button", { name: "Try again" }).click();
      await expect(page).toHaveURL(/\/runs\/[0-9a-f]{64}/);
      await expect(page.getByRole("heading", { name: "Finished", exact: true })).toBeVisible({ timeout: 60_000 });
      expect(new Set(relay.sent).size).toBe(1);
      expect(relay.sent.length).toBeGreaterThan(1);
      expect(await signed()).toBe(before + 1);
      expect(ordersOf(part)).toHaveLength(1);
      expect((await robot("motions"))["starts"]).toBe(starts + 1);
    } finally {
      await browser.close();
      relay.close();
    }
  });
}

test("seven windows of one browser live on one stream, and on the next when its window goes", async ({ people }) => {
  const context = people.operator.page.context();
  const streams: string[] = [];
  const pages: Page[] = [];
  for (let window = 0; window < 7; window += 1) {
    const page = await context.newPage();
    page.on("request", (request) => { if (request.resourceType() === "eventsource") streams.push(new URL(request.url()).pathname); });
    pages.push(page);
    await page.goto("/");
  }
  const hear = async (part: string, windows: Page[]): Promise<void> => {
    cli("operator", "order", "sign", "--cell", "cell-1", "--program", "scan", "--part", part, "--yes");
    for (const page of windows) {
      await expect(page.getByRole("status").filter({ hasText: /^live$/ })).toBeVisible();
      await expect(page.getByText(`ordered scan on ${part}`).first()).toBeVisible();
    }
  };
  // All seven are in sight, and a browser has six connections to a site over HTTP/1.1.
  await people.operator.page.goto("about:blank");
  await hear("window-1", pages);
  expect(streams.filter((path) => path === "/api/v1/events").length).toBeLessThanOrEqual(1);
  const before = streams.length;
  const closed = pages.splice(0, 5);
  for (const page of closed) await page.close();
  await hear("window-2", pages);
  // Each that goes may hand on two streams, of entries and of the cell, and no more.
  expect(streams.length).toBeLessThanOrEqual(before + 2 * closed.length);
  for (const page of pages) await page.close();
  await people.operator.visit("/");
});
