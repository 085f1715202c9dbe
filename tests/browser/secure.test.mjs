// The page over https, from a relay that has TLS itself: it may dial nothing but secure WebSockets, and has what browsers
// keep from pages over plain http.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before } from "node:test";

import { at, company, delivered, launch, say, sees, skip, test, visit } from "./harness.mjs";
import { startPeer, startRelay } from "./processes.mjs";

let browser;
before(async () => {
  if (!skip) browser = await launch({ args: ["--ignore-certificate-errors"] });
});
after(() => browser?.close());

/** Makes a certificate that nobody vouches for. */
async function selfSigned(t) {
  const directory = await mkdtemp(join(tmpdir(), "punchline-tls-"));
  t.after(() => rm(directory, { recursive: true, force: true }));
  const [key, cert] = ["key.pem", "cert.pem"].map((name) => join(directory, name));
  const options = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=localhost"];
  const names = ["-addext", "subjectAltName=DNS:localhost"];
  execFileSync("openssl", ["req", "-x509", ...options, ...names, "-keyout", key, "-out", cert], { stdio: "ignore" });
  return ["--tls-cert", cert, "--tls-key", key, "--tls-port", "0"];
}

test("a page over https joins by a secure WebSocket on the same port", async (t) => {
  const relay = await startRelay(t, { args: [...await selfSigned(t), "--no-webrtc-direct"] });
  const { url } = relay.process.events.find(({ event, url }) => event === "http" && url.startsWith("https:"));
  const secure = { url: `https://localhost:${new URL(url).port}/` };
  const sockets = [];
  const prepare = (page) => page.on("websocket", (socket) => sockets.push(socket.url()));
  const page = await visit(t, browser, at(secure, { room: "vault" }), { prepare });
  const native = await startPeer(t, "--relay", relay.url, "--namespace", "vault");
  await company(page, 1);
  native.say("from a terminal");
  await sees(page, "from a terminal");
  await say(page, "from a page over https");
  await delivered(page, "from a page over https");
  assert.equal(await page.evaluate(() => globalThis.isSecureContext), true);
  assert.deepEqual([...new Set(sockets)], [secure.url.replace("https:", "wss:")]);
});
