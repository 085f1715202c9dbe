// Firefox as Debian has it (ESR): the page's main flow, with Chromium and with a peer in a terminal on the other side.

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { after, before } from "node:test";

import puppeteer from "puppeteer-core";

import { NO_ANSWER, company, delivered, launch, peers, say, sees, skip, status, test, visit } from "./harness.mjs";
import { WAIT_MS, startPeer, startRelay } from "./processes.mjs";

const FIREFOX = process.env.FIREFOX ?? "/usr/bin/firefox-esr";
const missing = existsSync(FIREFOX) ? false : `there is no ${FIREFOX}: apt-get install firefox-esr`;
const more = { skip: skip || missing };
/** What Firefox says of a relay that has been killed. */
const RELAY_GONE = /can.t establish a connection|connection .* interrupted|NetworkError|WebSocket/;

let firefox;
let chromium;
before(async () => {
  if (more.skip) return;
  [firefox, chromium] = await Promise.all([
    puppeteer.launch({ browser: "firefox", executablePath: FIREFOX, headless: true, args: ["--no-remote"] }),
    launch(),
  ]);
});
after(() => Promise.all([firefox?.close(), chromium?.close()]));

/** The page in Firefox, as a person has it before him. */
class Firefox {
  static async visit(t, url) {
    const context = await firefox.createBrowserContext();
    t.after(() => context.close());
    const page = await context.newPage();
    page.setDefaultTimeout(WAIT_MS);
    const complaints = [];
    const log = [];
    const complain = (text) => RELAY_GONE.test(text) || complaints.push(text);
    page.on("pageerror", (error) => complain(error.message));
    page.on("console", (line) => {
      log.push(`    ${line.type()}: ${line.text()}`.slice(0, 300));
      if (line.type() === "error") complain(line.text());
    });
    t.onFailure(() => `Firefox:\n${log.slice(-20).join("\n")}`);
    t.after(() => assert.deepEqual(complaints, []));
    await page.goto(url);
    return new Firefox(page);
  }

  constructor(page) {
    this.page = page;
  }

  /** Waits for a text in an element. */
  shows(selector, text) {
    const find = (where, what) => [...document.querySelectorAll(where)].some((element) => element.textContent.includes(what));
    return this.page.waitForFunction(find, { polling: 100 }, selector, text);
  }

  status(text) {
    return this.shows("[role=status]", text);
  }

  direct() {
    return this.shows("#peers", "direct · webrtc");
  }

  async say(text) {
    const field = await this.page.waitForSelector("::-p-aria([name=\"Message\"][role=\"textbox\"])");
    await field.type(text);
    await field.press("Enter");
  }

  sees(text) {
    return this.shows(".entry.in .body", text);
  }

  delivered(text) {
    const find = (what) => [...document.querySelectorAll(".entry")]
      .some((entry) => entry.textContent.includes(what) && entry.textContent.includes("delivered"));
    return this.page.waitForFunction(find, { polling: 100 }, text);
  }
}

test("Firefox and Chromium meet, get a direct path, and talk on when the relay is killed", async (t) => {
  const relay = await startRelay(t);
  const [here, there] = await Promise.all([Firefox.visit(t, relay.url), visit(t, chromium, relay.url, { allow: NO_ANSWER })]);
  await Promise.all([here.status("· 1 peer"), company(there, 1)]);
  await Promise.all([here.direct(), peers(there).getByText("direct · webrtc").waitFor()]);
  const exchange = async (when) => {
    await here.say(`Firefox, ${when}`);
    await sees(there, `Firefox, ${when}`);
    await here.delivered(`Firefox, ${when}`);
    await say(there, `Chromium, ${when}`);
    await here.sees(`Chromium, ${when}`);
    await delivered(there, `Chromium, ${when}`);
  };
  await exchange("with the relay");
  await relay.kill();
  await Promise.all([here.status("Relay lost"), status(there, "Relay lost")]);
  await exchange("without it");
}, more);

test("Firefox and a peer in a terminal get a direct path", async (t) => {
  const relay = await startRelay(t);
  const native = await startPeer(t, "--relay", relay.url);
  const here = await Firefox.visit(t, relay.url);
  await here.direct();
  await here.say("from Firefox");
  await native.waitFor(({ event, body }) => event === "message" && body === "from Firefox");
  await here.delivered("from Firefox");
  native.say("back");
  await here.sees("back");
}, more);
