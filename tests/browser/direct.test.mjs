// webrtc-direct: a page dials a peer in a terminal without any relay, in the version that the two have in common.

import assert from "node:assert/strict";
import dgram from "node:dgram";
import { once } from "node:events";
import { after, before } from "node:test";

import { blank, launch, skip, test } from "./harness.mjs";
import { startPeer, startRelay } from "./processes.mjs";

/** A browser that refuses descriptions with a user of ICE that it did not choose, as Chromium will. */
const WITHOUT_MUNGING = "--force-fieldtrials=WebRTC-NoSdpMangleUfrag/Enabled/";
const VERSION = /libp2p\+webrtc\+v(\d)\//;

let ordinary;
let strict;
before(async () => {
  if (!skip) [ordinary, strict] = await Promise.all([launch(), launch({ args: [WITHOUT_MUNGING] })]);
});
after(() => Promise.all([ordinary?.close(), strict?.close()]));

/** A native peer, and its address behind a proxy that passes on what is of these versions, and notes what came. */
async function startListener(t, versions) {
  const peer = await startPeer(t, "--listen", "/ip4/127.0.0.1/udp/0/webrtc-direct");
  const { address } = peer.events.find(({ event }) => event === "listening");
  const [port] = address.match(/(?<=udp\/)\d+/);
  const outside = dgram.createSocket("udp4").bind(0, "127.0.0.1");
  await once(outside, "listening");
  const inside = new Map();
  const came = new Set();
  outside.on("message", (packet, from) => {
    const version = packet.toString("latin1").match(VERSION)?.[1];
    if (version) came.add(version);
    if (version && !versions.includes(version)) return;
    if (!inside.has(from.port)) {
      const socket = dgram.createSocket("udp4").on("message", (answer) => outside.send(answer, from.port, from.address));
      inside.set(from.port, socket);
    }
    inside.get(from.port).send(packet, Number(port), "127.0.0.1");
  });
  t.after(() => [outside, ...inside.values()].forEach((socket) => socket.close()));
  return { peer, came, address: address.replace(`udp/${port}`, `udp/${outside.address().port}`) };
}

/** Runs in a page: dials, says something, and returns what the path is or why there is none. */
async function dial({ address, to }) {
  const { default: init, Peer } = await import("/pkg/web.js");
  await init();
  const peer = await Peer.start({ greet_interval: 0 });
  const reader = peer.events().getReader();
  await peer.dial(address);
  for (;;) {
    const { value } = await reader.read();
    if (value.event === "error") return `${value.code}: ${value.message}`;
    if (value.event === "connected") await peer.send(to, "hello");
    if (value.event === "delivery" && value.state === "acked") return "acked";
  }
}

async function dialFrom(t, browser, { address, peer }) {
  const page = await blank(t, browser, await startRelay(t));
  return page.evaluate(dial, { address, to: peer.id });
}

/** What a page does to its own offer in version 1; returns the error that it gets. */
async function munge() {
  const connection = new RTCPeerConnection();
  connection.createDataChannel("");
  const { type, sdp } = await connection.createOffer();
  const changed = sdp.replace(/(a=ice-(?:ufrag|pwd)):.*/g, "$1:libp2p+webrtc+v1/abcdefghijklmnop");
  return connection.setLocalDescription({ type, sdp: changed }).then(() => undefined, ({ name }) => name);
}

async function munged(t, browser) {
  const page = await blank(t, browser, await startRelay(t));
  return page.evaluate(munge);
}

test("version 2 is what is dialled first", async (t) => {
  const listener = await startListener(t, ["1", "2"]);
  assert.equal(await dialFrom(t, ordinary, listener), "acked");
  const { transport } = listener.peer.events.find(({ event }) => event === "connected");
  assert.equal(transport, "webrtc-direct");
  assert.ok(listener.came.has("2"), `${[...listener.came]}`);
});

test("a listener that knows version 1 alone is reached by that", async (t) => {
  const listener = await startListener(t, ["1"]);
  assert.equal(await dialFrom(t, ordinary, listener), "acked");
  assert.deepEqual([...listener.came].sort(), ["1", "2"]);
});

test("with munging taken away version 2 works", async (t) => {
  const listener = await startListener(t, ["1", "2"]);
  assert.equal(await dialFrom(t, strict, listener), "acked");
  assert.deepEqual([...listener.came], ["2"]);
});

test("with munging taken away version 1 does not work, so that it was taken away indeed", async (t) => {
  assert.equal(await munged(t, ordinary), undefined);
  assert.equal(await munged(t, strict), "InvalidModificationError");
  const listener = await startListener(t, ["1"]);
  assert.match(await dialFrom(t, strict, listener), /^transport-failed/);
  assert.deepEqual([...listener.came], ["2"]);
});
