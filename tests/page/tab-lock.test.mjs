import assert from "node:assert/strict";
import { test } from "node:test";

import { createTabLock } from "../../www/tab-lock.js";

/** Web Locks, as far as the page uses them: one name. */
function fakeLocks() {
  let holder;
  const waiting = [];
  const grant = (request) => {
    holder = request;
    request.callback().then(() => {
      if (holder !== request) return;
      holder = undefined;
      request.resolve();
      const next = waiting.shift();
      if (next) grant(next);
    });
  };
  return {
    request: (name, { signal, steal }, callback) => new Promise((resolve, reject) => {
      const request = { resolve, reject, callback };
      if (steal && holder) holder.reject(new DOMException("stolen", "AbortError"));
      if (steal || !holder) return grant(request);
      waiting.push(request);
      signal?.addEventListener("abort", () => {
        const at = waiting.indexOf(request);
        if (at >= 0) waiting.splice(at, 1), reject(signal.reason);
      });
    }),
  };
}

/** Channels that reach each other within one test only. */
function fakeChannels() {
  const all = new Set();
  return class {
    #target = new EventTarget();
    constructor() {
      all.add(this);
    }
    addEventListener(...args) {
      this.#target.addEventListener(...args);
    }
    removeEventListener(...args) {
      this.#target.removeEventListener(...args);
    }
    postMessage(data) {
      for (const other of all) if (other !== this) setImmediate(() => other.#target.dispatchEvent(new MessageEvent("message", { data })));
    }
  };
}

const kinds = {
  "Web Locks": () => ({ locks: fakeLocks(), BroadcastChannel: fakeChannels() }),
  "Web Locks alone": () => ({ locks: fakeLocks() }),
  "no Web Locks": () => ({ BroadcastChannel: fakeChannels() }),
};

for (const [kind, make] of Object.entries(kinds)) {
  test(`${kind}: the second tab does not get the lock, until it takes over`, async () => {
    const browser = make();
    const done = [];
    let stop;
    const stopped = new Promise((resolve) => (stop = resolve));
    const first = createTabLock(browser, async () => {
      done.push("first stops");
      stop();
    });
    const second = createTabLock(browser, async () => {});
    assert.equal(await first.claim(), true);
    assert.equal(await second.claim(), false);
    await second.takeOver();
    done.push("second goes on");
    await stopped;
    assert.equal(second.held(), true);
    assert.equal(first.held(), false);
    if (browser.BroadcastChannel) assert.deepEqual(done, ["first stops", "second goes on"]);
    // And back again.
    await first.takeOver();
    assert.deepEqual([first.held(), second.held()], [true, false]);
  });
}

test("no Web Locks: of two tabs that open at once one gets the lock", async () => {
  const browser = kinds["no Web Locks"]();
  const tabs = [createTabLock(browser, async () => {}), createTabLock(browser, async () => {})];
  const got = await Promise.all(tabs.map((tab) => tab.claim()));
  assert.equal(got.filter(Boolean).length, 1);
});

test("no Web Locks: a tab whose answer comes late stays the one", async () => {
  const browser = kinds["no Web Locks"]();
  const busy = createTabLock(browser, async () => assert.fail("it had the lock"));
  await busy.claim();
  let yielded;
  const late = new Promise((resolve) => (yielded = resolve));
  // As if the first tab had heard nothing yet.
  const held = [];
  const channel = browser.BroadcastChannel;
  const second = createTabLock({ BroadcastChannel: class extends channel {
    postMessage(data) {
      if (data.type === "who") held.push(() => super.postMessage(data));
      else super.postMessage(data);
    }
  } }, async (why) => yielded(why));
  assert.equal(await second.claim(), true, "nobody has answered");
  held.forEach((say) => say());
  assert.equal(await late, true);
  assert.deepEqual([busy.held(), second.held()], [true, false]);
});

test("with neither there is nothing to ask, and every tab goes on", async () => {
  assert.equal(await createTabLock({}, async () => {}).claim(), true);
});
