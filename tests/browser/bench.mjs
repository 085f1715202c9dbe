// What msg costs in a tab: acked messages a second between a Chromium tab and a native peer, each way.
//
//   cargo xtask bench --browser
//
// builds what is measured and runs this with the program's path in PUNCHLINE.

import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { chromium } from "playwright-core";

const COUNT = 20_000;
const BYTES = 100;
/** Messages of the tab's that are outstanding at a time. */
const WINDOW = 64;
/** Each figure is the median of so many runs. */
const ROUNDS = 5;
const TARGET = 5_000;
/** A run that takes longer is stuck. */
const PATIENCE_MS = 120_000;

const program = process.env.PUNCHLINE;
if (!program) throw new Error("PUNCHLINE must name the program; cargo xtask bench --browser does that");

const children = [];
process.on("exit", () => children.forEach((child) => child.kill("SIGKILL")));

/** A running `punchline` and what it prints. */
function start(...args) {
  const child = spawn(program, [...args, "--json"], { stdio: ["pipe", "pipe", "inherit"] });
  children.push(child);
  const waiting = new Set();
  createInterface({ input: child.stdout }).on("line", (line) => {
    const event = JSON.parse(line);
    waiting.forEach((look) => look(event));
  });
  /** Resolves with what `pick` makes of an event, once that is something. */
  const until = (pick) =>
    new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`waited in vain for ${pick}`)), PATIENCE_MS);
      const look = (event) => {
        const picked = pick(event);
        if (!picked) return;
        clearTimeout(timer);
        waiting.delete(look);
        resolve(picked);
      };
      waiting.add(look);
    });
  return { until, type: (lines) => child.stdin.write(lines) };
}

/** In the tab: a peer that dials, and says when it is connected. */
async function connect({ config }) {
  const { default: init, Peer } = await import("/pkg/web.js");
  await init();
  const peer = await Peer.start({ greet_interval: 0, ...config });
  const bench = { peer, acked: 0, received: 0, changed: () => {} };
  globalThis.bench = bench;
  const connected = Promise.withResolvers();
  (async () => {
    for (const reader = peer.events().getReader(); ; ) {
      const { done, value } = await reader.read();
      if (done) return;
      if (value.event === "connected") connected.resolve(value);
      if (value.event === "delivery" && value.state === "acked") bench.acked += 1;
      if (value.event === "delivery" && value.state === "failed") throw new Error(value.reason);
      if (value.event === "message") bench.received += 1;
      bench.changed();
    }
  })();
  const { peer: to, transport } = await connected.promise;
  bench.to = to;
  return { peerId: peer.peerId, transport };
}

/** In the tab: sends, and returns how long it took until all were acked, in milliseconds. */
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

/** The native peer's lines to the tab, until it has acks for all. */
async function receive(native) {
  let acked = 0;
  const all = native.until((event) => {
    if (event.event === "delivery" && event.state === "acked") acked += 1;
    return acked === COUNT;
  });
  const began = performance.now();
  native.type(`${"x".repeat(BYTES)}\n`.repeat(COUNT));
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

const data = await mkdtemp(join(tmpdir(), "punchline-bench-"));
const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox"] });
try {
  const relay = start("relay", "--port", "0", "--data-dir", data, "--www", "www");
  const url = await relay.until(({ event, url }) => event === "http" && url.includes("127.0.0.1") && url);
  const bootstrap = await (await fetch(new URL("/bootstrap.json", url))).json();
  console.log(`${BYTES} B, acked, ${WINDOW} outstanding from the tab; medians of ${ROUNDS} rounds of ${COUNT}. Target: ${TARGET}/s.\n`);
  console.log(`${"".padEnd(10)}${"tab → native".padStart(15)}${"native → tab".padStart(15)}${"p50".padStart(10)}`);
  for (const way of ["ws", "circuit"]) {
    const native =
      way === "ws" ? start("--greet-interval", "0", "--listen", "/ip4/127.0.0.1/tcp/0/ws") : start("--greet-interval", "0", "--relay", url);
    const ready =
      way === "ws" ? native.until(({ event, address }) => event === "listening" && address) : native.until(({ event }) => event === "ready");
    const address = await ready;
    const page = await browser.newPage();
    await page.goto(new URL("/healthz", url).href);
    const relays = bootstrap.addresses.filter((relayed) => relayed.startsWith("/ip4/127.0.0.1/") && relayed.includes("/ws/"));
    const config = way === "ws" ? { dial: [address] } : { relays, namespace: bootstrap.namespace };
    const { transport } = await page.evaluate(connect, { config });
    const { there, back, p50 } = await measure(page, native);
    const rate = (value) => `${Math.round(value)}/s`.padStart(15);
    console.log(`${transport.padEnd(10)}${rate(there)}${rate(back)}${`${p50.toFixed(2)} ms`.padStart(10)}`);
    await page.close();
  }
} finally {
  await browser.close();
  children.forEach((child) => child.kill("SIGKILL"));
  await rm(data, { recursive: true, force: true });
}
