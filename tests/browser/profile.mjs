// Where the time goes while two tabs talk: the CPU of Chromium's threads (on Linux), and what the tabs' main threads do.

import { readFileSync, readdirSync } from "node:fs";

/** Between samples of a main thread, in microseconds. */
const INTERVAL = 250;

/** Chromium's threads: the first kind that fits. */
const THREADS = [
  ["network service: each packet comes and goes by IPC", ({ type }) => type === "utility"],
  ["WebRTC's threads: SCTP, DTLS", ({ name }) => name.startsWith("WebRTC_")],
  ["IPC of the tabs' processes", ({ type, name }) => type === "renderer" && name === "Chrome_ChildIOT"],
  ["main threads of the tabs", ({ type, main }) => type === "renderer" && main],
  ["other", () => true],
];

/** What a main thread does, by the function that runs: the first kind that fits. */
const WORK = [
  ["waits", ({ functionName }) => functionName === "(idle)"],
  ["garbage collection", ({ functionName }) => functionName === "(garbage collector)"],
  ["the browser, outside JavaScript", ({ functionName }) => ["(program)", "(root)"].includes(functionName)],
  ["wasm", ({ url }) => url.endsWith(".wasm")],
  ["text to wasm (in its glue)", ({ functionName, url }) => url.endsWith("/web.js") && /^(passStringToWasm0|send)$/.test(functionName)],
  ["the rest of wasm's glue", ({ url }) => url.endsWith("/web.js")],
  ["the browser's functions that those call", ({ url }) => url === ""],
  ["the benchmark", () => true],
];

/** Adds up amounts by the first kind that fits, and returns each kind's share of the sum, largest first. */
function shares(kinds, amounts) {
  const sums = new Map();
  let total = 0;
  for (const [of, amount] of amounts) {
    const [kind] = kinds.find(([, fits]) => fits(of));
    sums.set(kind, (sums.get(kind) ?? 0) + amount);
    total += amount;
  }
  return [...sums].map(([kind, sum]) => [kind, sum / total]).sort(([, a], [, b]) => b - a);
}

function print(title, rows) {
  console.log(`  ${title}`);
  for (const [kind, share] of rows) console.log(`    ${(100 * share).toFixed(1).padStart(5)}%  ${kind}`);
}

/** The fields of a stat file of /proc after the name, which may have anything in it. */
const stat = (path) => {
  const text = readFileSync(path, "utf8");
  const end = text.lastIndexOf(")");
  return [text.slice(text.indexOf("(") + 1, end), text.slice(end + 2).split(" ")];
};

/** The threads of this process's descendants, with the CPU that each has used, in ticks. */
function threads() {
  const found = new Map();
  const parents = new Map();
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    try {
      parents.set(pid, stat(`/proc/${pid}/stat`)[1][1]);
    } catch {
      // It has ended.
    }
  }
  const isOurs = (pid) => pid !== undefined && (pid === String(process.pid) || isOurs(parents.get(pid)));
  for (const pid of [...parents.keys()].filter((pid) => isOurs(parents.get(pid)))) {
    try {
      const [, type] = /--type=([\w-]+)/.exec(readFileSync(`/proc/${pid}/cmdline`, "utf8")) ?? [];
      for (const tid of readdirSync(`/proc/${pid}/task`)) {
        const [name, fields] = stat(`/proc/${pid}/task/${tid}/stat`);
        found.set(tid, { type, name, main: tid === pid, ticks: Number(fields[11]) + Number(fields[12]) });
      }
    } catch {
      // It has ended.
    }
  }
  return found;
}

/** Runs something between tabs, once to count the CPU of threads and once to sample main threads, and prints both. */
export async function profile(what, tabs, prepare, run) {
  console.log(`${what}: where the time goes`);
  if (process.platform === "linux") {
    await prepare();
    const before = threads();
    await run();
    const used = [...threads()].map(([tid, thread]) => [thread, thread.ticks - (before.get(tid)?.ticks ?? 0)]);
    print("CPU of all threads", shares(THREADS, used));
  }
  const sessions = await Promise.all(Object.values(tabs).map((page) => page.context().newCDPSession(page)));
  await prepare();
  for (const session of sessions) {
    await session.send("Profiler.enable");
    await session.send("Profiler.setSamplingInterval", { interval: INTERVAL });
    await session.send("Profiler.start");
  }
  await run();
  for (const [n, name] of Object.keys(tabs).entries()) {
    const { profile: { nodes, samples, timeDeltas } } = await sessions[n].send("Profiler.stop");
    const frames = new Map(nodes.map(({ id, callFrame }) => [id, callFrame]));
    const sampled = samples.map((id, n) => [frames.get(id), Math.max(0, timeDeltas[n])]);
    print(`main thread of ${name}`, shares(WORK, sampled));
    await sessions[n].detach();
  }
}
