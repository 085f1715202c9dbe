import assert from "node:assert/strict";
import { test } from "node:test";

import { inviteLink, qrPath } from "../../www/invite.js";
import { fromUrl, roomFault, toUrl } from "../../www/place.js";

const PAGE = new URL("http://127.0.0.1:45680/#room=garden");
const WS = "/ip4/192.0.2.7/tcp/45679/ws/p2p/12D3KooWR";

test("room and relay come from the URL, and go back into it", () => {
  assert.deepEqual(fromUrl("http://x/#room=a%20b&relay=/ip4/1.2.3.4/tcp/1/ws"), { room: "a b", relay: "/ip4/1.2.3.4/tcp/1/ws" });
  assert.deepEqual(fromUrl("http://x/?relay=http://y:1"), { room: undefined, relay: "http://y:1" });
  for (const room of ["a b", "x&relay=/evil", "ä#%+", "<b>", "a=b"]) {
    assert.equal(fromUrl(toUrl("http://x/?relay=old", { room })).room, room);
    assert.equal(fromUrl(toUrl("http://x/?relay=old", { room })).relay, undefined);
  }
  assert.equal(toUrl("http://x/", { room: "den", relay: WS }), `http://x/#room=den&relay=${WS}`);
});

test("room names have the limit of the protocol, in bytes", () => {
  assert.equal(roomFault("x".repeat(255)), undefined);
  assert.match(roomFault("x".repeat(256)), /255 bytes; this one has 256/);
  assert.match(roomFault("ä".repeat(128)), /256/);
  assert.match(roomFault(""), /needs a name/);
});

test("a link from a loopback page names the machine's network address, if it is known", () => {
  assert.deepEqual(inviteLink(PAGE, "den", undefined, [WS]), { link: "http://192.0.2.7:45680/#room=den", reach: "network" });
  assert.deepEqual(inviteLink(PAGE, "den", undefined, ["/ip4/127.0.0.1/tcp/1/ws"]), { link: "http://127.0.0.1:45680/#room=den", reach: "machine" });
  assert.deepEqual(inviteLink(new URL("https://r.example/"), "den", WS), { link: `https://r.example/#room=den&relay=${WS}`, reach: "everywhere" });
});

test("a QR code is drawn as runs, inside an empty border", () => {
  assert.equal(qrPath({ size: 3, dark: Uint8Array.from([1, 1, 0, 0, 0, 0, 1, 0, 1]) }), "M4 4h2v1h-2zM4 6h1v1h-1zM6 6h1v1h-1z");
});
