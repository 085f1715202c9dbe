// How a live conversation looks to people and to assistive technology, and how much memory a page takes in the long run.
// Screenshots go to target/screenshots/.

import assert from "node:assert/strict";
import { mkdir, readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { after, before } from "node:test";
import { fileURLToPath } from "node:url";

import { at, company, delivered, launch, open, peerId, peers, say, sees, skip, test, visit } from "./harness.mjs";
import { startPeer, startRelay } from "./processes.mjs";

const AXE = createRequire(import.meta.url).resolve("axe-core/axe.min.js");
const SHOTS = fileURLToPath(new URL("../../target/screenshots/", import.meta.url));
const SIZES = { desktop: { width: 1000, height: 612 }, phone: { width: 390, height: 844 } };

let browser;
before(async () => {
  await mkdir(SHOTS, { recursive: true });
  if (!skip) browser = await launch();
});
after(() => browser?.close());

async function accessible(page, where) {
  await page.evaluate(await readFile(AXE, "utf8"));
  const { violations } = await page.evaluate(() => globalThis.axe.run());
  assert.deepEqual(violations.map(({ id, nodes }) => `${where}: ${id}: ${nodes.map(({ html }) => html).join(" ")}`), []);
}

/** Plays a conversation of a page with another page, and with a terminal that it has dialled directly. */
async function converse(t, options) {
  const relay = await startRelay(t);
  const url = at(relay, { room: "garden" });
  const native = await startPeer(t, "--relay", relay.url, "--namespace", "garden", "--listen", "/ip4/127.0.0.1/tcp/0/ws");
  const [page, other] = await Promise.all([visit(t, browser, url, { context: options }), visit(t, browser, url)]);
  await Promise.all([company(page, 2), company(other, 2)]);
  await say(page, `/dial ${native.events.find(({ event }) => event === "listening").address}`);
  await peers(page).getByText(/direct · (ws|webrtc)/).first().waitFor();
  await say(other, "Morning! I am in the train, on my phone.");
  await sees(page, "Morning! I am in the train, on my phone.");
  native.say("And I am a terminal. The build is green here.");
  await sees(page, "And I am a terminal. The build is green here.");
  await say(page, "Good to see you both.\nShall we try the relay's restart now?");
  await delivered(page, "Good to see you both.", "delivered 2/2");
  await native.waitFor(({ event, body }) => event === "message" && body.startsWith("Good to see"), "message of the page");
  native.say("Go ahead, I stay connected to you without it.");
  await sees(page, "Go ahead, I stay connected to you without it.");
  await say(page, "The relay goes down… now.");
  await delivered(page, "The relay goes down… now.", "delivered 2/2");
  return { relay, page };
}

for (const colorScheme of ["light", "dark"]) {
  for (const [size, viewport] of Object.entries(SIZES)) {
    test(`a live conversation, ${colorScheme}, ${size}: accessible, and within the window`, async (t) => {
      const { page } = await converse(t, { colorScheme, viewport });
      await peers(page).getByText("ms").first().waitFor();
      await page.screenshot({ path: join(SHOTS, `${size}-${colorScheme}.png`) });
      assert.ok(await page.evaluate(() => document.documentElement.scrollWidth) <= viewport.width);
      await accessible(page, "conversation");
      for (const name of ["Invite", "Settings"]) {
        await page.getByRole("button", { name, exact: true }).click();
        await page.getByRole("dialog", { name }).waitFor();
        await page.screenshot({ path: join(SHOTS, `${size}-${colorScheme}-${name.toLowerCase()}.png`) });
        await accessible(page, name);
        await page.keyboard.press("Escape");
      }
    });
  }
}

test("a hundred starts and stops in one page leave no memory behind", async (t) => {
  const relay = await startRelay(t);
  // This document starts no peer of its own; its missing icon is the 404.
  const page = await visit(t, browser, `${relay.url}bootstrap.json`, { allow: /404/ });
  const cdp = await page.context().newCDPSession(page);
  const round = () => page.evaluate(async (relays) => {
    const web = await import("/pkg/web.js");
    const { memory } = await web.default();
    const once = async () => {
      const peer = await web.Peer.start({ relays });
      let ready;
      for await (const { event } of peer.events()) {
        if (event !== "ready" || ready) continue;
        ready = true;
        peer.stop();
      }
      if (!ready) throw new Error("the events ended before the peer was ready");
      peer.free();
    };
    await Promise.all(Array.from({ length: 10 }, once));
    return memory.buffer.byteLength;
  }, [relay.address("ws")]);
  const measure = async () => {
    const wasm = await round();
    await cdp.send("HeapProfiler.collectGarbage");
    return { wasm, heap: (await cdp.send("Runtime.getHeapUsage")).usedSize };
  };
  await measure();
  const first = await measure();
  let last;
  for (let count = 0; count < 10; count += 1) last = await measure();
  const kib = (bytes) => `${Math.round(bytes / 1024)} KiB`;
  t.diagnostic(`wasm ${kib(first.wasm)} → ${kib(last.wasm)}, JavaScript heap ${kib(first.heap)} → ${kib(last.heap)}`);
  for (const what of ["wasm", "heap"]) assert.ok(last[what] <= 1.2 * first[what], `${what}: ${kib(first[what])} → ${kib(last[what])}`);
});
