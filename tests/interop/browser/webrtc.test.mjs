// js-libp2p in Chromium and ours, native and in a page, over WebRTC: by a relay, and direct.

import assert from "node:assert/strict";
import { after, before } from "node:test";
import { fileURLToPath } from "node:url";

import { build } from "esbuild";

import { blank, launch, skip, test } from "../../browser/harness.mjs";
import { startPeer, startRelay } from "../../browser/processes.mjs";

const SCRIPT = fileURLToPath(new URL("js-peer.mjs", import.meta.url));
/** Characters of a long message: one for itself may have 2,048 bytes. */
const LONG = 2_000;
const STREAMS = 1_000;

let browser;
let bundle;
before(async () => {
  if (skip) return;
  const built = build({ entryPoints: [SCRIPT], bundle: true, format: "iife", platform: "browser", write: false, logLevel: "error" });
  [browser, { outputFiles: [{ text: bundle }] }] = await Promise.all([launch(), built]);
});
after(() => browser?.close());

/** A page of the relay's with js-libp2p in it, and a function that calls it. */
async function startJs(t, relay, listens) {
  const page = await blank(t, browser, relay);
  // Not as a script of the page, whose policy allows its own only.
  await page.evaluate(bundle);
  const js = (name, argument) => page.evaluate(([what, with_]) => globalThis.js[what](with_), [name, argument]);
  const id = await js("start", { relay: listens ? relay.address("ws") : undefined, stun: await relay.stun() });
  return { id, js };
}

/** What is said both ways arrives by the direct connection. Each message has a stream of its own, so that they have no order. */
async function talk({ id, js }, peer) {
  assert.ok(await js("pinged", peer.id));
  const said = ["hello", "ünïcödé", "x".repeat(LONG)];
  for (const body of said) await js("say", { peer: peer.id, body });
  for (const body of said) await peer.waitFor((event) => event.event === "message" && event.body === body);
  assert.deepEqual(peer.heard(id).sort(), said.sort());
  for (const body of ["back", "and again"]) peer.say(`/to ${id} ${body}`);
  assert.deepEqual((await js("heard", 2)).sort(), ["and again", "back"]);
}

test("js dials our native listener by webrtc-direct", async (t) => {
  const relay = await startRelay(t);
  const peer = await startPeer(t, "--listen", "/ip4/127.0.0.1/udp/0/webrtc-direct");
  const { address } = peer.events.find(({ event }) => event === "listening");
  const js = await startJs(t, relay, false);
  assert.match(await js.js("dial", address), /webrtc-direct/);
  await talk(js, peer);
});

test("js opens a thousand streams to our native peer, each when the one before is closed", async (t) => {
  const relay = await startRelay(t);
  const peer = await startPeer(t, "--listen", "/ip4/127.0.0.1/udp/0/webrtc-direct");
  const { address } = peer.events.find(({ event }) => event === "listening");
  const { id, js } = await startJs(t, relay, false);
  await js("dial", address);
  const bodies = Array.from({ length: STREAMS }, (_, n) => `${n}`);
  await js("sayAll", { peer: peer.id, bodies });
  for (const body of bodies) await peer.waitFor((event) => event.event === "message" && event.body === body);
  assert.equal(peer.heard(id).length, STREAMS);
});

test("js dials our relay by webrtc-direct, and stays", async (t) => {
  const relay = await startRelay(t);
  const js = await startJs(t, relay, false);
  assert.match(await js.js("dial", relay.address("webrtc-direct")), /webrtc-direct/);
  assert.ok(await js.js("pinged", relay.id));
});

test("js dials our peer by /webrtc, through our relay", async (t) => {
  const relay = await startRelay(t);
  const peer = await startPeer(t, "--relay", relay.url);
  await peer.waitFor("registered");
  const js = await startJs(t, relay, true);
  const address = await js.js("dial", `${relay.address("ws")}/p2p-circuit/webrtc/p2p/${peer.id}`);
  assert.match(address, /\/webrtc/);
  await talk(js, peer);
});

test("our peer dials js by /webrtc, through our relay", async (t) => {
  const relay = await startRelay(t);
  const js = await startJs(t, relay, true);
  const peer = await startPeer(t, `${relay.address("tcp")}/p2p-circuit/p2p/${js.id}`);
  await peer.waitFor(({ event, transport }) => event === "path_changed" && transport === "webrtc");
  await js.js("met", peer.id);
  await talk(js, peer);
});
