// Reads a typed line by the terminal's rules, which are in shared/src/command.rs. That parser would cost every tab a
// download; this one is kept like it by tests/cases/commands.json. Two things differ: a tab is left by closing it, so
// that there is no /quit, and whether an address is one is left to the package, which has a parser for it.

import { trimEnd } from "./text.js";

const WHITE_SPACE = /\p{White_Space}/u;
const LINE_ENDS = /[\r\n]/;

export const HELP = `Enter sends, Shift+Enter begins a new line.
/to PEER TEXT – to one peer: its name, its id, or the end of it
/dial ADDR – dial another peer
/peers – who is here
/block PEER – nothing more from them, and nothing to them; /unblock PEER
/name NAME – what others read of you
/addresses – where others can dial you
/help – this
//TEXT – a line that begins with a slash`;

/**
 * Throws an Error that says what is wrong with the line; its `kind` says it to a program.
 * @returns {{command: "broadcast", body: string} | {command: "send", to: string, body: string}
 *   | {command: "block" | "unblock", peer: string} | {command: "dial", address: string} | {command: "peers"} | {command: "help"}}
 */
export function parse(typed) {
  const line = trimEnd(typed, LINE_ENDS);
  if (!trim(line)) throw fault("empty", "There is nothing to send.");
  if (!line.startsWith("/")) return { command: "broadcast", body: line };
  if (line.startsWith("//")) return { command: "broadcast", body: line.slice(1) };
  const [word, rest] = split(line);
  switch (word) {
    case "/to":
      return toOne(rest);
    case "/dial":
      if (!rest) throw fault("usage", "Usage: /dial ADDR");
      return { command: "dial", address: rest };
    case "/peers":
      return { command: "peers" };
    case "/name":
      if (!rest) throw fault("usage", "Usage: /name NAME");
      return { command: "name", name: rest };
    case "/block":
    case "/unblock":
      return { command: word.slice(1), peer: named(word, rest) };
    case "/addresses":
      return { command: "addresses" };
    case "/help":
      return { command: "help" };
    default:
      throw fault("unknown", `No such command: ${word.slice(0, 40)}. /help lists them; a line that starts with // is sent with one slash.`);
  }
}

/** A name with blanks stands between double quotes. */
function addressee(rest) {
  const end = rest.startsWith('"') ? rest.indexOf('"', 1) : -1;
  return end < 0 ? split(rest) : [rest.slice(1, end), trim(rest.slice(end + 1))];
}

function toOne(rest) {
  const [to, body] = addressee(rest);
  if (!body) throw fault("usage", "Usage: /to PEER TEXT");
  return { command: "send", to, body };
}

/** A peer, whose name may stand between double quotes here too. */
function named(word, rest) {
  const quoted = rest.length > 1 && rest.startsWith('"') && rest.endsWith('"');
  const peer = quoted ? rest.slice(1, -1) : rest;
  if (!trim(peer)) throw fault("usage", `Usage: ${word} PEER`);
  return peer;
}

/** @param {"empty" | "unknown" | "usage"} kind */
function fault(kind, message) {
  return Object.assign(new Error(message), { kind });
}

/** The first word, and what follows it. */
function split(text) {
  const end = text.search(WHITE_SPACE);
  return end < 0 ? [text, ""] : [text.slice(0, end), trim(text.slice(end))];
}

/** As Rust's `trim`, which takes other characters for white space than JavaScript's. */
function trim(text) {
  const start = text.search(/\P{White_Space}/u);
  return start < 0 ? "" : trimEnd(text.slice(start), WHITE_SPACE);
}
