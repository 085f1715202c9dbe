import assert from "node:assert/strict";
import { test } from "node:test";

import { parse } from "../../www/command.js";
import { parts } from "../../www/format.js";
import { HUES, Names } from "../../www/names.js";
import { SHORT_CHARS, SHORT_LINES, cleanBody, milliseconds, oneLine, shortened } from "../../www/text.js";

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

test("only so many names are kept: the oldest is forgotten, and its end is free again", () => {
  const names = new Names();
  assert.equal(names.of("12D3KooWa000001"), "000001");
  for (let number = 2; number <= 4096; number += 1) names.of(`12D3KooWa${String(number).padStart(6, "0")}`);
  assert.equal(names.of("12D3KooWb000002"), "b000002", "the second is still known");
  assert.equal(names.of("12D3KooWc000001"), "000001");
});

test("figures and colours", () => {
  assert.deepEqual([0.42, 12.4, 25_000].map(milliseconds), ["0.4 ms", "12 ms", "25 s"]);
  const names = new Names();
  const hues = Array.from({ length: HUES }, (_, at) => names.hueOf(`peer ${at}`));
  assert.deepEqual(hues.toSorted((a, b) => a - b), Array.from({ length: HUES }, (_, at) => at), "each has its own");
  const peers = ["12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN", "12D3KooWPjceQrSwdWXPyLLeABRXmuqt69Rg3sBYbU1Nft9HyQ6X"];
  const fresh = new Names();
  assert.deepEqual(peers.map((peer) => fresh.hueOf(peer)), [1, 8], "the same in every tab");
});

/** Generous: a pattern that looks back takes minutes. */
const LINEAR_MS = 20_000;

test("no text stops the page", () => {
  const began = performance.now();
  const size = 64 * 1024;
  for (const unit of [" ", "`", "```", "(", "http://", "https://a", "https://a.", "a@", "[", "/", "\n", "```\n"]) {
    const text = `a${unit.repeat(size / unit.length)}b`;
    assert.equal(parts(text).map((part) => part.text).join("").length <= text.length, true);
    oneLine(text);
    cleanBody(text);
    shortened(text);
    try {
      parse(`/to ${text}`);
    } catch (error) {
      assert.ok(error.kind);
    }
  }
  const took = performance.now() - began;
  assert.ok(took < LINEAR_MS, `${took} ms`);
});

test("links and code are found, and nothing else", () => {
  const of = (text) => parts(text).map(({ kind, text: part }) => `${kind}:${part}`);
  assert.deepEqual(of("plain"), ["text:plain"]);
  assert.deepEqual(of("a http://b.c/d. e"), ["text:a ", "link:http://b.c/d", "text:. e"]);
  assert.deepEqual(of("(https://b.c)"), ["text:(", "link:https://b.c", "text:)"]);
  assert.deepEqual(of("http:// javascript:x data:x ftp://x"), ["text:http:// javascript:x data:x ftp://x"]);
  assert.deepEqual(of("```\ncode\n``` end"), ["code:code", "text: end"]);
  assert.deepEqual(of("``` open"), ["text:``` open"]);
  assert.deepEqual(of("```http://not.a.link```"), ["code:http://not.a.link"]);
});
