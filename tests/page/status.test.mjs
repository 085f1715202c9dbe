import assert from "node:assert/strict";
import { test } from "node:test";

import { Model } from "../../www/model.js";
import { statusOf } from "../../www/status.js";

function status(app, relays = [], peers = []) {
  const model = new Model();
  model.begin("garden");
  model.setRelays(relays, 1000);
  model.setConnections(peers);
  return statusOf({ phase: "running", ...app }, model, 1000);
}

test("the status line says how it is", () => {
  const waiting = [{ addresses: [], state: "waiting", retry_in_ms: 3600, code: "wrong-peer", reason: "another peer answers there: 12D3KooWX" }];
  const here = [{ peer: "A", path: "direct" }];
  assert.equal(status({}, []).text, "Connecting to the relay…");
  assert.deepEqual(status({}, [{ addresses: [], state: "online" }], here), { tone: "good", text: "Online in room “garden” · 1 peer" });
  const lost = status({ wasOnline: true }, waiting, here);
  assert.equal(lost.text + lost.countdown, "Relay lost: retrying in 4 s");
  assert.match(lost.detail, /still talk with 1 peer\. Nobody new can join until the relay is back\.$/);
  assert.equal(lost.tone, "wait");
  const never = status({}, waiting);
  assert.match(never.text, /Cannot reach the relay: retrying/);
  assert.match(never.detail, /Another peer answers there.*Copy the relay's address again/);
  assert.match(status({ offline: true }).text, /Offline/);
  assert.match(status({ phase: "lost", reason: "x is no relay", retryAt: 3000 }).countdown, / in 2 s/);
  assert.equal(status({ phase: "missing" }).card.command, "cargo xtask web");
  assert.match(status({ phase: "panic", reason: "index out of\nbounds" }).card.text, /out of bounds/);
});

test("a relay that is online and does not list others says so", () => {
  const refusing = { addresses: [], state: "online", code: "namespace-refused", reason: "cannot discover: no such namespace" };
  assert.deepEqual(status({}, [refusing]), {
    tone: "wait",
    text: "Online in room “garden” · 0 peers",
    detail: "Cannot discover: no such namespace. Choose another room in the settings.",
  });
  assert.equal(status({}, [refusing, { addresses: [], state: "online" }]).tone, "good", "one relay that lists them is enough");
  assert.equal(status({}, [refusing, { addresses: [], state: "connecting" }]).tone, "wait");
});
