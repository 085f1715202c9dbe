// Coming back without a reload: after a relay's restart, from the background, from sleep.

import assert from "node:assert/strict";
import { after, before } from "node:test";

import { NO_ANSWER, at, company, delivered, field, heard, launch, online, peerId, say, sees, skip, status, test, visit } from "./harness.mjs";
import { createLink } from "./link.mjs";
import { startPeer, startRelay } from "./processes.mjs";

const MESSAGES = 100;
/** What a person may be away for; for a run by hand: it takes as long as it says. */
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

/** A reload would have set this anew. */
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

/** A page whose processes are stopped, and which `wake` lets go on. */
async function frozen(t, relay, freeze) {
  const sleeper = await launch();
  const native = await startPeer(t, "--relay", relay.url);
  t.after(() => sleeper.close());
  const page = await visit(t, sleeper, relay.url, { allow: NO_ANSWER });
  await company(page, 1);
  await mark(page);
  await say(page, "before");
  await delivered(page, "before");
  const id = await peerId(page);
  const wake = await freeze(page, sleeper);
  native.say("while you were away");
  await native.waitFor(({ event, peer }) => event === "disconnected" && peer === id, "disconnection of the page");
  if (HIDDEN_S) await new Promise((resolve) => setTimeout(resolve, HIDDEN_S * 1000));
  await wake();
  await sees(page, "while you were away");
  await company(page, 1);
  await say(page, "back again");
  await native.waitFor(({ from, body }) => from === id && body === "back again", "message after the pause");
  await delivered(page, "back again");
  assert.deepEqual(await heard(page), ["while you were away"]);
  await unreloaded(page);
}

test("a page that is frozen in the background comes back when it is shown", async (t) => {
  await frozen(t, await startRelay(t), async (page) => {
    const cdp = await page.context().newCDPSession(page);
    await cdp.send("Page.setWebLifecycleState", { state: "frozen" });
    return () => cdp.send("Page.setWebLifecycleState", { state: "active" });
  });
});

test("a page whose process is stopped comes back", async (t) => {
  await frozen(t, await startRelay(t), async (page, sleeper) => {
    const cdp = await sleeper.newBrowserCDPSession();
    const { processInfo } = await cdp.send("SystemInfo.getProcessInfo");
    const renderers = processInfo.filter(({ type }) => type === "renderer").map(({ id }) => id);
    assert.ok(renderers.length > 0);
    const signal = (name) => renderers.forEach((pid) => process.kill(pid, name));
    signal("SIGSTOP");
    return async () => signal("SIGCONT");
  });
});

test("after a sleep without network the page comes back, and what was typed meanwhile arrives", async (t) => {
  const relay = await startRelay(t);
  const link = await createLink(t, relay.address("ws"));
  const native = await startPeer(t, "--relay", relay.url);
  const page = await visit(t, browser, at(relay, { via: link.address }), { allow: NO_ANSWER });
  await company(page, 1);
  await mark(page);
  const id = await peerId(page);
  link.silence();
  await page.context().setOffline(true);
  await status(page, "Offline: this device has no network");
  await type(page, numbered("asleep", 1, 20));
  numbered("to the sleeper", 1, 20).forEach((line) => native.say(line));
  await native.waitFor(({ event, peer }) => event === "disconnected" && peer === id, "disconnection of the page");
  link.mend();
  await page.context().setOffline(false);
  await online(page);
  await sees(page, "to the sleeper 20");
  await native.waitFor(({ from, body }) => from === id && body === "asleep 20", "what was typed meanwhile");
  await delivered(page, "asleep 20");
  assert.deepEqual(native.heard(id), numbered("asleep", 1, 20));
  assert.deepEqual(await heard(page), numbered("to the sleeper", 1, 20));
  await unreloaded(page);
});

test("a link that is cut again and again loses nothing", async (t) => {
  const relay = await startRelay(t);
  const link = await createLink(t, relay.address("ws"));
  const native = await startPeer(t, "--relay", relay.url);
  const page = await visit(t, browser, at(relay, { via: link.address }), { allow: NO_ANSWER });
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
  await native.waitFor(({ from, body }) => from === id && body === "page 60", "the last message");
  assert.deepEqual(native.heard(id), numbered("page", 1, 60));
});
