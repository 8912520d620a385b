import { expect, test } from "vitest";
import { Holdings } from "../../src/adapters/redis/holdings.ts";
import { Entry } from "../../src/adapters/redis/stream-group.ts";

const entry = (n: number): Entry => new Entry(`${n}-0`, 1, []);

test("what is fetched in the place of an acknowledgement that is on its way is handed out when that is confirmed, and not before", () => {
  const held = new Holdings(2);
  const [a, b] = [held.keep(entry(1), 0), held.keep(entry(2), 0)];
  expect([held.room, held.handOut(a), held.handOut(b), held.mayHandOut]).toEqual([0, true, true, false]);
  held.onTheirWay = 1;
  expect([held.room, held.mayHandOut]).toEqual([1, false]);
  const c = held.keep(entry(3), 0);
  expect([held.room, held.mayHandOut]).toEqual([0, false]);
  held.onTheirWay = 0;
  expect([held.forget(a), held.forget(a), held.room, held.mayHandOut]).toEqual([true, false, 0, true]);
  expect([held.handOut(c), held.mayHandOut, held.ids()]).toEqual([true, false, ["2-0", "3-0"]]);
});

test("what is not the reader's any more is not handed out, and makes room whether it was or not", () => {
  const held = new Holdings(2);
  const [a, b] = [held.keep(entry(1), 0), held.keep(entry(2), 0)];
  held.handOut(a);
  held.forget(b);
  expect([held.handOut(b), held.has(b), held.room, held.mayHandOut]).toEqual([false, false, 1, true]);
  held.clear();
  expect([held.size, held.room, held.mayHandOut]).toEqual([0, 2, true]);
});
