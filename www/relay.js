// Where the relay is: from what a person types, or from what the relay itself serves at /bootstrap.json.

import { DEFAULT_ROOM } from "./place.js";
import { oneLine, trimEnd } from "./text.js";

/** A relay that takes longer to serve /bootstrap.json counts as absent. */
const FETCH_TIMEOUT_MS = 10_000;
/** A bootstrap.json has some hundred bytes; a longer file is something else. */
const MAX_BOOTSTRAP_CHARS = 64 * 1024;
/** Addresses that are read; no relay has as many. */
const MAX_ADDRESSES = 32;

const SLASH = /\//;
/** Leads to this machine, or means another one on each link. */
const LOCAL_IP = /^(127\.|169\.254\.|0\.0\.0\.0$|::1?$|fe[89ab])/;

/**
 * Finds the relay's addresses.
 * @param {string | undefined} typed a multiaddr, a URL or a host; if nothing, the relay that served the page
 * @param {URL} page where the page is from
 * @returns {Promise<{relays: string[], room: string, all: string[], ice: RTCIceServer[]}>} `ice`: the relay itself, which tells a
 *   peer where others can reach it over WebRTC
 */
export async function locate(typed, page, fetch = globalThis.fetch) {
  const text = typed?.trim();
  const secure = page.protocol === "https:";
  if (text?.startsWith("/")) {
    return { relays: dialable([text], secure), room: DEFAULT_ROOM, all: [text], ice: [] };
  }
  const url = bootstrapUrl(text, page);
  const { addresses, namespace, stun } = await bootstrap(url, fetch);
  return { relays: near(dialable(addresses, secure), url.hostname), room: namespace || DEFAULT_ROOM, all: addresses, ice: iceServers(url.hostname, addresses, stun) };
}

function bootstrapUrl(text, page) {
  if (!text) return new URL("bootstrap.json", page);
  const withScheme = /^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text : `${page.protocol}//${text}`;
  let url;
  try {
    url = new URL(withScheme);
  } catch {
    throw new Error(`“${oneLine(text, 80)}” is neither a multiaddr nor a URL. One looks like http://192.0.2.7:45680`);
  }
  if (url.protocol !== "http:" && url.protocol !== "https:") {
    throw new Error("A relay's URL begins with http:// or https://; a multiaddr begins with a slash.");
  }
  if (page.protocol === "https:" && url.protocol === "http:") {
    throw new Error("This page was loaded over https, so it may not ask an http URL. Open the relay's own page, or use its https URL.");
  }
  return url.pathname.endsWith("/bootstrap.json") ? url : new URL("bootstrap.json", `${url.origin}${trimEnd(url.pathname, SLASH)}/`);
}

async function bootstrap(url, fetch) {
  let response;
  let text;
  try {
    response = await fetch(url.href, { cache: "no-store", signal: AbortSignal.timeout(FETCH_TIMEOUT_MS) });
    text = await response.text();
  } catch (error) {
    const why = error?.name === "TimeoutError" ? "it does not answer" : "it cannot be reached";
    throw new Error(`No relay at ${url.host}: ${why}. Is it running, and is the address right?`);
  }
  if (!response.ok) {
    throw new Error(`${url.host} is no relay: it has no /bootstrap.json (HTTP ${response.status}).`);
  }
  const served = text.length <= MAX_BOOTSTRAP_CHARS ? read(text) : undefined;
  if (!served) throw new Error(`${url.host} is no relay: what it serves at /bootstrap.json lists no addresses.`);
  return served;
}

function read(text) {
  try {
    const { addresses, namespace, stun_ports: ports } = JSON.parse(text);
    const usable = addresses.filter((address) => typeof address === "string" && address.startsWith("/"));
    return { addresses: usable.slice(0, MAX_ADDRESSES), namespace: typeof namespace === "string" ? namespace : "", stun: stunPorts(ports) };
  } catch {
    return undefined;
  }
}

/**
 * The relay's STUN servers: at the host that has just answered, and at one address of each family that it lists. A page that
 * was opened at localhost, or over IPv4, learns of its other addresses only there.
 */
function iceServers(hostname, addresses, ports) {
  const ip = (pattern, write) => addresses.map((address) => address.match(pattern)?.[1]).filter((found) => found && !LOCAL_IP.test(found)).slice(0, 1).map(write);
  const hosts = new Set([hostname, ...ip(/^\/ip4\/([0-9.]+)\//, (found) => found), ...ip(/^\/ip6\/([0-9a-f:.]+)\//, (found) => `[${found}]`)]);
  return ports.flatMap((port) => [...hosts].map((host) => ({ urls: `stun:${host}:${port}` })));
}

/** One port says where a browser can be reached. The others are for whoever wants to know what kind of NAT it is behind. */
function stunPorts(ports) {
  const isPort = (port) => Number.isInteger(port) && port > 0 && port < 65_536;
  return Array.isArray(ports) ? ports.filter(isPort).slice(0, 1) : [];
}

/** The addresses that a browser can dial. Throws an Error that says why there are none. */
export function dialable(addresses, secure) {
  const usable = addresses.filter((address) => canDial(address, secure));
  if (usable.length) return usable;
  const listed = addresses.map((address) => oneLine(address, 120)).join(", ");
  if (secure && addresses.some((address) => canDial(address, false))) {
    throw new Error(`This page was loaded over https, so it may only dial wss or webrtc-direct. The relay has ${listed}`);
  }
  if (!listed) throw new Error("The relay lists no addresses. It may still be starting.");
  throw new Error(`A browser cannot dial ${listed}: it needs an address with /ws, /wss or /webrtc-direct. A relay's /ws port is usually the one after its TCP port.`);
}

/**
 * The relay's addresses at the host of its URL, which has just answered. A relay lists every network of its machine; a
 * browser that dialled them all would ask for permission to look into the local network, and meet strangers at 127.0.0.1.
 */
function near(addresses, host) {
  const same = addresses.filter((address) => sameHost(address.split("/")[2], host));
  if (same.length) return same;
  const elsewhere = addresses.filter((address) => !isLoopback(address.split("/")[2]));
  return elsewhere.length ? elsewhere : addresses;
}

function sameHost(listed, host) {
  return listed === host.replace(/^\[|\]$/g, "") || (host === "localhost" && isLoopback(listed));
}

function canDial(address, secure) {
  const parts = address.split("/");
  if (parts.includes("p2p-circuit")) return false;
  if (parts.includes("webrtc-direct") || parts.includes("wss")) return true;
  return parts.includes("ws") && (parts.includes("tls") || !secure);
}

/** Whether a host, of a URL or a multiaddr, is this very machine. */
export function isLoopback(host) {
  return ["localhost", "[::1]", "::1", "0.0.0.0"].includes(host) || host.startsWith("127.");
}
