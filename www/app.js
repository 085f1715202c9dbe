// What the page does, from its start to its stop: finds the relay, runs one peer, sends what is typed. The browser's
// own things are passed in, so that tests can pass others.

import * as identity from "./identity.js";
import { copyField, inviteLink } from "./invite.js";
import { Model } from "./model.js";
import { loadName, saveName } from "./own-name.js";
import { DEFAULT_ROOM, fromUrl, roomFault, roomName, toUrl } from "./place.js";
import { createRedraw } from "./redraw.js";
import { locate } from "./relay.js";
import { createRunningPeer } from "./running-peer.js";
import { createSender } from "./sender.js";
import { startPeer } from "./start-peer.js";
import { statusOf } from "./status.js";
import { createTabLock } from "./tab-lock.js";
import { oneLine } from "./text.js";
import { createView } from "./view.js";

/** The pause before the relay is looked for again, the first time; each later one is twice as long. */
const FIRST_RETRY_MS = 2000;
/** The longest pause. */
const LAST_RETRY_MS = 30_000;

/**
 * @param {Window} window
 * @param {() => Promise<{Peer: object, qr(text: string): object}>} loadWeb loads the package; rejects with an Error whose
 *   `phase` says what to show
 */
export function createApp(window, loadWeb) {
  const { document, navigator } = window;
  const now = () => Date.now();
  const model = new Model();
  const place = fromUrl(window.location.href);
  const app = {
    phase: "starting", reason: "", retryAt: 0, offline: navigator.onLine === false, wasOnline: false,
    room: place.room ?? DEFAULT_ROOM, invite: undefined, terminal: "", identityNote: "",
  };
  let web;
  let running;
  let temporary = false;
  let noticed;
  let offlineAtStart = app.offline;
  let hurry = () => {};
  // Resolves when every start and stop so far has ended; the next one waits for it.
  let work = Promise.resolve();
  // How many starts and stops there were: a start that finds another number has been overtaken.
  let generation = 0;
  // The relay is asked while the package is still being loaded.
  let asked = { relay: place.relay, answer: ask() };

  const view = createView(document, {
    submit, action,
    retry: (entry) => sender.retry(entry).then(draw.soon),
    select: () => draw.now(),
    copyText,
    place: changePlace,
    newIdentity: () => restart(async () => temporary || identity.forget(storage()).catch(() => {})),
    copy: (field) => copyField(field, { clipboard: navigator.clipboard, document }),
    qr: drawQr,
  });
  const draw = createRedraw(window, model, () => {
    if (!document.hidden) model.seen(view.selected());
    view.render(model, statusOf(app, model, now()), app);
  });
  const sender = createSender(model, {
    peer: () => running?.peer, now, rename,
    address: () => `Others reach you by the link: ${app.invite?.link ?? "there is none yet"}`,
  });
  const lock = createTabLock({ locks: navigator.locks, BroadcastChannel: window.BroadcastChannel }, async (late) => {
    await stop("you went on in another tab before it was delivered");
    show(late ? "second" : "stolen");
  });

  function show(phase, reason = "") {
    Object.assign(app, { phase, reason });
    draw.soon();
  }

  /** The package died of a bug: it says so, or the browser does for it. */
  function hasCrashed(error) {
    return error?.name === "Panicked" || error instanceof WebAssembly.RuntimeError;
  }

  function ask() {
    const answer = locate(place.relay, new URL(window.location.href), window.fetch.bind(window));
    // Whoever needs the answer sees why there is none.
    answer.catch(() => {});
    return answer;
  }

  async function boot() {
    draw.now();
    view.composer.focus();
    try {
      web = await loadWeb();
    } catch (error) {
      return show(error.phase ?? "broken", error.message);
    }
    invite([]);
    // Without storage every tab is a peer of its own.
    const stored = await identity.load(storage()).then(() => true, () => false);
    if (stored && !(await lock.claim())) return show("second");
    await restart();
  }

  /** Stops the peer that runs, and starts another. */
  function restart(between = async () => {}) {
    // A peer that has crashed can neither stop nor start again.
    if (app.phase === "panic") return work;
    const mine = next();
    return queue(async () => {
      await halt("you left the room before it was delivered");
      await between();
      await start(mine);
    });
  }

  function stop(reason) {
    next();
    return queue(() => halt(reason));
  }

  /** Whatever is still being started is given up. */
  function next() {
    generation += 1;
    hurry();
    return generation;
  }

  function queue(step) {
    work = work.then(step).catch((error) => show(hasCrashed(error) ? "panic" : "refused", error.message));
    return work;
  }

  async function halt(reason) {
    const old = running;
    running = undefined;
    await old?.stop();
    model.end(reason);
    draw.soon();
  }

  async function start(mine) {
    const found = await findRelay(mine);
    if (!found) return;
    app.room = place.room ?? roomName(found.room);
    const fault = roomFault(app.room);
    if (fault) throw new Error(fault);
    const name = loadName(window);
    const { peer, note, notice } = await startPeer(web.Peer, { relays: found.relays, ice_servers: found.ice, namespace: app.room, ...(name && { name }) }, { temporary, indexedDB: storage() });
    app.identityNote = note;
    // A notice that was closed does not come back with each change of room.
    if (notice !== noticed) view.notice(notice);
    noticed = notice;
    if (model.entries.length && model.room !== app.room) model.note(`You are now in the room “${oneLine(app.room, 60)}”`, now());
    model.begin(app.room);
    model.peerId = peer.peerId;
    app.wasOnline = false;
    invite(found.all);
    running = createRunningPeer(peer, model, { now, visible: () => !document.hidden, changed, ended });
    show("running");
    running.ask();
  }

  /** Looks for the relay until it is found; `undefined` when another start or stop has begun meanwhile. */
  async function findRelay(mine) {
    for (let wait = FIRST_RETRY_MS; mine === generation; wait = Math.min(wait * 2, LAST_RETRY_MS)) {
      if (app.phase !== "lost") show("locating");
      try {
        const answer = asked && asked.relay === place.relay ? asked.answer : ask();
        asked = undefined;
        const found = await answer;
        return mine === generation ? found : undefined;
      } catch (error) {
        if (mine !== generation) return undefined;
        app.retryAt = now() + wait;
        show("lost", error.message);
        await new Promise((resolve) => {
          hurry = resolve;
          window.setTimeout(resolve, wait);
        });
      }
    }
    return undefined;
  }

  function invite(addresses) {
    app.invite = inviteLink(new URL(window.location.href), app.room, place.relay, addresses);
    app.terminal = `punchline ${quoted(app.invite.link)}`;
  }

  function changed(event) {
    if (event?.event === "panic") show("panic", event.message);
    if (event?.event === "connected") view.composer.forget("alone");
    if (event?.event === "ready") window.performance.mark("punchline:ready");
    if (model.relays.list.some((relay) => relay.state === "online")) {
      app.wasOnline = true;
      // Some systems say “offline” when only this machine can be reached, which may be enough.
      if (offlineAtStart) app.offline = offlineAtStart = false;
    }
    draw.soon();
  }

  function ended() {
    if (running && app.phase === "running") show("stopped");
  }

  function changePlace({ room: typed, relay, name }) {
    const room = roomName(typed);
    const fault = room && roomFault(room);
    if (fault) return fault;
    if (name !== undefined && name !== loadName(window)) {
      try {
        rename(name);
      } catch (error) {
        return error.message;
      }
    }
    if (room === (place.room ?? app.room) && relay === (place.relay ?? "") && running) return undefined;
    const next = { room: room || undefined, relay: relay || undefined };
    window.history.replaceState(null, "", toUrl(window.location.href, next));
    moveTo(next);
    return undefined;
  }

  /** Throws an Error when this is no name. */
  function rename(name) {
    running?.peer.setName(name);
    saveName(window, name);
  }

  function moveTo(next) {
    const fault = next.room && roomFault(next.room);
    if (fault) return view.composer.hint(fault);
    Object.assign(place, next);
    view.selectEveryone();
    if (next.room) app.room = next.room;
    if (!running && !["lost", "locating", "refused"].includes(app.phase)) return draw.soon();
    return restart();
  }

  async function submit(text, to) {
    try {
      await sender.submit(text, to);
    } catch (error) {
      if (error.kind !== "empty") view.composer.hint(error.message, error.kind);
      view.composer.giveBack(text, to);
    }
    draw.soon();
  }

  function action(name) {
    const actions = {
      reload: () => window.location.reload(),
      retry: () => hurry(),
      settings: () => view.settings.open({ room: place.room ?? app.room, relay: place.relay ?? "", name: loadName(window), fault: app.phase === "refused" ? app.reason : "" }),
      useHere: async () => {
        show("leaving");
        await lock.takeOver();
        temporary = false;
        await restart();
      },
      temporary: () => {
        temporary = true;
        return restart();
      },
    };
    return actions[name]();
  }

  /** The page's database. Where storing is forbidden, even reading this property may throw. */
  function storage() {
    try {
      return window.indexedDB ?? null;
    } catch {
      return null;
    }
  }

  function wake() {
    hurry();
    running?.wake();
    draw.soon();
  }

  async function copyText(text) {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {
      return false;
    }
  }

  function drawQr(text) {
    try {
      return web.qr(text);
    } catch {
      // The link is too long for a QR code, and is still there as text.
      return undefined;
    }
  }

  window.addEventListener("online", () => {
    app.offline = false;
    wake();
  });
  window.addEventListener("offline", () => {
    app.offline = true;
    offlineAtStart = false;
    draw.soon();
  });
  document.addEventListener("visibilitychange", () => document.hidden || wake());
  document.addEventListener("resume", wake);
  window.addEventListener("pageshow", ({ persisted }) => persisted && wake());
  window.addEventListener("pagehide", ({ persisted }) => persisted || running?.leave());
  window.addEventListener("hashchange", () => {
    const next = fromUrl(window.location.href);
    if (next.room !== place.room || next.relay !== place.relay) moveTo(next);
  });
  return { boot, stop };
}

/** Quoted for a shell, as a room's name comes from whoever made the link. */
function quoted(text) {
  return /^[\w./:@%=+-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
