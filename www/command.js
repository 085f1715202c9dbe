// What a typed line asks for: the terminal's commands, as far as a page has use for them.

export const HELP = `Enter sends, Shift+Enter begins a new line.
/to PEER TEXT – only that peer gets it; the end of its id is enough
/dial ADDRESS – dial another peer
/peers – who is here
/help – this
//text – a line that begins with a slash`;

/**
 * Reads a line. Throws an Error that says what is wrong with it.
 * @returns {{kind: "send", body: string} | {kind: "to", to: string, body: string}
 *   | {kind: "dial", address: string} | {kind: "peers"} | {kind: "help"}}
 */
export function parse(line) {
  if (!line.startsWith("/")) return { kind: "send", body: line };
  if (line.startsWith("//")) return { kind: "send", body: line.slice(1) };
  const [, word, rest] = /^(\S+)\s*([^]*)$/.exec(line);
  switch (word) {
    case "/peers":
      return { kind: "peers" };
    case "/help":
      return { kind: "help" };
    case "/dial":
      if (!rest.trim()) throw new Error("Usage: /dial ADDRESS");
      return { kind: "dial", address: rest.trim() };
    case "/to": {
      const match = /^(\S+)\s+([^]+)$/.exec(rest);
      if (!match) throw new Error("Usage: /to PEER TEXT");
      return { kind: "to", to: match[1], body: match[2] };
    }
    default:
      throw new Error(`No such command: ${word.slice(0, 40)}. /help lists them; a line that starts with // is sent with one slash.`);
  }
}
