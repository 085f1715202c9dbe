// The list of peers, and the choice of whom to write to. Rows are changed rather than made anew, so that focus and
// selection stay.

import { milliseconds, oneLine, plural } from "./text.js";

export class Peers {
  #list;
  #nobody;
  #facts;
  #everyone;
  #template;
  #rows = new Map();
  selected = "";

  /** @param {(how: {byPointer: boolean}) => void} onSelect who goes through the choices by keys is not done yet */
  constructor(document, onSelect) {
    const byId = (id) => document.getElementById(id);
    this.#list = byId("peers");
    this.#nobody = byId("nobody");
    this.#facts = byId("everyone-facts");
    this.#everyone = byId("everyone").querySelector("input");
    this.#template = byId("peer-template").content.firstElementChild;
    const choices = this.#list.closest("fieldset");
    let byPointer = false;
    choices.addEventListener("pointerdown", () => (byPointer = true));
    choices.addEventListener("keydown", () => (byPointer = false));
    choices.addEventListener("change", ({ target }) => {
      this.selected = target.value;
      onSelect({ byPointer });
    });
  }

  selectEveryone() {
    this.selected = "";
    this.#everyone.checked = true;
  }

  render(model) {
    const peers = [...model.peers.values()];
    // A line meant for one peer must not go to everyone because that peer has gone.
    if (this.selected && !model.peers.has(this.selected)) peers.push({ id: this.selected, unacked: 0, gone: true });
    const ids = new Set(peers.map((peer) => peer.id));
    for (const [id, row] of this.#rows) {
      if (ids.has(id)) continue;
      row.remove();
      this.#rows.delete(id);
    }
    for (const peer of peers) this.#fill(this.#row(peer.id, model), peer, model);
    set(this.#facts, plural(model.here().filter(({ guest }) => !guest).length, "peer"));
    count(this.#everyone.closest("label"), model.unread.get(""));
    this.#nobody.hidden = peers.length > 0;
  }

  #row(id, model) {
    const known = this.#rows.get(id);
    if (known) return known;
    const row = this.#template.cloneNode(true);
    row.classList.add(`hue-${model.names.hueOf(id)}`);
    row.title = id;
    row.querySelector("input").value = id;
    this.#rows.set(id, row);
    this.#list.append(row);
    return row;
  }

  #fill(row, peer, model) {
    const name = model.names.of(peer.id);
    set(row.querySelector(".name"), name);
    set(row.querySelector(".avatar"), [...name.replace(/^≈/, "")][0] ?? "");
    count(row, model.unread.get(peer.id));
    const shown = row.querySelector(".facts");
    set(shown, facts(peer));
    shown.title = whyRelayed(peer);
    row.classList.toggle("away", !peer.path);
    row.dataset.path = peer.path ?? "";
    const unacked = row.querySelector(".unacked");
    unacked.hidden = !peer.unacked;
    set(unacked, peer.unacked ? `${peer.unacked} waiting` : "");
  }
}

/** A peer's path, transport and round trip in one line. */
export function facts({ path, transport, rtt, gone, guest }) {
  if (gone) return "left";
  if (!path) return "away, may come back";
  if (guest) return "in another room";
  const way = path === "direct" ? `direct · ${oneLine(transport ?? "", 20)}` : "via relay";
  return typeof rtt === "number" ? `${way} · ${milliseconds(rtt)}` : way;
}

/** Why a peer's path is not direct; "" when it is, or nobody knows. */
export function whyRelayed({ path, reason }) {
  return path === "relayed" ? oneLine(reason ?? "") : "";
}

/** Shows how many messages nobody has looked at. */
function count(row, unread = 0) {
  const badge = row.querySelector(".unread");
  badge.hidden = !unread;
  set(badge, unread ? String(unread) : "");
  badge.title = unread ? plural(unread, "new message") : "";
}

/** Writes a text if it is another one: the same again would make screen readers and layout work for nothing. */
function set(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
