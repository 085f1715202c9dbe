// The page comes back without a reload: after a restart of the relay, from the background, from sleep.

import assert from "node:assert/strict";
import { after, before } from "node:test";

import { NO_ANSWER, company, delivered, field, heard, launch, online, peerId, say, sees, skip, status, test, visit, withoutWebrtc } from "./harness.mjs";
import { SLOWED_WHEN_HIDDEN, openTab } from "./hidden.mjs";
import { startRelayBehindLink } from "./link.mjs";
import { startPeer, startRelay } from "./processes.mjs";

const MESSAGES = 100;
/** How long tabs stay hidden, in seconds. 300 is for a run by hand: people leave tabs for minutes. */
const HIDDEN_S = Number(process.env.PUNCHLINE_HIDDEN_SECONDS ?? 0);

let browser;
before(async () => {
  if (!skip) browser = await launch();
});
after(() => browser?.close());

const numbered = (who, first, last) => Array.from({ length: last - first + 1 }, (_, at) => `${who} ${first + at}`);

async function type(page, lines) {
  for (const line of lines) {
    await field(page).fill(line);
    await field(page).press("Enter");
  }
}

/** Marks the document: a reload would lose the mark. */
const mark = (page) => page.evaluate(() => (globalThis.neverReloaded = true));
const unreloaded = async (page) => assert.equal(await page.evaluate(() => globalThis.neverReloaded), true);

test("the relay is killed and restarted while two pages talk: nothing is lost, nothing comes twice", async (t) => {
  const relay = await startRelay(t, { stays: true });
  const other = await launch();
  t.after(() => other.close());
  const pages = await Promise.all([browser, other].map((each) => visit(t, each, relay.url, { allow: NO_ANSWER })));
  const [one, two] = pages;
  await Promise.all(pages.flatMap((page) => [company(page, 1), mark(page)]));
  await type(one, numbered("one", 1, 10));
  await sees(two, "one 10");

  await relay.kill();
  await Promise.all([
    type(one, numbered("one", 11, 60)),
    type(two, numbered("two", 1, 50)),
    ...pages.map((page) => status(page, /^Relay lost/)),
  ]);
  await relay.start();
  await Promise.all([type(one, numbered("one", 61, MESSAGES)), type(two, numbered("two", 51, MESSAGES))]);
  await Promise.all([...pages.map(online), sees(two, `one ${MESSAGES}`), sees(one, `two ${MESSAGES}`)]);
  await delivered(one, `one ${MESSAGES}`);
  await delivered(two, `two ${MESSAGES}`);
  assert.deepEqual(await heard(two), numbered("one", 1, MESSAGES));
  assert.deepEqual(await heard(one), numbered("two", 1, MESSAGES));
  for (const page of pages) await unreloaded(page);
});

test("the relay restarts while a page and a native peer talk", async (t) => {
  const relay = await startRelay(t, { stays: true });
  const native = await startPeer(t, "--relay", relay.url);
  const page = await visit(t, browser, relay.url, { allow: NO_ANSWER });
  await company(page, 1);
  await mark(page);
  const id = await peerId(page);
  await relay.kill();
  await status(page, /^Relay lost/);
  numbered("native", 1, MESSAGES).forEach((line) => native.say(line));
  await type(page, numbered("page", 1, 20));
  await relay.start();
  await online(page);
  await sees(page, `native ${MESSAGES}`);
  await native.waitFor(({ body }) => body === "page 20", "the last message");
  assert.deepEqual(await heard(page), numbered("native", 1, MESSAGES));
  assert.deepEqual(native.heard(id), numbered("page", 1, 20));
  await unreloaded(page);
});

/** Starts a native peer that talks with the page, and waits for what the page does. */
async function companion(t, relay) {
  const native = await startPeer(t, "--relay", relay.address("tcp"));
  const heardFrom = (id, body) => native.waitFor((event) => event.from === id && event.body === body, `“${body}” from the page`);
  const gone = (id) => native.waitFor(({ event, peer }) => event === "disconnected" && peer === id, "disconnection of the page");
  return { native, heardFrom, gone };
}

const forHiddenTime = () => new Promise((resolve) => setTimeout(resolve, 1000 * HIDDEN_S));

async function tabWithCompany(t) {
  const relay = await startRelay(t);
  const sleeper = await launch(SLOWED_WHEN_HIDDEN);
  t.after(() => sleeper.close());
  const others = await companion(t, relay);
  const tab = await openTab(t, sleeper, relay.url);
  await tab.status("· 1 peer");
  await tab.value("globalThis.neverReloaded = true");
  return { tab, id: await tab.value('document.getElementById("identity-id").textContent'), ...others };
}

test("a hidden tab goes on receiving, and talks when it is shown", async (t) => {
  const { tab, id, native, heardFrom } = await tabWithCompany(t);
  await tab.hide();
  native.say("can you hear me?");
  await tab.until('document.title.startsWith("(1)")');
  await forHiddenTime();
  native.say("and now?");
  await tab.until('document.title.startsWith("(2)")');
  await tab.show();
  await tab.sees("and now?");
  await tab.until('document.title === "Punchline"');
  await tab.say("all of it");
  await heardFrom(id, "all of it");
  assert.equal(await tab.value("neverReloaded"), true);
  assert.deepEqual(tab.thrown, []);
});

test("a tab that was hidden and frozen comes back when it is shown", async (t) => {
  const { tab, id, native, heardFrom, gone } = await tabWithCompany(t);
  await tab.hide();
  await tab.freeze();
  native.say("while you were away");
  await gone(id);
  await forHiddenTime();
  await tab.show();
  await tab.sees("while you were away");
  await tab.status("· 1 peer");
  await tab.say("back again");
  await heardFrom(id, "back again");
  assert.equal(await tab.value('document.querySelectorAll(".entry.in").length'), 1);
  assert.equal(await tab.value("neverReloaded"), true);
  assert.deepEqual(tab.thrown, []);
});

test("a page whose process is stopped comes back", async (t) => {
  const relay = await startRelay(t);
  const sleeper = await launch();
  t.after(() => sleeper.close());
  const { native, heardFrom, gone } = await companion(t, relay);
  const page = await visit(t, sleeper, relay.url, { allow: NO_ANSWER });
  await company(page, 1);
  await mark(page);
  const id = await peerId(page);
  const cdp = await sleeper.newBrowserCDPSession();
  const { processInfo } = await cdp.send("SystemInfo.getProcessInfo");
  const renderers = processInfo.filter(({ type }) => type === "renderer").map((info) => info.id);
  assert.ok(renderers.length > 0);
  renderers.forEach((pid) => process.kill(pid, "SIGSTOP"));
  native.say("while you were away");
  await gone(id);
  renderers.forEach((pid) => process.kill(pid, "SIGCONT"));
  await sees(page, "while you were away");
  await company(page, 1);
  await say(page, "back again");
  await heardFrom(id, "back again");
  await delivered(page, "back again");
  assert.deepEqual(await heard(page), ["while you were away"]);
  await unreloaded(page);
});

test("after a sleep without network the page comes back, and what was typed meanwhile arrives", async (t) => {
  const { relay, link } = await startRelayBehindLink(t);
  const { native, heardFrom, gone } = await companion(t, relay);
  // The browser's switch leaves WebRTC alone.
  const page = await visit(t, browser, relay.url, { allow: NO_ANSWER, prepare: withoutWebrtc });
  await company(page, 1);
  await mark(page);
  const id = await peerId(page);
  link.silence();
  await page.context().setOffline(true);
  await status(page, "Offline: this device has no network");
  await type(page, numbered("asleep", 1, 20));
  numbered("to the sleeper", 1, 20).forEach((line) => native.say(line));
  await gone(id);
  assert.deepEqual(native.heard(id), []);
  link.mend();
  await page.context().setOffline(false);
  await online(page);
  await sees(page, "to the sleeper 20");
  await heardFrom(id, "asleep 20");
  await delivered(page, "asleep 20");
  assert.deepEqual(native.heard(id), numbered("asleep", 1, 20));
  assert.deepEqual(await heard(page), numbered("to the sleeper", 1, 20));
  await unreloaded(page);
});

test("a link that is cut again and again loses nothing", async (t) => {
  const { relay, link } = await startRelayBehindLink(t);
  const { native, heardFrom } = await companion(t, relay);
  const page = await visit(t, browser, relay.url, { allow: NO_ANSWER });
  await company(page, 1);
  const id = await peerId(page);
  for (let round = 0; round < 3; round += 1) {
    await company(page, 1);
    await type(page, numbered("page", 20 * round + 1, 20 * round + 10));
    link.cut();
    await status(page, /^Relay lost/);
    await type(page, numbered("page", 20 * round + 11, 20 * round + 20));
    link.mend();
    await online(page);
  }
  await heardFrom(id, "page 60");
  assert.deepEqual(native.heard(id), numbered("page", 1, 60));
});
