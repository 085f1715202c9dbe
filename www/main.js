// Connects the page to the browser and to the package `web`.

import { createApp } from "./app.js";

const PACKAGE = "./pkg/web.js";
/**
 * libp2p's webrtc-direct (libp2p-webrtc-websys 0.5) leaves its handlers on data channels that it has dropped, and
 * wasm-bindgen throws this instead of calling them. Nothing is lost by it.
 */
const DROPPED = "closure invoked recursively or after being dropped";

window.addEventListener("error", (event) => {
  if (event.error?.message !== DROPPED) return;
  console.debug(event.error);
  event.preventDefault();
});

async function loadWeb() {
  if (typeof WebAssembly !== "object") {
    throw new Error("This browser has no WebAssembly, or it is switched off.");
  }
  let web;
  try {
    web = await import(PACKAGE);
  } catch (error) {
    const { status } = await fetch(PACKAGE, { method: "HEAD" }).catch(() => ({}));
    throw Object.assign(new Error(`The program could not be loaded: ${error.message}`), { phase: status === 404 ? "missing" : "broken" });
  }
  try {
    await web.default();
  } catch (error) {
    throw new Error(`The program could not be started: ${error.message}`);
  }
  return web;
}

createApp(window, loadWeb).boot();
