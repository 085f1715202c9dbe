// Sees to it that one tab at a time is this browser's peer. Web Locks do it where there are any: they are missing when
// the page came neither by https nor from this machine. Tabs ask each other then.

const NAME = "punchline-identity";
/** A tab that takes longer to answer is gone or frozen. */
const ANSWER_MS = 400;
/** A tab that was asked to leave stops its peer first, which takes 2 seconds and a little more. */
const LEAVE_MS = 4000;

/**
 * @param {{locks?: LockManager, BroadcastChannel?: typeof BroadcastChannel}} browser
 * @param {(late: boolean) => Promise<void>} onAsked called when another tab takes over; that tab waits for the promise.
 *   `late`: the other tab had the lock all along, and has only answered now
 */
export function createTabLock({ locks, BroadcastChannel }, onAsked) {
  const channel = BroadcastChannel && new BroadcastChannel(NAME);
  const backend = locks ? webLock(locks) : channel ? askingLock(channel, () => leave(true)) : alwaysFree();
  let lost;

  /** Gives the lock up, once, after the peer that needs it has stopped. */
  function leave(late = false) {
    lost ??= (async () => {
      await onAsked(late);
      backend.release();
      channel?.postMessage({ type: "left" });
      lost = undefined;
    })();
  }
  channel?.addEventListener("message", ({ data }) => {
    if (data?.type === "leave" && backend.held()) leave();
  });

  return {
    /** @returns {Promise<boolean>} whether this tab has the lock now */
    claim: () => backend.claim(ANSWER_MS, () => leave()),
    /** Asks the tab that has the lock to stop, and takes the lock. */
    async takeOver() {
      const left = channel && answer(channel, "left", LEAVE_MS);
      channel?.postMessage({ type: "leave" });
      // Without an answer the other tab is frozen, or was gone already.
      await left;
      if (!(await backend.claim(ANSWER_MS, () => leave()))) await backend.steal(() => leave());
    },
    held: () => backend.held(),
    release: () => backend.release(),
  };
}

function webLock(locks) {
  let release;

  /** Resolves when this tab has the lock; rejects when it cannot have it. */
  function request(options, onStolen) {
    return new Promise((resolve, reject) => {
      const whole = locks.request(NAME, options, () => new Promise((free) => {
        release = free;
        resolve();
      }));
      whole.then(() => {}, (error) => {
        const had = release !== undefined;
        release = undefined;
        reject(error);
        if (had) onStolen();
      });
    });
  }

  return {
    async claim(wait, onStolen) {
      // A page that is being left, as in a reload, may keep its lock for another moment.
      const abort = new AbortController();
      const timer = setTimeout(() => abort.abort(), wait);
      const got = await request({ signal: abort.signal }, onStolen).then(() => true, () => false);
      clearTimeout(timer);
      return got;
    },
    steal: (onStolen) => request({ steal: true }, onStolen),
    held: () => release !== undefined,
    release() {
      release?.();
      release = undefined;
    },
  };
}

function askingLock(channel, onLate) {
  let state = "free";
  const token = Math.random();

  channel.addEventListener("message", ({ data }) => {
    // Of two tabs that ask at once, the one with the higher token gets the lock.
    const first = state === "asking" && token > data?.token;
    if (data?.type === "who" && (state === "held" || first)) channel.postMessage({ type: "here", to: data.token });
    // On a busy machine an answer may come after this tab has stopped waiting for it.
    if (data?.type === "here" && data.to === token && state === "held") {
      state = "free";
      onLate();
    }
  });

  return {
    async claim(wait) {
      state = "asking";
      const taken = answer(channel, "here", wait, token);
      channel.postMessage({ type: "who", token });
      state = (await taken) ? "free" : "held";
      return state === "held";
    },
    async steal() {
      state = "held";
    },
    held: () => state === "held",
    release() {
      state = "free";
    },
  };
}

function alwaysFree() {
  let held = false;
  const take = async () => (held = true);
  return { claim: take, steal: take, held: () => held, release: () => (held = false) };
}

/** Whether another tab sends a message of this type, to this token if there is one, within this time. */
function answer(channel, type, wait, to) {
  return new Promise((resolve) => {
    const done = (said) => {
      clearTimeout(timer);
      channel.removeEventListener("message", listen);
      resolve(said);
    };
    const listen = ({ data }) => data?.type === type && data.to === to && done(true);
    const timer = setTimeout(() => done(false), wait);
    channel.addEventListener("message", listen);
  });
}
