import assert from "node:assert/strict";
import { test } from "node:test";

import { parse } from "../../www/command.js";
import { Names, SHORT_CHARS, SHORT_LINES, cleanBody, hue, HUES, milliseconds, oneLine, roomFault, shortened } from "../../www/text.js";

test("remote text for one line cannot turn direction, break the line or run on", () => {
  assert.equal(oneLine("a\u202eb\u2066c\u200fd"), "abcd");
  assert.equal(oneLine("a\r\n\u0000b\u2028c"), "a b c");
  assert.equal([...oneLine("x".repeat(1000), 10)].length, 11);
  assert.equal(oneLine("😀".repeat(10), 3), "😀…", "no half of a surrogate pair");
});

test("a body keeps its line breaks and shows other control characters", () => {
  assert.equal(cleanBody("a\r\nb\tc\u001b[2Jd"), "a\nb\tc\ufffd[2Jd");
  assert.equal(cleanBody("<b>&amp;"), "<b>&amp;");
});

test("long bodies are shortened by characters and by lines, short ones are not", () => {
  assert.equal(shortened("x".repeat(SHORT_CHARS)), undefined);
  assert.equal(shortened("x".repeat(64 * 1024)).length, SHORT_CHARS);
  assert.equal(shortened("\n".repeat(SHORT_LINES - 1)), undefined);
  assert.equal(shortened("a\n".repeat(5000)), "a\n".repeat(SHORT_LINES).slice(0, -1));
  assert.equal(shortened("x".repeat(SHORT_CHARS - 1) + "😀").length, SHORT_CHARS - 1);
});

test("names are the end of the id, longer when another has the same", () => {
  const names = new Names();
  assert.equal(names.of("12D3KooWaaXYZabcdef"), "abcdef");
  assert.equal(names.of("12D3KooWbbXYQabcdef"), "YQabcdef");
  assert.equal(names.of("12D3KooWaaXYZabcdef"), "abcdef", "a peer keeps its name");
});

test("a peer is found by its name or the end of its id, if only one fits", () => {
  const names = new Names();
  const peers = ["12D3KooWaaXYZabcdef", "12D3KooWbbXYQabcdef", "12D3KooWzzzzzzz"];
  for (const peer of peers) names.of(peer);
  assert.equal(names.find("abcdef", peers), peers[0], "a name goes before an end");
  assert.equal(names.find("zz", peers), peers[2]);
  assert.throws(() => names.find("cdef", peers), /Several peers/);
  assert.throws(() => names.find("nobody", peers), /No peer here/);
});

test("room names have the limit of the protocol, in bytes", () => {
  assert.equal(roomFault("x".repeat(255)), undefined);
  assert.match(roomFault("x".repeat(256)), /255 bytes; this one has 256/);
  assert.match(roomFault("ä".repeat(128)), /256/);
  assert.match(roomFault(""), /needs a name/);
});

test("figures and colours", () => {
  assert.deepEqual([0.42, 12.4, 25_000].map(milliseconds), ["0.4 ms", "12 ms", "25 s"]);
  assert.ok(Array.from({ length: 100 }, (_, at) => hue(`peer ${at}`)).every((n) => n >= 0 && n < HUES));
});

test("typed lines are read as the terminal reads them", () => {
  assert.deepEqual(parse("hello"), { kind: "send", body: "hello" });
  assert.deepEqual(parse("//peers"), { kind: "send", body: "/peers" });
  assert.deepEqual(parse("/peers"), { kind: "peers" });
  assert.deepEqual(parse("/help"), { kind: "help" });
  assert.deepEqual(parse("/dial /ip4/192.0.2.7/tcp/1/ws "), { kind: "dial", address: "/ip4/192.0.2.7/tcp/1/ws" });
  assert.deepEqual(parse("/to abc two\nlines"), { kind: "to", to: "abc", body: "two\nlines" });
  assert.throws(() => parse("/dial"), /Usage/);
  assert.throws(() => parse("/to abc"), /Usage/);
  assert.throws(() => parse("/quit"), /No such command: \/quit/);
  assert.throws(() => parse("/ text"), /No such command/);
});
