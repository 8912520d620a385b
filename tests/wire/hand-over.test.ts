import { expect, test } from "vitest";
import { handOver } from "../../src/wire/hand-over.ts";
import { turns } from "../streams/support.ts";

test("a value is made when it is asked for, and not before", async () => {
  const place = handOver<number>();
  const made: number[] = [];
  const making = (async () => {
    for (let n = 1; ; n += 1) {
      made.push(n);
      if (!(await place.give(n))) return;
    }
  })();
  await turns();
  expect(made).toEqual([1]);
  expect(await place.take()).toBe(1);
  await turns();
  expect(made).toEqual([1]);
  place.ask();
  place.ask();
  await turns();
  expect(made).toEqual([1, 2]);
  expect(await place.take()).toBe(2);
  expect(await place.take()).toBe(3);
  await turns();
  expect(made).toEqual([1, 2, 3]);
  place.leave();
  await making;
  expect(made).toEqual([1, 2, 3]);
});

test("a value that comes after the taker has left is the last one", async () => {
  const place = handOver<number>();
  place.leave();
  expect(await place.give(1)).toBe(false);
});

test("what was given before the end, or before a failure, is taken first", async () => {
  const [ending, failing] = [handOver<number>(), handOver<number>()];
  const reason = new Error("no");
  void ending.give(1);
  ending.end();
  void failing.give(2);
  failing.fail(reason);
  expect([await ending.take(), await ending.take(), await ending.take()]).toEqual([1, undefined, undefined]);
  expect(await failing.take()).toBe(2);
  await expect(failing.take()).rejects.toBe(reason);
});

test("a taker that waits hears of the end and of a failure", async () => {
  const [ending, failing] = [handOver<number>(), handOver<number>()];
  const reason = new Error("no");
  const waiting = [ending.take(), failing.take()] as const;
  ending.end();
  failing.fail(reason);
  expect(await waiting[0]).toBeUndefined();
  await expect(waiting[1]).rejects.toBe(reason);
});
