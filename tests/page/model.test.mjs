import assert from "node:assert/strict";
import { test } from "node:test";

import { MAX_EARLY, MAX_ENTRIES, MAX_ENTRY_CHARS, Model, progress } from "../../www/model.js";

const [A, B] = ["12D3KooWaaaaaa", "12D3KooWbbbbbb"];

function model() {
  const made = new Model();
  made.begin("room");
  return made;
}
const connected = (peer, path = "direct") => ({ event: "connected", peer, path, transport: "ws", address: "/ip4/192.0.2.1/tcp/1/ws" });
const message = (from, id, body = "x") => ({ event: "message", from, id, body, path: "direct" });
const delivery = (to, id, state, reason) => ({ event: "delivery", to, id, state, reason, code: reason && "not-acked" });

test("peers come, change their path, go", () => {
  const m = model();
  m.apply(connected(A, "relayed"), 1);
  assert.equal(m.here().length, 1);
  assert.match(m.entries.at(-1).body, /aaaaaa is here, via relay/);
  m.apply({ event: "path_changed", peer: A, from: "relayed", to: "direct", transport: "webrtc", address: "/x" }, 2);
  assert.deepEqual([m.peers.get(A).path, m.peers.get(A).transport], ["direct", "webrtc"]);
  assert.equal(m.entries.length, 1, "news of one peer in a row take one line");
  m.apply({ event: "disconnected", peer: A, code: "connection-closed", reason: "closed\u202e" }, 3);
  assert.equal(m.here().length, 0);
  assert.ok(m.peers.has(A), "it may come back");
  assert.match(m.entries.at(-1).body, /is away \(closed\)/);
});

test("connections() is the truth about who is here", () => {
  const m = model();
  m.apply(connected(A), 1);
  m.setConnections([{ peer: B, path: "relayed", transport: "circuit", rtt_ms: 7, unacked: 2 }]);
  assert.deepEqual([...m.peers.keys()], [B]);
  assert.deepEqual([m.peers.get(B).rtt, m.peers.get(B).unacked], [7, 2]);
});

test("why a path is relayed is known until there is another path", () => {
  const why = () => [m.peers.get(A).code, m.peers.get(A).reason];
  const m = model();
  const relayed = { peer: A, path: "relayed", transport: "circuit", code: "hole-punch-failed", reason: "no answer" };
  m.setConnections([relayed]);
  assert.deepEqual(why(), ["hole-punch-failed", "no answer"]);
  m.apply({ event: "path_changed", peer: A, from: "relayed", to: "direct", transport: "webrtc", address: "/x" }, 1);
  assert.deepEqual(why(), [undefined, undefined]);
  m.setConnections([relayed]);
  m.apply({ event: "disconnected", peer: A, code: "connection-closed", reason: "closed" }, 2);
  assert.deepEqual(why(), [undefined, undefined]);
});

test("a message to one goes from queued to sent to delivered", () => {
  const m = model();
  const entry = m.sent("hi", [{ to: A, id: 1 }], 1, A);
  assert.equal(progress(entry).text, "queued");
  m.apply(delivery(A, 1, "sent"), 2);
  assert.equal(progress(entry).text, "sent");
  m.apply(delivery(A, 1, "acked"), 3);
  assert.deepEqual(progress(entry), { state: "delivered", text: "delivered" });
  assert.ok(m.changed.has(entry));
});

test("a broadcast counts who has it, and says who has not", () => {
  const m = model();
  const entry = m.sent("hi", [{ to: A, id: 1 }, { to: B, id: 2 }, { to: "C", error: "the outbox is full" }], 1);
  assert.equal(progress(entry).text, "delivered 0/3, not to C: the outbox is full");
  m.apply(delivery(A, 1, "acked"), 2);
  m.apply(delivery(B, 2, "failed", "not acked\nin time"), 2);
  assert.equal(progress(entry).text, `delivered 1/3, not to ${B}, C: not acked in time; the outbox is full`);
  m.sentAgain(entry, entry.copies[1], 9);
  m.sentAgain(entry, entry.copies[2], 10);
  m.apply(delivery(B, 9, "acked"), 3);
  assert.equal(progress(entry, (peer) => `<${peer}>`).text, "delivered 2/3, not yet to <C>");
  m.apply(delivery("C", 10, "acked"), 3);
  assert.deepEqual(progress(entry), { state: "delivered", text: "delivered 3/3" });
});

test("a delivery that overtakes the answer of send is not lost, and few are kept", () => {
  const m = model();
  m.apply(delivery(A, 1, "acked"), 1);
  assert.equal(progress(m.sent("hi", [{ to: A, id: 1 }], 1, A)).text, "delivered");
  for (let id = 10; id < 10 + MAX_EARLY + 1; id += 1) m.apply(delivery(A, id, "acked"), 1);
  assert.equal(progress(m.sent("hi", [{ to: A, id: 10 }], 1, A)).text, "queued", "the oldest was forgotten");
  assert.equal(progress(m.sent("hi", [{ to: A, id: 11 }], 1, A)).text, "delivered");
});

test("own messages stay over a restart of the peer, and old ids mean nothing to it", () => {
  const m = model();
  const old = m.sent("hi", [{ to: A, id: 1 }], 1, A);
  m.end("you left");
  m.begin("other");
  assert.deepEqual([progress(old).text, m.entries.length, m.peers.size], ["failed: you left", 1, 0]);
  const fresh = m.sent("again", [{ to: A, id: 1 }], 2, A);
  m.apply(delivery(A, 1, "acked"), 3);
  assert.equal(progress(fresh).text, "delivered");
  assert.equal(progress(old).state, "failed");
});

test("the log keeps the newest entries only", () => {
  const m = model();
  const lost = m.sent("first", [{ to: A, id: 1 }], 0, A);
  for (let id = 1; id <= MAX_ENTRIES + 5; id += 1) m.apply(message(B, id, `${id}`), id);
  assert.equal(m.entries.length, MAX_ENTRIES);
  assert.equal(m.trimmed, 6);
  assert.equal(m.entries[0].body, "6");
  m.apply(delivery(A, 1, "acked"), 9);
  assert.equal(progress(lost).text, "queued", "what is not shown is not followed");
  assert.equal(m.changed.size, 0);
});

test("the log's size is bounded, too", () => {
  const m = model();
  const body = "x".repeat(64 * 1024);
  const fit = MAX_ENTRY_CHARS / body.length;
  for (let id = 0; id < fit + 3; id += 1) m.apply(message(B, id, body), id);
  assert.equal(m.entries.length, fit);
});

test("who left is not here any more, and another name is another name", () => {
  const m = model();
  m.apply({ ...connected(A), name: "Anna" }, 1);
  assert.match(m.entries.at(-1).body, /^Anna·aaaaaa is here/);
  m.apply({ event: "renamed", peer: A, name: "Bea" }, 2);
  assert.equal(m.entries.at(-1).body, "Anna·aaaaaa is called Bea·aaaaaa now");
  m.apply({ event: "disconnected", peer: A, code: "left", reason: "it left", left: true }, 3);
  assert.equal(m.peers.size, 0);
  assert.equal(m.entries.at(-1).body, "Bea·aaaaaa left");
});

test("what nobody has looked at is counted, for each conversation", () => {
  const m = model();
  m.apply(message(A, 1), 1);
  m.apply({ ...message(A, 2), scope: "private" }, 1);
  m.apply({ ...message(A, 3), scope: "private" }, 1);
  assert.deepEqual([...m.unread], [["", 1], [A, 2]]);
  m.seen(A);
  assert.deepEqual([...m.unread], [["", 1]]);
});

test("what is said to one alone is in that conversation only", () => {
  const m = model();
  m.apply(connected(A), 1);
  m.apply(connected(B), 1);
  m.apply({ ...message(A, 1, "to all"), scope: "room" }, 1);
  m.apply({ ...message(B, 1, "to us"), scope: "private" }, 1);
  m.sent("all", [{ to: A, id: 1 }, { to: B, id: 2 }], 1);
  m.sent("b", [{ to: B, id: 3 }], 1, B);
  m.note("own", 1);
  const shown = (peer) => m.entries.filter((entry) => m.shows(entry, peer)).map((entry) => entry.body);
  assert.deepEqual(shown("").slice(2), ["to all", "all", "own"]);
  assert.deepEqual(shown(A).slice(1), ["own"]);
  assert.deepEqual(shown(B).slice(1), ["to us", "b", "own"]);
});

test("unknown and hostile events change nothing", () => {
  const m = model();
  m.apply({ event: "of_the_future" }, 1);
  m.apply({ event: "disconnected", peer: A, code: "other", reason: "" }, 1);
  m.apply(delivery(A, 99, "acked"), 1);
  assert.equal(m.entries.length, 0);
});

test("greetings and errors that repeat take one line", () => {
  const m = model();
  for (let at = 0; at < 50; at += 1) m.apply({ event: "greeting", from: A, message: "Hello from\u202e" }, at);
  for (let at = 0; at < 50; at += 1) m.apply({ event: "error", code: "unreachable", message: "no route" }, at);
  assert.deepEqual(m.entries.map((entry) => entry.body), ["aaaaaa greets: Hello from", "no route: Is the relay running? A firewall or proxy may also block WebSockets."]);
});
