// What peers are called and which colour they have. The terminal has the same rules (native/src/peer/names.rs), and
// tests/cases/names.json keeps both alike. The words for a peer without a name come with its events.

import { oneLine } from "./text.js";

/** The end of a peer id that is shown, unless another peer has the same. */
const END_CHARS = 6;
/** Peers that are remembered. */
const MAX_NAMES = 4096;
/** How many colours style.css has for names. */
export const HUES = 10;

/** The peers seen so far. */
export class Names {
  #known = new Map();

  /** What is shown for a peer: `Anna·x6nXTN`, with `≈` in front if somebody else calls himself like that. */
  of(peerId) {
    const { name, end } = this.#know(peerId);
    if (!name) return end;
    return `${this.#isShared(peerId, name) ? "≈" : ""}${name}·${end}`;
  }

  /** The end of a peer's id that tells it from all others; it stays as it was first shown. */
  endOf(peerId) {
    return this.#know(peerId).end;
  }

  /** The number of a peer's colour. The first ones all have different colours. */
  hueOf(peerId) {
    return this.#know(peerId).hue;
  }

  /** Takes in what a peer is called. */
  call(peerId, name) {
    if (typeof name === "string" && name) this.#know(peerId).name = oneLine(name, 64);
  }

  /**
   * The peer of `among` that a name, an id, or a beginning or end of an id means. Throws an Error when there is none
   * or more than one; its `kind` says which.
   */
  find(typed, among) {
    const folded = typed.toLowerCase();
    const by = [
      (peer) => this.of(peer) === typed || this.endOf(peer) === typed,
      (peer) => this.#know(peer).name.toLowerCase() === folded,
      (peer) => peer.endsWith(typed) || peer.startsWith(typed),
    ];
    for (const fits of by) {
      const fitting = among.filter(fits);
      if (fitting.length === 1) return fitting[0];
      if (fitting.length) throw fault("ambiguous", `Several peers here are called ${oneLine(typed)}; type more of the id.`);
    }
    throw fault("unknown", `No peer here is called ${oneLine(typed)}; /peers lists who is here.`);
  }

  #know(peerId) {
    const known = this.#known.get(peerId);
    if (known) return known;
    if (this.#known.size >= MAX_NAMES) this.#known.delete(this.#known.keys().next().value);
    const fresh = { name: "", end: this.#newEnd(peerId), hue: this.#newHue(peerId) };
    this.#known.set(peerId, fresh);
    return fresh;
  }

  /** The shortest end of the id that the id of no known peer ends with. */
  #newEnd(peerId) {
    const known = [...this.#known.keys()];
    const taken = (end) => known.some((peer) => peer.endsWith(end));
    let start = Math.max(peerId.length - END_CHARS, 0);
    while (start > 0 && taken(peerId.slice(start))) start -= 1;
    return peerId.slice(start);
  }

  /** The colour that the id gives, or the next one that nobody has. */
  #newHue(peerId) {
    let hash = 0;
    for (const character of peerId) hash = (Math.imul(hash, 31) + character.charCodeAt(0)) >>> 0;
    const taken = new Set([...this.#known.values()].map(({ hue }) => hue));
    for (let step = 0; step < HUES; step += 1) {
      const hue = (hash + step) % HUES;
      if (!taken.has(hue)) return hue;
    }
    return hash % HUES;
  }

  #isShared(peerId, name) {
    const folded = name.toLowerCase();
    for (const [other, known] of this.#known) if (other !== peerId && known.name.toLowerCase() === folded) return true;
    return false;
  }
}

/** @param {"unknown" | "ambiguous"} kind */
function fault(kind, message) {
  return Object.assign(new Error(message), { kind });
}
