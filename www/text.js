// Text that came from elsewhere, made fit to be shown, and short forms of things.

/** The largest message: MAX_BODY_BYTES in shared/src/config.rs. */
export const MAX_BODY_BYTES = 64 * 1024;
/** The rendezvous protocol allows no longer namespace. */
export const MAX_NAMESPACE_BYTES = 255;
/** A body longer than this is shown shortened: more than a person types. */
export const SHORT_CHARS = 1200;
/** A body with more lines than this is shown shortened, for empty lines take room too. */
export const SHORT_LINES = 16;
/** Remote text in one line, such as a reason, is cut here. */
const ONE_LINE_CHARS = 300;
/** The end of a peer id that is a name, as in the terminal. */
const NAME_CHARS = 6;
/** Names that are kept, as in the terminal. */
const MAX_NAMES = 4096;
/** How many colours style.css has for names. */
export const HUES = 10;

// Control characters, and those that turn the direction of the text around them or can't be seen.
const CONTROLS = /[\p{Cc}\u2028\u2029]+/gu;
const INVISIBLE = /[\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff]/gu;
const BODY_CONTROLS = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/gu;

/** Remote text for one line: no control characters, no turned direction, not too long. */
export function oneLine(text, limit = ONE_LINE_CHARS) {
  const clean = String(text).slice(0, limit * 4).replace(CONTROLS, " ").replace(INVISIBLE, "").trim();
  return clean.length > limit ? `${cut(clean, limit)}…` : clean;
}

/** A message's text: line breaks and tabs stay, other control characters can be seen. */
export function cleanBody(text) {
  return text.replace(/\r\n?/g, "\n").replace(BODY_CONTROLS, "\ufffd");
}

/** What of a long body is shown at first; `undefined` when it is short. */
export function shortened(text) {
  let end = Math.min(text.length, SHORT_CHARS);
  let at = -1;
  for (let line = 0; line < SHORT_LINES; line += 1) {
    at = text.indexOf("\n", at + 1);
    if (at < 0 || at >= end) break;
    if (line === SHORT_LINES - 1) end = at;
  }
  return end < text.length ? cut(text, end) : undefined;
}

/** Never half of a surrogate pair. */
function cut(text, end) {
  const code = text.charCodeAt(end - 1);
  return text.slice(0, code >= 0xd800 && code <= 0xdbff ? end - 1 : end);
}

export function byteLength(text) {
  return new TextEncoder().encode(text).length;
}

/** 1536 → "1.5 KiB" */
export function size(bytes) {
  return bytes < 1024 ? `${bytes} bytes` : `${Math.round(bytes / 102.4) / 10} KiB`;
}

export function milliseconds(ms) {
  if (ms < 10) return `${ms.toFixed(1)} ms`;
  return ms < 10_000 ? `${Math.round(ms)} ms` : `${Math.round(ms / 1000)} s`;
}

export function plural(count, one, many = `${one}s`) {
  return `${count} ${count === 1 ? one : many}`;
}

/** Whether a host, of a URL or a multiaddr, is this very machine. */
export function isLoopback(host) {
  return ["localhost", "[::1]", "::1", "0.0.0.0"].includes(host) || host.startsWith("127.");
}

/** Why a room's name cannot be used, if it cannot. */
export function roomFault(name) {
  const bytes = byteLength(name);
  if (bytes === 0) return "A room needs a name.";
  if (bytes > MAX_NAMESPACE_BYTES) {
    return `A room's name has at most ${MAX_NAMESPACE_BYTES} bytes; this one has ${bytes}.`;
  }
  return undefined;
}

/** The colour of a peer: the same in every tab, and on every screen. */
export function hue(peerId) {
  let hash = 0;
  for (const character of peerId) hash = (hash * 31 + character.charCodeAt(0)) >>> 0;
  return hash % HUES;
}

/** Short names for peers: the end of the peer id, as long as it takes to tell it from others. */
export class Names {
  #names = new Map();
  #taken = new Set();

  of(peerId) {
    const known = this.#names.get(peerId);
    if (known) return known;
    if (this.#names.size >= MAX_NAMES) this.#forgetOldest();
    let length = NAME_CHARS;
    while (this.#taken.has(peerId.slice(-length)) && length < peerId.length) length += 2;
    const name = oneLine(peerId.slice(-length));
    this.#names.set(peerId, name);
    this.#taken.add(name);
    return name;
  }

  /** Whom of `among` is meant by a name, an id or the end of one: that peer, or an error. */
  find(typed, among) {
    const named = among.filter((peer) => this.#names.get(peer) === typed);
    const fitting = named.length ? named : among.filter((peer) => peer.endsWith(typed));
    if (fitting.length === 1) return fitting[0];
    throw new Error(
      fitting.length
        ? `Several peers here are called ${oneLine(typed)}: type more of the id.`
        : `No peer here is called ${oneLine(typed)}; /peers lists who is here.`,
    );
  }

  #forgetOldest() {
    const [peerId, name] = this.#names.entries().next().value;
    this.#names.delete(peerId);
    this.#taken.delete(name);
  }
}
