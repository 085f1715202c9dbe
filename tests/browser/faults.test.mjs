// Faults around the page, which it has to explain in words.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { after, before } from "node:test";

import { LAN, NO_ANSWER, at, company, conversation, delivered, field, launch, online, open, peerId, say, sees, skip, status, test, visit } from "./harness.mjs";
import { startPeer, startRelay } from "./processes.mjs";

/** A peer id that nobody here has. */
const NOBODY = "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN";
/** A port that nobody uses: below those of the relays here and those that systems give out. */
const NOTHING = 19_999;
const LONG = "0123456789abcdef".repeat(4096);

/** A thousand messages a second for some seconds. */
const [FLOOD, BURST, BURST_MS] = [4000, 50, 50];

let browser;
before(async () => {
  if (!skip) browser = await launch();
});
after(() => browser?.close());

/** Enters a relay in the settings, and waits until the page is online. */
async function correct(page, relay) {
  await page.getByRole("button", { name: "Settings", exact: true }).first().click();
  const dialog = page.getByRole("dialog", { name: "Settings" });
  await dialog.getByLabel("Relay").fill(relay);
  await dialog.getByRole("button", { name: "Use these" }).click();
  await online(page);
}

async function httpServer(t, answer) {
  const server = createServer(answer);
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${server.address().port}`;
}

const wrongRelays = {
  "where nothing listens, as a multiaddr": { via: () => `/ip4/127.0.0.1/tcp/${NOTHING}/ws`, says: "Cannot reach the relay: retrying", why: "Is the relay running?" },
  "where nothing listens, as a URL": { via: () => `http://127.0.0.1:${NOTHING}`, says: "Cannot find the relay", why: "No relay at 127.0.0.1:19999: it cannot be reached" },
  "that is a web server": {
    via: (t) => httpServer(t, (_, response) => response.writeHead(404).end("no such page")),
    // The 404 allows no other origin, so a browser shows the page nothing of it.
    says: "Cannot find the relay", why: "it cannot be reached",
  },
  "that is a web server open to all": {
    via: (t) => httpServer(t, (_, response) => response.writeHead(200, { "access-control-allow-origin": "*" }).end("<h1>Hello</h1>")),
    says: "Cannot find the relay", why: "is no relay: what it serves",
  },
  "that is a web server's port, as a multiaddr": {
    via: async (t) => `/ip4/127.0.0.1/tcp/${new URL(await httpServer(t, (_, response) => response.writeHead(404).end())).port}/ws`,
    says: "Cannot reach the relay: retrying", why: "Is the relay running?",
  },
  "that is a peer and no relay": {
    via: async (t) => (await startPeer(t, "--listen", "/ip4/127.0.0.1/tcp/0/ws")).events.find(({ event }) => event === "listening").address,
    says: "Cannot reach the relay: retrying", why: "What answers there is no relay",
  },
  "with another peer id": {
    via: (_, relay) => relay.address("ws").replace(relay.id, NOBODY),
    says: "Cannot reach the relay: retrying", why: "Another peer id answers there",
  },
  "with another peer id, by webrtc-direct": {
    via: (_, relay) => relay.address("webrtc-direct").replace(relay.id, NOBODY),
    says: "Cannot reach the relay: retrying", why: "Another peer id answers there",
  },
  "that a browser cannot dial": { via: (_, relay) => relay.address("tcp"), says: "Cannot find the relay", why: "it needs an address with /ws, /wss or /webrtc-direct" },
  "that is no address": { via: () => "/ip4/nonsense/tcp/1/ws", says: "Cannot start", why: "no multiaddr" },
};

for (const [name, { via, says, why }] of Object.entries(wrongRelays)) {
  test(`a relay ${name}: the page says so, and works when it is corrected`, async (t) => {
    const relay = await startRelay(t);
    const allow = new RegExp(`${NO_ANSWER.source}|blocked by CORS policy|404|ERR_FAILED`);
    const page = await visit(t, browser, at(relay, { via: await via(t, relay) }), { allow });
    await status(page, says);
    await page.getByText(why).first().waitFor();
    await correct(page, relay.url);
  });
}

test("WebSockets are blocked: the page says what to look for, and goes on when they no longer are", async (t) => {
  const relay = await startRelay(t, { args: ["--no-webrtc-direct"] });
  const context = await browser.newContext();
  t.after(() => context.close());
  let blocked = true;
  await context.routeWebSocket(/./, (socket) => (blocked ? socket.close({ code: 1006 }) : socket.connectToServer()));
  const page = await open(t, context, relay.url, { allow: NO_ANSWER });
  await status(page, "Cannot reach the relay: retrying");
  await status(page, "A firewall or proxy may also block WebSockets");
  blocked = false;
  await online(page);
});

test("WebSockets are blocked: the page comes by WebRTC", async (t) => {
  const relay = await startRelay(t);
  const native = await startPeer(t, "--relay", relay.url);
  const context = await browser.newContext();
  t.after(() => context.close());
  await context.routeWebSocket(/./, (socket) => socket.close({ code: 1006 }));
  const page = await open(t, context, relay.url, { allow: NO_ANSWER });
  await online(page);
  await company(page, 1);
  await say(page, "without a WebSocket");
  await native.waitFor(({ event, body }) => event === "message" && body === "without a WebSocket");
  await delivered(page, "without a WebSocket");
});

test("without storage the page has a fresh identity, and says so", async (t) => {
  const relay = await startRelay(t);
  const native = await startPeer(t, "--relay", relay.url);
  const context = await browser.newContext();
  t.after(() => context.close());
  await context.addInitScript(() => {
    const refuse = { get() { throw new DOMException("not here", "SecurityError"); } };
    for (const name of ["indexedDB", "localStorage", "sessionStorage"]) Object.defineProperty(globalThis, name, refuse);
  });
  const page = await open(t, context, relay.url);
  await page.getByText("You have a fresh identity, which is gone").first().waitFor();
  await company(page, 1);
  const first = await peerId(page);
  await say(page, "as nobody in particular");
  await native.waitFor(({ from, body }) => from === first && body === "as nobody in particular");
  await page.reload();
  await online(page);
  assert.notEqual(await peerId(page), first);
});

test("from http://<network address>, which is no secure context, everything works", async (t) => {
  if (!LAN) return t.skip("this machine has no network address");
  const relay = await startRelay(t);
  const native = await startPeer(t, "--relay", relay.url);
  const url = relay.url.replace("127.0.0.1", LAN);
  const page = await visit(t, browser, url);
  assert.deepEqual(await page.evaluate(() => [isSecureContext, navigator.locks, navigator.clipboard, crypto.subtle].map(Boolean)), [false, false, false, false]);
  await company(page, 1);
  const id = await peerId(page);
  await say(page, "from the network");
  await native.waitFor(({ from, body }) => from === id && body === "from the network");
  await delivered(page, "from the network");
  native.say("welcome");
  await sees(page, "welcome");

  await page.getByRole("button", { name: "Invite" }).click();
  const invite = page.getByRole("dialog", { name: "Invite" });
  const link = await invite.getByRole("textbox", { name: "Link to this room" }).inputValue();
  await invite.getByRole("button", { name: "Copy link" }).click();
  await invite.getByRole("button", { name: "Copied" }).waitFor();
  await page.keyboard.press("Escape");
  await field(page).focus();
  await page.keyboard.press("Control+V");
  assert.equal(await field(page).inputValue(), link);

  const second = await open(t, page.context(), url);
  await status(second, "open in another tab");
  await second.getByRole("button", { name: "Open here with a temporary identity" }).click();
  await company(second, 2);
  assert.notEqual(await peerId(second), id);
  await page.reload();
  await online(page);
  assert.equal(await peerId(page), id);
});

test("a peer that sends HTML, 64 KiB lines and a thousand messages a second", async (t) => {
  const relay = await startRelay(t);
  const hostile = await startPeer(t, "--relay", relay.url);
  const page = await visit(t, browser, relay.url);
  await company(page, 1);
  const html = `<img src=x onerror="document.title='taken'"><script>document.title='taken'</script><b>bold</b>`;
  hostile.say(html);
  await sees(page, html);
  hostile.say(LONG);
  await page.getByRole("button", { name: "Show all (64 KiB)" }).waitFor();

  let sent = 0;
  const burst = () => {
    for (let count = 0; count < BURST; count += 1) hostile.say((sent += 1) % 100 ? `flood ${sent}` : `${sent} ${LONG}`.slice(0, LONG.length));
  };
  const flood = new Promise((resolve) => {
    const timer = setInterval(() => (sent < FLOOD ? burst() : (clearInterval(timer), resolve())), BURST_MS);
  });
  // In the middle of it a person types.
  await page.waitForFunction(() => /flood \d{3}$/m.test(document.getElementById("entries").innerText));
  const began = Date.now();
  await say(page, "still answering");
  await delivered(page, "still answering");
  const took = Date.now() - began;
  t.diagnostic(`typed and delivered in ${took} ms; ${sent} of ${FLOOD} messages had been sent by then`);
  assert.ok(took < 10_000);
  await flood;
  await sees(page, `flood ${FLOOD - 1}`);
  await page.getByText("Older messages are not shown").waitFor();
  assert.ok((await page.locator(".entry").count()) <= 1000, "the log is bounded");
  assert.equal(await conversation(page).locator("img, script, b").count(), 0, "all is shown as text");
  assert.equal(await page.title(), "Punchline");
});

test("without WebRTC, as in Tor Browser, the page does without", async (t) => {
  const relay = await startRelay(t);
  const native = await startPeer(t, "--relay", relay.url);
  const prepare = (page) => page.addInitScript(() => delete window.RTCPeerConnection);
  const page = await visit(t, browser, at(relay), { prepare });
  await online(page);
  await company(page, 1);
  await say(page, "no WebRTC here");
  await native.waitFor(({ event, body }) => event === "message" && body === "no WebRTC here");
  await delivered(page, "no WebRTC here");
});
