// js-libp2p in a page. Bundled; what the tests call is on `globalThis.js`.

import { circuitRelayTransport } from "@libp2p/circuit-relay-v2";
import { identify } from "@libp2p/identify";
import { noise } from "@libp2p/noise";
import { ping } from "@libp2p/ping";
import { webRTC, webRTCDirect } from "@libp2p/webrtc";
import { webSockets } from "@libp2p/websockets";
import { yamux } from "@libp2p/yamux";
import { multiaddr } from "@multiformats/multiaddr";
import { createLibp2p } from "libp2p";

const MSG = "/p2p/msg/1.0.0";
const MAX_VARINT_BYTES = 5;
/** js-libp2p gives up after 6 s and 10 s, which a busy machine takes sometimes. Whoever calls has a limit. */
const SLOW = Object.fromEntries([
  "dialTimeout", "addressDialTimeout", "inboundUpgradeTimeout",
  "inboundStreamProtocolNegotiationTimeout", "outboundStreamProtocolNegotiationTimeout",
].map((name) => [name, 60_000]));

const state = { node: undefined, heard: [], waiting: [] };
const change = () => state.waiting.splice(0).forEach((resolve) => resolve());

/** Waits until there is something, looking again at each change and from time to time. */
async function until(look) {
  for (;;) {
    const found = look();
    if (found) return found;
    await new Promise((resolve) => {
      state.waiting.push(resolve);
      setTimeout(resolve, 100);
    });
  }
}

/** Starts the peer, which listens at a relay if there is one, and returns its id. */
async function start({ relay, stun }) {
  const listen = relay ? [`${relay}/p2p-circuit`, "/webrtc"] : [];
  const rtcConfiguration = { iceServers: stun ? [{ urls: stun }] : [] };
  const node = await createLibp2p({
    addresses: { listen },
    transports: [webSockets(), webRTC({ rtcConfiguration }), webRTCDirect({ rtcConfiguration }), circuitRelayTransport()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    connectionGater: { denyDialMultiaddr: () => false },
    connectionManager: SLOW,
    services: { identify: identify(), ping: ping() },
  });
  state.node = node;
  await node.handle(MSG, async (stream) => {
    state.heard.push(await text(stream));
    change();
    await stream.close();
  }, { runOnLimitedConnection: true });
  if (relay) await until(() => addresses().some((address) => address.includes("/webrtc/")));
  return node.peerId.toString();
}

const addresses = () => state.node.getMultiaddrs().map(String);

/** Reads one message with its length in front. */
async function text(stream) {
  let bytes = new Uint8Array();
  for await (const piece of stream) {
    bytes = Uint8Array.from([...bytes, ...piece.subarray()]);
    const whole = unframed(bytes);
    if (whole !== undefined) return whole;
  }
  throw new Error(`the stream ended after ${bytes.length} bytes`);
}

function unframed(bytes) {
  let length = 0;
  for (let at = 0; at < Math.min(bytes.length, MAX_VARINT_BYTES); at += 1) {
    length += (bytes[at] & 0x7f) * 2 ** (7 * at);
    if (bytes[at] < 0x80) {
      const body = bytes.subarray(at + 1);
      return body.length >= length ? new TextDecoder().decode(body.subarray(0, length)) : undefined;
    }
  }
  return undefined;
}

function framed(body) {
  const bytes = new TextEncoder().encode(body);
  const length = [];
  for (let rest = bytes.length; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return Uint8Array.from([...length, rest, ...bytes]);
    length.push((rest % 128) | 0x80);
  }
}

/** The connections to a peer that are no circuits. */
const direct = (peer) => state.node.getConnections().filter(({ remotePeer, limits, remoteAddr, status }) => {
  const address = remoteAddr.toString();
  return status === "open" && remotePeer.toString() === peer && limits === undefined && address.includes("/webrtc");
});

/** Dials, and returns the address of the connection. */
async function dial(address) {
  const connection = await state.node.dial(multiaddr(address));
  return connection.remoteAddr.toString();
}

/** Waits for a direct connection with a peer, and returns its address. */
const met = async (peer) => (await until(() => direct(peer)[0])).remoteAddr.toString();

/** Measures a round trip by the direct connection. */
async function pinged(peer) {
  const [connection] = direct(peer);
  const stream = await connection.newStream("/ipfs/ping/1.0.0");
  const sent = crypto.getRandomValues(new Uint8Array(32));
  stream.send(sent);
  let got = [];
  for await (const piece of stream) {
    got = [...got, ...piece.subarray()];
    if (got.length >= sent.length) break;
  }
  await stream.close();
  return got.every((byte, at) => byte === sent[at]);
}

/** Says something by the direct connection. */
async function say({ peer, body }) {
  const stream = await direct(peer)[0].newStream(MSG);
  stream.send(framed(body));
  // Whoever has read it lets go of the stream, maybe before js has heard that it ended: js calls that an error.
  await stream.close().catch(() => {});
}

/** Says one after the other. */
async function sayAll({ peer, bodies }) {
  for (const body of bodies) await say({ peer, body });
}

/** Waits until so many messages have come, and returns them. */
const heard = (count) => until(() => state.heard.length >= count && state.heard);

globalThis.js = { start, addresses, dial, met, pinged, say, sayAll, heard };
