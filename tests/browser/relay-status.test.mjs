// The relay's status page, with a real relay and a real peer. Screenshots go to target/screenshots/.

import assert from "node:assert/strict";
import { mkdir, readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { after, before } from "node:test";
import { fileURLToPath } from "node:url";

import { launch, skip, test, visit } from "./harness.mjs";
import { startPeer, startRelay } from "./processes.mjs";

const AXE = createRequire(import.meta.url).resolve("axe-core/axe.min.js");
const SHOTS = fileURLToPath(new URL("../../target/screenshots/", import.meta.url));
const SIZES = { desktop: { width: 1000, height: 612 }, phone: { width: 390, height: 844 } };
/** The page has no icon. */
const NO_ICON = /404/;

let browser;
before(async () => {
  await mkdir(SHOTS, { recursive: true });
  if (!skip) browser = await launch();
});
after(() => browser?.close());

const figure = (page, name) => page.locator("#now div", { has: page.getByText(name, { exact: true }) }).locator("dd");

for (const colorScheme of ["light", "dark"]) {
  for (const [size, viewport] of Object.entries(SIZES)) {
    test(`the status page, ${colorScheme}, ${size}: live, accessible, and within the window`, async (t) => {
      const relay = await startRelay(t);
      const page = await visit(t, browser, `${relay.url}status`, { allow: NO_ICON, context: { colorScheme, viewport } });
      await page.getByRole("status").getByText("Ready, version").waitFor();
      assert.equal(await figure(page, "Registrations").textContent(), "0");
      const peer = await startPeer(t, "--relay", relay.url);
      await peer.waitFor("registered");
      // The page asks again by itself.
      await figure(page, "Registrations").getByText("1", { exact: true }).waitFor();
      assert.equal(await page.getByRole("img").count(), 4);
      assert.ok(await page.evaluate(() => document.documentElement.scrollWidth) <= viewport.width);
      await page.screenshot({ path: join(SHOTS, `status-${size}-${colorScheme}.png`), fullPage: true });
      await page.evaluate(await readFile(AXE, "utf8"));
      const { violations } = await page.evaluate(() => globalThis.axe.run());
      assert.deepEqual(violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" ")}`), []);
    });
  }
}

test("the status page draws an hour, and takes what it gets for text", async (t) => {
  const relay = await startRelay(t);
  const evil = "<img src=x onerror=document.title='evil'>";
  const sample = (at) => ({ at, connections: at / 60, reservations: 0, registrations: 0, circuits: 5, relayed_bytes: at * 2_000, refusals: 0, resident_bytes: null });
  const samples = Array.from({ length: 60 }, (_, minute) => sample(60 * minute));
  const status = { version: evil, state: evil, every: 60, now: sample(3_600), samples };
  const prepare = (page) => page.route("**/status.json", (route) => route.fulfill({ json: status }));
  const page = await visit(t, browser, `${relay.url}status`, { allow: NO_ICON, prepare });
  await page.getByRole("status").getByText(evil).waitFor();
  assert.equal(await page.locator("main img").count(), 0);
  assert.equal(await figure(page, "Memory").textContent(), "not known");
  await page.getByRole("img", { name: "Relayed a second in the last hour: now 2.0 kB, at most 2.0 kB" }).waitFor();
  const curves = await page.locator("polyline").evaluateAll((all) => all.map((curve) => curve.getAttribute("points").split(" ")));
  assert.deepEqual(curves.map((points) => points.length), [61, 61, 60, 60]);
  assert.deepEqual([curves[0][0], curves[0][60]], ["0.0,100.0", "300.0,0.0"]);
  await page.screenshot({ path: join(SHOTS, "status-hour.png"), fullPage: true });
});

test("the status page says that the relay is gone", async (t) => {
  const relay = await startRelay(t);
  const page = await visit(t, browser, `${relay.url}status`, { allow: /404|net::ERR_/ });
  await page.getByRole("status").getByText("Ready, version").waitFor();
  await relay.kill();
  await page.getByRole("status").getByText("No figures:").waitFor();
});
