// What msg costs in a tab: acked messages a second between a Chromium tab and a native peer, each way.
//
//   cargo xtask bench --browser
//
// builds what is measured and runs this with the program's path in PUNCHLINE.

import { launch } from "./harness.mjs";
import { startPeer, startRelay } from "./processes.mjs";

if (!process.env.PUNCHLINE) throw new Error("PUNCHLINE must name the program; cargo xtask bench --browser does that");

const COUNT = 20_000;
const BYTES = 100;
/** The most messages of the tab that are outstanding. */
const WINDOW = 64;
/** How often everything is measured; figures are medians. */
const ROUNDS = 5;
const TARGET = 5_000;
/** When a run counts as stuck. */
const PATIENCE_MS = 120_000;

/** Runs in the tab: starts a peer that dials, and returns when it is connected. */
async function connect({ config }) {
  const { default: init, Peer } = await import("/pkg/web.js");
  await init();
  const peer = await Peer.start({ greet_interval: 0, ...config });
  const bench = { peer, acked: 0, changed: () => {} };
  globalThis.bench = bench;
  const connected = Promise.withResolvers();
  (async () => {
    for (const reader = peer.events().getReader(); ; ) {
      const { done, value } = await reader.read();
      if (done) return;
      if (value.event === "connected") connected.resolve(value);
      if (value.event === "delivery" && value.state === "acked") bench.acked += 1;
      if (value.event === "delivery" && value.state === "failed") throw new Error(value.reason);
      bench.changed();
    }
  })();
  const { peer: to, transport } = await connected.promise;
  bench.to = to;
  return { peerId: peer.peerId, transport };
}

/** Runs in the tab: sends, and returns how many milliseconds it took until all was acked. */
async function send({ count, bytes, window }) {
  const { bench } = globalThis;
  const body = "x".repeat(bytes);
  const began = performance.now();
  const last = bench.acked + count;
  let outstanding = bench.acked;
  while (bench.acked < last) {
    while (outstanding < last && outstanding - bench.acked < window) {
      outstanding += 1;
      await bench.peer.send(bench.to, body);
    }
    const before = bench.acked;
    if (outstanding === last || outstanding - before >= window) {
      await new Promise((resolve) => (bench.changed = () => bench.acked > before && resolve()));
    }
  }
  bench.changed = () => {};
  return performance.now() - began;
}

/** Has the native peer send, and returns how many milliseconds it took until all was acked. */
async function receive(native) {
  let acked = 0;
  const all = new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`waited in vain for ${COUNT} acks; there are ${acked}`)), PATIENCE_MS);
    const unlisten = native.listen(({ event, state }) => {
      if (event === "delivery" && state === "acked") acked += 1;
      if (acked === COUNT) {
        unlisten();
        clearTimeout(timer);
        resolve();
      }
    });
  });
  const began = performance.now();
  native.say(Array(COUNT).fill("x".repeat(BYTES)).join("\n"));
  await all;
  return performance.now() - began;
}

const median = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];

async function measure(page, native) {
  const there = [];
  const back = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    there.push(await page.evaluate(send, { count: COUNT, bytes: BYTES, window: WINDOW }));
    back.push(await receive(native));
  }
  const trips = [];
  for (let trip = 0; trip < 500; trip += 1) {
    trips.push(await page.evaluate(send, { count: 1, bytes: BYTES, window: 1 }));
  }
  return { there: (COUNT / median(there)) * 1000, back: (COUNT / median(back)) * 1000, p50: median(trips) };
}

// Stands in for a test: what the helpers want to be done at the end.
const steps = [];
const t = { after: (step) => steps.push(step), onFailure: () => {} };
try {
  const browser = await launch();
  t.after(() => browser.close());
  const relay = await startRelay(t);
  console.log(`${BYTES} B, acked, ${WINDOW} outstanding from the tab; medians of ${ROUNDS} rounds of ${COUNT}. Target: ${TARGET}/s.\n`);
  console.log(`${"".padEnd(10)}${"tab → native".padStart(15)}${"native → tab".padStart(15)}${"p50".padStart(10)}`);
  for (const way of ["ws", "circuit"]) {
    const place = way === "ws" ? ["--listen", "/ip4/127.0.0.1/tcp/0/ws"] : ["--relay", relay.url];
    const native = await startPeer(t, ...place);
    const { address } = native.events.find(({ event }) => event === "listening");
    const page = await browser.newPage();
    await page.goto(new URL("/healthz", relay.url).href);
    const config = way === "ws" ? { dial: [address] } : { relays: [relay.address("ws")] };
    const { transport } = await page.evaluate(connect, { config });
    const { there, back, p50 } = await measure(page, native);
    const rate = (value) => `${Math.round(value)}/s`.padStart(15);
    console.log(`${transport.padEnd(10)}${rate(there)}${rate(back)}${`${p50.toFixed(2)} ms`.padStart(10)}`);
    await page.close();
  }
} finally {
  for (const step of steps.reverse()) await step();
}
