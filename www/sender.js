// Does what a typed line asks for: a command, or a message to one peer or to all.

import { HELP, parse } from "./command.js";
import { facts, whyRelayed } from "./peers.js";
import { MAX_BODY_BYTES, byteLength, oneLine, size } from "./text.js";

const LEFT = "Not sent: this tab left the room.";

/**
 * @param {import("./model.js").Model} model
 * @param {{peer(): object | undefined, now(): number, rename(name: string): void, address(): string}} page `peer`
 *   returns the peer that runs, if one does; `address` says how others reach it
 */
export function createSender(model, page) {
  /** Does what a line asks for; `to` is the chosen peer, if there is one. Rejects with an Error for the person. */
  async function submit(line, to) {
    const command = parse(line);
    if (command.command === "help") return model.note(HELP, page.now());
    if (command.command === "addresses") return model.note(page.address(), page.now());
    const peer = page.peer();
    if (!peer) throw new Error("Not sent: this tab is not connected yet.");
    switch (command.command) {
      case "peers":
        model.setConnections(await peer.connections());
        return model.note(table(model), page.now());
      case "dial":
        await peer.dial(command.address);
        return model.note(`Dialling ${oneLine(command.address)}`, page.now());
      case "block":
        return block(peer, model.names.find(command.peer, [...model.peers.keys()]));
      case "unblock":
        return unblock(peer, model.names.find(command.peer, [...model.blocked]));
      case "name":
        return page.rename(command.name);
      case "send":
        return send(peer, command.body, model.names.find(command.to, [...model.peers.keys()]));
      case "broadcast":
        return send(peer, command.body, to);
      default:
        throw new Error(`Not sent: nothing is known of ${command.command}.`);
    }
  }

  async function send(peer, body, to) {
    const bytes = byteLength(body);
    if (bytes > MAX_BODY_BYTES) {
      throw new Error(`Not sent: the message has ${size(bytes)}; at most ${size(MAX_BODY_BYTES)} are allowed.`);
    }
    const sent = to ? [{ to, id: await peer.send(to, body) }] : await peer.broadcast(body);
    // The peer has been stopped meanwhile, and another one knows nothing of its ids.
    if (page.peer() !== peer) throw new Error(LEFT);
    if (!sent.length) throw Object.assign(new Error("Not sent: nobody else is here yet."), { kind: "alone" });
    model.sent(body, sent, page.now(), to);
  }

  async function block(peer, id) {
    await peer.block(id);
    model.block(id);
    model.note(`${model.names.of(id)} is blocked until you leave, or type /unblock`, page.now());
  }

  async function unblock(peer, id) {
    await peer.unblock(id);
    model.blocked.delete(id);
    model.note(`${model.names.of(id)} is no longer blocked`, page.now());
  }

  /** Sends the failed copies of a message again. */
  async function retry(entry) {
    const failed = entry.copies.filter(({ state }) => state === "failed");
    // All are marked before the first is sent, so that a second click finds none that failed.
    for (const copy of failed) model.sentAgain(entry, copy);
    for (const copy of failed) {
      const peer = page.peer();
      try {
        if (!peer) throw new Error("this tab is not connected");
        const id = await peer.send(copy.to, entry.body, entry.alone ? "private" : "room");
        if (page.peer() !== peer) throw new Error(LEFT);
        model.sentAgain(entry, copy, id);
      } catch (error) {
        model.notSent(entry, copy, error.message);
      }
    }
  }

  return { submit, retry };
}

function table(model) {
  const rows = [...model.peers.values()].map((peer) =>
    [model.names.of(peer.id), facts(peer), peer.id, whyRelayed(peer)].filter(Boolean).join(" · "));
  return rows.length ? rows.join("\n") : "Nobody else is here yet.";
}
