// The figures of the relay's status page, without the page.

import assert from "node:assert/strict";
import { test } from "node:test";

import { bytes, count, duration, points, rates } from "../../native/src/http/status/figures.js";

test("figures are written as people read them", () => {
  assert.deepEqual([0, 999, 1_000, 1_234_567, 8e15].map(bytes), ["0 B", "999 B", "1.0 kB", "1.2 MB", "8.0 PB"]);
  assert.deepEqual([0, 1_234, 0.25].map(count), ["0", "1,234", "0.3"]);
  assert.deepEqual([0, 59, 60, 3_700, 90_061].map(duration), ["0 s", "59 s", "1 min", "1 h 1 min", "1 d 1 h"]);
});

test("a total becomes a rate between two samples", () => {
  const samples = [{ at: 0, n: 0 }, { at: 60, n: 120 }, { at: 60, n: 120 }, { at: 120, n: 120 }];
  assert.deepEqual(rates(samples, "n", 1), [[60, 2], [120, 0]]);
  assert.deepEqual(rates(samples, "n", 60), [[60, 120], [120, 0]]);
  assert.deepEqual(rates([], "n", 1), []);
});

test("a curve stays in its box", () => {
  const box = { width: 300, height: 100, from: 1_000, to: 4_600, top: 8 };
  assert.equal(points([[900, 8], [1_000, 0], [2_800, 4], [4_600, 8]], box), "0.0,100.0 150.0,50.0 300.0,0.0");
  assert.equal(points([[4_600, 0]], { ...box, top: 0 }), "300.0,100.0");
  assert.equal(points([], box), "");
});
