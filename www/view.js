// The page's DOM: shows a model and a status, and passes on what a person does. It knows no peer.

import { Conversation } from "./conversation.js";
import { Peers, facts } from "./peers.js";
import { setUpInvite } from "./invite.js";
import { oneLine } from "./text.js";

/** The message field grows with its text up to this part of the window's height. */
const MAX_FIELD = 0.35;

/**
 * @param {Document} document
 * @param {object} on submit(text, to), select(), action(name), place({room, relay, name}), newIdentity(),
 *   retry(entry), copy(field), copyText(text), qr(text)
 */
export function createView(document, on) {
  const byId = (id) => document.getElementById(id);
  const peers = new Peers(document, ({ byPointer }) => {
    composer.open(peers.selected);
    if (byPointer) composer.focus();
    on.select();
  });
  const log = new Conversation(document, { retry: (entry) => on.retry(entry), copy: (text) => on.copyText(text) });
  const composer = setUpComposer(document, (text) => on.submit(text, peers.selected));
  catchFiles(document, () => composer.hint("Files cannot be sent yet: only text."));
  const copyCommand = byId("copy-terminal");
  copyCommand.addEventListener("click", async () => {
    copyCommand.textContent = (await on.copyText(byId("invite-terminal").textContent)) ? "Copied" : "Not copied";
  });
  const invites = ["empty-invite", "dialog-invite"].map((id) => invitePanel(byId(id), byId("invite-template"), on));
  const settings = setUpDialogs(document, on);
  const card = new Card(byId("card"), on.action);

  function renderStatus(status) {
    byId("status-text").closest(".status").dataset.tone = status.tone;
    setText(byId("status-text"), status.text);
    setText(byId("status-countdown"), status.countdown ?? "");
    setText(byId("status-detail"), status.detail ?? "");
    byId("status-detail").hidden = !status.detail;
  }

  function renderHeading(model, app) {
    const peer = peers.selected && (model.peers.get(peers.selected) ?? { id: peers.selected, gone: true });
    const name = peer && model.names.of(peer.id);
    byId("heading").classList.toggle("one", Boolean(peer));
    setText(byId("with"), peer ? name : "Everyone");
    const address = peer?.address ? ` · ${oneLine(peer.address, 200)}` : "";
    setText(byId("with-facts"), peer ? `${facts(peer)} · ${peer.id}${address}` : "What is said in this room, and what you say to all.");
    setText(byId("to"), peer ? `Only to ${name}` : "To everyone in the room");
    composer.placeholder(peer ? `Message ${name}` : "Message everyone");
    setText(byId("room-name"), oneLine(app.room, 60));
    byId("you").hidden = !model.peerId;
    setText(byId("you").querySelector(".name"), model.peerId && model.names.of(model.peerId));
    byId("you").title = model.peerId;
    setText(byId("identity-id"), model.peerId);
    setText(byId("identity-facts"), app.identityNote);
  }

  /** While nothing has been said, this stands in place of the conversation and says what to do. */
  function renderEmpty(model, app, hasCard) {
    const alone = model.peers.size === 0;
    const empty = byId("empty");
    empty.hidden = hasCard || app.phase !== "running" || model.entries.length > 0;
    byId("log").classList.toggle("vacant", hasCard || !empty.hidden);
    if (empty.hidden) return;
    setText(empty.querySelector("h2"), alone ? "Nobody else is here yet" : "Say hello");
    setText(empty.querySelector("p"), alone
      ? "Send this link to somebody, or scan it with a phone. Whoever opens it meets you here. Between two browsers messages pass through the relay, which cannot read them."
      : "What you type goes to everyone in the room. Choose a peer to write to that one only.");
    byId("empty-invite").hidden = !alone;
  }

  return {
    composer,
    settings,
    selectEveryone() {
      peers.selectEveryone();
      composer.open("");
    },
    /** Whose conversation is shown; "" for everyone's. */
    selected: () => peers.selected,
    render(model, status, app) {
      renderStatus(status);
      peers.render(model);
      renderHeading(model, app);
      // A card would cover the conversation, so it is shown only when there is something to decide.
      const urgent = status.card && (app.phase !== "lost" || !model.entries.length);
      card.show(urgent ? status.card : undefined);
      renderEmpty(model, app, Boolean(urgent));
      log.render(model, peers.selected);
      if (app.invite) for (const show of invites) show(app.invite);
      setText(byId("invite-terminal"), app.terminal);
    },
    /** Shows a notice until a person closes it. */
    notice(text) {
      byId("notices").replaceChildren();
      if (!text) return;
      const box = document.createElement("p");
      const close = document.createElement("button");
      close.type = "button";
      close.textContent = "Close";
      close.addEventListener("click", () => box.remove());
      box.append(text, " ", close);
      byId("notices").append(box);
    },
  };
}

function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function invitePanel(place, template, on) {
  const panel = template.content.firstElementChild.cloneNode(true);
  place.append(panel);
  return setUpInvite(panel, on);
}

/** Conversations whose draft is kept. */
const MAX_DRAFTS = 256;
/** What input methods report in place of a key, even where `isComposing` is false by then, as in Safari. */
const COMPOSING_KEY = 229;

/** Sets up the field and its button: Enter sends, Shift+Enter begins a new line. Each conversation has a draft. */
function setUpComposer(document, submit) {
  const [form, field, hint] = ["composer", "message", "hint"].map((id) => document.getElementById(id));
  const drafts = new Map();
  let conversation = "";
  let hintKind;

  function grow() {
    field.style.height = "auto";
    field.style.height = `${Math.min(field.scrollHeight + 2, document.defaultView.innerHeight * MAX_FIELD)}px`;
  }
  function write(text) {
    field.value = text;
    grow();
  }
  function showHint(text, kind) {
    hint.textContent = text;
    hintKind = kind;
  }
  function send() {
    const text = field.value;
    showHint("");
    write("");
    submit(text);
  }
  field.addEventListener("input", grow);
  field.addEventListener("keydown", (event) => {
    // While an input method composes a word, Enter belongs to it.
    if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === COMPOSING_KEY) return;
    event.preventDefault();
    send();
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    send();
    field.focus();
  });

  return {
    /** Shows a hint; one of a kind goes by itself when it does not hold any more. */
    hint: showHint,
    forget(kind) {
      if (kind && hintKind === kind) showHint("");
    },
    /** Another conversation is shown: what was being written stays with the one that it was for. */
    open(other) {
      if (other !== conversation) {
        if (field.value) drafts.set(conversation, field.value);
        else drafts.delete(conversation);
        if (drafts.size > MAX_DRAFTS) drafts.delete(drafts.keys().next().value);
        conversation = other;
        showHint("");
        write(drafts.get(other) ?? "");
      }
    },
    /** Puts a text that could not be sent back where it was written, unless another one has been begun there. */
    giveBack(text, to = "") {
      if (to === conversation && !field.value) write(text);
      else if (to !== conversation && !drafts.has(to)) drafts.set(to, text);
    },
    placeholder(text) {
      if (field.placeholder !== text) field.placeholder = text;
    },
    focus: focusField,
  };

  /** Not on a screen without a keyboard: one would cover the half of it. */
  function focusField() {
    if (!document.defaultView.matchMedia?.("(pointer: coarse)").matches) field.focus();
  }
}

/** A file that is dropped or pasted would replace the page, or vanish without a word. */
function catchFiles(document, refuse) {
  const hasFiles = (data) => Array.from(data?.types ?? []).includes("Files");
  document.addEventListener("dragover", (event) => hasFiles(event.dataTransfer) && event.preventDefault());
  document.addEventListener("drop", (event) => {
    if (!hasFiles(event.dataTransfer)) return;
    event.preventDefault();
    refuse();
  });
  document.addEventListener("paste", (event) => {
    const { clipboardData: data } = event;
    if (!hasFiles(data) || data.getData("text/plain")) return;
    event.preventDefault();
    refuse();
  });
}

function setUpDialogs(document, on) {
  const byId = (id) => document.getElementById(id);
  const [settings, confirm] = [byId("settings"), byId("confirm")];
  const fields = byId("place").elements;

  const open = ({ room, relay, name = "", fault = "" }) => {
    fields.name.value = name;
    fields.room.value = room;
    fields.relay.value = relay;
    byId("place-fault").textContent = fault;
    if (!settings.open) settings.showModal();
  };
  byId("open-invite").addEventListener("click", () => byId("invite").showModal());
  byId("open-settings").addEventListener("click", () => on.action("settings"));
  byId("place").addEventListener("submit", (event) => {
    event.preventDefault();
    const fault = on.place({ room: fields.room.value, relay: fields.relay.value.trim(), name: fields.name.value.trim() });
    byId("place-fault").textContent = fault ?? "";
    if (!fault) settings.close();
  });
  byId("new-identity").addEventListener("click", () => {
    confirm.returnValue = "";
    confirm.showModal();
  });
  confirm.addEventListener("close", () => {
    if (confirm.returnValue !== "ok") return;
    settings.close();
    on.newIdentity();
  });
  return { open };
}

/** A heading, a text and buttons in place of an empty conversation, when there is something to decide. */
class Card {
  #root;
  #onAction;
  #shown = "";

  constructor(root, onAction) {
    this.#root = root;
    this.#onAction = onAction;
  }

  show(card) {
    const key = JSON.stringify(card ?? "");
    if (key === this.#shown) return;
    this.#shown = key;
    this.#root.hidden = !card;
    if (!card) return;
    this.#root.querySelector("h2").textContent = card.title;
    this.#root.querySelector("p").textContent = card.text;
    this.#root.querySelector("pre").hidden = !card.command;
    this.#root.querySelector("code").textContent = card.command ?? "";
    this.#root.querySelector(".buttons").replaceChildren(...card.actions.map((action, at) => this.#button(action, at)));
  }

  #button([name, label], at) {
    const button = this.#root.ownerDocument.createElement("button");
    button.type = "button";
    button.className = at === 0 ? "primary" : "";
    button.textContent = label;
    button.addEventListener("click", () => this.#onAction(name));
    return button;
  }
}
