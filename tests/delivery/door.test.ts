import { describe, expect, test } from "vitest";
import { Door, type Pass } from "../../src/delivery/door.ts";
import { AttemptCount } from "../../src/delivery/attempt-count.ts";
import type { Delivery } from "../../src/kinds/queue.ts";
import { fakeClock } from "../../src/testing/index.ts";

const doorOf = (clock = fakeClock(), concurrency = 2): { readonly door: Door; readonly clock: typeof clock } => ({
  clock,
  door: new Door({ concurrency, clock, random: () => 1, changed: () => {} }),
});

describe("the door", () => {
  test("a longer wish prolongs a pause, a shorter one does not, and only one timer runs", async () => {
    const { door, clock } = doorOf();
    expect(door.pause(1_000)).toBe(1_100);
    expect(door.pause(5_000)).toBe(5_500);
    expect([door.pause(10), door.pause(undefined), clock.pending]).toEqual([5_500, 5_500, 1]);
    await clock.advance(5_499);
    expect(door.mayPull).toBe(false);
    await clock.advance(1);
    expect(door.mayPull).toBe(true);
  });

  test("after a pause one is let in, and the next only when that one has decided nothing", async () => {
    const { door, clock } = doorOf();
    door.pause(undefined);
    const passes: Pass[] = [];
    for (let i = 0; i < 3; i += 1) void door.enter().then((pass) => passes.push(pass));
    await clock.advance(1_000);
    expect([passes, door.mayPull]).toEqual([[{ probe: true }], false]);
    door.leave({ probe: true });
    await clock.advance(0);
    expect(passes).toEqual([{ probe: true }, { probe: true }]);
    door.resume();
    door.leave({ probe: true });
    await clock.advance(0);
    expect([passes.at(-1), door.paused, clock.pending]).toEqual([{ probe: false }, false, 0]);
  });

  test("a pause that ended well leaves no timer, and the next begins short again", async () => {
    const { door, clock } = doorOf();
    expect([door.pause(undefined), door.pause(undefined, { probe: true }), door.pause(undefined, { probe: true })]).toEqual([1_000, 2_000, 4_000]);
    for (let i = 0; i < 20; i += 1) door.pause(undefined, { probe: true });
    expect(door.pause(undefined, { probe: true })).toBe(60_000);
    door.resume();
    expect([clock.pending, door.pause(undefined)]).toEqual([0, 1_000]);
  });

  test("shut lets nobody in, neither those who wait nor those who come", async () => {
    const { door, clock } = doorOf(fakeClock(), 1);
    await door.enter();
    const waiting = door.enter();
    door.pause(undefined);
    door.shut("shut");
    await expect(waiting).rejects.toBe("shut");
    await expect(door.enter()).rejects.toBe("shut");
    expect(clock.pending).toBe(0);
  });
});

test("attempts are remembered of the last 10,000 deliveries that failed, and the queue's own count is heard", () => {
  const made = new AttemptCount();
  const delivery = (id: number, attempt = 1): Delivery => ({ id: String(id), attempt }) as Delivery;
  for (let id = 0; id < 10_001; id += 1) made.count(delivery(id));
  expect([made.number(delivery(0)), made.number(delivery(1)), made.number(delivery(10_000)), made.number(delivery(5, 7))]).toEqual([1, 2, 2, 7]);
  made.forget(delivery(1));
  expect(made.number(delivery(1))).toBe(1);
});
