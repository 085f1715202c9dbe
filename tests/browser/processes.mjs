// Relays and native peers as processes of the real binary. Tests wait for their events and never for a time; the processes
// end with their test, however that ends.

import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
export const WWW = join(ROOT, "www");
export const BINARY = process.env.PUNCHLINE ?? join(ROOT, "target/debug/punchline");
export const PACKAGE = join(WWW, "pkg/web_bg.wasm");

/** How long a wait may take. It only ends a hang. */
export const WAIT_MS = 60_000;
/** The lines of a process that a failure shows. */
const TAIL_LINES = 25;
/** The range of ports for relays that keep them over a restart: below those that systems give out. */
const [FIRST_PORT, LAST_PORT] = [20_000, 32_000];
const PORT_TRIES = 20;
/** What the program exits with when it cannot start, as when a port is in use. */
const CANNOT_START = 1;

/** A prefix of commands that are to die with this process, even when it is killed. */
const DIES_WITH_US = existsSync("/usr/bin/setpriv") ? ["/usr/bin/setpriv", "--pdeathsig", "KILL"] : [];

const running = new Set();
process.on("exit", () => running.forEach((child) => child.kill("SIGKILL")));

/** A process `punchline --json …` and the events that it has printed. */
class Process {
  events = [];
  #log = [];
  #waiting = new Set();
  #listening = new Set();

  constructor(args) {
    this.args = args;
    const [command, ...rest] = [...DIES_WITH_US, BINARY, ...args];
    this.child = spawn(command, rest, { stdio: ["pipe", "pipe", "pipe"] });
    running.add(this.child);
    this.exited = new Promise((resolve) => this.child.once("close", (code, signal) => {
      running.delete(this.child);
      this.ended = `exited: ${code ?? signal}`;
      this.exitCode = code;
      this.#look();
      resolve(code);
    }));
    // Writing to a process that has just been killed fails, and nobody needs what is lost.
    this.child.stdin.on("error", () => {});
    createInterface({ input: this.child.stdout }).on("line", (line) => this.#heard(line));
    createInterface({ input: this.child.stderr }).on("line", (line) => this.#note(line));
  }

  /** Waits for an event that fits, and returns the first. The events before the index `from` do not count. */
  async waitFor(fits, what = fits.toString(), from = 0) {
    const test = typeof fits === "string" ? ({ event }) => event === fits : fits;
    const found = () => this.events.slice(from).find(test);
    const done = () => found() !== undefined || this.ended !== undefined;
    if (!done()) {
      await new Promise((resolve) => {
        const waiting = () => done() && (clearTimeout(timer), this.#waiting.delete(waiting), resolve());
        const timer = setTimeout(() => (this.#waiting.delete(waiting), resolve()), WAIT_MS);
        this.#waiting.add(waiting);
      });
    }
    const event = found();
    if (event) return event;
    const error = new Error(`no ${what} from punchline ${this.args.join(" ")} (${this.ended ?? "it runs"})\n${this.tail()}`);
    throw Object.assign(error, { exitCode: this.exitCode });
  }

  /** Calls `hear` for each event from now on, until the function that it returns is called. */
  listen(hear) {
    this.#listening.add(hear);
    return () => this.#listening.delete(hear);
  }

  /** The messages from a peer, in the order in which the process has printed them. */
  heard(from) {
    return this.events.filter((event) => event.event === "message" && event.from === from).map(({ body }) => body);
  }

  say(line) {
    this.child.stdin.write(`${line}\n`);
  }

  signal(signal) {
    this.child.kill(signal);
  }

  async kill() {
    this.child.kill("SIGKILL");
    await this.exited;
  }

  tail() {
    return this.#log.slice(-TAIL_LINES).map((line) => `    ${line.slice(0, 300)}`).join("\n");
  }

  #heard(line) {
    this.#note(line);
    if (line.startsWith("{")) {
      const event = JSON.parse(line);
      this.events.push(event);
      this.#listening.forEach((hear) => hear(event));
    }
    this.#look();
  }

  #note(line) {
    this.#log.push(line);
    if (this.#log.length > 10 * TAIL_LINES) this.#log.splice(0, TAIL_LINES);
  }

  #look() {
    for (const waiting of [...this.#waiting]) waiting();
  }
}

/** Starts a process that ends with its test. A failure shows the end of its output. */
async function start(t, args) {
  const process = new Process(args);
  t.after(() => process.kill());
  t.onFailure(() => `punchline ${args.join(" ")}:\n${process.tail()}`);
  await process.waitFor("ready");
  return process;
}

/** Starts a native peer. `place` are its arguments: addresses, `--relay`, `--namespace`. */
export async function startPeer(t, ...place) {
  const peer = await start(t, ["--json", "--greet-interval", "0", ...place]);
  peer.id = peer.events.find(({ event }) => event === "started").peer_id;
  return peer;
}

/** Starts a relay that serves the page. With `stays` it has the same ports and key again after a restart. */
export async function startRelay(t, { stays = false, args = [] } = {}) {
  const relay = new Relay(t, args);
  if (stays) {
    relay.data = await mkdtemp(join(tmpdir(), "punchline-browser-"));
    t.after(() => rm(relay.data, { recursive: true, force: true }));
  }
  for (let tries = 1; ; tries += 1) {
    relay.port = stays ? FIRST_PORT + Math.floor(Math.random() * (LAST_PORT - FIRST_PORT)) : 0;
    try {
      await relay.start();
      return relay;
    } catch (error) {
      // Another program has one of the ports.
      if (!stays || tries === PORT_TRIES || error.exitCode !== CANNOT_START) throw error;
    }
  }
}

class Relay {
  constructor(t, args) {
    this.t = t;
    this.args = args;
  }

  async start() {
    const place = this.data ? ["--data-dir", this.data] : [];
    this.process = await start(this.t, ["relay", "--json", "--www", WWW, "--port", String(this.port), ...place, ...this.args]);
    const { events } = this.process;
    this.id = events.find(({ event }) => event === "started").peer_id;
    this.url = `${events.find(({ event }) => event === "http").url}/`;
    this.addresses = events.filter(({ event }) => event === "listening").map(({ address }) => address);
  }

  /** Its address on loopback that has this transport in it. */
  address(transport) {
    return this.addresses.find((address) => address.startsWith("/ip4/127.0.0.1/") && address.split("/").includes(transport));
  }

  /** Its STUN server, for a page on this machine. */
  async stun() {
    const { stun_ports: [port] } = await (await fetch(new URL("bootstrap.json", this.url))).json();
    return `stun:127.0.0.1:${port}`;
  }

  kill() {
    return this.process.kill();
  }
}
