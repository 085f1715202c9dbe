import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { forget, load, save } from "../../www/identity.js";
import { NO_STORAGE, TEMPORARY, startPeer } from "../../www/start-peer.js";
import { Peer } from "./fake-web.js";

/** IndexedDB, as far as the page uses it: one store with one key. */
function fakeDatabase(values = new Map()) {
  const later = (request, name) => queueMicrotask(() => request[name]?.());
  const store = {
    get: (key) => ({ result: values.get(key) }),
    put: (value, key) => ({ result: values.set(key, value) }),
    delete: (key) => ({ result: values.delete(key) }),
  };
  const transaction = () => {
    const made = { objectStore: () => store };
    later(made, "oncomplete");
    return made;
  };
  return {
    values,
    open() {
      const request = { result: { transaction, close() {}, createObjectStore() {} } };
      later(request, "onsuccess");
      return request;
    },
  };
}

beforeEach(() => (Peer.started.length = 0));

test("an identity that cannot be kept is an error, not silence", async () => {
  const refuses = {
    open() {
      const request = { error: new Error("private window") };
      queueMicrotask(() => request.onerror());
      return request;
    },
  };
  await assert.rejects(load(undefined), /no IndexedDB/);
  await assert.rejects(load(refuses), /private window/);
  await assert.rejects(save(new Uint8Array(1), refuses), /private window/);
  await assert.rejects(forget({ open() { throw new Error("SecurityError"); } }), /SecurityError/);
});

test("the identity of the first start is kept, and used by the next", async () => {
  const indexedDB = fakeDatabase();
  const first = await startPeer(Peer, {}, { indexedDB });
  const second = await startPeer(Peer, {}, { indexedDB });
  assert.equal(first.peer.config.identity, undefined);
  assert.equal(second.peer.peerId, first.peer.peerId);
  assert.equal(second.notice, undefined);
  await forget(indexedDB);
  assert.notEqual((await startPeer(Peer, {}, { indexedDB })).peer.peerId, first.peer.peerId);
});

test("a temporary identity neither uses nor changes the kept one", async () => {
  const indexedDB = fakeDatabase();
  await startPeer(Peer, {}, { indexedDB });
  const before = indexedDB.values.get("key");
  const { peer, notice } = await startPeer(Peer, {}, { indexedDB, temporary: true });
  assert.equal(peer.config.identity, undefined);
  assert.equal(notice, TEMPORARY);
  assert.equal(indexedDB.values.get("key"), before);
});

test("a kept identity that cannot be used is replaced, and that is said", async () => {
  const indexedDB = fakeDatabase(new Map([["key", new Uint8Array(3)]]));
  Peer.nextError = new Error("the identity is no key");
  const { peer, notice } = await startPeer(Peer, {}, { indexedDB });
  assert.match(notice, /no key.*You have a new one/);
  assert.equal(indexedDB.values.get("key"), peer.identity());
  indexedDB.values.set("key", "not bytes");
  assert.equal((await startPeer(Peer, {}, { indexedDB })).peer.config.identity, undefined);
});

test("a start that fails for another reason leaves the kept identity alone", async () => {
  const kept = new Uint8Array(36);
  const indexedDB = fakeDatabase(new Map([["key", kept]]));
  const refusing = { start: async () => { throw new Error("bad multiaddr"); } };
  await assert.rejects(startPeer(refusing, {}, { indexedDB }), /bad multiaddr/);
  assert.equal(indexedDB.values.get("key"), kept);
});

test("without storage the peer starts all the same", async () => {
  assert.equal((await startPeer(Peer, {}, { indexedDB: undefined })).notice, NO_STORAGE);
});
