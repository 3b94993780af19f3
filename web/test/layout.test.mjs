import assert from "node:assert/strict";
import { test } from "node:test";
import { lay_out, place } from "../src/layout.ts";

const kSizes = { box_along: 200, box_across: 80, gap_along: 80, gap_across: 20 };
const edges = (text) => text.split(" ").map((pair) => ({ from: pair[0], to: pair[1] }));

test("layers are by the longest path, and a source stands before its first reader", () => {
  const { boxes, routes } = lay_out([..."abcdx"], edges("ab bc ac cd xd"), kSizes);
  assert.deepEqual([..."abcdx"].map((id) => boxes.get(id).layer), [0, 1, 2, 3, 2]);
  const long = routes.find((route) => route.from === "a" && route.to === "c");
  assert.equal(long.points.length, 4, "bends around what is between");
});

test("two lines that need not cross do not", () => {
  const { boxes } = lay_out([..."abcd"], edges("ad bc"), kSizes);
  assert.equal(boxes.get("a").across < boxes.get("b").across, boxes.get("d").across < boxes.get("c").across);
  assert.equal(boxes.get("a").across, boxes.get("d").across, "and are straight");
});

test("boxes of a layer keep their distance", () => {
  const ids = ["a", ...Array.from({ length: 30 }, (_, i) => `b${i}`)];
  const { boxes } = lay_out(ids, ids.slice(1).map((to) => ({ from: "a", to })), kSizes);
  const across = ids.slice(1).map((id) => boxes.get(id).across).sort((a, b) => a - b);
  for (let i = 1; i < across.length; ++i) assert.ok(across[i] - across[i - 1] >= 100 - 1e-6);
});

test("a damaged graph is drawn too", () => {
  assert.equal(lay_out([..."abc"], edges("ab bc ca aa zb"), kSizes).boxes.size, 3);
  assert.equal(lay_out([], [], kSizes).boxes.size, 0);
});

test("places are the nearest that keep the distances", () => {
  assert.deepEqual(place([0, 100], [10]), [0, 100]);
  assert.deepEqual(place([5, 5], [10]), [0, 10]);
  assert.deepEqual(place([10, 0, 30], [10, 10]), [0, 10, 30]);
});
