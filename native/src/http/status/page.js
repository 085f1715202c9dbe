// The relay's status page: asks for /status.json again and again, and shows the answer.

import { bytes, count, duration, points, rates } from "/status/figures.js";

const ASK_EVERY_MS = 5_000;
const GIVE_UP_AFTER_MS = 10_000;
const HOUR_S = 3_600;
const WIDTH = 300;
const HEIGHT = 100;
const SVG = "http://www.w3.org/2000/svg";

const STATES = {
  starting: "Starting: some listener has no address yet",
  ready: "Ready",
  stopping: "Being stopped",
};

const NOW = [
  ["Connections", (now) => count(now.connections)],
  ["Peers with a reservation", (now) => count(now.reservations)],
  ["Registrations", (now) => count(now.registrations)],
  ["Circuits", (now) => count(now.circuits)],
  ["Relayed since the start", (now) => bytes(now.relayed_bytes)],
  ["Refused since the start", (now) => count(now.refusals)],
  ["Memory", (now) => (now.resident_bytes === null ? "not known" : bytes(now.resident_bytes))],
  ["Running for", (now) => duration(now.at)],
];

const CHARTS = [
  ["Connections", (all) => all.map((s) => [s.at, s.connections]), count],
  ["Circuits", (all) => all.map((s) => [s.at, s.circuits]), count],
  ["Relayed a second", (all) => rates(all, "relayed_bytes", 1), bytes],
  ["Refused a minute", (all) => rates(all, "refusals", 60), count],
];

const state = document.getElementById("state");
const tiles = NOW.map(([name, text]) => [tile(name), text]);
const charts = CHARTS.map(([name, values, text]) => [chart(name), values, text]);

/** Adds a place for one figure, and returns the element for its text. */
function tile(name) {
  const box = document.createElement("div");
  const term = document.createElement("dt");
  const figure = document.createElement("dd");
  term.textContent = name;
  figure.textContent = "…";
  box.append(term, figure);
  document.getElementById("now").append(box);
  return figure;
}

function svg(name, attributes) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}

function chart(name) {
  const figure = document.createElement("figure");
  const caption = document.createElement("figcaption");
  const [title, highest] = [document.createElement("span"), document.createElement("span")];
  title.textContent = name;
  caption.append(title, highest);
  const image = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img" });
  const ground = svg("line", { class: "ground", x1: 0, x2: WIDTH, y1: HEIGHT, y2: HEIGHT });
  const curve = svg("polyline", { class: "curve" });
  image.append(ground, curve);
  const scale = document.createElement("div");
  scale.className = "scale";
  for (const text of ["1 h ago", "now"]) {
    const end = document.createElement("span");
    end.textContent = text;
    scale.append(end);
  }
  figure.append(caption, image, scale);
  document.getElementById("charts").append(figure);
  return { name, image, curve, highest };
}

function draw({ name, image, curve, highest }, values, text, now) {
  const top = Math.max(0, ...values.map(([, value]) => value));
  const last = values.length > 0 ? values[values.length - 1][1] : 0;
  const box = { width: WIDTH, height: HEIGHT, from: now - HOUR_S, to: now, top };
  curve.setAttribute("points", points(values, box));
  highest.textContent = `${text(last)}, at most ${text(top)}`;
  image.setAttribute("aria-label", `${name} in the last hour: now ${text(last)}, at most ${text(top)}`);
}

function show(status) {
  const all = [...status.samples, status.now];
  state.textContent = `${STATES[status.state] ?? status.state}, version ${status.version}`;
  state.className = status.state === "ready" ? "" : "bad";
  for (const [figure, text] of tiles) figure.textContent = text(status.now);
  for (const [place, values, text] of charts) draw(place, values(all), text, status.now.at);
}

async function ask() {
  try {
    const answer = await fetch("/status.json", { cache: "no-store", signal: AbortSignal.timeout(GIVE_UP_AFTER_MS) });
    if (!answer.ok) throw new Error(await answer.text());
    show(await answer.json());
  } catch (error) {
    state.textContent = `No figures: ${error.message}`;
    state.className = "bad";
  }
  setTimeout(ask, ASK_EVERY_MS);
}

ask();
