import { describe, expect, test } from "vitest";
import { fakeClock } from "../../src/testing/clock.ts";
import { deadlines } from "../../src/wire/deadlines.ts";

function started(): { readonly clock: ReturnType<typeof fakeClock>; readonly due: ReturnType<typeof deadlines>; readonly missed: string[] } {
  const clock = fakeClock();
  const missed: string[] = [];
  return { clock, missed, due: deadlines(clock, (name) => missed.push(`${name} at ${clock.now()}`)) };
}

describe("deadlines", () => {
  test("the first one missed is told, once, and the others are cleared", async () => {
    const { clock, due, missed } = started();
    due.set("late", 300);
    due.set("early", 100);
    due.set("middle", 200);
    await clock.advance(99);
    expect(missed).toEqual([]);
    await clock.advance(10_000);
    expect(missed).toEqual(["early at 100"]);
    expect(clock.pending).toBe(0);
  });

  test("have one timer, however many they are and however often they start anew", async () => {
    const { clock, due } = started();
    for (let i = 0; i < 10; i += 1) due.set(`${i}`, 1_000 - i);
    for (let i = 0; i < 1_000; i += 1) due.restart("3");
    expect(clock.pending).toBe(1);
    due.stop();
    expect(clock.pending).toBe(0);
  });

  test("a later one leaves the timer as it is", () => {
    const clock = fakeClock();
    let armed = 0;
    const due = deadlines({ ...clock, timeout: (ms, fire) => ((armed += 1), clock.timeout(ms, fire)) }, () => {});
    for (const ms of [100, 100, 200, 300]) due.set(`in ${ms}`, ms);
    expect(armed).toBe(1);
    due.set("in 50", 50);
    expect(armed).toBe(2);
  });

  test("one that starts anew counts from then", async () => {
    const { clock, due, missed } = started();
    due.set("idle", 100);
    await clock.advance(60);
    due.restart("idle");
    await clock.advance(60);
    due.restart("idle");
    await clock.advance(99);
    expect(missed).toEqual([]);
    await clock.advance(1);
    expect(missed).toEqual(["idle at 220"]);
  });

  test("one that is set again has the new length, shorter or longer", async () => {
    const { clock, due, missed } = started();
    due.set("a", 1_000);
    due.set("a", 10);
    await clock.advance(10);
    expect(missed).toEqual(["a at 10"]);
    due.set("b", 10);
    due.set("b", 1_000);
    await clock.advance(999);
    expect(missed.length).toBe(1);
    await clock.advance(1);
    expect(missed).toEqual(["a at 10", "b at 1010"]);
  });

  test("one that is cleared is not missed, the others are", async () => {
    const { clock, due, missed } = started();
    due.set("a", 10);
    due.set("b", 20);
    due.clear("a");
    due.clear("never set");
    due.restart("a");
    await clock.advance(100);
    expect(missed).toEqual(["b at 20"]);
  });

  test("stand still while nobody waits", async () => {
    const { clock, due, missed } = started();
    due.set("a", 100);
    await clock.advance(40);
    due.pause();
    due.pause();
    await clock.advance(10_000);
    expect(missed).toEqual([]);
    due.resume();
    due.resume();
    await clock.advance(59);
    expect(missed).toEqual([]);
    await clock.advance(1);
    expect(missed).toEqual(["a at 10100"]);
  });

  test("set or started anew in a pause, count from its end", async () => {
    const { clock, due, missed } = started();
    due.set("old", 100);
    due.pause();
    await clock.advance(30);
    due.set("new", 50);
    due.restart("old");
    await clock.advance(1_000);
    expect(missed).toEqual([]);
    due.resume();
    await clock.advance(49);
    expect(missed).toEqual([]);
    await clock.advance(1);
    expect(missed).toEqual(["new at 1080"]);
  });

  test("of several that were set in a pause the first one missed is told", async () => {
    const { clock, due, missed } = started();
    due.pause();
    due.set("early", 50);
    due.set("late", 100);
    await clock.advance(1_000);
    due.resume();
    await clock.advance(50);
    expect(missed).toEqual(["early at 1050"]);
  });

  test("after the end nothing is told, also when it comes in a pause", async () => {
    const { clock, due, missed } = started();
    due.set("a", 10);
    due.pause();
    due.stop();
    due.resume();
    due.restart("a");
    expect(clock.pending).toBe(0);
    await clock.advance(100);
    expect(missed).toEqual([]);
  });
});
