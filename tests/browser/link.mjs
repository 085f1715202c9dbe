// A link to a relay that can be cut, or fall silent as when a laptop sleeps. It is a TCP proxy on loopback.

import { connect, createServer } from "node:net";

import { startRelay } from "./processes.mjs";

/** Starts a relay that browsers reach through a link, and in no other way. */
export async function startRelayBehindLink(t) {
  const link = await createLink(t);
  const relay = await startRelay(t, { args: ["--announce", `/ip4/127.0.0.1/tcp/${link.port}/ws`] });
  link.to = Number(/\/tcp\/(\d+)/.exec(relay.address("ws"))[1]);
  return { relay, link };
}

async function createLink(t) {
  const sockets = new Set();
  let state = "up";

  const server = createServer((near) => {
    if (state === "cut") return near.destroy();
    const far = connect(link.to, "127.0.0.1");
    const pair = [near, far];
    for (const [at, socket] of pair.entries()) {
      sockets.add(socket);
      const other = pair[1 - at];
      socket.on("data", (bytes) => other.write(bytes));
      socket.on("error", () => {});
      socket.on("close", () => (sockets.delete(socket), other.destroy()));
      if (state === "silent") socket.pause();
    }
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const drop = () => sockets.forEach((socket) => socket.destroy());
  t.after(() => {
    server.close();
    drop();
  });
  const link = {
    port: server.address().port,
    to: undefined,
    /** Ends all connections, and refuses new ones. */
    cut() {
      state = "cut";
      drop();
    },
    /** Lets nothing through, without closing anything. */
    silence() {
      state = "silent";
      sockets.forEach((socket) => socket.pause());
    },
    /** Lets new connections through. Old ones end, as after a change of network. */
    mend() {
      state = "up";
      drop();
    },
  };
  return link;
}
