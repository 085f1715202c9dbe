// Text from elsewhere, made fit to be shown; its length and its end; figures in words.

/** The largest message, everywhere: tests/cases/limits.json. */
export const MAX_BODY_BYTES = 64 * 1024;
/** A body longer than this is shown shortened: more than a person types. */
export const SHORT_CHARS = 1200;
/** A body with more lines than this is shown shortened, for empty lines take room too. */
export const SHORT_LINES = 16;
/** Remote text in one line, such as a reason, is cut here. */
const ONE_LINE_CHARS = 300;

// Control characters, and those that turn the direction of the text around them or can't be seen.
const CONTROLS = /[\p{Cc}\u2028\u2029]+/gu;
const INVISIBLE = /[\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff]/gu;
const BODY_CONTROLS = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/gu;

/** Remote text for one line: no control characters, no turned direction, not too long. */
export function oneLine(text, limit = ONE_LINE_CHARS) {
  const clean = String(text).slice(0, limit * 4).replace(CONTROLS, " ").replace(INVISIBLE, "").trim();
  return clean.length > limit ? `${cut(clean, limit)}…` : clean;
}

/** A message's text: line breaks and tabs stay, other control characters can be seen. */
export function cleanBody(text) {
  return text.replace(/\r\n?/g, "\n").replace(BODY_CONTROLS, "\ufffd");
}

/** What of a long body is shown at first; `undefined` when it is short. */
export function shortened(text) {
  let end = Math.min(text.length, SHORT_CHARS);
  let at = -1;
  for (let line = 0; line < SHORT_LINES; line += 1) {
    at = text.indexOf("\n", at + 1);
    if (at < 0 || at >= end) break;
    if (line === SHORT_LINES - 1) end = at;
  }
  return end < text.length ? cut(text, end) : undefined;
}

/** Never half of a surrogate pair. */
function cut(text, end) {
  const code = text.charCodeAt(end - 1);
  return text.slice(0, code >= 0xd800 && code <= 0xdbff ? end - 1 : end);
}

/**
 * The text without the characters of a kind at its end. A pattern such as /\s+$/ would stop the page for seconds when
 * a pasted text has many of them in its middle.
 * @param {RegExp} kind fits one character, and is not global
 */
export function trimEnd(text, kind) {
  let end = text.length;
  while (end > 0 && kind.test(text[end - 1])) end -= 1;
  return text.slice(0, end);
}

export function byteLength(text) {
  return new TextEncoder().encode(text).length;
}

/** 1536 → "1.5 KiB" */
export function size(bytes) {
  return bytes < 1024 ? `${bytes} bytes` : `${Math.round(bytes / 102.4) / 10} KiB`;
}

export function milliseconds(ms) {
  if (ms < 10) return `${ms.toFixed(1)} ms`;
  return ms < 10_000 ? `${Math.round(ms)} ms` : `${Math.round(ms / 1000)} s`;
}

export function plural(count, one, many = `${one}s`) {
  return `${count} ${count === 1 ? one : many}`;
}
