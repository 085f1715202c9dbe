// The page in a DOM without a browser, with a stand-in for its peer, used as a person would use it.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { afterEach, beforeEach, test } from "node:test";

import { Window } from "happy-dom";

import { createApp } from "../../www/app.js";
import { MAX_ENTRIES } from "../../www/model.js";
import * as web from "./fake-web.js";
import { BOOTSTRAP } from "./server.mjs";

const HTML = await readFile(new URL("../../www/index.html", import.meta.url), "utf8");
const BODY = /<body>([^]*)<\/body>/.exec(HTML)[1];
const [A, B] = ["12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN", "12D3KooWPjceQrSwdWXPyLLeABRXmuqt69Rg3sBYbU1Nft9HyQ6X"];
const ONLINE = web.Peer.initialRelays;

let window;
let app;
let bootstrap;

beforeEach(() => {
  web.Peer.started.length = 0;
  web.Peer.initialRelays = ONLINE;
  bootstrap = async () => new Response(JSON.stringify(BOOTSTRAP));
});

afterEach(async () => {
  await app?.stop("the test is over");
  await window?.happyDOM.close();
});

async function open(url = "http://127.0.0.1:45680/", loadWeb = async () => web) {
  window = new Window({ url, width: 1280, height: 800 });
  window.document.body.innerHTML = BODY;
  window.document.title = "Punchline";
  window.fetch = (...args) => bootstrap(...args);
  app = createApp(window, loadWeb);
  await app.boot();
}

/** Waits until `look` returns something true, or throws what it last threw. */
async function until(look) {
  for (let left = 400; ; left -= 1) {
    try {
      const seen = look();
      if (seen) return seen;
      if (left <= 0) throw new Error(`not in time: ${look}`);
    } catch (error) {
      if (left <= 0) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

const byId = (id) => window.document.getElementById(id);
const text = (id) => byId(id).textContent;
const log = () => [...window.document.querySelectorAll(".entry")];
const status = () => window.document.querySelector("[role=status]").textContent.replace(/\s+/g, " ").trim();
const peer = () => web.Peer.last;

function type(line, { shift = false } = {}) {
  const field = byId("message");
  field.value = line;
  field.dispatchEvent(new window.KeyboardEvent("keydown", { key: "Enter", shiftKey: shift, cancelable: true, bubbles: true }));
}

function choose(id) {
  const radio = [...window.document.querySelectorAll("input[name=to]")].find((input) => input.value === id);
  radio.checked = true;
  radio.dispatchEvent(new window.Event("change", { bubbles: true }));
}

test("it starts in the room of the URL, at the relay that served it", async () => {
  await open("http://127.0.0.1:45680/#room=garden");
  assert.deepEqual(peer().config, { relays: [BOOTSTRAP.addresses[1]], ice_servers: [], namespace: "garden" });
  await until(() => /Online in room “garden” · 0 peers/.test(status()));
  assert.match(text("empty"), /Nobody else is here yet/);
  assert.equal(byId("empty").querySelector("input").value, "http://127.0.0.1:45680/#room=garden");
  assert.ok(byId("empty").querySelector("svg path").getAttribute("d").startsWith("M4 4"));
});

test("peers are listed with path, transport and round trip", async () => {
  await open();
  peer().join(A);
  peer().join(B, { path: "relayed", transport: "circuit", rtt_ms: 48.4 });
  await until(() => text("peers").includes("via relay · 48 ms"));
  assert.match(text("peers"), /x6nXTN.*direct · webrtc · 12 ms/);
  assert.equal(byId("peers").querySelector("li").title, A);
  peer().peers.shift();
  peer().emit({ event: "disconnected", peer: A, code: "connection-closed", reason: "closed" });
  await until(() => byId("peers").children.length === 1);
});

test("a line goes to everyone, and its ticks show how far it got", async () => {
  await open();
  peer().join(A);
  peer().join(B);
  await until(() => byId("peers").children.length === 2);
  type("hello");
  const own = await until(() => window.document.querySelector(".entry.out"));
  assert.deepEqual(peer().calls.at(-1), ["broadcast", "hello"]);
  assert.equal(byId("message").value, "");
  assert.match(own.textContent, /to everyone.*hello.*queued/);
  peer().emit({ event: "delivery", to: A, id: 1, state: "acked" });
  await until(() => /delivered 1\/2, not yet to ≈frosty-owl·9HyQ6X/.test(own.textContent));
  peer().emit({ event: "delivery", to: B, id: 2, state: "failed", code: "not-acked", reason: "it left" });
  await until(() => /delivered 1\/2, not to ≈frosty-owl·9HyQ6X: it left/.test(own.textContent));
  assert.equal(own.dataset.state, "failed");
  const again = own.querySelector(".retry");
  again.click();
  again.click();
  await until(() => own.dataset.state !== "failed");
  await until(() => peer().calls.length > 1);
  assert.deepEqual(peer().calls, [["broadcast", "hello"], ["send", B, "hello", "room"]], "two clicks send once");
});

test("while the page is hidden its title counts what came", async () => {
  await open();
  const hide = (hidden) => {
    Object.defineProperty(window.document, "hidden", { configurable: true, value: hidden });
    window.document.dispatchEvent(new window.Event("visibilitychange"));
  };
  hide(true);
  for (const id of [1, 2]) peer().emit({ event: "message", from: A, id, body: "x", path: "direct" });
  await until(() => window.document.title === "(2) Punchline");
  hide(false);
  await until(() => window.document.title === "Punchline");
  assert.ok(peer().calls.some(([call]) => call === "wake"));
});

test("a line to one peer goes to that one, even when it has gone meanwhile", async () => {
  await open();
  peer().join(A);
  peer().join(B);
  await until(() => byId("peers").children.length === 2);
  choose(B);
  assert.match(text("with"), /9HyQ6X/);
  assert.match(text("to"), /Only to ≈frosty-owl·9HyQ6X/);
  type("psst");
  await until(() => log().some((entry) => /to ≈frosty-owl·9HyQ6X only/.test(entry.textContent)));
  peer().peers.pop();
  peer().emit({ event: "disconnected", peer: B, code: "connection-closed", reason: "closed" });
  await until(() => /left/.test(text("with-facts")));
  peer().sendError = Object.assign(new Error("9HyQ6X is not in the room"), { name: "UnknownPeer" });
  type("still there?");
  await until(() => /not in the room/.test(text("hint")));
  assert.equal(byId("message").value, "still there?", "what was not sent is not lost");
  assert.ok(!peer().calls.some(([call]) => call === "broadcast"));
});

test("what peers send is shown as text", async () => {
  await open();
  peer().emit({ event: "message", from: A, id: 1, body: "<img src=x onerror=alert(1)><script>x</script>", path: "direct" });
  const entry = await until(() => window.document.querySelector(".entry.in"));
  assert.equal(entry.querySelector(".body").textContent, "<img src=x onerror=alert(1)><script>x</script>");
  assert.equal(entry.querySelector("img, script"), null);
  peer().emit({ event: "error", code: "other", message: "<i>bad</i>" });
  await until(() => log().length === 2);
  assert.equal(window.document.querySelector("#log i"), null);
});

test("long bodies are shortened, and shown whole on demand", async () => {
  await open();
  const body = "x".repeat(64 * 1024);
  peer().emit({ event: "message", from: A, id: 1, body, path: "direct" });
  const button = await until(() => window.document.querySelector(".more"));
  const shown = window.document.querySelector(".entry .body");
  assert.equal(button.textContent, "Show all (64 KiB)");
  assert.ok(shown.textContent.length < 2000);
  button.click();
  assert.equal(shown.textContent, body);
  button.click();
  assert.ok(shown.textContent.length < 2000);
});

test("the log is bounded, and says so", async () => {
  await open();
  for (let id = 1; id <= MAX_ENTRIES + 50; id += 1) peer().emit({ event: "message", from: A, id, body: `${id}`, path: "direct" });
  await until(() => log().at(-1)?.textContent.endsWith(`${MAX_ENTRIES + 50}`));
  assert.equal(log().length, MAX_ENTRIES);
  assert.match(text("older"), /last 1,000/);
  assert.ok(!log()[0].classList.contains("grouped"), "the first one left has its sender");
});

test("nobody here: the line is not sent, and stays", async () => {
  await open();
  type("anybody?");
  await until(() => /nobody else is here/.test(text("hint")));
  assert.equal(byId("message").value, "anybody?");
});

test("Shift+Enter and a composing input method do not send", async () => {
  await open();
  peer().join(A);
  await until(() => byId("peers").children.length === 1);
  type("one", { shift: true });
  const field = byId("message");
  const composing = new window.KeyboardEvent("keydown", { key: "Enter", bubbles: true });
  Object.defineProperty(composing, "isComposing", { value: true });
  field.dispatchEvent(composing);
  assert.equal(field.value, "one");
  type("two");
  await until(() => peer().calls.some((call) => call.join() === "broadcast,two"));
  assert.deepEqual(peer().calls, [["broadcast", "two"]], "lines leave in the order they were typed in");
});

test("Enter that ends a composition in Safari does not send", async () => {
  await open();
  peer().join(A);
  await until(() => byId("peers").children.length === 1);
  const field = byId("message");
  field.value = "に";
  const ending = new window.KeyboardEvent("keydown", { key: "Enter", bubbles: true, cancelable: true });
  Object.defineProperty(ending, "keyCode", { value: 229 });
  field.dispatchEvent(ending);
  assert.equal(field.value, "に");
  assert.deepEqual(peer().calls, []);
});

test("a draft stays with the conversation that it is for", async () => {
  await open();
  peer().join(A);
  await until(() => byId("peers").children.length === 1);
  choose(A);
  byId("message").value = "a secret";
  choose("");
  assert.equal(byId("message").value, "");
  byId("message").value = "to all";
  choose(A);
  assert.equal(byId("message").value, "a secret");
  choose("");
  assert.equal(byId("message").value, "to all");
});

test("a private message is marked, counted where it belongs, and answered there", async () => {
  await open();
  peer().join(A);
  await until(() => byId("peers").children.length === 1);
  peer().emit({ event: "message", from: A, name: "Anna", id: 1, body: "psst", path: "direct", scope: "private" });
  const badge = await until(() => [...window.document.querySelectorAll("#peers .unread")].find((shown) => shown.textContent === "1"));
  assert.equal(window.document.title, "(1) Punchline");
  assert.ok(!log().some((entry) => entry.textContent.includes("psst")), "not among what is said to all");
  choose(A);
  await until(() => log().some((entry) => /to you alone.*psst/.test(entry.textContent)));
  await until(() => badge.hidden && window.document.title === "Punchline");
  type("yes?");
  await until(() => peer().calls.length > 0);
  assert.deepEqual(peer().calls, [["send", A, "yes?"]]);
});

test("nobody is here: the hint goes when somebody comes", async () => {
  await open();
  type("anybody?");
  await until(() => /nobody else is here/.test(text("hint")));
  peer().join(A);
  await until(() => text("hint") === "");
});

test("links and code in a message", async () => {
  await open();
  const body = "see https://example.org/a?b=c, or javascript:alert(1)\n```js\nlet a = 1;\n```";
  peer().emit({ event: "message", from: A, name: "Anna", id: 1, body, path: "direct", scope: "room" });
  const entry = await until(() => window.document.querySelector(".entry.in"));
  const link = entry.querySelector("a");
  assert.equal(entry.querySelectorAll("a").length, 1);
  assert.deepEqual([link.textContent, link.getAttribute("href"), link.rel, link.target], ["https://example.org/a?b=c", "https://example.org/a?b=c", "noopener noreferrer", "_blank"]);
  assert.equal(entry.querySelector("code").textContent, "let a = 1;");
});

test("a file is caught, and the page says that there are none yet", async () => {
  await open();
  const drop = new window.Event("drop", { bubbles: true, cancelable: true });
  drop.dataTransfer = { types: ["Files"] };
  window.document.dispatchEvent(drop);
  assert.ok(drop.defaultPrevented);
  assert.match(text("hint"), /Files cannot be sent yet/);
});

test("a name is chosen, kept, and cannot be anything", async () => {
  await open();
  byId("open-settings").click();
  const fields = byId("place").elements;
  fields.name.value = "Anna";
  byId("place").dispatchEvent(new window.Event("submit", { cancelable: true }));
  await until(() => text("you").includes("Anna·"));
  assert.deepEqual(peer().calls.filter(([call]) => call === "setName"), [["setName", "Anna"]]);
  type("/name Bea");
  await until(() => text("you").includes("Bea·"));
  type("/name a\u0007b");
  await until(() => /control characters/.test(text("hint")));
  assert.equal(window.localStorage.getItem("punchline:name"), "Bea");
});

test("a package that dies while it starts shows the crash", async () => {
  web.Peer.nextError = Object.assign(new Error("unreachable executed"), { name: "Panicked" });
  await open();
  await until(() => /crashed/.test(status()));
});

test("slash commands", async () => {
  await open();
  peer().join(A);
  await until(() => byId("peers").children.length === 1);
  type("/peers");
  await until(() => log().some((entry) => entry.textContent.includes(`frosty-owl·x6nXTN · direct · webrtc · 12 ms · ${A}`)));
  type("/dial /ip4/192.0.2.7/tcp/1/ws");
  await until(() => log().some((entry) => /Dialling \/ip4/.test(entry.textContent)));
  type("/dial nonsense");
  await until(() => /no multiaddr/.test(text("hint")));
  byId("message").value = "";
  type("/to nXTN hi");
  await until(() => peer().calls.some((call) => call.join() === `send,${A},hi`));
  type("//etc");
  await until(() => peer().calls.some((call) => call.join() === "broadcast,/etc"));
  type("/nothing");
  await until(() => /No such command/.test(text("hint")));
});

test("a peer is blocked by its name, and unblocked", async () => {
  await open();
  peer().join(A);
  await until(() => byId("peers").children.length === 1);
  type("/block nXTN");
  await until(() => log().some((entry) => /frosty-owl·x6nXTN is blocked/.test(entry.textContent)));
  assert.equal(byId("peers").children.length, 0);
  type("/unblock nXTN");
  await until(() => log().some((entry) => /is no longer blocked/.test(entry.textContent)));
  assert.deepEqual(peer().calls.filter(([call]) => /block/.test(call)), [["block", A], ["unblock", A]]);
  type("/unblock nXTN");
  await until(() => /nXTN/.test(text("hint")));
});

test("why a peer is reached by a relay only is shown", async () => {
  await open();
  peer().join(A, { path: "relayed", transport: "circuit", code: "hole-punch-failed", reason: "no answer\u202e" });
  await until(() => window.document.querySelector("#peers .facts")?.title === "no answer");
  type("/peers");
  await until(() => log().some((entry) => entry.textContent.includes(`via relay · 12 ms · ${A} · no answer`)));
});

/** Generous: the fault that this finds takes minutes. */
const PASTE_MS = 20_000;

test("a pasted text with very many spaces does not stop the page", async () => {
  await open();
  const began = performance.now();
  type(`a${" ".repeat(250_000)}b`);
  await until(() => /at most 64 KiB/.test(text("hint")));
  const took = performance.now() - began;
  assert.ok(took < PASTE_MS, `${took} ms`);
});

test("an empty line is nothing, and no fault", async () => {
  await open();
  peer().join(A);
  for (const line of ["", "  ", "\n"]) type(line);
  type("hello  \n");
  await until(() => peer().calls.length > 0);
  assert.deepEqual(peer().calls, [["broadcast", "hello  "]], "as in the terminal, only line ends are taken off");
  assert.equal(text("hint"), "");
});

test("a message over the limit is refused before it is sent", async () => {
  await open();
  peer().join(A);
  type("ä".repeat(33_000));
  await until(() => /at most 64 KiB/.test(text("hint")));
  assert.deepEqual(peer().calls.filter(([call]) => call === "broadcast"), []);
});

test("another room: the peer starts anew there, what was said stays, the URL follows", async () => {
  await open("http://127.0.0.1:45680/#room=garden");
  peer().join(A);
  await until(() => byId("peers").children.length === 1);
  type("hello");
  await until(() => window.document.querySelector(".entry.out"));
  const first = peer();
  byId("open-settings").click();
  const fields = byId("place").elements;
  assert.equal(fields.room.value, "garden");
  fields.room.value = "x".repeat(256);
  byId("place").dispatchEvent(new window.Event("submit", { cancelable: true }));
  assert.match(text("place-fault"), /at most 255 bytes/);
  fields.room.value = "kitchen";
  byId("place").dispatchEvent(new window.Event("submit", { cancelable: true }));
  await until(() => peer() !== first && peer().config.namespace === "kitchen");
  assert.ok(first.stopped);
  assert.equal(window.location.hash, "#room=kitchen");
  await until(() => /failed: you left the room/.test(window.document.querySelector(".entry.out").textContent));
  await until(() => /You are now in the room “kitchen”/.test(text("log")));
});

test("rooms changed faster than the relay answers: the last one counts", async () => {
  await open();
  for (const room of ["a", "b", "c"]) {
    window.location.hash = `#room=${room}`;
    window.dispatchEvent(new window.Event("hashchange"));
  }
  await until(() => peer().config.namespace === "c");
  await until(() => /room “c”/.test(status()));
  assert.equal(web.Peer.started.filter((started) => !started.stopped).length, 1);
});

test("the relay is asked while the package is loaded, and once", async () => {
  let asked = 0;
  const answer = bootstrap;
  bootstrap = (...args) => {
    asked += 1;
    return answer(...args);
  };
  let askedBefore;
  await open(undefined, async () => {
    askedBefore = asked;
    return web;
  });
  assert.equal(askedBefore, 1);
  await until(() => /Online/.test(status()));
  assert.equal(asked, 1);
});

test("the relay is lost and comes back", async () => {
  await open();
  await until(() => /Online/.test(status()));
  peer().relayList = [{ addresses: [], state: "waiting", retry_in_ms: 3900, code: "connection-closed", reason: "closed" }];
  peer().emit({ event: "reservation_lost", relay: "R", code: "connection-closed", reason: "closed" });
  await until(() => /Relay lost: retrying in 4 s/.test(status()));
  peer().relayList = ONLINE;
  peer().emit({ event: "registered", relay: "R", namespace: "x", ttl: 7200 });
  await until(() => /Online/.test(status()));
});

test("no relay there: the page says so, looks again, and finds it", async () => {
  const found = bootstrap;
  bootstrap = async () => new Response("", { status: 404 });
  const opened = open();
  await until(() => window?.document && /Cannot find the relay/.test(status()));
  assert.match(text("card"), /no \/bootstrap.json \(HTTP 404\)/);
  bootstrap = found;
  [...byId("card").querySelectorAll("button")].find((button) => button.textContent === "Try now").click();
  await opened;
  await until(() => /Online/.test(status()));
  assert.ok(byId("card").hidden);
});

test("network gone and back: the page says so, and the peer is woken", async () => {
  await open();
  await until(() => /Online/.test(status()));
  window.dispatchEvent(new window.Event("offline"));
  await until(() => /Offline/.test(status()));
  window.dispatchEvent(new window.Event("online"));
  await until(() => /Online/.test(status()));
  assert.ok(peer().calls.some(([call]) => call === "wake"));
});

test("without storage there is a fresh identity, and the page says so", async () => {
  await open();
  assert.equal(window.indexedDB, undefined, "this DOM has no IndexedDB");
  assert.match(text("notices"), /fresh identity/);
});

test("a package that is not built is named with the command that builds it", async () => {
  await open("http://127.0.0.1/", async () => {
    throw Object.assign(new Error("404"), { phase: "missing" });
  });
  await until(() => /cargo xtask web/.test(text("card")));
});

test("a start that fails says why", async () => {
  web.Peer.nextError = new Error("the multiaddr is bad: invalid protocol");
  await open();
  await until(() => /Cannot start: the multiaddr is bad/.test(status()));
});

test("a crash says so, and offers to reload", async () => {
  await open();
  peer().emit({ event: "panic", message: "index out of bounds" });
  await until(() => /crashed/.test(status()));
  assert.match(text("card"), /index out of bounds.*Reload/s);
  byId("place").elements.room.value = "other";
  byId("place").dispatchEvent(new window.Event("submit", { cancelable: true }));
  await app.stop("over");
  assert.equal(web.Peer.started.length, 1, "what crashed is not started again");
});

test("a room's name cannot leave the quotes of the terminal's command", async () => {
  await open(`http://127.0.0.1/#room=${encodeURIComponent("a'; rm -rf ~ '")}`);
  await until(() => /punchline/.test(text("invite-terminal")));
  const link = text("invite-terminal").replace("punchline ", "");
  assert.ok(link.startsWith("'") && link.endsWith("'"), link);
  const unquoted = link.slice(1, -1).replaceAll("'\\''", "");
  assert.ok(!/['\s;]/.test(unquoted), link);
});

test("the command for a terminal has the whole link, with the page's path", async () => {
  await open("http://host.example/chat/#room=-test");
  await until(() => text("invite-terminal") === "punchline 'http://host.example/chat/#room=-test'");
});
