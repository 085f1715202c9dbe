// A link to a relay that can be cut, or go silent as when a laptop sleeps: a TCP proxy on loopback.

import { connect, createServer } from "node:net";

/** @param {string} address the relay's, with /ip4/127.0.0.1/tcp/PORT */
export async function createLink(t, address) {
  const port = Number(/\/tcp\/(\d+)/.exec(address)[1]);
  const sockets = new Set();
  let state = "up";

  const server = createServer((near) => {
    if (state === "cut") return near.destroy();
    const far = connect(port, "127.0.0.1");
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
  return {
    address: address.replace(`/tcp/${port}/`, `/tcp/${server.address().port}/`),
    /** Connections end, and new ones are refused. */
    cut() {
      state = "cut";
      drop();
    },
    /** Nothing gets through, and nothing is said about it. */
    silence() {
      state = "silent";
      sockets.forEach((socket) => socket.pause());
    },
    /** What was open stays dead, as after a change of network; new connections work. */
    mend() {
      state = "up";
      drop();
    },
  };
}
