import { defineConfig } from "@playwright/test";
import { launchOptions } from "./browser/chromium";

const plant = process.env["INTERLOCK_PLANT"];
if (plant === undefined) throw new Error("run this with `cargo xtask console browser`: it needs a plant");

export default defineConfig({
  testDir: "browser",
  outputDir: process.env["INTERLOCK_OUT"] ?? "../../../target/browser/results",
  // One plant, one ledger: what one test states, the next one sees.
  workers: 1,
  fullyParallel: false,
  timeout: 180_000,
  expect: { timeout: 30_000 },
  reporter: [["list"]],
  use: {
    viewport: { width: 1280, height: 800 },
    launchOptions,
    trace: "retain-on-failure",
  },
  projects: [
    { name: "browser", testMatch: /.*\.spec\.ts/ },
    { name: "gallery", testMatch: /gallery\.ts/ },
    { name: "timings", testMatch: /timings\.ts/ },
  ],
});
