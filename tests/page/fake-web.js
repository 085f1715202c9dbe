// A stand-in for the package `web`, without a network: for tests of the page, in node and in a browser. A test drives
// `Peer.last`, the peer that the page has started last.

export default async function init() {}

export class Peer {
  static last;
  static started = [];
  /** What the next start fails with, and what peers first say about their relays: set by a test. */
  static nextError;
  static initialRelays = [{ peer: "12D3KooWRelay", addresses: ["/ip4/127.0.0.1/tcp/45679/ws"], state: "online" }];

  static async start(config = {}) {
    const error = Peer.nextError;
    Peer.nextError = undefined;
    if (error) throw error;
    const peer = new Peer(config);
    Peer.last = peer;
    Peer.started.push(peer);
    return peer;
  }

  calls = [];
  peers = [];
  relayList = structuredClone(Peer.initialRelays);
  stopped = false;
  #key;
  #events;
  #ids = 0;

  constructor(config) {
    this.config = config;
    this.#key = config.identity ?? crypto.getRandomValues(new Uint8Array(36));
    this.peerId = `12D3KooW${[...this.#key.slice(0, 22)].map((byte) => "ABCDEFGHJKLMNPQRSTUVWXYZabcdefgh"[byte % 32]).join("")}`;
    this.stream = new ReadableStream({ start: (controller) => (this.#events = controller) }, { highWaterMark: 1e6 });
    this.name = config.name || `words-of-${this.peerId.slice(-4)}`;
    this.emit({ event: "started", peer_id: this.peerId, name: this.name });
  }

  /** For the test: emits an event. */
  emit(event) {
    this.#events.enqueue(event);
  }

  /** For the test: another peer comes. */
  join(peer, { name = "frosty-owl", in_room = true, path = "direct", transport = "webrtc", rtt_ms = 12, address = "/ip4/192.0.2.9/udp/4001/webrtc-direct", code, reason } = {}) {
    this.peers.push({ peer, name, in_room, path, transport, address, rtt_ms, unacked: 0, code, reason });
    this.emit({ event: "connected", peer, name, in_room, path, transport, address });
  }

  events() {
    return this.stream;
  }

  setName(name) {
    if (/[\u0000-\u001f]/.test(name)) throw new Error("name: a name has no control characters and no line breaks");
    this.calls.push(["setName", name]);
    this.name = name;
    this.emit({ event: "renamed", peer: this.peerId, name });
  }

  async send(to, text, scope = "private") {
    this.calls.push(scope === "private" ? ["send", to, text] : ["send", to, text, scope]);
    if (this.sendError) throw this.sendError;
    this.#ids += 1;
    return this.#ids;
  }

  async broadcast(text) {
    this.calls.push(["broadcast", text]);
    return this.peers.filter(({ in_room }) => in_room).map(({ peer }) => ({ to: peer, id: (this.#ids += 1) }));
  }

  async block(peer) {
    this.calls.push(["block", peer]);
    this.peers = this.peers.filter((known) => known.peer !== peer);
    this.emit({ event: "disconnected", peer, reason: "you blocked it", code: "blocked" });
  }

  async unblock(peer) {
    this.calls.push(["unblock", peer]);
  }

  async dial(address) {
    this.calls.push(["dial", address]);
    if (!address.startsWith("/")) throw new Error("that is no multiaddr");
  }

  async connections() {
    return structuredClone(this.peers);
  }

  async relays() {
    return structuredClone(this.relayList);
  }

  async wake() {
    this.calls.push(["wake"]);
  }

  identity() {
    return this.#key;
  }

  async stop() {
    if (this.stopped) return;
    this.stopped = true;
    this.#events.close();
  }
}

/** Something that looks like a QR code, but is not one. */
export function qr(text) {
  if (text.length > 2000) throw new Error("too long");
  const size = 29;
  const dark = new Uint8Array(size * size);
  const finder = (x, y) => [[0, 0], [size - 7, 0], [0, size - 7]].map(([fx, fy]) => Math.max(Math.abs(x - fx - 3), Math.abs(y - fy - 3))).find((d) => d <= 4);
  for (let at = 0; at < dark.length; at += 1) {
    const near = finder(at % size, Math.floor(at / size));
    dark[at] = near === undefined ? (text.charCodeAt(at % text.length) * (at + 7)) % 5 < 2 : [1, 1, 0, 1, 0][near];
  }
  return { size, dark };
}
