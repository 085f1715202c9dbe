// Serves the page as a relay does, with the same Content-Security-Policy, and a stand-in for the package `web`. With
// `node tests/page/server.mjs [PORT]` one can look at the page without building anything.

import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { fileURLToPath } from "node:url";

const WWW = new URL("../../www/", import.meta.url);
const FAKE = new URL("fake-web.js", import.meta.url);
const TYPES = { html: "text/html; charset=utf-8", css: "text/css", js: "text/javascript", svg: "image/svg+xml" };
export const CSP = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self'; connect-src 'self' http: https: ws: wss:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

export const BOOTSTRAP = {
  peer_id: "12D3KooWRelay",
  addresses: ["/ip4/127.0.0.1/tcp/45678/p2p/12D3KooWRelay", "/ip4/127.0.0.1/tcp/45679/ws/p2p/12D3KooWRelay"],
  namespace: "rendezvous",
  version: "0.1.0",
};

/** @param {{built?: boolean, bootstrap?: object | null}} options may be changed while it serves */
export async function serve(options = {}, port = 0, host = "127.0.0.1") {
  const server = createServer(async (request, response) => {
    const { status, type, body } = await answer(new URL(request.url, "http://page").pathname, options);
    response.writeHead(status, { "content-type": type, "content-security-policy": CSP, "cache-control": "no-store" });
    response.end(body);
  });
  await new Promise((resolve) => server.listen(port, host, resolve));
  return { server, url: `http://${host}:${server.address().port}/` };
}

async function answer(path, { built = true, bootstrap = BOOTSTRAP }) {
  const missing = { status: 404, type: "text/plain", body: "not found\n" };
  if (path === "/bootstrap.json") {
    return bootstrap ? { status: 200, type: "application/json", body: JSON.stringify(bootstrap) } : missing;
  }
  const name = path === "/" ? "index.html" : path.slice(1);
  if (name === "pkg/web.js" && !built) return missing;
  if (!/^(pkg\/web\.js|[\w-]+\.\w+)$/.test(name)) return missing;
  try {
    const body = await readFile(name === "pkg/web.js" ? FAKE : new URL(name, WWW));
    return { status: 200, type: TYPES[name.split(".").at(-1)] ?? "application/octet-stream", body };
  } catch {
    return missing;
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { url } = await serve({}, Number(process.argv[2] ?? 8000));
  console.log(`the page, with a stand-in for its peer: ${url}`);
}
