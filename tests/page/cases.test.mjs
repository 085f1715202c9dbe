// What the page shares with the terminal and with the package: tests/cases/ has it, and Rust's tests read the same files.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";

import { ADVICE, advice } from "../../www/advice.js";
import { parse } from "../../www/command.js";
import { Names } from "../../www/names.js";
import { DEFAULT_ROOM, MAX_ROOM_BYTES, fromUrl, toUrl } from "../../www/place.js";
import { MAX_BODY_BYTES } from "../../www/text.js";

const text = (path) => readFile(new URL(`../../${path}`, import.meta.url), "utf8");
const table = async (name) => JSON.parse(await text(`tests/cases/${name}.json`));

/** What a call gives, or the kind of what it throws. */
function outcome(key, call) {
  try {
    return { [key]: call() };
  } catch (error) {
    assert.ok(error.kind, error.stack);
    return { error: error.kind };
  }
}

test("typed lines are read as the terminal reads them", async () => {
  const { cases } = await table("commands");
  for (const { line, page = true, ...expected } of cases) {
    const got = outcome("command", () => parse(line));
    if (page) assert.deepEqual(got, expected, JSON.stringify(line));
    else assert.notDeepEqual(got, expected, `${line}: marked as another thing in the page`);
  }
  assert.ok(cases.filter(({ page }) => page !== false).length > 30, "the table has been read");
});

test("what only the terminal has: /quit, and an address that is looked at before the package gets it", async () => {
  assert.throws(() => parse("/quit"), { kind: "unknown", message: /No such command: \/quit/ });
  assert.deepEqual(parse("/dial 192.0.2.7:45678"), { command: "dial", address: "192.0.2.7:45678" });
});

test("peers have the names that the terminal gives them, and are found by the same words", async () => {
  const { peers, ends, colours, called, shown_called: shown, cases } = await table("names");
  const given = new Names();
  assert.deepEqual(peers.map((peer) => given.endOf(peer)), ends);
  assert.deepEqual(peers.map((peer) => given.hueOf(peer)), colours);
  assert.deepEqual(peers.map((peer) => given.of(peer)), ends, "until an event says what it is called");
  peers.forEach((peer, at) => given.call(peer, called[at]));
  assert.deepEqual(peers.map((peer) => given.of(peer)), shown);
  for (const { typed, ...expected } of cases) {
    assert.deepEqual(outcome("peer", () => given.find(typed, peers)), expected, typed);
  }
  assert.ok(cases.length > 10, "the table has been read");
});

test("a link leads to the room and the relay that it leads a terminal to", async () => {
  const cases = await table("links");
  for (const { link, relay, room } of cases) {
    const place = fromUrl(link);
    assert.equal(place.room, room, link);
    if (place.relay) assert.equal(place.relay, relay, link);
    if (room) assert.equal(fromUrl(toUrl(link, place)).room, room, "and stays it");
  }
  assert.ok(cases.length > 10, "the table has been read");
});

test("limits are those of the package", async () => {
  const page = { max_body_bytes: MAX_BODY_BYTES, max_namespace_bytes: MAX_ROOM_BYTES, default_namespace: DEFAULT_ROOM };
  assert.deepEqual(page, await table("limits"));
});

/** Codes of reasons that no relay is waited for with: a new one goes here, or gets an advice. */
const NOT_OF_A_RELAY = [
  "listen-failed", "bootstrap-failed", "lan-unavailable", "port-mapping-unavailable", "hole-punch-failed", "not-acked",
  "invalid-command", "stopped", "circuit-refused", "relay-full", "blocked", "left", "other-room", "identity-in-use",
];

test("each code that a relay can fail with has an advice", async () => {
  const [, variants] = /pub enum Reason \{([^}]*)\}/.exec(await text("shared/src/reason.rs"));
  const codes = [...variants.matchAll(/^ {4}(\w+),$/gm)].map(([, name]) => name.replace(/(?<!^)[A-Z]/g, "-$&").toLowerCase());
  assert.ok(codes.includes("wrong-peer") && codes.includes("other"), `${codes}`);
  assert.deepEqual([...Object.keys(ADVICE), ...NOT_OF_A_RELAY].toSorted(), codes.toSorted());
  for (const code of Object.keys(ADVICE)) assert.match(advice(code), /^[A-Z].*[.?]$/, code);
});

test("an advice fits the code, and there is one for what this page does not know", () => {
  assert.match(advice("wrong-peer"), /Another peer id/);
  assert.match(advice("not-a-relay"), /no relay/);
  assert.match(advice("namespace-refused"), /another room/);
  for (const code of ["connection-refused", "of-the-future", "toString", undefined]) assert.match(advice(code), /firewall/, code);
});
