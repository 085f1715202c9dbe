// A tab as a peer of the lab: the real package in Chromium. It prints what happens as a terminal does with --json, and sends the
// lines of its stdin to the room, as soon as there is somebody; `/dial ADDRESS` dials. The first line, whatever it says, starts it.
//
//   node tests/nat/tab.mjs ORIGIN RELAY [ICE]
//
// loads the package from a relay's page, at ORIGIN, and starts a peer with the multiaddr RELAY, and with that relay's STUN servers, as
// the page does, and with the server ICE, in JSON.

import { createInterface } from "node:readline";

import { launch } from "../browser/harness.mjs";

/** How often a line is tried while nobody is there, in milliseconds. */
const AGAIN = 10;

const [origin, relay, another] = process.argv.slice(2);

/** Runs in the tab: starts a peer, and reports what happens to it. */
async function start(relays) {
  const peer = await globalThis.Peer.start({ relays, ice_servers: globalThis.ice });
  globalThis.peer = peer;
  await globalThis.report({ event: "started", peer_id: peer.peerId, name: peer.name });
  (async () => {
    for (const reader = peer.events().getReader(); ; ) {
      const { done, value } = await reader.read();
      if (done) return;
      if (value.event !== "started") void globalThis.report(value);
    }
  })();
}

/** Runs in the tab: sends a line, or dials. */
async function say({ line, again }) {
  const [, address] = /^\/dial (.+)/.exec(line) ?? [];
  if (address) return globalThis.peer.dial(address);
  while (!(await globalThis.peer.broadcast(line)).length) await new Promise((resolve) => setTimeout(resolve, again));
}

// Another tab in the same network is known by a name of mDNS, which the network itself resolves.
const browser = await launch({ hosts: [new URL(origin).hostname, "*.local"] });
const page = await browser.newPage();
await page.exposeFunction("report", (event) => process.stdout.write(`${JSON.stringify(event)}\n`));
await page.goto(new URL("/healthz", origin).href);
await page.evaluate(async (another) => {
  const { default: init, Peer } = await import("/pkg/web.js");
  await init();
  globalThis.Peer = Peer;
  const { locate } = await import("/relay.js");
  const { ice } = await locate(undefined, new URL("/", location.href));
  globalThis.ice = [...ice, ...another];
}, another ? [JSON.parse(another)] : []);
process.stdout.write('{"event":"loaded"}\n');
let runs = false;
for await (const line of createInterface({ input: process.stdin })) {
  await page.evaluate(runs ? say : start, runs ? { line, again: AGAIN } : [relay]);
  runs = true;
}
await browser.close();
