// The conversation on the screen: draws what is new or has changed, and nothing else.

import { parts } from "./format.js";
import { MAX_ENTRIES, progress } from "./model.js";
import { byteLength, shortened, size } from "./text.js";

/** A log that is this near to its end scrolls along with what arrives. */
const END_PX = 48;
/** Messages of one sender within this time share one heading. */
const GROUP_MS = 120_000;
/** More messages at once than this are not read out: a screen reader would never get to the end. */
const MAX_SPOKEN = 5;

/** Conversations whose place is remembered. */
const MAX_PLACES = 256;

const COPIED_MS = 2000;

const TICKS = { queued: "◷", sent: "✓", delivered: "✓✓", failed: "✗" };
const day = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long" });
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });

export class Conversation {
  #root;
  #entries;
  #older;
  #newer;
  #templates;
  #on;
  /** Where each conversation was scrolled to, unless it was at its end. */
  #places = new Map();
  #model;
  #elements = new Map();
  #selected = "";
  #lastKey = 0;
  #last;
  #atEnd = true;
  #unseen = 0;

  /** @param {{retry(entry), copy(text): Promise<boolean>}} on */
  constructor(document, on) {
    const byId = (id) => document.getElementById(id);
    [this.#root, this.#entries, this.#older, this.#newer] = ["log", "entries", "older", "newer"].map(byId);
    this.#templates = Object.fromEntries(["in", "out", "note"].map((kind) => [kind, byId(`${kind}-template`).content.firstElementChild]));
    this.#on = on;
    this.#root.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    this.#newer.addEventListener("click", () => this.toEnd());
    const { ResizeObserver } = document.defaultView;
    if (ResizeObserver) new ResizeObserver(() => this.#atEnd && this.toEnd()).observe(this.#root);
  }

  /** Shows the conversation with `selected`, or with everyone. */
  render(model, selected) {
    this.#model = model;
    const moved = selected !== this.#selected;
    if (moved) this.#clear(selected);
    this.#trim(model);
    for (const entry of model.changed) {
      const element = this.#elements.get(entry.key);
      if (element) this.#fill(element, entry);
    }
    model.changed.clear();
    this.#append(model);
    const place = this.#places.get(selected);
    if (moved && place !== undefined) {
      this.#atEnd = false;
      this.#root.scrollTop = place;
    }
  }

  toEnd() {
    this.#atEnd = true;
    this.#unseen = 0;
    this.#newer.hidden = true;
    this.#root.scrollTop = this.#root.scrollHeight;
  }

  #clear(selected) {
    if (this.#atEnd) this.#places.delete(this.#selected);
    else this.#places.set(this.#selected, this.#root.scrollTop);
    if (this.#places.size > MAX_PLACES) this.#places.delete(this.#places.keys().next().value);
    this.#selected = selected;
    this.#elements.clear();
    this.#entries.replaceChildren();
    this.#lastKey = 0;
    this.#last = undefined;
    this.#atEnd = true;
  }

  #trim(model) {
    if (!model.trimmed) return;
    const oldest = model.entries[0].key;
    for (const [key, element] of this.#elements) {
      if (key >= oldest) break;
      element.remove();
      this.#elements.delete(key);
    }
    this.#entries.firstElementChild?.classList.remove("grouped");
    if (!this.#older.hidden) return;
    this.#older.hidden = false;
    this.#older.textContent = `Older messages are not shown: this page keeps the last ${MAX_ENTRIES.toLocaleString("en")}, and fewer long ones.`;
  }

  #append(model) {
    const { entries } = model;
    let at = entries.length;
    while (at > 0 && entries[at - 1].key > this.#lastKey) at -= 1;
    const fresh = entries.slice(at).filter((entry) => model.shows(entry, this.#selected));
    this.#lastKey = entries.at(-1)?.key ?? 0;
    if (!fresh.length) return this.#atEnd && this.#follow();
    this.#root.setAttribute("aria-live", fresh.length > MAX_SPOKEN ? "off" : "polite");
    const elements = fresh.map((entry) => this.#element(model, entry));
    this.#entries.append(...elements);
    const messages = fresh.filter((entry) => entry.kind !== "note").length;
    // A person who has just written wants to see it.
    if (this.#atEnd || fresh.some((entry) => entry.kind === "out")) this.toEnd();
    else this.#countUnseen(messages);
  }

  /** Scrolls to the end if an entry has grown. */
  #follow() {
    if (this.#root.scrollTop + this.#root.clientHeight < this.#root.scrollHeight) this.toEnd();
  }

  #countUnseen(count) {
    this.#unseen = Math.min(this.#unseen + count, MAX_ENTRIES);
    this.#newer.hidden = this.#unseen === 0;
    this.#newer.textContent = this.#unseen === 1 ? "1 new message ↓" : `${this.#unseen} new messages ↓`;
  }

  #scrolled() {
    const { scrollTop, clientHeight, scrollHeight } = this.#root;
    this.#atEnd = scrollTop + clientHeight > scrollHeight - END_PX;
    if (this.#atEnd && this.#unseen) this.toEnd();
  }

  #element(model, entry) {
    const element = this.#templates[entry.kind].cloneNode(true);
    this.#elements.set(entry.key, element);
    const newDay = this.#last && new Date(this.#last.at).toDateString() !== new Date(entry.at).toDateString();
    if (newDay) element.dataset.day = day.format(new Date(entry.at));
    element.classList.toggle("grouped", !newDay && belongsTo(this.#last, entry));
    const copy = element.querySelector(".copy");
    copy?.addEventListener("click", async () => {
      const copied = await this.#on.copy(entry.body);
      copy.textContent = copied ? "Copied" : "Not copied";
      setTimeout(() => (copy.textContent = "Copy"), COPIED_MS);
    });
    this.#last = entry;
    const via = element.querySelector(".via");
    if (entry.kind === "in") {
      const name = element.querySelector(".name");
      name.textContent = model.names.of(entry.from);
      name.title = entry.from;
      element.classList.add(`hue-${model.names.hueOf(entry.from)}`);
      via.textContent = `${entry.alone ? "to you alone, " : ""}${entry.path === "direct" ? "direct" : "via relay"}`;
    } else if (entry.kind === "out") {
      via.textContent = entry.to ? `to ${model.names.of(entry.to)} only` : "to everyone";
    }
    this.#fill(element, entry);
    return element;
  }

  /** Writes the parts of an entry that may change. */
  #fill(element, entry) {
    const time = element.querySelector("time");
    const at = new Date(entry.at);
    time.dateTime = at.toISOString();
    time.textContent = clock.format(at);
    const body = element.querySelector(".body");
    if (entry.kind === "note") {
      body.textContent = entry.body;
      body.title = entry.detail ?? "";
      element.classList.toggle("bad", entry.tone === "bad");
      return;
    }
    if (!body.firstChild) this.#fillBody(element, body, entry);
    if (entry.kind === "out") this.#fillDelivery(element, entry);
  }

  #fillBody(element, body, entry) {
    const short = shortened(entry.body);
    write(body, short === undefined ? entry.body : `${short}…`);
    if (short === undefined) return;
    const button = element.ownerDocument.createElement("button");
    const label = `Show all (${size(byteLength(entry.body))})`;
    button.type = "button";
    button.className = "more";
    button.textContent = label;
    button.addEventListener("click", () => {
      const open = element.classList.toggle("open");
      write(body, open ? entry.body : `${short}…`);
      button.textContent = open ? "Show less" : label;
    });
    body.after(button);
  }

  #fillDelivery(element, entry) {
    const { state, text } = progress(entry, (peer) => this.#model.names.of(peer));
    element.dataset.state = state;
    element.querySelector(".tick").textContent = TICKS[state];
    element.querySelector(".state").textContent = text;
    const old = element.querySelector(".retry");
    if (state !== "failed") return old?.remove();
    if (old) return;
    const button = element.ownerDocument.createElement("button");
    button.type = "button";
    button.className = "retry";
    button.textContent = "Send again";
    button.addEventListener("click", () => this.#on.retry(entry));
    element.querySelector(".delivery").append(button);
  }
}

/** Writes a message's text: links can be followed, and code has its own letters. */
function write(body, text) {
  const { ownerDocument: document } = body;
  body.replaceChildren(...parts(text).map(({ kind, text: part }) => {
    if (kind === "text") return part;
    const element = document.createElement(kind === "code" ? "code" : "a");
    element.textContent = part;
    if (kind === "link") Object.assign(element, { href: part, target: "_blank", rel: "noopener noreferrer" });
    return element;
  }));
}

/** Whether an entry goes under the heading of the one before it. */
function belongsTo(last, entry) {
  return last !== undefined && last.kind === entry.kind && entry.kind !== "note" && last.from === entry.from
    && last.to === entry.to && last.alone === entry.alone && last.path === entry.path && entry.at - last.at < GROUP_MS;
}
