// py-libp2p against the real peer, where it installs: with Python's own venv, below target/.

import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { createInterface } from "node:readline";
import { before, test } from "node:test";
import { fileURLToPath } from "node:url";

import { startPeer } from "../browser/processes.mjs";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const VENV = here("../../target/interop-python");
const PYTHON = `${VENV}/bin/python`;
const REQUIREMENTS = here("requirements.txt");
const LISTEN = { tcp: "/ip4/127.0.0.1/tcp/0", quic: "/ip4/127.0.0.1/udp/0/quic-v1" };

/** Milliseconds for pip; a registry that does not answer is no failure of ours. */
const INSTALL_TIME = 180_000;

/** Why it does not install here, if it does not. */
let missing;

before(() => {
  const steps = [["python3", "-m", "venv", VENV], [PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", REQUIREMENTS]];
  for (const [command, ...args] of existsSync(PYTHON) ? steps.slice(1) : steps) {
    const { status, stderr, error } = spawnSync(command, args, { encoding: "utf8", timeout: INSTALL_TIME });
    if (status === 0) continue;
    missing = `py-libp2p does not install here: ${error?.message ?? stderr.trim().split("\n").at(-1)}`;
    return;
  }
});

for (const transport of Object.keys(LISTEN)) {
  test(`py-libp2p, over ${transport}`, async (t) => {
    if (missing) return t.skip(missing);
    const peer = await startPeer(Object.assign(t, { onFailure: () => {} }), "--listen", LISTEN[transport]);
    const { address } = peer.events.find(({ event }) => event === "listening");
    const python = spawn(PYTHON, [here("peer.py"), address], { stdio: ["ignore", "pipe", "inherit"] });
    t.after(() => python.kill());
    const said = {};
    createInterface({ input: python.stdout }).on("line", (line) => Object.assign(said, JSON.parse(line)));
    const ended = new Promise((resolve) => python.once("close", resolve));
    const { from } = await peer.waitFor(({ event, body }) => event === "message" && body === "hello from Python", "message");
    peer.say(`/to ${from} hello from Rust`);
    assert.equal(await ended, 0);
    assert.equal(said.us, from);
    assert.equal(said.connected, peer.id);
    assert.equal(said.ping, true);
    assert.equal(said.message, "hello from Rust");
    if (transport === "tcp") {
      assert.match(said.agent, /^punchline\//);
      assert.ok(said.protocols.includes("/p2p/msg/1.0.0"), `${said.protocols}`);
    }
    return undefined;
  });
}
