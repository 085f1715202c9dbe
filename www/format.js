// What of a message is a link or code. One pass over the text, whatever it holds: no pattern here looks back.

const FENCE = "```";
const LINK = /\bhttps?:\/\//g;
const LINK_END = /[\s<>"'`]/;
/** Stands after a link more often than in it. */
const TRAILING = /[.,;:!?)\]}]/;
/** More links than anybody writes; the rest stays text. */
const MAX_LINKS = 100;

/**
 * @returns {{kind: "text" | "code" | "link", text: string}[]} the parts, which are together the text, but for the
 *   backticks around code
 */
export function parts(text) {
  const found = [];
  const pieces = text.split(FENCE);
  // A fence that is not closed is text.
  const closed = pieces.length % 2 === 1 ? pieces.length : pieces.length - 1;
  pieces.forEach((piece, at) => {
    if (at >= closed) addText(found, FENCE + piece);
    else if (at % 2 === 1) found.push({ kind: "code", text: piece.replace(/^\w*\n/, "").replace(/\n$/, "") });
    else addText(found, piece);
  });
  return found;
}

function addText(found, text) {
  let from = 0;
  let links = 0;
  LINK.lastIndex = 0;
  for (let match; links < MAX_LINKS && (match = LINK.exec(text)); ) {
    const end = endOf(text, LINK.lastIndex);
    const href = text.slice(match.index, end);
    if (end > LINK.lastIndex && isUrl(href)) {
      push(found, text.slice(from, match.index));
      found.push({ kind: "link", text: href });
      links += 1;
      from = end;
    }
    LINK.lastIndex = Math.max(end, LINK.lastIndex);
  }
  push(found, text.slice(from));
}

function endOf(text, from) {
  let end = from;
  while (end < text.length && !LINK_END.test(text[end])) end += 1;
  while (end > from && TRAILING.test(text[end - 1])) end -= 1;
  return end;
}

function isUrl(text) {
  try {
    return ["http:", "https:"].includes(new URL(text).protocol);
  } catch {
    return false;
  }
}

function push(found, text) {
  if (text) found.push({ kind: "text", text });
}
