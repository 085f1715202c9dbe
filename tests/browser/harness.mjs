// Opens the page in Debian's Chromium and uses it as a person does, by roles and names. Every complaint in the page's
// console and every request that leaves this machine fails the test.

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { networkInterfaces } from "node:os";
import { test as nodeTest } from "node:test";

import { chromium } from "playwright-core";

import { BINARY, PACKAGE, WAIT_MS } from "./processes.mjs";

const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";
/** Chromium's warning when the page drops the slower of two dials: the page uses the first address that answers. */
const LATE_DIAL = /WebSocket is closed before the connection is established/;
/** Chromium's errors when a relay does not answer. */
export const NO_ANSWER = /^WebSocket connection to .* failed|net::ERR_(CONNECTION_|SOCKET_|INTERNET_DISCONNECTED|NETWORK_)/;
/** The lines of a page's console that a failure shows. */
const TAIL_LINES = 30;

const addresses = Object.values(networkInterfaces()).flat();
/** An address of this machine from which the page is no secure context. */
export const LAN = addresses.find(({ family, internal }) => family === "IPv4" && !internal)?.address;
const OURS = new Set(["localhost", ...addresses.map(({ family, address }) => (family === "IPv6" ? `[${address}]` : address))]);

const missing = [[CHROMIUM, "apt-get install chromium"], [BINARY, "cargo build --workspace"], [PACKAGE, "cargo xtask web"]]
  .filter(([file]) => !existsSync(file)).map(([file, command]) => `there is no ${file}: ${command}`);

/** Why browser tests cannot run here, or false. With PUNCHLINE set they run, and fail if something is missing. */
export const skip = process.env.PUNCHLINE ? false : missing[0] ?? false;

/**
 * Defines a test. Its `t.after` steps run in reverse order, all of them, whatever fails. If something fails, the report has
 * what the functions given to `t.onFailure` return.
 */
export function test(name, body, more = {}) {
  nodeTest(name, { skip, ...more }, async (t) => {
    const after = [];
    const reports = [];
    const errors = [];
    const attempt = async (step) => {
      try {
        await step();
      } catch (error) {
        errors.push(error);
      }
    };
    await attempt(() => body({
      after: (step) => after.push(step),
      onFailure: (lines) => reports.push(lines),
      diagnostic: (text) => t.diagnostic(text),
      skip: (why) => t.skip(why),
    }));
    const logs = () => reports.forEach((lines) => t.diagnostic(lines()));
    if (errors.length) logs();
    for (const step of after.reverse()) await attempt(step);
    if (errors.length) throw errors[0];
  });
}

/** Starts a browser process. It resolves no host names but this machine's and those of `hosts`. */
export function launch({ args = [], hosts = [], ...options } = {}) {
  const ours = [...OURS, ...hosts].map((host) => `EXCLUDE ${host.replace(/[[\]]/g, "")}`);
  const rules = ["MAP * ~NOTFOUND", ...ours].join(", ");
  return chromium.launch({ executablePath: CHROMIUM, args: ["--no-sandbox", `--host-resolver-rules=${rules}`, ...args], ...options });
}

/**
 * Opens the page, and fails the test for every complaint in its console that does not match `allow`. `prepare` gets
 * the page before it is loaded.
 * @param {import("playwright-core").BrowserContext} context
 */
export async function open(t, context, url, { allow = /^$/, prepare = () => {} } = {}) {
  const page = await context.newPage();
  page.setDefaultTimeout(WAIT_MS);
  await prepare(page);
  watch(t, page, allow);
  await page.goto(url);
  return page;
}

/** Opens the page in a context of its own: without what other pages keep. */
export async function visit(t, browser, url, { context: options, ...more } = {}) {
  const context = await browser.newContext(options);
  t.after(() => context.close());
  return open(t, context, url, more);
}

/** A page of the relay's origin with nothing in it, not even an icon. It goes on without the relay. */
export const blank = (t, browser, relay) =>
  visit(t, browser, new URL("/healthz", relay.url).href, { allow: new RegExp(`${NO_ANSWER.source}|status of 404`) });

function watch(t, page, allow) {
  const faults = [];
  const log = [];
  const note = (text) => {
    log.push(`    ${text.slice(0, 300)}`);
    if (log.length > TAIL_LINES) log.shift();
  };
  const fault = (text) => {
    note(text);
    faults.push(text);
  };
  const local = (what, url) => {
    const { protocol, hostname } = new URL(url);
    if (!["data:", "blob:"].includes(protocol) && !OURS.has(hostname)) fault(`${what} leaves this machine: ${url}`);
  };
  page.on("pageerror", (error) => fault(`uncaught: ${error.message}`));
  page.on("crash", () => fault("the page has crashed"));
  page.on("console", (line) => {
    note(`${line.type()}: ${line.text()}`);
    if (["error", "warning"].includes(line.type()) && !LATE_DIAL.test(line.text()) && !allow.test(line.text())) faults.push(line.text());
  });
  page.on("request", (request) => local("a request", request.url()));
  page.on("websocket", (socket) => local("a WebSocket", socket.url()));
  t.onFailure(() => `the console of ${page.url()}:\n${log.join("\n")}`);
  t.after(() => assert.deepEqual([...new Set(faults)], [], page.url()));
}

export const online = (page) => status(page, "Online");
export const status = (page, text) => page.getByRole("status").getByText(text).first().waitFor();
export const field = (page) => page.getByRole("textbox", { name: "Message", exact: true });
export const conversation = (page) => page.getByRole("log", { name: "Conversation" });
export const peers = (page) => page.getByRole("list", { name: "Peers" });
/** Waits until the page shows that so many others are here. */
export const company = (page, count) => status(page, `· ${count} peer${count === 1 ? "" : "s"}`);
export const sees = (page, text) => conversation(page).getByText(text, { exact: true }).waitFor();

export async function say(page, text) {
  await field(page).fill(text);
  await page.getByRole("button", { name: "Send", exact: true }).click();
}

/** Waits until a message of the page's own has this delivery state. */
export const delivered = (page, text, state = "delivered") =>
  page.locator(".entry.out", { hasText: text }).locator(".state").getByText(state, { exact: true }).waitFor();

/** The messages of others that the page shows, in order. */
export const heard = (page) => page.locator(".entry.in .body").allTextContents();

/** Some browsers have no WebRTC: paths stay as they are. */
export const withoutWebrtc = (page) => page.addInitScript("delete globalThis.RTCPeerConnection");

/** The page's peer id. */
export const peerId = (page) => page.locator("#identity-id").evaluate((element) => element.textContent);

/** The page's URL at a relay, with a room and with another relay to use. */
export const at = (relay, { room, via } = {}) => `${relay.url}#${new URLSearchParams({ ...(room && { room }), ...(via && { relay: via }) })}`;
