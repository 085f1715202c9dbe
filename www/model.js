// What the page knows: events go in, and what to show comes out. It has no DOM, no clock and no peer.

import { advice } from "./advice.js";
import { Names } from "./names.js";
import { cleanBody, oneLine } from "./text.js";

/** Entries that are kept and shown: enough to read back, few enough to lay out at once. */
export const MAX_ENTRIES = 1000;
/** Characters of the bodies of all entries: 1,000 of the longest would take 64 MiB or more. */
export const MAX_ENTRY_CHARS = 16 * 1024 * 1024;
/** Deliveries that are kept because they came before `send` returned the id of their message. */
export const MAX_EARLY = 1000;

/** What was known of a peer's path, and does not hold for the next one. */
const UNKNOWN = { rtt: undefined, code: undefined, reason: undefined };
const FINAL = new Set(["acked", "failed"]);

export class Model {
  peerId = "";
  room = "";
  /**
   * The peers of the room, by id: {id, path, transport, address, rtt, unacked, code, reason}. One without a path is away; a
   * reason says why the path is not direct.
   */
  peers = new Map();
  /** The peer's last answer about its relays, and when it came. */
  relays = { at: 0, list: [] };
  /** The blocked peers. */
  blocked = new Set();
  entries = [];
  /** How many entries were dropped. */
  trimmed = 0;
  names = new Names();
  /** Messages that nobody has looked at, by the conversation that they belong to: a peer's, or "". */
  unread = new Map();
  /** Entries that changed since the view last looked. */
  changed = new Set();

  #chars = 0;
  #next = 1;
  #run = 0;
  #unacked = new Map();
  #early = new Map();

  /** A peer has been started: its ids begin anew, and nobody is here yet. */
  begin(room) {
    this.#run += 1;
    this.room = room;
    this.peers.clear();
    this.blocked.clear();
    this.relays = { at: 0, list: [] };
    this.#early.clear();
    this.unread.clear();
  }

  /** The peer has been stopped: messages that are not acked by now never will be. */
  end(reason) {
    const open = new Set(this.#unacked.values());
    for (const entry of open) {
      for (const copy of entry.copies) if (!FINAL.has(copy.state)) Object.assign(copy, { state: "failed", reason });
      this.changed.add(entry);
    }
    this.#unacked.clear();
    this.peers.clear();
  }

  block(peer) {
    this.blocked.add(peer);
    this.peers.delete(peer);
  }

  apply(event, now) {
    switch (event.event) {
      case "started":
        this.peerId = event.peer_id;
        this.names.call(event.peer_id, event.name);
        break;
      case "renamed":
        return this.#renamed(event, now);
      case "membership":
        return this.#membership(event, now);
      case "connected":
        return this.#connected(event, now);
      case "path_changed":
        return this.#pathChanged(event, now);
      case "disconnected":
        return this.#disconnected(event, now);
      case "message":
        return this.#message(event, now);
      case "delivery":
        return this.#delivery(event);
      case "greeting":
        this.note(`${this.names.of(event.from)} greets: ${oneLine(event.message)}`, now, { about: `greet ${event.from}`, peer: event.from });
        break;
      case "greeting_reply":
        this.note(`${this.names.of(event.from)} replies: ${oneLine(event.message)}`, now, { about: `greet ${event.from}`, peer: event.from });
        break;
      case "incompatible":
        this.note(`${this.names.of(event.peer)} speaks none of our protocols, and was disconnected`, now, { tone: "bad" });
        break;
      case "error":
        this.note(plainly(event), now, { tone: "bad", about: `error ${event.message}`, detail: oneLine(event.message) });
        break;
      default:
    }
  }

  /** Takes the answer of `connections()`: who is here, and what events do not say of them. */
  setConnections(list) {
    const listed = new Set();
    for (const { peer, name, in_room: inRoom, path, transport, address, rtt_ms: rtt, unacked, code, reason } of list) {
      listed.add(peer);
      this.names.call(peer, name);
      this.peers.set(peer, { id: peer, guest: inRoom === false, path, transport, address, rtt, unacked: unacked ?? 0, code, reason });
    }
    for (const peer of this.peers.keys()) if (!listed.has(peer)) this.peers.delete(peer);
  }

  setRelays(list, now) {
    this.relays = { at: now, list };
  }

  here() {
    return [...this.peers.values()].filter((peer) => peer.path);
  }

  /** Adds a message of ours: `sent` is what `broadcast` returned, or the one `{to, id}` of `send`. */
  sent(body, sent, now, to) {
    const copies = sent.map(({ to: peer, id, error }) =>
      error === undefined ? { to: peer, id, state: "queued" } : { to: peer, state: "failed", reason: oneLine(error) });
    const entry = this.#add({ kind: "out", to, alone: to, body, copies, at: now });
    for (const copy of copies) this.#track(entry, copy);
    return entry;
  }

  /** A failed copy is being sent again, under an id that may come later. */
  sentAgain(entry, copy, id) {
    Object.assign(copy, { id, state: "queued", reason: undefined });
    if (id !== undefined) this.#track(entry, copy);
    this.changed.add(entry);
  }

  /** A copy could not be sent again. */
  notSent(entry, copy, reason) {
    Object.assign(copy, { state: "failed", reason: oneLine(reason) });
    this.changed.add(entry);
  }

  /** Adds a line of the page's own; it replaces the last line if both are about the same thing. */
  note(text, now, { tone, about, peer, detail } = {}) {
    const last = this.entries.at(-1);
    if (about && last?.about === about) {
      this.#chars += text.length - last.body.length;
      Object.assign(last, { body: text, tone, at: now, detail });
      this.changed.add(last);
    } else {
      this.#add({ kind: "note", body: text, tone, about, peer, at: now, detail });
    }
  }

  /**
   * Whether an entry belongs to the conversation with one peer, or ("") to that with everyone. What is said to one alone
   * is in no other conversation, so that an answer goes back where it came from.
   */
  shows(entry, peer) {
    if (entry.kind === "note") return !peer || !entry.peer || entry.peer === peer;
    return (entry.alone ?? "") === peer;
  }

  /** A conversation is shown, and a person looks at it: nothing in it is unread. */
  seen(peer) {
    return this.unread.delete(peer);
  }

  #message({ from, name, body, path, scope }, now) {
    this.names.call(from, name);
    const alone = scope === "private" ? from : undefined;
    this.#add({ kind: "in", from, alone, body: cleanBody(body), path, at: now });
    const conversation = alone ?? "";
    this.unread.set(conversation, Math.min((this.unread.get(conversation) ?? 0) + 1, MAX_ENTRIES));
  }

  #renamed({ peer, name }, now) {
    const before = this.names.of(peer);
    this.names.call(peer, name);
    const after = this.names.of(peer);
    if (peer !== this.peerId && before !== after) this.note(`${before} is called ${after} now`, now, { about: `name ${peer}`, peer });
  }

  #membership({ peer, in_room: inRoom }, now) {
    const known = this.peers.get(peer);
    if (!known) return;
    this.peers.set(peer, { ...known, guest: !inRoom });
    this.note(`${this.names.of(peer)} is in ${inRoom ? "this" : "another"} room now`, now, { about: `peer ${peer}`, peer });
  }

  #connected({ peer, name, in_room: inRoom, path, transport, address }, now) {
    const known = this.peers.get(peer);
    this.names.call(peer, name);
    this.peers.set(peer, { unacked: 0, ...known, id: peer, guest: inRoom === false, path, transport, address, ...UNKNOWN });
    const guest = inRoom === false ? "; from another room, so that only messages to them alone arrive" : "";
    if (!known?.path) this.note(`${this.names.of(peer)} is here, ${way(path)}${guest}`, now, { about: `peer ${peer}`, peer });
  }

  #pathChanged({ peer, from, to, transport, address }, now) {
    const known = this.peers.get(peer);
    this.peers.set(peer, { unacked: 0, ...known, id: peer, path: to, transport, address, ...UNKNOWN });
    if (from === to) return;
    const text = to === "direct" ? "is now connected directly: no relay in between" : "lost the direct path; messages go via relay";
    this.note(`${this.names.of(peer)} ${text}`, now, { about: `peer ${peer}`, peer });
  }

  #disconnected({ peer, reason, left }, now) {
    const known = this.peers.get(peer);
    if (!known) return;
    if (left) {
      this.peers.delete(peer);
      return this.note(`${this.names.of(peer)} left`, now, { about: `peer ${peer}`, peer });
    }
    this.peers.set(peer, { ...known, path: undefined, transport: undefined, ...UNKNOWN });
    const why = reason ? ` (${oneLine(reason)})` : "";
    this.note(`${this.names.of(peer)} is away${why}`, now, { about: `peer ${peer}`, peer });
  }

  #delivery({ to, id, state, reason }) {
    const key = this.#key(to, id);
    const entry = this.#unacked.get(key);
    if (!entry) {
      if (this.#early.size >= MAX_EARLY) this.#early.delete(this.#early.keys().next().value);
      this.#early.set(key, { to, id, state, reason });
      return;
    }
    const copy = entry.copies.find((other) => other.to === to && other.id === id);
    Object.assign(copy, { state, reason: reason && oneLine(reason) });
    if (FINAL.has(state)) this.#unacked.delete(key);
    this.changed.add(entry);
  }

  #track(entry, copy) {
    if (copy.state === "failed") return;
    const key = this.#key(copy.to, copy.id);
    this.#unacked.set(key, entry);
    const early = this.#early.get(key);
    if (early) {
      this.#early.delete(key);
      this.#delivery(early);
    }
  }

  #key(peer, id) {
    return `${this.#run} ${id} ${peer}`;
  }

  #add(entry) {
    entry.key = this.#next++;
    this.entries.push(entry);
    this.#chars += entry.body.length;
    let drop = 0;
    while (this.entries.length - drop > MAX_ENTRIES || (this.#chars > MAX_ENTRY_CHARS && drop < this.entries.length - 1)) {
      this.#forget(this.entries[drop]);
      drop += 1;
    }
    if (drop) this.entries.splice(0, drop);
    this.trimmed += drop;
    return entry;
  }

  #forget(entry) {
    this.#chars -= entry.body.length;
    this.changed.delete(entry);
    for (const copy of entry.copies ?? []) this.#unacked.delete(this.#key(copy.to, copy.id));
  }
}

/** Codes of transports, whose texts are for those who know what they mean. */
const RAW = new Set(["transport-failed", "connection-refused", "unreachable", "no-answer", "connection-closed", "aborted", "no-transport"]);

/** An error in words for a person; the peer's own words can be had, too. */
function plainly({ code, message }) {
  if (!RAW.has(code)) return oneLine(message);
  const [what] = message.split(":", 1);
  return `${oneLine(what, 120)}: ${advice(code)}`;
}

function way(path) {
  return path === "direct" ? "connected directly" : "via relay";
}

/** How far a message of ours has got, over all its copies; `nameOf` names who has not got it yet. */
export function progress({ copies }, nameOf) {
  const of = (state) => copies.filter((copy) => copy.state === state);
  const [acked, failed, sent] = [of("acked").length, of("failed"), of("sent").length];
  const reasons = [...new Set(failed.map((copy) => copy.reason).filter(Boolean))].join("; ");
  const count = copies.length > 1 ? ` ${acked}/${copies.length}` : "";
  if (failed.length) {
    const partly = copies.length > 1 ? `delivered${count}, not to ${named(failed, nameOf)}` : "failed";
    return { state: "failed", text: reasons ? `${partly}: ${reasons}` : partly };
  }
  if (acked === copies.length) return { state: "delivered", text: `delivered${count}` };
  if (acked) return { state: "sent", text: `delivered${count}${missing(copies, nameOf)}` };
  return sent === copies.length ? { state: "sent", text: "sent" } : { state: "queued", text: sent ? `sent ${sent}/${copies.length}` : "queued" };
}

/** Names that are listed before the rest is counted. */
const MAX_NAMED = 3;

function missing(copies, nameOf) {
  return `, not yet to ${named(copies.filter(({ state }) => state !== "acked"), nameOf)}`;
}

function named(copies, nameOf) {
  const names = copies.slice(0, MAX_NAMED).map(({ to }) => nameOf?.(to) ?? to);
  const more = copies.length - names.length;
  return names.join(", ") + (more > 0 ? ` and ${more} more` : "");
}
