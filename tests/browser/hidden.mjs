// A tab that can be hidden and frozen. Playwright makes its pages believe that they are visible, and switches off what
// browsers do to hidden ones. So this tab is driven by Chromium's own protocol.

import { WAIT_MS } from "./processes.mjs";

/** How often to ask the page whether something has come true. */
const ASK_MS = 50;

/** Launch options without the arguments by which Playwright keeps hidden tabs from being slowed down. */
export const SLOWED_WHEN_HIDDEN = {
  ignoreDefaultArgs: ["--disable-background-timer-throttling", "--disable-backgrounding-occluded-windows", "--disable-renderer-backgrounding"],
};

/**
 * Opens a URL in a tab of its own.
 * @param {import("playwright-core").Browser} browser
 */
export async function openTab(t, browser, url) {
  const root = await browser.newBrowserCDPSession();
  const { browserContextId } = await root.send("Target.createBrowserContext");
  const { targetId } = await root.send("Target.createTarget", { url, browserContextId });
  const { sessionId } = await root.send("Target.attachToTarget", { targetId, flatten: false });
  const tab = new Tab(root, sessionId);
  t.onFailure(() => `the tab has thrown:\n${tab.thrown.join("\n")}`);
  await tab.send("Runtime.enable");
  return Object.assign(tab, {
    /** Brings another tab to the front, and waits until this one is hidden. */
    hide: async () => {
      await root.send("Target.createTarget", { url: "about:blank", browserContextId });
      await tab.until("document.hidden");
    },
    freeze: () => tab.send("Page.setWebLifecycleState", { state: "frozen" }),
    async show() {
      await tab.send("Page.setWebLifecycleState", { state: "active" });
      await root.send("Target.activateTarget", { targetId });
      await tab.until("!document.hidden");
    },
  });
}

class Tab {
  thrown = [];
  #root;
  #sessionId;
  #calls = new Map();
  #last = 0;

  constructor(root, sessionId) {
    this.#root = root;
    this.#sessionId = sessionId;
    root.on("Target.receivedMessageFromTarget", (event) => event.sessionId === sessionId && this.#received(JSON.parse(event.message)));
  }

  send(method, params = {}) {
    const id = (this.#last += 1);
    const answer = new Promise((resolve, reject) => this.#calls.set(id, { resolve, reject }));
    this.#root.send("Target.sendMessageToTarget", { sessionId: this.#sessionId, message: JSON.stringify({ id, method, params }) });
    return answer;
  }

  /** Evaluates an expression in the page. */
  async value(expression) {
    const { result, exceptionDetails } = await this.send("Runtime.evaluate", { expression, returnByValue: true });
    if (exceptionDetails) throw new Error(`${expression}: ${exceptionDetails.exception?.description ?? exceptionDetails.text}`);
    return result.value;
  }

  /** Waits until an expression is true. */
  async until(expression) {
    for (const end = Date.now() + WAIT_MS; !(await this.value(expression));) {
      if (Date.now() > end) throw new Error(`never true: ${expression}; the page shows ${await this.value("document.body.innerText")}`);
      await new Promise((resolve) => setTimeout(resolve, ASK_MS));
    }
  }

  sees(text) {
    return this.until(`[...document.querySelectorAll(".entry .body")].some((body) => body.textContent === ${JSON.stringify(text)})`);
  }

  status(text) {
    return this.until(`document.querySelector("[role=status]")?.textContent.includes(${JSON.stringify(text)})`);
  }

  say(text) {
    return this.value(`document.getElementById("message").value = ${JSON.stringify(text)}; document.getElementById("composer").requestSubmit()`);
  }

  #received({ id, result, error, method, params }) {
    if (method === "Runtime.exceptionThrown") this.thrown.push(params.exceptionDetails.exception?.description ?? params.exceptionDetails.text);
    const call = this.#calls.get(id);
    this.#calls.delete(id);
    if (error) call?.reject(new Error(error.message));
    else call?.resolve(result);
  }
}
