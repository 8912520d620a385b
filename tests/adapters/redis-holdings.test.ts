import { expect, test } from "vitest";
import { Holdings } from "../../src/adapters/redis/holdings.ts";
import { Entry } from "../../src/adapters/redis/stream-group.ts";

test("what is not the reader's any more is not handed out, and makes room whether it was or not", () => {
  const held = new Holdings(2);
  const [a, b] = [held.keep(new Entry("1-0", 1, []), 0), held.keep(new Entry("2-0", 1, []), 0)];
  expect([held.handOut(a), a.handed, held.room]).toEqual([true, true, 0]);
  expect([held.forget(b), held.forget(b), held.handOut(b), held.has(b), held.room, held.ids()]).toEqual([true, false, false, false, 1, ["1-0"]]);
  held.clear();
  expect([held.size, held.room, held.has(a)]).toEqual([0, 2, false]);
});
