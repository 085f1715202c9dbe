// js-libp2p, and the rendezvous client of @canvas-js, against the real relay and peer: what each transport carries.

import "./node20.mjs";

import assert from "node:assert/strict";
import { test } from "node:test";

import { RendezvousClient, rendezvousClient } from "@canvas-js/libp2p-rendezvous/client";
import { noise } from "@chainsafe/libp2p-noise";
import { quic } from "@chainsafe/libp2p-quic";
import { yamux } from "@chainsafe/libp2p-yamux";
import { circuitRelayTransport } from "@libp2p/circuit-relay-v2";
import { identify } from "@libp2p/identify";
import { ping } from "@libp2p/ping";
import { tcp } from "@libp2p/tcp";
import { webSockets } from "@libp2p/websockets";
import { multiaddr } from "@multiformats/multiaddr";
import * as lp from "it-length-prefixed";
import { pipe } from "it-pipe";
import { createLibp2p } from "libp2p";

import { startPeer, startRelay } from "../browser/processes.mjs";

// It has a name of its own for the protocol of the specification.
RendezvousClient.protocol = "/rendezvous/1.0.0";

const MSG = "/p2p/msg/1.0.0";
const ROOM = "interop";
/** What the listeners of relay and peer have in their addresses. */
const TRANSPORTS = { tcp: "tcp", ws: "ws", quic: "quic-v1" };
const LISTEN = { tcp: "/ip4/127.0.0.1/tcp/0", ws: "/ip4/127.0.0.1/tcp/0/ws", quic: "/ip4/127.0.0.1/udp/0/quic-v1" };
/** Only ends a hang. */
const PATIENCE_MS = 60_000;

/** Whether an address is of this transport and no other. */
function isOf(address, transport) {
  const parts = address.split("/");
  if (!address.startsWith("/ip4/127.0.0.1/") || parts.includes("p2p-circuit")) return false;
  return parts.includes(TRANSPORTS[transport]) && (transport !== "tcp" || !parts.includes("ws"));
}

async function startJs(t, listen = []) {
  const node = await createLibp2p({
    addresses: { listen },
    transports: [tcp(), webSockets(), quic(), circuitRelayTransport()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    connectionGater: { denyDialMultiaddr: () => false },
    services: { identify: identify(), ping: ping(), rendezvous: rendezvousClient({ autoDiscover: false }) },
  });
  t.after(() => node.stop());
  return node;
}

/** Waits until something is there, by asking again whenever the node changes. */
async function until(node, look, what) {
  const end = AbortSignal.timeout(PATIENCE_MS);
  for (;;) {
    const found = await look();
    if (found) return found;
    if (end.aborted) throw new Error(`no ${what}`);
    await new Promise((resolve) => {
      const timer = setTimeout(resolve, 200);
      node.addEventListener("self:peer:update", () => (clearTimeout(timer), resolve()), { once: true });
    });
  }
}

/** Processes are stopped with their test; what they print is shown by what they fail to print. */
const owner = (t) => Object.assign(t, { onFailure: () => {} });

for (const transport of Object.keys(TRANSPORTS)) {
  test(`the relay, over ${transport}`, async (t) => {
    const relay = await startRelay(owner(t));
    const address = relay.addresses.find((candidate) => isOf(candidate, transport));
    assert.ok(address, `${relay.addresses}`);
    const node = await startJs(t);
    const connection = await node.dial(multiaddr(address));
    const { remotePeer } = connection;
    assert.equal(remotePeer.toString(), relay.id);

    await t.test("identify", async () => {
      const known = await until(node, async () => {
        const { protocols, metadata } = await node.peerStore.get(remotePeer);
        return protocols.length > 0 && { protocols, agent: new TextDecoder().decode(metadata.get("AgentVersion")) };
      }, "answer of identify");
      assert.ok(known.protocols.includes("/rendezvous/1.0.0"), `${known.protocols}`);
      assert.ok(known.protocols.includes("/libp2p/circuit/relay/0.2.0/hop"));
      assert.match(known.agent, /^punchline\//);
    });

    await t.test("ping", async () => assert.ok((await node.services.ping.ping(remotePeer)) >= 0));

    await t.test("reservation and circuit", async (t2) => {
      const called = await startJs(t2, [`${address}/p2p-circuit`]);
      const circuit = await until(called, () => called.getMultiaddrs().find((own) => own.toString().includes("/p2p-circuit")), "reservation");
      const through = await node.dial(circuit);
      assert.equal(through.remotePeer.toString(), called.peerId.toString());
      assert.ok((await node.services.ping.ping(called.peerId)) >= 0);
    });

    await t.test("register, discover and unregister on one stream", async (t2) => {
      const registrant = await startJs(t2, [`${address}/p2p-circuit`]);
      await until(registrant, () => registrant.getMultiaddrs().length > 0, "address to register");
      const found = () => node.services.rendezvous.connect(remotePeer, (point) => point.discover(ROOM));
      await registrant.services.rendezvous.connect(remotePeer, async (point) => {
        const { ttl } = await point.register(ROOM, { ttl: 120 });
        assert.equal(Number(ttl), 120);
        assert.deepEqual((await found()).map(({ id }) => id.toString()), [registrant.peerId.toString()]);
        await point.unregister(ROOM);
        // The answer to a later question on the stream: the earlier one has been carried out.
        assert.deepEqual(await point.discover(ROOM), []);
      });
      assert.deepEqual(await found(), []);
    });
  });

  test(`messages with a peer, over ${transport}`, async (t) => {
    const peer = await startPeer(owner(t), "--listen", LISTEN[transport]);
    const { address } = peer.events.find((event) => event.event === "listening");
    const node = await startJs(t);
    const heard = [];
    await node.handle(MSG, ({ stream }) => pipe(stream, lp.decode, async (source) => {
      for await (const packet of source) heard.push(new TextDecoder().decode(packet.subarray()));
      await stream.close();
    }));
    const connection = await node.dial(multiaddr(address));
    const from = node.peerId.toString();
    const { in_room: inRoom } = await peer.waitFor((event) => event.event === "connected" && event.peer === from, "connection");
    assert.equal(inRoom, false, "nobody has discovered it: it is talked to one to one");
    for (const body of ["hello", "ünïcödé"]) {
      const stream = await connection.newStream(MSG);
      await pipe([new TextEncoder().encode(body)], lp.encode, stream.sink);
      await stream.close();
    }
    await peer.waitFor((event) => event.event === "message" && event.body === "ünïcödé", "message");
    assert.deepEqual(peer.heard(from), ["hello", "ünïcödé"]);
    for (const body of ["back", "and again"]) peer.say(`/to ${from} ${body}`);
    await peer.waitFor((event) => event.event === "delivery" && event.id === 2 && event.state === "sent", "delivery");
    await until(node, () => heard.length === 2, "message");
    assert.deepEqual(heard, ["back", "and again"]);
  });
}
