// Everything that the package can do, checked by `tsc --strict` against its generated types.
import init, {
  Peer,
  qr,
  type Event,
  type PeerConfig,
  type PeerInfo,
  type QrCode,
  type Reason,
  type RelayInfo,
  type Sent,
} from "../../www/pkg/web.js";

await init();

const config: PeerConfig = {
  relays: ["/ip4/192.0.2.7/tcp/45679/ws"],
  namespace: "our-room",
  name: "Anna",
  dial: [],
  greet_interval: 0,
  message_timeout: 60,
};
const peer = await Peer.start(config);
console.log(`we are ${peer.name}, ${peer.peerId}`);
peer.setName("Anna on the train");

/** One line for a person. The `switch` must know every event. */
function line(event: Event): string {
  switch (event.event) {
    case "started":
      return `${event.peer_id} ${event.name}`;
    case "listening":
    case "external_address":
      return event.address;
    case "ready":
      return "ready";
    case "reserved":
      return `${event.relay} ${event.address}`;
    case "reservation_lost":
      return `${event.relay} ${event.code}: ${event.reason}`;
    case "registered":
      return `${event.relay} ${event.namespace} ${event.ttl.toFixed()}`;
    case "discovered":
      return `${event.peer} ${event.addresses.join()}`;
    case "connected": {
      const path: "direct" | "relayed" = event.path;
      const transport: "quic" | "tcp" | "ws" | "webrtc" | "webrtc-direct" | "circuit" =
        event.transport;
      return `${event.name} ${event.in_room} ${event.peer} ${path} ${transport} ${event.address} ${event.after_ms.toFixed()}`;
    }
    case "path_changed":
      return `${event.peer} ${event.from} ${event.to} ${event.transport} ${event.address}`;
    case "disconnected":
      return `${event.peer} ${event.code}: ${event.reason} ${event.left}`;
    case "renamed":
      return `${event.peer} ${event.name}`;
    case "membership":
      return `${event.peer} ${event.in_room}`;
    case "incompatible":
      return `${event.peer} ${event.protocols.join()}`;
    case "message": {
      const scope: "room" | "private" = event.scope;
      return `${event.from} ${event.name} ${scope} ${event.id.toFixed()} ${event.path}: ${event.body}`;
    }
    case "delivery": {
      const state: "queued" | "sent" | "acked" | "failed" = event.state;
      const code: Reason | undefined = event.code;
      return `${event.to} ${event.id.toFixed()} ${state} ${code ?? ""} ${event.reason ?? ""}`;
    }
    case "greeting":
      return `${event.from} ${event.message}`;
    case "greeting_reply":
      return `${event.from} ${event.message} ${event.address}`;
    case "error":
      return `${event.code}: ${event.message}`;
    case "panic":
      return event.message;
    default: {
      const unknown: never = event;
      return unknown;
    }
  }
}

async function show(events: ReadableStream<Event>): Promise<void> {
  for await (const event of events) console.log(event.event, line(event));
}
const shown = show(peer.events());

async function talk(to: string): Promise<void> {
  try {
    const id: number = await peer.send(to, "hello");
    console.log(`sent as ${id.toFixed()}`);
  } catch (error) {
    if (error instanceof Error && error.name === "OutboxFull") console.log("later");
    else throw error;
  }
}

const copies: Sent[] = await peer.broadcast("hello, all");
for (const { to, id, error } of copies) console.log(to, id?.toFixed(), error?.length);

await peer.dial("/ip4/192.0.2.9/tcp/4001/ws");
const here: PeerInfo[] = await peer.connections();
for (const info of here) {
  const path: "direct" | "relayed" | undefined = info.path;
  console.log(info.peer, info.name, info.in_room, path, info.transport, info.address, info.rtt_ms?.toFixed(), info.unacked);
  await talk(info.peer);
}

const relays: RelayInfo[] = await peer.relays();
for (const relay of relays) {
  const state: "connecting" | "online" | "waiting" = relay.state;
  console.log(relay.peer, relay.addresses.join(), state, relay.retry_in_ms, relay.code, relay.reason);
  // Programs go by codes; the reason beside one is for people.
  const code: Reason | undefined = relay.code;
  if (code === "wrong-peer") console.log("another peer answers at the relay's address");
}
addEventListener("online", () => void peer.wake());

const invitation: QrCode = qr("http://192.0.2.7:45680/#room=our-room");
console.log(invitation.dark.length === invitation.size ** 2);

const identity: Uint8Array = peer.identity();
await peer.stop();
await shown;

const same = await Peer.start({ ...config, identity });
console.log(same.peerId === peer.peerId);
await same.stop();
same.free();
