// Follows one peer from its start to its stop: reads its events into the model, and asks it now and then for what events
// do not say.

/** Events are handled for this long at a time; then the browser may draw and take input. */
const SLICE_MS = 8;
/** The clock is read once for this many events. */
const SLICE_EVENTS = 32;
/** How often a visible page asks for the relays' state. It asks for round trips half as often. */
const POLL_MS = 1000;
/** How soon the page asks after an event that changes who is here, or how. */
const SOON_MS = 150;

const ASK_AFTER = new Set(["connected", "path_changed", "disconnected", "reserved", "reservation_lost", "registered", "ready"]);

/**
 * @param {object} peer a `Peer` of the package `web`
 * @param {import("./model.js").Model} model
 * @param {{now(): number, visible(): boolean, changed(event?: object): void, ended(): void}} on
 */
export function createRunningPeer(peer, model, on) {
  let stopped = false;
  let crashed = false;
  let turn = 0;
  let soon;
  let peerEvents = 0;
  const ticker = setInterval(() => {
    turn += 1;
    if (on.visible()) ask(turn % 2 === 0);
  }, POLL_MS);
  const reading = read();

  async function read() {
    const reader = peer.events().getReader();
    let sliceEnd = performance.now() + SLICE_MS;
    for (let count = 1; ; count += 1) {
      const { done, value } = await reader.read().catch(() => ({ done: true }));
      if (done) break;
      model.apply(value, on.now());
      if (ASK_AFTER.has(value.event)) askSoon();
      // A peer that has crashed answers nothing any more.
      if (value.event === "panic") {
        crashed = true;
        finish();
      }
      on.changed(value);
      if (count % SLICE_EVENTS === 0 && performance.now() > sliceEnd) {
        await nextTask();
        sliceEnd = performance.now() + SLICE_MS;
      }
    }
    finish();
    on.ended();
  }

  function askSoon() {
    peerEvents += 1;
    soon ??= setTimeout(() => {
      soon = undefined;
      ask(true);
    }, SOON_MS);
  }

  /** An answer about connections that an event has overtaken is dropped: that event asks again. */
  async function ask(connections) {
    if (stopped) return;
    const before = peerEvents;
    try {
      const [relays, list] = await Promise.all([peer.relays(), connections ? peer.connections() : undefined]);
      if (stopped) return;
      model.setRelays(relays, on.now());
      if (list && before === peerEvents) model.setConnections(list);
    } catch {
      // The peer has been stopped, and its event stream ends.
    }
    on.changed();
  }

  function finish() {
    stopped = true;
    clearInterval(ticker);
    clearTimeout(soon);
  }

  return {
    peer,
    ask: () => ask(true),
    wake() {
      if (stopped) return;
      quietly(() => peer.wake());
      ask(true);
    },
    /** Begins to stop the peer, as the page goes away: as much of it happens as there is time for. */
    leave: () => quietly(() => peer.stop()),
    async stop() {
      finish();
      if (crashed) return;
      await quietly(() => peer.stop());
      await reading;
    },
  };
}

/** Calls a peer that may be gone, and then rejects or throws: there is nothing to do about that. */
async function quietly(call) {
  try {
    await call();
  } catch {
    // The event stream shows how it ended.
  }
}

/** Resolves in a task of its own. A message channel is not slowed down in a hidden page, as timers are. */
function nextTask() {
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(null);
  });
}
