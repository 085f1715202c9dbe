// The status line, and what a person can do about it. It has no DOM.

import { advice } from "./advice.js";
import { oneLine, plural } from "./text.js";

/**
 * @typedef {object} Status
 * @property {"good" | "wait" | "bad"} tone
 * @property {string} text read out by a screen reader when it changes
 * @property {string} [countdown] changes each second, and is not read out
 * @property {string} [detail] why, and what to do
 * @property {{title: string, text: string, command?: string, actions: [string, string][]}} [card]
 *   shown in place of an empty conversation; each action has a name and a label
 */

const RELOAD = ["reload", "Reload"];
const SETTINGS = ["settings", "Change the relay"];

/**
 * @param {object} app {phase, reason, retryAt, offline, wasOnline}
 * @param {import("./model.js").Model} model
 * @returns {Status}
 */
export function statusOf(app, model, now) {
  const fixed = FIXED[app.phase];
  if (fixed) return fixed(app.reason);
  if (app.phase === "lost") return lost(app, now);
  if (app.offline) {
    return { tone: "bad", text: "Offline: this device has no network.", detail: "What you send waits here, and goes out when the network is back." };
  }
  return app.phase === "running" ? running(app, model, now) : { tone: "wait", text: "Looking for the relay…" };
}

const FIXED = {
  starting: () => ({ tone: "wait", text: "Starting…" }),
  missing: () => ({
    tone: "bad",
    text: "The page's program has not been built.",
    card: {
      title: "Not built yet",
      text: "This page needs a WebAssembly package that is built, not committed. In the project's folder, run the command below, then reload:",
      command: "cargo xtask web",
      actions: [RELOAD],
    },
  }),
  broken: (reason) => ({
    tone: "bad",
    text: "Punchline cannot run here.",
    card: { title: "Cannot start", text: oneLine(reason), actions: [RELOAD] },
  }),
  refused: (reason) => ({
    tone: "bad",
    text: `Cannot start: ${oneLine(reason)}`,
    card: { title: "Cannot start", text: oneLine(reason), actions: [["settings", "Settings"], RELOAD] },
  }),
  panic: (reason) => ({
    tone: "bad",
    text: "Punchline has crashed in this tab.",
    detail: "Reload to go on. Please report it.",
    card: { title: "Punchline has crashed", text: oneLine(reason), actions: [RELOAD] },
  }),
  second: () => ({
    tone: "bad",
    text: "Punchline is open in another tab.",
    card: {
      title: "Open in another tab",
      text: "Another tab of this browser is already this peer. Two tabs cannot be the same peer at once.",
      actions: [["useHere", "Use this tab instead"], ["temporary", "Open here with a temporary identity"]],
    },
  }),
  leaving: () => ({ tone: "wait", text: "Taking over from the other tab…" }),
  stolen: () => ({
    tone: "bad",
    text: "Stopped: you went on in another tab.",
    card: {
      title: "You went on in another tab",
      text: "This tab has stopped, so that the other one can be this peer. What was said here stays until you close the tab.",
      actions: [["useHere", "Use this tab instead"], ["temporary", "Open here with a temporary identity"]],
    },
  }),
  stopped: () => ({
    tone: "bad",
    text: "Stopped.",
    card: { title: "Stopped", text: "The peer in this tab has stopped.", actions: [RELOAD] },
  }),
};

function lost({ reason, retryAt, offline }, now) {
  return {
    tone: "bad",
    text: offline ? "Offline: this device has no network." : "Cannot find the relay: retrying",
    countdown: offline ? undefined : countdown(retryAt - now),
    detail: oneLine(reason),
    card: { title: "Where is the relay?", text: oneLine(reason, 600), actions: [SETTINGS, ["retry", "Try now"]] },
  };
}

function running(app, model, now) {
  const here = model.here().length;
  const { list, at } = model.relays;
  const room = `“${oneLine(model.room, 60)}”`;
  const online = list.filter((relay) => relay.state === "online");
  if (online.length) {
    const text = `Online in room ${room} · ${plural(here, "peer")}`;
    // A relay that is online may still refuse to list who else is there. One that lists them is enough.
    return online.every(({ reason }) => reason) ? { tone: "wait", text, detail: whatToDo(online[0]) } : { tone: "good", text };
  }
  const waiting = list.filter((relay) => relay.state === "waiting");
  if (!waiting.length || waiting.length < list.length) {
    return { tone: "wait", text: app.wasOnline ? "Relay lost: reconnecting…" : "Connecting to the relay…", detail: stillHere(here) };
  }
  const soonest = waiting.reduce((a, b) => ((b.retry_in_ms ?? 0) < (a.retry_in_ms ?? 0) ? b : a));
  return {
    // Whoever has a direct path needs no relay.
    tone: here ? "wait" : "bad",
    text: app.wasOnline ? "Relay lost: retrying" : "Cannot reach the relay: retrying",
    countdown: countdown(at + (soonest.retry_in_ms ?? 0) - now),
    detail: whatToDo(soonest, stillHere(here)),
  };
}

/** Why a relay is not as it should be, and what to do. */
function whatToDo({ reason, code }, todo = advice(code)) {
  const why = oneLine(reason ?? "");
  return why ? `${sentence(why)} ${todo}` : todo;
}

function stillHere(here) {
  return here ? `You can still talk with ${plural(here, "peer")}. Nobody new can join until the relay is back.` : undefined;
}

function sentence(text) {
  return `${text[0].toUpperCase()}${text.slice(1)}${/[.!?…]$/.test(text) ? "" : "."}`;
}

function countdown(ms) {
  return ms > 500 ? ` in ${Math.ceil(ms / 1000)} s` : " now";
}
