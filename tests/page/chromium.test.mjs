// The page in Debian's Chromium, with the relay's Content-Security-Policy and a stand-in for its peer: what only a real
// browser shows. Screenshots go to target/page/.

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { mkdir, readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { networkInterfaces } from "node:os";
import { fileURLToPath } from "node:url";
import { after, before, test } from "node:test";

import { chromium } from "playwright-core";

import { serve } from "./server.mjs";

const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";
const AXE = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const SHOTS = fileURLToPath(new URL("../../target/page/", import.meta.url));
const [A, B, C] = ["12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN", "12D3KooWQ4uVx9YcTnbd7aPYw2eH4Yx5iFaJpZbR1mHfQK8ZtGd3", "12D3KooWPjceQrSwdWXPyLLeABRXmuqt69Rg3sBYbU1Nft9HyQ6X"];
const skip = !existsSync(CHROMIUM) && `there is no ${CHROMIUM}; apt-get install chromium`;

/** Generous: it only ends a hang. */
const WAIT_MS = 60_000;

let browser;
let site;
const options = {};

before(async () => {
  if (skip) return;
  await mkdir(SHOTS, { recursive: true });
  site = await serve(options);
  browser = await chromium.launch({ executablePath: CHROMIUM, args: ["--no-sandbox"] });
});
after(async () => {
  await browser?.close();
  if (site) close(site);
});

function close({ server }) {
  server.close();
  server.closeAllConnections();
}

/** Opens the page, and notes each of its complaints as a fault: of scripts, of the policy, of a missing file. */
async function open(context, url = site.url, { allow = /^$/ } = {}) {
  const page = await context.newPage();
  page.setDefaultTimeout(WAIT_MS);
  const faults = [];
  page.on("pageerror", (error) => faults.push(error.stack));
  page.on("console", (line) => ["error", "warning"].includes(line.type()) && !allow.test(line.text()) && faults.push(line.text()));
  page.on("request", (request) => {
    if (new URL(request.url()).host !== new URL(url).host) faults.push(`a request to ${request.url()}`);
  });
  page.faults = faults;
  await page.goto(url);
  return page;
}

const online = (page) => page.getByRole("status").getByText("Online").waitFor();
const field = (page) => page.getByRole("textbox", { name: "Message", exact: true });

/** Runs in the page, with its peer. */
const withPeer = (page, use, argument) => page.evaluate(`import("./pkg/web.js").then(({ Peer }) => (${use})(Peer.last, ${JSON.stringify(argument)}))`);

async function converse(page) {
  await withPeer(page, (peer, [a, b, c]) => {
    peer.join(a);
    peer.join(b, { path: "relayed", transport: "circuit", rtt_ms: 48 });
    peer.join(c, { transport: "ws", rtt_ms: 3.2 });
    peer.peers[1].unacked = 1;
    peer.emit({ event: "message", from: a, id: 1, body: "Morning! The build is green on my side.", path: "direct" });
    peer.emit({ event: "message", from: a, id: 2, body: "Shall we try the relay restart now?", path: "direct" });
    peer.emit({ event: "message", from: b, id: 1, body: "Ready. <b>Two</b> NATs, and I still see you both :)", path: "relayed" });
  }, [A, B, C]);
  await page.getByRole("list", { name: "Peers" }).getByText("48 ms").waitFor();
  await field(page).fill("Yes. Give me a minute,\nI am moving the laptop to another network.");
  await field(page).press("Enter");
  await page.getByText("queued").waitFor();
  await withPeer(page, (peer, all) => all.forEach((to, at) => peer.emit({ event: "delivery", to, id: at + 1, state: "acked" })), [A, B, C]);
  await page.getByText("delivered 3/3").waitFor();
  await field(page).fill("The relay goes down… now.");
  await page.getByRole("button", { name: "Send", exact: true }).click();
  await withPeer(page, (peer, [a, , c]) => {
    peer.emit({ event: "delivery", to: a, id: 4, state: "acked" });
    peer.emit({ event: "delivery", to: c, id: 6, state: "acked" });
    peer.emit({ event: "message", from: c, id: 1, body: "Still here.", path: "direct" });
  }, [A, B, C]);
  await page.getByText("delivered 2/3").waitFor();
}

async function accessible(page, where) {
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() => globalThis.axe.run());
  assert.deepEqual(violations.map(({ id, nodes }) => `${where}: ${id}: ${nodes.map((node) => node.html).join(" ")}`), []);
}

const SIZES = { desktop: { width: 1280, height: 800 }, phone: { width: 390, height: 844 }, small: { width: 360, height: 640 } };

for (const colorScheme of ["light", "dark"]) {
  for (const [size, viewport] of Object.entries(SIZES)) {
    test(`a conversation, ${colorScheme}, ${size}: accessible, nothing outside the window`, { skip }, async () => {
      const context = await browser.newContext({ colorScheme, viewport, bypassCSP: false });
      const page = await open(context, `${site.url}#room=garden`);
      await online(page);
      const shot = (name) => page.screenshot({ path: `${SHOTS}${size}-${colorScheme}-${name}.png` });
      const check = async (name) => {
        await shot(name);
        const width = await page.evaluate(() => document.documentElement.scrollWidth);
        assert.ok(width <= viewport.width, `${name} is ${width} wide`);
        await accessible(page, name);
      };
      await check("empty");
      await converse(page);
      await check("conversation");
      await page.getByRole("button", { name: "Settings" }).click();
      await check("settings");
      await page.getByRole("button", { name: "New identity" }).click();
      await check("confirm");
      await page.keyboard.press("Escape");
      await page.keyboard.press("Escape");
      assert.equal(await page.locator("dialog[open]").count(), 0);
      await page.getByRole("button", { name: "Invite" }).click();
      await check("invite");
      await page.keyboard.press("Escape");
      await withPeer(page, (peer) => {
        peer.relayList = [{ addresses: [], state: "waiting", retry_in_ms: 3900, code: "connection-closed", reason: "the connection was closed" }];
        peer.emit({ event: "reservation_lost", relay: "R", code: "connection-closed", reason: "closed" });
      });
      await page.getByRole("status").getByText("Relay lost").waitFor();
      await check("lost");
      const second = await open(context);
      await second.getByRole("button", { name: "Use this tab instead" }).waitFor();
      await accessible(second, "second");
      await second.screenshot({ path: `${SHOTS}${size}-${colorScheme}-second.png` });
      assert.deepEqual([...page.faults, ...second.faults], []);
      await context.close();
    });
  }
}

test("by keyboard alone", { skip }, async () => {
  const context = await browser.newContext();
  const page = await open(context);
  await online(page);
  await withPeer(page, (peer, [a, b]) => [a, b].forEach((id) => peer.join(id)), [A, B]);
  await page.getByRole("list", { name: "Peers" }).getByRole("radio").nth(1).waitFor();
  const focused = () => page.evaluate(() => document.activeElement.value || document.activeElement.id || document.activeElement.textContent);
  const visited = [];
  await page.getByRole("button", { name: "Invite" }).focus();
  for (let step = 0; step < 5; step += 1) {
    visited.push(await focused());
    if (step === 2) {
      await page.keyboard.press("ArrowDown");
      visited.push(await focused());
    }
    await page.keyboard.press("Tab");
  }
  assert.deepEqual(visited, ["open-invite", "open-settings", "everyone-radio", A, "log", "message"]);
  await field(page).focus();
  await page.keyboard.type("one");
  await page.keyboard.press("Shift+Enter");
  await page.keyboard.type("two");
  await page.keyboard.press("Enter");
  await page.locator(".entry.out").waitFor();
  assert.deepEqual(await withPeer(page, (peer) => peer.calls.filter(([call]) => call === "send")), [["send", A, "one\ntwo"]]);
  assert.deepEqual(page.faults, []);
  await context.close();
});

test("the identity stays over a reload, until a new one is asked for", { skip }, async () => {
  const context = await browser.newContext();
  const page = await open(context);
  await online(page);
  const id = () => withPeer(page, (peer) => peer.peerId);
  const first = await id();
  await page.reload();
  await online(page);
  assert.equal(await id(), first);
  await page.getByRole("button", { name: "Settings" }).click();
  await page.getByRole("button", { name: "New identity" }).click();
  await page.getByRole("dialog", { name: "A new identity?" }).getByRole("button", { name: "New identity" }).click();
  // The page shows an identity once it is kept, which is later than it is made.
  await page.waitForFunction((old) => document.getElementById("identity-id").textContent !== old, first);
  const second = await id();
  assert.notEqual(second, first);
  await online(page);
  await page.reload();
  await online(page);
  assert.equal(await id(), second);
  assert.deepEqual(page.faults, []);
  await context.close();
});

/** An address of this machine that is no secure context. */
const lan = Object.values(networkInterfaces()).flat().find(({ family, internal }) => family === "IPv4" && !internal)?.address;

for (const secure of [true, false]) {
  const missing = skip || (!secure && !lan && "this machine has no network address");
  test(`two tabs, ${secure ? "secure" : "insecure"}: one at a time is the peer`, { skip: missing }, async (t) => {
    const place = secure ? site : await serve(options, 0, lan);
    if (!secure) t.after(() => close(place));
    const context = await browser.newContext();
    const first = await open(context, place.url);
    assert.equal(await first.evaluate(() => isSecureContext && "locks" in navigator), secure);
    await online(first);
    const second = await open(context, place.url);
    await second.getByRole("button", { name: "Use this tab instead" }).click();
    await online(second);
    await first.getByRole("status").getByText("Stopped: you went on in another tab").waitFor();
    assert.equal(await withPeer(first, (peer) => peer.stopped), true);
    assert.equal(await withPeer(first, (peer) => peer.peerId), await withPeer(second, (peer) => peer.peerId));
    await first.getByRole("button", { name: "Open here with a temporary identity" }).click();
    await online(first);
    assert.notEqual(await withPeer(first, (peer) => peer.peerId), await withPeer(second, (peer) => peer.peerId));
    await first.locator("#notices").getByText("This tab has a temporary identity").waitFor();
    await first.getByRole("button", { name: "Invite" }).click();
    const copy = first.getByRole("dialog").getByRole("button", { name: "Copy link" });
    await copy.click();
    await first.getByRole("dialog").getByRole("button", { name: "Copied" }).waitFor();
    assert.deepEqual([...first.faults, ...second.faults], []);
    await context.close();
  });
}

test("without IndexedDB the page works, with a fresh identity, and says so", { skip }, async () => {
  const context = await browser.newContext();
  await context.addInitScript(() => {
    indexedDB.open = () => {
      throw new DOMException("not here", "SecurityError");
    };
  });
  const page = await open(context);
  await online(page);
  await page.locator("#notices").getByText("You have a fresh identity").waitFor();
  await accessible(page, "no storage");
  const second = await open(context);
  await online(second);
  assert.deepEqual([...page.faults, ...second.faults], []);
  await context.close();
});

test("not built, and no relay", { skip }, async () => {
  const context = await browser.newContext();
  const allow = /404/;
  options.built = false;
  const page = await open(context, site.url, { allow });
  await page.getByText("cargo xtask web").waitFor();
  await accessible(page, "not built");
  await page.screenshot({ path: `${SHOTS}desktop-light-not-built.png` });
  options.built = true;
  options.bootstrap = null;
  await page.getByRole("button", { name: "Reload" }).click();
  await page.getByRole("status").getByText("Cannot find the relay").waitFor();
  await accessible(page, "no relay");
  await page.screenshot({ path: `${SHOTS}desktop-light-no-relay.png` });
  delete options.bootstrap;
  await page.getByRole("button", { name: "Try now" }).click();
  await online(page);
  assert.deepEqual(page.faults, []);
  await context.close();
});

test("offline, and back", { skip }, async () => {
  const context = await browser.newContext();
  const page = await open(context);
  await online(page);
  await context.setOffline(true);
  await page.getByRole("status").getByText("Offline").waitFor();
  await context.setOffline(false);
  await online(page);
  assert.ok(await withPeer(page, (peer) => peer.calls.some(([call]) => call === "wake")));
  await context.close();
});

test("a flood of messages, some of 64 KiB: the page answers, and keeps no more than it says", { skip }, async (t) => {
  const context = await browser.newContext();
  const page = await open(context);
  await online(page);
  const flooded = withPeer(page, (peer, from) => new Promise((resolve) => {
    const long = "<b>0123456789 ".repeat(4681);
    let id = 0;
    let last = performance.now();
    let longestGap = 0;
    const frame = (now) => {
      longestGap = Math.max(longestGap, now - last);
      last = now;
      if (id < 5000) requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
    const timer = setInterval(() => {
      for (let count = 0; count < 20; count += 1) {
        id += 1;
        peer.emit({ event: "message", from, id, body: id % 10 ? `message ${id}` : `${id} ${long}`, path: "direct" });
      }
      if (id >= 5000) {
        clearInterval(timer);
        resolve(longestGap);
      }
    }, 20);
  }), A);
  // While it goes on, a person types, and sees what is typed.
  await page.getByText("message 501", { exact: true }).waitFor();
  const began = Date.now();
  await field(page).fill("I can still type");
  await field(page).press("Enter");
  await page.getByText("Not sent: nobody else is here yet").waitFor();
  const answered = Date.now() - began;
  const longestGap = await flooded;
  await page.getByText("message 4999", { exact: true }).waitFor();
  t.diagnostic(`longest time without a frame: ${Math.round(longestGap)} ms; typed and answered in ${answered} ms`);
  assert.ok(answered < 10_000, `no answer for ${answered} ms`);
  assert.ok((await page.locator(".entry").count()) <= 1000);
  await page.getByText("Older messages are not shown").waitFor();
  assert.equal(await page.locator(".entry b").count(), 0);
  await page.getByRole("button", { name: "Show all" }).last().click();
  assert.deepEqual(page.faults, []);
  await context.close();
});

test("the page does not scroll away from what is being read, and counts what is new", { skip }, async () => {
  const context = await browser.newContext();
  const page = await open(context);
  await online(page);
  const say = (from, first, last) => withPeer(page, (peer, [who, a, z]) => {
    for (let id = a; id <= z; id += 1) peer.emit({ event: "message", from: who, id, body: `line ${id}`, path: "direct" });
  }, [from, first, last]);
  await say(A, 1, 200);
  await page.getByText("line 200", { exact: true }).waitFor();
  await page.getByRole("log").evaluate((log) => {
    log.scrollTop = 100;
    return new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)));
  });
  await say(A, 201, 203);
  await page.getByRole("button", { name: "3 new messages" }).waitFor();
  assert.equal(await page.getByRole("log").evaluate((log) => log.scrollTop), 100);
  await page.getByRole("button", { name: "3 new messages" }).click();
  const left = await page.getByRole("log").evaluate((log) => log.scrollHeight - log.scrollTop - log.clientHeight);
  assert.ok(left < 2, `${left} px are left`);
  assert.deepEqual(page.faults, []);
  await context.close();
});

test("on a phone the header is low, and zoomed in to 400 % the conversation has room", { skip }, async () => {
  const phone = await browser.newContext({ viewport: { width: 390, height: 844 } });
  const page = await open(phone);
  await online(page);
  const height = (selector) => page.locator(selector).evaluate((element) => element.getBoundingClientRect().height);
  const header = await height("header.top");
  assert.ok(header <= 100, `${header} px`);
  await withPeer(page, (peer, [a]) => peer.join(a), [A]);
  await withPeer(page, (peer, [from]) => peer.emit({ event: "message", from, name: "Anna", id: 1, body: "hello", path: "direct", scope: "room" }), [A]);
  await page.locator(".entry.in").waitFor();
  // 1,280 by 1,024 pixels, four times as large.
  await page.setViewportSize({ width: 320, height: 256 });
  const log = await height("#log");
  assert.ok(log >= 100, `${log} px`);
  assert.deepEqual(page.faults, []);
  await phone.close();
});

test("each conversation is shown where it was left", { skip }, async () => {
  const context = await browser.newContext({ viewport: { width: 1000, height: 600 } });
  const page = await open(context);
  await online(page);
  await withPeer(page, (peer, [a]) => {
    peer.join(a);
    for (let id = 1; id <= 100; id += 1) peer.emit({ event: "message", from: a, name: "Anna", id, body: `line ${id}`, path: "direct", scope: "room" });
  }, [A]);
  await page.getByText("line 100", { exact: true }).waitFor();
  const log = page.locator("#log");
  await log.evaluate((element) => (element.scrollTop = 500));
  await log.evaluate((element) => new Promise((resolve) => element.ownerDocument.defaultView.requestAnimationFrame(() => resolve())));
  await page.getByRole("list", { name: "Peers" }).getByRole("radio").first().click();
  await page.getByText("line 100", { exact: true }).waitFor({ state: "detached" });
  assert.equal(await page.evaluate(() => document.activeElement.id), "message", "whoever chose a peer writes to it next");
  await page.locator("#everyone").click();
  await page.getByText("line 100", { exact: true }).waitFor();
  assert.equal(await log.evaluate((element) => element.scrollTop), 500);
  await context.close();
});
