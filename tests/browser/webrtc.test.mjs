// Two pages and no relay between them: WebRTC, set up by the relay, needs it no more.

import assert from "node:assert/strict";
import { after, before } from "node:test";

import { NO_ANSWER, blank, company, delivered, heard, launch, peerId, peers, say, sees, skip, status, test, visit } from "./harness.mjs";
import { startPeer, startRelay } from "./processes.mjs";

let browser;
let other;
before(async () => {
  if (!skip) [browser, other] = await Promise.all([launch(), launch()]);
});
after(() => Promise.all([browser?.close(), other?.close()]));

const direct = (page) => peers(page).getByText("direct · webrtc").waitFor();

async function exchange(one, two, when) {
  await say(one, `one, ${when}`);
  await sees(two, `one, ${when}`);
  await delivered(one, `one, ${when}`);
  await say(two, `two, ${when}`);
  await sees(one, `two, ${when}`);
  await delivered(two, `two, ${when}`);
}

test("two pages in two browsers get a direct path, and talk on when the relay is killed", async (t) => {
  const relay = await startRelay(t);
  const [one, two] = await Promise.all([browser, other].map((each) => visit(t, each, relay.url, { allow: NO_ANSWER })));
  await Promise.all([company(one, 1), company(two, 1)]);
  await Promise.all([direct(one), direct(two)]);
  await exchange(one, two, "with the relay");
  await relay.kill();
  await Promise.all([one, two].map((page) => status(page, "Relay lost")));
  await exchange(one, two, "without it");
  await Promise.all([one, two].map((page) => status(page, "Nobody new can join until the relay is back.")));
  await Promise.all([direct(one), direct(two)]);
});

test("a page and a peer in a terminal get a direct path, and talk on when the relay is killed", async (t) => {
  const relay = await startRelay(t);
  const native = await startPeer(t, "--relay", relay.url);
  const page = await visit(t, browser, relay.url, { allow: NO_ANSWER });
  await company(page, 1);
  await Promise.all([direct(page), native.waitFor(({ event, transport }) => event === "path_changed" && transport === "webrtc")]);
  const id = await peerId(page);
  const said = async (text) => {
    await say(page, text);
    await native.waitFor(({ event, from, body }) => event === "message" && from === id && body === text);
    await delivered(page, text);
    native.say(`you said: ${text}`);
    await sees(page, `you said: ${text}`);
  };
  await said("with the relay");
  await relay.kill();
  await status(page, "Relay lost");
  await said("without it");
  await direct(page);
});

test("four pages at once: each gets a direct path to each, and everybody hears what is said after the relay was killed", async (t) => {
  const relay = await startRelay(t);
  const pages = await Promise.all([browser, other, browser, other].map((each) => visit(t, each, relay.url, { allow: NO_ANSWER })));
  const others = pages.length - 1;
  await Promise.all(pages.map((page) => company(page, others)));
  await Promise.all(pages.map((page) => peers(page).getByText("direct · webrtc").nth(others - 1).waitFor()));
  await relay.kill();
  await Promise.all(pages.map((page, at) => say(page, `page ${at}`)));
  await Promise.all(pages.map((page, at) => Promise.all([
    delivered(page, `page ${at}`, `delivered ${others}/${others}`),
    ...pages.filter((one) => one !== page).map((one) => sees(one, `page ${at}`)),
  ])));
  for (const page of pages) assert.equal((await heard(page)).length, others);
});

test("a page that is closed is noticed by whom it had a direct path to, without a relay", async (t) => {
  const relay = await startRelay(t);
  const [one, two] = await Promise.all([browser, other].map((each) => visit(t, each, relay.url, { allow: NO_ANSWER })));
  await Promise.all([direct(one), direct(two)]);
  await relay.kill();
  await Promise.all([one, two].map((page) => status(page, "Relay lost")));
  await one.close();
  await peers(two).getByText("direct · webrtc").waitFor({ state: "hidden" });
});

/** Runs in a page: starts a peer, and returns its id. */
async function start({ relay, ice_servers }) {
  const { default: init, Peer } = await import("/pkg/web.js");
  await init();
  const peer = await Peer.start({ greet_interval: 0, relays: [relay], ice_servers });
  const here = { peer, got: [], acked: 0, failed: [], direct: Promise.withResolvers(), waiting: [] };
  here.change = () => new Promise((resolve) => here.waiting.push(resolve));
  globalThis.here = here;
  (async () => {
    for (const reader = peer.events().getReader(); ; ) {
      const { done, value } = await reader.read();
      if (done) return;
      if (value.transport === "webrtc") here.direct.resolve(value.peer);
      if (value.event === "message") here.got.push(Number.parseInt(value.body, 10));
      if (value.event === "delivery") {
        if (value.state === "acked") here.acked += 1;
        if (value.state === "failed") here.failed.push(value.reason);
      }
      here.waiting.splice(0).forEach((resolve) => resolve());
    }
  })();
  return peer.peerId;
}

/** Runs in a page: waits for the direct path. */
const meet = () => globalThis.here.direct.promise;

/** Runs in a page: sends numbered messages, and returns what has come of all of them. */
async function flood({ to, count, bytes }) {
  const { here } = globalThis;
  for (let n = 0; n < count && !here.failed.length; n += 1) {
    // As many as an outbox takes.
    while (n - here.acked >= 1_000) await here.change();
    await here.peer.send(to, `${n} `.padEnd(bytes, "x"));
  }
  while (here.acked < count && !here.failed.length) await here.change();
  while (here.got.length < count) await here.change();
  const inOrder = here.got.every((n, at) => n === at);
  return { acked: here.acked, failed: here.failed, got: here.got.length, inOrder };
}

/** Runs in a page: waits until so much has come. */
async function until(count) {
  const { here } = globalThis;
  while (here.got.length < count) await here.change();
}

const COUNT = 20_000;
const BYTES = 1_024;

test("20,000 messages each way at once, the relay killed in the middle: in order, each once, none lost", async (t) => {
  const relay = await startRelay(t);
  const ice_servers = [{ urls: await relay.stun() }];
  const pages = await Promise.all([browser, other].map((each) => blank(t, each, relay)));
  const run = (script, argument) => Promise.all(pages.map((page) => page.evaluate(script, argument)));
  const ids = await run(start, { relay: relay.address("ws"), ice_servers });
  assert.deepEqual((await run(meet)).toReversed(), ids);
  const flooded = Promise.all(pages.map((page, at) => page.evaluate(flood, { to: ids[1 - at], count: COUNT, bytes: BYTES })));
  await run(until, COUNT / 10);
  await relay.kill();
  const whole = { acked: COUNT, failed: [], got: COUNT, inOrder: true };
  assert.deepEqual(await flooded, [whole, whole]);
});
