// Short names and colours of peers. The terminal gives the same names (native/src/peer/names.rs), and
// tests/cases/names.json keeps both alike.

import { oneLine } from "./text.js";

/** The end of a peer id that is its name, unless another peer has the same. */
const NAME_CHARS = 6;
/** Names that are kept. */
const MAX_NAMES = 4096;
/** How many colours style.css has for names. */
export const HUES = 10;

/** The names given so far. A peer keeps the one that it was first shown with. */
export class Names {
  #names = new Map();

  of(peerId) {
    const known = this.#names.get(peerId);
    if (known) return known;
    if (this.#names.size >= MAX_NAMES) this.#names.delete(this.#names.keys().next().value);
    const name = this.#newName(peerId);
    this.#names.set(peerId, name);
    return name;
  }

  /**
   * The peer of `among` that a name, an id, or a beginning or end of an id means. Throws an Error when there is none
   * or more than one; its `kind` says which.
   */
  find(typed, among) {
    const named = among.find((peer) => this.of(peer) === typed);
    if (named) return named;
    const fitting = among.filter((peer) => peer.endsWith(typed) || peer.startsWith(typed));
    if (fitting.length === 1) return fitting[0];
    throw fitting.length
      ? fault("ambiguous", `Not sent: several peers here are called ${oneLine(typed)}; type more of the id.`)
      : fault("unknown", `Not sent: no peer here is called ${oneLine(typed)}; /peers lists who is here.`);
  }

  /** The shortest end of the id that the id of no named peer ends with. */
  #newName(peerId) {
    const known = [...this.#names.keys()];
    const taken = (end) => known.some((peer) => peer.endsWith(end));
    let start = Math.max(peerId.length - NAME_CHARS, 0);
    while (start > 0 && taken(peerId.slice(start))) start -= 1;
    return peerId.slice(start);
  }
}

/** @param {"unknown" | "ambiguous"} kind */
function fault(kind, message) {
  return Object.assign(new Error(message), { kind });
}

/** The colour of a peer: the same in every tab, and on every screen. */
export function hue(peerId) {
  let hash = 0;
  for (const character of peerId) hash = (hash * 31 + character.charCodeAt(0)) >>> 0;
  return hash % HUES;
}
