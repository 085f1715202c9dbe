// Two tabs over WebRTC: megabytes a second beside Chromium's own data channel, how soon there is a direct path, and whether
// there is one each time in a room of four that talks all along.
//
//   cargo xtask bench --browser
//
// builds what is measured and runs this after bench.mjs; with --profile, only this, and it prints where the time goes instead of
// what happens in the room. DIALS=500 is the number of dials there.

import { launch } from "./harness.mjs";
import { startRelay } from "./processes.mjs";
import { profile } from "./profile.mjs";

if (!process.env.PUNCHLINE) throw new Error("PUNCHLINE must name the program; cargo xtask bench --browser does that");

const BYTES = 64 * 1024;
const COUNT = 320;
/** The most messages of ours that are outstanding. */
const WINDOW = 32;
const ROUNDS = 5;
const DIALS = Number(process.env.DIALS ?? 500);
/** When a dial counts as failed: what the circuit is kept for meanwhile. */
const DIAL_MS = 20_000;

const median = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];
const at = (values, part) => [...values].sort((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * part))];

/** Runs in a page: a bare data channel's end. */
async function bare({ offer, answer, iceServers }) {
  globalThis.bare ??= { connection: new RTCPeerConnection({ iceServers }) };
  const { connection } = globalThis.bare;
  const gathered = new Promise((resolve) => connection.addEventListener("icegatheringstatechange", () => connection.iceGatheringState === "complete" && resolve()));
  if (answer) return connection.setRemoteDescription(answer);
  if (offer) {
    connection.ondatachannel = ({ channel }) => {
      channel.binaryType = "arraybuffer";
      globalThis.bare.got = 0;
      channel.onmessage = ({ data }) => {
        globalThis.bare.got += data.byteLength;
        if (globalThis.bare.got === globalThis.bare.expected) channel.send("all");
      };
    };
    await connection.setRemoteDescription(offer);
  } else {
    globalThis.bare.channel = connection.createDataChannel("bare");
    globalThis.bare.open = new Promise((resolve) => (globalThis.bare.channel.onopen = resolve));
  }
  await connection.setLocalDescription();
  await gathered;
  return connection.localDescription.toJSON();
}

/** Runs in a page: what will come before it is confirmed. */
const expect = (bytes) => {
  globalThis.bare.got = 0;
  globalThis.bare.expected = bytes;
};

/** Runs in a page: sends by the bare channel, and returns how many milliseconds it took until all was confirmed. */
async function sendBare({ count, bytes }) {
  const { channel, open } = globalThis.bare;
  await open;
  const piece = new Uint8Array(bytes);
  const all = new Promise((resolve) => (channel.onmessage = resolve));
  channel.bufferedAmountLowThreshold = 256 * 1024;
  const began = performance.now();
  for (let n = 0; n < count; n += 1) {
    channel.send(piece);
    if (channel.bufferedAmount > 1024 * 1024) await new Promise((resolve) => (channel.onbufferedamountlow = resolve));
  }
  await all;
  return performance.now() - began;
}

/** Runs in a page: starts a peer in place of the one before, and returns its id. */
async function start({ relay, ice_servers, namespace }) {
  const { default: init, Peer } = await import("/pkg/web.js");
  await init();
  await globalThis.bench?.peer.stop();
  const peer = await Peer.start({ greet_interval: 0, relays: [relay], ice_servers, namespace });
  const bench = { peer, acked: 0, failed: 0, direct: new Map(), met: new Map(), changed: new Set(), began: performance.now() };
  bench.change = () => new Promise((resolve) => bench.changed.add(resolve));
  globalThis.bench = bench;
  (async () => {
    for (const reader = peer.events().getReader(); ; ) {
      const { done, value } = await reader.read();
      if (done) return;
      if (value.event === "connected") bench.met.set(value.peer, performance.now());
      if (value.transport === "webrtc") bench.direct.set(value.peer, performance.now());
      if (value.event === "disconnected") bench.direct.delete(value.peer);
      if (value.event === "delivery" && value.state === "acked") bench.acked += 1;
      if (value.event === "delivery" && value.state === "failed") bench.failed += 1;
      [...bench.changed].forEach((resolve) => resolve());
      bench.changed.clear();
    }
  })();
  return peer.peerId;
}

/** Runs in a page: waits for direct paths to these, and returns after how long each was there, or null. */
async function meet({ others, within }) {
  const { bench } = globalThis;
  const end = performance.now() + within;
  while (!others.every((peer) => bench.direct.has(peer)) && performance.now() < end) {
    await Promise.race([bench.change(), new Promise((resolve) => setTimeout(resolve, 500))]);
  }
  return others.map((peer) => (bench.direct.has(peer) ? { direct: bench.direct.get(peer) - bench.began, circuit: bench.met.get(peer) - bench.began } : null));
}

/** Runs in a page: sends, and returns how many milliseconds it took until all was acked. */
async function send({ to, count, bytes, window }) {
  const { bench } = globalThis;
  const body = "x".repeat(bytes);
  const before = bench.acked;
  const began = performance.now();
  for (let n = 0; n < count; n += 1) {
    while (n - (bench.acked - before) >= window) await bench.change();
    await bench.peer.send(to, body);
  }
  while (bench.acked - before < count) await bench.change();
  return performance.now() - began;
}

/** Runs in a page: says something to the room again and again, until it is told to stop. */
async function chatter({ milliseconds }) {
  const { bench } = globalThis;
  globalThis.chatting = true;
  while (globalThis.chatting) {
    await globalThis.bench.peer.broadcast("x".repeat(200)).catch(() => {});
    await new Promise((resolve) => setTimeout(resolve, milliseconds));
  }
  return bench.failed;
}

// Stands in for a test: what the helpers want to be done at the end.
const steps = [];
const t = { after: (step) => steps.push(step), onFailure: () => {} };

async function pages(count, relay) {
  const browsers = await Promise.all([launch(), launch()]);
  browsers.forEach((browser) => t.after(() => browser.close()));
  return Promise.all(Array.from({ length: count }, async (_, n) => {
    const page = await (await browsers[n % 2].newContext()).newPage();
    await page.goto(new URL("/healthz", relay.url).href);
    return page;
  }));
}

async function throughput(relay, config) {
  const [one, two] = await pages(2, relay);
  const iceServers = config.ice_servers;
  const offer = await one.evaluate(bare, { iceServers });
  const answer = await two.evaluate(bare, { offer, iceServers });
  await one.evaluate(bare, { answer });
  // Peers of their own for each round: of one that goes on and on, no more than 4 MB a second are taken, after 32 MB at once.
  let peer;
  const renew = async () => {
    [, peer] = [await one.evaluate(start, config), await two.evaluate(start, config)];
    await one.evaluate(meet, { others: [peer], within: DIAL_MS });
  };
  const measure = {
    bare: async () => {
      await two.evaluate(expect, COUNT * BYTES);
      return one.evaluate(sendBare, { count: COUNT, bytes: BYTES });
    },
    ours: () => one.evaluate(send, { to: peer, count: COUNT, bytes: BYTES, window: WINDOW }),
  };
  const rows = { bare: [], ours: [] };
  for (let round = 0; round < ROUNDS; round += 1) {
    await renew();
    for (const kind of Object.keys(rows)) rows[kind].push(await measure[kind]());
  }
  const rate = (times) => `${((COUNT * BYTES) / 1000 / median(times)).toFixed(1)} MB/s`;
  console.log(`${COUNT} bodies of ${BYTES / 1024} KiB, medians of ${ROUNDS} paired rounds:`);
  console.log(`  Chromium's own data channel  ${rate(rows.bare)}`);
  console.log(`  punchline, tab to tab, acked ${rate(rows.ours)}`);
  if (!process.env.PROFILE) return;
  for (const kind of Object.keys(rows)) {
    await profile(kind, { "the sender": one, "the receiver": two }, renew, measure[kind]);
  }
}

async function room(relay, config) {
  const four = await pages(4, relay);
  const ids = await Promise.all(four.map((page) => page.evaluate(start, config)));
  const all = (me) => ids.filter((_, n) => n !== me);
  await Promise.all(four.map((page, n) => page.evaluate(meet, { others: all(n), within: DIAL_MS })));
  const talk = four.map((page) => page.evaluate(chatter, { milliseconds: 20 }));
  const times = [];
  let failed = 0;
  for (let dials = 0, n = 0; dials < DIALS; dials += 3, n = (n + 1) % 4) {
    ids[n] = await four[n].evaluate(start, config);
    const met = await four[n].evaluate(meet, { others: all(n), within: DIAL_MS });
    failed += met.filter((one) => one === null).length;
    times.push(...met.filter(Boolean));
  }
  await Promise.all(four.map((page) => page.evaluate(() => (globalThis.chatting = false))));
  await Promise.all(talk);
  const direct = times.map((one) => one.direct);
  const after = times.map((one) => one.direct - one.circuit);
  const ms = (values, part) => `${Math.round(at(values, part))} ms`;
  console.log(`a room of four that talks all along: ${times.length} of ${times.length + failed} dials got a direct path`);
  console.log(`  from the start of a peer: p50 ${ms(direct, 0.5)}, p99 ${ms(direct, 0.99)}; after the circuit: p50 ${ms(after, 0.5)}, p99 ${ms(after, 0.99)}`);
}

try {
  const relay = await startRelay(t);
  const config = { relay: relay.address("ws"), ice_servers: [{ urls: await relay.stun() }] };
  await throughput(relay, { ...config, namespace: "two" });
  if (!process.env.PROFILE) await room(relay, { ...config, namespace: "four" });
} finally {
  for (const step of steps.reverse()) await step();
}
