// Which room at which relay: what the page's URL says, and what a room may be called.

import { byteLength } from "./text.js";

/** The room when nobody names one, as everywhere. */
export const DEFAULT_ROOM = "rendezvous";
/** The rendezvous protocol allows no longer namespace, and a room is one. */
export const MAX_ROOM_BYTES = 255;

/** A room's name as everybody writes it: in Normalization Form C, without blanks around it. */
export function roomName(text) {
  return text.normalize("NFC").trim();
}

/**
 * The room and relay that a URL names: `#room=…&relay=…`, or `#ROOM` alone; `?relay=…` works too. Percent signs are
 * decoded and nothing else, as in the terminal (tests/cases/links.json): `+` is a plus.
 */
export function fromUrl(href) {
  const url = new URL(href);
  const named = fragment(url);
  const get = (key) => named.get(key) || url.searchParams.get(key) || undefined;
  return { room: roomName(get("room") ?? "") || undefined, relay: get("relay") };
}

function fragment(url) {
  const named = new Map();
  for (const part of url.hash.slice(1).split("&")) {
    const at = part.indexOf("=");
    if (at >= 0) named.set(part.slice(0, at), decoded(part.slice(at + 1)));
    else if (part) named.set("room", decoded(part));
  }
  return named;
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** The same URL with another room and relay; what is `undefined` is left out. */
export function toUrl(href, { room, relay }) {
  const url = new URL(href);
  const named = fragment(url);
  for (const [key, value] of [["room", room], ["relay", relay]]) {
    url.searchParams.delete(key);
    if (value) named.set(key, value);
    else named.delete(key);
  }
  // Multiaddrs and most names are easier to read, and to copy, like this.
  const readable = (text) => encodeURIComponent(text).replaceAll("%2F", "/").replaceAll("%3A", ":");
  url.hash = [...named].map(([key, value]) => `${key}=${readable(value)}`).join("&");
  return url.href;
}

/** Why a room cannot have this name, if it cannot. */
export function roomFault(name) {
  const bytes = byteLength(name);
  if (bytes === 0) return "A room needs a name.";
  if (bytes > MAX_ROOM_BYTES) return `A room's name has at most ${MAX_ROOM_BYTES} bytes; this one has ${bytes}.`;
  return undefined;
}
