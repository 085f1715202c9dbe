import assert from "node:assert/strict";
import { test } from "node:test";

import { dialable, locate } from "../../www/relay.js";

const PAGE = new URL("http://127.0.0.1:45680/#room=garden");
const WS = "/ip4/192.0.2.7/tcp/45679/ws/p2p/12D3KooWR";
const served = (body, status = 200) => async () => new Response(typeof body === "string" ? body : JSON.stringify(body), { status });

test("without anything typed the page's own relay is asked", async () => {
  let asked;
  const fetch = async (url) => {
    asked = url;
    return served({ peer_id: "R", addresses: ["/ip4/192.0.2.7/tcp/45678", WS, 7], namespace: "den", version: "1" })();
  };
  assert.deepEqual(await locate(undefined, PAGE, fetch), { relays: [WS], room: "den", all: ["/ip4/192.0.2.7/tcp/45678", WS], ice: [] });
  assert.equal(asked, "http://127.0.0.1:45680/bootstrap.json");
  await locate("192.0.2.7:45680", PAGE, fetch);
  assert.equal(asked, "http://192.0.2.7:45680/bootstrap.json");
  for (const url of ["https://relay.example/base", "https://relay.example/base/", "https://relay.example/base//", "https://relay.example/base/bootstrap.json"]) {
    await locate(url, PAGE, fetch);
    assert.equal(asked, "https://relay.example/base/bootstrap.json");
  }
});

test("a relay that answers STUN is asked where others can reach this page, at the host that served it", async () => {
  const ice = async (stun_ports, page = PAGE) => (await locate(undefined, page, served({ addresses: [WS], stun_ports }))).ice;
  assert.deepEqual(await ice([45680, 45681]), [{ urls: "stun:127.0.0.1:45680" }, { urls: "stun:192.0.2.7:45680" }]);
  assert.deepEqual(await ice([45680], new URL("http://[2001:db8::1]:80/")), [{ urls: "stun:[2001:db8::1]:45680" }, { urls: "stun:192.0.2.7:45680" }]);
  const listed = ["/ip4/127.0.0.1/tcp/1", "/ip4/198.51.100.7/tcp/1", "/ip4/198.51.100.8/tcp/1", "/ip6/fe80::1/tcp/1", "/ip6/2001:db8::7/udp/1/quic-v1", WS];
  const { ice: all } = await locate(undefined, PAGE, served({ addresses: listed, stun_ports: [45680] }));
  assert.deepEqual(all.map(({ urls }) => urls), ["stun:127.0.0.1:45680", "stun:198.51.100.7:45680", "stun:[2001:db8::7]:45680"]);
  for (const none of [[], undefined, "45680", [0], [65536], [1.5], ["1"]]) assert.deepEqual(await ice(none), [], String(none));
});

/** Generous: the fault that this finds takes minutes. */
const LINK_MS = 20_000;

test("a link with very many slashes does not stop the page", async () => {
  const began = performance.now();
  await locate(`http://192.0.2.7/${"/".repeat(250_000)}x`, PAGE, served({ addresses: [WS] }));
  const took = performance.now() - began;
  assert.ok(took < LINK_MS, `${took} ms`);
});

test("a multiaddr is used as it is, if a browser can dial it", async () => {
  assert.deepEqual((await locate(` ${WS} `, PAGE)).relays, [WS]);
  await assert.rejects(locate("/ip4/192.0.2.7/tcp/45678", PAGE), /cannot dial .*needs an address with \/ws/);
});

test("something that is no relay is distinguished from nothing at all", async () => {
  await assert.rejects(locate("x.example", PAGE, async () => { throw new TypeError("Failed to fetch"); }), /No relay at x.example: it cannot be reached/);
  await assert.rejects(locate("x.example", PAGE, served("", 404)), /x.example is no relay.*HTTP 404/);
  for (const body of ["<!doctype html>", "{}", "null", "[]", '{"addresses":"x"}', "x".repeat(1e6)]) {
    await assert.rejects(locate("x.example", PAGE, served(body)), /is no relay: what it serves/, body.slice(0, 20));
  }
  await assert.rejects(locate("x.example", PAGE, served({ addresses: [] })), /lists no addresses/);
  await assert.rejects(locate("http://", PAGE), /neither a multiaddr nor a URL/);
  await assert.rejects(locate("ftp://x", PAGE), /begins with http/);
});

test("an https page dials no plain WebSocket", () => {
  const all = [WS, "/dns/r.example/tcp/443/tls/ws", "/dns/r.example/tcp/443/wss", "/ip4/1.2.3.4/udp/1/webrtc-direct/certhash/u", "/ip4/1.2.3.4/udp/1/quic-v1", `${WS}/p2p-circuit`];
  assert.deepEqual(dialable(all, true), all.slice(1, 4));
  assert.deepEqual(dialable(all, false), all.slice(0, 4));
  assert.throws(() => dialable([WS], true), /loaded over https/);
});

test("of a relay's addresses those are dialled that lead where its URL does", async () => {
  const at = (host) => `/${host.includes(":") ? "ip6" : "ip4"}/${host}/tcp/45679/ws/p2p/12D3KooWR`;
  const all = ["127.0.0.1", "::1", "192.168.1.5", "192.0.2.7", "fd00::5"].map(at);
  const relays = async (url, addresses = all) => (await locate(url, PAGE, served({ addresses }))).relays;
  assert.deepEqual(await relays("http://192.0.2.7:45680"), [at("192.0.2.7")]);
  assert.deepEqual(await relays("http://127.0.0.1:45680"), [at("127.0.0.1")]);
  assert.deepEqual(await relays("http://localhost:45680"), [at("127.0.0.1"), at("::1")]);
  assert.deepEqual(await relays("http://[fd00::5]:45680"), [at("fd00::5")]);
  assert.deepEqual(await relays("http://relay.example:45680"), all.slice(2), "a name may be any of them, but not this machine");
  assert.deepEqual(await relays("http://relay.example:45680", all.slice(0, 2)), all.slice(0, 2), "unless there is nothing else, as with a tunnel");
});
