// The invitation: a link, a button that copies it, and its QR code.

import { toUrl } from "./place.js";
import { isLoopback } from "./relay.js";

const SVG = "http://www.w3.org/2000/svg";
/** The empty border that the QR code's standard asks for, in modules. */
const QUIET = 4;
const COPIED_MS = 2000;

/** The link to this room. On a page from loopback it names the machine's own network address, if that is known. */
export function inviteLink(page, room, typedRelay, relayAddresses = []) {
  const url = new URL(toUrl(page.href, { room, relay: typedRelay }));
  const local = isLoopback(url.hostname);
  const lan = local && !typedRelay ? relayAddresses.map(ip4).find((ip) => ip && !isLoopback(ip)) : undefined;
  if (lan) url.hostname = lan;
  return { link: url.href, reach: lan ? "network" : local ? "machine" : "everywhere" };
}

function ip4(address) {
  return /^\/ip4\/([\d.]+)\//.exec(address)?.[1];
}

/** What a person should know about a link, by its reach. */
export const REACH = {
  machine: "This link works on this machine only: open the page by the machine's network address to invite others.",
  network: "The link names this machine's network address, so that other devices in your network can open it.",
  everywhere: "",
};

/** Fills an element made from the template `invite`. Returns a function that shows a link in it. */
export function setUpInvite(root, { qr, copy }) {
  const document = root.ownerDocument;
  const field = root.querySelector("input");
  const button = root.querySelector("button");
  const figure = root.querySelector(".qr");
  const hint = root.querySelector(".hint");
  const label = button.textContent;
  let shown;

  field.addEventListener("focus", () => field.select());
  button.addEventListener("click", async () => {
    const copied = await copy(field);
    button.textContent = copied ? "Copied" : "Press Ctrl+C";
    document.defaultView.setTimeout(() => (button.textContent = label), COPIED_MS);
  });
  return ({ link, reach }) => {
    if (shown === link) return;
    shown = link;
    field.value = link;
    hint.textContent = REACH[reach];
    hint.hidden = !hint.textContent;
    figure.replaceChildren();
    const code = qr(link);
    if (code) figure.append(drawing(document, code));
  };
}

/** Copies the content of a text field. Where the page may not use the clipboard, the text stays selected. */
export async function copyField(field, { clipboard, document }) {
  try {
    await clipboard.writeText(field.value);
    return true;
  } catch {
    field.focus();
    field.select();
    return document.execCommand?.("copy") ?? false;
  }
}

/** A QR code as one path: a rectangle for each run of dark modules. */
export function qrPath({ size, dark }) {
  let path = "";
  for (let y = 0; y < size; y += 1) {
    for (let x = 0; x < size; x += 1) {
      if (!dark[y * size + x]) continue;
      const start = x;
      while (x < size && dark[y * size + x]) x += 1;
      path += `M${start + QUIET} ${y + QUIET}h${x - start}v1h${start - x}z`;
    }
  }
  return path;
}

function drawing(document, code) {
  const side = code.size + 2 * QUIET;
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", `0 0 ${side} ${side}`);
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", "QR code of the link");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", qrPath(code));
  svg.append(path);
  return svg;
}
