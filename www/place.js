// Which room at which relay: what the page's URL says, and what a room may be called.

import { byteLength } from "./text.js";

/** The room when nobody names one, as everywhere. */
export const DEFAULT_ROOM = "rendezvous";
/** The rendezvous protocol allows no longer namespace, and a room is one. */
export const MAX_ROOM_BYTES = 255;

/** The room and relay that a URL names: `#room=…&relay=…`; `?relay=…` works too. */
export function fromUrl(href) {
  const url = new URL(href);
  const hash = new URLSearchParams(url.hash.slice(1));
  const get = (key) => hash.get(key) || url.searchParams.get(key) || undefined;
  return { room: get("room"), relay: get("relay") };
}

/** The same URL with another room and relay; what is `undefined` is left out. */
export function toUrl(href, { room, relay }) {
  const url = new URL(href);
  const hash = new URLSearchParams(url.hash.slice(1));
  for (const [key, value] of [["room", room], ["relay", relay]]) {
    url.searchParams.delete(key);
    if (value) hash.set(key, value);
    else hash.delete(key);
  }
  // Multiaddrs and most names are easier to read, and to copy, like this; `+` would be a space.
  url.hash = hash.toString().replaceAll("%2F", "/").replaceAll("%3A", ":").replaceAll("+", "%20");
  return url.href;
}

/** Why a room cannot have this name, if it cannot. */
export function roomFault(name) {
  const bytes = byteLength(name);
  if (bytes === 0) return "A room needs a name.";
  if (bytes > MAX_ROOM_BYTES) return `A room's name has at most ${MAX_ROOM_BYTES} bytes; this one has ${bytes}.`;
  return undefined;
}
